package api

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/auth"
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
	now := s.Clock()
	record := audit.Record{
		Time: now, Operation: "Unknown", Category: audit.AuditEvent, Status: 200, Duration: now.Sub(start), CallerIPAddress: hostOf(r.RemoteAddr),
		Identity: identityOf(r.caller), URL: r.fullURL(), Properties: audit.Properties{RequestID: r.id, Received: received(r)},
	}
	if parts := strings.Split(r.id, "-"); len(parts) == 4 {
		record.Trace = audit.Trace{TraceID: parts[1], ParentID: parts[2]}
	}
	if r.op != nil {
		record.Operation = audit.Operation(r.op.name)
	}
	if i := s.subject(r); i != nil {
		record.ResourceID, record.Properties.Provider = resourceID(i), i.Name
		record.Region, record.Location = i.Location, i.Location
	}
	if p != nil {
		record.Status, record.Properties.Code, record.Properties.FailureDetails = p.status, p.code, cmp.Or(p.bare, p.text())
	}
	return record
}

func identityOf(c *auth.Caller) audit.Identity {
	if c == nil {
		return audit.Identity{}
	}
	return audit.Identity{UPN: c.Name, ObjectID: c.ID, ID: strings.Join([]string{string(c.Method), c.ID, "of", c.Issuer}, " ")}
}

func received(r *request) audit.Received {
	return audit.Received{
		UserAgent: r.UserAgent(), HeaderCount: len(r.Header), ContentType: r.Header.Get("Content-Type"), ContentLength: max(0, r.ContentLength),
		CookieCount: len(r.Cookies()), TraceParent: r.Header.Get("traceparent"),
	}
}

// fullURL is the URL as the client wrote it, as far as that can be known.
func (r *request) fullURL() *url.URL {
	u := *r.URL
	u.Host, u.Scheme = r.Host, "https"
	if r.TLS == nil {
		u.Scheme = "http"
	}
	return &u
}

// auditAttest puts a decision about evidence into the audit trail, where that is wanted. The problem is nil of a permit.
func (s *Service) auditAttest(r *request, start time.Time, err error) error {
	if !s.AuditAttest {
		return nil
	}
	var p *problem
	if err != nil {
		p = s.problemFor(r, err)
	}
	record := s.record(r, start, p)
	record.Category, record.Properties.Check = audit.Operational, checkOf(err)
	return s.Trail.Write(r.Context(), record)
}
