package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// wanting permits what matches the reference value golden.
const wanting = `version= 1.0;authorizationrules{[type=="assay-reference", value=="golden"] => permit();};issuancerules{=> issue(type="marked", value="matched");};`

// TestAReferenceIsInForceAtAllReplicasWithinASecond changes one by turns through each replica, and has all of them judge evidence until they
// follow.
func TestAReferenceIsInForceAtAllReplicasWithinASecond(t *testing.T) {
	all := threeReplicas(t, "")
	body := attestBody(t)
	a, err := all[0].attest(body)
	if err != nil {
		t.Fatal(err)
	}
	k, err := tokenIn(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := all[0].setPolicy(wanting); err != nil {
		t.Fatal(err)
	}
	var slowest time.Duration
	for round := range 6 {
		mrenclave, mark := strings.Repeat("0", 64), ""
		if round%2 == 0 {
			mrenclave, mark = k.claims["x-ms-sgx-mrenclave"].(string), "matched"
		}
		all[round%3].putReference(t, mrenclave)
		began := time.Now()
		if !enforces(t, all[round%3], body, mark) {
			t.Errorf("round %d: the replica that answered does not go by the reference value", round)
		}
		slowest = max(slowest, allFollow(t, all, body, mark, began))
	}
	if a, err := all[1].do(http.MethodDelete, "/assay/v1/references/golden", nil, ""); err != nil || a.status != http.StatusNoContent {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	slowest = max(slowest, allFollow(t, all, body, "", time.Now()))
	t.Logf("the slowest replica followed after %s", slowest)
	if slowest >= enforceTime {
		t.Errorf("a replica followed after %s only", slowest)
	}
}

// allFollow waits until all replicas judge so, and returns how long after began that was.
func allFollow(t *testing.T, all []*replica, body []byte, mark string, began time.Time) time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	for _, r := range all {
		wg.Go(func() {
			took := untilEnforced(t, r, body, mark, began)
			mu.Lock()
			slowest = max(slowest, took)
			mu.Unlock()
		})
	}
	wg.Wait()
	return slowest
}

// putReference has the replica trust a measurement as golden.
func (r *replica) putReference(t *testing.T, mrenclave string) {
	t.Helper()
	body := fmt.Appendf(nil, `{"type":"SgxEnclave","values":{"x-ms-sgx-mrenclave":[%q]}}`, mrenclave)
	a, err := r.do(http.MethodPut, "/assay/v1/references/golden", body, "application/json")
	if err != nil || a.status/100 != 2 {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
}
