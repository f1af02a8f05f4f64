package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/auth"
)

// Paths of the two attest routes.
const (
	sgxPath = "/attest/SgxEnclave?api-version=2022-08-01"
	oePath  = "/attest/OpenEnclave?api-version=2022-08-01"
)

// answer is what the service said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is the error body of api.md section 6.3.
type problem struct {
	Code, Message string
	Innererror    struct{ Code, Message string }
}

// do sends a request, without the headers that are given as empty, and checks what every answer must have (api.md sections 6.1 to 6.3).
func (s *testService) do(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/assay/v1/expla") || strings.HasPrefix(strings.ToLower(path), "/attest/tpm") {
		req.Header.Set("Authorization", "Bearer "+s.token(t, auth.Reader))
	}
	for i := 0; i < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %.80s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %.80s: reading the answer: %v", method, path, err)
	}
	a := answer{res.StatusCode, res.Header, b}
	if method != http.MethodHead {
		a.checkForm(t, strings.HasPrefix(strings.ToLower(path), "/attest/tpm"))
	}
	return a
}

// checkForm checks the headers of every answer and the body of every error.
func (a answer) checkForm(t testing.TB, shortID bool) {
	t.Helper()
	id := `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`
	if shortID {
		id = `^[0-9A-Za-z+/]{16}$`
	}
	for name, form := range map[string]string{
		"Content-Type":             `^application/json; charset=utf-8$`,
		"x-ms-request-id":          id,
		"x-ms-maa-service-version": `^\d+\.\d+`,
		"Content-Length":           fmt.Sprintf("^%d$", len(a.body)),
	} {
		if got := a.header.Get(name); !regexp.MustCompile(form).MatchString(got) {
			t.Errorf("header %s: got %q, want it to match %s", name, got, form)
		}
	}
	retry := a.header.Get("Retry-After")
	if a.status < 500 && retry != "" || a.status >= 500 && !regexp.MustCompile(`^[1-9]\d*$`).MatchString(retry) {
		t.Errorf("status %d with Retry-After %q, want whole seconds on 5xx only", a.status, retry)
	}
	if a.status == http.StatusOK || a.status == http.StatusCreated {
		return
	}
	p := a.problem(t)
	hasInner := p.Innererror.Code != "" && p.Innererror.Message == p.Message // but the recorded 401 has none
	if p.Code == "" || p.Message == "" || hasInner == (a.status == http.StatusUnauthorized) || a.header.Get("x-ms-error-code") != p.Code {
		t.Errorf("the error body does not have its form: %s (x-ms-error-code %q)", a.body, a.header.Get("x-ms-error-code"))
	}
}

// problem reads an error body.
func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var body struct{ Error problem }
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("status %d: %v: %.200s", a.status, err, a.body)
	}
	return body.Error
}

// refused checks status, code, inner code (the same if empty) and fragments of the message.
func (a answer) refused(t testing.TB, status int, code, inner string, fragments ...string) {
	t.Helper()
	if a.status == http.StatusOK {
		t.Fatalf("accepted, want %d %s", status, code)
	}
	p := a.problem(t)
	if inner == "" && status != http.StatusUnauthorized {
		inner = code
	}
	if a.status != status || p.Code != code || p.Innererror.Code != inner {
		t.Errorf("got %d %s/%s, want %d %s/%s: %s", a.status, p.Code, p.Innererror.Code, status, code, inner, p.Message)
	}
	for _, f := range fragments {
		if !strings.Contains(p.Message+a.header.Get("WWW-Authenticate"), f) {
			t.Errorf("the message lacks %q: %s", f, p.Message)
		}
	}
}

// claims reads the payload of the token.
func (a answer) claims(t testing.TB) map[string]any {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	return opened(t, a.body).(map[string]any)["payload"].(map[string]any)
}

// body is a request in the names of the API.
type body map[string]any

// evidence makes the request for a scenario.
func (s *testService) evidence(t testing.TB, sc *assaytest.Scenario) body {
	t.Helper()
	b, err := sc.Quote()
	if err != nil {
		t.Fatal(err)
	}
	if sc.OpenEnclave {
		return body{"report": b64url(b)}
	}
	return body{"quote": b64url(b)}
}

// attest sends evidence.
func (s *testService) attest(t testing.TB, sc *assaytest.Scenario, members ...any) answer {
	t.Helper()
	b := s.evidence(t, sc)
	for i := 0; i < len(members); i += 2 {
		b[members[i].(string)] = members[i+1]
	}
	path := sgxPath
	if sc.Type() == evidence.OpenEnclave {
		path = oePath
	}
	return s.do(t, http.MethodPost, path, text(b))
}

// data is runtime or init data of a request.
func data(bytes, kind string) map[string]string {
	return map[string]string{"data": b64url([]byte(bytes)), "dataType": kind}
}

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
