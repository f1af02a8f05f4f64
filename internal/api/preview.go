package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/result"
)

// claimPreparedHash is the claim by which a prepared policy is known (api.md section 13).
const claimPreparedHash = "maa-policyHash"

// previewRoutes are the routes that only api version 2018-09-01-preview has (api.md section 13).
func (s *Service) previewRoutes() []route {
	op := func(name string, a access, do func(context.Context, *request) (any, error)) operation {
		return operation{name: name, access: a, versions: versions(), policyBody: true, form: previewErrors, do: do}
	}
	prepare := op("PreparePolicyToSet", needs(auth.Write), s.preparePolicy)
	add := s.previewSigners((*provider.Registry).AddSigner)
	remove := s.previewSigners((*provider.Registry).RemoveSigner)
	routes := []route{
		{http.MethodPost, "/operations/policy/updatepolicy", prepare},
		{http.MethodPost, "/operations/policy/update", prepare},
		{http.MethodGet, "/operations/policy/current", op("GetCurrentPolicy", readsPolicy(), s.previewPolicy)},
		{http.MethodPut, "/operations/policy/current", op("SetCurrentPolicy", needs(auth.Write), s.previewSet)},
		{http.MethodPost, "/operations/policy/current", op("ResetAttestationPolicy", needs(auth.Delete), s.previewReset)},
		{http.MethodGet, "/operations/policy/certificates", op("GetPolicyManagementCertificates", needs(auth.Read), func(_ context.Context, r *request) (any, error) { return s.previewSignerSet(r) })},
		{http.MethodPut, "/operations/policy/certificates", op("AddPolicyManagementCertificate", needs(auth.Write), add)},
		{http.MethodPost, "/operations/policy/certificates", op("RemovePolicyManagementCertificate", needs(auth.Delete), remove)},
	}
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave} {
		routes = append(routes, route{http.MethodPost, "/attest/Tee/" + string(t), *s.previewAttest(t)})
	}
	return routes
}

// tee reads the attestation type of the query parameter tee, which has a few names of its own.
func (r *request) tee() (string, error) {
	name := r.query("tee")
	switch strings.ToLower(name) {
	case "":
		return "", bad("The query parameter tee is missing; send one of SgxEnclave, OpenEnclave, AzureGuest or VBSEnclave.")
	case "vbsenclave", "vsmenclave":
		return "Tpm", nil
	}
	return policyType(name)
}

// upload reads a policy of this version, whose text may stand in the JWS as it is.
func (r *request) upload() (provider.Upload, error) {
	t, err := r.tee()
	return provider.Upload{Type: t, Body: r.body, PlainText: true}, err
}

// preparePolicy checks a policy and answers it in a token, which the client verifies and sends back to have it set.
func (s *Service) preparePolicy(ctx context.Context, r *request) (any, error) {
	up, err := r.upload()
	if err != nil {
		return nil, err
	}
	jws, err := s.Providers.CheckPolicy(ctx, r.at, up)
	if err != nil {
		return nil, err
	}
	return s.bare(r, result.Claims{claimPolicy: jws.String(), claimPreparedHash: jws.PolicyHash()})
}

// bare makes the answer that is a result token in a JSON string.
func (s *Service) bare(r *request, claims result.Claims) (any, error) {
	return r.at.Keys.SignResult(claims, s.Clock())
}

// previewPolicy answers the policy in force.
func (s *Service) previewPolicy(_ context.Context, r *request) (any, error) {
	t, err := r.tee()
	if err != nil {
		return nil, err
	}
	return map[string]string{"Policy": r.at.Policy(t).JWS}, nil
}

// previewSet sets a policy, sent as it is or as the token of preparePolicy. Either is checked as if it were new.
func (s *Service) previewSet(ctx context.Context, r *request) (any, error) {
	up, err := r.upload()
	if err != nil {
		return nil, err
	}
	if up.Body, err = s.prepared(r); err != nil {
		return nil, err
	}
	_, err = s.Providers.SetPolicy(ctx, r.at, up, s.author(r))
	return ready(`null`), err
}

// ready is an answer that is JSON already.
func ready(text string) []byte { return []byte(text) }

// prepared takes the policy out of a token of preparePolicy, which this provider must have signed; anything else it gives back as
// it is.
func (s *Service) prepared(r *request) ([]byte, error) {
	text := strings.TrimSpace(string(r.body))
	if strings.HasPrefix(text, `"`) {
		if err := strictjson.Exact(r.body, &text); err != nil {
			return r.body, nil // the reader of the policy says what is wrong
		}
	}
	if !isPrepared(text) {
		return r.body, nil
	}
	token, err := result.Verify(text, r.at.Keys.KeySet(), result.Expect{Issuer: r.at.URL, At: s.Clock(), AllowDevelopment: s.Development})
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codeInvalidOperation, "The prepared policy is not one of this provider, or too old: %v. Prepare it again.", err)
	}
	jws, _ := token.String(claimPolicy)
	return []byte(jws), nil
}

// isPrepared reports whether text is a token like those of preparePolicy.
func isPrepared(text string) bool {
	token, err := result.ParseToken(text)
	if err != nil {
		return false
	}
	var claims map[string]jsontext.Value
	return strictjson.Exact(token.Payload(), &claims) == nil && claims[claimPreparedHash] != nil
}

// previewReset brings the default policy back.
func (s *Service) previewReset(ctx context.Context, r *request) (any, error) {
	up, err := r.upload()
	if err != nil {
		return nil, err
	}
	return ready(`null`), s.Providers.ResetPolicy(ctx, r.at, up, s.author(r))
}

// previewSigners makes the operation that changes the signers, and answers the resulting set.
func (s *Service) previewSigners(change changeSigner) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		if _, err := change(s.Providers, ctx, r.at, r.body, s.author(r)); err != nil {
			return nil, err
		}
		if now, ok := s.Providers.ByID(r.at.ID); ok {
			r.at = now
		}
		return s.previewSignerSet(r)
	}
}

// previewSignerSet answers the policy management certificates under their two old names.
func (s *Service) previewSignerSet(r *request) (any, error) {
	certs, err := r.at.PolicySigners()
	if err != nil {
		return nil, err
	}
	keys, err := provider.SignerKeys(certs)
	if err != nil {
		return nil, err
	}
	return s.bare(r, result.Claims{"maa-policyCertificates": keys, "aas-policyCertificates": keys})
}

// previewBody is the body of an attest request in this version. The evidence of both types is called a quote.
type previewBody struct {
	Quote *string `json:"quote"`
	Data  *string `json:"enclavehelddata"`
	Draft *string `json:"draftpolicyforattestation"`
}

// previewAttest is the attest operation of this version: it needs a token, and answers with a JSON string.
func (s *Service) previewAttest(t evidence.Type) *operation {
	return &operation{name: "Attest" + string(t), access: needs(auth.Read), versions: versions(), form: previewErrors, do: func(ctx context.Context, r *request) (any, error) {
		var err error
		if r.body, err = upgrade(t, r.body); err != nil {
			return nil, err
		}
		answer, err := s.attest(t)(ctx, r)
		if err != nil {
			return nil, err
		}
		return answer.(tokenAnswer).Token, nil
	}}
}

// upgrade writes an attest request of this version as one of the later versions.
func upgrade(t evidence.Type, body []byte) ([]byte, error) {
	var old previewBody
	if err := strictjson.Folded(body, &old); err != nil {
		return nil, bad("The request body cannot be read (expected one JSON object): %v.", err)
	}
	now := map[string]any{}
	if old.Quote != nil {
		member := "quote"
		if t == evidence.OpenEnclave {
			member = "report"
		}
		now[member] = *old.Quote
	}
	if old.Data != nil {
		now["runtimeData"] = map[string]string{"data": *old.Data, "dataType": "Binary"}
	}
	if old.Draft != nil {
		now["draftPolicyForAttestation"] = *old.Draft
	}
	return json.Marshal(now)
}
