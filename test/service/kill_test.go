package service_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

const (
	allUpdates = 1000
	writers    = 4 // that write through the replica which is killed
)

// updates are policies that the service has answered with 200.
type updates struct {
	mu       sync.Mutex
	sent     int
	answered []string
	failed   []error // while nobody had killed the replica
}

// write sets policies through the replica until it is gone, or all are set.
func (u *updates) write(r *replica, stop <-chan struct{}) {
	for {
		u.mu.Lock()
		if len(u.answered) >= allUpdates {
			u.mu.Unlock()
			return
		}
		text := permitting(fmt.Sprintf("update %d", u.sent))
		u.sent++
		u.mu.Unlock()
		err := r.setPolicy(text)
		select {
		case <-stop:
			if err != nil {
				return
			}
		default:
		}
		u.mu.Lock()
		if err != nil {
			u.failed = append(u.failed, err)
		} else {
			u.answered = append(u.answered, text)
		}
		u.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (u *updates) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.answered)
}

// writeAndKill has several writers set policies through the replica, and kills it after some more updates, at any moment of one.
func (u *updates) writeAndKill(t *testing.T, victim *replica) {
	t.Helper()
	until := min(u.count()+100+rand.IntN(100), allUpdates)
	killed := make(chan struct{})
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() { u.write(victim, killed) })
	}
	for end := time.Now().Add(time.Minute); u.count() < until && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(rand.N(8 * time.Millisecond))
	close(killed)
	victim.kill()
	wg.Wait()
	for _, err := range u.failed {
		t.Fatalf("before the replica was killed: %v", err)
	}
}

// version is a version of a policy as the API tells it.
type version struct {
	Version int64
	Action  string
	Policy  string // the JWS, of a single version only
	Hash    string `json:"policyTokenHash"`
}

// tokenHash is the hash of a JWS (policy.md section 10.2).
func tokenHash(jws string) string {
	digest := sha256.Sum256([]byte(jws))
	return b64(digest[:])
}

// history fetches all versions through a replica, newest first.
func history(t *testing.T, r *replica) (all []version) {
	t.Helper()
	path := "/assay/v1/policies/SgxEnclave/versions?top=1000"
	for {
		var page struct{ Versions []version }
		if err := r.get(path, &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Versions) == 0 {
			return all
		}
		all = append(all, page.Versions...)
		path = fmt.Sprintf("/assay/v1/policies/SgxEnclave/versions?top=1000&below=%d", all[len(all)-1].Version)
	}
}

// check compares what the replica tells with what was answered: no update is lost, none is there by halves or twice.
func (u *updates) check(t *testing.T, r *replica) {
	t.Helper()
	all := history(t, r)
	there := map[string]int64{}
	for i, v := range all {
		if want := int64(len(all) - i); v.Version != want || v.Action != "set" {
			t.Fatalf("version %d, action %q, where version %d is to be", v.Version, v.Action, want)
		}
		if there[v.Hash] != 0 {
			t.Errorf("version %d is there twice", v.Version)
		}
		there[v.Hash] = v.Version
	}
	for _, text := range u.answered {
		hash := tokenHash(unsignedJWS(text))
		if there[hash] == 0 {
			t.Errorf("an update that was answered 200 is lost: %s", text)
		}
		delete(there, hash)
	}
	if len(all) > u.sent || len(there) > u.sent-len(u.answered) {
		t.Errorf("%d versions, %d updates sent, %d answered", len(all), u.sent, len(u.answered))
	}
}

// checkVersions fetches the newest versions one by one: each is a whole policy, the one that the list has the hash of.
func checkVersions(t *testing.T, r *replica) {
	t.Helper()
	for _, listed := range history(t, r)[:20] {
		var v version
		if err := r.get(fmt.Sprintf("/assay/v1/policies/SgxEnclave/versions/%d", listed.Version), &v); err != nil {
			t.Fatal(err)
		}
		if v.Version != listed.Version || v.Hash != listed.Hash || tokenHash(v.Policy) != listed.Hash {
			t.Errorf("version %d is listed as %+v and is %+v", listed.Version, listed, v)
		}
	}
}

// records counts the records of an operation in the audit trail, of a store that is sound and whose trail holds.
func records(t *testing.T, s *site, name audit.Operation) (n int64) {
	t.Helper()
	db, err := store.Open(t.Context(), s.store)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if findings, err := db.Check(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("faults of the store: %q, %v", findings, err)
	}
	if _, err := audit.NewTrail(db, s.sealKey(t)).Verify(t.Context(), audit.Head{}); err != nil {
		t.Errorf("the audit trail does not verify: %v", err)
	}
	err = db.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(1, 10*allUpdates)
		for _, row := range rows {
			if strings.Contains(string(row.Record), string(name)) {
				n++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkStore looks at the store itself: it is sound, the chain of the audit trail holds, and has one record for each version.
func checkStore(t *testing.T, s *site) {
	t.Helper()
	n := records(t, s, audit.SetCurrentPolicy)
	db, err := store.Open(t.Context(), s.store)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var newest store.Policy
	err = db.Read(t.Context(), func(tx *store.Tx) (err error) {
		all, err := tx.Providers()
		if err != nil {
			return err
		}
		newest, err = tx.Policy(all[0].ID, "SgxEnclave", 0)
		return err
	})
	if err != nil || n != newest.Version {
		t.Errorf("%d versions, %d records of them, %v", newest.Version, n, err)
	}
}

// TestAKilledReplicaLosesNoUpdateThatWasAnswered kills one of three replicas again and again during 1,000 updates of a policy, and asks
// the others.
func TestAKilledReplicaLosesNoUpdateThatWasAnswered(t *testing.T) {
	all := threeReplicas(t, "")
	u, kills := &updates{}, 0
	for u.count() < allUpdates {
		victim := all[kills%3]
		u.writeAndKill(t, victim)
		kills++
		u.check(t, all[kills%3])
		victim.mustStart()
	}
	t.Logf("%d updates sent, %d answered, %d kills", u.sent, len(u.answered), kills)
	for _, r := range all {
		u.check(t, r)
		checkVersions(t, r)
	}
	checkStore(t, all[0].site)
	for _, r := range all {
		r.terminate()
	}
}

// TestAKilledServiceOnSQLiteLosesNoUpdateThatWasAnswered kills the only process, and starts it again on the same folder.
func TestAKilledServiceOnSQLiteLosesNoUpdateThatWasAnswered(t *testing.T) {
	s := newSite(t, storetest.SQLite(t))
	r := s.replica(t, "only", "")
	r.mustStart()
	before, err := r.keys()
	if err != nil {
		t.Fatal(err)
	}
	u, kills := &updates{}, 0
	for u.count() < allUpdates {
		u.writeAndKill(t, r)
		kills++
		checkStore(t, s)
		r.mustStart()
		u.check(t, r)
	}
	t.Logf("%d updates sent, %d answered, %d kills", u.sent, len(u.answered), kills)
	checkVersions(t, r)
	after, err := r.keys()
	if err != nil || len(after) != 2 || len(before) != 2 { // the same key twice, as tokens name it and as reports do
		t.Fatalf("%d keys before, %d after, %v", len(before), len(after), err)
	}
	a, err := r.attest(attestBody(t))
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	k, err := tokenIn(a)
	if err == nil {
		err = k.verify(before)
	}
	if err != nil {
		t.Errorf("a token of the last process with the keys of the first: %v", err)
	}
	r.terminate()
}
