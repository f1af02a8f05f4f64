package service_test

import (
	"errors"
	"fmt"
	"net/http"
	"sort"
	"sync"
	"testing"
	"time"
)

const (
	attestations = 10_000
	rotations    = 5
	connections  = 3 // to each replica
)

// shortLead lets a key sign two seconds after it is listed, which is the least.
const shortLead = "keys: {publish_lead: 2s}\n"

// issued is a token with the time at which it was asked for.
type issued struct {
	token
	asked time.Time
	by    *replica
}

// fetched is a key set with the time at which it was asked for.
type fetched struct {
	keySet
	asked time.Time
	from  *replica
}

// load is what two replicas answer while keys rotate.
type load struct {
	t        *testing.T
	replicas []*replica
	body     []byte
	done     chan struct{} // closed when enough has been attested

	mu     sync.Mutex
	tokens []issued
	signed map[string]int // tokens by key
	sets   []fetched
}

// TestEveryTokenVerifiesWhileKeysRotate has two replicas attest without pause while their keys rotate, and fetches the key
// sets of both all the time. Whoever fetches one after a token was issued, from whichever replica, can verify the token.
func TestEveryTokenVerifiesWhileKeysRotate(t *testing.T) {
	all := threeReplicas(t, shortLead)[:2]
	l := &load{t: t, replicas: all, body: attestBody(t), done: make(chan struct{}), signed: map[string]int{}}
	var work, fetchers sync.WaitGroup
	for _, r := range all {
		for range connections {
			work.Go(func() { l.attest(r) })
		}
		fetchers.Go(func() { l.fetch(r) })
	}
	for n := range rotations {
		rotate(t, all[n%2])
	}
	work.Wait()
	close(l.done)
	fetchers.Wait()
	t.Logf("%d tokens, %d key sets, tokens by key: %v", len(l.tokens), len(l.sets), l.signed)
	l.check()
}

// enough reports whether there are as many tokens as are wanted, the last key has signed, or nothing is to be hoped for any more.
func (l *load) enough() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tokens) >= attestations && len(l.signed) > rotations || len(l.tokens) >= 10*attestations
}

// attest asks one replica for tokens until there are enough and the last key has signed.
func (l *load) attest(r *replica) {
	for !l.enough() {
		asked := time.Now()
		a, err := r.attest(l.body)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", a.status, a.body)
		}
		var k token
		if err == nil {
			k, err = tokenIn(a)
		}
		if err != nil {
			l.t.Errorf("replica %s: %v", r.name, err)
			return
		}
		l.mu.Lock()
		l.tokens = append(l.tokens, issued{k, asked, r})
		l.signed[k.kid]++
		l.mu.Unlock()
	}
}

// fetch asks one replica for its key set all the time.
func (l *load) fetch(r *replica) {
	for over := false; !over; {
		select {
		case <-l.done:
			over = true // and once more
		case <-time.After(10 * time.Millisecond):
		}
		asked := time.Now()
		set, err := r.keys()
		if err != nil {
			l.t.Errorf("key set of replica %s: %v", r.name, err)
			return
		}
		l.mu.Lock()
		l.sets = append(l.sets, fetched{set, asked, r})
		l.mu.Unlock()
	}
}

// rotate makes a new key by way of a replica, as soon as the one before has taken over.
func rotate(t *testing.T, r *replica) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		a, err := r.do(http.MethodPost, "/assay/v1/keys:rotate", nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if a.status == http.StatusOK {
			return
		}
		if a.status != http.StatusConflict || time.Now().After(end) {
			t.Fatalf("rotating: status %d: %s", a.status, a.body)
		}
	}
}

// check verifies each token with the first and the last key set that was asked for after the token was, of either replica,
// and looks its key up in all between them.
func (l *load) check() {
	l.t.Helper()
	if len(l.tokens) < attestations || len(l.signed) != rotations+1 {
		l.t.Errorf("%d tokens, of %d keys; want %d of %d", len(l.tokens), len(l.signed), attestations, rotations+1)
	}
	for _, r := range l.replicas {
		var sets []fetched
		for _, set := range l.sets {
			if set.from == r {
				sets = append(sets, set)
			}
		}
		wrong := 0
		for _, k := range l.tokens {
			if err := k.verifyAfter(sets); err != nil {
				l.t.Errorf("token of replica %s with the keys of %s: %v", k.by.name, r.name, err)
				if wrong++; wrong > 5 {
					break
				}
			}
		}
	}
}

// verifyAfter verifies the token with the key sets that were asked for after it. They are in the order of their time.
func (k issued) verifyAfter(sets []fetched) error {
	first := sort.Search(len(sets), func(i int) bool { return !sets[i].asked.Before(k.asked) })
	if first == len(sets) {
		return errors.New("no key set was fetched after it")
	}
	for _, set := range sets[first:] {
		if set.keySet[k.kid] == nil {
			return fmt.Errorf("the key %s is not listed %s after the token was asked for", k.kid, set.asked.Sub(k.asked))
		}
	}
	return errors.Join(k.verify(sets[first].keySet), k.verify(sets[len(sets)-1].keySet))
}
