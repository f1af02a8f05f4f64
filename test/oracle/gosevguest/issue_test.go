package gosevguest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// authorities issue certificates of the vectors anew, under keys of their own: everything else stays as it is.
type authorities struct {
	t        *testing.T
	ark, ask *rsa.PrivateKey
}

func newAuthorities(t *testing.T) *authorities {
	t.Helper()
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	return &authorities{t, keys[0], keys[1]}
}

// reissue changes the VCEK or VLEK of the case, sometimes the authority above, and issues the whole chain anew.
func (a *authorities) reissue(r *mrand.Rand, in *input) string {
	a.t.Helper()
	block, _ := pem.Decode(in.chain)
	leaf, ark := a.parse(block.Bytes), a.parse(in.ark)
	authority := &in.ask
	if leaf.Subject.CommonName == "SEV-VLEK" {
		authority = &in.asvk
	}
	ask := a.parse(*authority)
	how := ""
	if r.IntN(5) == 0 {
		how = changeAuthority(r, ask, in.at)
	} else {
		how = changeLeaf(r, leaf, in.at)
	}
	ark.PublicKey, ask.PublicKey = &a.ark.PublicKey, &a.ask.PublicKey
	in.ark = a.issue(ark, ark, a.ark)
	*authority = a.issue(ask, ark, a.ark)
	ask.RawSubject = a.parse(*authority).RawSubject
	in.chain = nil
	for _, der := range [][]byte{a.issue(leaf, ask, a.ask), *authority, in.ark} {
		in.chain = append(in.chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return how + ", issued"
}

func (a *authorities) parse(der []byte) *x509.Certificate {
	a.t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func (a *authorities) issue(cert, issuer *x509.Certificate, key *rsa.PrivateKey) []byte {
	a.t.Helper()
	if cert.SerialNumber.Sign() <= 0 { // as AMD's may be
		cert.SerialNumber = big.NewInt(1)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, issuer, cert.PublicKey, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// changeAuthority makes an ASK or ASVK one that may not issue.
func changeAuthority(r *mrand.Rand, ask *x509.Certificate, at time.Time) string {
	switch r.IntN(4) {
	case 0:
		ask.IsCA, ask.BasicConstraintsValid, ask.MaxPathLen, ask.MaxPathLenZero = false, true, -1, false
		return "an authority that is no CA"
	case 1:
		ask.NotAfter = at.Add(-time.Hour)
		return "an authority that has expired"
	case 2:
		ask.Subject.CommonName += "-Test"
		ask.RawSubject = nil
		return "an authority of another name"
	}
	ask.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	return "an authority with a critical extension"
}

// changeLeaf changes an extension of AMD, or something around them.
func changeLeaf(r *mrand.Rand, leaf *x509.Certificate, at time.Time) string {
	amd := slices.Clone(leaf.Extensions)
	amd = slices.DeleteFunc(amd, func(x pkix.Extension) bool { return !strings.HasPrefix(x.Id.String(), "1.3.6.1.4.1.3704.1.") })
	how, i := "", r.IntN(len(amd))
	switch r.IntN(8) {
	case 0:
		how = "without " + amd[i].Id.String()
		amd = slices.Delete(amd, i, i+1)
	case 1:
		how = changeAround(r, leaf, at)
	case 2:
		last := []int{1, 4, 5, 6, 77}[r.IntN(5)]
		id := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, last}
		if !slices.ContainsFunc(amd, func(x pkix.Extension) bool { return x.Id.Equal(id) }) {
			how = "with " + id.String()
			amd = append(amd, pkix.Extension{Id: id, Value: ia5("CN=provider.example")})
		}
	case 3:
		i = slices.IndexFunc(amd, func(x pkix.Extension) bool { return strings.HasSuffix(x.Id.String(), ".3704.1.2") })
		names := []string{"Milan", "Milan-B0", "Milan-B1", "Milan-B2", "Genoa", "Genoa-B1", "Turin-B0", "", "Mil"}
		amd[i].Value = ia5(names[r.IntN(len(names))])
		how = "the product name"
	default:
		amd[i].Value, how = changeValue(r, amd[i])
	}
	leaf.ExtraExtensions = amd
	return how
}

// changeAround changes what is not AMD's extensions.
func changeAround(r *mrand.Rand, leaf *x509.Certificate, at time.Time) string {
	switch r.IntN(6) {
	case 0:
		leaf.NotAfter = at.Add(-time.Second)
		return "an expired leaf"
	case 1:
		leaf.NotBefore = at.Add(time.Second)
		return "a leaf of the future"
	case 2:
		leaf.RawSubject, leaf.Subject.CommonName = nil, []string{"VCEK", "SEV-VLEK", "SEV-VCEK"}[r.IntN(3)]
		return "the name " + leaf.Subject.CommonName
	case 3:
		leaf.RawSubject, leaf.Subject.Organization = nil, []string{"Another"}
		return "another organization"
	case 4:
		leaf.KeyUsage = x509.KeyUsageDigitalSignature
		return "a key usage"
	}
	leaf.BasicConstraintsValid, leaf.IsCA = true, true
	return "a leaf that is a CA"
}

// changeValue gives an extension another value: numbers near and out of range, ids in both encodings.
func changeValue(r *mrand.Rand, x pkix.Extension) ([]byte, string) {
	value := slices.Clone(x.Value)
	var n int
	if _, err := asn1.Unmarshal(value, &n); err == nil && len(value) < 8 {
		n = []int{n + 1, n - 1, 0, 255, 256, -1, 1 << 20}[r.IntN(7)]
		value, _ = asn1.Marshal(n)
		return value, x.Id.String() + " is a number"
	}
	switch r.IntN(4) {
	case 0:
		value, _ = asn1.Marshal(value)
	case 1:
		value = value[:len(value)-1]
	case 2:
		value = append(value, 0)
	default:
		value[r.IntN(len(value))] ^= 1 << r.IntN(8)
	}
	return value, x.Id.String() + " is bytes"
}

func ia5(text string) []byte {
	b, err := asn1.MarshalWithParams(text, "ia5")
	if err != nil {
		panic(err)
	}
	return b
}
