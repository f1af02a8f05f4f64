package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// tpmBody is the body of requests and answers of the TPM protocol: JSON in base64url (tpm.md section 2).
type tpmBody struct {
	Data *string `json:"data"`
}

// attestTPM serves both rounds of /attest/Tpm: a challenge for whoever wants one, a report for whoever answers it.
func (s *Service) attestTPM(ctx context.Context, r *request) (any, error) {
	switch p := r.at.Policy(string(evidence.Tpm)); {
	case p.Broken != nil:
		return nil, fmt.Errorf("the policy for %s cannot be used: %v", evidence.Tpm, p.Broken) // not wrapped: it is no refusal of this request
	case p.Policy == nil:
		return nil, refuse(http.StatusBadRequest, codeNoTPMPolicy, "A VBS attestation policy has not been set on the attestation provider.")
	}
	m, err := readTPM(r.body)
	if err != nil {
		return nil, err
	}
	answer := s.reportTPM
	if m.Request == "" {
		answer = s.challengeTPM
	}
	inner, err := answer(ctx, r, m)
	if err != nil {
		return nil, err
	}
	data := b64.URL(inner)
	return tpmBody{&data}, nil
}

// readTPM reads the message in a body.
func readTPM(body []byte) (m attreq.Message, err error) {
	var b tpmBody
	if err := strictjson.Folded(body, &b); err != nil {
		return m, bad("The request body cannot be read (expected one JSON object): %v.", err)
	}
	if b.Data == nil || *b.Data == "" {
		return m, bad("The member \"data\" is missing: it holds a message of the TPM protocol in base64url.")
	}
	inner, err := b64.Decode(*b.Data)
	if err != nil {
		return m, bad("The member \"data\" is %v.", err)
	}
	return attreq.ParseMessage(inner)
}

// challengeTPM answers the first round.
func (s *Service) challengeTPM(_ context.Context, r *request, m attreq.Message) ([]byte, error) {
	challenge, serviceContext, err := s.Challenges.Issue(r.at.ID, s.Clock())
	if err != nil {
		return nil, err
	}
	return m.AnswerChallenge(challenge, serviceContext)
}

// reportTPM answers the second round.
func (s *Service) reportTPM(ctx context.Context, r *request, m attreq.Message) ([]byte, error) {
	start := s.Clock()
	record := &explain.Record{Type: evidence.Tpm, Time: start}
	report, err := s.report(ctx, r, verifier.ReportRequest{JWS: m.Request, ProviderID: r.at.ID, Now: start, At: s.JudgedAt(), Record: record})
	s.keep(r, record, err)
	if unwritten := s.auditAttest(r, start, err); unwritten != nil {
		return nil, unwritten
	}
	if err != nil {
		return nil, err
	}
	return m.AnswerReport(report)
}

// report makes the report that a request earns.
func (s *Service) report(ctx context.Context, r *request, to verifier.ReportRequest) (string, error) {
	permit, err := r.at.Verifier.AppraiseReport(ctx, to)
	if err != nil {
		return "", err
	}
	if err := s.Keys.Reserve(ctx, r.at.ID, permit.Validity()); err != nil {
		return "", err
	}
	return r.at.Keys.MintReport(permit, s.Clock())
}
