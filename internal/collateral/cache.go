package collateral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// Bounds and times of a cache. The times are of the machine's own clock, not of Config.Clock, which may stand still.
const (
	maxItems      = 1024             // documents, including those that could not be had
	loadTimeout   = 30 * time.Second // one load, however many wait for it
	refreshEvery  = 24 * time.Hour   // a document is renewed when it is that old, or two thirds of what it had to live
	refreshAtMost = time.Minute      // but not more often than that
	absentPause   = 30 * time.Second // before a source is asked again for what it did not have
	firstPause    = time.Second      // before a source that failed is asked again; doubled with each failure,
	longestPause  = time.Minute      // up to this
	maxRetryAfter = time.Hour        // what a source may ask for by Retry-After
	closedPause   = time.Second      // told to those who ask a cache that is closed, full or too slow for them
)

// Config is what a cache needs. Source, Verifier and Clock must be given.
type Config struct {
	Source   Source
	Verifier *dcap.Verifier
	// Dir holds copies of the documents for the next run, which are verified again when read. It is created if need be;
	// empty means no copies.
	Dir string
	// Clock says at what time documents must be in force.
	Clock func() time.Time
	// Grace is how long past its nextUpdate a document may still be used (limit collateral_grace).
	Grace time.Duration
	// Pinned lets TCB info and QE identity be used past their nextUpdate, but not the CRLs (sgx-tdx.md section 9.1).
	Pinned bool
	// Logger gets a line for each load that fails; nil means none.
	Logger *slog.Logger
}

// Cache holds verified collateral. Each document is loaded once for all who ask for it at the same time, and renewed in
// the background while the one at hand is still in force. A document that cannot be had leaves a mark for a while, so
// that evidence cannot make the cache ask its source over and over. It is safe for concurrent use.
type Cache struct {
	cfg    Config
	ctx    context.Context // of the loads; ends with Close
	cancel context.CancelFunc
	loads  sync.WaitGroup

	mu    sync.Mutex
	items map[key]*item // at most maxItems
}

// item is what the cache knows of one document. Its fields are guarded by Cache.mu.
type item struct {
	doc      document
	loading  chan struct{} // closed when the running load ends; nil while none runs
	err      error         // of the last load; nil if it succeeded
	failures int           // loads that failed since the last that succeeded
	retry    time.Time     // no load begins before
	used     time.Time
	recalled bool // the copy on disk was looked for; only the running load uses this
}

// document is a verified document with its dates.
type document struct {
	value        any // *dcap.TCBInfo, *dcap.QEIdentity or *dcap.CRL; nil if there is none
	issued, next time.Time
	refresh      time.Time // when it should be renewed
}

// New makes a cache. It must be closed.
func New(cfg Config) *Cache {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Cache{cfg: cfg, ctx: ctx, cancel: cancel, items: map[key]*item{}}
}

// Close ends the loads that run and waits for them. A closed cache answers [Unavailable].
func (c *Cache) Close() {
	c.mu.Lock()
	c.cancel() // under the lock: after it, begin starts no load
	c.mu.Unlock()
	c.loads.Wait()
}

// For returns the collateral for evidence of origin o, each document verified and in force. The evaluation is
// [Standard], [Early] or a TCB evaluation data number. It loads what is not at hand and waits for that no longer than
// ctx. An error is an [Unavailable], or wraps [ErrUnknownBaseline] when the evaluation is none of these.
func (c *Cache) For(ctx context.Context, o *dcap.Origin, evaluation string) (dcap.Collateral, error) {
	if evaluation != Standard && evaluation != Early && !isNumber(evaluation) {
		return dcap.Collateral{}, fmt.Errorf("evaluation %q: %w", evaluation, ErrUnknownBaseline)
	}
	for _, w := range []want{wantQEIdentity(o, evaluation), wantPCKCRL(o), wantRootCRL(o)} {
		c.begin(w) // so that no load waits for another to end
	}
	docs, err := c.signed(ctx, o, evaluation)
	if err != nil {
		return dcap.Collateral{}, err
	}
	return c.withCRLs(ctx, o, docs)
}

// signed returns the two JSON documents.
func (c *Cache) signed(ctx context.Context, o *dcap.Origin, evaluation string) (docs dcap.Collateral, err error) {
	if docs.TCBInfo, err = get[*dcap.TCBInfo](ctx, c, wantTCBInfo(o, evaluation)); err != nil {
		return dcap.Collateral{}, err
	}
	if docs.QEIdentity, err = get[*dcap.QEIdentity](ctx, c, wantQEIdentity(o, evaluation)); err != nil {
		return dcap.Collateral{}, err
	}
	return docs, nil
}

// withCRLs returns docs with the two revocation lists.
func (c *Cache) withCRLs(ctx context.Context, o *dcap.Origin, docs dcap.Collateral) (_ dcap.Collateral, err error) {
	if docs.PCKCRL, err = get[*dcap.CRL](ctx, c, wantPCKCRL(o)); err != nil {
		return dcap.Collateral{}, err
	}
	if docs.RootCRL, err = get[*dcap.CRL](ctx, c, wantRootCRL(o)); err != nil {
		return dcap.Collateral{}, err
	}
	return docs, nil
}

// get returns the document w, whose type is T, loading it if need be.
func get[T any](ctx context.Context, c *Cache, w want) (T, error) {
	var none T
	value, it := c.begin(w)
	if value == nil {
		var err error
		if value, err = c.await(ctx, it, w); err != nil {
			return none, err
		}
	}
	return value.(T), nil
}

// begin returns the document w if it is at hand and in force. It starts a load if one is due and may be. The item is nil
// when the cache is closed or has no room for it.
func (c *Cache) begin(w want) (any, *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.item(w.key)
	if it == nil {
		return nil, nil
	}
	now := time.Now()
	it.used = now
	inForce := c.check(it.doc) == nil
	due := !inForce || now.After(it.doc.refresh)
	if due && it.loading == nil && !now.Before(it.retry) {
		have := it.doc
		it.loading = make(chan struct{})
		c.loads.Go(func() { c.load(it, w, have) })
	}
	if inForce {
		return it.doc.value, it
	}
	return nil, it
}

// await waits for the load of it, if one runs, and returns the document, or why there is none that may be used.
func (c *Cache) await(ctx context.Context, it *item, w want) (any, error) {
	if it == nil {
		return nil, &Unavailable{w.String(), closedPause, errors.New("the collateral cache is closed or busy")}
	}
	c.mu.Lock()
	loading := it.loading
	c.mu.Unlock()
	if loading != nil {
		select {
		case <-loading:
		case <-ctx.Done():
			return nil, &Unavailable{w.String(), closedPause, context.Cause(ctx)}
		}
	}
	return c.answer(it, w)
}

func (c *Cache) answer(it *item, w want) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.check(it.doc)
	if err == nil {
		return it.doc.value, nil
	}
	if it.err != nil {
		err = it.err
	}
	return nil, &Unavailable{w.String(), max(closedPause, time.Until(it.retry)), err}
}

// item returns the item of k, if need be in the place of another.
func (c *Cache) item(k key) *item {
	if c.ctx.Err() != nil {
		return nil
	}
	it := c.items[k]
	if it == nil && (len(c.items) < maxItems || c.evict()) {
		it = &item{}
		c.items[k] = it
	}
	return it
}

// evict drops one item: of those without a document, if there are any, the one used longest ago, so that made-up
// platforms push out each other and not what is in use. It reports false if all are being loaded.
func (c *Cache) evict() bool {
	var victim *item
	var at key
	for k, it := range c.items {
		if it.loading == nil && (victim == nil || it.lessUseful(victim)) {
			victim, at = it, k
		}
	}
	delete(c.items, at)
	return victim != nil
}

func (it *item) lessUseful(other *item) bool {
	if empty := it.doc.value == nil; empty != (other.doc.value == nil) {
		return empty
	}
	return it.used.Before(other.used)
}

// load has one document loaded and keeps the result, of which those who wait are told by closing it.loading. The
// document at hand before, if any, is have.
func (c *Cache) load(it *item, w want, have document) {
	ctx, cancel := context.WithTimeout(c.ctx, loadTimeout)
	defer cancel()
	doc, err := c.obtain(ctx, it, w, have)

	c.mu.Lock()
	defer c.mu.Unlock()
	close(it.loading)
	it.loading = nil
	if err == nil {
		it.doc, it.err, it.failures, it.retry = doc, nil, 0, time.Time{}
		return
	}
	it.fail(err)
	c.cfg.Logger.Warn("collateral cannot be loaded", "item", w.String(), "error", it.err, "retryAfter", time.Until(it.retry))
}

// obtain returns the copy on disk if there is one in force, the first time; it is renewed at its next use.
func (c *Cache) obtain(ctx context.Context, it *item, w want, have document) (document, error) {
	if !it.recalled {
		it.recalled = true
		if doc, ok := c.recall(w); ok {
			return doc, nil
		}
	}
	return c.renew(ctx, w, have)
}

// renew gets w from the source and puts it on disk. A source that has fallen behind does not bring back an older
// document than the one in force.
func (c *Cache) renew(ctx context.Context, w want, have document) (document, error) {
	r, err := c.fetch(ctx, w)
	if err != nil {
		return document{}, err
	}
	doc, err := c.accept(w, r)
	if err != nil {
		return document{}, err
	}
	left := doc.next.Sub(c.cfg.Clock())
	if c.cfg.Pinned {
		left = 2 * refreshEvery // what is stored is not replaced at its nextUpdate
	}
	doc.refresh = time.Now().Add(refreshAfter(left))
	if doc.issued.Before(have.issued) && c.check(have) == nil {
		have.refresh = doc.refresh
		return have, nil
	}
	c.store(w, r)
	return doc, nil
}

// accept verifies r and its dates. A refusal of collateral is not wrapped: it must not be taken for one of evidence.
func (c *Cache) accept(w want, r raw) (document, error) {
	doc, err := c.verify(w, r)
	if err != nil {
		return document{}, errors.New(err.Error())
	}
	return doc, c.check(doc)
}

// fail notes that a load did not succeed and when the next one may be tried.
func (it *item) fail(err error) {
	pause := min(firstPause<<min(it.failures, 10), longestPause)
	if errors.Is(err, ErrAbsent) {
		pause = absentPause
	}
	if u, ok := errors.AsType[*Unavailable](err); ok {
		pause, err = max(pause, min(u.RetryAfter, maxRetryAfter)), u.Err
	}
	it.err, it.failures, it.retry = err, it.failures+1, time.Now().Add(pause)
}

// refreshAfter is when a document that has yet to live that long should be renewed; varied, so that many servers do not
// ask at the same moment.
func refreshAfter(left time.Duration) time.Duration {
	after := max(refreshAtMost, min(refreshEvery, left/3*2))
	return after - rand.N(after/5)
}
