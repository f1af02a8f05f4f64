package policyjws

import (
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

func TestPlainTextIsItsOwnText(t *testing.T) {
	for _, text := range []string{"version= 1.0;authorizationrules{=> permit();};", "", "version=1.0; // a.b.c", "a.b"} {
		if got, err := Text([]byte(text)); err != nil || string(got) != text {
			t.Errorf("Text(%q) = %q, %v", text, got, err)
		}
	}
}

func TestDamagedJWSIsRefused(t *testing.T) {
	for _, jws := range []string{"e30.!.", "e30.e30", "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ImE9In0.", "e30.W10."} {
		if got, err := Text([]byte(jws)); err == nil && string(got) != jws {
			t.Errorf("Text(%q) = %q, want an error", jws, got)
		}
	}
}

func TestVectors(t *testing.T) {
	var index map[string]struct {
		Kind       string
		PolicyHash string `json:"policy_hash"`
	}
	vectortest.ReadJSON(t, "policies/index.json", &index)
	for name, entry := range index {
		if entry.Kind != "jws" || entry.PolicyHash == "" {
			continue
		}
		text, err := Text(vectortest.Read(t, "policies/"+name))
		if err != nil || policy.Hash(text) != entry.PolicyHash {
			t.Errorf("%s: policy hash %s (%v), want %s", name, policy.Hash(text), err, entry.PolicyHash)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ImRtVnljMmx2YmowZ01TNHdPdyJ9."))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := Text(b); err == nil && len(text) > len(b) {
			t.Errorf("%d bytes out of %d", len(text), len(b))
		}
	})
}
