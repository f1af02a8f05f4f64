package server_test

import (
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// TestSettingsOfGuests covers the switches about SEV-SNP of README.md section 6 of the specification, each at both values, and alone or under
// strict. What differs is a refusal that names the switch, or a claim; snp_uvm_issuers is in TestContainersAreEndorsed too.
func TestSettingsOfGuests(t *testing.T) {
	folder := t.TempDir()
	sound := findGuest(t, "synthetic.json", "sh-milan-v3")
	masked, revoked := findGuest(t, "synthetic.json", "sh-bad-chip-id-zero"), findGuest(t, "synthetic.json", "sh-bad-ask-revoked")
	debug, tail := findGuest(t, "synthetic.json", "sh-milan-debug-policy"), findGuest(t, "synthetic.json", "sh-bad-report-data-tail")
	snp := func(s provider.SNPSettings) provider.Settings { return provider.Settings{SNPSettings: s} }
	strict := func(s provider.Settings) provider.Settings { s.Strict = true; return s }
	lists := func(file string) provider.Settings {
		return snp(provider.SNPSettings{CRLs: []string{revoked.crlPEM(t, file)}})
	}
	leafless := func(c guestCase) body { return body{"report": wrapped(c.file(t, c.Report), nil, nil)} }
	for _, tt := range []struct {
		name      string
		settings  provider.Settings
		c         guestCase
		body      body
		refusal   []string // fragments; nil: a token
		debugging bool
	}{
		{"snp_allow_masked_chip_id off", provider.Settings{}, masked, masked.body(t), []string{"snp-chip-id: ", "snp_allow_masked_chip_id"}, false},
		{"snp_allow_masked_chip_id on", snp(provider.SNPSettings{AllowMaskedChipID: true}), masked, masked.body(t), nil, false},
		{"snp_allow_masked_chip_id on, strict", strict(snp(provider.SNPSettings{AllowMaskedChipID: true})), masked, masked.body(t), []string{"snp-chip-id: ", "snp_allow_masked_chip_id"}, false},

		{"snp_crls unset", provider.Settings{}, revoked, revoked.body(t), nil, false},
		{"snp_crls set, revoked", lists(revoked.CRL), revoked, revoked.body(t), []string{"revoked: "}, false},
		{"snp_crls set, not revoked", lists("synthetic/crl-Milan-none.der"), revoked, revoked.body(t), nil, false},
		{"snp_crls set, strict", strict(lists(revoked.CRL)), revoked, revoked.body(t), []string{"revoked: "}, false},

		{"snp_kds off", provider.Settings{}, sound, leafless(sound), []string{"snp-chain: ", "snp_kds"}, false},
		{"snp_kds on, and not needed", snp(provider.SNPSettings{FetchChains: true}), sound, sound.body(t), nil, false},

		{"refuse_debuggable off", provider.Settings{}, debug, debug.body(t), nil, true},
		{"refuse_debuggable on", provider.Settings{RefuseDebuggable: true}, debug, debug.body(t), []string{"debuggable: ", "refuse_debuggable forbids", "bit 19"}, false},
		{"refuse_debuggable, strict", strict(provider.Settings{}), debug, debug.body(t), []string{"debuggable: ", "refuse_debuggable, on by strict,"}, false},
		{"refuse_debuggable on, not debuggable", provider.Settings{RefuseDebuggable: true}, sound, sound.body(t), nil, false},

		{"a tail, whatever require_zero_report_data_tail says", provider.Settings{}, tail, tail.body(t), []string{"runtime-data: ", "upper half"}, false},
		{"sound under strict", strict(provider.Settings{}), sound, sound.body(t), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.c.config(t, folder, tt.settings))
			defer s.stop()
			a := s.guest(t, tt.body)
			if tt.refusal != nil {
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", tt.refusal...)
				return
			}
			compare(t, a.claims(t), map[string]any{"x-ms-sevsnpvm-is-debuggable": tt.debugging})
		})
	}
}

// TestListsPastTheirDateAreUnavailable: a revocation list that has ended says nothing about the evidence, except within collateral_grace.
func TestListsPastTheirDateAreUnavailable(t *testing.T) {
	amd, made := assaytest.WellKnownAMD(), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	sc := amd.Scenario(assaytest.Genoa, made)
	list, err := sc.RevocationList() // of 30 days
	if err != nil {
		t.Fatal(err)
	}
	root, err := amd.RootPEM(assaytest.Genoa)
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := sc.Evidence()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{AMDRoots: []string{tempFile(t, string(root))}, Data: t.TempDir()}
	cfg.Settings.CRLs = []string{string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))}
	ask := func(days int, grace time.Duration) answer {
		cfg.At, cfg.Settings.CollateralGrace = made.AddDate(0, 0, days), grace
		s := start(t, cfg)
		defer s.stop()
		return s.guest(t, body{"report": b64url(evidence)})
	}
	ask(28, 0).claims(t)
	ask(30, 0).refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "crl-expired: ", "snp_crls", "nextUpdate")
	ask(30, 48*time.Hour).claims(t)
	ask(-3, 0).refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "crl-not-yet-valid: ")
}

// TestListsThatNobodyTrustedSignedAreRefusedWhenTheyAreSet: by the configuration and by the routes of providers.
func TestListsThatNobodyTrustedSignedAreRefusedWhenTheyAreSet(t *testing.T) {
	c := findGuest(t, "synthetic.json", "sh-ok-with-crl")
	list := c.crlPEM(t, c.CRL)
	put := text(map[string]any{"settings": map[string]any{"snp_crls": []string{list}}})
	cfg := c.config(t, "", provider.Settings{})
	cfg.ProviderURL = "https://{name}.attest.test"
	trusting := start(t, cfg)
	trusting.native(t, "PUT", "/demo", put).want(t, http.StatusCreated)

	s := start(t, config.Config{At: c.At, ProviderURL: cfg.ProviderURL})
	s.native(t, "PUT", "/demo", put).refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp_crls", "not signed by a trusted root")
	s.native(t, "PUT", "/demo", `{}`).want(t, http.StatusCreated)
	s.native(t, "PATCH", "/demo", put).refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp_crls", "not signed by a trusted root")
	damaged := strings.Replace(put, "X509 CRL", "CERTIFICATE", 2)
	s.native(t, "PATCH", "/demo", damaged).refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp_crls", "X509 CRL in PEM")
	for _, bad := range []string{
		`{"snp_uvm_issuers":[{"did":"did:web:x","feed":"f"}]}`, `{"snp_uvm_issuers":[{"did":"did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.2"}]}`,
	} {
		s.native(t, "PATCH", "/demo", `{"settings":`+bad+`}`).refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp_uvm_issuers")
	}
}

// TestVersionsOfReportsAreLimited: the limit snp_report_versions.
func TestVersionsOfReportsAreLimited(t *testing.T) {
	for id, version := range map[string]uint32{"sh-milan-v2": 2, "sh-milan-v3": 3} {
		c := findGuest(t, "synthetic.json", id)
		for _, least := range []uint32{0, 2, 3} {
			cfg := c.config(t, "", provider.Settings{})
			cfg.SNPReportVersions.Least = least
			a := start(t, cfg).guest(t, c.body(t))
			if version >= least {
				a.claims(t)
			} else {
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp-format: ", "snp_report_versions", "version 3 to 5")
			}
		}
	}
}
