package attester_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/attester"
)

// status answers with a status each, the last one for ever, and zero by what is right.
func (r *azureRig) status(right http.HandlerFunc, statuses ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		if status == 0 {
			right(w, q)
			return
		}
		w.WriteHeader(status)
	}
}

func TestTroubleWithTheMetadataServiceIsNamed(t *testing.T) {
	r := newAzureRig(t)
	right := r.answer
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(s)) }
	}
	for _, test := range []struct {
		name          string
		answer        http.HandlerFunc
		asked         int
		cause, remedy string
	}{
		{"no such path", r.status(right, 404), 1, "404 Not Found", "no confidential machine"},
		{"refused", r.status(right, 400), 1, "400 Bad Request", "--metadata"},
		{"elsewhere", r.status(right, 302), 1, "302 Found", "--metadata"},
		{"busy", r.status(right, 429), 4, "429 Too Many", "try again"},
		{"broken", r.status(right, 500), 4, "500 Internal", "try again"},
		{"gone", r.status(right, 410), 4, "410 Gone", "try again"},
		{"no JSON", text("<html>"), 1, "cannot be used", "something else answers"},
		{"empty", text("{}"), 1, "cannot be used", "something else answers"},
		{"no certificates", text(`{"vcekCert":"x","tcbm":"00","certificateChain":"y"}`), 1, "cannot be used", "something else answers"},
		{"huge", func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte(" "), 128<<10+1)) }, 1, "longer than 131072 bytes", "something else"},
		{"another TCB", func(w http.ResponseWriter, _ *http.Request) { w.Write(thim(t, "0000000000000001")) }, 2, `found "0000000000000001"`, "firmware was updated"},
		{"no TCB", func(w http.ResponseWriter, _ *http.Request) { w.Write(thim(t, "")) }, 2, `found ""`, "firmware was updated"},
	} {
		r.asked, r.answer = nil, test.answer
		_, err := r.collect(t)
		wantProblem(t, err, test.cause, test.remedy)
		if len(r.asked) != test.asked {
			t.Errorf("%s: asked %d times, want %d", test.name, len(r.asked), test.asked)
		}
	}
}

func TestAnAnswerOfTheMetadataServiceMayBeAsLongAsItsBound(t *testing.T) {
	r := newAzureRig(t)
	r.answer = func(w http.ResponseWriter, _ *http.Request) {
		b := thim(t, r.tcb(t))
		w.Write(append(b, bytes.Repeat([]byte(" "), 128<<10-len(b))...))
	}
	if _, err := r.collect(t); err != nil {
		t.Error(err)
	}
}

func TestAMetadataServiceThatRecoversIsAskedAgain(t *testing.T) {
	r := newAzureRig(t)
	right := r.answer
	for _, test := range []struct {
		statuses []int
		after    string
		waits    []time.Duration
	}{
		{[]int{429, 0}, "", []time.Duration{time.Second}},
		{[]int{503, 410, 500, 0}, "", []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{[]int{429, 0}, "7", []time.Duration{7 * time.Second}},
		{[]int{429, 0}, "600", []time.Duration{30 * time.Second}},
		{[]int{429, 0}, "-1", []time.Duration{time.Second}},
		{[]int{429, 0}, "Thu, 01 Jan 2026 00:00:00 GMT", []time.Duration{time.Second}},
	} {
		r.waits = nil
		answer := r.status(right, test.statuses...)
		r.answer = func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Retry-After", test.after)
			answer(w, q)
		}
		if _, err := r.collect(t); err != nil || !reflect.DeepEqual(r.waits, test.waits) {
			t.Errorf("%v: %v, waited %v, want %v", test.statuses, err, r.waits, test.waits)
		}
	}
}

// TestACertificateOfBeforeAnUpdateIsAskedForOnceMore: firmware and certificate change together, and a cached pair may not fit.
func TestACertificateOfBeforeAnUpdateIsAskedForOnceMore(t *testing.T) {
	r := newAzureRig(t)
	tcb := "0000000000000001"
	r.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Write(thim(t, tcb))
		tcb = strings.ToLower(r.tcb(t))
	}
	if _, err := r.collect(t); err != nil || len(r.asked) != 2 || len(r.waits) != 1 {
		t.Errorf("%v, asked %q, waited %v", err, r.asked, r.waits)
	}
}

func TestAMetadataServiceThatIsNotThereIsNamed(t *testing.T) {
	r := newAzureRig(t)
	r.options.Metadata.URL = "http://127.0.0.1:1"
	_, err := r.collect(t)
	wantProblem(t, err, "does not answer", "firewall")
	r.options.Metadata.URL = "http://%"
	_, err = r.collect(t)
	wantProblem(t, err, "cannot be asked", "--metadata")
}

// TestTheMetadataServiceIsNotAskedByAProxy: a proxy would answer for another machine, if at all. The name leads nowhere but to a proxy. Programs read once which
// proxy there is, so that the test is another run of the program.
func TestTheMetadataServiceIsNotAskedByAProxy(t *testing.T) {
	const inside = "ATTESTER_TEST_PROXY"
	if os.Getenv(inside) != "" {
		r := newAzureRig(t)
		r.options.Metadata.URL = "http://metadata.invalid"
		_, err := r.collect(t)
		wantProblem(t, err, "does not answer", "169.254.169.254")
		return
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), inside+"=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL)
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheMetadataServiceDoesNotSendElsewhere(t *testing.T) {
	r := newAzureRig(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("another service was asked")
		w.Write(thim(t, r.tcb(t)))
	}))
	t.Cleanup(elsewhere.Close)
	r.answer = func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, elsewhere.URL, http.StatusFound) }
	_, err := r.collect(t)
	wantProblem(t, err, "302 Found", "--metadata")
}

// silent is a metadata service that takes a request, and says nothing.
type silent struct{}

func (silent) RoundTrip(q *http.Request) (*http.Response, error) {
	<-q.Context().Done()
	return nil, q.Context().Err()
}

// TestASilentMetadataServiceIsWaitedForTenSeconds, by a clock that jumps.
func TestASilentMetadataServiceIsWaitedForTenSeconds(t *testing.T) {
	r := newAzureRig(t)
	r.options.Metadata.Client = &http.Client{Transport: silent{}}
	machine := opened(t, r.tpm)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := attester.CollectAzureGuest(t.Context(), machine, r.options)
		wantProblem(t, err, "does not answer", "169.254.169.254")
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestAQuoteThatIsNoneIsNamed(t *testing.T) {
	r := newAzureRig(t)
	r.replace(t, hclIndex, r.tdx(t))
	for _, quote := range []any{"", "AAAA", "?", 7} {
		r.answer = func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(map[string]any{"quote": quote})
		}
		_, err := r.collect(t)
		wantProblem(t, err, "/acc/tdquote cannot be used", "something else answers")
	}
}
