package gotdxguest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// lab has keys of its own for everybody who signs something of a TDX quote, so that a case can be changed and signed anew.
type lab struct {
	t                                *testing.T
	root, ca, pck, signer, attestKey *ecdsa.PrivateKey
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t}
	for _, key := range []**ecdsa.PrivateKey{&l.root, &l.ca, &l.pck, &l.signer, &l.attestKey} {
		var err error
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// parts are what a case is made of, to be changed before it is signed.
type parts struct {
	header, body                  []byte // body: with its descriptor, in version 5
	qeReport, qeAuth              []byte
	leaf, ca, root, signer        *x509.Certificate
	tcbInfo, qeIdentity           []byte // the values that are signed
	pckCRL, rootCRL               *x509.RevocationList
	certType, innerType, trailing int
}

// bodySize is the size of descriptor and body.
func bodySize(quote []byte) int {
	if quote[0] == 5 {
		return 6 + int(binary.LittleEndian.Uint32(quote[50:]))
	}
	return 584
}

// take takes a case apart (sgx-tdx.md section 2).
func (l *lab) take(c *vectortest.DCAPCase) *parts {
	l.t.Helper()
	size := bodySize(c.Quote)
	p := &parts{header: slices.Clone(c.Quote[:48]), body: slices.Clone(c.Quote[48 : 48+size]), certType: 6, innerType: 5}
	data := c.Quote[48+size+4:]
	p.qeReport = slices.Clone(data[134 : 134+384])
	auth := 134 + 384 + 64
	n := int(binary.LittleEndian.Uint16(data[auth:]))
	p.qeAuth = slices.Clone(data[auth+2 : auth+2+n])
	chain := data[auth+2+n+6:]
	chain = chain[:binary.LittleEndian.Uint32(data[auth+2+n+2:])]
	certs := l.certificates(chain)
	p.leaf, p.ca, p.root = certs[0], certs[1], certs[2]
	p.signer = l.certificates(c.Files["tcb_info_issuer_chain.pem"])[0]
	p.tcbInfo, p.qeIdentity = signed(c.Files["tcb_info.json"]), signed(c.Files["qe_identity.json"])
	p.pckCRL, p.rootCRL = l.crl(c.Files["pck_crl.der"]), l.crl(c.Files["root_ca_crl.der"])
	return p
}

// signed is the value in a document {"name":…,"signature":"…"}.
func signed(document []byte) []byte {
	_, value, _ := bytes.Cut(document, []byte(":"))
	return slices.Clone(value[:bytes.LastIndex(value, []byte(`,"signature"`))])
}

func (l *lab) certificates(text []byte) (certs []*x509.Certificate) {
	l.t.Helper()
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return certs
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			l.t.Fatal(err)
		}
		certs, text = append(certs, cert), rest
	}
}

func (l *lab) crl(der []byte) *x509.RevocationList {
	l.t.Helper()
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		l.t.Fatal(err)
	}
	return crl
}

// put signs everything and puts it together. Only the lab's root is trusted.
func (l *lab) put(p *parts, c *vectortest.DCAPCase) {
	l.t.Helper()
	root := l.issue(p.root, p.root, l.root, l.root)
	ca := l.issue(p.ca, root, l.ca, l.root)
	leaf := l.issue(p.leaf, ca, l.pck, l.ca)
	signer := toPEM(l.issue(p.signer, root, l.signer, l.root), root)
	c.Root = root.Raw
	c.Quote = l.quote(p, toPEM(leaf, ca, root))
	c.Files = maps.Clone(c.Files)
	c.Files["tcb_info.json"] = l.document("tcbInfo", p.tcbInfo)
	c.Files["qe_identity.json"] = l.document("enclaveIdentity", p.qeIdentity)
	c.Files["tcb_info_issuer_chain.pem"], c.Files["qe_identity_issuer_chain.pem"] = signer, signer
	c.Files["pck_crl.der"] = l.list(p.pckCRL, ca, l.ca)
	c.Files["root_ca_crl.der"] = l.list(p.rootCRL, root, l.root)
}

func (l *lab) issue(cert, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) *x509.Certificate {
	l.t.Helper()
	template, parent := *cert, *issuer
	parent.PublicKey = &issuerKey.PublicKey
	for _, x := range cert.Extensions { // Intel's, which the library would not write
		if x.Id.String() == "1.2.840.113741.1.13.1" && template.ExtraExtensions == nil {
			template.ExtraExtensions = append(template.ExtraExtensions, x)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &parent, &key.PublicKey, issuerKey)
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lab) list(list *x509.RevocationList, issuer *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	l.t.Helper()
	template := &x509.RevocationList{Number: list.Number, ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, RevokedCertificateEntries: list.RevokedCertificateEntries}
	der, err := x509.CreateRevocationList(rand.Reader, template, issuer, key)
	if err != nil {
		l.t.Fatal(err)
	}
	return der
}

func toPEM(certs ...*x509.Certificate) (text []byte) {
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return text
}

// sign gives r and s, 32 bytes each.
func (l *lab) sign(key *ecdsa.PrivateKey, message []byte) []byte {
	l.t.Helper()
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		l.t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func (l *lab) document(name string, value []byte) []byte {
	return slices.Concat([]byte(`{"`+name+`":`), value, []byte(`,"signature":"`+hex.EncodeToString(l.sign(l.signer, value))+`"}`))
}

// quote signs header and body, and puts the report of the quoting enclave and the chain behind them.
func (l *lab) quote(p *parts, chain []byte) []byte {
	point, err := l.attestKey.PublicKey.Bytes()
	if err != nil {
		l.t.Fatal(err)
	}
	key := point[1:]
	binding := sha256.Sum256(append(slices.Clone(key), p.qeAuth...))
	copy(p.qeReport[320:], append(binding[:], make([]byte, 32)...))
	le := binary.LittleEndian
	inner := slices.Concat(p.qeReport, l.sign(l.pck, p.qeReport))
	inner = append(le.AppendUint16(inner, uint16(len(p.qeAuth))), p.qeAuth...)
	inner = append(le.AppendUint32(le.AppendUint16(inner, uint16(p.innerType)), uint32(len(chain))), chain...)
	message := slices.Concat(p.header, p.body)
	data := slices.Concat(l.sign(l.attestKey, message), key)
	data = append(le.AppendUint32(le.AppendUint16(data, uint16(p.certType)), uint32(len(inner))), inner...)
	return slices.Concat(le.AppendUint32(message, uint32(len(data))), data, make([]byte, p.trailing))
}
