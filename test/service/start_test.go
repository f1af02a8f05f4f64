package service_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// startTime is within which a service with an empty data folder must be ready and have answered an attest. Most of it is the
// search for two primes, which is a matter of luck.
const startTime = 10 * time.Second

// starting is what a start of the service needs: a genuine quote, and the collateral for it as a bundle.
type starting struct {
	dir, bundle string
	at          time.Time
	body        string
}

// newStarting takes the first genuine SGX quote of the vectors that is accepted with all dates counting.
func newStarting(t testing.TB) *starting {
	t.Helper()
	for _, c := range vectortest.DCAPCases(t, "sgx") {
		if c.Accept && c.Root == nil && c.Policy == "strict" {
			s := &starting{dir: t.TempDir(), at: c.Now}
			quote, bundle, _ := c.WriteFiles(t, s.dir)
			b, err := os.ReadFile(quote)
			if err != nil {
				t.Fatal(err)
			}
			s.bundle, s.body = bundle, `{"quote":"`+b64(b)+`"}`
			return s
		}
	}
	vectortest.NoCase(t, "a genuine quote with current collateral")
	return nil
}

// run starts the program on a data folder, and returns how long it took to be ready, and from then to the first answer.
func (s *starting) run(t testing.TB, data string) (ready, first time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Getenv(binaryVar), "serve", "--dev", "--at", s.at.Format(time.RFC3339), "--listen", "127.0.0.1:0", "--data", data, "--collateral", s.bundle)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var url, ca string
	if _, err := fmt.Fscanf(out, "ready %s ca=%s\n", &url, &ca); err != nil {
		t.Fatalf("not ready: %v", err)
	}
	ready = time.Since(began)
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	res, err := client.Post(url+attestPath, "application/json", strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	return ready, time.Since(began) - ready
}

func TestAServiceWithAnEmptyFolderAndABundleAnswersSoon(t *testing.T) {
	ready, first := newStarting(t).run(t, t.TempDir())
	t.Logf("ready after %s, first attest answered %s later", ready, first)
	if ready+first > startTime {
		t.Errorf("the first attest was answered after %s", ready+first)
	}
}

// BenchmarkStart measures the start of the service with an empty data folder and a local bundle, and, by turns, what it cannot do
// without: the start of a process, the making of an RSA-2048 key, and of an SQLite store with its schema. Beside it the start with the
// folder as it then is. Medians are reported, since the search for primes has
// no usual time, and the ratio of the start, first answer included, to the sum of the three.
func BenchmarkStart(b *testing.B) {
	s := newStarting(b)
	times := map[string][]time.Duration{}
	note := func(what string, f func()) {
		began := time.Now()
		f()
		times[what] = append(times[what], time.Since(began))
	}
	for b.Loop() {
		data := filepath.Join(b.TempDir(), "data")
		for _, state := range []string{"empty", "kept"} {
			ready, first := s.run(b, data)
			times[state+"-ready"], times[state+"-attest"] = append(times[state+"-ready"], ready), append(times[state+"-attest"], first)
		}
		note("process", func() { mustRun(b, "version") })
		note("rsa", func() { mustBe(b, func() error { _, err := rsa.GenerateKey(rand.Reader, 2048); return err }) })
		note("store", func() { mustBe(b, func() error { return makeStore(b.Context(), filepath.Join(b.TempDir(), "a.db")) }) })
	}
	b.ReportMetric(0, "ns/op") // all of it together means nothing
	median := map[string]float64{}
	for what, all := range times {
		slices.Sort(all)
		median[what] = float64(all[len(all)/2].Microseconds()) / 1000
		b.ReportMetric(median[what], what+"-ms")
	}
	parts := median["process"] + median["rsa"] + median["store"]
	b.ReportMetric((median["empty-ready"]+median["empty-attest"])/parts, "ratio")
}

func mustRun(b *testing.B, args ...string) {
	b.Helper()
	if out, err := exec.Command(os.Getenv(binaryVar), args...).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

func mustBe(b *testing.B, f func() error) {
	b.Helper()
	if err := f(); err != nil {
		b.Fatal(err)
	}
}

func makeStore(ctx context.Context, name string) error {
	s, err := store.Open(ctx, name)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Migrate(ctx)
}
