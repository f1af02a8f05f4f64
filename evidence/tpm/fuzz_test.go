package tpm

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func FuzzAttest(f *testing.F) {
	for _, c := range quoteCases(f) {
		f.Add(c.Quote, c.Signature)
	}
	v := readCertify(f)
	f.Add(v.Certify, v.Signature)
	key := rsaKey(f)
	f.Fuzz(func(t *testing.T, attest, signature []byte) {
		if a, err := ParseAttestRaw(attest, signature); err == nil {
			if _, err := a.VerifyQuote(QuoteInput{Key: key.Public(), Unbound: true, AllowSHA1: true}); err == nil {
				t.Error("a quote by a key that nobody else has")
			}
		}
		a, err := ParseAttest(attest, signature)
		if err != nil {
			return
		}
		if _, err := a.VerifyQuote(QuoteInput{Key: key.Public(), Unbound: true, AllowSHA1: true}); err == nil {
			t.Error("a quote by a key that nobody else has")
		}
		in := QuoteInput{PCRs: make([]Bank, len(a.selections)), Unbound: true, AllowSHA1: true}
		for i, s := range a.selections {
			in.PCRs[i].Alg = s.bank
		}
		if a.sig.hash.Size() != 0 {
			if q, err := a.quoted(&in); err == nil {
				t.Errorf("quoted without values: %v", q)
			}
		}
		if a.magic != 0xFF544347 || a.kind != 0x8018 {
			return
		}
		theirs, err := tpm2.Unmarshal[tpm2.TPMSAttest](attest)
		if err != nil || !bytes.Equal(tpm2.Marshal(theirs), attest) {
			t.Errorf("go-tpm reads the quote otherwise: %v", err)
		}
	})
}

func FuzzPublic(f *testing.F) {
	for _, c := range quoteCases(f) {
		if len(c.AKTPM2B) > 0 {
			f.Add(cut2B(f, c.AKTPM2B))
		}
		f.Add(c.AKTPMT)
	}
	f.Add(cut2B(f, readCertify(f).EncKey))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePublic(b)
		if err != nil {
			return
		}
		if want := 2 + p.NameAlg.Size(); len(p.Name) != want || CheckKey(p.Key) != nil {
			t.Errorf("Name %x, key %v", p.Name, p.Key)
		}
		_ = p.CheckAIK()
	})
}

func FuzzPlatformClaim(f *testing.F) {
	for _, alg := range []Alg{SHA1, SHA256, SHA384, SHA512} {
		q := newQuote(allPCRs(alg))
		f.Add(labClaim(goodSignature(), q.bytes(), q.banks[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParsePlatformClaim(b)
		if err != nil {
			return
		}
		size := 0
		for i, v := range c.PCRs.Values {
			if size += len(v); len(v) != c.PCRs.Alg.Size() {
				t.Errorf("PCR %d has %d bytes", i, len(v))
			}
		}
		if len(b) < 24+size+len(c.Attest.raw) {
			t.Errorf("%d bytes hold more than they are", len(b))
		}
	})
}

func FuzzCertificate(f *testing.F) {
	roots := NewRoots(nil, nil)
	for _, c := range certCases(f) {
		f.Add(c.leaf(f))
		roots = c.rootsOf(f)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cert, err := ParseCertificate(b)
		if err != nil {
			return
		}
		if rest, found := bytes.CutPrefix(b, cert.Raw); !found || len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("more than zeros around the certificate")
		}
		_, _ = directoryNames(cert)
		if c, err := roots.VerifyAIK(b, labTime()); err == nil && CheckKey(c.PublicKey) != nil {
			t.Error("a certificate of a weak key")
		}
	})
}
