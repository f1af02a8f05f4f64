package explain

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

func at(hours int) time.Time { return time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC) }

func mustParse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestText shows the whole story of a refusal: the checks of the evidence, then the rules of the policy.
func TestText(t *testing.T) {
	r := &Record{
		Type: evidence.SgxEnclave, Judged: true, Code: "PolicyEvaluationError", Error: "…",
		Policy: mustParse(t, "version=1.0;\nauthorizationrules\n{\n\t[type==\"a\", value>=2] => permit();\n};\n"),
		Claims: []policy.Claim{{Type: "a", Value: policy.IntegerValue(1), Issuer: policy.AttestationService}},
	}
	r.Checks.Pass(evidence.QuoteSignature, "")
	r.Checks.Skip(evidence.RuntimeData, "none given")
	want := `evidence
  pass quote-signature
  skipped runtime-data, found none given
authorizationrules
  line 4, column 2: did not fire
    | 	[type=="a", value>=2] => permit();
    | 	^
    does not hold: [type=="a", value>=2]
      not satisfied by a = 1 (AttestationService): its value differs
no-permit: Policy Engine Exception: No Permit claim was issued in the authorizationrules section, authorization failed. ` +
		`The permit rule at line 4, column 2 needs [type=="a", value>=2]; found a = 1 (AttestationService).
`
	if got := r.Explain(policy.Budget{}).Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTextOfRefusedEvidence(t *testing.T) {
	r := &Record{Type: evidence.SgxEnclave, Code: "InvalidQuote", Error: "quote-format: too short (expected 432 bytes, found 3)"}
	_ = r.Checks.Fail(evidence.Refuse(evidence.QuoteFormat, "too short").Want("432 bytes", 3))
	want := "evidence\n  fail quote-format, expected 432 bytes, found 3\nrefused: quote-format: too short (expected 432 bytes, found 3)\n"
	if got := r.Explain(policy.Budget{}).Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFaultsOfOursAreNoVerdict(t *testing.T) {
	for code, want := range map[string]policy.Verdict{
		"": policy.Permitted, "InvalidQuote": Refused, "CollateralUnavailable": Unavailable, "InternalError": Unavailable, "TooManyRequests": Unavailable,
	} {
		if got := (&Record{Code: code}).Explain(policy.Budget{}).Verdict; got != want {
			t.Errorf("%q: %s, want %s", code, got, want)
		}
	}
}

// TestWhatWasNotDecidedIsNoDeny: a policy that had no seat denied nobody, whatever it would have said.
func TestWhatWasNotDecidedIsNoDeny(t *testing.T) {
	r := &Record{Type: evidence.SgxEnclave, Judged: true, Code: "TooManyRequests", Policy: mustParse(t, "version=1.0; authorizationrules { => deny(); };")}
	if e := r.Explain(policy.Budget{}); e.Verdict != Unavailable || e.Policy.Verdict != policy.DeniedByRule {
		t.Errorf("got %s, the policy %s", e.Verdict, e.Policy.Verdict)
	}
}

// TestErrorAfterThePermitStays: a token that could not be made is no permit, whatever the policy said.
func TestErrorAfterThePermitStays(t *testing.T) {
	r := &Record{Type: evidence.SgxEnclave, Judged: true, Code: "InvalidParameter", Error: "The claims do not fit into a token",
		Policy: mustParse(t, "version=1.0; authorizationrules { => permit(); };")}
	if e := r.Explain(policy.Budget{}); e.Verdict != Refused || e.Policy.Verdict != policy.Permitted {
		t.Errorf("got %s, the policy %s", e.Verdict, e.Policy.Verdict)
	}
}

func newStore(t *testing.T, entries int, age time.Duration) *Store {
	t.Helper()
	s, err := NewStore(entries, age)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Store) has(id string, now time.Time) bool {
	_, ok := s.Get(id, now)
	return ok
}

func TestStoreForgetsTheOldestFirst(t *testing.T) {
	s := newStore(t, 2, 0)
	for _, id := range []string{"a", "b", "c"} {
		s.Add(id, &Record{Time: at(0)})
		s.has("a", at(0)) // asking does not keep it
	}
	if s.has("a", at(0)) || !s.has("b", at(0)) || !s.has("c", at(0)) {
		t.Error("a is kept, or b or c is not")
	}
}

func TestStoreForgetsWhatIsOld(t *testing.T) {
	s := newStore(t, 0, 0)
	s.Add("a", &Record{Time: at(0)})
	if !s.has("a", at(24)) || s.has("a", at(24).Add(1)) {
		t.Error("kept for something else than 24 hours")
	}
	s.Add("b", &Record{Time: at(25)})
	if s.records.Len() != 1 {
		t.Errorf("%d records, the old one takes room", s.records.Len())
	}
}

// TestStoreIsBoundedInBytes fills the store with records of a megabyte.
func TestStoreIsBoundedInBytes(t *testing.T) {
	s := newStore(t, 0, 0)
	large := &Record{Time: at(0), Claims: []policy.Claim{{Value: policy.StringValue(strings.Repeat("x", 1<<20))}}}
	for i := range 200 {
		s.Add(fmt.Sprint(i), large)
		if s.bytes > MaxBytes {
			t.Fatalf("%d bytes", s.bytes)
		}
	}
	if n := s.records.Len(); n < 60 || n > 64 || !s.has("199", at(0)) {
		t.Errorf("%d records of a megabyte", n)
	}
	s.Add("huge", &Record{Time: at(0), Error: strings.Repeat("x", MaxBytes)})
	if s.has("huge", at(0)) || !s.has("199", at(0)) {
		t.Error("a record larger than the store was kept, or emptied it")
	}
	s.Add("199", &Record{Time: at(0)})
	draft := &Record{Time: at(0), Draft: true, Policy: mustParse(t, "version=1.0; authorizationrules { };"+strings.Repeat(" ", 1<<18))}
	before := s.bytes
	s.Add("draft", draft)
	if !s.has("draft", at(0)) || s.bytes-before < 1<<18 && s.records.Len() > 30 {
		t.Error("a draft policy costs nothing")
	}
}

// TestPoliciesCountOnce: whoever sets one policy after the other, with a request under each, has the store keep them all; a
// policy that stays costs no more for many requests than for one.
func TestPoliciesCountOnce(t *testing.T) {
	s := newStore(t, 0, 0)
	text := "version=1.0; authorizationrules { };" + strings.Repeat(" ", 1<<16)
	for n := range 20 {
		s.Add(fmt.Sprint("replaced ", n), &Record{Time: at(0), Policy: mustParse(t, text)})
	}
	if n, most := s.records.Len(), MaxBytes/(treeFactor<<16); n > most {
		t.Errorf("%d policies of 64 KiB are kept, room is for %d", n, most)
	}
	stays := mustParse(t, text)
	for n := range 1000 {
		s.Add(fmt.Sprint("stays ", n), &Record{Time: at(0), Policy: stays})
	}
	if !s.has("stays 0", at(0)) || !s.has("stays 999", at(0)) {
		t.Error("a thousand requests under one policy have no room")
	}
	s.Add("later", &Record{Time: at(25)})
	if s.bytes != size(&Record{}) || len(s.policies) != 1 {
		t.Errorf("%d bytes and %d policies are counted of an empty record", s.bytes, len(s.policies))
	}
}

func TestStoreRefusesBadBounds(t *testing.T) {
	for _, s := range [][2]int{{-1, 0}, {0, -1}} {
		if _, err := NewStore(s[0], time.Duration(s[1])); err == nil {
			t.Errorf("%v accepted", s)
		}
	}
}

func TestStoreIsSafeForConcurrentUse(t *testing.T) {
	s := newStore(t, 10, 0)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				s.Add(fmt.Sprint(g, i%20), &Record{Time: at(0)})
				s.has(fmt.Sprint(i%8, g), at(0))
			}
		})
	}
	wg.Wait()
	if s.records.Len() != 10 {
		t.Errorf("%d records, want 10", s.records.Len())
	}
}
