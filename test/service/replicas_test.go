package service_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store/storetest"
)

// threeReplicas starts three of them at once on an empty PostgreSQL.
func threeReplicas(t *testing.T, more string) []*replica {
	t.Helper()
	s := newSite(t, storetest.Postgres(t))
	all := []*replica{s.replica(t, "a", more), s.replica(t, "b", more), s.replica(t, "c", more)}
	startAll(t, all...)
	return all
}

// TestReplicasThatStartAtOnceHaveTheSameKeys also has each verify with its key set what the others sign.
func TestReplicasThatStartAtOnceHaveTheSameKeys(t *testing.T) {
	all := threeReplicas(t, "")
	body := attestBody(t)
	var sets []keySet
	var tokens []token
	for _, r := range all {
		set, err := r.keys()
		if err != nil {
			t.Fatal(err)
		}
		a, err := r.attest(body)
		if err != nil {
			t.Fatal(err)
		}
		k, err := tokenIn(a)
		if err != nil {
			t.Fatal(err)
		}
		if k.claims["iss"] != externalURL {
			t.Errorf("issuer %v", k.claims["iss"])
		}
		sets, tokens = append(sets, set), append(tokens, k)
	}
	for i, set := range sets {
		if ids := slices.Sorted(maps.Keys(set)); len(ids) != 2 || !slices.Equal(ids, slices.Sorted(maps.Keys(sets[0]))) {
			t.Errorf("replica %s lists the keys %q", all[i].name, ids)
		}
		for j, k := range tokens {
			if err := k.verify(set); err != nil {
				t.Errorf("token of %s with the keys of %s: %v", all[j].name, all[i].name, err)
			}
		}
	}
}

// enforceTime is within which all replicas enforce a policy that was set through one (issue: a second).
const enforceTime = time.Second

// TestAPolicyIsEnforcedByAllReplicasWithinASecond sets policies by turns through each replica, and has all of them judge
// evidence until they follow.
func TestAPolicyIsEnforcedByAllReplicasWithinASecond(t *testing.T) {
	all := threeReplicas(t, "")
	body := attestBody(t)
	var slowest time.Duration
	for round := range 20 {
		policy, mark := denying, ""
		if round%3 != 0 {
			mark = fmt.Sprintf("round %d", round)
			policy = permitting(mark)
		}
		if err := all[round%3].setPolicy(policy); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if !enforces(t, all[round%3], body, mark) {
			t.Errorf("round %d: the replica that answered 200 does not enforce the policy", round)
		}
		var wg sync.WaitGroup
		took := make([]time.Duration, len(all))
		for i, r := range all {
			wg.Go(func() { took[i] = untilEnforced(t, r, body, mark, began) })
		}
		wg.Wait()
		slowest = max(slowest, slices.Max(took))
	}
	t.Logf("the slowest replica followed after %s", slowest)
	if slowest >= enforceTime {
		t.Errorf("a replica followed after %s only", slowest)
	}
}

// enforces reports whether the answer to evidence is that of the policy with the mark, or of the one that denies.
func enforces(t *testing.T, r *replica, body []byte, mark string) bool {
	a, err := r.attest(body)
	if err != nil {
		t.Error(err)
		return false
	}
	if mark == "" {
		return a.status == http.StatusBadRequest
	}
	k, err := tokenIn(a)
	return err == nil && k.claims["marked"] == mark
}

// untilEnforced asks again and again until the replica enforces the policy, and returns how long after began that was.
func untilEnforced(t *testing.T, r *replica, body []byte, mark string, began time.Time) time.Duration {
	for time.Since(began) < 10*time.Second {
		if enforces(t, r, body, mark) {
			return time.Since(began)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("replica %s does not enforce the policy %q", r.name, mark)
	return time.Since(began)
}
