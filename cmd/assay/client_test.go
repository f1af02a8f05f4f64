package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/policyjws"
)

// manage runs a command of words against the fake service.
func (s *fakeService) manage(t *testing.T, words string, args ...string) outcome {
	t.Helper()
	args = append(append(strings.Fields(words), args...), "--endpoint", s.URL, "--ca", s.ca)
	return assay(t, args...)
}

// TestManagementSendsWhatTheAPIAsksFor looks at the requests as a service gets them (api.md sections 8 and 9).
func TestManagementSendsWhatTheAPIAsksFor(t *testing.T) {
	s := newFakeService(t)
	s.answer = says(400, "")
	by := makeSigner(t, p256Key(t), nil)
	unsigned, err := policyjws.UnsignedPolicy([]byte(strictPolicy))
	if err != nil {
		t.Fatal(err)
	}
	text := tempFile(t, "p", strictPolicy)
	for _, tt := range []struct{ words, request, kind, body string }{
		{"policy get --type snp", "GET /policies/SevSnpVm?api-version=2022-08-01", "", ""},
		{"policy set --type sgx " + text, "PUT /policies/SgxEnclave?api-version=2022-08-01", "text/plain", unsigned},
		{"policy reset --type tpm", "POST /policies/Tpm:reset?api-version=2022-08-01", "text/plain", "eyJhbGciOiJub25lIn0.."},
		{"policy history --type sgx --limit 7", "GET /assay/v1/policies/SgxEnclave/versions?top=7", "", ""},
		{"policy rollback --type sgx --to 3", "POST /assay/v1/policies/SgxEnclave:rollback", "application/json", `{"version":3}`},
		{"policy diff --type sgx --from 1 --to 2", "GET /assay/v1/policies/SgxEnclave/versions/1", "", ""},
		{"signer list", "GET /certificates?api-version=2022-08-01", "", ""},
		{"baseline list --type sgx", "GET /tcbbaselines/SgxEnclave?api-version=2022-09-01-preview", "", ""},
		{"key list", "GET /assay/v1/keys", "", ""},
		{"key rotate", "POST /assay/v1/keys:rotate", "", ""},
		{"key rotate --emergency", "POST /assay/v1/keys:rotate?emergency=true", "", ""},
		{"key rotate --withdraw", "POST /assay/v1/keys:rotate?withdraw=true", "", ""},
	} {
		s.manage(t, tt.words, "--token-command", "echo t-1").want(t, exitRefused, "400 Bad Request", "")
		r := s.request
		if got := r.Method + " " + r.URL.String(); got != tt.request || r.Header.Get("Content-Type") != tt.kind || s.raw != tt.body || r.Header.Get("Authorization") != "Bearer t-1" {
			t.Errorf("%s: got %s, %v, body %q; want %s, %s, body %q", tt.words, got, r.Header, s.raw, tt.request, tt.kind, tt.body)
		}
	}
	for words, path := range map[string]string{"signer add": "/certificates:add", "signer remove": "/certificates:remove"} {
		s.manage(t, words, by.cert, "--key", by.key, "--cert", by.cert).want(t, exitRefused, "400", "")
		var jws string
		if err := json.Unmarshal([]byte(s.raw), &jws); err != nil || s.request.URL.Path != path || s.request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, body %q", words, s.request.URL, s.raw)
		}
		if p, err := policyjws.Parse([]byte(jws), policyjws.Options{}); err != nil || p.Operation() != policyjws.ChangeSigners {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// TestAnswersToManagementAreVerified has answers that a service of that name did not give, or that are about something else.
func TestAnswersToManagementAreVerified(t *testing.T) {
	s := newFakeService(t)
	unsigned, err := policyjws.UnsignedPolicy([]byte(strictPolicy))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := policyjws.Parse([]byte(unsigned), policyjws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	with := func(claims map[string]any) http.HandlerFunc { return says200(s.sign(s.claims(claims))) }
	updated := map[string]any{"x-ms-policy-result": "Updated", "x-ms-policy-token-hash": sent.TokenHash()}
	text := tempFile(t, "p", strictPolicy)
	set, get := "policy set --type sgx "+text, "policy get --type sgx"
	draft := part(map[string]any{"alg": "none", "kid": "k"}) + "." + part(s.claims(map[string]any{"x-ms-policy": unsigned})) + "."
	for _, tt := range []struct {
		name, words    string
		answer         http.HandlerFunc
		status         int
		stdout, stderr string
	}{
		{"set", set, with(updated), exitOK, "SET", ""},
		{"set something else", set, with(map[string]any{"x-ms-policy-result": "Updated", "x-ms-policy-token-hash": "x"}), exitRefused, "", "has done something else"},
		{"removed instead", set, with(map[string]any{"x-ms-policy-result": "Removed", "x-ms-policy-token-hash": sent.TokenHash()}), exitRefused, "", "x-ms-policy-result"},
		{"set, says another", set, with(map[string]any{"iss": "https://other.example", "x-ms-policy-result": "Updated"}), exitRefused, "", "whether that is its answer cannot be told"},
		{"got", get, with(map[string]any{"x-ms-policy": unsigned}), exitOK, strictPolicy, "SET"},
		{"of another issuer", get, with(map[string]any{"iss": "https://other.example", "x-ms-policy": unsigned}), exitRefused, "", "another issuer"},
		{"unsigned", get, says200(draft), exitRefused, "", "RS256"},
		{"expired long ago", get, with(map[string]any{"exp": 1, "x-ms-policy": unsigned}), exitRefused, "", "expired"},
		{"no policy", get, with(nil), exitService, "", "without the claim x-ms-policy"},
		{"no JWS", get, with(map[string]any{"x-ms-policy": "garbage"}), exitRefused, "", "--jws prints it as it is"},
		{"no JWS, as it is", get + " --jws", with(map[string]any{"x-ms-policy": "garbage"}), exitOK, "garbage", ""},
		{"reset", "policy reset --type sgx", with(map[string]any{"x-ms-policy-result": "Removed"}), exitOK, "RESET", ""},
		{"not reset", "policy reset --type sgx", with(updated), exitRefused, "", "has done something else"},
		{"signers", "signer list", with(map[string]any{"x-ms-policy-certificates": map[string]any{"keys": []any{}}}), exitOK, "NONE", ""},
		{"a signer without certificate", "signer list", with(map[string]any{"x-ms-policy-certificates": map[string]any{"keys": []any{map[string]any{}}}}), exitService, "", "key 1 has no certificate"},
		{"no signers", "signer list", with(nil), exitService, "", "without the claim"},
		{"no history", "policy history --type sgx", says(404, `{"error":{"code":"NotFound","message":"nothing here"}}`), exitRefused, "nothing here (if the service is not Assay: only Assay has this operation)", ""},
		{"too many", get, retryAfter(429, "7"), exitRefused, "retry after 7 s", ""},
		{"unavailable", get, retryAfter(503, "Wed, 21 Oct 2026 07:28:00 GMT"), exitService, "retry after Wed, 21 Oct 2026 07:28:00 GMT", ""},
		{"elsewhere", get, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, exitService, "302 Found", ""},
		{"rolled back", "policy rollback --type sgx --to 3", says(200, `{"version":9,"action":"rollback","of":3,"by":"b","at":"2026-01-01T00:00:00Z"}`), exitOK, "ROLLED BACK", ""},
		{"rolled back to another", "policy rollback --type sgx --to 3", says(200, `{"version":9,"action":"rollback","of":2,"by":"b","at":"2026-01-01T00:00:00Z"}`), exitRefused, "", "has done something else"},
		{"another provider", "provider show mine", says(200, `{"name":"yours"}`), exitService, "", `about the provider "yours", not about "mine"`},
		{"another provider created", "provider create mine", says(201, `{"name":"yours"}`), exitService, "", `about the provider "yours", not about "mine"`},
		{"the provider", "provider show Mine", says(200, `{"name":"mine"}`), exitOK, "PROVIDER  mine", ""},
		{"no JSON", "key list", says(200, "<html>"), exitService, "", "something unexpected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.answer = tt.answer
			s.manage(t, tt.words).want(t, tt.status, tt.stdout, tt.stderr)
		})
	}
}

func retryAfter(status int, after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	}
}

func TestSignerThatWasNotAddedIsNotReportedAsAdded(t *testing.T) {
	s := newFakeService(t)
	by := makeSigner(t, p256Key(t), nil)
	for claims, status := range map[string]int{
		`{"x-ms-policycertificates-result":"IsPresent","x-ms-certificate-thumbprint":"81ED6FC729F6F263120780AC6D678893E704CC9C"}`: exitRefused,
		`{"x-ms-policycertificates-result":"IsAbsent"}`: exitRefused,
		`{}`: exitRefused,
	} {
		var c map[string]any
		if err := json.Unmarshal([]byte(claims), &c); err != nil {
			t.Fatal(err)
		}
		s.answer = says200(s.sign(s.claims(c)))
		s.manage(t, "signer add", by.cert, "--key", by.key, "--cert", by.cert).want(t, status, "", "has done something else")
	}
}

// TestExitStatusTellsWhereItFailed has a service without keys, and none at all.
func TestExitStatusTellsWhereItFailed(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(nil)))
	keyless := newFakeService(t)
	keyless.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/certs" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		says200(s.sign(keyless.claims(nil)))(w, r)
	})
	keyless.manage(t, "policy get --type sgx").want(t, exitMissing, "", "key set")
	gone := newFakeService(t)
	gone.Close()
	gone.manage(t, "policy get --type sgx").want(t, exitService, "", "could not be reached")
}

func TestLongAnswersAreNotRead(t *testing.T) {
	s := newFakeService(t)
	for size, status := range map[int]int{maxAnswer: exitService, maxAnswer + 1: exitService} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(" ", size-1)+"{") }
		want := "something unexpected"
		if size > maxAnswer {
			want = "is longer than"
		}
		s.manage(t, "key list").want(t, status, "", want)
	}
}

func TestWrongCallsOfManagementAreSentToNobody(t *testing.T) {
	s := newFakeService(t)
	for words, want := range map[string]string{
		"policy get":                                        "--type is missing",
		"policy get --type sgx --jws --json":                "--jws and --json exclude each other",
		"policy get --type sgx --token a --token-file x":    "no such file",
		"policy get --type sgx --token a --token-command b": "exclude each other",
		"policy set --type sgx":                             "FILE is missing",
		"policy set --type sgx x":                           "no such file",
		"policy set --type sgx x --alg RS256":               "--alg goes with --key",
		"policy history --type sgx --limit 0":               "--limit 0: expected 1 or more",
		"policy rollback --type sgx":                        "--to is missing",
		"policy rollback --type sgx --to 0":                 "assay policy reset",
		"policy diff --type sgx --to -2":                    "--to -2: expected the number of a version",
		"key rotate now":                                    "unexpected argument",
	} {
		if s.manage(t, words).want(t, exitUsage, "", want); s.request != nil {
			t.Errorf("%s: sent %s", words, s.request.URL)
		}
	}
	if s.manage(t, "key list", "--token", "a\nb").want(t, exitUsage, "", "control character"); s.request != nil {
		t.Errorf("sent %s", s.request.URL)
	}
	assay(t, "key", "list").want(t, exitUsage, "", "--endpoint is missing")
	assay(t, "key", "list", "--endpoint", "http://attest.example").want(t, exitUsage, "", "http is for this machine only")
	by := makeSigner(t, p256Key(t), nil)
	s.manage(t, "policy reset --type sgx", "--key", by.key).want(t, exitUsage, "", "--cert is missing")
	s.manage(t, "policy reset --type sgx", "--cert", by.cert).want(t, exitUsage, "", "--key is missing")
}
