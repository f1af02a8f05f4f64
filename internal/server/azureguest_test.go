package server_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// startAzure runs one service for all cases that have time and roots in common.
func startAzure(t testing.TB) func(c azureCase) *testService {
	t.Helper()
	folder, key := t.TempDir(), ""
	var s *testService
	return func(c azureCase) *testService {
		if now := c.At.String() + text(c.Roots); s == nil || now != key {
			if s != nil {
				s.stop()
			}
			s, key = start(t, c.config(t, folder, minimal(t), provider.Settings{})), now
		}
		return s
	}
}

// TestAzureGuestsOfTheVectors sends every case of vectors/tpm/azure-guest to a service that trusts its roots. What is permitted is opened with the key
// that the request asks for, verified, and held against request and index.
func TestAzureGuestsOfTheVectors(t *testing.T) {
	at := startAzure(t)
	for _, c := range azureCases(t) {
		s := at(c)
		t.Run(c.ID, func(t *testing.T) {
			if c.accepted() {
				c.presented(t, s.permitted(t, c.body(t)))
				return
			}
			a := s.azure(t, c.body(t))
			a.refused(t, http.StatusBadRequest, "InvalidParameter", "")
			for _, begin := range azureRefusal(c.Code) {
				if strings.HasPrefix(a.problem(t).Message, begin) {
					return
				}
			}
			t.Errorf("refused for %q, want %q", a.problem(t).Message, azureRefusal(c.Code))
		})
	}
}

// presented holds a token against what was sent, and against the facts of the index.
func (c azureCase) presented(t *testing.T, claims map[string]any) {
	t.Helper()
	info := c.information(t)
	want := map[string]any{
		"x-ms-attestation-type": "azurevm", "x-ms-ver": "1.0", "x-ms-policy": nil, "nonce": nil, "x-ms-compliance-status": nil,
		"x-ms-azurevm-attestation-protocol-ver": info["AttestationProtocolVersion"],
		"x-ms-azurevm-ostype":                   string(decoded(t, info["OSType"].(string))),
		"x-ms-azurevm-osdistro":                 string(decoded(t, info["OSDistro"].(string))),
		"x-ms-azurevm-osbuild":                  string(decoded(t, info["OSBuild"].(string))),
	}
	if c.Facts.SecureBoot != nil {
		want["secureboot"] = *c.Facts.SecureBoot
	}
	if c.ID == "az-cpp-empty-log" { // azure-guest.md section 3 step 7
		for _, name := range []string{"dbvalidated", "dbxvalidated", "default-securebootkeysvalidated", "debuggersdisabled", "signingdisabled"} {
			want["x-ms-azurevm-"+name] = false
		}
		want["secureboot"] = false
	}
	compare(t, claims, want)
	c.presentedRuntime(t, info, claims["x-ms-runtime"].(map[string]any))
	c.presentedHardware(t, info, claims)
}

// presentedRuntime: the payload as it was sent, and the key that the token was sealed to.
func (c azureCase) presentedRuntime(t *testing.T, info, runtime map[string]any) {
	t.Helper()
	payload := info["ClientPayload"]
	if payload == "" {
		payload = nil
	}
	n := b64url(azureKey(t).N.Bytes())
	if c.Facts.Modulus != "" && c.Facts.Modulus != n {
		t.Errorf("the key of the vectors is %s, the index says %s", n, c.Facts.Modulus)
	}
	compare(t, runtime, map[string]any{
		"client-payload": payload,
		"keys":           []any{map[string]any{"kid": "TpmEphemeralEncryptionKey", "key_ops": []string{"encrypt"}, "kty": "RSA", "e": "AQAB", "n": n}},
	})
}

// presentedHardware: the claims of the report stand in an object of their own, and nowhere else.
func (c azureCase) presentedHardware(t *testing.T, info, claims map[string]any) {
	t.Helper()
	for name := range claims {
		if strings.HasPrefix(name, "x-ms-sevsnpvm-") || strings.HasPrefix(name, "tdx_") || strings.HasPrefix(name, "pcr-") {
			t.Errorf("%s stands at top level", name)
		}
	}
	isolation := info["IsolationInfo"].(map[string]any)
	if isolation["Type"] == "TrustedLaunch" {
		compare(t, claims, map[string]any{"x-ms-isolation-tee": nil, "x-ms-azurevm-vmid": nil})
		return
	}
	tee := claims["x-ms-isolation-tee"].(map[string]any)
	members := isolation["Evidence"].(map[string]any)
	var proof struct{ SnpReport string }
	decode(t, decoded(t, members["Proof"].(string)), &proof)
	report := decoded(t, proof.SnpReport)
	var runtime map[string]any
	decode(t, decoded(t, members["RunTimeData"].(string)), &runtime)
	compare(t, tee, map[string]any{
		"x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": nil, "x-ms-runtime": runtime, "x-ms-ver": nil, "iss": nil, "x-ms-policy-hash": nil,
		"x-ms-sevsnpvm-vmpl": 0, "x-ms-sevsnpvm-is-debuggable": report[0x0A]&8 != 0, "x-ms-sevsnpvm-singlesocket": nil,
		"x-ms-sevsnpvm-reportdata": hex.EncodeToString(report[0x50:0x90]), "x-ms-sevsnpvm-launchmeasurement": hex.EncodeToString(report[0x90:0xC0]),
	})
	compare(t, claims, map[string]any{"x-ms-azurevm-vmid": runtime["vm-configuration"].(map[string]any)["vmUniqueId"]})
	if c.Facts.Isolation != "" && c.Facts.Isolation != tee["x-ms-attestation-type"] {
		t.Errorf("isolation %v, want %s", tee["x-ms-attestation-type"], c.Facts.Isolation)
	}
}

// TestNewerClaimsOfSEVSNPAreOfProtocol3 sends the same evidence under both versions (tokens.md section 7): the bits of the guest policy.
func TestNewerClaimsOfSEVSNPAreOfProtocol3(t *testing.T) {
	c := findAzure(t, "az-cpp-linux-snp")
	s := start(t, c.config(t, "", minimal(t), provider.Settings{}))
	newer := []string{"singlesocket", "cxl-allowed", "mem-aes256-xts-required", "rapl-disabled", "ciphertext-hiding-dram-enabled", "page-swap-disabled"}
	info := c.information(t)
	for _, version := range []string{"2.0", "3.0"} {
		info["AttestationProtocolVersion"] = version
		claims := s.permitted(t, azureBody(info))
		want := map[string]any{}
		for _, name := range newer {
			if want["x-ms-sevsnpvm-"+name] = nil; version == "3.0" {
				want["x-ms-sevsnpvm-"+name] = false // policy 0x3001F or the like: none is set in the vectors
			}
		}
		compare(t, claims["x-ms-isolation-tee"].(map[string]any), want)
		compare(t, claims, map[string]any{"x-ms-azurevm-attestation-protocol-ver": version})
	}
}

// TestTokensOfAzureGuestsAreSealed: neither signed ones nor drafts can be read, nor opened with another key.
func TestTokensOfAzureGuestsAreSealed(t *testing.T) {
	c := findAzure(t, "az-go-linux-snp")
	s := start(t, c.config(t, "", minimal(t), provider.Settings{}))
	draft := `version=1.0;authorizationrules{[type=="x-ms-azurevm-attested-pcrs",value==7]=>permit();};issuancerules{=>issue(type="x",value=1);};`
	for name, request := range map[string]string{"token": c.body(t), "draft": azureBody(c.information(t), "draftPolicyForAttestation", draft)} {
		a := s.azure(t, request)
		a.unsealed(t, azureKey(t))
		for _, clear := range []string{"x-ms-", b64url([]byte(`"x-ms-`))[:8], "eyJhbGciOi"} {
			var outer struct{ Token string }
			decode(t, a.body, &outer)
			if strings.Contains(string(a.body), clear) || strings.Contains(string(decoded(t, outer.Token)), clear) {
				t.Errorf("%s: the answer has %q in clear", name, clear)
			}
		}
	}
	s.azure(t, azureBody(c.information(t), "draftPolicyForAttestation", draft)).unsealed(t, azureKey(t)).draft(t, "x")
	refused := strings.Replace(draft, "7", "23", 1)
	s.azure(t, azureBody(c.information(t), "draftPolicyForAttestation", refused)).
		refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "x-ms-azurevm-attested-pcrs")
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var outer struct{ Token string }
	decode(t, s.azure(t, c.body(t)).body, &outer)
	var sealed sealedAnswer
	decode(t, decoded(t, outer.Token), &sealed)
	//lint:ignore SA1019 what the clients of Azure guests open (azure-guest.md section 4)
	if inner, err := rsa.DecryptPKCS1v15(nil, other, sealed.EncryptedInnerKey); err == nil && len(inner) == 32 { //nolint:staticcheck // as clients do
		t.Error("another key opens the answer")
	}
}

// TestAzureGuestsInEveryDialect: names of members in another case, base64 of every kind outside, all versions of the API, data of other routes ignored, nobody asked
// for a token.
func TestAzureGuestsInEveryDialect(t *testing.T) {
	c := findAzure(t, "az-cpp-linux-snp")
	s := start(t, c.config(t, "", minimal(t), provider.Settings{}))
	var request struct{ AttestationInfo string }
	decode(t, []byte(c.body(t)), &request)
	info := decoded(t, request.AttestationInfo)
	for _, b := range []body{
		{"attestationInfo": b64url(info)}, {"ATTESTATIONINFO": base64.StdEncoding.EncodeToString(info)}, {"attestationinfo": strings.TrimRight(base64.StdEncoding.EncodeToString(info), "=")},
		{"AttestationInfo": b64url(info), "runtimeData": data("x", "JSON"), "nonce": "n", "initTimeData": data("x", "Binary"), "quote": "AA"}, // of other routes
	} {
		compare(t, s.permitted(t, text(b)), map[string]any{"x-ms-attestation-type": "azurevm", "nonce": nil, "x-ms-inittime": nil})
	}
	for _, version := range []string{"2018-09-01-preview", "2020-10-01", "2022-08-01", "2025-06-01", "2026-03-11-preview"} {
		a := s.do(t, http.MethodPost, "/attest/azureguest?api-version="+version, c.body(t), "x-ms-client-request-id", "1")
		compare(t, s.relied(t, a.unsealed(t, azureKey(t))), map[string]any{"x-ms-attestation-type": "azurevm"})
	}
	s.azure(t, text(body{"attestationInfo": "AA", "AttestationInfo": "AA"})).refused(t, http.StatusBadRequest, "InvalidParameter", "", "duplicate")
}

// TestExplanationsOfAzureGuestsShowClaims: without a token there is nothing to seal.
func TestExplanationsOfAzureGuestsShowClaims(t *testing.T) {
	c := findAzure(t, "az-cpp-linux-snp")
	s := start(t, c.config(t, "", minimal(t), provider.Settings{}))
	a := s.do(t, http.MethodPost, "/assay/v1/explain/AzureGuest", c.body(t), "Authorization", "Bearer "+s.token(t, auth.Reader))
	if a.status != http.StatusOK || !strings.Contains(string(a.body), "x-ms-isolation-tee") || strings.Contains(string(a.body), "EncryptedInnerKey") {
		t.Errorf("status %d: %.500s", a.status, a.body)
	}
	for _, check := range []string{"attest-signature", "sealing-policy", "event-log-replay", "snp-signature", "privilege-level", "ak-binding"} {
		if !strings.Contains(string(a.body), `"`+check+`"`) {
			t.Errorf("the explanation lacks the check %s", check)
		}
	}
	kept := s.do(t, http.MethodGet, "/assay/v1/explanations/"+s.azure(t, c.body(t)).header.Get("x-ms-request-id"), "")
	if kept.status != http.StatusOK || !strings.Contains(string(kept.body), "ak-binding") {
		t.Errorf("status %d: %.500s", kept.status, kept.body)
	}
	s.do(t, http.MethodPost, "/assay/v1/explain/AzureGuest", c.body(t), "Authorization", "").refused(t, http.StatusUnauthorized, "Unauthorized", "")
}

// TestAzureGuestsOfNoKnownVendorAreRefused: neither AMD's genuine root nor no root for vTPMs lets a request of the vectors pass.
func TestAzureGuestsOfNoKnownVendorAreRefused(t *testing.T) {
	c, launch := findAzure(t, "az-cpp-linux-snp"), findAzure(t, "az-cpp-linux-trustedlaunch")
	s := start(t, config.Config{At: c.At, Policies: map[string]string{"AzureGuest": tempFile(t, minimal(t))}})
	s.azure(t, c.body(t)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "untrusted-root: ")
	s.azure(t, launch.body(t)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ")
}
