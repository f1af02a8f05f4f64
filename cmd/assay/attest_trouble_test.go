package main

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/tpmsocket"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// wantTrouble runs a command that this machine keeps from its goal: it says what is wrong and what to do, to people on standard error, and to
// programs as JSON.
func wantTrouble(t *testing.T, cause, remedy string, args ...string) {
	t.Helper()
	var got struct{ Error problem }
	o := assay(t, append(slices.Clone(args), "--json")...)
	o.read(t, &got)
	o.want(t, exitUsage, "", cause)
	for _, text := range []string{o.stderr, got.Error.Message} {
		if !strings.Contains(text, cause) || !strings.Contains(text, remedy) || strings.Contains(text, "--help") {
			t.Errorf("%q: want the cause %q and the remedy %q in %q", args, cause, remedy, text)
		}
	}
}

// middleman is a socket that passes commands on to a TPM, but for those to which answer gives something. A TPM that does not answer is
// one that went away.
func middleman(t *testing.T, s *swtpmtest.TPM, answer func(tpm2.TPMCC) []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			passOn(conn, s, answer)
		}
	}()
	return path
}

// passOn serves one connection, which carries one command.
func passOn(conn net.Conn, s *swtpmtest.TPM, answer func(tpm2.TPMCC) []byte) {
	defer conn.Close()
	command := make([]byte, 10) // tag, size, code
	if _, err := io.ReadFull(conn, command); err != nil {
		return
	}
	command = append(command, make([]byte, binary.BigEndian.Uint32(command[2:])-10)...)
	if _, err := io.ReadFull(conn, command[10:]); err != nil {
		return
	}
	b := answer(tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])))
	if b == nil {
		tpm, err := tpmsocket.Open(s.Socket)
		if err != nil {
			return
		}
		if b, err = tpm.Send(command); err != nil {
			return
		}
	}
	conn.Write(b) //nolint:errcheck // who does not read does not want it
}

// code is the answer of a TPM that does not do something.
func code(rc tpm2.TPMRC) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(rc))
}

// attestAt attests by the TPM at a socket.
func (r *tpmRig) attestAt(socket string, flags ...string) []string {
	return slices.Concat([]string{"attest", "tpm", "--swtpm", socket, "--event-log", r.log}, r.service, flags)
}

func TestATPMThatGoesAwayWhileItQuotesIsNamed(t *testing.T) {
	r := newRig(t)
	certificate := r.certificate(t, "rsassa")
	socket := middleman(t, r.tpm, func(cc tpm2.TPMCC) []byte {
		if cc == tpm2.TPMCCQuote {
			r.tpm.Stop()
		}
		return nil
	})
	o := assay(t, r.attestAt(socket, "--aik-cert", certificate)...)
	o.want(t, exitUsage, "", "the TPM went away while quoting the PCRs")
	if o.want(t, exitUsage, "", "dmesg"); o.stdout != "" {
		t.Errorf("printed %q", o.stdout)
	}
	wantTrouble(t, "the TPM went away while listing what is in it", "dmesg", r.attestAt(socket)...) // it still is away
	wantTrouble(t, "nobody listens at "+r.tpm.Socket, "start it: swtpm socket", r.attestAt(r.tpm.Socket)...)
	device := slices.Concat([]string{"attest", "tpm", "--device", os.DevNull, "--event-log", r.log}, r.service)
	wantTrouble(t, "the TPM went away while listing what is in it", "dmesg", device...) // a device that says nothing
}

// TestWhatATPMRefusesIsTold: what a rig cannot bring a TPM to, the middleman answers.
func TestWhatATPMRefusesIsTold(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		command       tpm2.TPMCC
		code          tpm2.TPMRC
		cause, remedy string
	}{
		{tpm2.TPMCCQuote, tpm2.TPMRCLockout, "failed while quoting the PCRs", "it is locked after wrong passwords: wait for its recovery time"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCObjectHandles, "failed while making the attestation key", "Use /dev/tpmrm0"},
		{tpm2.TPMCCPCRRead, tpm2.TPMRCFailure, "failed while reading the PCRs", "restart the machine"},
	} {
		socket := middleman(t, r.tpm, func(cc tpm2.TPMCC) []byte {
			if cc != test.command {
				return nil
			}
			return code(test.code)
		})
		wantTrouble(t, test.cause, test.remedy, r.attestAt(socket)...)
	}
}

// TestAFullTPMIsTold: other programs have left it no slot for a key, or none for a session, which only enrolling needs.
func TestAFullTPMIsTold(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	tpm := maker.Start(t)
	tpm.Boot(t, vectortest.Read(t, rigLog))
	service, _ := enrollingService(t, maker)
	args := slices.Concat([]string{"attest", "tpm", "--swtpm", tpm.Socket, "--event-log", vectortest.Path(t, rigLog), "--enroll"}, service)
	c := tpm.Open(t)
	var objects []tpm2.TPMHandle
	for {
		answer, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		if err != nil {
			break
		}
		objects = append(objects, answer.ObjectHandle)
	}
	wantTrouble(t, "TPM_RC_OBJECT_MEMORY", "tpm2_flushcontext -t", args...)
	for _, h := range objects {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
	var closers []func() error
	for {
		_, closer, err := tpm2.PolicySession(c, tpm2.TPMAlgSHA256, 16)
		if err != nil {
			break
		}
		closers = append(closers, closer)
	}
	wantTrouble(t, "TPM_RC_SESSION_MEMORY", "tpm2_flushcontext -l -s", args...)
	for _, closer := range closers {
		if err := closer(); err != nil {
			t.Fatal(err)
		}
	}
	assay(t, args...).want(t, exitOK, "VERIFIED", "")
}
