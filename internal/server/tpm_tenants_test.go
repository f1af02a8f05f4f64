package server_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

// tpmTenants is a service in production with two providers that have a policy for TPMs and roots of nobody.
func tpmTenants(t *testing.T) *estate {
	t.Helper()
	e := startEstate(t, config.Config{}, store.Provider{Name: "one"}, store.Provider{Name: "two"})
	for _, name := range []string{"one", "two"} {
		a := e.send(t, sending{
			at: name, method: http.MethodPut, path: "/policies/Tpm?api-version=2022-08-01", body: unsigned(policyPayload(permitTPM())), contentType: "text/plain",
			token: e.token("All.owner"),
		})
		if a.status != http.StatusOK {
			t.Fatalf("setting a policy: status %d: %s", a.status, a.body)
		}
	}
	return e
}

// settings replaces those of a provider.
func (e *estate) settings(t *testing.T, name, settings string) answer {
	t.Helper()
	return e.send(t, sending{
		method: http.MethodPatch, path: "/assay/v1/providers/" + name, body: `{"settings":` + settings + `}`, contentType: "application/json", token: e.token("All.owner"),
	})
}

// attestTPM makes both rounds at a provider.
func (e *estate) attestTPM(t *testing.T, name string, sc *assaytest.TPMScenario) answer {
	t.Helper()
	site := &testService{Server: e.sites[name], dev: e.dev}
	_, second := tpmClient{site, tpmPath, e.token("All.owner")}.rounds(t, sc)
	return second
}

// rootSettings trusts certificates for attestation keys.
func rootSettings(t *testing.T, certificates ...string) string {
	t.Helper()
	roots := []map[string]string{}
	for _, c := range certificates {
		roots = append(roots, map[string]string{"certificate": c})
	}
	b, err := json.Marshal(map[string]any{"tpm_aik_roots": roots})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAIKRootsAreOfTheirProvider: set while the service runs, they count there, for nobody else, and no longer than they are set. The
// simulated vendor, whose keys are public, counts nowhere.
func TestAIKRootsAreOfTheirProvider(t *testing.T) {
	vendor, e := assaytest.NewTPMVendor(), tpmTenants(t)
	root, err := vendor.CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	theirs, simulated := windows(t, func(s *assaytest.TPMScenario) { s.Certifier = vendor }), windows(t)
	for _, step := range []struct {
		of, settings string
		trusts       map[string]bool
	}{
		{"one", `{}`, nil},
		{"one", rootSettings(t, string(root)), map[string]bool{"one": true}},
		{"two", rootSettings(t, string(root)), map[string]bool{"one": true, "two": true}},
		{"one", `{}`, map[string]bool{"two": true}},
	} {
		if a := e.settings(t, step.of, step.settings); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		for _, name := range []string{"one", "two"} {
			if a := e.attestTPM(t, name, theirs); step.trusts[name] != (a.status == http.StatusOK) {
				t.Errorf("after %.40s at %s: %s trusts its maker: status %d: %s", step.settings, step.of, name, a.status, a.body)
			}
			e.attestTPM(t, name, simulated).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
		}
	}
	e.behind(t, func(tx *store.Tx) error { // another replica has them changed
		p, err := tx.ProviderNamed("one")
		p.Settings = []byte(rootSettings(t, string(root)))
		return errors.Join(err, tx.UpdateProvider(p))
	})
	e.attestTPM(t, "one", theirs).report(t, false)
}

// TestUnusableAIKRootsAreNotStored: what is refused changes nothing.
func TestUnusableAIKRootsAreNotStored(t *testing.T) {
	vendor, e := assaytest.NewTPMVendor(), tpmTenants(t)
	root, err := vendor.CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(vendor.Key(assaytest.AIKRoot, assaytest.P256))
	if err != nil {
		t.Fatal(err)
	}
	good, key := string(root), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if a := e.settings(t, "one", rootSettings(t, good)); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	many := strings.Split(strings.Repeat(good+"|", 65), "|")[:65]
	for name, tt := range map[string]struct{ settings, fragment string }{
		"no PEM":                  {rootSettings(t, "x"), "found none"},
		"nothing":                 {rootSettings(t, ""), "found none"},
		"no certificate inside":   {rootSettings(t, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "tpm_aik_roots"},
		"truncated":               {rootSettings(t, good[:len(good)-30]), "tpm_aik_roots"},
		"private key":             {rootSettings(t, key), "PRIVATE KEY"},
		"private key behind":      {rootSettings(t, good+key), "PRIVATE KEY"},
		"damaged behind":          {rootSettings(t, good+good[:len(good)-30]), "damaged"},
		"damaged before":          {rootSettings(t, strings.Replace(good, "M", "!", 1)+good), "damaged"},
		"two in one":              {rootSettings(t, good+good), "one certificate"},
		"65":                      {rootSettings(t, many...), "at most 64"},
		"a text":                  {`{"tpm_aik_roots":"x"}`, "settings"},
		"an unknown member":       {`{"tpm_aik_roots":[{"file":"/etc/passwd"}]}`, "file"},
		"allow_missing_eku texts": {`{"tpm_aik_roots":[{"certificate":"x","allow_missing_eku":"yes"}]}`, "settings"},
		"null":                    {`{"tpm_aik_roots":[null]}`, ""},
	} {
		a := e.settings(t, "one", tt.settings)
		if a.status != http.StatusBadRequest || !strings.Contains(string(a.body), tt.fragment) || strings.Contains(string(a.body), key[30:60]) {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
	e.attestTPM(t, "one", windows(t, func(s *assaytest.TPMScenario) { s.Certifier = vendor })).report(t, false)
}

// TestTPMPolicyThatCannotBeUsed is a fault of the service in both rounds and for the explain route, never the answer of a provider without
// a policy, and none of its neighbour.
func TestTPMPolicyThatCannotBeUsed(t *testing.T) {
	e := tpmTenants(t)
	e.behind(t, func(tx *store.Tx) error {
		return tx.AddPolicy(store.Policy{ProviderID: e.ids["one"], Type: "Tpm", Version: 2, JWS: "no JWS", Action: "set"})
	})
	for _, path := range []string{tpmPath, "/assay/v1/explain/Tpm"} {
		for _, inner := range []string{`{"type":"aikcert"}`, `{"request":"a.b.c"}`} {
			body := `{"data":"` + b64url([]byte(inner)) + `"}`
			a := e.send(t, sending{at: "one", method: http.MethodPost, path: path, body: body, contentType: "application/json", token: e.token("All.owner")})
			if a.status != http.StatusInternalServerError || a.header.Get("Retry-After") == "" || strings.Contains(string(a.body), "JWS") {
				t.Errorf("%s %s: status %d, Retry-After %q: %s", path, inner, a.status, a.header.Get("Retry-After"), a.body)
			}
		}
	}
	e.attestTPM(t, "two", windows(t)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
}
