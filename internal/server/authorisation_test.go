package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
)

// TestEveryOperationIsInTheTable: nobody adds an operation without saying who may do it.
func TestEveryOperationIsInTheTable(t *testing.T) {
	e := startEstate(t, config.Config{ARMFacade: true})
	rows := map[string]need{}
	for _, x := range expectations() { // of two rows for one the later version's, which is the usual one
		rows[x.key()] = x.needs
	}
	met := map[string]bool{}
	for _, op := range e.service.Operations() {
		key := expectation{method: op.Method, pattern: op.Pattern}.key()
		needs, ok := rows[key]
		if met[key] = true; !ok {
			t.Errorf("%s (%s) has no row that says who may do it", key, op.Name)
		} else if op.Permission != needs.permission() {
			t.Errorf("%s asks for the permission %q, want %q", key, op.Permission, needs.permission())
		}
	}
	for key := range rows {
		if !met[key] {
			t.Errorf("%s is in the table, and the service does not have it", key)
		}
	}
}

// caller is somebody who tries every operation.
type caller struct {
	name  string
	token string
	may   []need // what it is allowed beside nothing
}

// on are the callers of one side, which differ by what their tokens are for.
type on struct{ right, other string }

// callers are those of issue and specification: the ones whose token proves nothing, and those whose roles do not go far enough.
func (e *estate) callers(t *testing.T, side on) []caller {
	t.Helper()
	now := time.Now()
	owner := e.claims("default.owner", "aud", side.right)
	role := func(name string) string { return e.v1.Token(changed(owner, "roles", []string{name})) }
	applied := application
	if side.right == controlPlane { // where both versions name the resource manager
		applied = side.right
	}
	dev, err := e.dev.Token(auth.Owner, []string{auth.AllProviders}, nil, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	second := func(role string, changes ...any) string {
		return e.v2.Token(changed(e.v2.ClaimsV2(now, applied), append(changes, "roles", []string{role})...))
	}
	with := func(changes ...any) string { return e.v1.Token(changed(owner, changes...)) }
	all := []need{listing, reading, writing, deleting, ownership}
	return []caller{
		{"no token", "", nil},
		{"no JWT", "secret", nil},
		{"expired", with("exp", now.Add(-time.Second).Unix()), nil},
		{"expired, v2", second("default.owner", "exp", now.Add(-time.Second).Unix()), nil},
		{"never expires", with("exp", nil), nil},
		{"not yet valid", with("nbf", now.Add(auth.NotBeforeLeeway+time.Minute).Unix()), nil},
		{"wrong audience", with("aud", "https://vault.azure.net"), nil},
		{"no audience", with("aud", nil), nil},
		{"for the other side, v2", second("default.owner", "aud", side.other), nil},
		{"for the other side", with("aud", side.other), nil},
		{"wrong issuer", with("iss", "https://sts.windows.net/another/"), nil},
		{"issuer of the other version", with("iss", entraV2), nil},
		{"unsigned", e.v1.Unsigned(owner), nil},
		{"secret", e.v1.Secret(owner), nil},
		{"tampered", e.v1.Tampered(changed(owner, "roles", []string{"default.reader"}), owner), nil},
		{"unknown key", e.v1.UnknownKey(owner), nil},
		{"development issuer", dev, nil},
		{"no role", with("roles", nil), nil},
		{"a role that nobody maps", role("default.admin"), nil},
		{"owner of another provider", role("other.owner"), []need{listing}},
		{"reader", role("default.reader"), []need{listing, reading}},
		{"reader, v2", second("default.reader"), []need{listing, reading}},
		{"contributor", role("default.contributor"), []need{listing, reading, writing, deleting}},
		{"contributor, v2", second("default.contributor"), []need{listing, reading, writing, deleting}},
		{"owner", role("default.owner"), all},
		{"owner of all", role("All.owner"), all},
	}
}

// TestAuthorisationMatrix has every caller try every operation. An operation that is allowed is done, which may well end in a
// refusal of the empty body that it was sent.
func TestAuthorisationMatrix(t *testing.T) {
	e := startEstate(t, config.Config{ARMFacade: true}, store.Provider{Name: "other"})
	for _, side := range []on{{dataPlane, controlPlane}, {controlPlane, dataPlane}} {
		for _, c := range e.callers(t, side) {
			t.Run(c.name+" for "+side.right, func(t *testing.T) { e.try(t, side, c) })
		}
	}
}

// try has one caller try every operation of a side.
func (e *estate) try(t *testing.T, side on, c caller) {
	t.Helper()
	done := []int{http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict}
	for _, x := range expectations() {
		if right, _ := x.audience(); right != side.right {
			continue
		}
		allowed := x.needs == nothing || slices.Contains(c.may, x.needs)
		a := e.send(t, sending{method: x.method, path: x.path(), token: c.token})
		switch {
		case allowed && !slices.Contains(done, a.status):
			t.Errorf("%s: %s %s: status %d, want it allowed: %s", c.name, x.method, x.path(), a.status, a.body)
		case !allowed && a.status != http.StatusUnauthorized:
			t.Errorf("%s: %s %s: status %d, want 401: %s", c.name, x.method, x.path(), a.status, a.body)
		case !allowed:
			e.checkUnauthorised(t, x, a)
		}
	}
}

// checkUnauthorised holds a 401 to the form that was recorded (api.md section 5).
func (e *estate) checkUnauthorised(t *testing.T, x expectation, a answer) {
	t.Helper()
	resource, _ := x.audience()
	want := `Bearer authorization_uri="` + e.v1.Discovery() + `", resource="` + strings.TrimSuffix(resource, "/") + `"`
	if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got+",", want+",") {
		t.Errorf("%s %s: WWW-Authenticate %s, want %s", x.method, x.path(), got, want)
	}
	var message string
	if x.form == bare {
		decode(t, a.body, &message)
	} else {
		p := a.problem(t)
		if message = p.Message; p.Code != "Unauthorized" || strings.Contains(string(a.body), "innererror") {
			t.Errorf("%s %s: %s", x.method, x.path(), a.body)
		}
	}
	path, _, _ := strings.Cut(x.path(), "?")
	if len(path) > 64 { // as much of a request as an answer repeats
		path = path[:64] + "…"
	}
	if want := "Access to " + path + " requires a valid JWT bearer token"; !strings.HasPrefix(message, want) {
		t.Errorf("message %q, want it to begin with %q", message, want)
	}
}

// TestMissingTokenIsRefusedAsRecorded compares the whole body with that of December 2020 (api.md section 5).
func TestMissingTokenIsRefusedAsRecorded(t *testing.T) {
	e := startEstate(t, config.Config{})
	a := e.send(t, sending{method: "GET", path: "/policies/SgxEnclave?api-version=2020-10-01"})
	if want := `{"error":{"code":"Unauthorized","message":"Access to /policies/SgxEnclave requires a valid JWT bearer token"}}`; string(a.body) != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	a = e.send(t, sending{method: "GET", path: "/certificates?api-version=2020-10-01"})
	if p := a.problem(t); p.Message != "Access to /certificates requires a valid JWT bearer token" {
		t.Errorf("got %s", a.body)
	}
	a = e.send(t, sending{method: "GET", path: "/operations/policy/certificates?api-version=2018-09-01-preview"})
	if want := `"Access to /operations/policy/certificates requires a valid JWT bearer token"`; string(a.body) != want {
		t.Errorf("got %s, want %s", a.body, want)
	}
}

// TestNothingElseIsReachable: what is not in the table is not there, whoever asks.
func TestNothingElseIsReachable(t *testing.T) {
	e := startEstate(t, config.Config{ARMFacade: true})
	offered := map[string][]string{}
	for _, x := range expectations() {
		offered[x.pattern] = append(offered[x.pattern], x.method)
	}
	for _, x := range expectations() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "get", "PROPFIND"} {
			has := offered[x.pattern]
			if slices.Contains(has, method) || method == "HEAD" && slices.Contains(has, "GET") {
				continue
			}
			a := e.send(t, sending{method: method, path: x.path(), token: e.tokenFor(x, "All.owner")})
			if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
				t.Errorf("%s %s: status %d with Allow %q, want 405", method, x.path(), a.status, a.header.Get("Allow"))
			}
		}
		e.checkVariants(t, x, e.tokenFor(x, "All.owner"))
	}
}

// hasNamesBelow reports whether any name can follow a path.
func hasNamesBelow(pattern string) bool {
	return slices.ContainsFunc(expectations(), func(x expectation) bool { return strings.HasPrefix(x.pattern, pattern+"/{") })
}

// checkVariants asks for paths that a careless reader takes for the operation's.
func (e *estate) checkVariants(t *testing.T, x expectation, token string) {
	t.Helper()
	path, query, _ := strings.Cut(x.path(), "?")
	last := strings.LastIndexByte(path, '/')
	for _, variant := range []string{
		"/" + path, "/." + path, "/x/.." + path, "/%2f" + path[1:], path + "//", path[:last] + "//" + path[last+1:], path[:last] + "/./" + path[last+1:],
		path[:last] + "%2f" + path[last+1:], path[:last] + "%2F" + path[last+1:], path + "/", path + "/.", path + "%2f", path + "%00", path + ";x", path + ";x=y",
		path + "%20", path[:last] + "/;/" + path[last+1:], path[:last] + `\` + path[last+1:], path + ".json",
	} {
		if variant == "/certs/" || !strings.HasPrefix(variant, "/") {
			continue
		}
		a := e.send(t, sending{method: x.method, path: variant + "?" + query, token: token})
		// Where the pattern has a name, or one of those below it, what was put in can be part of a name, of which there is nothing.
		named := (strings.Contains(x.pattern, "}") || hasNamesBelow(x.pattern)) && slices.Contains([]int{http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNoContent}, a.status)
		if a.status != http.StatusNotFound && !named {
			t.Errorf("%s %s: status %d, want 404: %s", x.method, variant, a.status, a.body)
		}
	}
}

// TestHeadAndCaseOpenNothing: HEAD needs what GET needs, and a path is the same in every case.
func TestHeadAndCaseOpenNothing(t *testing.T) {
	e := startEstate(t, config.Config{ARMFacade: true}, store.Provider{Name: "other"})
	for _, x := range expectations() {
		if x.needs == nothing {
			continue
		}
		path, query, _ := strings.Cut(x.path(), "?")
		for _, odd := range []string{strings.ToUpper(path), strings.ToLower(path)} {
			if a := e.send(t, sending{method: x.method, path: odd + "?" + query, token: e.tokenFor(x, "stranger")}); a.status != http.StatusUnauthorized {
				t.Errorf("%s %s: status %d, want 401", x.method, odd, a.status)
			}
		}
		if x.method != "GET" {
			continue
		}
		a := e.send(t, sending{method: "HEAD", path: x.path()})
		if a.status != http.StatusUnauthorized || len(a.body) > 0 || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("HEAD %s: status %d, %d bytes, want 401 and none", x.path(), a.status, len(a.body))
		}
		if a := e.send(t, sending{method: "HEAD", path: x.path(), token: e.tokenFor(x, "default.reader")}); a.status == http.StatusUnauthorized {
			t.Errorf("HEAD %s: the reader is refused", x.path())
		}
	}
}

// tokenFor is an access token for the side of an operation.
func (e *estate) tokenFor(x expectation, role string) string {
	right, _ := x.audience()
	return e.v1.Token(e.claims(role, "aud", right))
}

// TestTokenInAnotherPlaceCountsForNothing: one header is where it belongs.
func TestTokenInAnotherPlaceCountsForNothing(t *testing.T) {
	e := startEstate(t, config.Config{})
	token := e.token("default.reader")
	const path = "/certificates?api-version=2022-08-01"
	for _, q := range []sending{
		{path: path + "&access_token=" + token}, {path: path, authorization: token}, {path: path, authorization: "Basic " + token},
		{path: path, authorization: "Bearer  " + token}, {path: path, authorization: "Bearer " + token + " "}, {path: path, authorization: "Bearer " + token + ", Bearer " + token},
		{path: path, authorization: "Bearer"}, {path: path, authorization: "Bearer " + token[:len(token)-4]},
	} {
		q.method = "GET"
		if a := e.send(t, q); a.status != http.StatusUnauthorized && !strings.HasSuffix(q.authorization, " ") { // HTTP drops that blank
			t.Errorf("%.60s, %.20s: status %d, want 401", q.path, q.authorization, a.status)
		}
	}
	if a := e.send(t, sending{method: "GET", path: path, authorization: "bearer " + token}); a.status != http.StatusOK {
		t.Errorf("the name of the scheme has no case: status %d", a.status)
	}
}

// TestOpenProvidersAskForNoToken covers the three cases in which an operation that needs reading does not (api.md section 5).
func TestOpenProvidersAskForNoToken(t *testing.T) {
	const policy, tpm = "GET /policies/SgxEnclave?api-version=2022-08-01", "POST /attest/Tpm?api-version=2022-08-01"
	const old = "GET /operations/policy/current?api-version=2018-09-01-preview&tee=SgxEnclave"
	e := startEstate(t, config.Config{},
		store.Provider{Name: "shared-one", Shared: true},
		store.Provider{Name: "shared-strict", Shared: true, Settings: []byte(`{"strict":true}`)},
		store.Provider{Name: "open-policies", Settings: []byte(`{"anonymous_policy_read":true}`)},
		store.Provider{Name: "open-strict", Settings: []byte(`{"anonymous_policy_read":true,"strict":true}`)},
		store.Provider{Name: "open-tpm", TPMAttestationAuthentication: "Disabled"},
		store.Provider{Name: "closed-tpm", TPMAttestationAuthentication: "Enabled"})
	open := map[string][]string{
		provider.Default: nil, "shared-one": {policy, old}, "shared-strict": nil, "open-policies": {policy, old}, "open-strict": nil, "open-tpm": {tpm}, "closed-tpm": nil,
	}
	for name, operations := range open {
		for _, op := range []string{policy, old, tpm, "GET /certificates?api-version=2022-08-01", "PUT /policies/SgxEnclave?api-version=2022-08-01",
			"GET /assay/v1/policies/SgxEnclave/versions", "POST /attest/SgxEnclave?api-version=2018-09-01-preview", "GET /assay/v1/explanations/x"} {
			method, path, _ := strings.Cut(op, " ")
			a := e.send(t, sending{at: name, method: method, path: path})
			if got := a.status != http.StatusUnauthorized; got != slices.Contains(operations, op) {
				t.Errorf("%s: %s without a token: status %d, want it open: %t", name, op, a.status, !got)
			}
			if strict := strings.HasSuffix(name, "-strict"); op == policy && strict != strings.Contains(a.header.Get("WWW-Authenticate"), "strict is on") {
				t.Errorf("%s: %s", name, a.header.Get("WWW-Authenticate"))
			}
		}
	}
}
