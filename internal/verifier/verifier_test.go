package verifier

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/policy"
)

// desk is an endorser that hands out the collateral of one scenario and notes how it was asked.
type desk struct {
	dcap      *dcap.Verifier
	scenario  *assaytest.Scenario
	err       error
	baselines []string
	deadline  time.Time
}

// For implements [Endorser].
func (d *desk) For(ctx context.Context, baseline string, o *dcap.Origin) (collateral.Baseline, error) {
	d.baselines = append(d.baselines, baseline)
	d.deadline, _ = ctx.Deadline()
	if d.err != nil {
		return collateral.Baseline{}, d.err
	}
	docs, err := d.scenario.Collateral()
	if err != nil {
		return collateral.Baseline{}, err
	}
	var b collateral.Baseline
	var errs [4]error
	b.Collateral.TCBInfo, errs[0] = d.dcap.TCBInfo(docs.TCBInfo, docs.TCBInfoChain)
	b.Collateral.QEIdentity, errs[1] = d.dcap.QEIdentity(docs.QEIdentity, docs.QEIdentityChain)
	b.Collateral.PCKCRL, errs[2] = d.dcap.PCKCRL(docs.PCKCRL, o.CA())
	b.Collateral.RootCRL, errs[3] = d.dcap.RootCRL(docs.RootCRL, o.Anchor())
	return b, errors.Join(errs[:]...)
}

// bench is a verifier over a desk, and a sound request.
type bench struct {
	*Verifier
	desk    *desk
	request Request
}

func newBench(t *testing.T, policyText string) *bench {
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
	p, err := policy.Parse([]byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	d := &desk{dcap: dcap.NewVerifier(roots), scenario: intel.Scenario(at)}
	quote, err := d.scenario.Quote()
	if err != nil {
		t.Fatal(err)
	}
	seats := NewSeats(0)
	v := New(Config{
		DCAP: d.dcap, Endorser: d, Baseline: Baseline{AllowDraftPolicy: true},
		Policies: map[evidence.Type]Policy{evidence.SgxEnclave: {Policy: p}}, Endorsing: time.Minute, Seats: seats, Share: seats.NewShare(),
	})
	return &bench{v, d, Request{Type: evidence.SgxEnclave, Evidence: quote, At: at}}
}

const (
	permits = `version= 1.0;authorizationrules{=> permit();};issuancerules{=> issue(type="x", value=1);};`
	denies  = `version= 1.0;authorizationrules{=> deny();};issuancerules{};`
	names17 = `version= 1.1;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="17");};authorizationrules{=> permit();};issuancerules{};`
)

// parsed is a policy that is known to parse.
func parsed(text string) Policy {
	p, _ := policy.Parse([]byte(text))
	return Policy{Policy: p}
}

func TestPermitHoldsTheClaimsOfTheTokenToBe(t *testing.T) {
	b := newBench(t, permits)
	p, err := b.Appraise(t.Context(), b.request)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"x": int64(1), "x-ms-ver": "1.0", "x-ms-sgx-tcbidentifier": "azuredefault", "x-ms-policy-hash": policy.Hash([]byte(permits)), "x-ms-sgx-svn": int64(2),
	} {
		if got := p.Claims()[name]; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if left := time.Until(b.desk.deadline); left <= 0 || left > time.Minute {
		t.Errorf("the endorser had %v left, want up to a minute", left)
	}
}

func TestPolicyChoosesTheBaseline(t *testing.T) {
	for text, want := range map[string]string{permits: "azuredefault", names17: "17"} {
		b := newBench(t, text)
		p, err := b.Appraise(t.Context(), b.request)
		if err != nil || len(b.desk.baselines) != 1 || b.desk.baselines[0] != want || p.Claims()["x-ms-sgx-tcbidentifier"] != want {
			t.Errorf("%v: asked for %q, want %q", err, b.desk.baselines, want)
		}
	}
}

// TestRefusalsKeepTheirOrder has several things wrong at once: the first step that fails answers.
func TestRefusalsKeepTheirOrder(t *testing.T) {
	absent := &collateral.Unavailable{Item: "TCB info", Err: collateral.ErrAbsent}
	unbound := &Data{Bytes: []byte("x")}
	for _, tt := range []struct {
		name   string
		change func(*bench)
		want   func(error) bool
		asked  int // times that collateral was asked for
	}{
		{"evidence that cannot be parsed", func(b *bench) { b.request.Evidence, b.desk.err = []byte("x"), absent }, check(evidence.QuoteFormat), 0},
		{"evidence of another type", func(b *bench) {
			b.request.Type, b.cfg.Policies[evidence.OpenEnclave] = evidence.OpenEnclave, b.cfg.Policies[evidence.SgxEnclave]
		}, check(evidence.QuoteFormat), 0},
		{"foreign root", func(b *bench) { b.request.Evidence, b.desk.err = foreign(), absent }, check(evidence.UntrustedRoot), 0},
		{"no collateral", func(b *bench) { b.request.RuntimeData, b.desk.err = unbound, absent }, is(absent), 1},
		{"unknown baseline", func(b *bench) { b.desk.err = collateral.ErrUnknownBaseline }, is(collateral.ErrUnknownBaseline), 1},
		{"unbound data on a platform below the baseline", func(b *bench) {
			b.request.RuntimeData, b.cfg.Baseline.MinEvaluationNumber = unbound, 99
		}, check(evidence.RuntimeData), 1},
		{"platform below the baseline under a policy that denies", func(b *bench) {
			b.cfg.Policies[evidence.SgxEnclave] = parsed(denies)
			b.cfg.Baseline.MinEvaluationNumber = 99
		}, check(evidence.TCBBaseline), 1},
		{"policy that denies", func(b *bench) { b.cfg.Policies[evidence.SgxEnclave] = parsed(denies) }, denied, 1},
		{"type without a policy", func(b *bench) { delete(b.cfg.Policies, evidence.SgxEnclave) }, func(err error) bool { return strings.Contains(err.Error(), "no policy") }, 0},
	} {
		b := newBench(t, permits)
		tt.change(b)
		p, err := b.Appraise(t.Context(), b.request)
		if p != nil || err == nil || !tt.want(err) {
			t.Errorf("%s: got permit %v, error %v", tt.name, p, err)
		}
		if len(b.desk.baselines) != tt.asked {
			t.Errorf("%s: collateral was asked for %d times, want %d", tt.name, len(b.desk.baselines), tt.asked)
		}
	}
}

func check(c evidence.Check) func(error) bool {
	return func(err error) bool {
		r, ok := errors.AsType[*evidence.Refusal](err)
		return ok && r.Check == c
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func denied(err error) bool {
	_, ok := errors.AsType[*policy.Denied](err)
	return ok
}

func foreign() []byte {
	b, _ := assaytest.NewIntel().Quote(assaytest.SimulatedEnclave())
	return b
}

func TestRehearsalUsesTheDraft(t *testing.T) {
	b := newBench(t, denies)
	r, err := b.Rehearse(t.Context(), b.request, []byte(permits))
	if err != nil || r.Claims()["x-ms-policy-hash"] != policy.Hash([]byte(permits)) {
		t.Errorf("got %v, %v; want the claims under the draft", r, err)
	}
	if _, err := b.Rehearse(t.Context(), b.request, []byte(denies)); !denied(err) {
		t.Errorf("draft that denies: %v", err)
	}
	if _, err := b.Rehearse(t.Context(), b.request, []byte("version")); err == nil {
		t.Error("a draft that does not parse was taken")
	}
	if len(b.desk.baselines) != 2 {
		t.Errorf("collateral was asked for %d times, want 2", len(b.desk.baselines))
	}
	b.cfg.Baseline.Strict = true
	if _, err := b.Rehearse(t.Context(), b.request, []byte(permits)); !errors.Is(err, ErrNoDrafts) {
		t.Errorf("under strict: %v, want %v", err, ErrNoDrafts)
	}
}

// TestDraftsTakeNoSeatsFromTheProvidersPolicy has drafts wait for seats that are all taken.
func TestDraftsTakeNoSeatsFromTheProvidersPolicy(t *testing.T) {
	b := newBench(t, permits)
	for range cap(b.cfg.Seats.drafts) {
		b.cfg.Seats.drafts <- struct{}{}
	}
	if _, err := b.Appraise(t.Context(), b.request); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Rehearse(ctx, b.request, []byte(permits)); !errors.Is(err, ErrBusy) {
		t.Errorf("a draft got a seat that is taken: %v", err)
	}
	if _, err := b.cfg.Seats.Explain(ctx, &explain.Record{}); !errors.Is(err, ErrBusy) {
		t.Errorf("an explanation got a seat that is taken: %v", err)
	}
}

// TestOneProviderLeavesSeatsToOthers has all seats taken that a provider may have.
func TestOneProviderLeavesSeatsToOthers(t *testing.T) {
	b := newBench(t, permits)
	other := New(b.cfg)
	other.cfg.Share = b.cfg.Seats.NewShare()
	for range cap(b.cfg.Share) {
		b.cfg.Share <- struct{}{}
		b.cfg.Seats.policies <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Appraise(ctx, b.request); !errors.Is(err, ErrBusy) {
		t.Errorf("the provider has more than its share: %v", err)
	}
	if _, err := other.Appraise(t.Context(), b.request); err != nil {
		t.Errorf("another provider has no seat: %v", err)
	}
}

// TestPolicyTimeBoundsAllWork: configuration rules, evaluation and explanation all end when the time is over.
func TestPolicyTimeBoundsAllWork(t *testing.T) {
	const over = "the evaluation was stopped: its time is over"
	for _, text := range []string{names17, permits} {
		b := newBench(t, text)
		b.cfg.Seats = NewSeats(time.Nanosecond)
		b.request.Record = &explain.Record{Type: evidence.SgxEnclave}
		_, err := b.Appraise(t.Context(), b.request)
		if _, ok := errors.AsType[*policy.EvaluationError](err); !ok || !strings.Contains(err.Error(), over) {
			t.Errorf("%s: got %v", text, err)
		}
		if judged := text == permits; b.request.Record.Judged != judged {
			t.Errorf("%s: judged %v, want %v: what the time stopped may end in another way", text, !judged, judged)
		}
	}
	b := newBench(t, permits)
	b.cfg.Seats = NewSeats(time.Nanosecond)
	p, err := policy.Parse([]byte(permits))
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.cfg.Seats.Explain(t.Context(), &explain.Record{Type: evidence.SgxEnclave, Policy: p, Judged: true})
	if err != nil || e.Verdict != policy.Failed || !strings.Contains(e.Policy.Message, over) {
		t.Errorf("got %+v, %v", e, err)
	}
}
