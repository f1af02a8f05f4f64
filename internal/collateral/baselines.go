package collateral

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// DefaultBaseline is the identifier of the baseline in force where a policy names none (management.md section 10).
const DefaultBaseline = "azuredefault"

// Baseline is the collateral of a baseline for one platform.
type Baseline struct {
	Collateral dcap.Collateral
	// Expiry is [dcap.Pinned] for a stored baseline, [dcap.Enforce] for a live one. A caller may be stricter.
	Expiry dcap.Expiry
}

// BaselinesConfig says which baselines there are. Verifier and Clock must be given.
type BaselinesConfig struct {
	Stored   []*Set // pinned; the first that fits counts
	Live     *Cache // asked for what is not stored; may be nil
	Verifier *dcap.Verifier
	Clock    func() time.Time // as Config.Clock
	Grace    time.Duration    // of the CRLs, as Config.Grace
	Logger   *slog.Logger     // gets a line for each stored set that is not sound; nil means none
	// WithoutCRLs is Config.WithoutCRLs for stored baselines.
	WithoutCRLs bool
}

// Baselines finds the collateral that a baseline identifier stands for. It is safe for concurrent use.
type Baselines struct {
	live        *Cache
	stored      []storedSet
	unsound     []error // what is wrong with the sets that cannot be used
	withoutCRLs bool
}

// storedSet is a set whose TCB info is verified.
type storedSet struct {
	tcbInfo *dcap.TCBInfo
	cache   *Cache
}

// NewBaselines verifies the TCB info of each stored set, which says what the set is for. A set that is unsound is left
// out. Baselines must be closed; cfg.Live is closed with them.
func NewBaselines(cfg BaselinesConfig) *Baselines {
	b := &Baselines{live: cfg.Live, withoutCRLs: cfg.WithoutCRLs}
	for _, set := range cfg.Stored {
		if err := b.add(cfg, set); err != nil {
			err = fmt.Errorf("stored collateral %s: %w", set.Name, err)
			b.unsound = append(b.unsound, err)
			if cfg.Logger != nil {
				cfg.Logger.Warn("stored collateral cannot be used", "set", set.Name, "error", err)
			}
		}
	}
	return b
}

func (b *Baselines) add(cfg BaselinesConfig, set *Set) error {
	r, err := set.read(TCBInfo)
	if err != nil {
		return err
	}
	t, err := cfg.Verifier.TCBInfo(r.Document, r.Chain)
	if err != nil {
		return err
	}
	cache := New(Config{Source: set, Verifier: cfg.Verifier, Clock: cfg.Clock, Grace: cfg.Grace, Pinned: true, Logger: cfg.Logger})
	b.stored = append(b.stored, storedSet{t, cache})
	return nil
}

// Close ends what runs in the background and waits for it.
func (b *Baselines) Close() {
	for _, s := range b.stored {
		s.cache.Close()
	}
	if b.live != nil {
		b.live.Close()
	}
}

// Check reports whether id could name a baseline: [DefaultBaseline], or the evaluation number of a stored set for SGX. Any number
// will do where there is a live source, or a stored set that is unsound and so might have been it. The error wraps
// [ErrUnknownBaseline].
func (b *Baselines) Check(id string) error { return b.check(id, dcap.SGX) }

func (b *Baselines) check(id string, tee dcap.TEE) error {
	open := b.live != nil || len(b.unsound) > 0
	if id == DefaultBaseline || isNumber(id) && (open || slices.Contains(b.numbers(tee), id)) {
		return nil
	}
	stored := cmp.Or(strings.Join(b.numbers(tee), ", "), "none")
	return unknownBaseline(id, "expected %q or a TCB evaluation data number (stored: %s)", DefaultBaseline, stored)
}

// Stored gives the TCB info of the stored sets, in their order; the first of a platform is its default baseline for a TEE.
func (b *Baselines) Stored() (all []*dcap.TCBInfo) {
	for _, s := range b.stored {
		all = append(all, s.tcbInfo)
	}
	return all
}

// Usable reports why no evidence can be judged at all: nothing is stored that is sound, and there is no live source.
func (b *Baselines) Usable() error {
	if b.live != nil || len(b.stored) > 0 {
		return nil
	}
	return errors.Join(append([]error{errors.New("there is no sound collateral and no source of it")}, b.unsound...)...)
}

// IsLive reports whether baselines that are not stored can be had.
func (b *Baselines) IsLive() bool { return b.live != nil }

// numbers are the evaluation numbers of the stored sets for a TEE.
func (b *Baselines) numbers(tee dcap.TEE) []string {
	numbers := map[uint32]bool{}
	for _, s := range b.stored {
		if s.tcbInfo.TEE() == tee {
			numbers[s.tcbInfo.EvaluationNumber()] = true
		}
	}
	var text []string
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		text = append(text, decimal(n))
	}
	return text
}

// For returns the collateral of baseline id for evidence of origin o. The default is the first stored set for the
// platform, or Intel's standard evaluation if none is; a number is the stored set of that number, or else a live
// evaluation near the standard one. The error wraps [ErrUnknownBaseline] or is an [Unavailable].
func (b *Baselines) For(ctx context.Context, id string, o *dcap.Origin) (Baseline, error) {
	if err := b.check(id, o.Quote().TEE); err != nil {
		return Baseline{}, err
	}
	evaluation := id
	if !isNumber(id) {
		evaluation = ""
	}
	if s := b.find(o, evaluation); s != nil {
		docs, err := b.pinned(ctx, s, o)
		return Baseline{docs, dcap.Pinned}, err
	}
	if b.live == nil {
		return Baseline{}, b.missing(o, evaluation)
	}
	if evaluation == "" {
		evaluation = Standard
	}
	docs, err := b.live.For(ctx, o, evaluation)
	return Baseline{docs, dcap.Enforce}, err
}

// find returns the first stored set for the platform of o, and of that evaluation if it is not empty.
func (b *Baselines) find(o *dcap.Origin, evaluation string) *storedSet {
	for i, s := range b.stored {
		t := s.tcbInfo
		if t.TEE() == o.Quote().TEE && t.FMSPC() == o.FMSPC() && t.Anchor() == o.Anchor() &&
			(evaluation == "" || evaluation == decimal(t.EvaluationNumber())) {
			return &b.stored[i]
		}
	}
	return nil
}

// pinned returns the documents of s. Its CRLs count as far as the live source has none that are newer.
func (b *Baselines) pinned(ctx context.Context, s *storedSet, o *dcap.Origin) (dcap.Collateral, error) {
	// The evaluation is that of the TCB info; the identity stored beside it may be of another.
	docs, err := s.cache.signed(ctx, o, "")
	if err != nil {
		return dcap.Collateral{}, err
	}
	return crls{live: b.live, stored: s.cache, optional: b.withoutCRLs}.addTo(ctx, docs, o)
}

// missing says that there is no stored set for a platform, and what is wrong with the sets that might have been it.
func (b *Baselines) missing(o *dcap.Origin, evaluation string) error {
	err := fmt.Errorf("no stored collateral is for it: %w", ErrAbsent)
	if len(b.unsound) > 0 {
		err = fmt.Errorf("%w (not usable: %s)", err, errors.Join(b.unsound...).Error())
	}
	return &Unavailable{wantTCBInfo(o, evaluation).String(), absentPause, err}
}
