package api

import (
	"time"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
)

// author says who changes something, and puts the change into the audit trail in the transaction that makes it.
func (s *Service) author(r *request) provider.Author {
	start := s.Clock()
	return provider.Author{
		Name: r.caller.String(), RequestID: r.id, At: start,
		Audit: func(tx *store.Tx, before, after string) error {
			record := s.record(r, start, nil)
			record.Properties.Before, record.Properties.After = before, after
			return s.Trail.Append(tx, record)
		},
	}
}

// record is what the audit trail keeps of a request: of one that was refused if there is a problem (management.md section 11).
func (s *Service) record(r *request, start time.Time, p *problem) audit.Record {
	return audit.Record{}
}
