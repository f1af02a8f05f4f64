package snp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
)

// decode reads base64 of any dialect.
func decode(t testing.TB, text string) []byte {
	t.Helper()
	text = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(text)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keys are those of the authorities of every lab, made once: an ARK's, an ASK's, an ASVK's and a stranger's. RSA-2048 is the least that is accepted.
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

// authority is a certificate that signs others.
type authority struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// lab is a test PKI of one product, and a key that it vouches for.
type lab struct {
	t                   testing.TB
	product             string
	ark, ask, asvk      *authority
	stranger            *rsa.PrivateKey
	key                 *ecdsa.PrivateKey
	notBefore, notAfter time.Time
}

// tcbOf is the TCB version of reports and certificates of a product: boot loader 4, TEE 1, SNP 24, microcode 219; FMC 2 on Turin.
func tcbOf(product string) snp.TCB {
	if product == "Turin" || product == "Venice" {
		return snp.TCB{2, 4, 1, 24, 0, 0, 0, 219}
	}
	return snp.TCB{4, 1, 0, 0, 0, 0, 24, 219}
}

func newLab(t testing.TB, product string) *lab {
	t.Helper()
	l := &lab{t: t, product: product, notBefore: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), notAfter: time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)}
	all := keys()
	l.stranger = all[3]
	root := authority{key: all[0]}
	l.ark = l.authority("ARK-"+product, all[0], &root)
	l.ask = l.authority("SEV-"+product, all[1], l.ark)
	l.asvk = l.authority("SEV-VLEK-"+product, all[2], l.ark)
	var err error
	if l.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return l
}

func amdName(cn string) pkix.Name {
	return pkix.Name{CommonName: cn, Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"}}
}

// authority makes a CA. An issuer without certificate signs itself.
func (l *lab) authority(cn string, key *rsa.PrivateKey, issuer *authority, edits ...func(*x509.Certificate)) *authority {
	l.t.Helper()
	return &authority{l.sign(&x509.Certificate{
		Subject: amdName(cn), SerialNumber: new(big.Int).SetBytes([]byte(cn)), NotBefore: l.notBefore, NotAfter: l.notAfter, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}, &key.PublicKey, issuer, edits...), key}
}

func (l *lab) sign(template *x509.Certificate, key crypto.PublicKey, issuer *authority, edits ...func(*x509.Certificate)) *x509.Certificate {
	l.t.Helper()
	for _, edit := range edits {
		edit(template)
	}
	parent := *template
	if issuer.cert != nil {
		parent = *issuer.cert
	}
	parent.PublicKey = &issuer.key.PublicKey // or the library would refuse to forge
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, key, issuer.key)
	if err != nil {
		l.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	return cert
}

// leafSpec is what a VCEK or VLEK is made of. Extensions go by what follows 1.3.6.1.4.1.3704.1. in their OIDs.
type leafSpec struct {
	name   string
	ext    map[string][]byte
	issuer *authority
	key    crypto.PublicKey
	edit   func(*x509.Certificate)
}

func der(v any, params string) []byte {
	b, err := asn1.MarshalWithParams(v, params)
	if err != nil {
		panic(err)
	}
	return b
}

// amdExtensions are those that all leaves of a product have.
func amdExtensions(product string) map[string][]byte {
	ext := map[string][]byte{"1": der(0, ""), "2": der(product+"-B0", "ia5"), "3.1": der(4, ""), "3.2": der(1, ""), "3.3": der(24, ""), "3.8": der(219, "")}
	for _, spare := range []string{"3.5", "3.6", "3.7"} {
		ext[spare] = der(0, "")
	}
	if product == "Turin" || product == "Venice" {
		ext["3.9"] = der(2, "")
	} else {
		ext["3.4"] = der(0, "")
	}
	return ext
}

// chipID is that of the only chip of a lab.
func (l *lab) chipID() []byte {
	id := make([]byte, 64)
	for i := range id {
		id[i] = byte(i + 1)
	}
	if l.product == "Turin" || l.product == "Venice" {
		return id[:8]
	}
	return id
}

// vcek makes the certificate of the lab's key as one of the chip.
func (l *lab) vcek(edits ...func(*leafSpec)) *x509.Certificate {
	l.t.Helper()
	s := &leafSpec{name: "SEV-VCEK", ext: amdExtensions(l.product), issuer: l.ask, key: &l.key.PublicKey}
	s.ext["4"] = l.chipID()
	return l.leaf(s, edits)
}

// vlek makes the certificate of the lab's key as one of a provider.
func (l *lab) vlek(edits ...func(*leafSpec)) *x509.Certificate {
	l.t.Helper()
	s := &leafSpec{name: "SEV-VLEK", ext: amdExtensions(l.product), issuer: l.asvk, key: &l.key.PublicKey}
	s.ext["5"] = der("CN=provider.example", "ia5")
	return l.leaf(s, edits)
}

func (l *lab) leaf(s *leafSpec, edits []func(*leafSpec)) *x509.Certificate {
	l.t.Helper()
	for _, edit := range edits {
		edit(s)
	}
	template := &x509.Certificate{Subject: amdName(s.name), SerialNumber: big.NewInt(1), NotBefore: l.notBefore, NotAfter: l.notAfter, SignatureAlgorithm: x509.SHA384WithRSAPSS}
	for name, value := range s.ext {
		oid := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}
		for number := range strings.SplitSeq(name, ".") {
			oid = append(oid, int(number[0]-'0'))
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oid, Value: value})
	}
	if s.edit != nil {
		s.edit(template)
	}
	return l.sign(template, s.key, s.issuer)
}

// roots trusts the lab's ARK.
func (l *lab) roots(others ...*x509.Certificate) snp.Roots {
	l.t.Helper()
	all := [][]byte{l.ark.cert.Raw}
	for _, cert := range others {
		all = append(all, cert.Raw)
	}
	roots, err := snp.NewRoots(all...)
	if err != nil {
		l.t.Fatal(err)
	}
	return roots
}

// chain is leaf with the lab's authorities.
func (l *lab) chain(leaf *x509.Certificate) *snp.Chain {
	return &snp.Chain{Leaf: leaf, Others: []*x509.Certificate{l.ask.cert, l.asvk.cert, l.ark.cert}}
}

// signer traces leaf.
func (l *lab) signer(leaf *x509.Certificate) *snp.Signer {
	l.t.Helper()
	s, err := l.roots().Trace(l.chain(leaf), snp.Options{At: l.at()})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// at is a time at which everything of the lab is in force.
func (l *lab) at() time.Time { return l.notBefore.AddDate(1, 0, 0) }

// raw makes a report of version 3, signed by the lab's key after the edits.
func (l *lab) raw(edits ...func(b []byte)) []byte {
	l.t.Helper()
	b := make([]byte, snp.ReportSize)
	binary.LittleEndian.PutUint32(b[0:], 3)
	binary.LittleEndian.PutUint64(b[8:], 0x3001F)
	binary.LittleEndian.PutUint32(b[0x34:], 1)
	tcb := tcbOf(l.product)
	for _, offset := range []int{0x38, 0x180, 0x1E0, 0x1F0} {
		copy(b[offset:], tcb[:])
	}
	copy(b[0x188:], map[string][]byte{"Milan": {0x19, 1, 1}, "Genoa": {0x19, 0x11, 1}, "Turin": {0x1A, 2, 1}, "Venice": {0x1A, 0x50, 0}}[l.product])
	copy(b[0x1A0:], l.chipID())
	for _, edit := range edits {
		edit(b)
	}
	digest := sha512.Sum384(b[:0x2A0])
	r, s, err := ecdsa.Sign(rand.Reader, l.key, digest[:])
	if err != nil {
		l.t.Fatal(err)
	}
	putNumber(b[0x2A0:], r)
	putNumber(b[0x2E8:], s)
	return b
}

// putNumber writes r or s little-endian in 72 bytes.
func putNumber(b []byte, n *big.Int) {
	number := n.FillBytes(make([]byte, 72))
	slices.Reverse(number)
	copy(b, number)
}

func (l *lab) report(edits ...func(b []byte)) *snp.Report {
	l.t.Helper()
	r, err := snp.ParseReport(l.raw(edits...))
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// set puts bytes at an offset of a report.
func set(offset int, values ...byte) func([]byte) {
	return func(b []byte) { copy(b[offset:], values) }
}

// vlekSigned makes a report name a VLEK.
func vlekSigned(b []byte) { b[0x48] |= 1 << 2 }

func toPEM(certs ...*x509.Certificate) (text []byte) {
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return text
}
