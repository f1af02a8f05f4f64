package server_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
)

// binds puts the hash of data where the enclave vouches for it.
func binds(data string) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		digest := sha256.Sum256([]byte(data))
		copy(s.Enclave.ReportData[:], digest[:])
	}
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// TestBadRequests sends requests that are wrong in themselves. Status and code are those of README.md section 8 and
// api.md sections 2, 4 and 6.2 of the specification.
func TestBadRequests(t *testing.T) {
	s := start(t, config.Config{AttestBody: 1 << 16})
	quote := s.evidence(t, s.scenario())["quote"].(string)
	std := strings.NewReplacer("-", "+", "_", "/").Replace(quote)
	request := func(members string) string { return fmt.Sprintf(`{"quote":%q%s}`, quote, members) }
	const invalid, invalidQuote = "InvalidParameter", "InvalidQuote"
	for _, tt := range []struct {
		name, path, body string
		status           int
		code             string
		fragments        []string
	}{
		{"empty body", sgxPath, "", 400, invalid, []string{"expected one JSON object", "empty"}},
		{"blank body", sgxPath, " \n", 400, invalid, []string{"expected one JSON object", "empty"}},
		{"truncated", sgxPath, request("")[:200], 400, invalid, []string{"expected one JSON object", "EOF"}},
		{"two documents", sgxPath, request("") + "{}", 400, invalid, []string{"after the document"}},
		{"random bytes", sgxPath, string(noise(512)), 400, invalid, []string{"expected one JSON object"}},
		{"compressed", sgxPath, "\x1f\x8b\x08\x00", 400, invalid, []string{"expected one JSON object"}},
		{"byte-order mark", sgxPath, "\uFEFF{}", 400, invalid, []string{"expected one JSON object"}},
		{"invalid UTF-8", sgxPath, request(",\"x\":\"\xff\""), 400, invalid, []string{"UTF-8"}},
		{"lone surrogate", sgxPath, request(`,"nonce":"\ud800"`), 400, invalid, []string{"surrogate"}},
		{"null", sgxPath, "null", 400, invalid, []string{`"quote" is missing`}},
		{"array", sgxPath, "[]", 400, invalid, []string{"expected an object, found an array"}},
		{"string", sgxPath, `"x"`, 400, invalid, []string{"expected an object, found a string"}},
		{"largest body", sgxPath, request("") + strings.Repeat(" ", 1<<16-len(request(""))), 200, "", nil},
		{"one byte more", sgxPath, request("") + strings.Repeat(" ", 1<<16-len(request(""))+1), 413, "RequestBodyTooLarge", []string{"attest_body", "65536"}},
		{"deepest unknown member", sgxPath, request(`,"x":` + deep(31)), 200, "", nil},
		{"one deeper", sgxPath, request(`,"x":` + deep(32)), 400, invalid, []string{"nested deeper than 32"}},
		{"depth bomb", sgxPath, strings.Repeat(`{"a":`, 10000), 400, invalid, []string{"nested deeper than 32"}},

		{"quote is a number", sgxPath, `{"quote":1}`, 400, invalid, []string{"quote", "expected a string, found a number"}},
		{"quote is an object", sgxPath, `{"quote":{}}`, 400, invalid, []string{"quote", "expected a string, found an object"}},
		{"quote is null", sgxPath, `{"quote":null}`, 400, invalid, []string{`"quote" is missing`}},
		{"quote is empty", sgxPath, `{"quote":""}`, 400, invalid, []string{`"quote" is missing`}},
		{"runtime data is an array", sgxPath, request(`,"runtimeData":[]`), 400, invalid, []string{"runtimedata", "expected an object, found an array"}},
		{"data is a number", sgxPath, request(`,"runtimeData":{"data":7}`), 400, invalid, []string{"runtimedata.data", "expected a string, found a number"}},
		{"draft is an object", sgxPath, request(`,"draftPolicyForAttestation":{}`), 400, invalid, []string{"draftpolicyforattestation", "expected a string, found an object"}},
		{"nonce is an object", sgxPath, request(`,"nonce":{}`), 400, invalid, []string{"nonce", "string or a whole number"}},
		{"nonce is a fraction", sgxPath, request(`,"nonce":1.5`), 400, invalid, []string{"nonce", "1.5"}},
		{"nonce has an exponent", sgxPath, request(`,"nonce":1e3`), 400, invalid, []string{"nonce", "1e3"}},
		{"nonce is negative", sgxPath, request(`,"nonce":-1`), 400, invalid, []string{"nonce", "-1"}},
		{"nonce is true", sgxPath, request(`,"nonce":true`), 400, invalid, []string{"nonce", "string or a whole number"}},

		{"quote twice", sgxPath, request(`,"quote":""`), 400, invalid, []string{"duplicate", "quote"}},
		{"quote twice, in two cases", sgxPath, request(`,"Quote":""`), 400, invalid, []string{"duplicate", "quote"}},
		{"quote twice, escaped", sgxPath, request(`,"\u0071uote":""`), 400, invalid, []string{"duplicate", "quote"}},
		{"unknown member twice", sgxPath, request(`,"x":1,"x":2`), 400, invalid, []string{"duplicate", "x"}},
		{"data type twice, in two cases", sgxPath, request(`,"runtimeData":{"data":"","dataType":"JSON","datatype":"Binary"}`), 400, invalid, []string{"duplicate", "datatype"}},

		{"base64 of both alphabets", sgxPath, `{"quote":"-__+AQ"}`, 400, invalid, []string{"quote", "base64"}},
		{"base64 with a blank", sgxPath, `{"quote":"AwAC AAAA"}`, 400, invalid, []string{"quote", "base64"}},
		{"base64 with a line feed", sgxPath, `{"quote":"AwAC\nAAAA"}`, 400, invalid, []string{"quote", "base64"}},
		{"base64 with wrong padding", sgxPath, `{"quote":"AwACAA="}`, 400, invalid, []string{"quote", "base64"}},
		{"base64 with stray bits", sgxPath, `{"quote":"AwACAB"}`, 400, invalid, []string{"quote", "base64"}},
		{"runtime data not base64", sgxPath, request(`,"runtimeData":{"data":"!"}`), 400, invalid, []string{"runtimeData.data", "base64"}},
		{"init data not base64", sgxPath, request(`,"initTimeData":{"data":"!"}`), 400, invalid, []string{"initTimeData.data", "base64"}},
		{"standard base64", sgxPath, `{"quote":"` + std + `"}`, 200, "", nil},
		{"standard base64, padded", sgxPath, `{"quote":"` + std + strings.Repeat("=", (4-len(std)%4)%4) + `"}`, 200, "", nil},

		{"unknown data type", sgxPath, request(`,"runtimeData":{"data":"AA","dataType":"` + strings.Repeat("é", 99) + `"}`), 400, invalid, []string{"runtimeData.dataType", "Binary or JSON"}},
		{"runtime data of another hash", sgxPath, request(`,"runtimeData":{"data":"AA"}`), 400, invalid, []string{"runtime-data: SuppliedRuntimeDataDigest does not match RuntimeData Digest in quote", "expected", "found"}},
		{"init data without KSS", sgxPath, request(`,"initTimeData":{"data":"AA"}`), 400, invalid, []string{"init-data:", "KSS", "expected", "found"}},

		{"random evidence", sgxPath, `{"quote":"` + b64url(noise(4096)) + `"}`, 400, invalidQuote, []string{"quote-format:", "expected", "found"}},
		{"quote in the member of a report", sgxPath, `{"report":"` + quote + `"}`, 400, invalid, []string{`"quote" is missing`, "/attest/OpenEnclave"}},
		{"report in the member of a quote", oePath, request(""), 400, invalid, []string{`"report" is missing`, "/attest/SgxEnclave"}},
		{"quote as a report", oePath, `{"report":"` + quote + `"}`, 400, invalidQuote, []string{"quote-format:", "expected 1, found"}},
		{"report as a quote", sgxPath, `{"quote":"AQAAAAIAAAAA` + quote[:100] + `"}`, 400, invalidQuote, []string{"quote-format:", "expected 3, 4 or 5, found 1"}},

		{"no api-version", "/attest/SgxEnclave", request(""), 400, invalid, []string{"api-version", "2020-10-01"}},
		{"empty api-version", "/attest/SgxEnclave?api-version=", request(""), 400, invalid, []string{"api-version"}},
		{"unknown api-version", "/attest/SgxEnclave?api-version=2019-01-01", request(""), 400, "UnsupportedApiVersion", []string{"2019-01-01"}},
		{"api-version that is no text", "/attest/SgxEnclave?api-version=%ff", request(""), 400, "UnsupportedApiVersion", nil},
		{"endless api-version", "/attest/SgxEnclave?api-version=" + strings.Repeat("x", 9000), request(""), 400, "UnsupportedApiVersion", []string{"xxx…"}},
		{"Azure guest without its evidence", "/attest/AzureGuest?api-version=2020-10-01", "{}", 400, invalid, []string{`"AttestationInfo" is missing`}},
		{"Azure guest with a quote", "/attest/AzureGuest?api-version=2020-10-01", request(""), 400, invalid, []string{`"AttestationInfo" is missing`, "/attest/SgxEnclave"}},
		{"Azure guest that is no base64", "/attest/AzureGuest?api-version=2025-06-01", `{"attestationinfo":"%"}`, 400, invalid, []string{`"AttestationInfo" is `}},
		{"TD without a quote", "/attest/TdxVm?api-version=2022-08-01", "{}", 400, invalid, []string{`"quote" is missing`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.do(t, http.MethodPost, tt.path, tt.body)
			if tt.status == http.StatusOK {
				a.claims(t)
				return
			}
			a.refused(t, tt.status, tt.code, "", tt.fragments...)
			if len(a.body) > 2000 {
				t.Errorf("an answer of %d bytes quotes too much of the request", len(a.body))
			}
		})
	}
	if n := s.pcs.Requests(assaytest.TCBInfo); n != 1 {
		t.Errorf("%d requests for TCB info, want 1", n)
	}
}

// TestDefaultBodyLimit holds attest_body to README.md section 7 of the specification.
func TestDefaultBodyLimit(t *testing.T) {
	s := start(t, config.Config{})
	s.do(t, http.MethodPost, sgxPath, strings.Repeat(" ", 4<<20)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "empty")
	s.do(t, http.MethodPost, sgxPath, strings.Repeat(" ", 4<<20+1)).refused(t, http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "", "4194304")
}

// TestRoutes covers what real clients do to paths and methods, and what nobody serves.
func TestRoutes(t *testing.T) {
	s := start(t, config.Config{})
	for _, tt := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/certs", 200, ""},
		{"GET", "/certs/", 200, ""},
		{"GET", "/Certs?api-version=2020-10-01", 200, ""},
		{"GET", "/certs?api-version=1999-01-01", 200, ""},
		{"HEAD", "/certs", 200, ""},
		{"GET", "/.well-known/openid-configuration", 200, ""},
		{"GET", "/.WELL-KNOWN/OpenID-configuration", 200, ""},
		{"POST", "/ATTEST/sgxenclave?api-version=2020-10-01", 400, "InvalidParameter"},
		{"POST", "/attest/openEnclave?x=y&api-version=2026-03-11-preview&api-version=", 400, "InvalidParameter"},
		{"POST", "/attest/tpm?api-version=2020-10-01", 400, "Bad request"}, // as a provider without a policy for it

		{"GET", "/", 404, "NotFound"},
		{"GET", "//certs", 404, "NotFound"},
		{"GET", "/certs//", 404, "NotFound"},
		{"GET", "/certs/../certs", 404, "NotFound"},
		{"GET", "/%ff", 404, "NotFound"},
		{"GET", "/" + strings.Repeat("é", 3000), 404, "NotFound"},
		{"POST", "/attest/VbsEnclave?api-version=2020-10-01", 404, "NotFound"},
		{"POST", "/attest/SgxEnclave/?api-version=2020-10-01", 404, "NotFound"},

		{"GET", "/attest/SgxEnclave?api-version=2020-10-01", 405, "MethodNotAllowed"},
		{"HEAD", "/attest/SgxEnclave?api-version=2020-10-01", 405, "MethodNotAllowed"},
		{"POST", "/certs", 405, "MethodNotAllowed"},
		{"OPTIONS", "/certs", 405, "MethodNotAllowed"},
		{strings.Repeat("X", 300), "/certs", 405, "MethodNotAllowed"},
	} {
		name := fmt.Sprintf("%.10s %.40s", tt.method, tt.path)
		a := s.do(t, tt.method, tt.path, "")
		if a.status != tt.status {
			t.Errorf("%s: status %d, want %d", name, a.status, tt.status)
		}
		if a.status != http.StatusOK && a.header.Get("x-ms-error-code") != tt.code {
			t.Errorf("%s: code %q, want %q", name, a.header.Get("x-ms-error-code"), tt.code)
		}
		if (a.status == http.StatusMethodNotAllowed) != (a.header.Get("Allow") != "") {
			t.Errorf("%s: status %d with Allow %q", name, a.status, a.header.Get("Allow"))
		}
		if tt.method == "HEAD" && len(a.body) > 0 || len(a.body) > 4000 {
			t.Errorf("%s: a body of %d bytes", name, len(a.body))
		}
	}
	if got := s.do(t, "DELETE", "/certs", "").header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: got %q, want %q", got, "GET, HEAD")
	}
}

// TestEveryVersionIsServed walks the api-versions of api.md section 2 from 2020-10-01 on.
func TestEveryVersionIsServed(t *testing.T) {
	s := start(t, config.Config{})
	request := text(s.evidence(t, s.scenario()))
	for _, version := range []string{
		"2020-10-01", "2022-08-01", "2022-09-01-preview", "2022-09-01-Preview", "2023-04-01-preview", "2025-06-01", "2026-03-11-preview",
	} {
		if a := s.do(t, "POST", "/attest/SgxEnclave?api-version="+version, request); a.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", version, a.status, a.body)
		}
	}
}

// TestRequestIDKeepsTheCallersTrace covers the header x-ms-request-id (api.md section 6.1).
func TestRequestIDKeepsTheCallersTrace(t *testing.T) {
	s := start(t, config.Config{})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for traceparent, kept := range map[string]bool{
		"00-" + trace + "-00f067aa0ba902b7-01": true,
		"":                                     false,
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01":      false,
		"00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01":       false,
		"00-" + trace[:31] + "-00f067aa0ba902b7-01":                   false,
		"00-" + trace[:30] + "\",-00f067aa0ba902b7-01":                false,
		strings.Repeat("00-"+trace+"-00f067aa0ba902b7-01", 100) + "-": true,
	} {
		a := s.do(t, "GET", "/certs", "", "traceparent", traceparent)
		if got := a.header.Get("x-ms-request-id"); strings.Contains(got, trace) != kept {
			t.Errorf("traceparent %.60q: request id %s, want the trace kept: %t", traceparent, got, kept)
		}
	}
}

// TestLogHasOneEventPerRequest checks that the event names the outcome, and holds nothing that was sent.
func TestLogHasOneEventPerRequest(t *testing.T) {
	s := start(t, config.Config{})
	const secret = "c2VjcmV0LXJ1bnRpbWUtZGF0YQ"
	draft := "version= 1.0;authorizationrules{ [type==\"" + secret + "\"] => permit();};issuancerules{};"
	evidence := text(s.evidence(t, s.scenario()))
	requests := []struct{ path, body, event string }{
		{sgxPath, evidence, `"operationName":"AttestSgxEnclave"`},
		{sgxPath, text(body{"quote": secret}), `"code":"InvalidQuote","check":"quote-format"`},
		{sgxPath, strings.TrimSuffix(evidence, "}") + `,"nonce":"` + secret + `","draftPolicyForAttestation":` + text(draft) + "}", `"code":"PolicyEvaluationError"`},
		{sgxPath, strings.TrimSuffix(evidence, "}") + `,"runtimeData":{"data":"` + secret + `"}}`, `"check":"runtime-data"`},
		{"/nowhere?" + secret, "", `"operationName":"Unknown"`},
	}
	for i, r := range requests {
		a := s.do(t, "POST", r.path, r.body, "Authorization", "Bearer "+secret)
		events := s.log.events()
		if len(events) != i+1 {
			t.Fatalf("%d events after %d requests: %s", len(events), i+1, events)
		}
		last := events[i]
		for _, want := range []string{r.event, a.header.Get("x-ms-request-id"), fmt.Sprintf(`"status":%d`, a.status), `"durationMs":`} {
			if !strings.Contains(last, want) {
				t.Errorf("the event lacks %s: %s", want, last)
			}
		}
		for _, leak := range []string{secret, evidence[20:60], "Bearer", "eyJ"} {
			if strings.Contains(last, leak) {
				t.Errorf("the event holds %q: %s", leak, last)
			}
		}
	}
}
