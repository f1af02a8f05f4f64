package collateral

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// loaded is what came of a load.
type loaded struct {
	document
	fresh   raw    // of a new document, to be put on disk
	err     error  // why there is no document
	damaged error  // what is wrong with the copy on disk
	stack   []byte // of a panic
}

// load has one document loaded and keeps the result, of which those who wait are told by closing it.loading. The
// document at hand before, if any, is have.
func (c *Cache) load(it *item, w want, have document) {
	ctx, cancel := context.WithTimeout(c.ctx, loadTimeout)
	defer cancel()
	got := c.obtain(ctx, it, w, have)
	pause := c.settle(it, got)

	// Nobody waits from here on, neither for a slow disk nor for a log that takes no more lines.
	log, name := c.cfg.Logger, w.String()
	if got.damaged != nil {
		log.Warn("stored copy of collateral is damaged and not used", "item", name, "file", c.copyName(w), "error", got.damaged)
	}
	if got.stack != nil {
		log.Error("collateral made its reader panic", "item", name, "stack", string(got.stack))
	}
	if got.err != nil {
		log.Warn("collateral cannot be loaded", "item", name, "error", got.err, "retryAfter", pause.Round(time.Second).String())
		return
	}
	c.store(w, got.fresh)
}

// settle puts the result into the item and tells those who wait. It returns the pause before the next load of an item
// that could not be loaded.
func (c *Cache) settle(it *item, got loaded) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(it.loading)
	it.loading = nil
	if got.err != nil {
		return it.fail(got.err)
	}
	it.doc, it.err, it.failures, it.retry = got.document, nil, 0, time.Time{}
	return 0
}

// obtain returns the copy on disk if there is one in force, the first time; it is renewed at its next use. A panic over
// what a source delivered ends the load, not the process.
func (c *Cache) obtain(ctx context.Context, it *item, w want, have document) (got loaded) {
	defer func() {
		if p := recover(); p != nil {
			got = loaded{err: unsound(fmt.Errorf("panic: %v", p)), stack: debug.Stack()}
		}
	}()
	var damaged error
	if !it.recalled {
		it.recalled = true
		var doc document
		if doc, damaged = c.recall(w); doc.value != nil {
			return loaded{document: doc}
		}
	}
	got = c.renew(ctx, w, have)
	got.damaged = damaged
	return got
}

// renew gets w from the source. A source that has fallen behind does not bring back an older document than the one in
// force.
func (c *Cache) renew(ctx context.Context, w want, have document) loaded {
	r, err := c.ask(ctx, w, have.value != nil)
	if err != nil {
		return loaded{err: err}
	}
	doc, err := c.accept(w, r)
	if err != nil {
		return loaded{err: err}
	}
	left := doc.next.Sub(c.cfg.Clock())
	if c.cfg.Pinned {
		left = 2 * refreshEvery // what is stored is not replaced at its nextUpdate
	}
	doc.refresh = time.Now().Add(refreshAfter(left))
	if doc.issued.Before(have.issued) && c.check(have) == nil {
		have.refresh = doc.refresh
		return loaded{document: have}
	}
	return loaded{document: doc, fresh: r}
}

// ask gets the bytes of w from the source, unless that wants to be left alone. What is not known waits for a place.
func (c *Cache) ask(ctx context.Context, w want, known bool) (raw, error) {
	if !known {
		select {
		case c.newcomers <- struct{}{}:
			defer func() { <-c.newcomers }()
		case <-ctx.Done():
			return raw{}, fmt.Errorf("waiting for other loads: %w", ctx.Err())
		}
	}
	if left := c.pause(0); left > 0 {
		return raw{}, &Unavailable{w.String(), left, notNow("the source of collateral has asked to be left alone")}
	}
	r, err := c.fetch(ctx, w)
	if u, ok := errors.AsType[*Unavailable](err); ok {
		c.pause(u.RetryAfter)
	}
	return r, err
}

// pause has the source left alone for at least that long, within bounds, and returns how long it now is.
func (c *Cache) pause(atLeast time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(min(atLeast, maxRetryAfter)); until.After(c.resume) {
		c.resume = until
	}
	return time.Until(c.resume)
}

// accept verifies r and its dates.
func (c *Cache) accept(w want, r raw) (document, error) {
	doc, err := c.verify(w, r)
	if err != nil {
		return document{}, unsound(err)
	}
	return doc, c.check(doc)
}

// fail notes that a load did not succeed, and returns the pause before the next one may begin.
func (it *item) fail(err error) time.Duration {
	pause := min(firstPause<<min(it.failures, 10), longestPause)
	if errors.Is(err, ErrAbsent) {
		pause = min(absentPause<<min(it.failures, 10), maxRetryAfter)
	}
	if u, ok := errors.AsType[*Unavailable](err); ok {
		pause, err = max(pause, min(u.RetryAfter, maxRetryAfter)), u.Err
	}
	it.err, it.failures, it.retry = err, it.failures+1, time.Now().Add(pause)
	return pause
}

// refreshAfter is when a document that has yet to live that long should be renewed; varied, so that many servers do not
// ask at the same moment.
func refreshAfter(left time.Duration) time.Duration {
	after := max(refreshAtMost, min(refreshEvery, left/3*2))
	return after - rand.N(after/5)
}
