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
	m, err := receiveTPM(r)
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

// receiveTPM gives the message to a provider that has a policy for TPMs.
func receiveTPM(r *request) (m attreq.Message, err error) {
	switch p := r.at.Policy(string(evidence.Tpm)); {
	case p.Broken != nil:
		return m, fmt.Errorf("the policy for %s cannot be used: %v", evidence.Tpm, p.Broken) // not wrapped: it is no refusal of this request
	case p.Policy == nil:
		return m, refuse(http.StatusBadRequest, codeNoTPMPolicy, "A VBS attestation policy has not been set on the attestation provider.")
	}
	return readTPM(r.body)
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
	to := s.toReport(r, m)
	report, err := s.report(ctx, r, to)
	s.keep(r, to.Record, err)
	if unwritten := s.auditAttest(r, to.Now, err); unwritten != nil {
		return nil, unwritten
	}
	if err != nil {
		return nil, err
	}
	return m.AnswerReport(report)
}

// toReport is what the verifier takes for the request in a message.
func (s *Service) toReport(r *request, m attreq.Message) verifier.ReportRequest {
	now := s.Clock()
	return verifier.ReportRequest{
		JWS: m.Request, ProviderID: r.at.ID, Now: now, At: s.JudgedAt(), Record: &explain.Record{Type: evidence.Tpm, Time: now},
	}
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

// explainTPM serves what a request of the second round would be answered with and why, without a report (native.md section 3).
func (s *Service) explainTPM(ctx context.Context, r *request) (any, error) {
	m, err := receiveTPM(r)
	if err != nil {
		return nil, err
	}
	if m.Request == "" {
		return nil, bad("The message has no member \"request\": only an answer to a challenge can be explained; POST /attest/Tpm gives a challenge.")
	}
	to := s.toReport(r, m)
	_, err = r.at.Verifier.AppraiseReport(ctx, to)
	return s.explained(ctx, r, to.Record, err)
}
