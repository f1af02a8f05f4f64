package provider

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/store"
)

// TestShortLocation: locations have a short name and one for people (management.md section 6).
func TestShortLocation(t *testing.T) {
	for text, want := range map[string]string{"West US": "westus", "westus": "westus", "Central US EUAP": "centraluseuap", "": "", " ": ""} {
		if got := ShortLocation(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestWhatIsFixedStays covers management.md section 4.3, one thing at a time.
func TestWhatIsFixedStays(t *testing.T) {
	yes, no := true, false
	signers := [][]byte{[]byte("one"), []byte("two")}
	plain, own := store.Provider{Location: "westus"}, store.Provider{Location: "West US", Isolated: true, Signers: signers}
	for _, tt := range []struct {
		name   string
		record store.Provider
		spec   Spec
		fixed  string // nothing: it may be
	}{
		{"nothing", plain, Spec{}, ""},
		{"the same location", own, Spec{Location: "WestUS"}, ""},
		{"another location", plain, Spec{Location: "eastus"}, "location"},
		{"the same trust model", own, Spec{TrustModel: "isolated"}, ""},
		{"another trust model", own, Spec{TrustModel: "AAD"}, "trustModel"},
		{"signers for one without", plain, Spec{Signers: signers}, "trustModel"},
		{"no signers for one without", plain, Spec{Signers: [][]byte{}}, ""},
		{"no signers for one with", own, Spec{Signers: [][]byte{}}, "trustModel"},
		{"the same signers in another order", own, Spec{Signers: [][]byte{signers[1], signers[0]}}, ""},
		{"one signer less", own, Spec{Signers: signers[:1]}, "policySigningCertificates"},
		{"another signer", own, Spec{Signers: [][]byte{signers[0], []byte("three")}}, "policySigningCertificates"},
		{"not shared as before", plain, Spec{Shared: &no}, ""},
		{"shared", plain, Spec{Shared: &yes}, "shared"},
	} {
		err := tt.spec.fixed(&tt.record)
		if tt.fixed == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if !errors.Is(err, ErrFixed) || !strings.HasPrefix(err.Error(), tt.fixed+": ") {
			t.Errorf("%s: %v, want that of %s", tt.name, err, tt.fixed)
		}
	}
}
