package dcap_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// lab is a simulated Intel and a verifier that trusts it alone.
type lab struct {
	testing.TB
	intel    *assaytest.Intel
	verifier *dcap.Verifier
}

func newLab(t testing.TB) lab {
	t.Helper()
	intel := assaytest.NewIntel()
	return lab{t, intel, dcap.NewVerifier(rootsOf(t, intel))}
}

func rootsOf(t testing.TB, intel *assaytest.Intel) dcap.Roots {
	t.Helper()
	root, err := intel.RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	roots, err := dcap.NewRoots(root)
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// today is the time of the simulated attestations.
func today() time.Time { return time.Date(2030, 6, 15, 12, 0, 0, 0, time.UTC) }

// scenario is a sound attestation of today, with changes.
func (l lab) scenario(changes ...func(*assaytest.Scenario)) *assaytest.Scenario {
	s := l.intel.Scenario(today())
	for _, change := range changes {
		change(s)
	}
	return s
}

// verify takes the scenario up the whole ladder, strictly and today.
func (l lab) verify(s *assaytest.Scenario) (*dcap.Verified, error) {
	return l.verifyWith(s, dcap.Options{At: today()})
}

func (l lab) verifyWith(s *assaytest.Scenario, opt dcap.Options) (*dcap.Verified, error) {
	l.Helper()
	o, err := l.trace(s, opt.At)
	if err != nil {
		return nil, err
	}
	c, err := l.collateral(o, s)
	if err != nil {
		return nil, err
	}
	return l.verifier.Verify(o, c, opt, nil)
}

func (l lab) trace(s *assaytest.Scenario, at time.Time) (*dcap.Origin, error) {
	l.Helper()
	b, err := s.Quote()
	if err != nil {
		l.Fatal(err)
	}
	q, err := dcap.ParseQuote(b)
	if err != nil {
		return nil, err
	}
	return l.verifier.Trace(q, at, nil)
}

// endorsed traces the quote of s today and issues the collateral for it; both must hold.
func (l lab) endorsed(s *assaytest.Scenario) (*dcap.Origin, dcap.Collateral) {
	l.Helper()
	o, err := l.trace(s, today())
	if err != nil {
		l.Fatal(err)
	}
	c, err := l.collateral(o, s)
	if err != nil {
		l.Fatal(err)
	}
	return o, c
}

// collateral issues the collateral of s and checks each document that is there.
func (l lab) collateral(o *dcap.Origin, s *assaytest.Scenario) (c dcap.Collateral, err error) {
	l.Helper()
	raw, err := s.Collateral()
	if err != nil {
		l.Fatal(err)
	}
	var errs [4]error
	if raw.RootCRL != nil {
		c.RootCRL, errs[0] = l.verifier.RootCRL(raw.RootCRL, o.Anchor())
	}
	if raw.PCKCRL != nil {
		c.PCKCRL, errs[1] = l.verifier.PCKCRL(raw.PCKCRL, o.CA())
	}
	if raw.TCBInfo != nil && raw.TCBInfoChain != nil {
		c.TCBInfo, errs[2] = l.verifier.TCBInfo(raw.TCBInfo, raw.TCBInfoChain)
	}
	if raw.QEIdentity != nil && raw.QEIdentityChain != nil {
		c.QEIdentity, errs[3] = l.verifier.QEIdentity(raw.QEIdentity, raw.QEIdentityChain)
	}
	return c, errors.Join(errs[:]...)
}

// replace makes an edit that replaces the first old, which must be there.
func replace(t testing.TB, old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Errorf("the document has no %q to replace: %s", old, b)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
}

// allocated is about how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// none fails a test that found no such vector, unless it looks at vectors of somebody's own choice.
func none(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ASSAY_VECTORS") == "" {
		t.Errorf("no %s among the vectors", what)
	}
}
