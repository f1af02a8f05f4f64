package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

const writers = 50

// two opens two stores on one database, as two replicas do.
func two(t *testing.T, dsn string) [2]*store.Store {
	t.Helper()
	return [2]*store.Store{open(t, dsn), open(t, dsn)}
}

// all runs n functions at once and returns their errors.
func all(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func addSigner(ctx context.Context, s *store.Store, signer byte) error {
	return s.Write(ctx, func(tx *store.Tx) error {
		p, err := tx.Provider("1")
		if err != nil {
			return err
		}
		p.Signers = append(p.Signers, []byte{signer})
		return tx.UpdateProvider(p)
	})
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		replicas := two(t, dsn)
		write(t, replicas[0], func(tx *store.Tx) error { return tx.AddProvider(plainProvider("1", "a")) })
		if err := all(writers, func(i int) error { return addSigner(t.Context(), replicas[i%2], byte(i)) }); err != nil {
			t.Fatal(err)
		}
		wantSigners(t, replicas[0], writers)
	})
}

// What the administrator of the database has made the default of all transactions does not make writers fail.
func TestConcurrentWritersLoseNothingUnderAnyDefaultIsolation(t *testing.T) {
	dsn := storetest.Postgres(t)
	replicas := two(t, dsn+"&default_transaction_isolation=serializable")
	write(t, replicas[0], func(tx *store.Tx) error { return tx.AddProvider(plainProvider("1", "a")) })
	if err := all(writers, func(i int) error { return addSigner(t.Context(), replicas[i%2], byte(i)) }); err != nil {
		t.Fatal(err)
	}
	wantSigners(t, replicas[0], writers)
}

// wantSigners checks that provider 1 has n signers, all different.
func wantSigners(t *testing.T, s *store.Store, n int) {
	t.Helper()
	read(t, s, func(tx *store.Tx) error {
		p, err := tx.Provider("1")
		slices.SortFunc(p.Signers, slices.Compare)
		p.Signers = slices.CompactFunc(p.Signers, slices.Equal)
		if len(p.Signers) != n || p.Version != int64(n)+1 {
			t.Errorf("%d signers and version %d, want %d and %d", len(p.Signers), p.Version, n, n+1)
		}
		return err
	})
}

// TestChildAddsSigners is what the processes of the test below run.
func TestChildAddsSigners(t *testing.T) {
	dsn := os.Getenv("ASSAY_TEST_ADD_SIGNERS")
	if dsn == "" {
		return // only for the test below
	}
	var first byte
	fmt.Sscan(os.Getenv("ASSAY_TEST_FIRST"), &first)
	s := open(t, dsn)
	for i := range byte(20) {
		if err := addSigner(t.Context(), s, first+i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConcurrentProcessesLoseNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		write(t, s, func(tx *store.Tx) error { return tx.AddProvider(plainProvider("1", "a")) })
		err := all(4, func(i int) error {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildAddsSigners$")
			cmd.Env = append(os.Environ(), "ASSAY_TEST_ADD_SIGNERS="+dsn, fmt.Sprintf("ASSAY_TEST_FIRST=%d", 20*i))
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantSigners(t, s, 80)
	})
}

func TestReadSeesOneStateWhileOthersWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		replicas := two(t, dsn)
		write(t, replicas[0], func(tx *store.Tx) error { return tx.AppendAudit(entry(1)) })
		read(t, replicas[0], func(tx *store.Tx) error {
			for i := range int64(3) {
				got, err := tx.Audit(1, 10)
				seq, _, err2 := tx.AuditMark()
				if err := errors.Join(err, err2); err != nil {
					return err
				}
				if len(got) != 1 || seq != 1 {
					t.Errorf("after %d further writes: %d entries, the mark is %d; want those of the beginning", i, len(got), seq)
				}
				for _, s := range replicas {
					seq := 2 + 2*i
					if s == replicas[1] {
						seq++
					}
					write(t, s, func(tx *store.Tx) error { return tx.AppendAudit(entry(seq)) })
				}
			}
			return nil
		})
	})
}

func TestReadCannotWrite(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		err := s.Read(t.Context(), func(tx *store.Tx) error { return tx.AddProvider(plainProvider("1", "a")) })
		if err == nil {
			t.Error("a transaction that reads has written")
		}
		wantEmpty(t, s)
	})
}

// wantEmpty checks that nothing was written, by a state that others see.
func wantEmpty(t *testing.T, s *store.Store) {
	t.Helper()
	changes, err := s.Changes(t.Context())
	if err != nil || changes != 0 {
		t.Errorf("%d changes, %v; want none", changes, err)
	}
	read(t, s, func(tx *store.Tx) error {
		providers, err := tx.Providers()
		audit, err2 := tx.Audit(1, 1)
		if len(providers)+len(audit) > 0 {
			t.Errorf("there are %d providers and %d entries", len(providers), len(audit))
		}
		return errors.Join(err, err2)
	})
}

func TestFailedTransactionsLeaveNothing(t *testing.T) {
	failure := errors.New("changed my mind")
	for name, fail := range map[string]func(cancel func()) error{
		"error":     func(func()) error { return failure },
		"panic":     func(func()) error { panic(failure) },
		"cancelled": func(cancel func()) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *store.Store) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := recovered(func() error {
					return s.Write(ctx, func(tx *store.Tx) error {
						if err := errors.Join(tx.AddProvider(plainProvider("1", "a")), tx.AppendAudit(entry(1))); err != nil {
							return err
						}
						return fail(cancel)
					})
				})
				if !errors.Is(err, failure) && !errors.Is(err, context.Canceled) {
					t.Errorf("got the error %v", err)
				}
				wantEmpty(t, s)
				write(t, s, func(tx *store.Tx) error { return tx.AddProvider(plainProvider("1", "a")) }) // nothing is locked
			})
		})
	}
}

// recovered turns a panic with an error into that error.
func recovered(f func() error) (err error) {
	defer func() {
		if p, ok := recover().(error); ok {
			err = p
		}
	}()
	return f()
}

func TestCancelledContextsAreHonoured(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, changes := s.Changes(over)
		for what, err := range map[string]error{
			"Write": s.Write(over, nil), "Read": s.Read(over, nil), "Changes": changes, "Migrate": s.Migrate(over),
			"Backup": s.Backup(over, nil), "Restore": s.Restore(over, nil),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got the error %v, want that of the context", what, err)
			}
		}
	})
}

// A write waits for the one that holds the store, but no longer than its caller does.
func TestWaitingForTheStoreEndsWithTheContext(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		replicas := two(t, dsn)
		write(t, replicas[0], func(*store.Tx) error {
			for _, s := range replicas {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				begun := time.Now()
				if err := s.Write(ctx, func(*store.Tx) error { return nil }); err == nil {
					t.Error("two transactions write at once")
				}
				if waited := time.Since(begun); waited > 3*time.Second {
					t.Errorf("waited %v", waited)
				}
			}
			return nil
		})
	})
}

func TestChangesAreSeenByOtherReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		replicas := two(t, dsn)
		for i := range int64(5) {
			write(t, replicas[i%2], func(tx *store.Tx) error { return tx.AppendAudit(entry(i + 1)) })
			done := time.Now()
			for _, s := range replicas {
				if n, err := s.Changes(t.Context()); err != nil || n != i+1 {
					t.Errorf("%d changes, %v; want %d at once", n, err, i+1)
				}
			}
			if took := time.Since(done); took > time.Second {
				t.Errorf("the change was seen after %v", took)
			}
		}
	})
}
