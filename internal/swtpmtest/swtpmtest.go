// Package swtpmtest starts TPMs in software (swtpm of Debian) for tests, on unix sockets (tpm-evidence.md section 11 B).
package swtpmtest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/tpmsocket"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// startTime is how long an swtpm may take to listen.
const startTime = 20 * time.Second

// TPM is an swtpm that runs. It was started, so that its PCRs are those of a reset.
type TPM struct {
	Socket string
	dir    string
	stop   context.CancelFunc
	done   chan struct{}
}

// Start starts a new TPM without certificates, for the time of the test. Without swtpm the test is skipped, or fails where ASSAY_CI is set.
func Start(t testing.TB) *TPM {
	t.Helper()
	s := &TPM{dir: folder(t)}
	s.run(t)
	return s
}

// Maker is a CA that certifies endorsement keys.
type Maker struct {
	Issuer, Root *x509.Certificate
	dir          string
}

// NewMaker makes a CA with a root and an issuer (swtpm_localca).
func NewMaker(t testing.TB) *Maker {
	t.Helper()
	return &Maker{dir: folder(t)}
}

// Start starts a new TPM whose endorsement key the maker has certified, and which has these banks of PCRs: sha1, sha256 and sha384 if none is named.
func (m *Maker) Start(t testing.TB, banks ...string) *TPM {
	t.Helper()
	if banks == nil {
		banks = []string{"sha1", "sha256", "sha384"}
	}
	s := &TPM{dir: folder(t)}
	s.manufacture(t, m, strings.Join(banks, ","))
	m.Issuer, m.Root = certificate(t, m.dir, "issuercert.pem"), certificate(t, m.dir, "swtpm-localca-rootca-cert.pem")
	s.run(t)
	return s
}

// folder makes a folder with a path that is short enough for a socket.
func folder(t testing.TB) string {
	t.Helper()
	for _, program := range []string{"swtpm", "swtpm_setup"} {
		if _, err := exec.LookPath(program); err != nil {
			vectortest.Missing(t, program+" (Debian: swtpm and swtpm-tools)")
		}
	}
	dir, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// manufacture gives the TPM its endorsement key and certificate.
func (s *TPM) manufacture(t testing.TB, m *Maker, banks string) {
	t.Helper()
	write(t, filepath.Join(m.dir, "localca.conf"), "statedir = "+m.dir+"\nsigningkey = "+m.dir+"/signkey.pem\nissuercert = "+m.dir+
		"/issuercert.pem\ncertserial = "+m.dir+"/certserial\n")
	write(t, filepath.Join(m.dir, "options"), "--tpm-manufacturer id:00001014\n--tpm-model swtpm\n--tpm-version id:20191023\n"+
		"--platform-manufacturer Assay\n--platform-version 1\n--platform-model rig\n")
	write(t, filepath.Join(m.dir, "setup.conf"), "create_certs_tool=/usr/bin/swtpm_localca\ncreate_certs_tool_config="+m.dir+
		"/localca.conf\ncreate_certs_tool_options="+m.dir+"/options\n")
	out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", filepath.Join(s.dir, "state"), "--config", filepath.Join(m.dir, "setup.conf"),
		"--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--pcr-banks", banks, "--overwrite", "--vmid", "rig").CombinedOutput()
	if err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func certificate(t testing.TB, dir, name string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s has no certificate:\n%s", name, b)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run starts swtpm and waits until it listens.
func (s *TPM) run(t testing.TB) {
	t.Helper()
	s.Socket = filepath.Join(s.dir, "sock")
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	var out bytes.Buffer
	command := exec.CommandContext(ctx, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+filepath.Join(s.dir, "state"),
		"--server", "type=unixio,path="+s.Socket, "--flags", "not-need-init,startup-clear")
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = command.Wait() // it ends by being killed
	}()
	t.Cleanup(s.Stop)
	for end := time.Now().Add(startTime); ; time.Sleep(5 * time.Millisecond) {
		if _, err := tpmsocket.Open(s.Socket); err == nil {
			return
		}
		if time.Now().After(end) {
			s.Stop()
			t.Fatalf("swtpm does not listen: %s", out.String())
		}
	}
}

// Stop takes the TPM away. Its state is kept.
func (s *TPM) Stop() {
	s.stop()
	<-s.done
}

// Restart resets the TPM, as a restart of the machine does.
func (s *TPM) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := os.Remove(s.Socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	s.run(t)
}

// Open opens the TPM for commands of the test.
func (s *TPM) Open(t testing.TB) transport.TPMCloser {
	t.Helper()
	c, err := tpmsocket.Open(s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Boot extends what a TCG log says into the PCRs, in all banks that the log has.
func (s *TPM) Boot(t testing.TB, log []byte) {
	t.Helper()
	Boot(t, s.Open(t), log)
}

// Boot extends what a TCG log says into the PCRs of a TPM that is open.
func Boot(t testing.TB, c transport.TPM, log []byte) {
	t.Helper()
	l, err := eventlog.Parse(log, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range l.Records() {
		if !r.Extended() {
			continue
		}
		digests := map[tpm.Alg][]byte{}
		for _, alg := range l.Algs() {
			digests[alg], _ = r.Digest(alg)
		}
		Extend(t, c, int(r.PCR), digests)
	}
}

// Extend extends one PCR by a digest in each bank.
func Extend(t testing.TB, c transport.TPM, pcr int, digests map[tpm.Alg][]byte) {
	t.Helper()
	var values tpm2.TPMLDigestValues
	for alg, digest := range digests {
		values.Digests = append(values.Digests, tpm2.TPMTHA{HashAlg: tpm2.TPMAlgID(alg), Digest: digest})
	}
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)}, Digests: values,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
}
