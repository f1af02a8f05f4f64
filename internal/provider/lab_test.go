package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
	"github.com/assay-attestation/assay/internal/verifier"
)

const permits = "version=1.0;authorizationrules{=> permit();};issuancerules{};"

// lab is a registry on a store of its own, with the default provider in service.
type lab struct {
	*Registry
	t     *testing.T
	views int // that the watcher was told of
	trail []string
}

func newLab(t *testing.T, edit ...func(*Ground)) *lab {
	t.Helper()
	return newLabOn(t, storetest.SQLite(t), filepath.Join(t.TempDir(), "seal.key"), edit...)
}

// newLabOn is another replica on the same store.
func newLabOn(t *testing.T, dsn, sealFile string, edit ...func(*Ground)) *lab {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := seal.Create(sealFile)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.New(keyring.Config{Store: s, Seal: key, Schedule: keyring.DefaultSchedule(), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t}
	g := Ground{
		Store: s, Keys: ring, Seats: verifier.NewSeats(0), Logger: slog.New(slog.DiscardHandler),
		Verify:        func(*Instance) (*verifier.Verifier, error) { return verifier.New(verifier.Config{}), nil },
		CheckBaseline: func(string) error { return nil }, CheckSettings: func(Settings) error { return nil },
	}
	for _, e := range edit {
		e(&g)
	}
	l.Registry = NewRegistry(g, func([]*Instance) { l.views++ })
	l.must(l.Ensure(t.Context(), store.Provider{URL: "https://attest.example", Location: "local"}, l.author()))
	l.must(l.Store.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.ProviderNamed(Default); return err }))
	l.maintain()
	l.must(l.Refresh(t.Context()))
	return l
}

// maintain makes the first keys of all providers.
func (l *lab) maintain() {
	l.t.Helper()
	var all []store.Provider
	l.must(l.Store.Read(l.t.Context(), func(tx *store.Tx) (err error) { all, err = tx.Providers(); return err }))
	for _, p := range all {
		_, err := l.Keys.Maintain(l.t.Context(), p.ID, func(*store.Tx, keyring.Change) error { return nil })
		l.must(err)
	}
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// author notes the hashes of what it changes.
func (l *lab) author() Author {
	return Author{Name: "tester", RequestID: "00-1", At: time.Now(), Audit: func(_ *store.Tx, before, after string) error {
		l.trail = append(l.trail, before+">"+after)
		return nil
	}}
}

// at gives the provider of a name.
func (l *lab) at(name string) *Instance {
	l.t.Helper()
	i, ok := l.ByName(name)
	if !ok {
		l.t.Fatalf("%s is not in service", name)
	}
	return i
}

// create makes a provider whose URL is https://NAME.example.
func (l *lab) create(name string, edit ...func(*Spec)) *Instance {
	l.t.Helper()
	spec := Spec{Name: name}
	for _, e := range edit {
		e(&spec)
	}
	l.must(l.Create(l.t.Context(), spec, byName, l.author()))
	return l.at(name)
}

func byName(name, _ string, _ []store.Provider) (string, string, error) {
	return "https://" + name + ".example", "", nil
}

// signer is a key with a certificate of its own.
type signer struct {
	*policyjws.KeySigner
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(t *testing.T, name string) signer { return signer{}.issues(t, name) }

// issues makes a signer that s certifies, or that certifies itself if s is nobody.
func (s signer) issues(t *testing.T, name string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	parent, by := template, key
	if s.cert != nil {
		parent, by = s.cert, s.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	made, err := policyjws.NewKeySigner(key, []*x509.Certificate{cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer{made, cert, key}
}

// policy is a signed policy that issues a claim of this value.
func (s signer) policy(t *testing.T, text string) []byte {
	t.Helper()
	jws, err := s.Policy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(jws)
}

// change is a JWS that adds or removes a signer.
func (s signer) change(t *testing.T, cert *x509.Certificate) []byte {
	t.Helper()
	jws, err := s.PolicyCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(jws)
}

func unsigned(t *testing.T, text string) []byte {
	t.Helper()
	jws, err := policyjws.UnsignedPolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(jws)
}

// issuing is a policy that differs from others by a number.
func issuing(n string) string {
	return strings.Replace(permits, "issuancerules{", `issuancerules{=> issue(type="n", value=`+n+`);`, 1)
}
