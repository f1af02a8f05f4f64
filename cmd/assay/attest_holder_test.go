package main

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// answersReports is a service that verifies nothing and answers each request with the claims that edit makes of the right ones.
func answersReports(t *testing.T, edit func(claims map[string]any)) *fakeService {
	s := newFakeService(t)
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		var m struct{ Payload struct{ Request string } }
		if err := json.Unmarshal(unb64url(t, s.body["data"].(string)), &m); err != nil {
			t.Error(err)
		}
		inner := `{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","service_context":"c"}`
		if m.Payload.Request != "" {
			inner = `{"report":"` + s.sign(s.reportFor(t, m.Payload.Request, edit)) + `"}`
		}
		says(http.StatusOK, `{"data":"`+b64url([]byte(inner))+`"}`)(w, r)
	}
	return s
}

func unb64url(t *testing.T, text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Error(err)
	}
	return b
}

// reportFor gives the claims of a report on the key of a request.
func (s *fakeService) reportFor(t *testing.T, request string, edit func(map[string]any)) map[string]any {
	var payload struct {
		Data struct {
			Key struct{ JWK map[string]any } `json:"request_key"`
		} `json:"att_data"`
	}
	if err := json.Unmarshal(unb64url(t, strings.Split(request, ".")[1]), &payload); err != nil {
		t.Error(err)
	}
	now := time.Now().Unix()
	claims := s.claims(map[string]any{"iat": now - 60, "nbf": now - 360, "cnf": map[string]any{"jwk": payload.Data.Key.JWK}})
	if edit != nil {
		edit(claims)
	}
	return claims
}

// attestTo attests a machine on swtpm to a service.
func attestTo(t *testing.T, tpm *swtpmtest.TPM, s *fakeService, flags ...string) outcome {
	t.Helper()
	return assay(t, slices.Concat([]string{"attest", "tpm", "--swtpm", tpm.Socket, "--event-log", vectortest.Path(t, rigLog), "--endpoint", s.URL, "--ca", s.ca}, flags)...)
}

func TestAReportIsTakenOnlyForTheKeyThatSignedTheRequest(t *testing.T) {
	tpm := swtpmtest.Start(t)
	tpm.Boot(t, vectortest.Read(t, rigLog))
	inKey := func(member string, value any) func(map[string]any) {
		return func(claims map[string]any) {
			jwk := maps.Clone(claims["cnf"].(map[string]any)["jwk"].(map[string]any))
			jwk[member] = value
			claims["cnf"] = map[string]any{"jwk": jwk}
		}
	}
	for name, test := range map[string]struct {
		edit  func(map[string]any)
		found string
	}{
		"the right one":   {nil, ""},
		"none":            {func(claims map[string]any) { delete(claims, "cnf") }, "no RSA key"},
		"of another type": {func(claims map[string]any) { claims["cnf"] = "key" }, "no RSA key"},
		"another modulus": {inKey("n", b64url(serviceKey().N.Bytes())), "an RSA key with the modulus"},
		"another e":       {inKey("e", "Aw"), "an RSA key with the modulus"},
		"another kty":     {inKey("kty", "EC"), "an RSA key with the modulus"},
	} {
		key := filepath.Join(t.TempDir(), "key.pem")
		o := attestTo(t, tpm, answersReports(t, test.edit), "--key-out", key)
		_, err := os.Stat(key)
		if test.edit == nil {
			o.want(t, exitOK, "VERIFIED", "")
		} else {
			o.want(t, exitRefused, test.found, "")
			o.want(t, exitRefused, "not for the key that signed the request", "")
		}
		if (err == nil) != (test.edit == nil) {
			t.Errorf("%s: the key file: %v", name, err)
		}
	}
}

func TestAReportWhoseKeyCannotBeKeptIsNoResult(t *testing.T) {
	tpm := swtpmtest.Start(t)
	tpm.Boot(t, vectortest.Read(t, rigLog))
	o := attestTo(t, tpm, answersReports(t, nil), "--key-out", t.TempDir())
	if o.want(t, exitUsage, "", "file exists"); o.stdout != "" {
		t.Errorf("printed %s", o.stdout)
	}
}

// TestNoFileThatIsReadIsWrittenAndNoneTwice: nothing is sent, so that no service is there.
func TestNoFileThatIsReadIsWrittenAndNoneTwice(t *testing.T) {
	here := []string{"attest", "tpm", "--endpoint", "https://localhost:1", "--swtpm", "none"}
	token, dir := tempFile(t, "token", "bearer"), t.TempDir()
	for _, flags := range [][]string{
		{"--token-file", token, "--key-out", token}, {"--token-file", token, "--renew", token}, {"--event-log", token, "--key-out", token},
		{"--token-file", token, "--enroll", "--aik-cert", token},
	} {
		assay(t, slices.Concat(here, flags)...).want(t, exitUsage, "", "is one of the files read")
	}
	same, again := filepath.Join(dir, "same"), dir+"/./same"
	for _, flags := range [][]string{
		{"--key-out", same, "--renew", again}, {"--enroll", "--aik-cert", same, "--renew", again}, {"--enroll", "--aik-cert", same, "--key-out", again},
	} {
		assay(t, slices.Concat(here, flags)...).want(t, exitUsage, "", "name the same file")
	}
	if readFile(t, token) != "bearer" {
		t.Error("the token was overwritten")
	}
}

// TestTheBearerTokenIsReadAgainForEachRequest: it is replaced when it ends, which a renewal outlives.
func TestTheBearerTokenIsReadAgainForEachRequest(t *testing.T) {
	tpm := swtpmtest.Start(t)
	tpm.Boot(t, vectortest.Read(t, rigLog))
	token := tempFile(t, "token", "first\n")
	s := answersReports(t, nil)
	answer, seen := s.answer, []string{}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		if err := os.WriteFile(token, []byte("second\n"), 0o600); err != nil {
			t.Error(err)
		}
		answer(w, r)
	}
	attestTo(t, tpm, s, "--token-file", token).want(t, exitOK, "VERIFIED", "")
	if !slices.Equal(seen, []string{"Bearer first", "Bearer second"}) {
		t.Errorf("sent %q", seen)
	}
}
