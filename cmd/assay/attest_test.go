package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// fakeService speaks as much of the protocol as attest needs, and answers as it is told.
type fakeService struct {
	*httptest.Server
	ca      string // file with its certificate
	answer  http.HandlerFunc
	request *http.Request // the last one
	body    map[string]any
	raw     string // the body of a request that is none of attest
}

func newFakeService(t *testing.T) *fakeService {
	s := &fakeService{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /certs", func(w http.ResponseWriter, _ *http.Request) {
		pub := &serviceKey().PublicKey
		fmt.Fprintf(w, `{"keys":[{"kid":"k","kty":"RSA","n":%q,"e":%q}]}`, b64url(pub.N.Bytes()), b64url(big.NewInt(int64(pub.E)).Bytes()))
	})
	mux.HandleFunc("POST /attest/{type}", func(w http.ResponseWriter, r *http.Request) {
		s.request, s.body = r, nil
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &s.body); err != nil {
			t.Errorf("request body: %v", err)
		}
		s.answer(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.request, s.raw = r, string(b)
		s.answer(w, r)
	})
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // tests refuse its certificate on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = tempFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	return s
}

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// claims are those of a token that is valid now, and more.
func (s *fakeService) claims(more map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{"iss": s.URL, "iat": now, "nbf": now, "exp": now + 3600}
	maps.Copy(claims, more)
	return claims
}

func (s *fakeService) sign(claims map[string]any) string {
	input := part(map[string]any{"alg": "RS256", "kid": "k", "typ": "JWT"}) + "." + part(claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, serviceKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64url(signature)
}

func part(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b64url(b)
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func says200(token string) http.HandlerFunc { return says(http.StatusOK, `{"token":"`+token+`"}`) }

// attest runs the command with some evidence, which the fake service does not look at.
func (s *fakeService) attest(t *testing.T, args ...string) outcome {
	t.Helper()
	quote := tempFile(t, "quote", "\xfb\xff evidence")
	return assay(t, append([]string{"attest", "sgx", quote, "--endpoint", s.URL + "/", "--ca", s.ca}, args...)...)
}

func TestAttestSendsWhatTheAPIAsksFor(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(map[string]any{"nonce": "n-42"})))
	draft := tempFile(t, "policy", "version=1.0;")
	o := s.attest(t, "--runtime-data", tempFile(t, "data", "{}"), "--runtime-type", "json", "--nonce", "n-42",
		"--draft-policy", draft, "--token-file", tempFile(t, "bearer", "secret\n"))
	o.want(t, exitOK, "VERIFIED  token of "+s.URL, "")
	if got, want := s.request.URL.String(), "/attest/SgxEnclave?api-version="+apiVersion; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	if got := s.request.Header; got.Get("Content-Type") != "application/json" || got.Get("Authorization") != "Bearer secret" {
		t.Errorf("headers %v, want JSON and the bearer token", got)
	}
	want := map[string]any{"quote": b64url([]byte("\xfb\xff evidence")), "nonce": "n-42", "draftPolicyForAttestation": "version=1.0;",
		"runtimeData": map[string]any{"data": b64url([]byte("{}")), "dataType": "JSON"}}
	if got, _ := json.Marshal(s.body); string(got) != marshal(t, want) {
		t.Errorf("body %s, want %s", got, marshal(t, want))
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAttestNamesTheEvidenceByItsType(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(nil)))
	report := tempFile(t, "report", "evidence")
	assay(t, "attest", "OpenEnclave", report, "--endpoint", s.URL, "--ca", s.ca, "--token", "t1").want(t, exitOK, "VERIFIED", "")
	if s.body["report"] == nil || s.body["quote"] != nil || s.request.URL.Path != "/attest/OpenEnclave" {
		t.Errorf("%s %v, want member report at /attest/OpenEnclave", s.request.URL, s.body)
	}
	if got := s.request.Header.Get("Authorization"); got != "Bearer t1" {
		t.Errorf("Authorization %q, want Bearer t1", got)
	}
	s.attest(t, "--token-command", "echo t2").want(t, exitOK, "VERIFIED", "")
	if got := s.request.Header.Get("Authorization"); got != "Bearer t2" {
		t.Errorf("Authorization %q, want Bearer t2", got)
	}
}

func TestAttestOutcomes(t *testing.T) {
	s := newFakeService(t)
	good := s.sign(s.claims(map[string]any{"nonce": "n"}))
	draft := part(map[string]any{"alg": "none", "kid": "k"}) + "." + part(s.claims(nil)) + "."
	policy := tempFile(t, "policy", "version=1.0;")
	for _, test := range []struct {
		name           string
		answer         http.HandlerFunc
		args           []string
		status         int
		stdout, stderr string
	}{
		{"token", says200(good), nil, exitOK, "VERIFIED", ""},
		{"token as it came", says200(good), []string{"--raw"}, exitOK, good + "\n", ""},
		{"nonce repeated", says200(good), []string{"--nonce", "n"}, exitOK, "VERIFIED", ""},
		{"another nonce", says200(good), []string{"--nonce", "m"}, exitRefused, "requirement", ""},
		{"draft", says200(draft), []string{"--draft-policy", policy}, exitOK, "UNSIGNED", ""},
		{"draft as it came", says200(draft), []string{"--draft-policy", policy, "--raw"}, exitOK, draft + "\n", "UNSIGNED"},
		{"unsigned though no draft", says200(draft), nil, exitRefused, "alg", ""},
		{"unsigned though no draft, raw", says200(draft), []string{"--raw"}, exitRefused, "alg", ""},
		{"token of another issuer", says200(s.sign(s.claims(map[string]any{"iss": "https://other.example"}))), nil, exitRefused, "issuer", ""},
		{"expired token", says200(s.sign(s.claims(map[string]any{"exp": 1}))), nil, exitRefused, "expired", ""},
		{"altered token", says200(good[:len(good)-8] + "AAAAAAAA"), nil, exitRefused, "signature", ""},
		{"refusal", says(400, `{"error":{"code":"InvalidParameter","message":"bad quote"}}`), nil, exitRefused, "InvalidParameter", ""},
		{"refusal in capitals", says(400, `{"Error":{"Code":"InvalidQuote","Message":"bad quote"}}`), nil, exitRefused, "InvalidQuote", ""},
		{"refusal that is not JSON", says(404, "no\x1b[31m such page"), nil, exitRefused, `no\x1b[31m such page`, ""},
		{"unavailable", says(503, `{"error":{"code":"CollateralUnavailable","message":"later"}}`), nil, exitService, "CollateralUnavailable", ""},
		{"broken", says(500, ""), nil, exitService, "500 Internal Server Error", ""},
		{"garbage", says(200, "<html>"), nil, exitService, "", "no token"},
		{"no token", says(200, "{}"), nil, exitService, "", "without a token"},
		{"token that is none", says200("garbage"), nil, exitRefused, "malformed", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.answer = test.answer
			s.attest(t, test.args...).want(t, test.status, test.stdout, test.stderr)
			if test.status != exitOK {
				var got struct{ Error struct{ Message string } }
				if s.attest(t, append(test.args, "--json")...).read(t, &got); got.Error.Message == "" {
					t.Error("--json: want error.message")
				}
			}
		})
	}
}

// TestAttestSendsNothingThatWouldBeTakenForAbsent has files that a service ignores because they are empty: a token would
// come back, and be genuine, and not be about them.
func TestAttestSendsNothingThatWouldBeTakenForAbsent(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(nil)))
	empty, garbage := tempFile(t, "empty", ""), tempFile(t, "garbage", "\xff\xfe")
	for _, test := range []struct {
		name, stderr string
		args         []string
	}{
		{"empty runtime data", "--runtime-data: the file is empty", []string{"--runtime-data", empty}},
		{"empty runtime data of type JSON", "--runtime-data: the file is empty", []string{"--runtime-data", empty, "--runtime-type", "json"}},
		{"empty draft", "--draft-policy: the file is empty", []string{"--draft-policy", empty}},
		{"draft that is no text", "--draft-policy: the file is no text", []string{"--draft-policy", garbage}},
		{"nonce that is no text", "--nonce", []string{"--nonce", "\xff"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := s.attest(t, test.args...)
			o.want(t, exitUsage, "", test.stderr)
			if o.stdout != "" || s.request != nil {
				t.Errorf("standard output %q, request %v; want neither", o.stdout, s.request)
			}
		})
	}
}

func TestAttestTellsTheServicesErrorInParts(t *testing.T) {
	s := newFakeService(t)
	type parts struct {
		Status        int
		Code, Message string
	}
	for _, test := range []struct {
		status int
		body   string
		want   parts
	}{
		{400, `{"error":{"code":"InvalidParameter","message":"bad quote"}}`, parts{400, "InvalidParameter", "bad quote"}},
		{503, `{"error":{"code":"CollateralUnavailable","message":"later"}}`, parts{503, "CollateralUnavailable", "later"}},
		{404, "no such page", parts{404, "", "no such page"}},
		{500, "", parts{500, "", "the service answered 500 Internal Server Error:"}},
	} {
		s.answer = says(test.status, test.body)
		var got struct{ Error parts }
		if s.attest(t, "--json").read(t, &got); got.Error != test.want {
			t.Errorf("%d %s: got %+v, want %+v", test.status, test.body, got.Error, test.want)
		}
	}
}

func TestAttestFollowsNoRedirect(t *testing.T) {
	s, other := newFakeService(t), newFakeService(t)
	other.answer = says200("x")
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}
	s.attest(t).want(t, exitService, "307", "")
	if other.request != nil {
		t.Error("the evidence was sent to another host")
	}
}

func TestAttestWithoutService(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(nil)))
	quote := tempFile(t, "quote", "evidence")
	assay(t, "attest", "sgx", quote, "--endpoint", s.URL).want(t, exitService, "", "certificate") // its CA is not trusted
	s.Close()
	s.attest(t).want(t, exitService, "", "could not be reached")
}

// Scripts rely on the names of JSON members.
func TestJSONMembersAreStable(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(nil)))
	dir := simulatedDir(t, time.Now())
	policy := tempFile(t, "policy", "version=1.0;authorizationrules{=>permit();};")
	claims := tempFile(t, "claims", "[]")
	golden := writeFiles(t, t.TempDir(), map[string]string{"a.test.yaml": ""})
	trust := []string{"--collateral", dir + "/collateral", "--trust-root", dir + "/root.pem"}
	for _, test := range []struct {
		got  outcome
		want string
	}{
		{assay(t, append([]string{"evidence", "verify", "--type", "sgx", dir + "/quote.bin", "--json"}, trust...)...),
			"verified type quoteVersion status platformStatus qeStatus advisoryIds tcbDate tcbEvaluationDataNumber " +
				"collateralValidUntil shortfalls trustAnchor fmspc claims checks notChecked"},
		{assay(t, append([]string{"evidence", "verify", "--type", "oe", dir + "/quote.bin", "--json"}, trust...)...),
			"verified type checks notChecked error"},
		{assay(t, "evidence", "inspect", "--type", "sgx", dir+"/quote.bin", "--json"),
			"verified type quoteVersion trailingBytes mrenclave mrsigner productId svn debuggable reportData"},
		{assay(t, "evidence", "inspect", "--type", "sgx", policy, "--json"), "verified type error"},
		{assay(t, "evidence", "inspect", "--type", "oe", policy, "--json"), "verified type error"},
		{s.attest(t, "--json"), "verified signed header issuer issuedAt notBefore expires claims token"},
		{assay(t, "token", "inspect", s.sign(s.claims(nil)), "--json"), "verified signed header claims"},
		{assay(t, "policy", "check", "--type", "sgx", policy, "--json"), "valid version hash errors warnings"},
		{assay(t, "policy", "hash", policy, "--json"), "hash"},
		{assay(t, "policy", "eval", "--policy", policy, "--claims", claims, "--type", "sgx", "--json"), "verdict type hash rule issued properties configuration notes"},
		{assay(t, append([]string{"policy", "eval", "--policy", policy, "--type", "sgx", "--evidence", dir + "/quote.bin", "--json"}, trust[:2]...)...),
			"verdict type hash evidence notes error"},
		{assay(t, "policy", "eval", "--policy", claims, "--claims", claims, "--json"), "verdict hash notes error"},
		{assay(t, "policy", "test", golden, "--json"), "passed failed updated broken files"},
		{assay(t, "collateral", "status", dir, "--trust-root", dir+"/root.pem", "--json"), "sound documents"},
		{assay(t, "sim", "sgx", "--out", dir, "--json"), "dir files runtimeDataHash"},
		{assay(t, "version", "--json"), "version go"},
	} {
		var names []string
		d := json.NewDecoder(strings.NewReader(test.got.stdout))
		for depth := 0; ; {
			token, err := d.Token()
			if err != nil {
				break
			}
			if delim, ok := token.(json.Delim); ok {
				if delim == '{' || delim == '[' {
					depth++
				} else {
					depth--
				}
				continue
			}
			if name, ok := token.(string); ok && depth == 1 {
				names = append(names, name)
				var skip json.RawMessage
				d.Decode(&skip)
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("members\n%s, want\n%s", got, test.want)
		}
	}
}
