package assaytest

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// PCS is an HTTP handler that hands out the collateral of a simulated Intel as its Provisioning Certification Service
// does, and as the caches of it do (sgx-tdx.md sections 6.1 to 6.3):
//
//	GET /sgx/certification/{v4,v3}/tcb?fmspc=…                          TCB info; version 2 of it under v3
//	GET /sgx/certification/{v4,v3}/qe/identity
//	GET /sgx/certification/{v4,v3}/pckcrl?ca=processor|platform         &encoding=pem|der; or uri=… with such a query
//	GET /sgx/certification/{v4,v3}/rootcacrl                            hex text, as PCCS delivers it
//	GET /tdx/certification/v4/tcb?fmspc=…                               TCB info for TDX
//	GET /tdx/certification/v4/qe/identity                               TD_QE
//	GET /IntelSGXRootCA.der
//
// TCB info and identities take update=standard|early or tcbEvaluationDataNumber. Collateral is issued anew each day at midnight
// UTC. A PCS can be told to fail, and counts requests. It is safe for concurrent use.
type PCS struct {
	*office[Part, Scenario]
	intel *Intel
	now   func() time.Time
	mux   *http.ServeMux
}

// NewPCS returns a PCS for the collateral of in, whose items are TCBInfo, QEIdentity, TDXTCBInfo, TDQEIdentity, PCKCRL and RootCRL.
// It takes the time from now; nil stands for time.Now.
func NewPCS(in *Intel, now func() time.Time) *PCS {
	if now == nil {
		now = time.Now
	}
	p := &PCS{office: newOffice[Part, Scenario](), intel: in, now: now, mux: http.NewServeMux()}
	p.mux.HandleFunc("GET /sgx/certification/{version}/tcb", p.item(TCBInfo, serveTCBInfo))
	p.mux.HandleFunc("GET /sgx/certification/{version}/qe/identity", p.item(QEIdentity, serveQEIdentity))
	p.mux.HandleFunc("GET /sgx/certification/{version}/pckcrl", p.item(PCKCRL, servePCKCRL))
	p.mux.HandleFunc("GET /sgx/certification/{version}/rootcacrl", p.item(RootCRL, serveRootCRLHex))
	p.mux.HandleFunc("GET /tdx/certification/v4/tcb", p.item(TDXTCBInfo, serveTCBInfo))
	p.mux.HandleFunc("GET /tdx/certification/v4/qe/identity", p.item(TDQEIdentity, serveQEIdentity))
	p.mux.HandleFunc("GET /IntelSGXRootCA.der", p.item(RootCRL, serveRootCRL))
	return p
}

// ServeHTTP answers a request.
func (p *PCS) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// itemFunc makes the answer to a request for one kind of item, from the scenario that the request asks for.
type itemFunc func(*Scenario, *http.Request) (answer, error)

// item is the handler of requests for an item.
func (p *PCS) item(item Part, issue itemFunc) http.HandlerFunc {
	return p.serve(item, func(r *http.Request, change func(*Scenario)) (answer, error) { return p.issue(r, change, issue) })
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
	return item(s, r)
}

// scenario makes the scenario whose collateral a request asks for by version and evaluation number.
func (p *PCS) scenario(r *http.Request) (*Scenario, error) {
	at := p.now().UTC().Truncate(24 * time.Hour)
	s := p.intel.Scenario(at)
	if strings.HasPrefix(r.URL.Path, "/tdx/") {
		s = p.intel.TDXScenario(at)
	}
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
