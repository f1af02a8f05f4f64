package result_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/result"
)

// certifiedKeys returns the DER SubjectPublicKeyInfo of each first certificate of a key set under its kid.
func certifiedKeys(t testing.TB, set []byte) map[string][]byte {
	t.Helper()
	var doc struct {
		Keys []struct {
			KeyID string   `json:"kid"`
			Chain []string `json:"x5c"`
		}
	}
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	keys := map[string][]byte{}
	for _, k := range doc.Keys {
		if len(k.Chain) == 0 {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(k.Chain[0])
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		keys[k.KeyID] = cert.RawSubjectPublicKeyInfo
	}
	return keys
}

func signer() result.Signer {
	return result.Signer{Key: testKey(), KeyID: "k1", KeySetURL: "https://demo.local.attest.example/certs"}
}

func TestClaimsAreCompactSortedAndUnescaped(t *testing.T) {
	claims := result.Claims{
		"svn": int64(1 << 53), "b": true, "a<&>": "<&>\u2028é", "list": []any{"x", int64(-1), false},
		"nested": result.Claims{"z": "1", "y": jsontext.Value(` { "b" : 1.0, "a" : [ 18446744073709551616 ] } `)},
	}
	token, err := signer().Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	u, err := result.ParseToken(token)
	want := `{"a<&>":"<&>` + "\u2028" + `é","b":true,"list":["x",-1,false],` +
		`"nested":{"y":{"a":[18446744073709551616],"b":1.0},"z":"1"},"svn":9007199254740992}`
	if err != nil || string(u.Payload()) != want {
		t.Errorf("payload %s (%v), want %s", u.Payload(), err, want)
	}
}

func TestHeaderIsAsRecorded(t *testing.T) {
	for want, make := range map[string]func(result.Claims) (string, error){
		header:                           signer().Sign,
		swap(t, header, "RS256", "none"): signer().Draft,
	} {
		token, err := make(result.Claims{})
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(token, ".")
		if got, _ := base64.RawURLEncoding.DecodeString(first); string(got) != want {
			t.Errorf("header %s, want %s", got, want)
		}
	}
}

func TestSignedTokenVerifiesAndDraftDoesNot(t *testing.T) {
	claims := result.Claims{"iss": issuer, "iat": int64(1900000000), "nbf": int64(1900000000), "exp": int64(1900028800)}
	keys := keySet(t, member(&testKey().PublicKey, nil))
	token, err := signer().Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := result.Verify(token, keys, result.Expect{Issuer: issuer, At: inTime}); err != nil {
		t.Errorf("%s: %v", token, err)
	}
	draft, err := signer().Draft(claims)
	if err != nil || !strings.HasSuffix(draft, ".") {
		t.Fatalf("draft %s (%v), want an empty third part", draft, err)
	}
	if u, err := result.ParseToken(draft); err != nil || u.HasSignature() || u.Header().KeyID != "k1" {
		t.Errorf("draft reads as %+v, %v", u, err)
	}
	if _, err := result.Verify(draft, keys, result.Expect{Issuer: issuer, At: inTime}); reason(t, err) != result.Algorithm {
		t.Errorf("draft: %v, want alg", err)
	}
}

func TestSignRefusesUnfitKeysAndClaims(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	deep := jsontext.Value(strings.Repeat("[", 32) + strings.Repeat("]", 32))
	for _, tt := range []struct {
		name   string
		signer result.Signer
		claims result.Claims
		ok     bool
	}{
		{"sound", signer(), result.Claims{"a": deep[1:63]}, true},
		{"RSA-1024", result.Signer{Key: smallKey()}, result.Claims{}, false},
		{"not RSA", result.Signer{Key: ec}, result.Claims{}, false},
		{"nested too deep", signer(), result.Claims{"a": deep}, false},
		{"invalid JSON", signer(), result.Claims{"a": jsontext.Value(`{`)}, false},
		{"duplicate members", signer(), result.Claims{"a": jsontext.Value(`{"b":1,"b":2}`)}, false},
		{"invalid UTF-8", signer(), result.Claims{"a": "\xff"}, false},
	} {
		if token, err := tt.signer.Sign(tt.claims); (err == nil) != tt.ok {
			t.Errorf("%s: Sign gave %.60s, %v, want ok %v", tt.name, token, err, tt.ok)
		}
	}
}
