package server_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// items are the documents that one attestation needs.
func items() []assaytest.Part {
	return []assaytest.Part{assaytest.TCBInfo, assaytest.QEIdentity, assaytest.PCKCRL, assaytest.RootCRL}
}

// retryAfter is the pause that the service asks for, in seconds.
func (a answer) retryAfter(t *testing.T) int {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil {
		t.Fatalf("status %d: Retry-After: %v: %s", a.status, err, a.body)
	}
	return seconds
}

// TestSourceFailsAndRecovers has each item of collateral fail in each way, then come back. The service answers 503 with
// Retry-After meanwhile, and attests again without a restart.
func TestSourceFailsAndRecovers(t *testing.T) {
	folder := t.TempDir()
	for _, tt := range []struct {
		name  string
		with  assaytest.Failure
		least int // seconds of Retry-After
		most  int
	}{
		{"error", assaytest.Failure{Status: 500}, 1, 1},
		{"unavailable", assaytest.Failure{Status: 503}, 1, 1},
		{"too many requests", assaytest.Failure{Status: 429, RetryAfter: 2 * time.Second}, 1, 2},
		{"moved", assaytest.Failure{Status: 302}, 1, 1},
	} {
		for _, item := range items() {
			t.Run(tt.name+"/"+string(item), func(t *testing.T) {
				t.Parallel()
				s := start(t, config.Config{Data: folder})
				s.pcs.Fail(item, tt.with)
				began := time.Now()
				a := s.attest(t, s.scenario())
				a.refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "")
				if got := a.retryAfter(t); got < tt.least || got > tt.most {
					t.Errorf("Retry-After: got %d, want %d to %d", got, tt.least, tt.most)
				}
				s.attest(t, s.scenario())
				if n := s.pcs.Requests(item); n != 1 && time.Since(began) < time.Second {
					t.Errorf("%d requests within the pause, want 1", n)
				}
				s.pcs.Recover()
				s.attestPatiently(t)
			})
		}
	}
}

// attestPatiently comes back when the service says, as clients do.
func (s *testService) attestPatiently(t *testing.T) {
	t.Helper()
	for range 5 {
		a := s.attest(t, s.scenario())
		if a.status == http.StatusOK {
			return
		}
		time.Sleep(time.Duration(a.retryAfter(t)) * time.Second)
	}
	t.Error("the service does not recover")
}

// TestLongPauseIsPassedOn has a source ask for more than a test can wait.
func TestLongPauseIsPassedOn(t *testing.T) {
	s := start(t, config.Config{})
	s.pcs.Fail(assaytest.TCBInfo, assaytest.Failure{Status: 429, RetryAfter: 17 * time.Minute})
	a := s.attest(t, s.scenario())
	a.refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "TCB info for FMSPC A55A79000000")
	if got := a.retryAfter(t); got < 16*60 || got > 17*60 {
		t.Errorf("Retry-After: got %d, want up to %d", got, 17*60)
	}
	s.pcs.Recover()
	if a := s.attest(t, s.scenario()); a.retryAfter(t) < 16*60 || s.pcs.Requests(assaytest.TCBInfo) != 1 {
		t.Errorf("the source was asked again before its time: %d requests", s.pcs.Requests(assaytest.TCBInfo))
	}
}

// TestUnknownPlatformIsUnavailable sends genuine evidence of a family that the source does not know.
func TestUnknownPlatformIsUnavailable(t *testing.T) {
	s := start(t, config.Config{})
	a := s.attest(t, s.scenario(func(sc *assaytest.Scenario) { sc.Platform.FMSPC[5] = 0xAB }))
	a.refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "TCB info for FMSPC A55A790000AB")
	if got := a.retryAfter(t); got < 25 || got > 30 {
		t.Errorf("Retry-After: got %d, want about 30", got)
	}
}

// TestSlowSourceIsWaitedFor has the source take its time.
func TestSlowSourceIsWaitedFor(t *testing.T) {
	s := start(t, config.Config{})
	const delay = 400 * time.Millisecond
	for _, item := range items() {
		s.pcs.Fail(item, assaytest.Failure{Delay: delay})
	}
	began := time.Now()
	s.attest(t, s.scenario()).claims(t)
	if took := time.Since(began); took < delay {
		t.Errorf("took %v, want no less than the %v that the source takes", took, delay)
	}
}

// TestClientThatGivesUpLeavesTheLoadRunning ends a request early; the next one finds the collateral.
func TestClientThatGivesUpLeavesTheLoadRunning(t *testing.T) {
	s := start(t, config.Config{})
	s.pcs.Fail(assaytest.TCBInfo, assaytest.Failure{Delay: 300 * time.Millisecond})
	impatient := *s.Client()
	impatient.Timeout = 50 * time.Millisecond
	res, err := impatient.Post(s.URL+sgxPath, "application/json", strings.NewReader(text(s.evidence(t, s.scenario()))))
	if err == nil {
		res.Body.Close()
		t.Fatalf("status %d before the source answered", res.StatusCode)
	}
	s.attest(t, s.scenario()).claims(t)
	if n := s.pcs.Requests(assaytest.TCBInfo); n != 1 {
		t.Errorf("%d requests for TCB info, want 1", n)
	}
}

// TestThousandCallersAskTheSourceOnce sends a thousand requests at once. They go to the handler itself: as many TLS
// handshakes would test the machine.
func TestThousandCallersAskTheSourceOnce(t *testing.T) {
	const callers = 1000
	s := start(t, config.Config{})
	for _, item := range items() {
		s.pcs.Fail(item, assaytest.Failure{Delay: 500 * time.Millisecond})
	}
	request := text(s.evidence(t, s.scenario()))
	var all sync.WaitGroup
	codes, bodies := make([]int, callers), make([]string, callers)
	for i := range callers {
		all.Go(func() {
			w := httptest.NewRecorder()
			s.Config.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, sgxPath, strings.NewReader(request)))
			codes[i], bodies[i] = w.Code, w.Body.String()
		})
	}
	all.Wait()
	for i, code := range codes {
		if code != http.StatusOK {
			t.Fatalf("caller %d: status %d: %s", i, code, bodies[i])
		}
	}
	for _, item := range items() {
		if n := s.pcs.Requests(item); n != 1 {
			t.Errorf("%d requests for the %s, want 1", n, item)
		}
	}
	if n := len(s.log.events()); n != callers {
		t.Errorf("%d events in the log, want %d", n, callers)
	}
}

// TestUntrustedEvidenceCausesNoRequest sends evidence whose own certificates are no good.
func TestUntrustedEvidenceCausesNoRequest(t *testing.T) {
	s := start(t, config.Config{})
	other := assaytest.NewIntel().Scenario(s.now())
	s.attest(t, other).refused(t, http.StatusBadRequest, "InvalidParameter", "", "untrusted-root: ", "expected", "found")
	for _, name := range []string{"pck-expired", "pck-not-yet-valid", "pck-signature", "pck-ca-other-key", "no-sgx-extension", "chain-without-root", "cert-type-3", "version-6"} {
		if a := s.attest(t, s.scenario(fault(t, name))); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
	if n := s.pcs.TotalRequests(); n != 0 {
		t.Errorf("%d requests for collateral, want none", n)
	}
}

// pccs is a caching service on the network that holds one recorded set of collateral.
func pccs(t *testing.T, files map[string][]byte) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	document := func(path, file, header, chain string) {
		mux.HandleFunc("GET /sgx/certification/v4"+path, func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set(header, strings.ReplaceAll(url.QueryEscape(string(files[chain])), "+", "%20"))
			}
			w.Write(files[file])
		})
	}
	document("/tcb", "tcb_info.json", "TCB-Info-Issuer-Chain", "tcb_info_issuer_chain.pem")
	document("/qe/identity", "qe_identity.json", "SGX-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain.pem")
	document("/pckcrl", "pck_crl.der", "", "")
	mux.HandleFunc("GET /sgx/certification/v4/rootcacrl", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(hex.EncodeToString(files["root_ca_crl.der"])))
	})
	return httptest.NewServer(mux)
}

// TestRestartWithoutNetwork attests real evidence with collateral from the network, and again by a new service on the
// same data folder once the network is gone.
func TestRestartWithoutNetwork(t *testing.T) {
	c := liveCase(t)
	upstream := pccs(t, c.Files)
	cfg := config.Config{Data: t.TempDir(), At: c.Now, CollateralSource: upstream.URL}
	request := text(body{"quote": b64url(c.Quote)})
	first := start(t, cfg)
	if a := first.do(t, http.MethodPost, sgxPath, request); a.status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", c.Name, a.status, a.body)
	}
	first.stop() // what it answered with is on disk only then
	upstream.Close()
	if a := start(t, cfg).do(t, http.MethodPost, sgxPath, request); a.status != http.StatusOK {
		t.Errorf("after the restart: status %d: %s", a.status, a.body)
	}
	cfg.Data = t.TempDir()
	start(t, cfg).do(t, http.MethodPost, sgxPath, request).refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "")
}

// liveCase is real evidence of a good platform with collateral that is in force.
func liveCase(t *testing.T) vectortest.DCAPCase {
	t.Helper()
	for _, c := range vectortest.DCAPCases(t, "sgx") {
		if c.Accept && c.Policy == "strict" && c.Root == nil && (c.Status == "UpToDate" || c.Status == "SWHardeningNeeded") && len(c.Evaluations) > 0 {
			return c
		}
	}
	vectortest.NoCase(t, "accepted SGX case with dates in force")
	return vectortest.DCAPCase{}
}

// TestServiceNeedsItsParts covers what keeps a service from being made.
func TestServiceNeedsItsParts(t *testing.T) {
	c := liveCase(t)
	_, set, _ := c.WriteFiles(t, t.TempDir())
	stored := int(c.Evaluations[0])
	folder := t.TempDir()
	policyFile := func(text string) map[string]string { return map[string]string{"SgxEnclave": tempFile(t, text)} }
	baseline := func(n int) map[string]string {
		return policyFile(fmt.Sprintf(`version= 1.1;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="%d");};authorizationrules{=> permit();};issuancerules{};`, n))
	}
	for _, tt := range []struct {
		name string
		edit func(*config.Config)
		want string // in the error; empty if there is none
	}{
		{"sound", func(*config.Config) {}, ""},
		{"stored baseline named", func(c *config.Config) { c.Policies = baseline(stored) }, ""},
		{"baseline that is not stored", func(c *config.Config) { c.Policies = baseline(stored + 1) }, fmt.Sprintf(`unknown baseline "%d": expected "azuredefault" or a TCB evaluation data number (stored: %d)`, stored+1, stored)},
		{"development without a simulated vendor", func(c *config.Config) { c.Dev = true }, "go together"},
		{"no such bundle", func(c *config.Config) { c.Collateral = []string{"nowhere"} }, "nowhere"},
		{"no such policy", func(c *config.Config) { c.Policies = map[string]string{"sgx": "nowhere"} }, "nowhere"},
		{"broken policy", func(c *config.Config) { c.Policies = policyFile("version") }, "Offending symbol"},
		{"broken policy JWS", func(c *config.Config) { c.Policies = policyFile("eyJhbGciOiJub25lIn0.!.") }, "base64url"},
		{"policy for an unknown type", func(c *config.Config) { c.Policies = map[string]string{"Sgx2": "x"} }, `unknown attestation type "Sgx2"`},
		{"two policies for one type", func(c *config.Config) { c.Policies = map[string]string{"sgx": "x", "SGXenclave": "y"} }, "two files for SgxEnclave"},
		{"URL with a path", func(c *config.Config) { c.URL += "/x" }, "without path"},
		{"source that is no URL", func(c *config.Config) { c.CollateralSource = "ftp://x" }, "http or https"},
		{"bad setting", func(c *config.Config) { c.Settings.CollateralExpiry = "never" }, "collateral_expiry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config.Config{URL: "https://attest.example", Data: folder, Collateral: []string{set}}
			tt.edit(&cfg)
			var log bytes.Buffer
			s, err := server.New(cfg, server.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil)), Clock: time.Now})
			if s != nil {
				defer s.Close()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestSimulatedEvidenceIsRefusedOutsideDevelopment holds the roots to native.md section 2.
func TestSimulatedEvidenceIsRefusedOutsideDevelopment(t *testing.T) {
	cfg := config.Config{URL: "https://example.com", Data: t.TempDir(), CollateralSource: "http://127.0.0.1:1"}
	s, err := server.New(cfg, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dev := start(t, config.Config{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, sgxPath, strings.NewReader(text(dev.evidence(t, dev.scenario())))))
	answer{w.Code, w.Header(), w.Body.Bytes()}.refused(t, http.StatusBadRequest, "InvalidParameter", "", "untrusted-root: ")

	for path, marked := range map[string]bool{"/.well-known/openid-configuration": false, "/certs": false} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "ext-development") != marked {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
	if a := dev.do(t, http.MethodGet, "/.well-known/openid-configuration", ""); !strings.Contains(string(a.body), `"ext-development":true`) {
		t.Errorf("development mode does not say so: %s", a.body)
	}
}
