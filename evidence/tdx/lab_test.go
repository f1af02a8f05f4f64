package tdx_test

import (
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// lab is a simulated Intel and a verifier that trusts it alone.
type lab struct {
	testing.TB
	intel    *assaytest.Intel
	roots    dcap.Roots
	verifier *dcap.Verifier
	journal  *evidence.Journal // of the verification made last
}

func newLab(t testing.TB) *lab {
	t.Helper()
	intel := assaytest.NewIntel()
	root, err := intel.RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	roots, err := dcap.NewRoots(root)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{TB: t, intel: intel, roots: roots, verifier: dcap.NewVerifier(roots)}
}

// today is the time of the simulated attestations.
func today() time.Time { return time.Date(2030, 6, 15, 12, 0, 0, 0, time.UTC) }

// scenario is a sound attestation today of the TD d, with changes.
func (l *lab) scenario(d *dcaptest.TD, changes ...func(*assaytest.Scenario)) *assaytest.Scenario {
	l.Helper()
	s := l.intel.Scenario(today())
	d.Apply(l)(s)
	for _, change := range changes {
		dcaptest.Then(change)(s)
	}
	return s
}

// judge verifies what the scenario makes, strictly and today.
func (l *lab) judge(s *assaytest.Scenario) (*tdx.Verified, error) {
	l.Helper()
	l.journal = &evidence.Journal{}
	b, err := s.Quote()
	if err != nil {
		l.Fatal(err)
	}
	e, err := tdx.Parse(b)
	if err != nil {
		return nil, err
	}
	o, err := l.verifier.Trace(e.Quote, today(), l.journal)
	if err != nil {
		return nil, err
	}
	raw, err := s.Collateral()
	if err != nil {
		l.Fatal(err)
	}
	in := dcap.Input{Options: dcap.Options{At: today()}, Journal: l.journal}
	if in.Collateral, err = dcaptest.Load(l.verifier, o, dcaptest.Files(raw)); err != nil {
		return nil, err
	}
	return tdx.Verify(l.verifier, o, e, in)
}
