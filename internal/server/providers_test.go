package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
)

const hour = time.Hour

func now() time.Time { return time.Now() }

// native makes a call of our own routes as an owner.
func (s *testService) native(t testing.TB, method, path, body string) answer {
	t.Helper()
	return s.make(t, call{method: method, path: "/assay/v1/providers" + path, body: body})
}

// nativeService has no façade, which these routes do not need.
func nativeService(t *testing.T) *testService {
	return start(t, config.Config{ProviderURL: "https://{name}.attest.test"})
}

func TestProviderIsShownWithItsMembers(t *testing.T) {
	s := nativeService(t)
	a := s.native(t, "PUT", "/Demo", `{"tags":{"Env":"x"},"settings":{"refuse_debuggable":true},"tpmAttestationAuthentication":"Disabled"}`)
	body := a.want(t, http.StatusCreated)
	if a.header.Get("Location") != "/assay/v1/providers/demo" {
		t.Errorf("Location %q", a.header.Get("Location"))
	}
	stamp := body["created"].(map[string]any)
	if stamp["by"] != "bearer development-owner" || stamp["requestId"] != a.header.Get("x-ms-request-id") || !reflect.DeepEqual(body["modified"], any(stamp)) {
		t.Errorf("created %v, modified %v", stamp, body["modified"])
	}
	got := s.native(t, "GET", "/demo", "")
	if body := got.want(t, http.StatusOK); body["version"] == nil || got.header.Get("ETag") != `"`+text(body["version"])+`"` {
		t.Errorf("version %v with ETag %s", body["version"], got.header.Get("ETag"))
	}
	for _, name := range []string{"created", "modified", "version"} {
		delete(body, name)
	}
	want := map[string]any{
		"name": "demo", "url": "https://demo.attest.test", "trustModel": "AAD", "location": "local", "tags": map[string]any{"Env": "x"}, "shared": false,
		"publicNetworkAccess": "Enabled", "tpmAttestationAuthentication": "Disabled", "settings": map[string]any{"refuse_debuggable": true}, "policySigners": []any{},
	}
	if !reflect.DeepEqual(body, want) {
		t.Errorf("got %v, want %v", body, want)
	}
	if first := s.native(t, "GET", "/default", "").want(t, http.StatusOK); first["url"] != s.URL || first["settings"] != nil {
		t.Errorf("the default provider: %v", first)
	}
}

func TestProviderSignersAreShownByThumbprint(t *testing.T) {
	s := nativeService(t)
	cert := signerCert(t)
	body := s.native(t, "PUT", "/demo", `{"policySigningCertificates":{"keys":[{"kty":"EC","x5c":["`+cert+`"]}]}}`).want(t, http.StatusCreated)
	signers, _ := body["policySigners"].([]any)
	if body["trustModel"] != "Isolated" || len(signers) != 1 || len(signers[0].(string)) != 40 {
		t.Errorf("got %v", body)
	}
}

// TestProviderChangesReplaceWhatTheyName and leave all else.
func TestProviderChangesReplaceWhatTheyName(t *testing.T) {
	s := nativeService(t)
	s.native(t, "PUT", "/demo", `{"tags":{"a":"1"},"settings":{"refuse_debuggable":true,"strict":true}}`).want(t, http.StatusCreated)
	for _, tt := range []struct {
		method, body   string
		tags, settings map[string]any
	}{
		{"PATCH", `{}`, map[string]any{"a": "1"}, map[string]any{"refuse_debuggable": true, "strict": true}},
		{"PATCH", `{"settings":{"hide_policy_reasons":true}}`, map[string]any{"a": "1"}, map[string]any{"hide_policy_reasons": true}},
		{"PUT", `{"Tags":{"b":"2"},"settings":null}`, map[string]any{"b": "2"}, map[string]any{"hide_policy_reasons": true}},
		{"PUT", `{"settings":{}}`, map[string]any{"b": "2"}, map[string]any{}},
		{"PATCH", `{"settings":{"tcb_accepted_statuses":{"UpToDate":""}}}`, map[string]any{"b": "2"}, map[string]any{"tcb_accepted_statuses": map[string]any{"UpToDate": ""}}},
	} {
		body := s.native(t, tt.method, "/demo", tt.body).want(t, http.StatusOK)
		if !reflect.DeepEqual(body["tags"], any(tt.tags)) || !reflect.DeepEqual(body["settings"], any(tt.settings)) {
			t.Errorf("after %s %s: tags %v, settings %v", tt.method, tt.body, body["tags"], body["settings"])
		}
	}
}

// TestProviderSettingsAreInForce at once, at that provider only.
func TestProviderSettingsAreInForce(t *testing.T) {
	s := nativeService(t)
	debug := s.scenario(func(sc *assaytest.Scenario) { sc.Enclave.Debug = true })
	attest := call{method: "POST", path: "/attest/SgxEnclave", version: "2022-08-01", body: text(s.evidence(t, debug)), host: "demo.attest.test"}
	s.native(t, "PUT", "/demo", `{}`).want(t, http.StatusCreated)
	s.make(t, attest).want(t, http.StatusOK)
	s.native(t, "PATCH", "/demo", `{"settings":{"refuse_debuggable":true}}`).want(t, http.StatusOK)
	s.make(t, attest).refused(t, http.StatusBadRequest, "InvalidParameter", "", "debuggable")
	attest.host = ""
	s.make(t, attest).want(t, http.StatusOK)
}

func TestProviderChangesCanNameAVersion(t *testing.T) {
	s := nativeService(t)
	const path = "/assay/v1/providers/demo"
	tag := s.native(t, "PUT", "/demo", `{}`).header.Get("ETag")
	next := s.make(t, call{method: "PATCH", path: path, body: `{}`, ifMatch: tag})
	next.want(t, http.StatusOK)
	if next.header.Get("ETag") == tag {
		t.Error("a change does not change the ETag")
	}
	for _, c := range []call{
		{method: "PATCH", path: path, body: `{}`, ifMatch: tag}, {method: "PUT", path: path, body: `{}`, ifMatch: tag},
		{method: "DELETE", path: path, ifMatch: tag}, {method: "PUT", path: path + "-new", body: `{}`, ifMatch: tag},
	} {
		s.make(t, c).refused(t, http.StatusConflict, "Conflict", "", "version")
	}
	for _, wrong := range []string{"*", "3", `W/"3"`, `"0"`, `"+3"`, `"x"`, `"1","2"`} {
		s.make(t, call{method: "PATCH", path: path, body: `{}`, ifMatch: wrong}).refused(t, http.StatusBadRequest, "InvalidParameter", "", "If-Match")
	}
	s.make(t, call{method: "DELETE", path: path, ifMatch: next.header.Get("ETag")}).want(t, http.StatusNoContent)
	s.native(t, "DELETE", "/demo", "").refused(t, http.StatusNotFound, "NotFound", "")
}

func TestProviderRefusals(t *testing.T) {
	s := nativeService(t)
	s.native(t, "PUT", "/demo", `{}`).want(t, http.StatusCreated)
	s.native(t, "PUT", "/shared", `{"shared":true}`).want(t, http.StatusCreated)
	cert := signerCert(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		code, fragment     string
	}{
		{"GET", "/nobody", "", 404, "NotFound", "nobody"},
		{"PATCH", "/nobody", "{}", 404, "NotFound", "nobody"},
		{"PUT", "/a", "{}", 400, "InvalidParameter", "3 to 24"},
		{"PUT", "/new", "", 400, "InvalidParameter", "empty"},
		{"PUT", "/new", `{"url":"https://x"}`, 400, "InvalidParameter", `"url"`},
		{"PUT", "/new", `{"settings":[]}`, 400, "InvalidParameter", "settings"},
		{"PUT", "/new", `{"settings":{"strikt":true}}`, 400, "InvalidParameter", "strikt"},
		{"PUT", "/new", `{"settings":{"collateral_grace":"1h"}}`, 400, "InvalidParameter", "collateral_grace"},
		{"PUT", "/new", `{"settings":{"tcb_accepted_statuses":{"Revoked":""}}}`, 400, "InvalidParameter", "needs the date"},
		{"PATCH", "/demo", `{"settings":{"strict":1}}`, 400, "InvalidParameter", "settings"},
		{"PATCH", "/demo", `{"shared":true}`, 409, "Conflict", "shared"},
		{"PATCH", "/demo", `{"location":"mars"}`, 409, "Conflict", "location"},
		{"PUT", "/shared", `{"shared":false}`, 409, "Conflict", "shared"},
		{"PUT", "/new", `{"shared":true,"policySigningCertificates":{"keys":[{"x5c":["` + cert + `"]}]}}`, 400, "InvalidParameter", "shared"},
		{"PUT", "/default", `{"tags":{"a":"b"}}`, 400, "InvalidOperation", "configuration"},
		{"DELETE", "/default", "", 400, "InvalidOperation", "configuration"},
		{"POST", "/demo", "{}", 405, "MethodNotAllowed", ""},
	} {
		s.native(t, tt.method, tt.path, tt.body).refused(t, tt.status, tt.code, "", tt.fragment)
	}
}

func TestProviderListShowsWhatTheCallerMayRead(t *testing.T) {
	s := nativeService(t)
	for _, name := range []string{"/one", "/two"} {
		s.native(t, "PUT", name, `{}`).want(t, http.StatusCreated)
	}
	for token, want := range map[string]string{
		s.token(t, auth.Reader): "[default one two]", s.owned(t, auth.Reader, "TWO"): "[two]", s.owned(t, auth.Contributor, "three"): "[]",
	} {
		if got := namesIn(s.make(t, call{method: "GET", path: "/assay/v1/providers", token: token}).want(t, http.StatusOK), "providers"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestProviderRoutesNeedPermission of the data plane's kind.
func TestProviderRoutesNeedPermission(t *testing.T) {
	s := nativeService(t)
	s.native(t, "PUT", "/demo", `{}`).want(t, http.StatusCreated)
	arm, err := s.dev.Token(auth.Owner, []string{"*"}, auth.DefaultAudiences(auth.ControlPlane), now(), hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []call{
		{method: "GET", path: "/assay/v1/providers"}, {method: "GET", path: "/assay/v1/providers/demo"}, {method: "PUT", path: "/assay/v1/providers/demo"},
		{method: "PATCH", path: "/assay/v1/providers/demo"}, {method: "DELETE", path: "/assay/v1/providers/demo"}, {method: "PUT", path: "/assay/v1/providers/new"},
	} {
		tokens := []string{"x.y.z", arm}
		if !strings.HasSuffix(c.path, "providers") {
			tokens = append(tokens, s.owned(t, auth.Owner, "other"))
		}
		if c.method != "GET" {
			tokens = append(tokens, s.token(t, auth.Reader))
		}
		for n, token := range tokens {
			c.token = token
			if a := s.make(t, c); a.status != http.StatusUnauthorized {
				t.Errorf("%s %s with token %d: status %d: %s", c.method, c.path, n, a.status, a.body)
			}
		}
	}
}

// TestProviderNamesThatWouldShareAHost shows that no provider gets the URL of another.
func TestProviderNamesThatWouldShareAHost(t *testing.T) {
	s := start(t, config.Config{ProviderURL: "https://{name}{location}.attest.test"})
	s.native(t, "PUT", "/abc", `{"location":"de"}`).want(t, http.StatusCreated)
	s.native(t, "PUT", "/abcd", `{"location":"e"}`).refused(t, http.StatusConflict, "Conflict", "", "URL")
	list := s.native(t, "GET", "", "").want(t, http.StatusOK)
	if got := namesIn(list, "providers"); got != "[abc default]" || !slices.Equal(slices.Collect(maps.Keys(list)), []string{"providers"}) {
		t.Errorf("got %s", got)
	}
}

// TestProviderChangesAreAudited as those of the provider that they are about, whichever it was sent to (management.md section 11).
func TestProviderChangesAreAudited(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	s := start(t, config.Config{ARMFacade: true, ProviderURL: "https://{name}.attest.test", Audit: config.Audit{File: file}})
	path := armProviders + "/demo"
	for _, c := range []call{
		{method: "PUT", path: path, body: plain}, {method: "PUT", path: path, body: plain}, {method: "PATCH", path: path, body: "{}"},
		{method: "PATCH", path: path, body: "{}", token: s.token(t, auth.Reader)}, {method: "PUT", path: path, body: strings.Replace(plain, "westus", "mars", 1)},
		{method: "DELETE", path: path}, {method: "PATCH", path: path, body: "{}"},
	} {
		c.version = "2021-06-01"
		s.make(t, c)
	}
	s.stop()
	trail, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(trail) {
		var entry struct {
			Record struct {
				OperationName, ResourceID, ResultSignature string
				Properties                                 struct{ Provider, Before, After string }
			}
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		r := entry.Record
		if r.Properties.Provider == "demo" {
			got = append(got, fmt.Sprintf("%s %s %t %t", r.OperationName, r.ResultSignature, r.Properties.Before != "", r.Properties.After != ""))
			if r.ResourceID != path {
				t.Errorf("resourceId %s, want %s", r.ResourceID, path)
			}
		}
	}
	want := []string{
		"CreateProvider 200 false true", "UpdateProvider 200 true true", "UpdateProvider 200 true true", "UpdateProvider 401 false false",
		"UpdateProvider 409 false false", "DeleteProvider 200 true false", "UpdateProvider 404 false false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
