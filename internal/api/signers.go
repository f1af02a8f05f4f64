package api

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/http"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/result"
)

// signerRoutes are the operations on policy management certificates (api.md section 9).
func (s *Service) signerRoutes() []route {
	add := s.signerChange((*provider.Registry).AddSigner, "policycertificatetoadd", "IsPresent")
	remove := s.signerChange((*provider.Registry).RemoveSigner, "policycertificatetoremove", "IsAbsent")
	return []route{
		{http.MethodGet, "/certificates", operation{name: "GetPolicyManagementCertificates", access: needs(auth.Read), versions: versions(), policyBody: true, do: s.getSigners}},
		{http.MethodPost, "/certificates:add", operation{name: "AddPolicyManagementCertificate", access: needs(auth.Write), versions: versions(), policyBody: true, do: add}},
		{http.MethodPost, "/certificates:remove", operation{name: "RemovePolicyManagementCertificate", access: needs(auth.Delete), versions: versions(), policyBody: true, do: remove}},
	}
}

// getSigners answers the policy management certificates, none of a provider that is not isolated.
func (s *Service) getSigners(_ context.Context, r *request) (any, error) {
	certs, err := r.at.PolicySigners()
	if err != nil {
		return nil, err
	}
	keys, err := provider.SignerKeys(certs)
	if err != nil {
		return nil, err
	}
	return s.signed(r, result.Claims{claimPolicyCertificates: keys})
}

// changeSigner adds or removes a signer.
type changeSigner func(*provider.Registry, context.Context, *provider.Instance, []byte, provider.Author) (*x509.Certificate, error)

// signerChange makes the operation that changes the signers. member is where newer versions have the JWS.
func (s *Service) signerChange(change changeSigner, member, outcome string) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		jws, err := jwsIn(r.body, member)
		if err != nil {
			return nil, err
		}
		cert, err := change(s.Providers, ctx, r.at, jws, s.author(r))
		if err != nil {
			return nil, err
		}
		return s.signed(r, result.Claims{claimThumbprint: policyjws.Thumbprint(cert), claimCertificatesResult: outcome})
	}
}

// jwsIn gives the JWS of a body, which is a JSON string, or an object that has it in a member (api.md section 9.2).
func jwsIn(body []byte, member string) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte{'{'}) {
		return body, nil
	}
	var members map[string]any
	if err := strictjson.Folded(body, &members); err != nil {
		return nil, bad("The request body cannot be read (expected a JSON string or object): %v.", err)
	}
	jws, ok := members[member].(string)
	if !ok {
		return nil, bad("The member %q is missing: it holds the JWS with the policy certificate.", member)
	}
	return []byte(jws), nil
}
