package verifier

import (
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// amdBench is a simulated AMD with a chain of its.
type amdBench struct {
	scenario *assaytest.AMDScenario
	chain    *snp.Chain
	roots    snp.Roots
	at       time.Time
}

func newAMDBench(t testing.TB) amdBench {
	t.Helper()
	amd, at := assaytest.WellKnownAMD(), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	b := amdBench{scenario: amd.Scenario(assaytest.Milan, at), at: at}
	b.chain = b.parse(t)
	root, err := amd.RootPEM(assaytest.Milan)
	if err != nil {
		t.Fatal(err)
	}
	if b.roots, err = snp.NewRoots(root); err != nil {
		t.Fatal(err)
	}
	return b
}

// parse reads the chain of the scenario anew, as each request does.
func (b amdBench) parse(t testing.TB) *snp.Chain {
	t.Helper()
	text, err := b.scenario.ChainPEM()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := snp.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// TestChainsThatWereTracedAreRemembered: the same certificates again give the same key without a check of a signature.
func TestChainsThatWereTracedAreRemembered(t *testing.T) {
	b := newAMDBench(t)
	s := NewSigners(b.roots)
	opt := snp.Options{At: b.at}
	first, err := s.Trace(b.chain, opt)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Trace(b.parse(t), opt); err != nil || again != first {
		t.Errorf("traced again: %v", err)
	}
	if other, err := NewSigners(b.roots).Trace(b.chain, opt); err != nil || other == first {
		t.Errorf("another memory gave the same key, %v", err)
	}
}

// TestOnlyChainsInTheirUsualFormAreRemembered: others would fill the memory.
func TestOnlyChainsInTheirUsualFormAreRemembered(t *testing.T) {
	b := newAMDBench(t)
	opt := snp.Options{At: b.at}
	for name, others := range map[string][]int{"another order": {1, 0}, "one more": {0, 1, 1}, "one less": {0}} {
		c := &snp.Chain{Leaf: b.chain.Leaf}
		for _, i := range others {
			c.Others = append(c.Others, b.chain.Others[i])
		}
		s := NewSigners(b.roots)
		if _, err := s.Trace(c, opt); err != nil || s.known.Len() != 0 {
			t.Errorf("%s: %d are remembered, %v", name, s.known.Len(), err)
		}
	}
}

// TestRememberedKeysEndWithTheirCertificates: dates are judged for each report, and so is revocation.
func TestRememberedKeysEndWithTheirCertificates(t *testing.T) {
	b := newAMDBench(t)
	s := NewSigners(b.roots)
	raw, err := b.scenario.Report()
	if err != nil {
		t.Fatal(err)
	}
	report, err := snp.ParseReport(raw)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := s.Trace(b.chain, snp.Options{At: b.at})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snp.Verify(report, signer, snp.Options{At: b.at}); err != nil {
		t.Error(err)
	}
	late := snp.Options{At: signer.NotAfter().Add(time.Second)}
	signer, err = s.Trace(b.chain, late)
	if err == nil {
		_, err = snp.Verify(report, signer, late)
	}
	if !check(evidence.SNPExpired)(err) {
		t.Errorf("past its end: %v", err)
	}
	b.scenario.Revoked = []assaytest.AMDRole{assaytest.ASK}
	list, err := b.scenario.RevocationList()
	if err != nil {
		t.Fatal(err)
	}
	crl, err := b.roots.CRL(list)
	if err != nil {
		t.Fatal(err)
	}
	signer, err = s.Trace(b.chain, snp.Options{At: b.at})
	if err == nil {
		_, err = snp.Verify(report, signer, snp.Options{At: b.at, Revocations: []*snp.CRL{crl}})
	}
	if !check(evidence.Revoked)(err) {
		t.Errorf("revoked: %v", err)
	}
}

// TestChainsThatAreRefusedAreNotRemembered: the refusal is made anew.
func TestChainsThatAreRefusedAreNotRemembered(t *testing.T) {
	b := newAMDBench(t)
	s := NewSigners(snp.AMDRoots())
	for range 2 {
		if _, err := s.Trace(b.chain, snp.Options{At: b.at}); !check(evidence.UntrustedRoot)(err) {
			t.Errorf("got %v", err)
		}
	}
	if s.known.Len() != 0 {
		t.Errorf("%d are remembered", s.known.Len())
	}
}
