package audit

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
)

// Trail is the audit trail in a store. It may be used concurrently.
type Trail struct {
	store *store.Store
	chain *Chain

	mu      sync.Mutex // of waiting
	waiting []*entry
	commit  sync.Mutex // one transaction of Write at a time
}

// entry is a record that waits for the transaction that writes it.
type entry struct {
	record Record
	done   bool
	err    error
}

// NewTrail makes the trail of a store that belongs to a sealing key.
func NewTrail(s *store.Store, key *seal.Key) *Trail { return &Trail{store: s, chain: NewChain(key)} }

// Append adds a record to the trail in the transaction of what it is about, so that one is there exactly if the other is.
// It follows the mark of the store, not the last row: where rows were taken away, the gap stays.
func (t *Trail) Append(tx *store.Tx, r Record) error {
	record, err := r.Marshal()
	if err != nil {
		return err
	}
	before, err := mark(tx)
	if err != nil {
		return err
	}
	e := store.AuditEntry{Seq: before.Seq + 1, Record: record, MAC: t.chain.mac(before, record)}
	if err := tx.AppendAudit(e); err != nil {
		return fmt.Errorf("writing the audit trail: %w", err)
	}
	return nil
}

// writeTime is how long the store may take for records, whether their requests still wait or not.
const writeTime = 20 * time.Second

// Write adds a record by itself, about what changed nothing: what was denied, or attested. It returns when the record is in
// the store. Records that come while another transaction is under way share the next one.
func (t *Trail) Write(ctx context.Context, r Record) error {
	e := &entry{record: r}
	t.mu.Lock()
	t.waiting = append(t.waiting, e)
	t.mu.Unlock()
	t.commit.Lock()
	defer t.commit.Unlock()
	if e.done { // somebody who came before took it along
		return e.err
	}
	t.mu.Lock()
	batch := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	err := t.store.Write(ctx, func(tx *store.Tx) error { return t.appendAll(tx, batch) })
	for _, e := range batch {
		e.done, e.err = true, err
	}
	return err
}

func (t *Trail) appendAll(tx *store.Tx, batch []*entry) error {
	for _, e := range batch {
		if err := t.Append(tx, e.record); err != nil {
			return err
		}
	}
	return nil
}

// Verify checks the trail from its beginning, that it reaches the mark which is kept beside it, and that it goes through
// the head expected, which may be the zero value. It returns the last good head. The error is a [Broken], or one of
// reading. Meanwhile entries may be added.
func (t *Trail) Verify(ctx context.Context, expected Head) (Head, error) {
	var kept Head
	err := t.store.Read(ctx, func(tx *store.Tx) (err error) {
		kept, err = mark(tx)
		return err
	})
	if err != nil {
		return Head{}, err
	}
	return t.chain.Verify(ctx, Rows(ctx, t.store, math.MinInt64), Head{}, kept, expected)
}

func mark(tx *store.Tx) (h Head, err error) {
	h.Seq, h.MAC, err = tx.AuditMark()
	return h, err
}

// pageRows is how many rows are read at a time.
const pageRows = 500

// Rows gives the entries of the store from a sequence number on, page by page. Where a page cannot be read, it gives the
// rows before the one to blame.
func Rows(ctx context.Context, s *store.Store, from int64) iter.Seq2[store.AuditEntry, error] {
	return func(yield func(store.AuditEntry, error) bool) {
		limit := pageRows
		for {
			page, err := rows(ctx, s, from, limit)
			if err != nil && limit > 1 && ctx.Err() == nil {
				limit = 1
				continue
			}
			if err != nil {
				yield(store.AuditEntry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < limit || page[limit-1].Seq == math.MaxInt64 {
				return
			}
			from = page[limit-1].Seq + 1
		}
	}
}

func rows(ctx context.Context, s *store.Store, from int64, limit int) (page []store.AuditEntry, err error) {
	err = s.Read(ctx, func(tx *store.Tx) (err error) {
		page, err = tx.Audit(from, limit)
		return err
	})
	return page, err
}
