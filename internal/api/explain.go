package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/verifier"
)

// explainRoutes are the native routes of native.md section 3.
func (s *Service) explainRoutes() []route {
	routes := []route{{http.MethodGet, "/assay/v1/explanations/{request}", operation{name: "GetExplanation", access: needs(auth.Read), do: s.explanation}}}
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave, evidence.SevSnpVM, evidence.TdxVM, evidence.AzureGuest} {
		routes = append(routes, explainRoute(t, s.explain(t)))
	}
	return append(routes, explainRoute(evidence.Tpm, s.explainTPM))
}

func explainRoute(t evidence.Type, do func(context.Context, *request) (any, error)) route {
	return route{http.MethodPost, "/assay/v1/explain/" + string(t), operation{name: "Explain" + string(t), access: needs(auth.Read), do: do}}
}

// keep remembers how a request was decided. The message is the one with all reasons, whatever the client was told.
func (s *Service) keep(r *request, record *explain.Record, err error) {
	if err != nil {
		p := problemOf(err)
		record.Code, record.Error = p.code, shorten(p.message, maxMessage)
	}
	s.Explanations.Add(r.explanationKey(r.id), record)
}

// explanationKey names an explanation, which only callers of the same provider can ask for.
func (r *request) explanationKey(requestID string) string {
	return r.at.ID + " " + strings.ToLower(requestID)
}

// explanation serves what is kept of a request.
func (s *Service) explanation(ctx context.Context, r *request) (any, error) {
	id := r.params["request"]
	record, ok := s.Explanations.Get(r.explanationKey(id), s.Clock())
	if !ok {
		return nil, refuse(http.StatusNotFound, codeNotFound, "No explanation is kept for the request %s: give the x-ms-request-id of a recent attest request that this provider answered, to the replica that did.",
			shorten(id, maxQuoted))
	}
	e, err := s.Seats.Explain(ctx, record)
	if err != nil {
		return nil, err
	}
	e.RequestID = id
	return e, nil
}

// explain serves what an attest request would be answered with and why, without a token.
func (s *Service) explain(t evidence.Type) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		to, draft, err := s.readAttest(t, r)
		if err != nil {
			return nil, err
		}
		return s.explained(ctx, r, to.Record, appraise(ctx, r.at.Verifier, to, draft))
	}
}

// explained answers with how an appraisal ended. A refusal is an answer here; only what could not be decided is an error.
func (s *Service) explained(ctx context.Context, r *request, record *explain.Record, err error) (any, error) {
	if err != nil {
		p := problemOf(err)
		if p.undecided() {
			return nil, err
		}
		record.Code, record.Error = p.code, p.message
	}
	e, err := s.Seats.Explain(ctx, record)
	if err != nil {
		return nil, err
	}
	e.RequestID = r.id
	return e, nil
}

// appraise judges a request; what it earns is thrown away.
func appraise(ctx context.Context, v *verifier.Verifier, to verifier.Request, draft []byte) error {
	if draft != nil {
		_, err := v.Rehearse(ctx, to, draft)
		return err
	}
	_, err := v.Appraise(ctx, to)
	return err
}
