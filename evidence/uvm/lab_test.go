package uvm_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/assay-attestation/assay/evidence/uvm"
)

// keys are those of every lab, made once: of a root, of an authority below it, of a signer, and of a stranger.
var keys = sync.OnceValue(func() (all [4]*rsa.PrivateKey) {
	for i := range all {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		all[i] = key
	}
	return all
})

// purpose is the key purpose of a lab's signer.
func purpose() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 76, 59, 1, 2}
}

// lab is an issuer of endorsements: a root, an authority and a signer.
type lab struct {
	t                testing.TB
	root, ca, signer *x509.Certificate
	signedAt         time.Time
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, signedAt: time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)}
	k := keys()
	l.root = l.certificate("root", k[0], nil, k[0])
	l.ca = l.certificate("authority", k[1], l.root, k[0])
	l.signer = l.certificate("signer", k[2], l.ca, k[1], asSigner)
	return l
}

// asSigner makes a certificate one of a signer, for the year of the signing time only.
func asSigner(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, x509.KeyUsageDigitalSignature
	c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{purpose()}
	c.NotBefore, c.NotAfter = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
}

// certificate makes one of a CA, unless it is edited. Without issuer it is signed for itself.
func (l *lab) certificate(name string, key *rsa.PrivateKey, issuer *x509.Certificate, by *rsa.PrivateKey, edits ...func(*x509.Certificate)) *x509.Certificate {
	l.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), SignatureAlgorithm: x509.SHA384WithRSA,
	}
	for _, edit := range edits {
		edit(template)
	}
	parent := *template
	if issuer != nil {
		parent = *issuer
	}
	parent.PublicKey = &by.PublicKey // or the library would refuse to forge
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, &key.PublicKey, by)
	if err != nil {
		l.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	return cert
}

// didOf names a certificate, with the key purpose of the lab.
func didOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return "did:x509:0:sha256:" + base64.RawURLEncoding.EncodeToString(sum[:]) + "::eku:" + purpose().String()
}

// message is what an endorsement is made of. Header is the protected header.
type message struct {
	tag         uint64
	header      map[any]any
	unprotected any
	payload     []byte
	salt        int
	key         *rsa.PrivateKey

	protected []byte // in place of header, if it is there
}

// make signs an endorsement after the edits.
func (l *lab) make(edits ...func(*message)) []byte {
	l.t.Helper()
	m := &message{
		tag: 18, unprotected: map[any]any{}, salt: rsa.PSSSaltLengthEqualsHash, key: keys()[2],
		payload: []byte(`{"x-ms-sevsnpvm-guestsvn":"22","x-ms-sevsnpvm-launchmeasurement":"` + measurement + `"}`),
		header: map[any]any{
			1: -38, 33: [][]byte{l.signer.Raw, l.ca.Raw, l.root.Raw}, "iss": didOf(l.root), "feed": feed, "signingtime": cbor.Tag{Number: 1, Content: l.signedAt.Unix()},
		},
	}
	for _, edit := range edits {
		edit(m)
	}
	if m.protected == nil {
		m.protected = l.marshal(m.header)
	}
	sum := sha512.Sum384(l.marshal([]any{"Signature1", m.protected, []byte{}, m.payload}))
	signature, err := rsa.SignPSS(rand.Reader, m.key, crypto.SHA384, sum[:], &rsa.PSSOptions{SaltLength: m.salt})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.marshal(cbor.Tag{Number: m.tag, Content: []any{m.protected, m.unprotected, m.payload, signature}})
}

func (l *lab) marshal(v any) []byte {
	l.t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// endorses parses an endorsement, and asks whether it counts as one of the issuer named by a certificate.
func (l *lab) endorses(root *x509.Certificate, edits ...func(*message)) error {
	l.t.Helper()
	e, err := uvm.Parse(l.make(edits...))
	if err != nil {
		l.t.Fatalf("not parsed: %v", err)
	}
	var m [48]byte
	if b, err := hex.DecodeString(measurement); err != nil || copy(m[:], b) != len(m) {
		l.t.Fatal("bad measurement")
	}
	return e.Endorses(uvm.Issuer{DID: didOf(root), Feed: feed, MinSVN: 22}, m)
}

// with sets a member of the protected header; nil takes it away.
func with(name, value any) func(*message) {
	return func(m *message) {
		m.header[name] = value
		if value == nil {
			delete(m.header, name)
		}
	}
}

// chain names a certificate as the issuer and sends others.
func chain(root *x509.Certificate, certs ...*x509.Certificate) func(*message) {
	return func(m *message) {
		var ders [][]byte
		for _, c := range certs {
			ders = append(ders, c.Raw)
		}
		m.header[33], m.header["iss"] = ders, didOf(root)
	}
}
