package result_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/result"
)

// specKey and its kid are the vector of tokens.md section 3.1.
const specKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA54qmdJo9s6OycROnOjdq
01uBsKzP7dvS0ZPCZytC8eGYLpWYPuiED2RgHnfyr4zczEjATWIhitiEDuu6cSqI
Dp4cNQsodiOk+6f+TaBCfXwUVhj7Z9AdrxEOWDYpqU48Eou2OifW0TrjmQUrFhyl
KZazOeK/mkhPDPEofReUlrPrQW+7tgN/M6WVEHKQr4ZkVFdd325havOlEGxKRVuf
JFoiMyURgSxaqFmGue/R2hwVHcqelunLKxIplj+JVL4e+PMTtdZBV5W7W5ZLD4NZ
Z1W7/QZIndGzoe4q3EYloE7V1wGo9ZcsHYcnidV5AHTTS9sJf+bgXaXIrin9UJju
VwIDAQAB
-----END PUBLIC KEY-----
`

func TestKeyIDOfTheSpecification(t *testing.T) {
	block, _ := pem.Decode([]byte(specKey))
	if got, want := result.KeyID(block.Bytes), "gGaleJ9aW4qmmDoG4X5iiOBbqZPdbD+8IZWbzGNOG0U="; got != want {
		t.Errorf("KeyID = %q, want %q", got, want)
	}
}

func TestKeySetUsesOrSkipsEntries(t *testing.T) {
	pub := &testKey().PublicKey
	named := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}, NotAfter: time.Unix(1<<32, 0)}
	own := certificate(t, testKey(), named, named)
	for _, tt := range []struct {
		name   string
		set    map[string]any
		usable bool
	}{
		{"n and e", nil, true},
		{"x5c", map[string]any{"n": nil, "e": nil, "x5c": []string{own}}, true},
		{"x5c with n and e", map[string]any{"x5c": []string{own}}, true},
		{"x5c whose later certificates are unreadable", map[string]any{"x5c": []string{own, "?"}}, true},
		{"use sig, alg RS256, other members", map[string]any{"use": "sig", "alg": "RS256", "x": []int{1}}, true},
		{"empty x5c", map[string]any{"x5c": []string{}}, true},
		{"modulus with a leading zero byte", map[string]any{"n": b64url(append([]byte{0}, pub.N.Bytes()...))}, true},
		{"x5c and n disagree", map[string]any{"x5c": []string{own}, "n": b64url(otherKey().N.Bytes())}, false},
		{"x5c and e disagree", map[string]any{"x5c": []string{own}, "e": "Aw"}, false},
		{"x5c with n but no e", map[string]any{"x5c": []string{own}, "e": nil}, false},
		{"x5c in base64url", map[string]any{"x5c": []string{strings.NewReplacer("+", "-", "/", "_").Replace(own)}}, false},
		{"x5c with a line end", map[string]any{"x5c": []string{own[:64] + "\n" + own[64:]}}, false},
		{"x5c not a certificate", map[string]any{"x5c": []string{"MAA="}}, false},
		{"kty missing", map[string]any{"kty": nil}, false},
		{"kty EC", map[string]any{"kty": "EC"}, false},
		{"use enc", map[string]any{"use": "enc"}, false},
		{"alg PS256", map[string]any{"alg": "PS256"}, false},
		{"neither x5c nor n", map[string]any{"n": nil}, false},
		{"padded n", map[string]any{"n": b64url(pub.N.Bytes()) + "=="}, false},
		{"RSA-1024", map[string]any{"n": b64url(smallKey().N.Bytes())}, false},
		{"RSA-1024 in x5c", map[string]any{"n": nil, "e": nil, "x5c": []string{certificate(t, smallKey(), named, named)}}, false},
		{"2047 bits", map[string]any{"n": b64url(new(big.Int).SetBit(new(big.Int), 2046, 1).Bytes())}, false},
		{"even modulus", map[string]any{"n": b64url(new(big.Int).Lsh(pub.N, 1).Bytes())}, false},
		{"8192 bits", map[string]any{"n": b64url(oddOfBits(8192))}, true},
		{"8193 bits", map[string]any{"n": b64url(oddOfBits(8193))}, false},
		{"exponent 1", map[string]any{"e": "AQ"}, false},
		{"exponent 3", map[string]any{"e": "Aw"}, true},
		{"even exponent", map[string]any{"e": "BA"}, false},
		{"exponent of 32 bits", map[string]any{"e": "gAAAAQ"}, false},
		{"exponent of 65 bits", map[string]any{"e": "AQAAAAAAAAAB"}, false},
	} {
		set := keySet(t, member(pub, tt.set))
		why, skipped := set.Skipped()["k1"]
		if usable := slices.Contains(set.IDs(), "k1"); usable != tt.usable || skipped == tt.usable {
			t.Errorf("%s: usable %v (%q), want %v", tt.name, usable, why, tt.usable)
		}
	}
}

func oddOfBits(n int) []byte {
	x := new(big.Int).SetBit(big.NewInt(1), n-1, 1)
	return x.Bytes()
}

func TestEntriesThatNoTokenCanNameAreIgnored(t *testing.T) {
	for name, kid := range map[string]any{"missing": nil, "empty": "", "number": 1} {
		set := keySet(t, member(&testKey().PublicKey, map[string]any{"kid": kid}), member(&otherKey().PublicKey, nil))
		if len(set.IDs()) != 1 || len(set.Skipped()) != 0 {
			t.Errorf("kid %s: keys %v, skipped %v", name, set.IDs(), set.Skipped())
		}
	}
}

func TestKeySetRefusals(t *testing.T) {
	pub := &testKey().PublicKey
	many := func(n int) []byte { return keySetJSON(t, make([]map[string]any, n)...) }
	sized := func(n int) []byte { return append([]byte(`{"keys":[]}`), strings.Repeat(" ", n-len(`{"keys":[]}`))...) }
	for _, tt := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"no keys", []byte(`{"keys":[]}`), true},
		{"same key twice", keySetJSON(t, member(pub, nil), member(pub, nil)), true},
		{"usable key beside a small one of the same kid", keySetJSON(t, member(&smallKey().PublicKey, nil), member(pub, nil)), true},
		{"two keys under one kid", keySetJSON(t, member(pub, nil), member(&otherKey().PublicKey, nil)), false},
		{"most keys", many(result.MaxKeys), true},
		{"one key more", many(result.MaxKeys + 1), false},
		{"largest", sized(result.MaxKeySetSize), true},
		{"one byte larger", sized(result.MaxKeySetSize + 1), false},
		{"no member keys", []byte(`{}`), false},
		{"keys null", []byte(`{"keys":null}`), false},
		{"keys an object", []byte(`{"keys":{}}`), false},
		{"array", []byte(`[]`), false},
		{"null", []byte(`null`), false},
		{"empty", nil, false},
		{"duplicate member", []byte(`{"keys":[],"keys":[]}`), false},
		{"duplicate member in an entry", []byte(`{"keys":[{"kid":"a","kid":"b"}]}`), false},
		{"data after the set", []byte(`{"keys":[]}{}`), false},
	} {
		if _, err := result.ParseKeySet(tt.in); (err == nil) != tt.ok {
			t.Errorf("%s: ParseKeySet(%.80s) = %v, want ok %v", tt.name, tt.in, err, tt.ok)
		}
	}
}

func TestSkippedKeysVerifyNothing(t *testing.T) {
	set := keySet(t, member(&smallKey().PublicKey, nil))
	_, err := result.Verify(forge(t, smallKey(), header, payload), set, result.Expect{Issuer: issuer, At: inTime})
	if reason(t, err) != result.UnknownKey || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("got %v, want unknown-key that names the key's size", err)
	}
}

func TestZeroKeySetIsEmpty(t *testing.T) {
	for _, set := range []*result.KeySet{{}, nil} {
		_, err := result.Verify(forge(t, testKey(), header, payload), set, result.Expect{Issuer: issuer, At: inTime})
		if reason(t, err) != result.UnknownKey {
			t.Errorf("%v: got %v, want unknown-key", set, err)
		}
	}
}

func TestInstanceCertificateNamesTheIssuer(t *testing.T) {
	self := func(name pkix.Name) map[string]any {
		c := &x509.Certificate{Subject: name, NotAfter: time.Unix(1<<32, 0)}
		return member(&testKey().PublicKey, map[string]any{"x5c": []string{certificate(t, testKey(), c, c)}})
	}
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "Attestation 2020"}, NotAfter: time.Unix(1<<32, 0)}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "Attestation PCA"}, NotAfter: time.Unix(1<<32, 0)}
	issued := member(&testKey().PublicKey, map[string]any{"x5c": []string{certificate(t, testKey(), leaf, ca)}})
	for _, tt := range []struct {
		name   string
		set    *result.KeySet
		shared bool
		want   result.Reason
	}{
		{"the issuer", keySet(t, self(pkix.Name{CommonName: issuer})), false, ""},
		{"another instance", keySet(t, self(pkix.Name{CommonName: "https://other.example"})), false, result.Issuer},
		{"another instance, shared keys", keySet(t, self(pkix.Name{CommonName: "https://other.example"})), true, ""},
		{"the issuer and more", keySet(t, self(pkix.Name{CommonName: issuer, Organization: []string{"x"}})), false, result.Issuer},
		{"both instances, one key", keySet(t, self(pkix.Name{CommonName: "https://other.example"}), self(pkix.Name{CommonName: issuer})), false, ""},
		{"a CA-issued certificate", keySet(t, issued), false, ""},
	} {
		_, err := result.Verify(forge(t, testKey(), header, payload), tt.set, result.Expect{Issuer: issuer, At: inTime, SharedKeys: tt.shared})
		got := result.Reason("")
		if err != nil {
			got = reason(t, err)
		}
		if got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestMarshalKeySetHasTheRecordedMembers(t *testing.T) {
	got, err := result.MarshalKeySet([]result.PublishedKey{{KeyID: "a+/=", Chain: [][]byte{{0xfb, 0xff}, {1}}}})
	if want := `{"keys":[{"x5c":["+/8=","AQ=="],"kid":"a+/=","kty":"RSA"}]}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	if got, err = result.MarshalKeySet(nil); err != nil || string(got) != `{"keys":[]}` {
		t.Errorf("empty set: got %s (%v)", got, err)
	}
}

// Every recorded key whose kid is of the instance form is the key that the kid names (tokens.md section 3.1).
func TestRecordedInstanceKeyIDsRecompute(t *testing.T) {
	checks(t, func(_ string, c tokenCheck) {
		for kid, spki := range certifiedKeys(t, vectortest.Read(t, c.JWKS)) {
			if got := result.KeyID(spki); strings.HasSuffix(kid, "=") && got != kid {
				t.Errorf("%s: kid %s recomputes as %s", c.JWKS, kid, got)
			}
		}
	})
}
