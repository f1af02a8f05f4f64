package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

const (
	killedVar  = "ASSAY_TEST_KILLED_STORE" // the store that a child process writes to
	allUpdates = 1000
)

// update adds the next version of the policy of provider 1 and an entry of the trail, in one transaction. The
// first adds the provider, too.
func update(ctx context.Context, s *store.Store) (version int64, err error) {
	err = s.Write(ctx, func(tx *store.Tx) error {
		newest, err := tx.Policy("1", "SgxEnclave", 0)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if version = newest.Version + 1; version == 1 {
			if err := tx.AddProvider(plainProvider("1", "a")); err != nil {
				return err
			}
		}
		p := store.Policy{ProviderID: "1", Type: "SgxEnclave", Version: version, JWS: jwsOf(version), Action: "set"}
		if err := tx.AddPolicy(p); err != nil {
			return err
		}
		return tx.AppendAudit(store.AuditEntry{Seq: version, Record: []byte(jwsOf(version)), MAC: []byte{1}})
	})
	return version, err
}

// jwsOf is a text that fills more than a page of either engine.
func jwsOf(version int64) string {
	return strings.Repeat(fmt.Sprintf("%d.", version), 9000/len(fmt.Sprintf("%d.", version)))
}

// updateUntilKilled is the child: it says which updates were committed.
func updateUntilKilled(dsn string) int {
	s, err := store.Open(context.Background(), dsn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		version, err := update(context.Background(), s)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(version)
		if version >= allUpdates {
			return 0
		}
	}
}

// TestUpdatesSurviveKilledProcesses kills a process again and again during 1,000 updates. What it reported is there, and
// nothing by halves.
func TestUpdatesSurviveKilledProcesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		open(t, dsn).Close()
		var reported int64
		kills := 0
		for reported < allUpdates {
			last, killed := runUntilKilled(t, dsn, reported)
			if killed {
				kills++
			}
			reported = max(reported, last)
			checkUpdates(t, dsn, reported)
		}
		if kills < 3 {
			t.Errorf("only %d processes were killed before %d updates were done", kills, allUpdates)
		}
	})
}

// runUntilKilled starts a child, kills it after it has reported some updates, and returns the last one reported.
func runUntilKilled(t *testing.T, dsn string, reported int64) (last int64, killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killedVar+"="+dsn)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	until := reported + 50 + rand.Int64N(150)
	for lines.Scan() {
		if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			break
		}
		if !killed && last >= until && last < allUpdates-1 {
			time.Sleep(rand.N(3 * time.Millisecond))
			cmd.Process.Kill()
			killed = true // and read what it still said
		}
	}
	if err := cmd.Wait(); !killed && err != nil {
		t.Fatalf("the child failed: %v\n%s", err, stderr.String())
	}
	return last, killed
}

// checkUpdates opens the store anew: at least the updates reported are there, each whole, and the trail says the same.
func checkUpdates(t *testing.T, dsn string, reported int64) {
	t.Helper()
	s := open(t, dsn)
	defer s.Close()
	read(t, s, func(tx *store.Tx) error {
		newest, err := tx.Policy("1", "SgxEnclave", 0)
		if err != nil {
			return err
		}
		if newest.Version < reported {
			t.Errorf("%d updates were reported, %d are there", reported, newest.Version)
		}
		audit, err := tx.Audit(1, 2*allUpdates)
		if err != nil {
			return err
		}
		if int64(len(audit)) != newest.Version {
			t.Errorf("%d entries in the trail, %d versions", len(audit), newest.Version)
		}
		for i, e := range audit {
			p, err := tx.Policy("1", "SgxEnclave", int64(i)+1)
			if err != nil {
				return err
			}
			if want := jwsOf(p.Version); p.JWS != want || string(e.Record) != want {
				t.Errorf("version %d or its entry is not whole", p.Version)
			}
		}
		return nil
	})
	if findings, err := s.Check(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("faults: %q, %v", findings, err)
	}
}
