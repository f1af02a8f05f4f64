package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
)

const references = "/assay/v1/references"

// measured is the body of a reference value of an enclave, with further members.
func measured(digit string, more ...string) string {
	return `{"type":"SgxEnclave","values":{"x-ms-sgx-mrenclave":["` + strings.Repeat(digit, 64) + `"]}` + strings.Join(append([]string{""}, more...), ",") + "}"
}

// putReference sets one as a contributor and gives its ETag.
func (e *estate) putReference(t testing.TB, at, name, body string, status int) string {
	t.Helper()
	a := e.send(t, sending{at: at, method: http.MethodPut, path: references + "/" + name, body: body, token: e.token(at + ".contributor")})
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a.header.Get("ETag")
}

// referencesOf lists reference values as somebody who may read: name and state of each.
func (e *estate) referencesOf(t testing.TB, at, query string) string {
	t.Helper()
	a := e.send(t, sending{at: at, method: http.MethodGet, path: references + query, token: e.token(at + ".reader")})
	var list struct {
		References []struct{ Name, State string }
	}
	if decode(t, a.body, &list); a.status != http.StatusOK || list.References == nil {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var all []string
	for _, r := range list.References {
		all = append(all, r.Name+" "+r.State)
	}
	return strings.Join(all, ", ")
}

func TestReferencesAreMadeReadReplacedAndDeleted(t *testing.T) {
	e := startEstate(t, config.Config{})
	token := e.token("default.contributor")
	one := sending{path: references + "/golden", token: token}
	do := func(method, body string, status int) answer {
		t.Helper()
		q := one
		q.method, q.body = method, body
		a := e.send(t, q)
		if a.status != status {
			t.Fatalf("%s: status %d, want %d: %s", method, a.status, status, a.body)
		}
		return a
	}
	made := do("PUT", measured("a", `"owner":"ops","provenance":{"source":"build 7"}`), http.StatusCreated)
	var got struct {
		Name, Type, Owner, State string
		Version                  int64
		Values                   map[string][]string
		Provenance               struct{ Source string }
		Changed                  struct {
			By string
			At time.Time
		}
	}
	decode(t, made.body, &got)
	if got.Name != "golden" || got.Type != "SgxEnclave" || got.Owner != "ops" || got.State != "in-force" || got.Provenance.Source != "build 7" ||
		got.Values["x-ms-sgx-mrenclave"][0] != strings.Repeat("a", 64) || got.Changed.By == "" || time.Since(got.Changed.At) > time.Minute {
		t.Errorf("made: %s", made.body)
	}
	if tag := made.header.Get("ETag"); tag != fmt.Sprintf(`"%d"`, got.Version) {
		t.Errorf("ETag %s of version %d", tag, got.Version)
	}
	if read := do("GET", "", http.StatusOK); string(read.body) != string(made.body) || read.header.Get("ETag") != made.header.Get("ETag") {
		t.Errorf("made %s\nread %s", made.body, read.body)
	}
	replaced := do("PUT", measured("b"), http.StatusOK)
	if replaced.header.Get("ETag") == made.header.Get("ETag") || strings.Contains(string(replaced.body), "ops") {
		t.Errorf("replaced: %s", replaced.body)
	}
	do("DELETE", "", http.StatusNoContent)
	do("GET", "", http.StatusNotFound)
	do("DELETE", "", http.StatusNotFound)
	if again := do("PUT", measured("b"), http.StatusCreated); again.header.Get("ETag") == replaced.header.Get("ETag") {
		t.Error("a name that is used again has an ETag of before")
	}
	var trailed []string
	for _, r := range trail(t, e.cfg.Data) {
		if strings.HasSuffix(r.OperationName, "Reference") && r.ResultSignature != "404" {
			trailed = append(trailed, fmt.Sprintf("%s %t %t", r.OperationName, r.Properties.Before != "", r.Properties.After != ""))
		}
	}
	want := "SetReference false true, SetReference true true, DeleteReference true false, SetReference false true"
	if got := strings.Join(trailed, ", "); got != want {
		t.Errorf("the trail has %s, want %s", got, want)
	}
}

func TestChangesOfReferencesCanBeConditional(t *testing.T) {
	e := startEstate(t, config.Config{})
	first := e.putReference(t, "default", "g", measured("a"), http.StatusCreated)
	second := e.putReference(t, "default", "g", measured("b"), http.StatusOK)
	for _, tt := range []struct {
		q      sending
		status int
		code   string
	}{
		{sending{method: "PUT", ifMatch: first}, http.StatusConflict, "Conflict"},
		{sending{method: "PUT", ifNoneMatch: "*"}, http.StatusConflict, "Conflict"},
		{sending{method: "PUT", ifNoneMatch: second}, http.StatusBadRequest, "InvalidParameter"},
		{sending{method: "PUT", ifMatch: second, ifNoneMatch: "*"}, http.StatusBadRequest, "InvalidParameter"},
		{sending{method: "PUT", ifMatch: "7"}, http.StatusBadRequest, "InvalidParameter"},
		{sending{method: "DELETE", ifMatch: first}, http.StatusConflict, "Conflict"},
		{sending{method: "DELETE", ifMatch: "x"}, http.StatusBadRequest, "InvalidParameter"},
	} {
		tt.q.path, tt.q.token, tt.q.body = references+"/g", e.token("default.contributor"), measured("c")
		if a := e.send(t, tt.q); a.status != tt.status || a.problem(t).Code != tt.code {
			t.Errorf("%+v: status %d: %s", tt.q, a.status, a.body)
		}
	}
	for _, q := range []sending{
		{method: "PUT", path: references + "/g", ifMatch: second}, {method: "PUT", path: references + "/h", ifNoneMatch: "*"},
	} {
		q.token, q.body = e.token("default.contributor"), measured("c")
		if a := e.send(t, q); a.status/100 != 2 {
			t.Errorf("%+v: status %d: %s", q, a.status, a.body)
		}
	}
}

func TestReferencesAreListedWithTheirStates(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "other"})
	day := func(n int) string { return `"` + time.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339) + `"` }
	for name, more := range map[string]string{"a": `"owner":"ops"`, "b": `"notBefore":` + day(1), "c": `"notAfter":` + day(13), "d": `"notAfter":` + day(-1), "e": `"notAfter":` + day(15)} {
		e.putReference(t, "default", name, measured("a", more), http.StatusCreated)
	}
	e.putReference(t, "other", "f", measured("a"), http.StatusCreated)
	const all = "a in-force, b not-yet, c expires-soon, d expired, e in-force"
	for query, want := range map[string]string{"": all, "?top=2": "a in-force, b not-yet", "?after=C": "d expired, e in-force", "?after=e": ""} {
		if got := e.referencesOf(t, "default", query); got != want {
			t.Errorf("%q lists %s, want %s", query, got, want)
		}
	}
	if got := e.referencesOf(t, "other", ""); got != "f in-force" {
		t.Errorf("another provider lists %s", got)
	}
	for _, method := range []string{"GET", "DELETE"} { // what is of one provider is nothing to another
		if a := e.send(t, sending{at: "other", method: method, path: references + "/a", token: e.token("other.owner")}); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", method, a.status, a.body)
		}
	}
	if got := e.referencesOf(t, "default", ""); got != all {
		t.Errorf("afterwards there are %s", got)
	}
}

func TestUnsoundReferencesAreRefusedWithWhatWasExpected(t *testing.T) {
	e := startEstate(t, config.Config{})
	for name, tt := range map[string]struct{ name, body, fragment string }{
		"no JSON": {"g", "{", ""}, "no values": {"g", `{"type":"SgxEnclave"}`, "values or minimums"}, "a name": {"g%20h", measured("a"), `"invalid reference value: expected a name`},
		"a Kelvin sign":  {"%E2%84%AA", measured("a"), "name"},
		"unknown member": {"g", measured("a", `"vaules":{}`), "vaules"},
	} {
		a := e.send(t, sending{method: "PUT", path: references + "/" + tt.name, body: tt.body, token: e.token("default.contributor")})
		if a.status != http.StatusBadRequest || a.problem(t).Code != "InvalidParameter" || !strings.Contains(string(a.body), tt.fragment) {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
}

// TestPoliciesSeeReferencesOfTheirProvider follows one from its PUT to the decision and to its end.
func TestPoliciesSeeReferencesOfTheirProvider(t *testing.T) {
	e, _, _ := twoTenants(t)
	attest := func(at string) answer {
		return e.send(t, sending{at: at, method: "POST", path: sgxPath, body: e.quote(t)})
	}
	mrenclave := attest("one").claims(t)["x-ms-sgx-mrenclave"].(string)
	const policy = `version=1.0;authorizationrules{c:[type=="assay-reference", value=="golden", issuer=="ReferenceValue"] => permit();};issuancerules{};`
	for _, at := range []string{"one", "two"} {
		if a := e.set(t, at, unsigned(policyPayload(policy))); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	body := strings.Replace(measured("a"), strings.Repeat("a", 64), mrenclave, 1)
	e.putReference(t, "one", "other", body, http.StatusCreated)
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, http.StatusBadRequest},
		{func() { e.putReference(t, "one", "golden", body, http.StatusCreated) }, http.StatusOK},
		{func() { e.putReference(t, "one", "golden", measured("a"), http.StatusOK) }, http.StatusBadRequest},
	} {
		step.do()
		if a := attest("one"); a.status != step.want {
			t.Errorf("status %d, want %d: %s", a.status, step.want, a.body)
		}
		if a := attest("two"); a.status != http.StatusBadRequest {
			t.Errorf("another provider: status %d: %s", a.status, a.body)
		}
	}
}

// TestReferencesAreShownToReadersOnly: refusals of the policy name none to others.
func TestReferencesAreShownToReadersOnly(t *testing.T) {
	for name, text := range map[string]string{
		"compared": `version=1.0;authorizationrules{c:[type=="x-ms-sgx-mrenclave"] && [type=="assay-reference-x-ms-sgx-mrenclave", value==c.value] => permit();};`,
		"denied":   `version=1.0;authorizationrules{[type=="assay-reference-x-ms-sgx-mrenclave"] => deny();};`,
		"failing":  `version=1.2;authorizationrules{c:[type=="assay-reference-x-ms-sgx-mrenclave"] => add(type="x", value=JmesPath(c.value, "@"));};`,
	} {
		e := startEstate(t, config.Config{Dev: true, Policies: map[string]string{"SgxEnclave": tempFile(t, text)}})
		secrets := []string{strings.Repeat("a", 64), strings.Repeat("b", 64)}
		for n, digit := range []string{"a", "b"} {
			e.putReference(t, "default", fmt.Sprint("g", n), measured(digit), http.StatusCreated)
		}
		for who, token := range map[string]string{"nobody": "", "reader": e.token("default.reader")} {
			a := e.send(t, sending{method: "POST", path: sgxPath, body: e.quote(t), token: token})
			a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "Policy Engine Exception")
			for _, secret := range secrets {
				if strings.Contains(string(a.body), secret) != (who == "reader") {
					t.Errorf("%s: %s is told %s", name, who, a.body)
				}
			}
		}
	}
}

// TestReferenceThatCannotBeReadStopsAttestation until its owner deletes it: a policy may deny what matches it.
func TestReferenceThatCannotBeReadStopsAttestation(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "other"})
	e.behind(t, func(tx *store.Tx) error {
		p, err := tx.ProviderNamed("default")
		_, err2 := tx.PutReference(store.Reference{ProviderID: p.ID, Name: "new", Body: jsontext.Value(`{"name":"of a newer program"}`)})
		return errors.Join(err, err2)
	})
	e.check(t, []sent{
		{sending{method: "POST", path: sgxPath, body: junkQuote}, http.StatusInternalServerError},
		{sending{method: "POST", path: oePath, body: `{"report":"AAAA"}`}, http.StatusInternalServerError},
		{sending{at: "other", method: "POST", path: sgxPath, body: junkQuote}, http.StatusBadRequest},
		{sending{method: "GET", path: references + "/new", token: e.token("default.reader")}, http.StatusOK},
	})
	if got := e.referencesOf(t, "default", ""); got != "new unreadable" {
		t.Errorf("listed %s", got)
	}
	e.check(t, []sent{
		{sending{method: "DELETE", path: references + "/new", token: e.token("default.contributor")}, http.StatusNoContent},
		{sending{method: "POST", path: sgxPath, body: junkQuote}, http.StatusBadRequest},
	})
}

// TestReferencesOfAProviderThatIsNotUpToDateCanBeDeleted, and not be set.
func TestReferencesOfAProviderThatIsNotUpToDateCanBeDeleted(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "other"})
	e.putReference(t, "other", "g", measured("a"), http.StatusCreated)
	e.behind(t, func(tx *store.Tx) error {
		p, err := tx.ProviderNamed("other")
		p.Settings = []byte(`{"of_a_newer_program":true}`)
		return errors.Join(err, tx.UpdateProvider(p))
	})
	e.check(t, []sent{
		{sending{at: "other", method: "PUT", path: references + "/h", body: measured("a"), token: e.token("other.contributor")}, http.StatusInternalServerError},
		{sending{at: "other", method: "DELETE", path: references + "/g", token: e.token("other.contributor")}, http.StatusNoContent},
	})
}

// TestConcurrentChangesOfAReferenceLoseNothing: each of fifty reads, adds its own and writes with If-Match, again if another was faster. Of
// those who read the same, one may write.
func TestConcurrentChangesOfAReferenceLoseNothing(t *testing.T) {
	e := startEstate(t, config.Config{})
	e.putReference(t, "default", "g", measured("a"), http.StatusCreated)
	pending := make([]int, writers)
	for n := range pending {
		pending[n] = n
	}
	atOnce := writers // at first, and then a few
	for len(pending) > 0 {
		values, tag := e.valuesOf(t, "g")
		var requests []sending
		for _, n := range pending[:min(atOnce, len(pending))] {
			body := `{"type":"SgxEnclave","values":{"x-ms-sgx-mrenclave":["` + strings.Join(append(values, fmt.Sprintf("%064x", n)), `","`) + `"]}}`
			requests = append(requests, sending{method: "PUT", path: references + "/g", token: e.token("default.contributor"), ifMatch: tag, body: body})
		}
		won := -1
		for i, a := range e.atOnce(t, requests) {
			if a.status == http.StatusOK && won < 0 {
				won = i
			} else if a.status != http.StatusConflict {
				t.Fatalf("status %d after %d won: %s", a.status, won, a.body)
			}
		}
		if won < 0 {
			t.Fatal("nobody could write")
		}
		pending, atOnce = slices.Delete(pending, won, won+1), 4
	}
	if values, _ := e.valuesOf(t, "g"); len(values) != writers+1 {
		t.Errorf("%d values, want %d", len(values), writers+1)
	}
}

// valuesOf reads the measurements of a reference value, and its ETag.
func (e *estate) valuesOf(t testing.TB, name string) (values []string, tag string) {
	t.Helper()
	a := e.send(t, sending{method: "GET", path: references + "/" + name, token: e.token("default.reader")})
	var got struct{ Values map[string][]string }
	decode(t, a.body, &got)
	return got.Values["x-ms-sgx-mrenclave"], a.header.Get("ETag")
}

// TestTheServiceSaysWhichReferencesEnd in its log and in a gauge.
func TestTheServiceSaysWhichReferencesEnd(t *testing.T) {
	cfg := config.Config{}
	cfg.Keys.PublishLead = 2 * time.Second // so that maintenance comes often
	s := start(t, cfg)
	put := func(name string, left time.Duration) {
		t.Helper()
		until := `"notAfter":"` + time.Now().Add(left).UTC().Format(time.RFC3339) + `","owner":"ops"`
		if a := s.make(t, call{method: http.MethodPut, path: references + "/" + name, body: measured("a", until)}); a.status != http.StatusCreated {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	const day = 24 * time.Hour
	put("later", 15*day)
	put("long-ended", -2*day)
	put("ended", -time.Hour)
	put("soon", 13*day)
	warned := func() (names string) {
		for line := range strings.Lines(s.log.String()) {
			var event struct{ Level, Msg, Name, Provider, Type, Owner, State string }
			if json.Unmarshal([]byte(line), &event) == nil && event.Msg == "a reference value ends" {
				names += strings.Join([]string{event.Level, event.Provider, event.Name, event.Type, event.Owner, event.State}, " ") + "\n"
			}
		}
		return names
	}
	const want = "WARN default ended SgxEnclave ops expired\nWARN default soon SgxEnclave ops expires-soon\n"
	for end := time.Now().Add(10 * time.Second); len(warned()) < len(want) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	lines := slices.Sorted(strings.Lines(warned()))
	if got := strings.Join(lines, ""); got != want {
		t.Errorf("warned:\n%s\nwant:\n%s", got, want)
	}
	ops, err := s.Config.Handler.(*server.Server).Ops()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	ops.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	_, value, _ := strings.Cut(w.Body.String(), "\nassay_reference_expiry_seconds ")
	var seconds float64
	if _, err := fmt.Sscan(value, &seconds); err != nil || seconds > -3500 || seconds < -3700 {
		t.Errorf("the gauge says %v, %v; want an hour ago", seconds, err)
	}
}
