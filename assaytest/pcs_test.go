package assaytest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
)

// get asks a PCS at the time now.
func get(t *testing.T, p *assaytest.PCS, target string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Result()
}

func newPCS(intel *assaytest.Intel) *assaytest.PCS {
	return assaytest.NewPCS(intel, func() time.Time { return now })
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const sgxV4, sgxV3 = "/sgx/certification/v4/", "/sgx/certification/v3/"

// midnight is the time for which a PCS that is asked at now issues its collateral.
var midnight = now.Truncate(24 * time.Hour)

func TestPCSServesTheCollateralOfItsIntel(t *testing.T) {
	intel := assaytest.NewIntel()
	v4 := intel.Scenario(midnight)
	v3 := intel.Scenario(midnight)
	v3.TCBInfoVersion = 2
	early := intel.Scenario(midnight)
	early.Evaluation = assaytest.EarlyEvaluation
	processor := intel.Scenario(midnight)
	processor.UseProcessorCA()
	uri := url.QueryEscape("https://certificates.trustedservices.intel.com/x?ca=platform&encoding=der")
	for _, c := range []struct {
		target, chainHeader string
		of                  *assaytest.Scenario
		want, chain         func(assaytest.Collateral) []byte
	}{
		{sgxV4 + "tcb?fmspc=A55A79000000", "TCB-Info-Issuer-Chain", v4, tcbInfo, tcbInfoChain},
		{sgxV4 + "tcb?fmspc=a55a79000000&update=standard", "TCB-Info-Issuer-Chain", v4, tcbInfo, tcbInfoChain},
		{sgxV4 + "tcb?fmspc=A55A79000000&update=early", "TCB-Info-Issuer-Chain", early, tcbInfo, tcbInfoChain},
		{sgxV4 + "tcb?fmspc=A55A79000000&tcbEvaluationDataNumber=18", "TCB-Info-Issuer-Chain", early, tcbInfo, tcbInfoChain},
		{sgxV3 + "tcb?fmspc=A55A79000000", "SGX-TCB-Info-Issuer-Chain", v3, tcbInfo, tcbInfoChain},
		{sgxV4 + "qe/identity", "SGX-Enclave-Identity-Issuer-Chain", v4, qeIdentity, qeIdentityChain},
		{sgxV3 + "qe/identity?update=early", "SGX-Enclave-Identity-Issuer-Chain", early, qeIdentity, qeIdentityChain},
		{sgxV4 + "pckcrl?ca=platform&encoding=der", "SGX-PCK-CRL-Issuer-Chain", v4, pckCRL, nil},
		{sgxV4 + "pckcrl?ca=processor&encoding=der", "SGX-PCK-CRL-Issuer-Chain", processor, pckCRL, nil},
		{sgxV3 + "pckcrl?uri=" + uri, "SGX-PCK-CRL-Issuer-Chain", v4, pckCRL, nil},
		{"/IntelSGXRootCA.der", "", v4, rootCRL, nil},
	} {
		t.Run(c.target, func(t *testing.T) {
			got := get(t, newPCS(intel), c.target)
			want, err := c.of.Collateral()
			if err != nil {
				t.Fatal(err)
			}
			if b := body(t, got); got.StatusCode != http.StatusOK || !bytes.Equal(b, c.want(want)) {
				t.Errorf("status %d, body\n got %q\nwant %q", got.StatusCode, b, c.want(want))
			}
			checkChainHeader(t, got, c.chainHeader, c.chain, want)
		})
	}
}

// checkChainHeader decodes the header as a path, in which "+" stands for itself.
func checkChainHeader(t *testing.T, got *http.Response, header string, chain func(assaytest.Collateral) []byte, want assaytest.Collateral) {
	t.Helper()
	if header == "" {
		return
	}
	raw := got.Header.Get(header)
	decoded, err := url.PathUnescape(raw)
	if err != nil || strings.ContainsAny(raw, "+ \n") {
		t.Fatalf("%s: %q (%v)", header, raw, err)
	}
	if chain != nil && decoded != string(chain(want)) {
		t.Errorf("%s:\n got %q\nwant %q", header, decoded, chain(want))
	}
	if n := len(certificates(t, []byte(decoded))); n != 2 {
		t.Errorf("%s: %d certificates, want 2", header, n)
	}
}

func tcbInfo(c assaytest.Collateral) []byte         { return c.TCBInfo }
func tcbInfoChain(c assaytest.Collateral) []byte    { return c.TCBInfoChain }
func qeIdentity(c assaytest.Collateral) []byte      { return c.QEIdentity }
func qeIdentityChain(c assaytest.Collateral) []byte { return c.QEIdentityChain }
func pckCRL(c assaytest.Collateral) []byte          { return c.PCKCRL }
func rootCRL(c assaytest.Collateral) []byte         { return c.RootCRL }

func TestPCSServesCRLsAsText(t *testing.T) {
	intel := assaytest.NewIntel()
	want, err := intel.Collateral(midnight)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(body(t, get(t, newPCS(intel), sgxV4+"pckcrl?ca=platform")))
	if block == nil || block.Type != "X509 CRL" || !bytes.Equal(block.Bytes, want.PCKCRL) {
		t.Errorf("PCK CRL in PEM: got %+v", block)
	}
	der, err := hex.DecodeString(string(body(t, get(t, newPCS(intel), sgxV3+"rootcacrl"))))
	if err != nil || !bytes.Equal(der, want.RootCRL) {
		t.Errorf("root CRL in hex: got %x (%v), want %x", der, err, want.RootCRL)
	}
}

func TestPCSRefusesWhatItDoesNotHave(t *testing.T) {
	p := newPCS(assaytest.NewIntel())
	for target, want := range map[string]int{
		sgxV4 + "tcb":                                                               400,
		sgxV4 + "tcb?fmspc=A55A7900000":                                             400,
		sgxV4 + "tcb?fmspc=GGGGGGGGGGGG":                                            400,
		sgxV4 + "tcb?fmspc=A55A79000001":                                            404,
		sgxV4 + "tcb?fmspc=A55A79000000&update=late":                                400,
		sgxV4 + "tcb?fmspc=A55A79000000&tcbEvaluationDataNumber=x":                  400,
		sgxV4 + "tcb?fmspc=A55A79000000&tcbEvaluationDataNumber=-1":                 400,
		sgxV4 + "tcb?fmspc=A55A79000000&tcbEvaluationDataNumber=17&update=standard": 400,
		sgxV4 + "tcb?fmspc=A55A79000000&tcbEvaluationDataNumber=16":                 410,
		sgxV4 + "qe/identity?tcbEvaluationDataNumber=19":                            404,
		sgxV4 + "pckcrl":                    400,
		sgxV4 + "pckcrl?ca=other":           400,
		"/sgx/certification/v5/qe/identity": 404,
		"/tdx/certification/v3/qe/identity": 404,
		"/":                                 404,
	} {
		if got := get(t, p, target).StatusCode; got != want {
			t.Errorf("%s: status %d, want %d", target, got, want)
		}
	}
}

func TestPCSFailsAsToldCountsAndRecovers(t *testing.T) {
	p := newPCS(assaytest.NewIntel())
	p.Fail(assaytest.QEIdentity, assaytest.Failure{Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second})
	got := get(t, p, sgxV4+"qe/identity")
	if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") != "7" {
		t.Errorf("status %d, Retry-After %q, want 429 and 7", got.StatusCode, got.Header.Get("Retry-After"))
	}
	if got := get(t, p, sgxV4+"rootcacrl").StatusCode; got != http.StatusOK {
		t.Errorf("another item: status %d, want 200", got)
	}
	p.Recover()
	if got := get(t, p, sgxV4+"qe/identity").StatusCode; got != http.StatusOK {
		t.Errorf("after recovery: status %d, want 200", got)
	}
	if got := p.Requests(assaytest.QEIdentity); got != 2 {
		t.Errorf("counted %d requests for the identity, want 2", got)
	}
	if got := p.TotalRequests(); got != 3 {
		t.Errorf("counted %d requests, want 3", got)
	}
}

func TestPCSDelaysNoLongerThanTheClientWaits(t *testing.T) {
	p := newPCS(assaytest.NewIntel())
	p.Fail(assaytest.RootCRL, assaytest.Failure{Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, sgxV4+"rootcacrl", nil))
	p.Fail(assaytest.RootCRL, assaytest.Failure{Delay: time.Millisecond})
	if got := get(t, p, sgxV4+"rootcacrl").StatusCode; got != http.StatusOK {
		t.Errorf("after a delay without status: %d, want 200", got)
	}
}

func TestPCSServesAlteredCollateral(t *testing.T) {
	intel := assaytest.NewIntel()
	p := newPCS(intel)
	for _, f := range assaytest.Faults() {
		if f.Name != "root-crl-garbage" && f.Name != "no-root-crl" {
			continue
		}
		s := intel.Scenario(midnight)
		f.Apply(s)
		want, err := s.Collateral()
		if err != nil {
			t.Fatal(err)
		}
		p.Alter(f.Apply)
		got := get(t, p, "/IntelSGXRootCA.der")
		if found := want.RootCRL != nil; (got.StatusCode == http.StatusOK) != found {
			t.Errorf("%s: status %d", f.Name, got.StatusCode)
		} else if found && !bytes.Equal(body(t, got), want.RootCRL) {
			t.Errorf("%s: another list", f.Name)
		}
	}
	p.Recover()
	if got := get(t, p, "/IntelSGXRootCA.der").StatusCode; got != http.StatusOK {
		t.Errorf("after recovery: status %d, want 200", got)
	}
}

func TestPCSTakesTheTimeOfDay(t *testing.T) {
	p := assaytest.NewPCS(assaytest.NewIntel(), nil)
	yesterday := func() []byte { return []byte(time.Now().UTC().AddDate(0, 0, -1).Format(`"issueDate":"2006-01-02T`)) }
	before := yesterday()
	got := body(t, get(t, p, sgxV4+"qe/identity"))
	if !bytes.Contains(got, before) && !bytes.Contains(got, yesterday()) {
		t.Errorf("not issued yesterday: %s", got)
	}
}

// The whole way of a service: each item fetched over HTTP, then used to verify.
func TestQuoteVerifiesWithWhatThePCSServes(t *testing.T) {
	intel := assaytest.NewIntel()
	p := newPCS(intel)
	quote, err := intel.Quote(assaytest.SimulatedEnclave())
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{sgxV4, sgxV3} {
		c := assaytest.Collateral{
			PCKCRL:  body(t, get(t, p, base+"pckcrl?ca=platform&encoding=pem")),
			RootCRL: body(t, get(t, p, base+"rootcacrl")),
		}
		c.TCBInfo, c.TCBInfoChain = withChain(t, get(t, p, base+"tcb?fmspc=A55A79000000"))
		c.QEIdentity, c.QEIdentityChain = withChain(t, get(t, p, base+"qe/identity"))
		verified, err := verify(intel, quote, c, now)
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		if verified.Status != "UpToDate" {
			t.Errorf("%s: status %s, want UpToDate", base, verified.Status)
		}
	}
}

// withChain returns the body of an answer and the issuer chain of its header.
func withChain(t *testing.T, r *http.Response) (doc, chain []byte) {
	t.Helper()
	for name, values := range r.Header {
		if strings.HasSuffix(name, "-Issuer-Chain") {
			decoded, err := url.PathUnescape(values[0])
			if err != nil {
				t.Fatal(err)
			}
			return body(t, r), []byte(decoded)
		}
	}
	t.Fatalf("no issuer chain in %v", r.Header)
	return nil, nil
}

func TestPCSServesManyAtOnce(t *testing.T) {
	p := newPCS(assaytest.NewIntel())
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i%10 == 0 {
				p.Alter(func(s *assaytest.Scenario) { s.Evaluation = assaytest.EarlyEvaluation })
			}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, sgxV4+"qe/identity", nil))
			if w.Code != http.StatusOK {
				t.Errorf("request %d: status %d", i, w.Code)
			}
		})
	}
	wg.Wait()
	if got := p.Requests(assaytest.QEIdentity); got != 50 {
		t.Errorf("counted %d requests, want 50", got)
	}
}
