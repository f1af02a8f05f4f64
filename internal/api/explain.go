package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/verifier"
)

// explainRoutes are the native routes of native.md section 3, where explanations are kept.
func (s *service) explainRoutes() map[string]map[string]operation {
	routes := map[string]map[string]operation{}
	if s.Explanations == nil {
		return routes
	}
	routes["/assay/v1/explanations/"+named] = map[string]operation{http.MethodGet: {"GetExplanation", false, s.explanation}}
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave} {
		routes["/assay/v1/explain/"+strings.ToLower(string(t))] = map[string]operation{
			http.MethodPost: {"Explain" + string(t), false, s.explain(t)},
		}
	}
	return routes
}

// keep remembers how a request was decided. The message is the one with all reasons, whatever the client was told.
func (s *service) keep(id string, r *explain.Record, err error) {
	if s.Explanations == nil {
		return
	}
	if err != nil {
		p := problemOf(err)
		r.Code, r.Error = p.code, shorten(p.message, maxMessage)
	}
	s.Explanations.Add(id, r)
}

// explanation serves what is kept of a request.
func (s *service) explanation(ctx context.Context, r *request) (any, error) {
	record, ok := s.Explanations.Get(r.name, s.Clock())
	if !ok {
		return nil, refuse(http.StatusNotFound, codeNotFound, "No explanation is kept for the request %s: give the x-ms-request-id of an attest request of this service.", shorten(r.name, maxQuoted))
	}
	e, err := s.Verifier.Explain(ctx, record)
	if err != nil {
		return nil, err
	}
	e.RequestID = r.name
	return e, nil
}

// explain serves what an attest request would be answered with and why, without a token. A refusal is an answer here;
// only what could not be decided is an error.
func (s *service) explain(t evidence.Type) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		to, draft, err := s.readAttest(t, r)
		if err != nil {
			return nil, err
		}
		if err := s.appraise(ctx, to, draft); err != nil {
			p := problemOf(err)
			if p.undecided() {
				return nil, err
			}
			to.Record.Code, to.Record.Error = p.code, p.message
		}
		e, err := s.Verifier.Explain(ctx, to.Record)
		if err != nil {
			return nil, err
		}
		e.RequestID = r.id
		return e, nil
	}
}

// appraise judges a request; what it earns is thrown away.
func (s *service) appraise(ctx context.Context, to verifier.Request, draft []byte) error {
	if draft != nil {
		_, err := s.Verifier.Rehearse(ctx, to, draft)
		return err
	}
	_, err := s.Verifier.Appraise(ctx, to)
	return err
}
