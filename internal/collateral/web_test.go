package collateral

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

var fmspc = dcap.FMSPC{0x00, 0x90, 0x6E, 0xD5}

// web is a source whose requests all go to h, whatever their host.
func web(t testing.TB, cfg WebConfig, h http.Handler) *Web {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	if cfg.URL == "" {
		cfg.URL = server.URL
	}
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Client == nil {
		cfg.Client = newClient()
		cfg.Client.Transport = redirect{to, cfg.Client.Transport}
	}
	w, err := NewWeb(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// redirect sends each request to one server, which sees the host meant.
type redirect struct {
	to *url.URL
	http.RoundTripper
}

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	there := req.Clone(req.Context())
	there.Host = req.URL.Host
	there.URL.Scheme, there.URL.Host = r.to.Scheme, r.to.Host
	return r.RoundTripper.RoundTrip(there)
}

// calls asks a source for one of each.
func calls(t testing.TB, s Source, evaluation string) map[Kind]error {
	t.Helper()
	var err [4]error
	_, _, err[0] = s.TCBInfo(t.Context(), dcap.SGX, fmspc, evaluation)
	_, _, err[1] = s.QEIdentity(t.Context(), dcap.SGX, evaluation)
	_, err[2] = s.PCKCRL(t.Context(), dcap.Platform)
	_, err[3] = s.RootCRL(t.Context())
	return map[Kind]error{TCBInfo: err[0], QEIdentity: err[1], PCKCRL: err[2], RootCRL: err[3]}
}

func TestRequestsAreThoseOfTheService(t *testing.T) {
	const azure = "api-version=2021-07-22-preview&clientid=production_client"
	const crlURI = "uri=https%3A%2F%2Fapi.trustedservices.intel.com%2Fsgx%2Fcertification%2Fv3%2Fpckcrl%3Fca%3Dplatform%26encoding%3Dder"
	for _, c := range []struct {
		url, evaluation string
		want            []string
	}{
		{IntelPCS, Standard, []string{
			"api.trustedservices.intel.com/sgx/certification/v4/tcb?fmspc=00906ED50000&update=standard",
			"api.trustedservices.intel.com/sgx/certification/v4/qe/identity?update=standard",
			"api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
			"certificates.trustedservices.intel.com/IntelSGXRootCA.der",
		}},
		{"https://pccs.example:8081", Early, []string{
			"pccs.example:8081/sgx/certification/v4/tcb?fmspc=00906ED50000&update=early",
			"pccs.example:8081/sgx/certification/v4/qe/identity?update=early",
			"pccs.example:8081/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
			"pccs.example:8081/sgx/certification/v4/rootcacrl",
		}},
		{"https://pccs.example/sgx/certification/v4/", "17", []string{
			"pccs.example/sgx/certification/v4/tcb?fmspc=00906ED50000&tcbEvaluationDataNumber=17",
			"pccs.example/sgx/certification/v4/qe/identity?tcbEvaluationDataNumber=17",
			"pccs.example/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
			"pccs.example/sgx/certification/v4/rootcacrl",
		}},
		{"https://global.acccache.azure.net/sgx/certification/v3", "14", []string{
			"global.acccache.azure.net/sgx/certification/v3/tcb?" + azure + "&fmspc=00906ED50000&tcbEvaluationDataNumber=14",
			"global.acccache.azure.net/sgx/certification/v3/qe/identity?" + azure + "&tcbEvaluationDataNumber=14",
			"global.acccache.azure.net/sgx/certification/v3/pckcrl?api-version=2021-07-22-preview&ca=platform&clientid=production_client&encoding=der&" + crlURI,
			"global.acccache.azure.net/sgx/certification/v3/rootcacrl?" + azure,
		}},
		{"http://169.254.169.254/metadata/THIM/sgx/certification", "14", []string{
			"169.254.169.254/metadata/THIM/sgx/certification/v3/tcb?" + azure + "&fmspc=00906ED50000&tcbEvaluationDataNumber=14",
			"169.254.169.254/metadata/THIM/sgx/certification/v3/qe/identity?" + azure + "&tcbEvaluationDataNumber=14",
			"169.254.169.254/metadata/THIM/sgx/certification/v3/pckcrl?api-version=2021-07-22-preview&ca=platform&clientid=production_client&encoding=der&" + crlURI,
			"169.254.169.254/metadata/THIM/sgx/certification/v3/rootcacrl?" + azure,
		}},
	} {
		t.Run(c.url, func(t *testing.T) {
			var got []string
			var metadata string
			calls(t, web(t, WebConfig{URL: c.url}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = append(got, r.Host+r.URL.RequestURI())
				metadata = r.Header.Get("metadata")
			})), c.evaluation)
			for i, want := range c.want {
				if i >= len(got) || strings.TrimSuffix(got[i], "?") != want {
					t.Errorf("request %d:\n got %q\nwant %q", i, got[i:min(i+1, len(got))], want)
				}
			}
			if want := map[bool]string{true: "true"}[strings.Contains(c.want[0], "clientid")]; metadata != want {
				t.Errorf("got header metadata %q, want %q", metadata, want)
			}
		})
	}
}

func TestIssuerChainIsReadFromAnyOfItsHeaders(t *testing.T) {
	const chain = "-----BEGIN CERTIFICATE-----\na+b/c=\n-----END CERTIFICATE-----\n"
	escaped := url.PathEscape(chain) // leaves + as it is
	encoded := strings.ReplaceAll(escaped, "+", "%2B")
	for _, header := range []string{"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain", "tcb-info-issuer-chain"} {
		for _, value := range []string{escaped, encoded} {
			w := web(t, WebConfig{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()[header] = []string{value}
				fmt.Fprint(w, "document")
			}))
			doc, got, err := w.TCBInfo(t.Context(), dcap.SGX, fmspc, Standard)
			if err != nil || string(got) != chain || string(doc) != "document" {
				t.Errorf("%s: %s\ngot %q with chain %q, error %v, want chain %q", header, value, doc, got, err, chain)
			}
		}
	}
	for _, header := range []string{"SGX-Enclave-Identity-Issuer-Chain", "SGX-QE-Identity-Issuer-Chain"} {
		w := web(t, WebConfig{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, encoded)
			fmt.Fprint(w, "document")
		}))
		if _, got, err := w.QEIdentity(t.Context(), dcap.SGX, Standard); err != nil || string(got) != chain {
			t.Errorf("%s: got chain %q, error %v, want %q", header, got, err, chain)
		}
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	status := func(n int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(n)
		}
	}
	body := func(chain, content string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if chain != "" {
				w.Header().Set("TCB-Info-Issuer-Chain", chain)
			}
			fmt.Fprint(w, content)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		absent bool
		after  time.Duration
		want   string
	}{
		{"404", status(404), true, 0, "404"},
		{"410 of a retired number", status(410), true, 0, "410"},
		{"460 of a PCCS", status(460), true, 0, "460"},
		{"461 of a PCCS", status(461), true, 0, "461"},
		{"462 of a PCCS", status(462), true, 0, "462"},
		{"401", status(401), false, 0, "401"},
		{"500", status(500), false, 0, "500"},
		{"429 in seconds", status(429, "Retry-After", "120"), false, 2 * time.Minute, "429"},
		{"503 in seconds", status(503, "Retry-After", "120"), false, 2 * time.Minute, "503"},
		{"404 is no reason to wait", status(404, "Retry-After", "120"), true, 0, "404"},
		{"503 with nonsense", status(503, "Retry-After", "soon"), false, 0, "503"},
		{"redirect to another host", status(302, "Location", "https://elsewhere.example/"), false, 0, "302"},
		{"no chain", body("", "{}"), false, 0, "TCB-Info-Issuer-Chain"},
		{"chain not escaped well", body("%zz", "{}"), false, 0, "TCB-Info-Issuer-Chain"},
		{"nothing", body("chain", " \n"), false, 0, "empty"},
		{"one byte too long", body("chain", strings.Repeat("x", MaxDocument+1)), false, 0, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := web(t, WebConfig{}, c.answer).TCBInfo(t.Context(), dcap.SGX, fmspc, "17")
			u, ok := errors.AsType[*Unavailable](err)
			if !ok {
				t.Fatalf("got error %v, want an Unavailable", err)
			}
			if errors.Is(err, ErrAbsent) != c.absent || u.RetryAfter != c.after {
				t.Errorf("got %v, RetryAfter %v; want absent %t, RetryAfter %v", err, u.RetryAfter, c.absent, c.after)
			}
			for _, want := range []string{c.want, "TCB info for FMSPC 00906ED50000, evaluation 17"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want it to say %q", err, want)
				}
			}
		})
	}
}

func TestLongestDocumentIsRead(t *testing.T) {
	w := web(t, WebConfig{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", MaxDocument))
	}))
	if b, err := w.RootCRL(t.Context()); err != nil || len(b) != MaxDocument {
		t.Errorf("got %d bytes, error %v, want %d", len(b), err, MaxDocument)
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	for _, c := range []struct {
		value string
		want  time.Duration
	}{
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{now.Add(-time.Hour).Format(http.TimeFormat), 0},
		{"99999999999999999999", 0},
		{"-1", 0},
	} {
		if got := retryAfter(http.Header{"Retry-After": {c.value}}, now); got != c.want {
			t.Errorf("Retry-After: %s: got %v, want %v", c.value, got, c.want)
		}
	}
}

func TestBaseURLsThatCannotBeUsed(t *testing.T) {
	for _, u := range []string{"", "pccs.example", "ftp://pccs.example", "https://", "https://[", "/var/collateral"} {
		if _, err := NewWeb(WebConfig{URL: u}); err == nil {
			t.Errorf("NewWeb(%q): got no error", u)
		}
	}
}

func TestCollateralOfASimulatedServiceVerifies(t *testing.T) {
	for _, c := range []struct{ name, path string }{
		{"current protocol", ""},
		{"THIM-shaped cache", "/sgx/certification/v3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := assaytest.NewIntel()
			pcs := assaytest.NewPCS(in, at(now))
			server := httptest.NewServer(pcs)
			defer server.Close()
			source, err := NewWeb(WebConfig{URL: server.URL + c.path})
			if err != nil {
				t.Fatal(err)
			}
			v := verifier(t, in)
			cache := New(Config{Source: source, Verifier: v, Clock: at(now)})
			defer cache.Close()
			for _, evaluation := range []string{Standard, Early, "17", "18"} {
				o := origin(t, v, in.Scenario(now))
				docs, err := cache.For(t.Context(), o, evaluation)
				if err != nil {
					t.Fatalf("%s: %v", evaluation, err)
				}
				if _, err := v.Verify(o, docs, dcap.Options{At: now}, nil); err != nil {
					t.Errorf("%s: %v", evaluation, err)
				}
			}
			if got, want := pcs.TotalRequests(), 4+4+2; got != want { // CRLs are shared
				t.Errorf("got %d requests, want %d", got, want)
			}
		})
	}
}

func TestThousandCallersMakeOneRequestForEachItem(t *testing.T) {
	in := assaytest.NewIntel()
	pcs := assaytest.NewPCS(in, at(now))
	items := []assaytest.Part{assaytest.TCBInfo, assaytest.QEIdentity, assaytest.PCKCRL, assaytest.RootCRL}
	for _, item := range items {
		pcs.Fail(item, assaytest.Failure{Delay: 50 * time.Millisecond})
	}
	server := httptest.NewServer(pcs)
	defer server.Close()
	source, err := NewWeb(WebConfig{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, in)
	o := origin(t, v, in.Scenario(now))
	cache := New(Config{Source: source, Verifier: v, Clock: at(now)})
	defer cache.Close()
	var callers sync.WaitGroup
	for range 1000 {
		callers.Go(func() {
			if _, err := cache.For(t.Context(), o, Standard); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	for _, item := range items {
		if got := pcs.Requests(item); got != 1 {
			t.Errorf("%s: got %d requests, want 1", item, got)
		}
	}
}

func TestServiceThatFailsAndRecoversIsUsedAgainWithoutARestart(t *testing.T) {
	in := assaytest.NewIntel()
	pcs := assaytest.NewPCS(in, at(now))
	server := httptest.NewServer(pcs)
	defer server.Close()
	v := verifier(t, in)
	o := origin(t, v, in.Scenario(now))
	source, err := NewWeb(WebConfig{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for name, failure := range map[string]assaytest.Failure{
		"failing":  {Status: http.StatusInternalServerError},
		"busy":     {Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second},
		"unknown":  {Status: http.StatusNotFound},
		"retired":  {Status: http.StatusGone},
		"too slow": {Delay: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			cache := New(Config{Source: source, Verifier: v, Clock: at(now)})
			defer cache.Close()
			pcs.Fail(assaytest.QEIdentity, failure)
			before := pcs.Requests(assaytest.QEIdentity)
			var u *Unavailable
			for range 10 {
				_, err := cache.For(shortly(t), o, Standard)
				u = unavailable(t, err)
			}
			if got := pcs.Requests(assaytest.QEIdentity) - before; got != 1 {
				t.Errorf("got %d requests while it was failing, want 1", got)
			}
			if failure.RetryAfter > 0 && u.RetryAfter <= time.Second {
				t.Errorf("got RetryAfter %v, want nearly %v", u.RetryAfter, failure.RetryAfter)
			}
			pcs.Recover()
			cache.endPauses()
			if failure.Delay > 0 {
				return // the load is still waiting
			}
			if _, err := cache.For(t.Context(), o, Standard); err != nil {
				t.Errorf("after it recovered: %v", err)
			}
		})
	}
}

// shortly is a context that ends soon.
func shortly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestHeaderOfAnAnswerIsBounded(t *testing.T) {
	for size, ok := range map[int]bool{maxHeader / 2: true, 2 * maxHeader: false} {
		w := web(t, WebConfig{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("TCB-Info-Issuer-Chain", strings.Repeat("x", size))
			fmt.Fprint(w, "document")
		}))
		if _, chain, err := w.TCBInfo(t.Context(), dcap.SGX, fmspc, Standard); (err == nil) != ok {
			t.Errorf("chain of %d bytes: got %d bytes, error %v, want success %t", size, len(chain), err, ok)
		}
	}
}

// transport is a round trip as a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequestEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		client.Transport = transport(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		w, err := NewWeb(WebConfig{URL: IntelPCS, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*webTimeout)
		defer cancel()
		begin := time.Now()
		if _, err := w.RootCRL(ctx); err == nil || time.Since(begin) != webTimeout {
			t.Errorf("got error %v after %v, want one after %v", err, time.Since(begin), webTimeout)
		}
	})
}

func TestHangingNewcomersLeaveConnectionsToOthers(t *testing.T) {
	arrived := make(chan struct{}, maxNewcomers)
	w := web(t, WebConfig{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tcb") {
			arrived <- struct{}{}
			<-r.Context().Done()
		}
		fmt.Fprint(w, "CRL")
	}))
	ctx, cancel := context.WithCancel(t.Context())
	var hanging sync.WaitGroup
	defer hanging.Wait()
	defer cancel()
	for range maxNewcomers {
		hanging.Go(func() { w.TCBInfo(ctx, dcap.SGX, fmspc, Standard) })
	}
	for range maxNewcomers {
		<-arrived
	}
	in, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	if _, err := w.RootCRL(in); err != nil {
		t.Error(err)
	}
}
