package assaytest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PCS is an HTTP handler that hands out the collateral of a simulated Intel as its Provisioning Certification Service
// does, and as the caches of it do (sgx-tdx.md sections 6.1 to 6.3):
//
//	GET /sgx/certification/{v4,v3}/tcb?fmspc=…                          TCB info; version 2 of it under v3
//	GET /sgx/certification/{v4,v3}/qe/identity
//	GET /sgx/certification/{v4,v3}/pckcrl?ca=processor|platform         &encoding=pem|der; or uri=… with such a query
//	GET /sgx/certification/{v4,v3}/rootcacrl                            hex text, as PCCS delivers it
//	GET /IntelSGXRootCA.der
//
// The first two take update=standard|early or tcbEvaluationDataNumber. Collateral is issued anew each day at midnight
// UTC. A PCS can be told to fail, and counts requests. It is safe for concurrent use.
type PCS struct {
	intel *Intel
	now   func() time.Time
	mux   *http.ServeMux

	mu       sync.Mutex
	change   func(*Scenario)
	failures map[Part]Failure
	requests map[Part]int
}

// Failure is how a PCS misbehaves. The zero value is no failure.
type Failure struct {
	Delay      time.Duration // waits first, but no longer than the client does
	Status     int           // answers with this HTTP status; 0: answers as it should
	RetryAfter time.Duration // with Status: put into the header Retry-After, in whole seconds, unless 0
}

// NewPCS returns a PCS for the collateral of in. It takes the time from now; nil stands for time.Now.
func NewPCS(in *Intel, now func() time.Time) *PCS {
	if now == nil {
		now = time.Now
	}
	p := &PCS{intel: in, now: now, mux: http.NewServeMux(), failures: map[Part]Failure{}, requests: map[Part]int{}}
	p.mux.HandleFunc("GET /sgx/certification/{version}/tcb", p.item(TCBInfo, serveTCBInfo))
	p.mux.HandleFunc("GET /sgx/certification/{version}/qe/identity", p.item(QEIdentity, serveQEIdentity))
	p.mux.HandleFunc("GET /sgx/certification/{version}/pckcrl", p.item(PCKCRL, servePCKCRL))
	p.mux.HandleFunc("GET /sgx/certification/{version}/rootcacrl", p.item(RootCRL, serveRootCRLHex))
	p.mux.HandleFunc("GET /IntelSGXRootCA.der", p.item(RootCRL, serveRootCRL))
	return p
}

// ServeHTTP answers a request.
func (p *PCS) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Fail makes requests for the item, one of TCBInfo, QEIdentity, PCKCRL and RootCRL, fail from now on.
func (p *PCS) Fail(item Part, f Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures[item] = f
}

// Recover ends all failures, and the change that [PCS.Alter] made.
func (p *PCS) Recover() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.failures)
	p.change = nil
}

// Alter has the collateral issued with a change from now on, such as [Fault.Apply]. A change may run in several
// requests at a time.
func (p *PCS) Alter(change func(*Scenario)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// Requests returns how many requests for the item have come, failed ones included.
func (p *PCS) Requests(item Part) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[item]
}

// TotalRequests returns how many requests have come for all items.
func (p *PCS) TotalRequests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for n := range maps.Values(p.requests) {
		total += n
	}
	return total
}

// answer is what a request yields. chainHeader names the header that carries chain.
type answer struct {
	contentType string
	body        []byte
	chainHeader string
	chain       []byte
}

// itemFunc makes the answer to a request for one kind of item, from the scenario that the request asks for.
type itemFunc func(*Scenario, *http.Request) (answer, error)

// statusError is an answer by HTTP status alone.
type statusError struct {
	status int
	reason string
}

func (e *statusError) Error() string { return e.reason }

// item counts a request, misbehaves as told, and otherwise makes and writes the answer.
func (p *PCS) item(item Part, issue itemFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-ID", "simulated")
		failure, change := p.arrived(item)
		wait(r, failure.Delay)
		if failure.Status != 0 {
			failure.write(w)
			return
		}
		a, err := p.issue(r, change, issue)
		if err != nil {
			writeError(w, err)
			return
		}
		a.write(w)
	}
}

// issue makes the answer to a request.
func (p *PCS) issue(r *http.Request, change func(*Scenario), item itemFunc) (answer, error) {
	s, err := p.scenario(r)
	if err != nil {
		return answer{}, err
	}
	if change != nil {
		change(s)
	}
	a, err := item(s, r)
	if err == nil && a.body == nil {
		err = &statusError{http.StatusNotFound, "not there"}
	}
	return a, err
}

// arrived counts a request for the item and says what is to happen to it.
func (p *PCS) arrived(item Part) (Failure, func(*Scenario)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[item]++
	return p.failures[item], p.change
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

// scenario makes the scenario whose collateral a request asks for by version and evaluation number.
func (p *PCS) scenario(r *http.Request) (*Scenario, error) {
	s := p.intel.Scenario(p.now().UTC().Truncate(24 * time.Hour))
	switch r.PathValue("version") {
	case "", "v4":
	case "v3":
		s.TCBInfoVersion = 2
	default:
		return nil, &statusError{http.StatusNotFound, "no such version"}
	}
	var err error
	s.Evaluation, err = evaluation(r.URL.Query())
	return s, err
}

// evaluation finds the TCB evaluation data number that a query asks for.
func evaluation(q url.Values) (int, error) {
	update, number := q.Get("update"), q.Get("tcbEvaluationDataNumber")
	if number == "" {
		switch update {
		case "", "standard":
			return StandardEvaluation, nil
		case "early":
			return EarlyEvaluation, nil
		}
		return 0, &statusError{http.StatusBadRequest, "update is neither standard nor early"}
	}
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n < 0 || update != "":
		return 0, &statusError{http.StatusBadRequest, "tcbEvaluationDataNumber is no number, or update is there too"}
	case n < StandardEvaluation:
		return 0, &statusError{http.StatusGone, "evaluation number is retired"}
	case n > EarlyEvaluation:
		return 0, &statusError{http.StatusNotFound, "no such evaluation number"}
	}
	return n, nil
}

func serveTCBInfo(s *Scenario, r *http.Request) (answer, error) {
	fmspc, err := hex.DecodeString(r.URL.Query().Get("fmspc"))
	switch {
	case err != nil || len(fmspc) != len(s.Platform.FMSPC):
		return answer{}, &statusError{http.StatusBadRequest, "fmspc is not 12 hex digits"}
	case !bytes.Equal(fmspc, s.Platform.FMSPC[:]):
		return answer{}, &statusError{http.StatusNotFound, "no such FMSPC"}
	}
	header := "TCB-Info-Issuer-Chain"
	if s.TCBInfoVersion < 3 {
		header = "SGX-TCB-Info-Issuer-Chain"
	}
	doc, chain, err := s.tcbInfo()
	return answer{"application/json", doc, header, chain}, err
}

func serveQEIdentity(s *Scenario, _ *http.Request) (answer, error) {
	doc, chain, err := s.qeIdentity()
	return answer{"application/json", doc, "SGX-Enclave-Identity-Issuer-Chain", chain}, err
}

func servePCKCRL(s *Scenario, r *http.Request) (answer, error) {
	q := r.URL.Query()
	if uri, err := url.Parse(q.Get("uri")); err == nil && q.Has("uri") {
		q = uri.Query()
	}
	ca, ok := map[string]Role{"processor": ProcessorCA, "platform": PlatformCA}[q.Get("ca")]
	if !ok {
		return answer{}, &statusError{http.StatusBadRequest, "ca is neither processor nor platform"}
	}
	s.Platform.CA = ca
	chain, err := s.chain(s.Endorser, ca, Root)
	if err != nil {
		return answer{}, err
	}
	der, err := s.crl(PCKCRL, ca)
	if q.Get("encoding") == "der" {
		return answer{"application/pkix-crl", der, "SGX-PCK-CRL-Issuer-Chain", chain}, err
	}
	return answer{"application/x-pem-file", CRLPEM(der), "SGX-PCK-CRL-Issuer-Chain", chain}, err
}

func serveRootCRL(s *Scenario, _ *http.Request) (answer, error) {
	der, err := s.crl(RootCRL, Root)
	return answer{contentType: "application/pkix-crl", body: der}, err
}

func serveRootCRLHex(s *Scenario, _ *http.Request) (answer, error) {
	der, err := s.crl(RootCRL, Root)
	return answer{contentType: "text/plain", body: CRLHex(der)}, err
}
