package server_test

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

// writers is how many change a provider at once (issue: 50 concurrent writers lose no update).
const writers = 50

// atOnce sends requests at the same time, and gives their answers in the order of the requests.
func (e *estate) atOnce(t *testing.T, requests []sending) []answer {
	t.Helper()
	answers, errs := make([]answer, len(requests)), make([]error, len(requests))
	begin := make(chan struct{})
	var work sync.WaitGroup
	for i, q := range requests {
		work.Go(func() {
			<-begin
			answers[i], errs[i] = e.trySend(q)
		})
	}
	close(begin)
	work.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	return answers
}

// TestConcurrentPoliciesAreAllKept: each becomes a version of its own, and the last one is in force.
func TestConcurrentPoliciesAreAllKept(t *testing.T) {
	e := startEstate(t, config.Config{})
	token := e.token("default.contributor")
	unseen := map[string]bool{}
	var requests []sending
	for n := range writers {
		jws := unsigned(policyPayload(numbered(n)))
		unseen[jws] = true
		requests = append(requests, sending{method: "PUT", path: sgxPolicy, body: jws, token: token})
	}
	for n, a := range e.atOnce(t, requests) {
		if a.status != http.StatusOK {
			t.Errorf("policy %d: status %d: %s", n, a.status, a.body)
		}
	}
	versions := e.versions(t, "")
	if len(versions) != writers {
		t.Fatalf("%d versions, want %d: %v", len(versions), writers, versions)
	}
	var last string
	for i, n := range versions {
		if n != int64(writers-i) {
			t.Fatalf("versions %v, want %d to 1", versions, writers)
		}
		a := e.send(t, sending{method: "GET", path: "/assay/v1/policies/SgxEnclave/versions/" + strconv.FormatInt(n, 10), token: token})
		var version struct{ Policy string }
		decode(t, a.body, &version)
		if !unseen[version.Policy] {
			t.Errorf("version %d is none of the policies, or one twice: %s", n, a.body)
		}
		delete(unseen, version.Policy)
		if i == 0 {
			last = version.Policy
		}
	}
	if got := e.inForce(t, ""); got != last {
		t.Errorf("in force is %s, the last version is %s", got, last)
	}
}

// TestConcurrentSignersAreAllKept: fifty that are added at once are there afterwards.
func TestConcurrentSignersAreAllKept(t *testing.T) {
	owner := root(t, "owner")
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{owner.der()}})
	token := e.token("isolated.contributor")
	want := []string{listed(owner)}
	var requests []sending
	for n := range writers {
		next := certified(t, owner, strconv.Itoa(n), owner.key, false)
		want = append(want, listed(next))
		requests = append(requests, sending{at: "isolated", method: "POST", path: "/certificates:add?api-version=" + current, body: owner.change(t, next), token: token})
	}
	for n, a := range e.atOnce(t, requests) {
		if a.status != http.StatusOK || a.claims(t)["x-ms-policycertificates-result"] != "IsPresent" {
			t.Errorf("signer %d: status %d: %s", n, a.status, a.body)
		}
	}
	got := e.signers(t, "isolated")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d signers, want the %d that were added and the first", len(got), writers)
	}
}

// TestConcurrentAddsOfOneSignerAddItOnce: each is told that it is present.
func TestConcurrentAddsOfOneSignerAddItOnce(t *testing.T) {
	owner, next := root(t, "owner"), root(t, "next")
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{owner.der()}})
	q := sending{at: "isolated", method: "POST", path: "/certificates:add?api-version=" + current, body: owner.change(t, next), token: e.token("isolated.contributor")}
	for _, a := range e.atOnce(t, slices.Repeat([]sending{q}, 20)) {
		a.changed(t, next, "IsPresent")
	}
	e.wantSigners(t, "isolated", owner, next)
}

// TestRacingRemovalsLeaveASigner: however additions and removals fall, somebody is left who can sign.
func TestRacingRemovalsLeaveASigner(t *testing.T) {
	first, second := root(t, "first"), root(t, "second")
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{first.der(), second.der()}})
	token := e.token("isolated.contributor")
	change := func(verb string, by, of *signer) sending {
		return sending{at: "isolated", method: "POST", path: "/certificates:" + verb + "?api-version=" + current, body: by.change(t, of), token: token}
	}
	removals := []sending{change("remove", first, second), change("remove", second, first), change("remove", first, first), change("remove", second, second)}
	additions := []sending{change("add", first, second), change("add", second, first)}
	look := sending{at: "isolated", method: "GET", path: "/certificates?api-version=" + current, token: token}
	for range 5 {
		for i, a := range e.atOnce(t, slices.Concat(removals, additions, slices.Repeat([]sending{look}, 4), removals)) {
			if a.status != http.StatusOK && (a.status != http.StatusBadRequest || a.problem(t).Code != "InvalidOperation") {
				t.Errorf("request %d: status %d: %s", i, a.status, a.body)
			}
			if a.status == http.StatusOK && a.claims(t)["x-ms-policy-certificates"] != nil && len(a.claims(t)["x-ms-policy-certificates"].(map[string]any)["keys"].([]any)) == 0 {
				t.Error("there was a moment without signers")
			}
		}
		if n := len(e.signers(t, "isolated")); n == 0 {
			t.Fatal("no signer is left")
		}
		e.atOnce(t, additions) // whoever is left brings the other one back
		e.atOnce(t, additions)
		if n := len(e.signers(t, "isolated")); n != 2 {
			t.Fatalf("%d signers, want 2", n)
		}
	}
}
