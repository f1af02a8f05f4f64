package sgx_test

import (
	"os"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// lab is a simulated Intel and a verifier that trusts it alone.
type lab struct {
	testing.TB
	intel    *assaytest.Intel
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
	return &lab{TB: t, intel: intel, verifier: dcap.NewVerifier(roots)}
}

// today is the time of the simulated attestations.
func today() time.Time { return time.Date(2030, 6, 15, 12, 0, 0, 0, time.UTC) }

// scenario is a sound attestation of today, with changes.
func (l *lab) scenario(changes ...func(*assaytest.Scenario)) *assaytest.Scenario {
	s := l.intel.Scenario(today())
	for _, change := range changes {
		change(s)
	}
	return s
}

// judge verifies what the scenario makes, strictly and today.
func (l *lab) judge(s *assaytest.Scenario) (*sgx.Verified, error) {
	l.Helper()
	b, err := s.Quote()
	if err != nil {
		l.Fatal(err)
	}
	parse := sgx.Parse
	if s.Type() == evidence.OpenEnclave {
		parse = sgx.ParseOpenEnclave
	}
	return l.judgeEvidence(s, b, parse)
}

// judgeEvidence verifies b with the collateral of s.
func (l *lab) judgeEvidence(s *assaytest.Scenario, b []byte, parse func([]byte) (*sgx.Evidence, error)) (*sgx.Verified, error) {
	l.Helper()
	l.journal = &evidence.Journal{}
	e, err := parse(b)
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
	return sgx.Verify(l.verifier, o, e, in)
}

// none fails a test that found no such vector, unless it looks at vectors of somebody's own choice.
func none(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ASSAY_VECTORS") == "" {
		t.Errorf("no %s among the vectors", what)
	}
}
