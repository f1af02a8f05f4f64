package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/result"
)

// keySet is what relying parties of a provider trust.
func (e *estate) keySet(t *testing.T, at string) *result.KeySet {
	t.Helper()
	set, err := result.ParseKeySet(e.send(t, sending{at: at, method: "GET", path: "/certs"}).body)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// tokenOf is the token that an answer consists of.
func tokenOf(t *testing.T, a answer) string {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var token string
	if json.Unmarshal(a.body, &token) == nil {
		return token
	}
	var answer struct{ Token string }
	decode(t, a.body, &answer)
	return answer.Token
}

// quote is the body of an attest request with sound evidence.
func (e *estate) quote(t *testing.T) string {
	t.Helper()
	b, err := e.intel.Scenario(time.Now().UTC().Truncate(24 * time.Hour)).Quote()
	if err != nil {
		t.Fatal(err)
	}
	return text(body{"quote": b64url(b)})
}

// twoTenants is a service in development mode, which can attest, with two providers of each trust model.
func twoTenants(t *testing.T) (e *estate, first, second *signer) {
	t.Helper()
	first, second = root(t, "signer"), root(t, "signer")
	return startEstate(t, config.Config{Dev: true}, store.Provider{Name: "one"}, store.Provider{Name: "two"},
		store.Provider{Name: "one-isolated", Signers: [][]byte{first.der()}}, store.Provider{Name: "two-isolated", Signers: [][]byte{second.der()}}), first, second
}

// TestTokensOfOneProviderAreNothingToAnother: keys differ, and so nobody's token verifies with another's key set, under whatever
// issuer one looks for.
func TestTokensOfOneProviderAreNothingToAnother(t *testing.T) {
	e, _, _ := twoTenants(t)
	names := []string{provider.Default, "one", "two", "one-isolated", "two-isolated"}
	owner := map[string]string{}
	for _, name := range names {
		for _, id := range e.keySet(t, name).IDs() {
			if other := owner[id]; other != "" {
				t.Errorf("%s and %s share the key %s", name, other, id)
			}
			owner[id] = name
		}
	}
	for _, q := range []sending{
		{method: "POST", path: sgxPath, body: e.quote(t)},
		{method: "GET", path: sgxPolicy, token: e.token("All.owner")},
		{method: "POST", path: "/operations/policy/updatepolicy?tee=SgxEnclave&api-version=" + preview, body: unsigned(policyPayload(numbered(1))), token: e.token("All.owner")},
	} {
		q.at = "one"
		token := tokenOf(t, e.send(t, q))
		for _, name := range names {
			for _, issuer := range []string{e.sites["one"].URL, e.sites[name].URL} {
				_, err := result.Verify(token, e.keySet(t, name), result.Expect{Issuer: issuer, At: time.Now(), AllowDevelopment: true})
				if (err == nil) != (name == "one") {
					t.Errorf("a token of one, %s, with the keys of %s for the issuer %s: %v", q.path, name, issuer, err)
				}
			}
		}
	}
}

// TestRolesAtOneProviderAreNothingAtAnother tries every operation with the roles of a neighbour.
func TestRolesAtOneProviderAreNothingAtAnother(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "one"}, store.Provider{Name: "two"})
	for _, x := range expectations() {
		if x.needs == nothing || x.needs == listing || strings.Contains(x.pattern, "{name}") { // the path says which provider
			continue
		}
		for _, role := range []string{"one.owner", "one.contributor", "one.reader", "default.owner"} {
			a := e.send(t, sending{at: "two", method: x.method, path: x.path(), token: e.token(role)})
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s %s as %s at two: status %d", x.method, x.path(), role, a.status)
			}
		}
		if a := e.send(t, sending{at: "two", method: x.method, path: x.path(), token: e.token("two.owner")}); a.status == http.StatusUnauthorized {
			t.Errorf("%s %s as its owner: status %d", x.method, x.path(), a.status)
		}
	}
}

// TestListsShowWhatTheCallerMayRead: of the providers of a service everybody sees those that are his, wherever he asks.
func TestListsShowWhatTheCallerMayRead(t *testing.T) {
	e := startEstate(t, config.Config{ARMFacade: true}, store.Provider{Name: "one"}, store.Provider{Name: "two"})
	names := []string{provider.Default, "one", "two"}
	for _, x := range expectations() {
		if x.needs != listing || !strings.HasSuffix(strings.ToLower(x.pattern), "providers") || strings.Contains(x.pattern, "default") {
			continue
		}
		for role, sees := range map[string][]string{"one.reader": {"one"}, "two.owner": {"two"}, "All.owner": names} {
			for _, at := range names {
				a := e.send(t, sending{at: at, method: x.method, path: x.path(), token: e.tokenFor(x, role)})
				for _, name := range names {
					shown := strings.Contains(string(a.body), e.sites[name].URL+`"`)
					if a.status != http.StatusOK || shown && !slices.Contains(sees, name) || !shown && x.form != arm && slices.Contains(sees, name) {
						t.Errorf("%s as %s at %s: status %d, %s is shown: %t", x.path(), role, at, a.status, name, shown)
					}
				}
			}
		}
	}
}

func TestExplanationsStayWithTheirProvider(t *testing.T) {
	e, _, _ := twoTenants(t)
	id := e.send(t, sending{at: "one", method: "POST", path: sgxPath, body: e.quote(t)}).header.Get("x-ms-request-id")
	for _, tt := range []struct {
		at, role string
		status   int
	}{
		{"one", "one.reader", 200}, {"one", "All.owner", 200}, {"one", "two.owner", 401}, {"two", "two.owner", 404}, {"two", "All.owner", 404},
		{"two", "one.reader", 401}, {provider.Default, "All.owner", 404},
	} {
		for _, path := range []string{id, strings.ToUpper(id)} {
			a := e.send(t, sending{at: tt.at, method: "GET", path: "/assay/v1/explanations/" + path, token: e.token(tt.role)})
			if a.status != tt.status {
				t.Errorf("as %s at %s: status %d, want %d", tt.role, tt.at, a.status, tt.status)
			}
		}
	}
}

// TestPreparedPoliciesAreForTheirProvider: what one provider prepared is no policy of another (api.md section 13).
func TestPreparedPoliciesAreForTheirProvider(t *testing.T) {
	e, _, _ := twoTenants(t)
	token := e.token("All.owner")
	usual, mine := e.inForce(t, "two"), unsigned(policyPayload(numbered(7)))
	prepared := tokenOf(t, e.send(t, sending{at: "one", method: "POST", path: "/operations/policy/updatepolicy?tee=SgxEnclave&api-version=" + preview, body: mine, token: token}))
	parts := strings.Split(prepared, ".")
	put := sending{at: "two", method: "PUT", path: "/operations/policy/current?tee=SgxEnclave&api-version=" + preview, token: token}
	for _, body := range []string{prepared, text(prepared), parts[0] + "." + parts[1] + ".", b64url([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."} {
		put.body = body
		e.send(t, put).ended(t, "InvalidOperation", "prepare")
	}
	if e.inForce(t, "two") != usual {
		t.Error("a refused policy is in force")
	}
	put.at, put.body = "one", text(prepared)
	e.send(t, put).ended(t, "")
	if e.inForce(t, "one") != mine || e.inForce(t, "two") != usual {
		t.Error("the prepared policy is not in force where it was prepared, or is elsewhere")
	}
}

// TestSignersStayWithTheirProvider: those of one have nothing to say at another, though they bear the same name.
func TestSignersStayWithTheirProvider(t *testing.T) {
	e, first, second := twoTenants(t)
	next := root(t, "next")
	e.set(t, "two-isolated", first.policy(t, numbered(1))).ended(t, "InvalidOperation", "trusted signer")
	e.set(t, "two-isolated", certified(t, first, "leaf", rsaKey(t), false).policy(t, numbered(1))).ended(t, "InvalidOperation", "trusted signer")
	e.changeSigner(t, "two-isolated", "add", first.change(t, next)).ended(t, "InvalidOperation", "trusted signer")
	e.changeSigner(t, "two-isolated", "remove", first.change(t, second)).ended(t, "InvalidOperation")
	e.changeSigner(t, "one-isolated", "add", first.change(t, next)).changed(t, next, "IsPresent")
	e.wantSigners(t, "one-isolated", first, next)
	e.wantSigners(t, "two-isolated", second)
	e.set(t, "two-isolated", next.policy(t, numbered(1))).ended(t, "InvalidOperation", "trusted signer")
	e.set(t, "one-isolated", next.policy(t, numbered(1))).ended(t, "")
}

// TestPoliciesAreIndependent: what one provider refuses another permits, and neither sees the other's versions.
func TestPoliciesAreIndependent(t *testing.T) {
	e, _, _ := twoTenants(t)
	usual := e.inForce(t, "two")
	e.set(t, "one", unsigned(policyPayload("version= 1.0;authorizationrules{=> deny();};issuancerules{};"))).ended(t, "")
	e.send(t, sending{at: "one", method: "POST", path: sgxPath, body: e.quote(t)}).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "")
	for _, at := range []string{"two", provider.Default} {
		if claims := e.send(t, sending{at: at, method: "POST", path: sgxPath, body: e.quote(t)}).claims(t); claims["iss"] != e.sites[at].URL {
			t.Errorf("%s: iss %v", at, claims["iss"])
		}
	}
	if e.inForce(t, "two") != usual {
		t.Error("the policy of another provider has changed")
	}
	for at, want := range map[string]int{"one": 1, "two": 0, "one-isolated": 0} {
		if got := len(e.versions(t, at)); got != want {
			t.Errorf("%s has %d versions, want %d", at, got, want)
		}
	}
}

// versions are the numbers of the versions of the policy for SgxEnclave, newest first.
func (e *estate) versions(t *testing.T, at string) (list []int64) {
	t.Helper()
	a := e.send(t, sending{at: at, method: "GET", path: "/assay/v1/policies/SgxEnclave/versions?top=1000", token: e.token("All.owner")})
	var history struct{ Versions []struct{ Version int64 } }
	decode(t, a.body, &history)
	for _, v := range history.Versions {
		list = append(list, v.Version)
	}
	return list
}

// TestListenerDecidesNotTheHost: on a listener of its own a provider answers for itself, whatever the request says of hosts.
func TestListenerDecidesNotTheHost(t *testing.T) {
	e, _, _ := twoTenants(t)
	one := strings.TrimPrefix(e.sites["one"].URL, "https://")
	for _, host := range []string{one, "one.attest.example", "localhost", "", "[::1]:1"} {
		a := e.send(t, sending{at: "two", method: "GET", path: "/.well-known/openid-configuration", host: host})
		if !strings.Contains(string(a.body), `"issuer":"`+e.sites["two"].URL+`"`) {
			t.Errorf("host %q: %s", host, a.body)
		}
		if a := e.send(t, sending{at: "two", method: "GET", path: sgxPolicy, host: host, token: e.token("one.owner")}); a.status != http.StatusUnauthorized {
			t.Errorf("host %q: the owner of one has status %d at the listener of two", host, a.status)
		}
	}
}

// TestHostDecidesOnASharedListener: there it is the Host header alone.
func TestHostDecidesOnASharedListener(t *testing.T) {
	e := startEstate(t, config.Config{ProviderURL: "https://{name}.attest.example"},
		store.Provider{Name: "one", URL: "https://one.attest.example"}, store.Provider{Name: "two", URL: "https://two.attest.example"})
	for host, want := range map[string]string{
		"one.attest.example": "https://one.attest.example", "ONE.attest.example:443": "https://one.attest.example", "two.attest.example": "https://two.attest.example",
		"": e.sites[provider.Default].URL, "localhost": e.sites[provider.Default].URL, "127.0.0.1:1": e.sites[provider.Default].URL,
		"three.attest.example": "", "one.attest.example.": "", "one.attest.example:444": "", "attest.example": "", "one.attest.example@two.attest.example": "",
	} {
		a := e.send(t, sending{method: "GET", path: "/.well-known/openid-configuration", host: host})
		if want == "" {
			if a.status != http.StatusNotFound && a.status != http.StatusBadRequest { // 400: Go does not take it for a host
				t.Errorf("host %q: status %d: %s", host, a.status, a.body)
			}
			continue
		}
		if !strings.Contains(string(a.body), fmt.Sprintf(`"issuer":%q`, want)) {
			t.Errorf("host %q: %s, want issuer %s", host, a.body, want)
		}
	}
	for host, status := range map[string]int{"one.attest.example": 200, "two.attest.example": 401, "": 401} {
		if a := e.send(t, sending{method: "GET", path: sgxPolicy, host: host, token: e.token("one.reader")}); a.status != status {
			t.Errorf("the reader of one at %q: status %d, want %d", host, a.status, status)
		}
	}
}

// TestCreatingNeedsAnAddressToGive shows a service that was not told where new providers are.
func TestCreatingNeedsAnAddressToGive(t *testing.T) {
	e := startEstate(t, config.Config{})
	e.send(t, sending{method: "PUT", path: "/assay/v1/providers/new", token: e.token("All.owner"), body: "{}"}).
		ended(t, "InvalidOperation", "provider_url")
}
