package server_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// TestSettingsOfTPMs covers the switches about TPMs of README.md section 6 of the specification: each at both values, and alone or
// under strict. What differs is a refusal that names the switch, or a claim.
func TestSettingsOfTPMs(t *testing.T) {
	no := false
	sha1 := func(s *assaytest.TPMScenario) {
		s.Current.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA1, PCRs: assaytest.PCRRange(0, 14)}}
	}
	v1sha1 := func(s *assaytest.TPMScenario) { sha1(s); s.UseVersion1() }
	debuggable := func(s *assaytest.TPMScenario) { s.VBS, s.Enclave.Flags = true, 1 }
	client := func(s *assaytest.TPMScenario) {
		s.CustomClaims = []assaytest.TPMCustomClaim{{Name: "role", Value: `"web"`}}
	}
	tpm := func(s provider.TPMSettings) provider.Settings { return provider.Settings{TPMSettings: s} }
	strict := func(s provider.Settings) provider.Settings { s.Strict = true; return s }
	type edits = []func(*assaytest.TPMScenario)
	for _, tt := range []struct {
		name     string
		settings provider.Settings
		edits    edits
		refusal  string // fragment; empty: a report
		claim    string // to look at
		want     string // what its text contains, "" if it must not be there
	}{
		{"tpm_allow_sha1 off", provider.Settings{}, edits{sha1}, "tpm_allow_sha1", "", ""},
		{"tpm_allow_sha1 off, version 1", provider.Settings{}, edits{v1sha1}, "tpm_allow_sha1", "", ""},
		{"tpm_allow_sha1 on", tpm(provider.TPMSettings{AllowSHA1: true}), edits{sha1}, "", "aikValidated", "true"},
		{"tpm_allow_sha1 on, strict", strict(tpm(provider.TPMSettings{AllowSHA1: true})), edits{sha1}, "tpm_allow_sha1", "", ""},

		{"tpm_allow_v1_basic on", provider.Settings{}, edits{version1}, "", "tpmVersion", "2"},
		{"tpm_allow_v1_basic off", tpm(provider.TPMSettings{AllowV1Basic: &no}), edits{version1}, "tpm_allow_v1_basic", "", ""},
		{"tpm_allow_v1_basic off, enclave", tpm(provider.TPMSettings{AllowV1Basic: &no}), edits{version1, vbsRequest}, "", "vbsReportPresent", "true"},
		{"tpm_allow_v1_basic, strict", strict(provider.Settings{}), edits{version1}, "tpm_allow_v1_basic", "", ""},
		{"tpm_allow_v1_basic, strict, version 2", strict(provider.Settings{}), nil, "", "tpmVersion", "2"},

		{"refuse_debuggable off", provider.Settings{}, edits{debuggable}, "", "enclaveFlags", "1"},
		{"refuse_debuggable on", provider.Settings{RefuseDebuggable: true}, edits{debuggable}, "refuse_debuggable forbids", "", ""},
		{"refuse_debuggable, strict", strict(provider.Settings{}), edits{debuggable}, "refuse_debuggable, on by strict, forbids", "", ""},
		{"refuse_debuggable on, not debuggable", provider.Settings{RefuseDebuggable: true}, edits{vbsRequest}, "", "enclaveFlags", "0"},

		{"tpm_custom_claim_prefix empty", provider.Settings{}, edits{client}, "", "role", "web"},
		{"tpm_custom_claim_prefix set", tpm(provider.TPMSettings{ClaimPrefix: "urn:c:"}), edits{client}, "", "urn:c:role", "web"},
		{"tpm_custom_claim_prefix set, bare name", tpm(provider.TPMSettings{ClaimPrefix: "urn:c:"}), edits{client}, "", "role", ""},

		{"tpm_event_digests off", provider.Settings{}, nil, "", "has-digests", "false"},
		{"tpm_event_digests on", tpm(provider.TPMSettings{EventDigests: true}), nil, "", "has-digests", "true"},
		{"tpm_pcr_digest_text b64url", tpm(provider.TPMSettings{PCRDigestText: "b64url"}), nil, "", "hex", "false"},
		{"tpm_pcr_digest_text hex", tpm(provider.TPMSettings{PCRDigestText: "hex"}), nil, "", "hex", "true"},

		{"tpm_emit_attestation_type off", provider.Settings{}, nil, "", "x-ms-attestation-type", ""},
		{"tpm_emit_attestation_type on", tpm(provider.TPMSettings{EmitAttestationType: true}), nil, "", "x-ms-attestation-type", "tpm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startTPM(t, config.Config{Settings: tt.settings}, lookingPolicy)
			sc := windows(t, tt.edits...)
			a := s.attestTPM(t, sc)
			if tt.refusal != "" {
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", tt.refusal)
				return
			}
			claims, _, _ := a.report(t, false)
			got, there := claims[tt.claim]
			if there != (tt.want != "") || there && !strings.Contains(text(got), tt.want) {
				t.Errorf("%s: %v, want %q", tt.claim, got, tt.want)
			}
		})
	}
}

// lookingPolicy issues what the claims look like that cannot be compared as they are.
var lookingPolicy = tpmPolicy(pcrs0to14, "=> permit();", `
	c:[type!="pcrs", type!="events", issuer=="AttestationService"] => issue(claim=c);
	c:[issuer=="CustomClaim"] => issue(claim=c);
	c:[type=="events"] => add(type="digests", value=JmesPath(c.value, "length(Events[?Digests]) > `+"`0`"+`"));
	c:[type=="digests"] => issue(type="has-digests", value=JsonToClaimValue(c.value));
	c:[type=="pcrs"] => add(type="long", value=JmesPath(c.value, "length(PCRs[0].Digests.SHA256 || '') == `+"`64`"+`"));
	[type=="long", value=="true"] => issue(type="hex", value=true);
	[type=="long", value=="false"] => issue(type="hex", value=false);`)

// TestSecureBootCountsWithAnAuthority: tpm_secureboot_require_authority at both values, over a log without a record of what was
// verified.
func TestSecureBootCountsWithAnAuthority(t *testing.T) {
	no := false
	const authority = 0x800000E0
	bare := func(s *assaytest.TPMScenario) {
		log := s.Current.Log
		var left []assaytest.TPMEvent
		for _, e := range log.Events {
			if e.Type != authority {
				left = append(left, e)
			}
		}
		log.Events = left
	}
	for name, tt := range map[string]struct {
		settings provider.Settings
		counts   bool
	}{
		"on":          {provider.Settings{}, false},
		"off":         {provider.Settings{TPMSettings: provider.TPMSettings{RequireAuthority: &no}}, true},
		"off, strict": {provider.Settings{Strict: true, TPMSettings: provider.TPMSettings{RequireAuthority: &no}}, false},
	} {
		a := startTPM(t, config.Config{Settings: tt.settings}, lookingPolicy).attestTPM(t, windows(t, bare))
		if !tt.counts {
			a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "secure-boot-log", "tpm_secureboot_require_authority")
		} else if claims, _, _ := a.report(t, false); claims["secureBootEnabled"] != true {
			t.Errorf("%s: secureBootEnabled %v", name, claims["secureBootEnabled"])
		}
	}
}

// TestAIKRoots: of a provider, of the service, and with the exception for certificates that do not say what they are.
func TestAIKRoots(t *testing.T) {
	vendor := assaytest.NewTPMVendor()
	root, err := vendor.CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(s *assaytest.TPMScenario) { s.Certifier = vendor }
	vague := func(s *assaytest.TPMScenario) {
		s.Edit.Certificate = func(r assaytest.TPMRole, c *x509.Certificate) {
			if r == assaytest.AIK {
				c.UnknownExtKeyUsage = nil
				c.ExtKeyUsage = nil
			}
		}
	}
	of := func(allow bool) config.Config {
		return config.Config{Settings: provider.Settings{TPMSettings: provider.TPMSettings{AIKRoots: []provider.AIKRoot{{Certificate: string(root), AllowMissingEKU: allow}}}}}
	}
	for name, tt := range map[string]struct {
		cfg   config.Config
		edits []func(*assaytest.TPMScenario)
		want  bool
	}{
		"simulated":                  {config.Config{}, nil, true},
		"unknown":                    {config.Config{}, []func(*assaytest.TPMScenario){foreign}, false},
		"tpm_aik_roots":              {of(false), []func(*assaytest.TPMScenario){foreign}, true},
		"tpm_aik_roots, no usage":    {of(false), []func(*assaytest.TPMScenario){foreign, vague}, false},
		"tpm_aik_roots, allowed":     {of(true), []func(*assaytest.TPMScenario){foreign, vague}, true},
		"aik_roots":                  {config.Config{AIKRoots: []config.AIKRoot{{File: tempFile(t, string(root))}}}, []func(*assaytest.TPMScenario){foreign}, true},
		"aik_roots, no usage":        {config.Config{AIKRoots: []config.AIKRoot{{File: tempFile(t, string(root))}}}, []func(*assaytest.TPMScenario){foreign, vague}, false},
		"intermediates are no roots": {config.Config{AIKIntermediates: []string{tempFile(t, string(root))}}, []func(*assaytest.TPMScenario){foreign}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := startTPM(t, tt.cfg, permitTPM()).attestTPM(t, windows(t, tt.edits...))
			if tt.want {
				a.report(t, false)
			} else {
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
			}
		})
	}
}

// TestUnusableSettingsOfTPMsAreRefused with their names.
func TestUnusableSettingsOfTPMsAreRefused(t *testing.T) {
	weak := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))
	for name, s := range map[string]provider.TPMSettings{
		"tpm_pcr_digest_text":     {PCRDigestText: "base32"},
		"tpm_custom_claim_prefix": {ClaimPrefix: strings.Repeat("x", 257)},
		"tpm_drtm_signing_key":    {DRTMSigningKey: weak},
		"tpm_aik_roots":           {AIKRoots: []provider.AIKRoot{{Certificate: weak}}},
		"tpm_aik_intermediates":   {AIKIntermediates: "x"},
	} {
		settings := provider.Settings{TPMSettings: s}
		if _, err := settings.Baseline(); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	root, err := assaytest.WellKnownTPMVendor().CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := provider.ParseSettings([]byte(`{"tpm_aik_roots":[{"certificate":` + text(string(root)) + `,"allow_missing_eku":true}],"tpm_allow_v1_basic":false}`))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := stored.Baseline(); err != nil || len(b.TPM.Roots) != 1 || !b.TPM.Roots[0].AllowMissingEKU || !b.TPM.RefuseV1Basic {
		t.Errorf("%v: %+v", err, b.TPM)
	}
}
