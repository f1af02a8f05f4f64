package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

// some is the need of operations that show what the caller may read: to read some provider, whichever.
const some need = "read some"

// Patterns of the control plane.
const (
	ownProvider = "/assay/v1/providers/{}"
	armProvider = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Attestation/attestationProviders/{}"
)

// controlExpectations are the rows of the control plane, from management.md sections 3 and 7: the path names the provider.
func controlExpectations() []expectation {
	const arm = "2021-06-01"
	return []expectation{
		{"GET", "/assay/v1/providers", unversion, some, false},
		{"GET", ownProvider, unversion, reading, false},
		{"PUT", ownProvider, unversion, ownership, false},
		{"PATCH", ownProvider, unversion, ownership, false},
		{"DELETE", ownProvider, unversion, ownership, false},
		{"GET", "/providers/Microsoft.Attestation/operations", arm, some, false},
		{"GET", "/subscriptions/{}/providers/Microsoft.Attestation/attestationProviders", arm, some, false},
		{"GET", "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Attestation/attestationProviders", arm, some, false},
		{"GET", "/subscriptions/{}/providers/Microsoft.Attestation/defaultProviders", arm, some, false},
		{"GET", "/subscriptions/{}/providers/Microsoft.Attestation/locations/{}/defaultProvider", arm, some, false},
		{"GET", armProvider, arm, reading, false},
		{"PUT", armProvider, arm, ownership, false},
		{"PATCH", armProvider, arm, ownership, false},
		{"DELETE", armProvider, arm, ownership, false},
		{"GET", armProvider + "/privateEndpointConnections", arm, reading, false},
		{"GET", armProvider + "/privateEndpointConnections/{}", arm, reading, false},
		{"PUT", armProvider + "/privateEndpointConnections/{}", arm, ownership, false},
		{"DELETE", armProvider + "/privateEndpointConnections/{}", arm, ownership, false},
		{"GET", armProvider + "/privateLinkResources", arm, reading, false},
	}
}

// arm reports whether a row is of the façade.
func (x expectation) arm() bool { return x.version == "2021-06-01" }

// about is the path of an operation of the control plane on a provider; whatever else it names is called x.
func (x expectation) about(name string) string {
	path := strings.NewReplacer("roviders/{}", "roviders/"+name, "{}", "x").Replace(x.pattern)
	if x.version != "" {
		path += "?api-version=" + x.version
	}
	return path
}

// TestAuthorisationMatrixOfTheControlPlane has every caller try every operation on the default provider, with the tokens of the right
// side and with those of the other. What is allowed may well end in a refusal of the empty body.
func TestAuthorisationMatrixOfTheControlPlane(t *testing.T) {
	e := startEstate(t, config.Config{ARMFacade: true}, store.Provider{Name: "other"})
	for _, c := range e.callers(t) {
		for _, x := range controlExpectations() {
			if !x.arm() {
				e.tryControl(t, x, c)
			}
		}
	}
	for _, c := range e.armCallers() {
		for _, x := range controlExpectations() {
			if x.arm() {
				e.tryControl(t, x, c)
			}
		}
	}
}

// armCallers are callers with tokens for the resource manager, but for those with tokens for the data plane.
func (e *estate) armCallers() []caller {
	arm := func(role string, changes ...any) string {
		return e.v1.Token(changed(e.claims(role), append([]any{"aud", "https://management.azure.com/"}, changes...)...))
	}
	all := []need{reading, writing, deleting, ownership}
	return []caller{
		{"no token", "", nil},
		{"for the data plane", e.token("default.owner"), nil},
		{"expired", arm("default.owner", "exp", time.Now().Add(-time.Second).Unix()), nil},
		{"unsigned", e.v1.Unsigned(changed(e.claims("default.owner"), "aud", "https://management.azure.com/")), nil},
		{"a role that nobody maps", arm("default.admin"), nil},
		{"owner of another provider", arm("other.owner"), nil},
		{"reader", arm("default.reader"), []need{reading}},
		{"contributor", arm("default.contributor"), []need{reading, writing, deleting}},
		{"owner", arm("default.owner"), all},
		{"owner of all", arm("All.owner"), all},
	}
}

// tryControl has one caller try one operation.
func (e *estate) tryControl(t *testing.T, x expectation, c caller) {
	t.Helper()
	done := []int{http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusNotFound}
	allowed := slices.Contains(c.may, x.needs) || x.needs == some && (slices.Contains(c.may, reading) || c.name == "owner of another provider")
	a := e.send(t, sending{method: x.method, path: x.about("default"), token: c.token})
	switch {
	case allowed && !slices.Contains(done, a.status):
		t.Errorf("%s: %s %s: status %d, want it allowed: %s", c.name, x.method, x.about("default"), a.status, a.body)
	case !allowed && a.status != http.StatusUnauthorized:
		t.Errorf("%s: %s %s: status %d, want 401: %s", c.name, x.method, x.about("default"), a.status, a.body)
	case !allowed:
		resource := "https://attest.azure.net"
		if x.arm() {
			resource = "https://management.azure.com"
		}
		if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `resource="`+resource) {
			t.Errorf("%s %s: WWW-Authenticate %s, want the resource %s", x.method, x.about("default"), got, resource)
		}
	}
}

// TestCreatingNeedsAnAddressToGive shows a service that was not told where new providers are.
func TestCreatingNeedsAnAddressToGive(t *testing.T) {
	e := startEstate(t, config.Config{})
	a := e.send(t, sending{method: "PUT", path: "/assay/v1/providers/new", token: e.token("All.owner"), body: "{}"})
	if p := a.problem(t); a.status != http.StatusBadRequest || p.Code != "InvalidOperation" || !strings.Contains(p.Message, "provider_url") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}
