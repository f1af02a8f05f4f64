package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
)

// TestARMDefaultProviders finds the provider of the configuration, and shared ones, by location (management.md section 6).
func TestARMDefaultProviders(t *testing.T) {
	s := armService(t)
	s.native(t, "PUT", "/sharedeus", `{"location":"East US","shared":true}`).want(t, http.StatusCreated)
	s.native(t, "PUT", "/ordinary", `{"location":"North Europe"}`).want(t, http.StatusCreated)
	at := func(location string) string {
		return armSub + "/providers/Microsoft.Attestation/locations/" + location + "/defaultProvider"
	}
	for _, tt := range []struct{ location, name, url string }{
		{"westus", "default", s.URL}, {"West%20US", "default", s.URL}, {"WESTUS", "default", s.URL},
		{"eastus", "sharedeus", "https://sharedeus.eastus.attest.test"}, {"East%20US", "sharedeus", "https://sharedeus.eastus.attest.test"},
	} {
		body := s.arm(t, "GET", at(tt.location), "").want(t, http.StatusOK)
		if body["name"] != tt.name || body["id"] != "/providers/Microsoft.Attestation/attestationProviders/"+tt.name || body["properties"].(map[string]any)["attestUri"] != tt.url {
			t.Errorf("%s: %v", tt.location, body)
		}
	}
	for _, nowhere := range []string{"northeurope", "centralus", "%20"} {
		s.arm(t, "GET", at(nowhere), "").armRefused(t, http.StatusNotFound, "NotFound")
	}
	for token, want := range map[string]string{
		s.token(t, auth.Reader): "[default sharedeus]", s.owned(t, auth.Reader, "ordinary"): "[sharedeus]", s.owned(t, auth.Reader, "default"): "[default sharedeus]",
	} {
		a := s.make(t, call{method: "GET", path: armSub + "/providers/Microsoft.Attestation/defaultProviders", version: "2020-10-01", token: token})
		if got := namesIn(a.want(t, http.StatusOK), "value"); got != want {
			t.Errorf("defaults: %s, want %s", got, want)
		}
	}
}

// TestARMOperationsAreListed as management.md section 3 has them, in an object.
func TestARMOperationsAreListed(t *testing.T) {
	s := armService(t)
	body := s.arm(t, "GET", "/providers/Microsoft.Attestation/operations", "").want(t, http.StatusOK)
	const prefix = "Microsoft.Attestation/attestationProviders/attestation/"
	if got, want := namesIn(body, "value"), "["+prefix+"read "+prefix+"write "+prefix+"delete]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, o := range body["value"].([]any) {
		display := o.(map[string]any)["display"].(map[string]any)
		for _, member := range []string{"provider", "resource", "operation", "description"} {
			if display[member] == "" || display[member] == nil {
				t.Errorf("%v has no %s", o, member)
			}
		}
	}
}

// TestARMPrivateLink holds the answers to management.md section 9, where nothing can make a connection.
func TestARMPrivateLink(t *testing.T) {
	s := armService(t)
	path := armProviders + "/demo"
	s.arm(t, "PUT", path, plain).want(t, http.StatusCreated)
	if got := s.arm(t, "GET", path+"/privateEndpointConnections", "").want(t, http.StatusOK); !reflect.DeepEqual(got, map[string]any{"value": []any{}}) {
		t.Errorf("connections: %v", got)
	}
	s.arm(t, "GET", path+"/privateEndpointConnections/c1", "").armRefused(t, http.StatusNotFound, "NotFound", "c1")
	s.arm(t, "PUT", path+"/privateEndpointConnections/c1", `{"properties":{"privateLinkServiceConnectionState":{"status":"Approved"}}}`).
		armRefused(t, http.StatusBadRequest, "InvalidOperation", "publicNetworkAccess")
	s.arm(t, "DELETE", path+"/privateEndpointConnections/c1", "").want(t, http.StatusNoContent)
	want := map[string]any{"value": []any{map[string]any{
		"id": path + "/privateLinkResources/tenant", "name": "tenant", "type": "Microsoft.Attestation/attestationProviders/privateLinkResources",
		"properties": map[string]any{"groupId": "standard", "requiredMembers": []any{"default"}, "requiredZoneNames": []any{"privatelink.attest.azure.net"}},
	}}}
	if got := s.arm(t, "GET", path+"/privateLinkResources", "").want(t, http.StatusOK); !reflect.DeepEqual(got, want) {
		t.Errorf("resources: %v, want %v", got, want)
	}
}

// TestARMWhoMayDoWhat tries every operation as callers with too little.
func TestARMWhoMayDoWhat(t *testing.T) {
	s := armService(t)
	path := armProviders + "/demo"
	s.arm(t, "PUT", path, plain).want(t, http.StatusCreated)
	dataPlane, err := s.dev.Token(auth.Owner, []string{"*"}, auth.DefaultAudiences(auth.DataPlane), now(), hour)
	if err != nil {
		t.Fatal(err)
	}
	changes := []call{
		{method: "PUT", path: path, body: plain}, {method: "PATCH", path: path, body: "{}"},
		{method: "PUT", path: path + "/privateEndpointConnections/c"}, {method: "DELETE", path: path + "/privateEndpointConnections/c"},
		{method: "PUT", path: armProviders + "/new", body: plain}, {method: "DELETE", path: path},
	}
	reads := []call{
		{method: "GET", path: path}, {method: "GET", path: path + "/privateEndpointConnections"},
		{method: "GET", path: path + "/privateEndpointConnections/c"}, {method: "GET", path: path + "/privateLinkResources"},
	}
	lists := []call{
		{method: "GET", path: armProviders}, {method: "GET", path: armSub + "/providers/Microsoft.Attestation/attestationProviders"},
		{method: "GET", path: armSub + "/providers/Microsoft.Attestation/defaultProviders"}, {method: "GET", path: "/providers/Microsoft.Attestation/operations"},
		{method: "GET", path: armSub + "/providers/Microsoft.Attestation/locations/westus/defaultProvider"},
	}
	refuse := func(who, token string, calls ...call) {
		t.Helper()
		for _, c := range calls {
			c.token, c.version = token, "2021-06-01"
			a := s.make(t, c)
			if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), "management") {
				t.Errorf("%s: %s %s: status %d (%s): %s", who, c.method, c.path, a.status, a.header.Get("WWW-Authenticate"), a.body)
				continue
			}
			a.armRefused(t, http.StatusUnauthorized, "Unauthorized")
		}
	}
	for who, token := range map[string]string{"a token of the data plane": dataPlane, "no token of ours": "x.y.z"} {
		refuse(who, token, changes...)
		refuse(who, token, reads...)
		refuse(who, token, lists...)
	}
	refuse("a reader", s.token(t, auth.Reader), changes...)
	refuse("an owner of another", s.owned(t, auth.Owner, "other"), append(changes, reads...)...)
	own := s.owned(t, auth.Owner, "New")
	s.make(t, call{method: "PUT", path: armProviders + "/new", version: "2020-10-01", body: plain, token: own}).want(t, http.StatusCreated)
	s.make(t, call{method: "GET", path: path, version: "2020-10-01", token: s.owned(t, auth.Reader, "demo")}).want(t, http.StatusOK)
}

// TestProvidersAreApart gives two providers to two owners, neither of whom reaches the other's.
func TestProvidersAreApart(t *testing.T) {
	s := armService(t)
	hosts := []string{"one.westus.attest.test", "two.westus.attest.test"}
	tokens := []string{s.owned(t, auth.Owner, "one"), s.owned(t, auth.Owner, "two")}
	keys := map[string]bool{}
	for n, name := range []string{"one", "two"} {
		s.make(t, call{method: "PUT", path: armProviders + "/" + name, version: "2020-10-01", body: plain, token: tokens[n]}).want(t, http.StatusCreated)
		body := s.make(t, call{method: "GET", path: "/.well-known/openid-configuration", host: hosts[n]}).want(t, http.StatusOK)
		if body["issuer"] != "https://"+hosts[n] || body["jwks_uri"] != "https://"+hosts[n]+"/certs" {
			t.Errorf("metadata of %s: %v", name, body)
		}
		keys[kid(t, s, hosts[n])] = true
	}
	if keys[kid(t, s, "")] = true; len(keys) != 3 {
		t.Errorf("three providers have the keys %v", keys)
	}
	policy := `"eyJhbGciOiJub25lIn0.` + b64url([]byte(`{"AttestationPolicy":"`+b64url([]byte(permitAll))+`"}`)) + `."`
	const path, version = "/policies/SgxEnclave", "2022-08-01"
	for n := range hosts {
		for _, c := range []call{{method: "GET", path: path}, {method: "PUT", path: path, body: policy}, {method: "POST", path: path + ":reset", body: `"eyJhbGciOiJub25lIn0.."`}} {
			c.version, c.host, c.token = version, hosts[n], tokens[1-n]
			if a := s.make(t, c); a.status != http.StatusUnauthorized {
				t.Errorf("%s %s of %s with the other's token: status %d: %s", c.method, c.path, c.host, a.status, a.body)
			}
		}
	}
	read := func(n int) string {
		a := s.make(t, call{method: "GET", path: path, version: version, host: hosts[n], token: tokens[n]})
		return opened(t, a.body).(map[string]any)["payload"].(map[string]any)["x-ms-policy"].(string)
	}
	before := read(1)
	s.make(t, call{method: "PUT", path: path, version: version, body: policy, host: hosts[0], token: tokens[0]}).want(t, http.StatusOK)
	if read(1) != before || read(0) == before {
		t.Error("a policy set at one provider is not its own")
	}
}

// kid is the key of a provider, which lists it twice: the second time as it is named in reports.
func kid(t *testing.T, s *testService, host string) string {
	t.Helper()
	var set struct{ Keys []struct{ KID string } }
	if err := json.Unmarshal(s.make(t, call{method: "GET", path: "/certs", host: host}).body, &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("keys of %s: %v, %v", host, set, err)
	}
	return set.Keys[0].KID
}

// TestSwitchesOfAProviderWork at the provider that has them (management.md sections 4.4 and 9).
func TestSwitchesOfAProviderWork(t *testing.T) {
	s := armService(t)
	tpm := call{method: "POST", path: "/attest/Tpm", version: "2022-08-01", body: "{}", token: "x.y.z", host: "demo.westus.attest.test"}
	s.arm(t, "PUT", armProviders+"/demo", plain).want(t, http.StatusCreated)
	if a := s.make(t, tpm); a.status != http.StatusUnauthorized {
		t.Errorf("/attest/Tpm without a token: %d", a.status)
	}
	s.arm(t, "PATCH", armProviders+"/demo", `{"properties":{"tpmAttestationAuthentication":"Disabled"}}`).want(t, http.StatusOK)
	if a := s.make(t, tpm); a.status != http.StatusBadRequest {
		t.Errorf("/attest/Tpm without a token, which it does not need now: %d", a.status)
	}
}

// TestProvidersOutliveARestart with their keys.
func TestProvidersOutliveARestart(t *testing.T) {
	cfg := config.Config{ARMFacade: true, ProviderURL: "https://{name}.attest.test", Data: t.TempDir()}
	s := start(t, cfg)
	before := s.arm(t, "PUT", armProviders+"/demo", isolated(signerCert(t))).want(t, http.StatusCreated)
	keys := call{method: "GET", path: "/certs", host: "demo.attest.test"}
	published := s.make(t, keys).body
	s.stop()
	s = start(t, cfg)
	if after := s.arm(t, "GET", armProviders+"/demo", "").want(t, http.StatusOK); !reflect.DeepEqual(after, before) {
		t.Errorf("after a restart: %v, want %v", after, before)
	}
	if got := s.make(t, keys).body; !bytes.Equal(got, published) { // the CA for reports is the same, too
		t.Errorf("after a restart the keys are %s, not %s", got, published)
	}
}
