package snp_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// list makes a revocation list of issuer that is in force a month around the lab's time.
func (l *lab) list(issuer *authority, edits ...func(*x509.RevocationList)) []byte {
	l.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: l.at().AddDate(0, 0, -15), NextUpdate: l.at().AddDate(0, 0, 15), SignatureAlgorithm: x509.SHA384WithRSAPSS}
	for _, edit := range edits {
		edit(list)
	}
	parent := *issuer.cert
	parent.PublicKey = &issuer.key.PublicKey
	b, err := x509.CreateRevocationList(rand.Reader, list, &parent, issuer.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// revoking lists certificates.
func revoking(certs ...*x509.Certificate) func(*x509.RevocationList) {
	return func(list *x509.RevocationList) {
		for _, cert := range certs {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: list.ThisUpdate})
		}
	}
}

func TestRevocationListsThatAreNone(t *testing.T) {
	l := newLab(t, "Milan")
	other := newLab(t, "Genoa")
	delta := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: der(1, "")}
	good := l.list(l.ark)
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good})
	for name, c := range map[string]struct {
		list  []byte
		check evidence.Check
		part  string
	}{
		"nothing":             {nil, evidence.CRLFormat, "cannot be read"},
		"garbage":             {[]byte("garbage"), evidence.CRLFormat, "cannot be read"},
		"cut short":           {good[:len(good)-1], evidence.CRLFormat, "cannot be read"},
		"damaged PEM":         {[]byte("-----BEGIN X509 CRL-----\nAAAA\n"), evidence.CRLFormat, "damaged"},
		"two in PEM":          {slices.Concat(text, text), evidence.CRLFormat, "damaged"},
		"a damaged one first": {slices.Concat(bytes.Replace(text, []byte("\nM"), []byte("\n!"), 1), text), evidence.CRLFormat, "damaged"},
		"text behind":         {append(bytes.Clone(text), "x"...), evidence.CRLFormat, "damaged"},
		"too long":            {make([]byte, snp.MaxCRL+1), evidence.CRLFormat, "at most 1048576"},
		"a delta":             {l.list(l.ark, func(r *x509.RevocationList) { r.ExtraExtensions = []pkix.Extension{delta} }), evidence.CRLFormat, "critical"},
		"a critical entry":    {l.list(l.ark, revoking(l.ask.cert), func(r *x509.RevocationList) { r.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{delta} }), evidence.CRLFormat, "critical"},
		"of an unknown root":  {l.list(other.ark), evidence.CRLSignature, `no trusted root is named "ARK-Genoa"`},
		"of the ASK":          {l.list(l.ask), evidence.CRLSignature, `no trusted root is named "SEV-Milan"`},
		"by a stranger":       {l.list(&authority{l.ark.cert, l.stranger}), evidence.CRLSignature, "verification error"},
		"with PKCS #1":        {l.list(l.ark, func(r *x509.RevocationList) { r.SignatureAlgorithm = x509.SHA384WithRSA }), evidence.CRLSignature, "instead of RSASSA-PSS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.roots().CRL(c.list)
			refusedSaying(t, err, c.check, c.part)
			unavailable(t, err)
		})
	}
}

// unavailable fails unless err is a refusal for which the evidence is not to blame.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Code() != "CollateralUnavailable" {
		t.Errorf("got %v, want a fault of the collateral", err)
	}
}

func TestRevocationListsInDERAndPEM(t *testing.T) {
	l := newLab(t, "Milan")
	b := l.list(l.ark)
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: b})
	for _, form := range [][]byte{b, text, append(bytes.Clone(text), 0), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))} {
		if crl, err := l.roots().CRL(form); err != nil || !crl.NextUpdate().Equal(l.at().AddDate(0, 0, 15)) {
			t.Errorf("%.30q: %v", form, err)
		}
	}
}

func TestRevokedAuthorities(t *testing.T) {
	l := newLab(t, "Milan")
	for name, c := range map[string]struct {
		list       []byte
		vcek, vlek bool // refused
	}{
		"nobody":   {l.list(l.ark), false, false},
		"the ASK":  {l.list(l.ark, revoking(l.ask.cert)), true, false},
		"the ASVK": {l.list(l.ark, revoking(l.asvk.cert)), false, true},
		"the ARK":  {l.list(l.ark, revoking(l.ark.cert)), true, true},
		"a leaf":   {l.list(l.ark, revoking(l.vcek())), false, false}, // leaves share serial numbers
	} {
		crl, err := l.roots().CRL(c.list)
		if err != nil {
			t.Fatal(err)
		}
		opt := snp.Options{Revocations: []*snp.CRL{crl}}
		_, err = l.verify(opt)
		_, err2 := l.verify(opt, vlekSigned)
		for _, got := range []struct {
			err     error
			refused bool
		}{{err, c.vcek}, {err2, c.vlek}} {
			if got.refused {
				refusedFor(t, got.err, evidence.Revoked)
			} else if got.err != nil {
				t.Errorf("%s: %v", name, got.err)
			}
		}
	}
}

func TestDatesOfRevocationLists(t *testing.T) {
	l := newLab(t, "Milan")
	from, until := l.at().AddDate(0, 0, -15), l.at().AddDate(0, 0, 15)
	crl, err := l.roots().CRL(l.list(l.ark))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at    time.Time
		grace time.Duration
		check evidence.Check // none: accepted
	}{
		{from, 0, ""}, {from.Add(-time.Second), 0, evidence.CRLNotYetValid}, {until.Add(-time.Second), 0, ""}, {until, 0, evidence.CRLExpired},
		{until, time.Hour, ""}, {until.Add(time.Hour), time.Hour, evidence.CRLExpired},
	} {
		_, err := l.verify(snp.Options{At: c.at, Grace: c.grace, Revocations: []*snp.CRL{crl}})
		if c.check == "" && err != nil {
			t.Errorf("%s: %v", c.at, err)
		}
		if c.check != "" {
			refusedFor(t, err, c.check)
			unavailable(t, err)
		}
	}
}

// TestListsOfOtherRootsSayNothing: neither what they list nor their dates count, and the journal says that nothing was checked.
func TestListsOfOtherRootsSayNothing(t *testing.T) {
	l, other := newLab(t, "Milan"), newLab(t, "Genoa")
	other.ark = l.authority("ARK-Genoa", l.stranger, &authority{key: l.stranger})
	expired := func(r *x509.RevocationList) { r.ThisUpdate, r.NextUpdate = l.notBefore, l.notBefore.AddDate(0, 0, 1) }
	crl, err := other.roots().CRL(other.list(other.ark, revoking(l.ask.cert), expired))
	if err != nil {
		t.Fatal(err)
	}
	j := &evidence.Journal{}
	if _, err := l.verify(snp.Options{Revocations: []*snp.CRL{crl}, Journal: j}); err != nil {
		t.Fatal(err)
	}
	for _, e := range j.Entries {
		if e.Name == evidence.Revoked && e.Outcome != evidence.Skipped {
			t.Errorf("the journal says %v", e)
		}
	}
}
