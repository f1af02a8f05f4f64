package kds_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
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
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/kds"
)

// amd is the simulated AMD of all labs, whose keys are made once.
var amd = sync.OnceValue(assaytest.NewAMD)

// trusted are the roots of the simulated AMD.
var trusted = sync.OnceValue(func() snp.Roots {
	all, err := amd().Authorities()
	if err != nil {
		panic(err)
	}
	roots, err := snp.NewRoots(all...)
	if err != nil {
		panic(err)
	}
	return roots
})

// began is when a lab's certificates are judged at its beginning.
var began = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// asked is a request that came to the service.
type asked struct {
	uri string
	at  time.Time
}

// lab is a key service that knows every chip, in memory, and what a client of it is made of.
type lab struct {
	t     testing.TB
	cfg   kds.Config
	log   bytes.Buffer
	start time.Time
	shift time.Duration // of the clock that judges certificates

	mu       sync.Mutex
	requests []asked
	outcomes map[string]int
	answer   func(http.ResponseWriter, *http.Request) bool // nil, or false: answer as AMD does
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, start: time.Now(), outcomes: map[string]int{}}
	l.cfg = kds.Config{
		URL: "https://kds.invalid/mirror", Roots: trusted(), Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&l.log, nil)),
		Clock: func() time.Time { return began.Add(time.Since(l.start) + l.shift) }, Client: &http.Client{Transport: l},
		Observe: func(outcome string) { l.mu.Lock(); defer l.mu.Unlock(); l.outcomes[outcome]++ },
	}
	return l
}

func (l *lab) roots(certificates ...[]byte) snp.Roots {
	l.t.Helper()
	roots, err := snp.NewRoots(certificates...)
	if err != nil {
		l.t.Fatal(err)
	}
	return roots
}

// RoundTrip is the network.
func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.requests = append(l.requests, asked{r.URL.String(), time.Now()})
	answer := l.answer
	l.mu.Unlock()
	w := httptest.NewRecorder()
	if answer == nil || !answer(w, r) {
		l.serve(w, r)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// serve answers as AMD does, of every chip.
func (l *lab) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/mirror/vcek/v1/"), "/")
	if len(parts) == 2 && parts[1] == "cert_chain" {
		s := amd().Scenario(assaytest.AMDProduct(parts[0]), began)
		s.Chain = []assaytest.AMDRole{assaytest.ASK, assaytest.ARK}
		chain, err := s.ChainPEM()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		w.Write(chain)
		return
	}
	chip, err := hex.DecodeString(parts[len(parts)-1])
	if len(parts) != 2 || err != nil {
		http.Error(w, "no such route", http.StatusBadRequest)
		return
	}
	s := amd().Scenario(assaytest.AMDProduct(parts[0]), began)
	s.Chip = [64]byte{}
	copy(s.Chip[:], chip)
	s.TCB = tcbIn(r.URL.Query())
	w.Write(vcek(l.t, s))
}

func tcbIn(q url.Values) assaytest.SNPTCB {
	n := func(name string) uint8 { v, _ := strconv.ParseUint(q.Get(name), 10, 8); return uint8(v) }
	return assaytest.SNPTCB{FMC: n("fmcSPL"), BootLoader: n("blSPL"), TEE: n("teeSPL"), SNP: n("snpSPL"), Microcode: n("ucodeSPL")}
}

// vcek is the certificate of the chip and TCB of s, DER.
func vcek(t testing.TB, s *assaytest.AMDScenario) []byte {
	t.Helper()
	der, err := s.Certificate(assaytest.VCEK)
	if err != nil {
		t.Error(err)
	}
	return der
}

// answers has the service answer so from now on; nil: as AMD does.
func (l *lab) answers(with func(http.ResponseWriter, *http.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = with
}

// status is an answer of a status, and of a header if there is one.
func status(code int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		return true
	}
}

// came are the requests so far.
func (l *lab) came() []asked {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]asked(nil), l.requests...)
}

// client makes a client, which the test closes.
func (l *lab) client() *kds.Client {
	l.t.Helper()
	c, err := kds.New(l.cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// scenario is a guest on the nth chip of a product.
func scenario(p assaytest.AMDProduct, n byte, edits ...func(*assaytest.AMDScenario)) *assaytest.AMDScenario {
	s := amd().Scenario(p, began)
	s.Chip[0], s.Chip[1] = n, ^n
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// report is the report of s.
func report(t testing.TB, s *assaytest.AMDScenario) *snp.Report {
	t.Helper()
	b, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	r, err := snp.ParseReport(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// usual is how long a request may take.
const usual = 20 * time.Second

// ask asks for the chain of a report.
func ask(c *kds.Client, r *snp.Report, patience time.Duration) (*snp.Chain, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Chain(ctx, r)
}

// verified checks that the report verifies under the chain.
func (l *lab) verified(r *snp.Report, chain *snp.Chain, err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("no chain: %v", err)
	}
	opt := snp.Options{At: l.cfg.Clock()}
	signer, err := l.cfg.Roots.Trace(chain, opt)
	if err == nil {
		_, err = snp.Verify(r, signer, opt)
	}
	if err != nil {
		l.t.Errorf("the report does not verify under the chain: %v", err)
	}
}

// away checks that err is that the certificate cannot be had now, and gives for how long.
func away(t testing.TB, err error) *kds.Unavailable {
	t.Helper()
	u, ok := errors.AsType[*kds.Unavailable](err)
	if !ok {
		t.Fatalf("got %v, want that it is unavailable", err)
	}
	if u.RetryAfter < time.Second {
		t.Errorf("Retry-After: %v, want a second or more", u.RetryAfter)
	}
	return u
}

// refusedBy checks that err is a refusal by a check, with all fragments in its text.
func refusedBy(t testing.TB, err error, check evidence.Check, fragments ...string) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || r.Check != check {
		t.Fatalf("got %v, want a refusal by %s", err, check)
	}
	for _, f := range fragments {
		if !strings.Contains(r.Error(), f) {
			t.Errorf("%q is not in the refusal %q", f, r.Error())
		}
	}
}
