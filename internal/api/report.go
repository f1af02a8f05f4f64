package api

import (
	"context"

	"github.com/assay-attestation/assay/internal/verifier"
)

// mintReport makes the report that a permit is the right to. Before, the keys of the provider are kept listed for as long as it lives.
func (s *Service) mintReport(ctx context.Context, r *request, p *verifier.ReportPermit) (string, error) {
	if err := s.Keys.Reserve(ctx, r.at.ID, r.at.Keys.ReportValidity(p)); err != nil {
		return "", err
	}
	return r.at.Keys.MintReport(p, s.Clock())
}
