package service_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// replica is a process of the service.
type replica struct {
	t       *testing.T
	site    *site
	name    string
	address string
	ops     string // http://ADDRESS of the listener for operators
	config  string
	client  *http.Client

	cmd *exec.Cmd
	log *lockedBuffer
}

// lockedBuffer is the standard error of a process.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// replica prepares one that does not run yet. more are further lines of its configuration.
func (s *site) replica(t *testing.T, name, more string) *replica {
	t.Helper()
	r := &replica{t: t, site: s, name: name, address: s.freeAddress(t)}
	ops := s.freeAddress(t)
	r.ops, r.config = "http://"+ops, s.config(t, name, r.address, ops, more)
	r.client = s.client(r.address)
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the end of the log of replica %s:\n%s", name, tail(r.log))
		}
	})
	return r
}

func tail(log *lockedBuffer) string {
	if log == nil {
		return ""
	}
	text := log.String()
	return text[max(0, len(text)-4000):]
}

// client reaches the external URL at an address, as one that a name server or a balancer has sent there.
func (s *site) client(address string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 16,
	}}
}

// start starts the process and waits until it is ready.
func (r *replica) start() error {
	r.log = &lockedBuffer{}
	r.cmd = exec.Command(os.Getenv(binaryVar), "serve", "--config", r.config)
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready "+externalURL) {
		return errors.Join(errors.New("replica "+r.name+" is not ready: "+line+r.log.String()), err)
	}
	go io.Copy(io.Discard, out) // ends with the process
	return nil
}

// mustStart starts the process, or ends the test.
func (r *replica) mustStart() {
	r.t.Helper()
	if err := r.start(); err != nil {
		r.t.Fatal(err)
	}
}

// kill ends the process as a power cut would.
func (r *replica) kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
	r.client.CloseIdleConnections()
}

// terminate ends the process as an operator does, and wants it to end well.
func (r *replica) terminate() {
	r.t.Helper()
	err := r.cmd.Process.Signal(syscall.SIGTERM)
	if err := errors.Join(err, r.cmd.Wait()); err != nil {
		r.t.Errorf("ending replica %s: %v", r.name, err)
	}
	r.cmd = nil
	r.client.CloseIdleConnections()
}

// startAll starts replicas at the same time.
func startAll(t *testing.T, replicas ...*replica) {
	t.Helper()
	errs := make([]error, len(replicas))
	var wg sync.WaitGroup
	for i, r := range replicas {
		wg.Go(func() { errs[i] = r.start() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
