package api

import (
	"context"
)

// certs answers the set of signing keys (api.md section 10.1).
func (s *service) certs(context.Context, *request) (any, error) {
	return s.Keys.Certs(s.Clock()), nil
}

// openIDConfiguration is the metadata document (api.md section 10.2).
type openIDConfiguration struct {
	ResponseTypes []string `json:"response_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Revocation    string   `json:"revocation_endpoint"`
	Issuer        string   `json:"issuer"`
	KeySetURL     string   `json:"jwks_uri"`
	Claims        []string `json:"claims_supported"`
	Development   bool     `json:"ext-development,omitzero"`
}

// openID answers the metadata document, which says so loudly when the service runs in development mode.
func (s *service) openID(context.Context, *request) (any, error) {
	return openIDConfiguration{
		ResponseTypes: []string{"token", "none"},
		Algorithms:    []string{"RS256"},
		Revocation:    s.URL + "/revoke",
		Issuer:        s.URL,
		KeySetURL:     s.URL + "/certs",
		Claims: []string{
			"cnf", "nonce", "x-ms-ver", "x-ms-attestation-type", "x-ms-policy-hash", "x-ms-policy-signer",
			"x-ms-sgx-is-debuggable", "x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner", "x-ms-sgx-svn", "x-ms-sgx-ehd",
			"x-ms-sgx-collateral", "is-debuggable", "sgx-mrsigner", "sgx-mrenclave", "product-id", "svn", "tee",
		},
		Development: s.Development,
	}, nil
}
