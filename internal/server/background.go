package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/store"
)

// auditCopyTime is how often the sinks beside the store are brought up to date.
const auditCopyTime = time.Second

// begin starts the background work, which Close ends.
func (s *Server) begin() error {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.work.Go(func() { s.providers.Follow(ctx) })
	warned := warnings{}
	s.work.Go(func() { every(ctx, s.maintenanceTime(), func() { s.maintain(ctx); s.warnOfReferences(warned) }) })
	if s.cfg.Audit.Stdout && s.opt.Stdout != nil {
		s.copyAudit(ctx, audit.NewStream(s.opt.Stdout), s.auditSeq(ctx))
	}
	if s.cfg.Audit.File != "" {
		file, err := audit.OpenFile(s.cfg.Audit.File)
		if err != nil {
			return err
		}
		s.copyAudit(ctx, file, file.Last())
	}
	return nil
}

// every calls f each time d has passed, until the context ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// maintenanceTime is how often the keys are looked after: several times before a listed key signs.
func (s *Server) maintenanceTime() time.Duration {
	return min(time.Minute, schedule(s.cfg.Keys).Lead/4)
}

func (s *Server) maintain(ctx context.Context) {
	if err := s.maintainKeys(ctx); err != nil && ctx.Err() == nil {
		s.opt.Logger.Error("the signing keys cannot be looked after", "error", err)
	}
}

// maintainKeys makes and drops the signing keys of all providers as the schedule wants it. One whose keys cannot be looked after
// is in the error, and keeps no other from its keys.
func (s *Server) maintainKeys(ctx context.Context) error {
	var all []store.Provider
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.Providers()
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range all {
		_, err := s.keys.Maintain(ctx, p.ID, s.recordKeys(p))
		switch {
		case errors.Is(err, store.ErrUnavailable):
			return err
		case err != nil && !errors.Is(err, store.ErrNotFound): // deleted in the meantime
			errs = append(errs, fmt.Errorf("provider %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// recordKeys puts each key that came or went into the audit trail.
func (s *Server) recordKeys(p store.Provider) keyring.Record {
	return func(tx *store.Tx, c keyring.Change) error {
		for _, key := range c.Added {
			if err := s.trail.Append(tx, keyRecord(audit.RotateSigningKey, p, s.clock(), "", key.ID)); err != nil {
				return err
			}
		}
		for _, id := range c.Dropped {
			if err := s.trail.Append(tx, keyRecord(audit.RetireSigningKey, p, s.clock(), id, "")); err != nil {
				return err
			}
		}
		return nil
	}
}

func keyRecord(op audit.Operation, p store.Provider, now time.Time, before, after string) audit.Record {
	r := ownRecord(op, now, before, after)
	r.Properties.Provider = p.Name
	return r
}

// auditSeq is the newest entry of the trail now: what came before is not printed again at each start.
func (s *Server) auditSeq(ctx context.Context) (seq int64) {
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		seq, _, err = tx.AuditMark()
		return err
	})
	if err != nil {
		s.opt.Logger.Error("the audit trail cannot be read", "error", err)
	}
	return seq
}

// copyAudit keeps a sink up to date. What it could not take it is offered again.
func (s *Server) copyAudit(ctx context.Context, sink audit.Sink, after int64) {
	s.sinks = append(s.sinks, sink)
	s.work.Go(func() {
		every(ctx, auditCopyTime, func() {
			last, err := audit.Copy(ctx, s.store, sink, after)
			after = last
			if err != nil && ctx.Err() == nil {
				s.metrics.auditFailures.Inc()
				s.opt.Logger.Error("the audit trail cannot be copied", "error", err)
			}
		})
		_, _ = audit.Copy(context.WithoutCancel(ctx), s.store, sink, after) // the last entries, if they can be had
	})
}
