package server_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
)

// behind changes the store as another replica would, and waits until the service has seen it.
func (e *estate) behind(t *testing.T, change func(tx *store.Tx) error) {
	t.Helper()
	kept, err := store.Open(t.Context(), filepath.Join(e.cfg.Data, server.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.Write(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * provider.PollTime)
}

// sent is a request and the status of its answer.
type sent struct {
	sending
	status int
}

func (e *estate) check(t *testing.T, all []sent) {
	t.Helper()
	for _, tt := range all {
		if a := e.send(t, tt.sending); a.status != tt.status {
			t.Errorf("%s %s of %q: status %d, want %d: %s", tt.method, tt.path, tt.at, a.status, tt.status, a.body)
		}
	}
}

const junkQuote = `{"quote":"AAAA"}`

// TestProviderThatIsNotUpToDateDecidesNothing has settings that the service cannot read. Their owner may have forbidden what those
// before permit, so nothing is attested; tokens that were issued before still verify.
func TestProviderThatIsNotUpToDateDecidesNothing(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "other"})
	e.behind(t, func(tx *store.Tx) error {
		p, err := tx.ProviderNamed("other")
		p.Settings = []byte(`{"of_a_newer_program":true}`)
		return errors.Join(err, tx.UpdateProvider(p))
	})
	const policies = "/policies/SgxEnclave?api-version=2022-08-01"
	e.check(t, []sent{
		{sending{at: "other", method: "GET", path: policies, token: e.token("other.reader")}, http.StatusInternalServerError},
		{sending{at: "other", method: "POST", path: sgxPath, body: junkQuote}, http.StatusInternalServerError},
		{sending{at: "other", method: "PUT", path: policies, token: e.token("other.contributor"), body: "eyJhbGciOiJub25lIn0.e30."}, http.StatusInternalServerError},
		{sending{at: "other", method: "GET", path: "/certs"}, http.StatusOK},
		{sending{at: "other", method: "GET", path: "/.well-known/openid-configuration"}, http.StatusOK},
		{sending{method: "GET", path: policies, token: e.token("default.reader")}, http.StatusOK},
		{sending{method: "POST", path: sgxPath, body: junkQuote}, http.StatusBadRequest},
	})
}

// TestPolicyThatCannotBeReadIsReplaced: nothing is attested under it, and its owner can set another.
func TestPolicyThatCannotBeReadIsReplaced(t *testing.T) {
	e := startEstate(t, config.Config{})
	e.behind(t, func(tx *store.Tx) error {
		p, err := tx.ProviderNamed("default")
		return errors.Join(err, tx.AddPolicy(store.Policy{ProviderID: p.ID, Type: "SgxEnclave", Version: 1, JWS: "no policy"}))
	})
	const policies = "/policies/SgxEnclave?api-version=2022-08-01"
	e.check(t, []sent{
		{sending{method: "POST", path: sgxPath, body: junkQuote}, http.StatusInternalServerError},
		{sending{method: "POST", path: oePath, body: `{"report":"AAAA"}`}, http.StatusBadRequest},
		{sending{method: "GET", path: "/tcbbaselines/SgxEnclave?api-version=2025-06-01"}, http.StatusOK},
		{sending{method: "GET", path: policies, token: e.token("default.reader")}, http.StatusOK},
		{sending{method: "POST", path: "/policies/SgxEnclave:reset?api-version=2022-08-01", token: e.token("default.contributor"), body: "eyJhbGciOiJub25lIn0.."}, http.StatusOK},
		{sending{method: "POST", path: sgxPath, body: junkQuote}, http.StatusBadRequest},
	})
}
