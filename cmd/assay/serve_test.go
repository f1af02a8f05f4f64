package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store/storetest"
)

// service is a serve command that runs in this process.
type service struct {
	URL string `json:"url"`
	CA  string `json:"ca"`
	PID int    `json:"pid"`

	line string // that told it was ready
	stop context.CancelFunc
	exit chan int
	log  strings.Builder // to be read once the service has ended
}

// serve starts the program and waits until it is ready. It ends with the test, at the latest.
func serve(t *testing.T, args ...string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	out, stdout := io.Pipe()
	s := &service{stop: cancel, exit: make(chan int, 1)}
	go func() {
		s.exit <- run(ctx, &env{
			args: append([]string{"serve", "--json"}, args...), stdin: strings.NewReader(""), stdout: stdout, stderr: &s.log,
			getenv: func(string) string { return "" }, now: time.Now,
		})
		stdout.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("serve %q ended with status %d: %s", args, <-s.exit, &s.log)
	}
	if s.line = line; json.Unmarshal([]byte(line), s) != nil {
		t.Fatalf("not a line of JSON: %s", line)
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// end stops the service and checks that it ends well.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case status := <-s.exit:
		if status != exitOK {
			t.Errorf("the service ended with status %d: %s", status, &s.log)
		}
		s.exit <- exitOK // for whoever ends it again
	case <-time.After(30 * time.Second):
		t.Fatal("the service does not end")
	}
}

// get asks the service for a document.
func (s *service) get(t *testing.T, path string) string {
	t.Helper()
	client, err := (&call{env: &env{}}).client(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", path, res.StatusCode, err, b)
	}
	return string(b)
}

func TestServeIsReadyWithItsFolderInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", dir)
	if !strings.HasPrefix(s.URL, "https://localhost:") || s.URL == "https://localhost:0" || s.PID != os.Getpid() || s.CA != filepath.Join(dir, "dev-ca.pem") {
		t.Errorf("ready line: %s", s.line)
	}
	if got := s.get(t, "/.well-known/openid-configuration"); !strings.Contains(got, `"issuer":"`+s.URL+`"`) || !strings.Contains(got, `"ext-development":true`) {
		t.Errorf("metadata of %s: %s", s.URL, got)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := os.FileMode(0o600)
		switch {
		case d.IsDir():
			want = 0o700
		case path == s.CA:
			want = 0o644
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// keyIDs are those of the instance keys that the service publishes. The others, of reports, follow from its URL too.
func (s *service) keyIDs(t *testing.T) string {
	t.Helper()
	var set struct{ Keys []struct{ KID string } }
	if err := json.Unmarshal([]byte(s.get(t, "/certs")), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	return fmt.Sprint(set.Keys[:len(set.Keys)/2])
}

func TestServeKeepsItsKeysAcrossARestart(t *testing.T) {
	args := []string{"--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir()}
	first := serve(t, args...)
	before := first.keyIDs(t)
	first.end(t)
	if after := serve(t, args...).keyIDs(t); after != before {
		t.Errorf("keys before the restart: %s, after: %s", before, after)
	}
}

func TestServeReadsItsConfigurationUnderTheFlags(t *testing.T) {
	dir := t.TempDir()
	deny := tempFile(t, "deny", "version= 1.0;authorizationrules{=> deny();};issuancerules{};")
	permit := tempFile(t, "permit", "version= 1.0;authorizationrules{=> permit();};issuancerules{};")
	file := tempFile(t, "assay.yaml", fmt.Sprintf("dev: true\nlisten: 127.0.0.1:0\ndata: %s\ninsecure_http: true\npolicies:\n  sgxenclave: %s\n  OpenEnclave: %s\n", dir, deny, deny))
	s := serve(t, "--config", file, "--policy", "SGX="+permit)
	if !strings.HasPrefix(s.URL, "http://localhost:") || s.CA != "" {
		t.Fatalf("ready line: %s", s.line)
	}
	sim := simulatedDir(t, time.Now())
	for name, status := range map[string]int{"sgx quote.bin": exitOK, "oe report.bin": exitRefused} {
		kind, evidence, _ := strings.Cut(name, " ")
		o := afterwards().assay(t, "attest", kind, filepath.Join(sim, evidence), "--endpoint", s.URL)
		if o.status != status {
			t.Errorf("%s: status %d, want %d: %s%s", name, o.status, status, o.stdout, o.stderr)
		}
	}
	refuse(t, "--config", file, "--dev=false").want(t, exitUsage, "", "url is required")
}

// afterwards is a world whose clock stands later than any token issued meanwhile.
func afterwards() world { return world{now: time.Now().Add(time.Minute)} }

// refuse runs a serve command that should not start; if it does, it is ended after a while.
func refuse(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stdout, stderr strings.Builder
	status := run(ctx, &env{
		args: append([]string{"serve"}, args...), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(string) string { return "" }, now: time.Now,
	})
	return outcome{status, stdout.String(), stderr.String()}
}

func TestServeRefusesToStart(t *testing.T) {
	data := t.TempDir()
	readable := func(content string) string { return tempFile(t, "file", content) }
	tls := []string{"--url", "https://attest.example", "--tls-cert", readable("x"), "--tls-key", readable("x")}
	dev := []string{"--dev", "--listen", "127.0.0.1:0"}
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		stderr string
	}{
		{"no URL", nil, exitUsage, "url is required"},
		{"no TLS", []string{"--url", "https://attest.example"}, exitUsage, "no TLS"},
		{"plain HTTP to all", []string{"--url", "https://attest.example", "--insecure-http", "--listen", ":0"}, exitUsage, "loopback"},
		{"fixed time", append(tls, "--at", "2024-03-01T00:00:00Z"), exitUsage, "development mode"},
		{"bad time", append(dev, "--at", "soon"), exitUsage, "2024-03-01T00:00:00Z"},
		{"certificate without key", []string{"--url", "https://attest.example", "--tls-cert", "x"}, exitUsage, "go together"},
		{"TLS files that are none", append(tls, "--listen", "127.0.0.1:0"), exitUsage, "TLS certificate"},
		{"TLS files that are not there", append(dev, "--tls-cert", "nowhere", "--tls-key", "nowhere"), exitUsage, "nowhere"},
		{"URL with a path", append(dev, "--url", "https://attest.example/x"), exitUsage, "without path"},
		{"no configuration", []string{"--config", "nowhere.yaml"}, exitUsage, "nowhere.yaml"},
		{"unknown key", []string{"--config", readable("lisen: x")}, exitUsage, "lisen"},
		{"bad setting", []string{"--config", readable("dev: true\nlisten: 127.0.0.1:0\nsettings: {tcb_accepted_statuses: {Revoked: \"\"}}")}, exitUsage, "needs the date"},
		{"policy without a type", append(dev, "--policy", "x"), exitUsage, "TYPE=FILE"},
		{"policy of an unknown type", append(dev, "--policy", "sgx2=x"), exitUsage, "sgx2"},
		{"no policy file", append(dev, "--policy", "sgx=nowhere"), exitUsage, "nowhere"},
		{"broken policy", append(dev, "--policy", "sgx="+readable("version")), exitUsage, "Offending symbol"},
		{"no bundle", append(dev, "--collateral", "nowhere"), exitUsage, "nowhere"},
		{"bad address", []string{"--dev", "--listen", "127.0.0.1"}, exitUsage, "listen"},
		{"unknown flag", []string{"--dve"}, exitUsage, "dve"},
		{"argument", []string{"--dev", "x"}, exitUsage, "unexpected argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refuse(t, append([]string{"--data", data}, tt.args...)...).want(t, tt.status, "", tt.stderr)
		})
	}
}

// TestAttestAgainstTheService is the way of a user: simulate, serve, attest, for both forms of SGX evidence.
func TestAttestAgainstTheService(t *testing.T) {
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	sim := simulatedDir(t, time.Now())
	in := func(name string) string { return filepath.Join(sim, name) }
	runtime := []string{"--runtime-data", in("runtime.json"), "--runtime-type", "json"}
	draft := tempFile(t, "draft", `version= 1.0;authorizationrules{=> permit();};issuancerules{=> issue(type="x", value="from the draft");};`)
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		stdout string
	}{
		{"quote", append([]string{"sgx", in("quote.bin"), "--nonce", "n-42"}, runtime...), exitOK, "n-42"},
		{"report", append([]string{"openenclave", in("report.bin")}, runtime...), exitOK, "hello from a simulated enclave"},
		{"binary runtime data", []string{"sgx", in("quote.bin"), "--runtime-data", in("runtime.json")}, exitOK, "aas-ehd"},
		{"draft", []string{"sgx", in("quote.bin"), "--draft-policy", draft}, exitOK, "from the draft"},
		{"report as a quote", []string{"sgx", in("report.bin")}, exitRefused, "InvalidQuote"},
		{"other runtime data", []string{"sgx", in("quote.bin"), "--runtime-data", in("root.pem")}, exitRefused, "SuppliedRuntimeDataDigest does not match"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"attest"}, tt.args...)
			afterwards().assay(t, append(args, "--endpoint", s.URL, "--ca", s.CA)...).want(t, tt.status, tt.stdout, "")
		})
	}
	s.end(t)
	if log := s.log.String(); !strings.Contains(log, "DEVELOPMENT MODE") || strings.Count(log, `"operationName":"AttestSgxEnclave"`) != 5 {
		t.Errorf("the log lacks the warning or an event:\n%s", log)
	}
}

// TestListenerIsBounded sends what a listener must not take: a header without end, and a body that never comes.
func TestListenerIsBounded(t *testing.T) {
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--insecure-http")
	address := strings.TrimPrefix(s.URL, "http://")
	for name, tt := range map[string]struct{ request, answer string }{
		"endless header":  {"GET /certs HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "HTTP/1.1 431"},
		"long header":     {"GET /certs HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", maxHeader/2) + "\r\n\r\n", "HTTP/1.1 200"},
		"no HTTP":         {"\x16\x03\x01\r\n\r\n", "HTTP/1.1 400"},
		"body that ends":  {"POST /attest/SgxEnclave?api-version=2020-10-01 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "HTTP/1.1 400"},
		"two lengths":     {"POST /attest/SgxEnclave HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 400"},
		"chunks that end": {"POST /attest/SgxEnclave?api-version=2020-10-01 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "HTTP/1.1 400"},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, tt.request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(status, tt.answer) {
			t.Errorf("%s: got %q, %v; want %s", name, status, err, tt.answer)
		}
	}
}

// TestMain lets the test binary be the program, for what only a process of its own can show.
func TestMain(m *testing.M) {
	if os.Getenv("ASSAY_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(storetest.Main(m))
}

func TestProgramEndsCleanlyOnSIGTERM(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		args := []string{"serve", "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir()}
		form := regexp.MustCompile(`^ready https://localhost:\d+ ca=\S+/dev-ca\.pem\n$`)
		if asJSON {
			args, form = append(args, "--json"), regexp.MustCompile(`^\{"ca":"\S+/dev-ca\.pem","pid":\d+,"url":"https://localhost:\d+"\}\n$`)
		}
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "ASSAY_TEST_AS_PROGRAM=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		line, err := lines.ReadString('\n')
		if err != nil || !form.MatchString(line) {
			t.Errorf("ready line %q, %v; want it to match %s", line, err, form)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("more on standard output: %q, %v", rest, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	}
}
