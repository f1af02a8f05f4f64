package collateral

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// now is the time of tests that need no other.
var now = time.Date(2030, 6, 15, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// verifier trusts the simulated Intels.
func verifier(t testing.TB, intels ...*assaytest.Intel) *dcap.Verifier {
	t.Helper()
	var roots [][]byte
	for _, in := range intels {
		root, err := in.RootPEM()
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
	}
	trusted, err := dcap.NewRoots(roots...)
	if err != nil {
		t.Fatal(err)
	}
	return dcap.NewVerifier(trusted)
}

// origin is that of the scenario's quote.
func origin(t testing.TB, v *dcap.Verifier, s *assaytest.Scenario) *dcap.Origin {
	t.Helper()
	b, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	return trace(t, v, b, s.At)
}

func trace(t testing.TB, v *dcap.Verifier, quote []byte, at time.Time) *dcap.Origin {
	t.Helper()
	q, err := dcap.ParseQuote(quote)
	if err != nil {
		t.Fatal(err)
	}
	o, err := v.Trace(q, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func issue(t testing.TB, s *assaytest.Scenario) assaytest.Collateral {
	t.Helper()
	c, err := s.Collateral()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// set makes a set of a scenario's collateral.
func set(t testing.TB, name string, s *assaytest.Scenario) *Set {
	t.Helper()
	dir := t.TempDir()
	if err := issue(t, s).WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	read, err := ReadSet(dir)
	if err != nil {
		t.Fatal(err)
	}
	read.Name = name
	return read
}

// fakeSource serves collateral and counts. Its members may be changed with the lock held.
type fakeSource struct {
	sync.Mutex
	assaytest.Collateral
	calls map[Kind]int
	// before, if there is one, runs without the lock at the beginning of each call and may fail it.
	before func(context.Context, Kind) error
}

func serve(c assaytest.Collateral) *fakeSource {
	return &fakeSource{Collateral: c, calls: map[Kind]int{}}
}

func (f *fakeSource) call(ctx context.Context, kind Kind) error {
	f.Lock()
	f.calls[kind]++
	before := f.before
	f.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, kind)
}

func (f *fakeSource) set(change func(*fakeSource)) {
	f.Lock()
	defer f.Unlock()
	change(f)
}

func (f *fakeSource) failWith(err error) {
	f.set(func(f *fakeSource) { f.before = func(context.Context, Kind) error { return err } })
}

func (f *fakeSource) recover() { f.set(func(f *fakeSource) { f.before = nil }) }

func (f *fakeSource) count(kind Kind) int {
	f.Lock()
	defer f.Unlock()
	return f.calls[kind]
}

func (f *fakeSource) TCBInfo(ctx context.Context, _ dcap.TEE, _ dcap.FMSPC, _ string) (doc, chain []byte, err error) {
	err = f.call(ctx, TCBInfo)
	f.Lock()
	defer f.Unlock()
	return f.Collateral.TCBInfo, f.TCBInfoChain, err
}

func (f *fakeSource) QEIdentity(ctx context.Context, _ dcap.TEE, _ string) (doc, chain []byte, err error) {
	err = f.call(ctx, QEIdentity)
	f.Lock()
	defer f.Unlock()
	return f.Collateral.QEIdentity, f.QEIdentityChain, err
}

func (f *fakeSource) PCKCRL(ctx context.Context, _ dcap.CAKind) ([]byte, error) {
	err := f.call(ctx, PCKCRL)
	f.Lock()
	defer f.Unlock()
	return f.Collateral.PCKCRL, err
}

func (f *fakeSource) RootCRL(ctx context.Context) ([]byte, error) {
	err := f.call(ctx, RootCRL)
	f.Lock()
	defer f.Unlock()
	return f.Collateral.RootCRL, err
}

// unavailable checks that err is of the one kind that every fault of collateral has, and no refusal of evidence.
func unavailable(t testing.TB, err error) *Unavailable {
	t.Helper()
	u, ok := errors.AsType[*Unavailable](err)
	if !ok {
		t.Fatalf("got error %v, want an Unavailable", err)
	}
	if r, ok := errors.AsType[*evidence.Refusal](err); ok {
		t.Fatalf("error %v can be taken for the refusal %q of evidence", err, r.Check)
	}
	if u.RetryAfter < closedPause || u.RetryAfter > maxRetryAfter {
		t.Errorf("%v: got RetryAfter %v, want %v to %v", err, u.RetryAfter, closedPause, maxRetryAfter)
	}
	return u
}
