package collateral

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// Bounds and times of a cache. The times are of the machine's own clock, not of Config.Clock, which may stand still.
const (
	maxItems      = 1024             // documents, including those that could not be had
	maxNewcomers  = 8                // loads at a time of what the cache has never had
	loadTimeout   = 30 * time.Second // one load, however many wait for it
	refreshEvery  = 24 * time.Hour   // a document is renewed when it is that old, or two thirds of what it had to live
	refreshAtMost = time.Minute      // but not more often than that
	absentPause   = 30 * time.Second // before a source is asked again for what it did not have
	firstPause    = time.Second      // before a source that failed is asked again; doubled with each failure,
	longestPause  = time.Minute      // up to this
	maxRetryAfter = time.Hour        // how long a source may ask to be left alone, by Retry-After
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
	// WithoutCRLs lets [Cache.For] do without the CRLs that are not available (setting require_crls).
	WithoutCRLs bool
	// Pinned lets TCB info and QE identity be used past their nextUpdate, but not the CRLs (sgx-tdx.md section 9.1).
	Pinned bool
	// Logger gets a line for each load that fails; nil means none.
	Logger *slog.Logger
}

// Cache holds verified collateral. Each document is loaded once for all who ask for it at the same time, and renewed in
// the background while the one at hand is still in force. It is safe for concurrent use.
//
// Evidence and draft policies cannot make the cache ask its source over and over, nor drive out what others use. A
// document that cannot be had leaves a mark, and is not asked for again before its time. What is in force and the marks
// whose time is not over stay; once there is no room beside them, what is new is refused. Evaluations are only asked for
// by a number near the standard one, and few documents that were never there are loaded at a time. A source that asks to
// be left alone is, while documents at hand keep being served.
type Cache struct {
	cfg       Config
	ctx       context.Context // of the loads; ends with Close
	cancel    context.CancelFunc
	loads     sync.WaitGroup
	newcomers chan struct{} // a place for each load of what the cache never had

	mu     sync.Mutex
	items  map[key]*item // at most maxItems
	resume time.Time     // the source wants to be left alone until then
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
	return &Cache{cfg: cfg, ctx: ctx, cancel: cancel, newcomers: make(chan struct{}, maxNewcomers), items: map[key]*item{}}
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
// ctx. An error is an [Unavailable], or wraps [ErrUnknownBaseline] when there is no such evaluation.
func (c *Cache) For(ctx context.Context, o *dcap.Origin, evaluation string) (docs dcap.Collateral, err error) {
	lists := crls{live: c, optional: c.cfg.WithoutCRLs}
	switch {
	case isNumber(evaluation):
		lists.begin(o)
		docs, err = c.numbered(ctx, o, evaluation)
	case evaluation == Standard, evaluation == Early:
		lists.begin(o)
		docs, err = c.signed(ctx, o, evaluation)
	default:
		err = unknownBaseline(evaluation, "expected %q, %q or a TCB evaluation data number", Standard, Early)
	}
	if err != nil {
		return dcap.Collateral{}, err
	}
	return lists.addTo(ctx, docs, o)
}

// signed returns the two JSON documents.
func (c *Cache) signed(ctx context.Context, o *dcap.Origin, evaluation string) (docs dcap.Collateral, err error) {
	c.begin(wantQEIdentity(o, evaluation)) // so that its load does not wait for the other to end
	if docs.TCBInfo, err = get[*dcap.TCBInfo](ctx, c, wantTCBInfo(o, evaluation)); err != nil {
		return dcap.Collateral{}, err
	}
	if docs.QEIdentity, err = get[*dcap.QEIdentity](ctx, c, wantQEIdentity(o, evaluation)); err != nil {
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
		return nil, &Unavailable{w.String(), closedPause, notNow("the collateral cache is closed or busy")}
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

// failing reports whether the last load of w failed.
func (c *Cache) failing(w want) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.items[w.key]
	return it != nil && it.failures > 0
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

// evict drops the item that is least worth keeping. It leaves alone what is being loaded and marks whose time is not
// over. A document in force it drops only where all items are such documents. It reports false if it dropped none.
func (c *Cache) evict() bool {
	var victim *item
	var at key
	now, full := time.Now(), true // of documents in force
	for k, it := range c.items {
		full = full && c.worth(it) == inForce
		idle := it.loading == nil && !now.Before(it.retry)
		if idle && (victim == nil || c.lessUseful(it, victim)) {
			victim, at = it, k
		}
	}
	if victim == nil || c.worth(victim) == inForce && !full {
		return false
	}
	delete(c.items, at)
	return true
}

// lessUseful reports whether a is worth less than b, or as much and was used longer ago.
func (c *Cache) lessUseful(a, b *item) bool {
	if worthA, worthB := c.worth(a), c.worth(b); worthA != worthB {
		return worthA < worthB
	}
	return a.used.Before(b.used)
}

// The worth of an item, in rising order.
const (
	empty = iota
	outOfDate
	inForce
)

func (c *Cache) worth(it *item) int {
	switch {
	case it.doc.value == nil:
		return empty
	case c.check(it.doc) != nil:
		return outOfDate
	}
	return inForce
}
