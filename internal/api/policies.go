package api

import (
	"context"
	"net/http"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// The claims of result tokens (api.md sections 8 and 9).
const (
	claimPolicy             = "x-ms-policy"
	claimPolicyResult       = "x-ms-policy-result"
	claimPolicyTokenHash    = "x-ms-policy-token-hash"
	claimPolicySigner       = "x-ms-policy-signer"
	claimPolicyCertificates = "x-ms-policy-certificates"
	claimThumbprint         = "x-ms-certificate-thumbprint"
	claimCertificatesResult = "x-ms-policycertificates-result"
)

// tokenAnswer is the body of every answer that is a token.
type tokenAnswer struct {
	Token string `json:"token"`
}

// policyRoutes are the operations on policies (api.md section 8).
func (s *Service) policyRoutes() []route {
	set, reset := needs(auth.Write), needs(auth.Delete)
	return []route{
		{http.MethodGet, "/policies/{type}", operation{name: "GetCurrentPolicy", access: readsPolicy(), versions: versions(), policyBody: true, do: s.getPolicy}},
		{http.MethodPut, "/policies/{type}", operation{name: "SetCurrentPolicy", access: set, versions: versions(), policyBody: true, do: s.setPolicy}},
		{http.MethodPost, "/policies/{type}:reset", operation{name: "ResetAttestationPolicy", access: reset, versions: versions(), policyBody: true, do: s.resetPolicy}},
	}
}

// policyType reads an attestation type that the path or the query names. The answer for one that is not supported is 400, which
// clients take for "no such policy here" (api.md section 6.4).
func policyType(name string) (string, error) {
	t, ok := policy.ParseType(name)
	if !ok {
		return "", bad("The attestation type %s is not supported by this provider; send one of SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest or Tpm.", shorten(name, maxQuoted))
	}
	return t, nil
}

// getPolicy answers the policy in force, byte for byte as it was uploaded (api.md section 8.3).
func (s *Service) getPolicy(_ context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	return s.signed(r, result.Claims{claimPolicy: r.at.Policy(t).JWS})
}

// signed makes the answer that is a result token with these claims.
func (s *Service) signed(r *request, claims result.Claims) (any, error) {
	token, err := r.at.Keys.SignResult(claims, s.Clock())
	return tokenAnswer{token}, err
}

// setPolicy puts a policy in force (api.md section 8.4).
func (s *Service) setPolicy(ctx context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	jws, err := s.Providers.SetPolicy(ctx, r.at, provider.Upload{Type: t, Body: r.body}, s.author(r))
	if err != nil {
		return nil, err
	}
	claims, err := updated(jws)
	if err != nil {
		return nil, err
	}
	return s.signed(r, claims)
}

// updated are the claims that say which policy was set.
func updated(jws *policyjws.Parsed) (result.Claims, error) {
	claims := result.Claims{claimPolicyResult: "Updated", claimPolicyTokenHash: jws.TokenHash()}
	signer, err := provider.SignerKey(jws)
	if signer != nil {
		claims[claimPolicySigner] = signer
	}
	return claims, err
}

// resetPolicy brings the default policy back (api.md section 8.5).
func (s *Service) resetPolicy(ctx context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	if err := s.Providers.ResetPolicy(ctx, r.at, provider.Upload{Type: t, Body: r.body}, s.author(r)); err != nil {
		return nil, err
	}
	return s.signed(r, result.Claims{claimPolicyResult: "Removed"})
}
