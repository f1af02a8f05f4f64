package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/collateral"
)

// certs answers the set of signing keys (api.md section 10.1).
func (s *Service) certs(_ context.Context, r *request) (any, error) {
	return r.at.Keys.Certs(s.Clock()), nil
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
func (s *Service) openID(_ context.Context, r *request) (any, error) {
	return openIDConfiguration{
		ResponseTypes: []string{"token", "none"},
		Algorithms:    []string{"RS256"},
		Revocation:    r.at.URL + "/revoke",
		Issuer:        r.at.URL,
		KeySetURL:     r.at.URL + "/certs",
		Claims: []string{
			"cnf", "nonce", "x-ms-ver", "x-ms-attestation-type", "x-ms-policy-hash", "x-ms-policy-signer",
			"x-ms-sgx-is-debuggable", "x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner", "x-ms-sgx-svn", "x-ms-sgx-ehd",
			"x-ms-sgx-collateral", "is-debuggable", "sgx-mrsigner", "sgx-mrenclave", "product-id", "svn", "tee",
		},
		Development: s.Development,
	}, nil
}

// health answers 204 if the service can verify and sign now (api.md section 12).
func (s *Service) health(ctx context.Context, _ *request) (any, error) {
	if err := s.Ready(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", notReady(), err)
	}
	return reply{status: http.StatusNoContent}, nil
}

// notReady is what a client learns of a service that cannot verify and sign; its log says why.
func notReady() error {
	return &problem{status: http.StatusServiceUnavailable, code: codeUnavailable, message: "The service is not ready.", retry: defaultRetry}
}

// Baseline is a TCB baseline for SGX that policies can select.
type Baseline struct {
	Number      uint32 // TCB evaluation data number
	Released    time.Time
	PSWLinux    string // least version of Intel's platform software; empty where nobody says
	PSWWindows  string
	IsOfDefault bool // azuredefault stands for it
}

// baselineBody is a baseline on the wire (api.md section 11).
type baselineBody struct {
	Identifier string `json:"tcbIdentifier"`
	Number     uint32 `json:"tcbEvaluationDataNumber"`
	Released   string `json:"tcbReleaseDate"` // without a zone, as in the published example
	PSWLinux   string `json:"minimumPswLinuxVersion"`
	PSWWindows string `json:"minimumPswWindowsVersion"`
	Selected   bool   `json:"isSelectedTcb"`
}

// tcbBaselines answers the baselines that a policy can select, and which of them the current one does.
func (s *Service) tcbBaselines(_ context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	if t != "SgxEnclave" && t != "OpenEnclave" {
		return nil, bad("There are no TCB baselines for the attestation type %s, only for SgxEnclave and OpenEnclave.", t)
	}
	selected, err := r.at.Policy(t).Baseline()
	if err != nil {
		return nil, err
	}
	onlySelected := strings.EqualFold(r.query("provideCurrentTcbInPolicy"), "true")
	list := []baselineBody{}
	for _, b := range s.Baselines() {
		id := strconv.FormatUint(uint64(b.Number), 10)
		is := id == selected || selected == collateral.DefaultBaseline && b.IsOfDefault
		if is || !onlySelected {
			list = append(list, baselineBody{id, b.Number, b.Released.UTC().Format("2006-01-02T15:04:05"), b.PSWLinux, b.PSWWindows, is})
		}
	}
	return map[string][]baselineBody{"tcbBaselines": slices.Clip(list)}, nil
}
