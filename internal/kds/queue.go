package kds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
)

// How long the service is left alone.
const (
	firstPause    = Interval         // after it failed; twice as long each time that it does so again
	longestPause  = 10 * time.Minute // at most
	maxRetryAfter = time.Hour        // the most that it is heeded
	absentFor     = 10 * time.Minute // about a VCEK that it does not know
	unusableFor   = time.Minute      // about one for which it gave something else
)

// Outcomes of requests, for [Config.Observe].
const (
	fetched     = "fetched"
	notKnown    = "absent"
	unavailable = "unavailable"
	unusable    = "unusable"
)

// job is a question to the service, and what came of it once done is closed.
type job struct {
	key     key
	waiting int // callers
	done    chan struct{}
	chain   *snp.Chain
	err     error
}

// denial is a question that need not be asked again before its time.
type denial struct {
	err   error
	until time.Time
}

// outage is a failure of the service as such, whatever it is asked.
type outage struct {
	err   error
	after time.Duration // for which it wants to be left alone; zero if it does not say
}

// Error is what happened.
func (o *outage) Error() string { return o.err.Error() }

// Unwrap returns the cause.
func (o *outage) Unwrap() error { return o.err }

// fetch has the service asked for k, and waits for the answer until ctx is done. Whoever gives up leaves the question in the queue:
// he finds the answer when he comes back.
func (c *Client) fetch(ctx context.Context, k key) (*snp.Chain, error) {
	j, err := c.join(k)
	if err != nil {
		return nil, err
	}
	defer c.leave(j)
	select {
	case <-j.done:
		return j.chain, j.err
	case <-ctx.Done():
		return nil, &Unavailable{k.String(), c.expected(j), ctx.Err(), "it was not there in time"}
	}
}

// join puts the caller behind the question for k, which is queued if need be. The error says why it is not asked now.
func (c *Client) join(k key) (*job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := c.jobs[k]; j != nil {
		j.waiting++
		return j, nil
	}
	if chain, _ := c.known.Peek(k.name()); chain != nil && inForce(chain, c.cfg.Clock()) {
		return settled(k, chain), nil // since the caller looked
	}
	if err := c.mayAsk(k); err != nil {
		return nil, err
	}
	j := &job{key: k, waiting: 1, done: make(chan struct{})}
	c.jobs[k], c.queue = j, append(c.queue, j)
	if !c.working {
		c.working = true
		c.work.Go(c.run)
	}
	return j, nil
}

// settled is a question that is answered.
func settled(k key, chain *snp.Chain) *job {
	j := &job{key: k, chain: chain, done: make(chan struct{})}
	close(j.done)
	return j
}

// mayAsk makes room for a question if there is a point in asking. The caller holds mu.
func (c *Client) mayAsk(k key) error {
	if c.ctx.Err() != nil {
		return notNow(k, Interval, "the service is about to end")
	}
	if d, ok := c.denied.Get(k); ok {
		if left := time.Until(d.until); left > 0 {
			return again(d.err, left)
		}
	}
	if left := time.Until(c.resume); left > 0 {
		return notNow(k, left, "AMD's key service cannot be asked now")
	}
	if len(c.queue) >= MaxQueue && !c.drop() {
		return notNow(k, MaxQueue*Interval/2, "too many unknown chips are waiting to be asked for")
	}
	return nil
}

// again is an error of before, with the time that is left of it.
func again(err error, left time.Duration) error {
	if u, ok := errors.AsType[*Unavailable](err); ok {
		return &Unavailable{u.Item, max(left, time.Second), u.Err, u.public}
	}
	return err
}

// drop takes the first question out of the queue that nobody waits for. It reports false if there is none. The caller holds mu.
func (c *Client) drop() bool {
	i := slices.IndexFunc(c.queue, func(j *job) bool { return j.waiting == 0 })
	if i < 0 {
		return false
	}
	delete(c.jobs, c.queue[i].key)
	c.queue = slices.Delete(c.queue, i, i+1)
	return true
}

// leave takes a caller away from his question.
func (c *Client) leave(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j.waiting--
}

// expected is how long it takes, more or less, until the question is answered.
func (c *Client) expected(j *job) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Interval * time.Duration(slices.Index(c.queue, j)+2)
}

// run asks what is in the queue, one after the other.
func (c *Client) run() {
	for j := c.next(); j != nil; j = c.next() {
		chain, err := c.obtain(j.key)
		if c.settle(j, chain, err); err == nil {
			c.store(j.key, chain)
		}
	}
}

// next takes the next question out of the queue; nil: there is none, and nobody works on them from now on.
func (c *Client) next() *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.working = false
		return nil
	}
	j := c.queue[0]
	c.queue = slices.Delete(c.queue, 0, 1)
	return j
}

// turn waits until the service may be asked.
func (c *Client) turn(k key) error {
	c.mu.Lock()
	left := time.Until(c.resume)
	c.mu.Unlock()
	if left > 0 {
		return notNow(k, left, "AMD's key service cannot be asked now")
	}
	if err := c.rate.Wait(c.ctx); err != nil {
		return notNow(k, Interval, "the service is about to end")
	}
	return nil
}

// settle notes what came of a question, and tells those who wait.
func (c *Client) settle(j *job, chain *snp.Chain, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(j.done)
	delete(c.jobs, j.key)
	if j.chain, j.err = chain, c.judge(j.key, err); err == nil {
		c.failures = 0
		c.known.Add(j.key.name(), chain)
	}
}

// judge decides from what went wrong when to ask again, and gives the error for the callers. The caller holds mu.
func (c *Client) judge(k key, err error) error {
	if err == nil || errors.As(err, new(*Unavailable)) {
		return err
	}
	if errors.Is(err, errAbsent) {
		c.failures = 0
		c.denied.Add(k, denial{err, time.Now().Add(absentFor)})
		return err
	}
	if o, ok := errors.AsType[*outage](err); ok {
		pause := max(min(firstPause<<min(c.failures, 10), longestPause), min(o.after, maxRetryAfter))
		c.failures, c.resume = c.failures+1, time.Now().Add(pause)
		return &Unavailable{k.String(), pause, err, "AMD's key service cannot be reached or asks to be left alone"}
	}
	u := &Unavailable{k.String(), unusableFor, fmt.Errorf("unusable answer: %v", err), "what AMD's key service gave could not be used (the service's log says more)"}
	c.denied.Add(k, denial{u, time.Now().Add(unusableFor)})
	return u
}
