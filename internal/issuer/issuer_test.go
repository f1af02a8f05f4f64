package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/result"
)

const testIssuer = "https://demo.local.attest.example"

var start = time.Date(2030, 3, 17, 17, 46, 40, 0, time.UTC)

// generate is a new key.
func generate(t testing.TB, from time.Time) Key {
	t.Helper()
	key, err := Generate(from)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open is the provider with one new key, or with the given ones.
func open(t testing.TB, keys ...Key) *Keys {
	t.Helper()
	if len(keys) == 0 {
		keys = []Key{generate(t, start)}
	}
	k, err := New(Config{Issuer: testIssuer}, keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyIsWrittenAndReadWhole(t *testing.T) {
	key := generate(t, start)
	der, err := key.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(key.ID, start, der)
	if err != nil || !again.Private.Equal(key.Private) || again.ID != key.ID || !again.From.Equal(start) {
		t.Fatalf("got %s, %v, want the key %s", again.ID, err, key.ID)
	}
	if n := key.Private.N.BitLen(); n != 2048 {
		t.Errorf("key of %d bits, want 2048", n)
	}
	if before, after := open(t, key).Certs(start), open(t, again).Certs(start); !bytes.Equal(before, after) {
		t.Errorf("after a restart /certs is\n%s\nbefore it was\n%s", after, before)
	}
}

// published is /certs as a client reads it.
func published(t testing.TB, k *Keys) (certs []*x509.Certificate, kids []string) {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(k.Certs(start), &set); err != nil {
		t.Fatal(err)
	}
	for _, entry := range set.Keys {
		if len(entry) != 3 || entry["kty"] != "RSA" {
			t.Errorf("entry %v, want kid, kty RSA, x5c and no more", entry)
		}
		var der []byte
		if err := json.Unmarshal([]byte(`"`+entry["x5c"].([]any)[0].(string)+`"`), &der); err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs, kids = append(certs, cert), append(kids, entry["kid"].(string))
	}
	return certs, kids
}

func TestInstanceCertificate(t *testing.T) {
	certs, kids := published(t, open(t))
	c := certs[0]
	// SEQUENCE { SET { SEQUENCE { OID 2.5.4.3, UTF8String } } }
	name := append([]byte{0x30, 0x2c, 0x31, 0x2a, 0x30, 0x28, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, byte(len(testIssuer))}, testIssuer...)
	if !bytes.Equal(c.RawSubject, name) || !bytes.Equal(c.RawIssuer, name) {
		t.Errorf("subject %x, issuer %x, want %x", c.RawSubject, c.RawIssuer, name)
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		t.Error(err)
	}
	if c.IsCA || !c.BasicConstraintsValid || len(c.Extensions) != 3 || len(c.SubjectKeyId) == 0 || !bytes.Equal(c.SubjectKeyId, c.AuthorityKeyId) {
		t.Errorf("extensions: CA %v, %d in all, SKI %x, AKI %x", c.IsCA, len(c.Extensions), c.SubjectKeyId, c.AuthorityKeyId)
	}
	if c.SerialNumber.String() != "1" || c.NotBefore.Year() != 2019 || c.NotAfter.Year() != 2050 {
		t.Errorf("serial %s, validity %s to %s", c.SerialNumber, c.NotBefore, c.NotAfter)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.RawSubjectPublicKeyInfo})
	digest := sha256.Sum256(append(text, 0))
	if want, _ := json.Marshal(digest[:]); `"`+kids[0]+`"` != string(want) {
		t.Errorf("kid %s, want %s", kids[0], want)
	}
}

func TestNewURLGetsANewCertificateForTheSameKey(t *testing.T) {
	key := generate(t, start)
	before, kids := published(t, open(t, key))
	moved, err := New(Config{Issuer: "https://localhost:8443"}, []Key{key})
	if err != nil {
		t.Fatal(err)
	}
	after, movedKids := published(t, moved)
	if after[0].Subject.String() != "CN=https://localhost:8443" || !slices.Equal(kids, movedKids) || !after[0].PublicKey.(*rsa.PublicKey).Equal(before[0].PublicKey) {
		t.Errorf("subject %s, kid %v, before %v", after[0].Subject, movedKids, kids)
	}
}

func TestAddedKeyIsListedAtOnceAndSignsFromItsTime(t *testing.T) {
	takesOver := start.Add(24 * time.Hour)
	old, added := generate(t, start), generate(t, takesOver)
	k := open(t, added, old) // in any order
	for at, want := range map[time.Time]string{
		start.Add(-time.Hour): old.ID, start: old.ID, takesOver.Add(-1): old.ID, takesOver: added.ID, takesOver.Add(time.Hour): added.ID,
	} {
		if got := k.KeyID(at); got != want {
			t.Errorf("at %s signs %s, want %s", at, got, want)
		}
		token, err := k.sign(Attestation, nil, at)
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := result.ParseToken(token); u.Header().KeyID != k.KeyID(at) {
			t.Errorf("token signed at %s has kid %s, want %s", at, u.Header().KeyID, k.KeyID(at))
		}
	}
}

// TestKeyInUseIsListedFirst: the recorded sets have the instance certificate in first place (tokens.md section 3.1).
func TestKeyInUseIsListedFirst(t *testing.T) {
	var keys []Key
	for day := range 4 {
		keys = append(keys, generate(t, start.AddDate(0, 0, day)))
	}
	k := open(t, keys...)
	for day, order := range map[int][]int{-1: {0, 1, 2, 3}, 0: {0, 1, 2, 3}, 1: {1, 2, 3, 0}, 2: {2, 3, 1, 0}, 3: {3, 2, 1, 0}, 9: {3, 2, 1, 0}} {
		var set struct{ Keys []struct{ Kid string } }
		if err := json.Unmarshal(k.Certs(start.AddDate(0, 0, day)), &set); err != nil || len(set.Keys) != 4 {
			t.Fatalf("%d keys, %v", len(set.Keys), err)
		}
		for i, n := range order {
			if set.Keys[i].Kid != keys[n].ID {
				t.Errorf("day %d: entry %d is %s, want key %d, %s", day, i, set.Keys[i].Kid, n, keys[n].ID)
			}
		}
	}
}

func TestPublishedTellsWhenEachKeySigns(t *testing.T) {
	next := start.AddDate(0, 3, 0)
	a, b := generate(t, start), generate(t, next)
	ends := time.Date(2050, 12, 31, 23, 59, 59, 0, time.UTC) // tokens.md section 3.1
	want := []Published{{a.ID, "", start, next, ends}, {b.ID, "", next, time.Time{}, ends}}
	if got := open(t, b, a).Published(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestKeysOfOneSecondSignInTheSameOrderEverywhere(t *testing.T) {
	a, b := generate(t, start), generate(t, start)
	if one, other := open(t, a, b).KeyID(start), open(t, b, a).KeyID(start); one != other {
		t.Errorf("one replica signs with %s, another with %s", one, other)
	}
}

func TestNewRefusesUnfitKeys(t *testing.T) {
	sound := generate(t, start)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	smallID, err := keyID(small)
	if err != nil {
		t.Fatal(err)
	}
	renamed := sound
	renamed.ID = "another"
	for name, tt := range map[string]struct {
		keys []Key
		want string
	}{
		"sound":             {[]Key{sound}, ""},
		"none":              {nil, "expected 1 to 32, found 0"},
		"one too many":      {make([]Key, MaxKeys+1), "expected 1 to 32, found 33"},
		"as many as may be": {make([]Key, MaxKeys), "without its private key"}, // counted, then looked at
		"the same twice":    {[]Key{sound, sound}, "twice"},
		"RSA-1024":          {[]Key{{ID: smallID, From: start, Private: small}}, "1024 bits"},
		"another's name":    {[]Key{renamed}, "another"},
	} {
		_, err := New(Config{Issuer: testIssuer}, tt.keys)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestParseKeyRefusesUnfitKeys(t *testing.T) {
	der := func(key any) []byte {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sound, other := generate(t, start), generate(t, start)
	for _, tt := range []struct {
		name string
		der  []byte
		want string
	}{
		{"sound", der(sound.Private), ""},
		{"another key", der(other.Private), other.ID},
		{"RSA-1024", der(small), "1024 bits"},
		{"EC key", der(ec), "not an RSA key"},
		{"nothing", nil, "asn1"},
		{"cut off", der(sound.Private)[:900], "asn1"},
		{"largest", make([]byte, maxKeyDER), "asn1"},
		{"larger", make([]byte, maxKeyDER+1), "16385 bytes"},
	} {
		_, err := ParseKey(sound.ID, start, tt.der)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func TestNewRefusesIssuersThatClientsCannotUse(t *testing.T) {
	keys := []Key{generate(t, start)}
	for issuer, ok := range map[string]bool{
		"https://localhost:8443": true, "http://127.0.0.1:8080": true, "https://[::1]:8443": true,
		"": false, "localhost:8443": false, "https://": false, "ftp://a.example": false, "https://a.example/": false,
		"https://a.example/path": false, "https://a.example?q": false, "https://a.example#f": false, "https://u@a.example": false,
		"https://A.example": false, "https://a.example\n": false,
	} {
		if _, err := New(Config{Issuer: issuer}, keys); (err == nil) != ok {
			t.Errorf("issuer %q: %v, want ok %v", issuer, err, ok)
		}
	}
}
