package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
)

const tpmPath = "/attest/Tpm?api-version=2022-08-01"

// pcrs0to14 demands PCR 0 to 14 in quotes, and no others.
const pcrs0to14 = `=> issueproperty(type="required_pcr_mask", value=32767);`

// tpmPolicy is a policy for TPMs with configuration, authorization and issuance rules.
func tpmPolicy(configuration, authorization, issuance string) string {
	return "version= 1.2;configurationrules{" + configuration + "};authorizationrules{" + authorization + "};issuancerules{" + issuance + "};"
}

// permitTPM permits every machine and tells what is known of it, but for pcrs, which cannot be issued.
func permitTPM() string {
	return tpmPolicy(pcrs0to14, "=> permit();", `c:[type!="pcrs", issuer=="AttestationService"] => issue(claim=c); c:[issuer=="CustomClaim"] => issue(claim=c);`)
}

// startTPM is a service whose default provider has a policy for TPMs.
func startTPM(t testing.TB, cfg config.Config, text string) *testService {
	t.Helper()
	if cfg.Policies == nil {
		cfg.Policies = map[string]string{}
	}
	cfg.Policies["Tpm"] = tempFile(t, text)
	return start(t, cfg)
}

// windows is a sound Windows machine of the simulated vendor, with VBS.
func windows(t testing.TB, edits ...func(*assaytest.TPMScenario)) *assaytest.TPMScenario {
	t.Helper()
	return machine(t, assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7}, edits...)
}

// tpmVendor is the simulated vendor, one for all tests: it makes each RSA key once, which takes a part of a second.
var tpmVendor = sync.OnceValue(assaytest.WellKnownTPMVendor)

func machine(t testing.TB, b assaytest.TPMBoot, edits ...func(*assaytest.TPMScenario)) *assaytest.TPMScenario {
	t.Helper()
	sc, err := tpmVendor().BootScenario(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		edit(sc)
	}
	return sc
}

// sendTPM sends data to /attest/Tpm as somebody who may.
func (s *testService) sendTPM(t testing.TB, data string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, http.MethodPost, tpmPath, string(body))
}

// challenge makes the first round.
func (s *testService) challenge(t testing.TB, sc *assaytest.TPMScenario) (challenge []byte, context string) {
	t.Helper()
	a := s.sendTPM(t, sc.Init())
	var m struct {
		Challenge string `json:"challenge"`
		Context   string `json:"service_context"`
	}
	a.inner(t, sc.Bare, &m)
	challenge, err := base64.RawURLEncoding.DecodeString(m.Challenge)
	if err != nil || len(challenge) != 16 || m.Context == "" {
		t.Fatalf("%v: challenge %q, context %q", err, m.Challenge, m.Context)
	}
	return challenge, m.Context
}

// inner reads the message in an answer, which has the wrapper or not.
func (a answer) inner(t testing.TB, bare bool, into any) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var outer struct{ Data string }
	var wrapper map[string]json.RawMessage
	decode(t, []byte(a.body), &outer)
	b, err := base64.RawURLEncoding.DecodeString(outer.Data)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, b, &wrapper)
	if wrapped := wrapper["payload"] != nil; wrapped == bare || wrapped && len(wrapper) != 1 {
		t.Fatalf("wrapper %t, want %t: %s", wrapped, !bare, b)
	} else if wrapped {
		b = wrapper["payload"]
	}
	decode(t, b, into)
}

// attestTPM makes both rounds.
func (s *testService) attestTPM(t testing.TB, sc *assaytest.TPMScenario) answer {
	t.Helper()
	challenge, context := s.challenge(t, sc)
	request, err := sc.Request(challenge, context)
	if err != nil {
		t.Fatal(err)
	}
	return s.sendTPM(t, sc.Data(request))
}

// report gives the claims of the report in an answer, and the texts of header and payload.
func (a answer) report(t testing.TB, bare bool) (claims map[string]any, header, payload string) {
	t.Helper()
	var m struct{ Report string }
	a.inner(t, bare, &m)
	parts := strings.Split(m.Report, ".")
	if len(parts) != 3 || parts[2] == "" {
		t.Fatalf("report %q", m.Report)
	}
	var texts [2]string
	for i := range texts {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(b)
	}
	decode(t, []byte(texts[1]), &claims)
	return claims, texts[0], texts[1]
}
