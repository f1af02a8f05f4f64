package assaytest

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// office is what the services of simulated vendors have in common: it counts requests for items, and misbehaves as told. Scenarios of
// type S are what they answer from.
type office[Item comparable, S any] struct {
	mu       sync.Mutex
	change   func(*S)
	failures map[Item]Failure
	requests map[Item]int
}

// Failure is how a service misbehaves. The zero value is no failure.
type Failure struct {
	Delay      time.Duration // waits first, but no longer than the client does
	Status     int           // answers with this HTTP status; 0: answers as it should
	RetryAfter time.Duration // with Status: put into the header Retry-After, in whole seconds, unless 0
}

func newOffice[Item comparable, S any]() *office[Item, S] {
	return &office[Item, S]{failures: map[Item]Failure{}, requests: map[Item]int{}}
}

// Fail makes requests for the item fail from now on.
func (o *office[Item, S]) Fail(item Item, f Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures[item] = f
}

// Recover ends all failures, and the change that Alter made.
func (o *office[Item, S]) Recover() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.failures)
	o.change = nil
}

// Alter has answers issued with a change from now on, such as that of a fault. A change may run in several requests at a time.
func (o *office[Item, S]) Alter(change func(*S)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.change = change
}

// Requests returns how many requests for the item have come, failed ones included.
func (o *office[Item, S]) Requests(item Item) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.requests[item]
}

// TotalRequests returns how many requests have come for all items.
func (o *office[Item, S]) TotalRequests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	total := 0
	for n := range maps.Values(o.requests) {
		total += n
	}
	return total
}

// serve counts a request for the item, misbehaves as told, and otherwise makes and writes the answer.
func (o *office[Item, S]) serve(item Item, issue func(*http.Request, func(*S)) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-ID", "simulated")
		failure, change := o.arrived(item)
		wait(r, failure.Delay)
		if failure.Status != 0 {
			failure.write(w)
			return
		}
		a, err := issue(r, change)
		if err == nil && a.body == nil {
			err = &statusError{http.StatusNotFound, "not there"}
		}
		if err != nil {
			writeError(w, err)
			return
		}
		a.write(w)
	}
}

// arrived counts a request for the item and says what is to happen to it.
func (o *office[Item, S]) arrived(item Item) (Failure, func(*S)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests[item]++
	return o.failures[item], o.change
}

func wait(r *http.Request, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func (f Failure) write(w http.ResponseWriter) {
	if f.RetryAfter != 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	http.Error(w, "told to fail", f.Status)
}

// answer is what a request yields. chainHeader names the header that carries chain.
type answer struct {
	contentType string
	body        []byte
	chainHeader string
	chain       []byte
}

// statusError is an answer by HTTP status alone.
type statusError struct {
	status int
	reason string
}

func (e *statusError) Error() string { return e.reason }

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if e, ok := errors.AsType[*statusError](err); ok {
		status = e.status
	}
	http.Error(w, err.Error(), status)
}

func (a answer) write(w http.ResponseWriter) {
	if a.chainHeader != "" {
		w.Header().Set(a.chainHeader, strings.ReplaceAll(url.QueryEscape(string(a.chain)), "+", "%20"))
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Write(a.body) // the client's loss
}
