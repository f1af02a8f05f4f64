package policyjws

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/b64"
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
	const payload = `{"AttestationPolicy":"dmVyc2lvbj0xLjA7"}`
	for _, tt := range []struct{ name, header, payload, signature, want string }{
		{"as it should be", `{"alg":"none"}`, payload, "", ""},
		{"signed", `{"alg":"RSA256","x5c":["AA"]}`, payload, "AAAA", ""},
		{"header is not JSON", `alg`, payload, "", "header"},
		{"header with alg twice", `{"alg":"none","alg":"none"}`, payload, "", "header"},
		{"header without alg", `{}`, payload, "", "alg"},
		{"header with a name that JOSE does not know", `{"alg":"EC"}`, payload, "AAAA", "alg"},
		{"signature with alg none", `{"alg":"none"}`, payload, "AAAA", "signature"},
		{"no signature with RS256", `{"alg":"RS256"}`, payload, "", "signature"},
		{"signature is not base64url", `{"alg":"RS256"}`, payload, "***", "signature"},
		{"payload is an array", `{"alg":"none"}`, `[]`, "", "payload"},
		{"payload is null", `{"alg":"none"}`, `null`, "", "AttestationPolicy is missing"},
		{"payload without the member", `{"alg":"none"}`, `{}`, "", "AttestationPolicy is missing"},
		{"payload with the member in another case", `{"alg":"none"}`, `{"attestationpolicy":""}`, "", "AttestationPolicy is missing"},
		{"text in padded base64url", `{"alg":"none"}`, `{"AttestationPolicy":"dmVyc2lvbj0xLg=="}`, "", "without padding"},
		{"plain text", `{"alg":"none"}`, `{"AttestationPolicy":"version=1.0;"}`, "", "AttestationPolicy"},
	} {
		jws := b64.URL([]byte(tt.header)) + "." + b64.URL([]byte(tt.payload)) + "." + tt.signature
		text, err := Text([]byte(jws))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && string(text) != "version=1.0;" {
			t.Errorf("%s: %q, %v, want %q", tt.name, text, err, tt.want)
		}
	}
	if _, err := Text([]byte("%%%.e30.")); err == nil {
		t.Error("a header that is not base64url was accepted")
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
	var index map[string]struct{ Kind string }
	vectortest.ReadJSON(f, "policies/index.json", &index)
	for name, entry := range index {
		if entry.Kind == "jws" {
			f.Add(vectortest.Read(f, "policies/"+name))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := Text(b); err == nil && len(text) > len(b) {
			t.Errorf("%d bytes out of %d", len(text), len(b))
		}
	})
}
