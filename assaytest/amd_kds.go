package assaytest

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// KDS is an HTTP handler that hands out the certificates of a simulated AMD as its key distribution service does (sev-snp.md section 2):
//
//	GET /vcek/v1/{product}/{hwid}?blSPL=…&teeSPL=…&snpSPL=…&ucodeSPL=…   VCEK of a chip, DER; of Turin, with fmcSPL too
//	GET /{vcek,vlek}/v1/{product}/cert_chain                             ASK or ASVK, then ARK, PEM
//	GET /{vcek,vlek}/v1/{product}/crl                                    revocation list of the ARK, DER
//
// It knows one chip of each product, [SimulatedChip], at every TCB. Revocation lists are issued anew each day at midnight UTC. A KDS can be
// told to fail, and counts requests. It is safe for concurrent use.
type KDS struct {
	*office[AMDPart, AMDScenario]
	amd *AMD
	now func() time.Time
	mux *http.ServeMux
}

// NewKDS returns a KDS for the certificates of a, whose items are [AMDCertificate], [AMDChainOfKDS] and [AMDCRL]. It takes the time from
// now; nil stands for time.Now.
func NewKDS(a *AMD, now func() time.Time) *KDS {
	if now == nil {
		now = time.Now
	}
	k := &KDS{office: newOffice[AMDPart, AMDScenario](), amd: a, now: now, mux: http.NewServeMux()}
	k.mux.HandleFunc("GET /vcek/v1/{product}/{hwid}", k.item(AMDCertificate, serveVCEK))
	for _, kind := range []struct {
		path      string
		authority AMDRole
	}{{"/vcek/v1/", ASK}, {"/vlek/v1/", ASVK}} {
		k.mux.HandleFunc("GET "+kind.path+"{product}/cert_chain", k.item(AMDChainOfKDS, serveAMDChain(kind.authority)))
		k.mux.HandleFunc("GET "+kind.path+"{product}/crl", k.item(AMDCRL, serveAMDCRL))
	}
	return k
}

// ServeHTTP answers a request.
func (k *KDS) ServeHTTP(w http.ResponseWriter, r *http.Request) { k.mux.ServeHTTP(w, r) }

// item is the handler of requests for an item.
func (k *KDS) item(item AMDPart, issue func(*AMDScenario, *http.Request) (answer, error)) http.HandlerFunc {
	return k.serve(item, func(r *http.Request, change func(*AMDScenario)) (answer, error) {
		s, err := k.scenario(r)
		if err != nil {
			return answer{}, err
		}
		if change != nil {
			change(s)
		}
		return issue(s, r)
	})
}

// scenario makes the scenario whose certificates a request asks for.
func (k *KDS) scenario(r *http.Request) (*AMDScenario, error) {
	for _, p := range AMDProducts() {
		if r.PathValue("product") == string(p) {
			return k.amd.Scenario(p, k.now().UTC().Truncate(24*time.Hour)), nil
		}
	}
	return nil, &statusError{http.StatusNotFound, "no such product"}
}

func serveVCEK(s *AMDScenario, r *http.Request) (answer, error) {
	switch hwid := r.PathValue("hwid"); {
	case len(hwid) != 2*len(s.hardwareID()):
		return answer{}, &statusError{http.StatusBadRequest, "the id of the chip has the wrong length"}
	case !strings.EqualFold(hwid, hex.EncodeToString(s.hardwareID())):
		return answer{}, &statusError{http.StatusNotFound, "no such chip"}
	}
	var err error
	if s.TCB, err = askedTCB(r.URL.Query(), s.Product); err != nil {
		return answer{}, err
	}
	der, err := s.Certificate(VCEK)
	return answer{contentType: "application/octet-stream", body: s.edit(AMDCertificate, der)}, err
}

// askedTCB reads the TCB version that a query names, each component in decimal.
func askedTCB(q url.Values, p AMDProduct) (t SNPTCB, err error) {
	fields := map[string]*uint8{"blSPL": &t.BootLoader, "teeSPL": &t.TEE, "snpSPL": &t.SNP, "ucodeSPL": &t.Microcode}
	if p == Turin {
		fields["fmcSPL"] = &t.FMC
	}
	for name := range q {
		if fields[name] == nil {
			return t, &statusError{http.StatusBadRequest, "no component is named " + name}
		}
	}
	for name, to := range fields {
		n, err := strconv.ParseUint(q.Get(name), 10, 8)
		if err != nil || len(q.Get(name)) < 2 {
			return t, &statusError{http.StatusBadRequest, name + " is not two or three digits, up to 255"}
		}
		*to = uint8(n)
	}
	return t, nil
}

func serveAMDChain(authority AMDRole) func(*AMDScenario, *http.Request) (answer, error) {
	return func(s *AMDScenario, _ *http.Request) (answer, error) {
		chain, err := s.join(authority, ARK)
		return answer{contentType: "application/x-pem-file", body: s.edit(AMDChainOfKDS, chain)}, err
	}
}

func serveAMDCRL(s *AMDScenario, _ *http.Request) (answer, error) {
	der, err := s.RevocationList()
	return answer{contentType: "application/pkix-crl", body: der}, err
}
