package relyingparty_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/result"
)

// reporting is a provider that issues TPM reports: what it serves at /certs, and what signs its reports.
func reporting(t *testing.T, provider string) (certs []byte, signer result.ReportSigner) {
	t.Helper()
	key, err := issuer.Generate(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := issuer.NewAuthority(func(label string) []byte { sum := sha256.Sum256([]byte(provider + label)); return sum[:] })
	if err != nil {
		t.Fatal(err)
	}
	keys, err := issuer.New(issuer.Config{Issuer: issuerURL, Reports: ca}, []issuer.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ X5c [][]byte } }
	if err := json.Unmarshal(keys.Certs(time.Now()), &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("%d keys, %v", len(set.Keys), err)
	}
	return keys.Certs(time.Now()), result.ReportSigner{Key: key.Private, Chain: set.Keys[1].X5c}
}

// TestReportsAreVerifiedWithFetchedKeys, whether they bring their chain or not: it counts for nothing.
func TestReportsAreVerifiedWithFetchedKeys(t *testing.T) {
	certs, signer := reporting(t, "alpha")
	_, other := reporting(t, "beta") // says that it is the same issuer
	now := time.Now().Unix()
	claims := []result.Member{
		{Name: "nbf", Value: now - 300}, {Name: "exp", Value: now + 3600}, {Name: "iat", Value: now}, {Name: "iss", Value: issuerURL},
		{Name: "secureBootEnabled", Value: true},
	}
	for name, tt := range map[string]struct {
		signer    result.ReportSigner
		omitChain bool
		want      string
	}{
		"with its chain":       {signer, false, ""},
		"without":              {signer, true, ""},
		"by another provider":  {other, false, "unknown-key"},
		"the same, no chain":   {other, true, "unknown-key"},
		"another key, its kid": {result.ReportSigner{Key: other.Key, Chain: signer.Chain}, false, "signature"},
	} {
		report, err := tt.signer.Sign(claims, tt.omitChain)
		if err != nil {
			t.Fatal(err)
		}
		token, err := verifier(t, &fakeIssuer{handler: serve(certs)}, nil).Verify(context.Background(), report)
		if got := verdict(t, err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if err == nil {
			if enabled, ok := token.Bool("secureBootEnabled"); !enabled || !ok {
				t.Errorf("%s: claims %s", name, token.Payload())
			}
		}
	}
}
