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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/result"
)

const testIssuer = "https://demo.local.attest.example"

var start = time.Date(2030, 3, 17, 17, 46, 40, 0, time.UTC)

func open(t testing.TB, dir string) *Keys {
	t.Helper()
	k, err := Open(Config{Dir: dir, Issuer: testIssuer}, start)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFirstStartMakesAKeyThatIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "keys")
	first := open(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !strings.HasPrefix(entries[0].Name(), "20300317T174640Z-") {
		t.Fatalf("folder has %v, %v, want one file named after the time", entries, err)
	}
	info, _ := entries[0].Info()
	folder, _ := os.Stat(dir)
	if info.Mode() != 0o600 || folder.Mode().Perm() != 0o700 {
		t.Errorf("modes %v and %v, want 0600 and 0700", info.Mode(), folder.Mode())
	}
	if again := open(t, dir); !bytes.Equal(again.Certs(), first.Certs()) {
		t.Errorf("after a restart /certs is\n%s\nbefore it was\n%s", again.Certs(), first.Certs())
	}
	if n := first.signer(start).Key.Public().(*rsa.PublicKey).N.BitLen(); n != 2048 {
		t.Errorf("key of %d bits, want 2048", n)
	}
}

// published is /certs as a client reads it.
func published(t testing.TB, k *Keys) (certs []*x509.Certificate, kids []string) {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(k.Certs(), &set); err != nil {
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
	certs, kids := published(t, open(t, t.TempDir()+"/keys"))
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
	dir := t.TempDir() + "/keys"
	before, kids := published(t, open(t, dir))
	moved, err := Open(Config{Dir: dir, Issuer: "https://localhost:8443"}, start)
	if err != nil {
		t.Fatal(err)
	}
	after, movedKids := published(t, moved)
	if after[0].Subject.String() != "CN=https://localhost:8443" || !slices.Equal(kids, movedKids) || !after[0].PublicKey.(*rsa.PublicKey).Equal(before[0].PublicKey) {
		t.Errorf("subject %s, kid %v, before %v", after[0].Subject, movedKids, kids)
	}
}

func TestAddedKeyIsListedAtOnceAndSignsFromItsTime(t *testing.T) {
	dir := t.TempDir() + "/keys"
	old := open(t, dir)
	takesOver := start.Add(24 * time.Hour)
	if err := create(dir, takesOver); err != nil {
		t.Fatal(err)
	}
	k := open(t, dir)
	if _, kids := published(t, k); len(kids) != 2 {
		t.Fatalf("listed %v, want two keys", kids)
	}
	for at, isOld := range map[time.Time]bool{start.Add(-time.Hour): true, start: true, takesOver.Add(-1): true, takesOver: false} {
		if got := k.KeyID(at); (got == old.KeyID(start)) != isOld {
			t.Errorf("at %s signs %s, the old key is %s", at, got, old.KeyID(start))
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

func TestOpenRefusesUnsafeOrUnfitKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sound := open(t, t.TempDir()+"/keys").keys[0].signer.Key
	write := func(name string, content []byte, mode os.FileMode) func(string) error {
		return func(dir string) error {
			if err := os.WriteFile(filepath.Join(dir, name), content, mode); err != nil {
				return err
			}
			return os.Chmod(filepath.Join(dir, name), mode)
		}
	}
	const name = "20300101T000000Z-00000000.pem"
	for _, tt := range []struct {
		name    string
		arrange func(dir string) error
		want    string
	}{
		{"sound", write(name, keyPEM(t, sound), 0o600), ""},
		{"read-only", write(name, keyPEM(t, sound), 0o400), ""},
		{"readable by the group", write(name, keyPEM(t, sound), 0o640), "permissions 0640"},
		{"readable by all", write(name, keyPEM(t, sound), 0o604), "permissions 0604"},
		{"open folder", func(dir string) error { return os.Chmod(dir, 0o750) }, "permissions 0750"},
		{"RSA-1024", write(name, keyPEM(t, small), 0o600), "1024 bits"},
		{"EC key", write(name, keyPEM(t, ec), 0o600), "not an RSA key"},
		{"no PEM", write(name, []byte("key"), 0o600), "PEM block"},
		{"cut off", write(name, keyPEM(t, sound)[:900], 0o600), "PEM block"},
		{"two keys in a file", write(name, append(keyPEM(t, sound), keyPEM(t, sound)...), 0o600), "nothing after it"},
		{"damaged", write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}}), 0o600), "asn1"},
		{"other PEM", write(name, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY"}), 0o600), "PEM block"},
		{"largest file", write(name, append(keyPEM(t, sound), bytes.Repeat([]byte("\n"), maxKeyFile-len(keyPEM(t, sound)))...), 0o600), "nothing after it"},
		{"larger file", write(name, bytes.Repeat([]byte("\n"), maxKeyFile+1), 0o600), "65537 bytes"},
		{"name without a time", write("key.pem", keyPEM(t, sound), 0o600), "does not begin with a time"},
		{"folder in place of a file", func(dir string) error { return os.Mkdir(filepath.Join(dir, name), 0o700) }, "regular file"},
		{"rest of an interrupted start", write("new-123", []byte("half"), 0o600), ""},
	} {
		dir := t.TempDir() + "/keys"
		if err := makeFolder(dir); err != nil {
			t.Fatal(err)
		}
		if err := tt.arrange(dir); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{Dir: dir, Issuer: testIssuer}, start)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func keyPEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestOpenRefusesIssuersThatClientsCannotUse(t *testing.T) {
	dir := t.TempDir() + "/keys"
	for issuer, ok := range map[string]bool{
		"https://localhost:8443": true, "http://127.0.0.1:8080": true, "https://[::1]:8443": true,
		"": false, "localhost:8443": false, "https://": false, "ftp://a.example": false, "https://a.example/": false,
		"https://a.example/path": false, "https://a.example?q": false, "https://a.example#f": false, "https://u@a.example": false,
		"https://A.example": false, "https://a.example\n": false,
	} {
		if _, err := Open(Config{Dir: dir, Issuer: issuer}, start); (err == nil) != ok {
			t.Errorf("issuer %q: %v, want ok %v", issuer, err, ok)
		}
	}
}
