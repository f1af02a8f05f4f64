package verifier

import (
	"cmp"
	"context"
	"runtime"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/policy"
)

// DefaultPolicyTime is the limit policy_time: how long one evaluation of a policy may take.
const DefaultPolicyTime = 5 * time.Second

// seatsPerCore bounds how many policies of providers are evaluated at a time. One written to be large takes 400 megabytes
// and three seconds; a usual one takes microseconds and does not notice. Drafts are anybody's, and so have seats of
// their own, for half of the cores at most: whoever fills them stops no request under a provider's policy.
const seatsPerCore = 2

// Seats bound the work on policies of all the verifiers of a process. They remember the drafts that were compiled.
type Seats struct {
	policies chan struct{} // one is taken for each work on a policy of a provider
	drafts   chan struct{} // one is taken for each work on a draft, and for each explanation
	compiled *lru.Cache[string, *policy.Policy]
	time     time.Duration
}

// NewSeats makes the seats for a machine of so many cores as this one. An evaluation may take policyTime (the limit
// policy_time), DefaultPolicyTime if zero.
func NewSeats(policyTime time.Duration) *Seats {
	compiled, err := lru.New[string, *policy.Policy](rememberedDrafts)
	if err != nil {
		panic("verifier: " + err.Error()) // of a size below one only
	}
	cores := runtime.GOMAXPROCS(0)
	return &Seats{
		make(chan struct{}, seatsPerCore*cores), make(chan struct{}, max(1, cores/2)), compiled, cmp.Or(policyTime, DefaultPolicyTime),
	}
}

// Compile parses the text of a policy that is to be set, when there is a seat for it.
func (s *Seats) Compile(ctx context.Context, text []byte) (p *policy.Policy, err error) {
	seated := s.seat(ctx, false, func(context.Context) { p, err = policy.Parse(text) })
	return p, cmp.Or(seated, err)
}

// Configure runs the configuration rules of a policy that is to be set, when there is a seat for it.
func (s *Seats) Configure(ctx context.Context, p *policy.Policy, attestationType string) (c *policy.Configuration, err error) {
	seated := s.seat(ctx, false, func(ctx context.Context) {
		c, err = p.Configure(attestationType, policy.Budget{Done: ctx.Done()})
	})
	return c, cmp.Or(seated, err)
}

// Explain works out the explanation of a record, as the evaluation of its policy was bounded. It waits with the drafts.
func (s *Seats) Explain(ctx context.Context, r *explain.Record) (e *explain.Explanation, err error) {
	err = s.seat(ctx, true, func(ctx context.Context) { e = r.Explain(policy.Budget{Done: ctx.Done()}) })
	return e, err
}

// seat runs work on a policy when there is a seat for it. The context of the work ends when its time is over.
func (s *Seats) seat(ctx context.Context, draft bool, work func(context.Context)) error {
	seats := s.policies
	if draft {
		seats = s.drafts
	}
	if !take(ctx, seats) {
		return ErrBusy
	}
	defer func() { <-seats }()
	ctx, cancel := context.WithTimeout(ctx, s.time)
	defer cancel()
	work(ctx)
	return nil
}

// Share bounds how many of the seats one provider has at a time, so that costly policies of one do not keep all others waiting.
type Share chan struct{}

// NewShare makes the share of a provider, half of the seats.
func (s *Seats) NewShare() Share { return make(Share, max(1, cap(s.policies)/2)) }

// seat runs work on a policy of the provider when it and the machine have a seat for it.
func (share Share) seat(ctx context.Context, s *Seats, work func(context.Context)) error {
	if !take(ctx, share) {
		return ErrBusy
	}
	defer func() { <-share }()
	return s.seat(ctx, false, work)
}

// waitForSeat is how long a request waits before it is told to come back; meanwhile it holds its body.
const waitForSeat = 10 * time.Second

// take waits for a seat, and reports whether it got one.
func take(ctx context.Context, seats chan struct{}) bool {
	select {
	case seats <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, waitForSeat)
	defer cancel()
	select {
	case seats <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// How many draft policies are remembered compiled, and up to which size of their text, of which each byte may take 150
// when it is compiled.
const (
	rememberedDrafts    = 64
	rememberedDraftText = 8 << 10
)

// draft compiles a draft policy, or finds it compiled: clients try one draft with many requests.
func (s *Seats) draft(ctx context.Context, text []byte, attestationType string) (p *policy.Policy, err error) {
	key := policy.Hash(text)
	p, known := s.compiled.Get(key)
	if !known {
		seated := s.seat(ctx, true, func(context.Context) { p, err = policy.Parse(text) })
		if err := cmp.Or(seated, err); err != nil {
			return nil, err
		}
	}
	if len(text) <= rememberedDraftText {
		s.compiled.Add(key, p)
	}
	return p, p.CheckFor(attestationType)
}
