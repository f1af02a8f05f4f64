package server_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

// TestProviderThatIsNotUpToDateDecidesNothing puts a version of a policy into the store that the service cannot read. Its owner may
// have forbidden by it what the version before permits, so nothing is attested; tokens that were issued before still verify.
func TestProviderThatIsNotUpToDateDecidesNothing(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "other"})
	kept, err := store.Open(t.Context(), filepath.Join(e.cfg.Data, "assay.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := e.service.Ready(t.Context()); err != nil && strings.Contains(err.Error(), "up to date") {
		t.Fatal(err)
	}
	err = kept.Write(t.Context(), func(tx *store.Tx) error {
		p, err := tx.ProviderNamed("default")
		return errors.Join(err, tx.AddPolicy(store.Policy{ProviderID: p.ID, Type: "SgxEnclave", Version: 1, JWS: "no policy"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	const policies = "/policies/SgxEnclave?api-version=2022-08-01"
	read := sending{method: "GET", path: policies, token: e.token("default.reader")}
	for end := time.Now().Add(5 * time.Second); e.send(t, read).status == http.StatusOK && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	for _, tt := range []struct {
		sending
		status int
	}{
		{read, http.StatusInternalServerError},
		{sending{method: "POST", path: sgxPath, body: `{"quote":"AAAA"}`, contentType: "application/json"}, http.StatusInternalServerError},
		{sending{method: "PUT", path: policies, token: e.token("default.contributor"), body: "eyJhbGciOiJub25lIn0.e30."}, http.StatusInternalServerError},
		{sending{method: "GET", path: "/certs"}, http.StatusOK},
		{sending{method: "GET", path: "/.well-known/openid-configuration"}, http.StatusOK},
		{sending{at: "other", method: "GET", path: policies, token: e.token("other.reader")}, http.StatusOK},
	} {
		if a := e.send(t, tt.sending); a.status != tt.status {
			t.Errorf("%s %s of %q: status %d, want %d: %s", tt.method, tt.path, tt.at, a.status, tt.status, a.body)
		}
	}
	if err := e.service.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "up to date") {
		t.Errorf("ready: %v, want that the provider is not up to date", err)
	}
}
