package collateral

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// service is a cache over a simulated service on the network, which has the evaluations 17 (standard) and 18.
type service struct {
	*Cache
	pcs    *assaytest.PCS
	origin *dcap.Origin
}

func newService(t testing.TB) *service {
	t.Helper()
	in := assaytest.NewIntel()
	pcs := assaytest.NewPCS(in, at(now))
	server := httptest.NewServer(pcs)
	t.Cleanup(server.Close)
	source, err := NewWeb(WebConfig{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, in)
	c := New(Config{Source: source, Verifier: v, Clock: at(now)})
	t.Cleanup(c.Close)
	return &service{c, pcs, origin(t, v, in.Scenario(now))}
}

func TestNumbersAreOnlyAskedForNearTheStandardOne(t *testing.T) {
	for _, c := range []struct {
		number string
		asked  int // for TCB info, the standard one included
		known  bool
	}{
		{"17", 2, true},
		{"18", 2, true},
		{"1", 2, false},  // 16 below the standard one
		{"25", 2, false}, // 8 above
		{"0", 1, false},
		{"26", 1, false},
		{"4294967295", 1, false},
	} {
		s := newService(t)
		for range 3 {
			docs, err := s.For(t.Context(), s.origin, c.number)
			if c.known && (err != nil || decimal(docs.TCBInfo.EvaluationNumber()) != c.number) {
				t.Errorf("For(%s): got error %v, want the evaluation", c.number, err)
			}
			if _, ok := errors.AsType[*Unavailable](err); !c.known && (ok || !errors.Is(err, ErrUnknownBaseline)) {
				t.Errorf("For(%s): got error %v, want %v", c.number, err, ErrUnknownBaseline)
			}
		}
		s.loads.Wait()
		tcb, qe := s.pcs.Requests(assaytest.TCBInfo), s.pcs.Requests(assaytest.QEIdentity)
		if tcb != c.asked || qe != c.asked-1 {
			t.Errorf("For(%s): got %d requests for TCB info, %d for QE identity, want %d, %d", c.number, tcb, qe, c.asked, c.asked-1)
		}
	}
}

func TestNumberIsNotAskedForWithoutTheStandardOne(t *testing.T) {
	for status, absent := range map[int]bool{http.StatusNotFound: true, http.StatusInternalServerError: false} {
		s := newService(t)
		s.pcs.Fail(assaytest.TCBInfo, assaytest.Failure{Status: status})
		_, err := s.For(t.Context(), s.origin, "18")
		if u := unavailable(t, err); errors.Is(err, ErrAbsent) != absent || errors.Is(err, ErrUnknownBaseline) || strings.Contains(u.Item, "18") {
			t.Errorf("status %d: got error %v, want that the standard one is not available", status, err)
		}
		s.loads.Wait()
		if n := s.pcs.Requests(assaytest.TCBInfo) + s.pcs.Requests(assaytest.QEIdentity); n != 1 {
			t.Errorf("status %d: got %d requests, want 1", status, n)
		}
	}
}

func TestNumberWhoseIdentityAloneIsMissingIsUnknown(t *testing.T) {
	s := newService(t)
	s.pcs.Fail(assaytest.QEIdentity, assaytest.Failure{Status: http.StatusGone})
	_, err := s.For(t.Context(), s.origin, "18")
	if !errors.Is(err, ErrUnknownBaseline) {
		t.Errorf("got error %v, want %v", err, ErrUnknownBaseline)
	}
	s.endPauses()
	s.pcs.Fail(assaytest.QEIdentity, assaytest.Failure{Status: http.StatusInternalServerError})
	_, err = s.For(t.Context(), s.origin, "18")
	unavailable(t, err)
}

func TestUnknownBaselineIsQuotedWithinBounds(t *testing.T) {
	for _, c := range []struct{ id, want string }{
		{strings.Repeat("x", maxQuoted), `"` + strings.Repeat("x", maxQuoted) + `":`},
		{strings.Repeat("x", maxQuoted+1), `"` + strings.Repeat("x", maxQuoted) + `":`},
		{strings.Repeat("x", 1<<20), `"` + strings.Repeat("x", maxQuoted) + `":`},
	} {
		b := NewBaselines(BaselinesConfig{})
		if err := b.Check(c.id); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check of %d bytes: got error %.200v, want it to say %s", len(c.id), err, c.want)
		}
	}
}
