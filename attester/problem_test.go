package attester_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// wantProblem checks that an error names a cause and a remedy.
func wantProblem(t *testing.T, err error, cause, remedy string) {
	t.Helper()
	var p *attester.Problem
	if !errors.As(err, &p) || !strings.Contains(err.Error(), cause) || !strings.Contains(p.Remedy, remedy) {
		t.Errorf("got %v\nwant the cause %q and the remedy %q", err, cause, remedy)
	}
}

// answering is a TPM that answers one command with a code, and leaves the others to the real one.
type answering struct {
	transport.TPMCloser
	command tpm2.TPMCC
	code    tpm2.TPMRC
}

func (a answering) Send(command []byte) ([]byte, error) {
	if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) != a.command {
		return a.TPMCloser.Send(command)
	}
	answer := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, 10)
	return binary.BigEndian.AppendUint32(answer, uint32(a.code)), nil
}

func TestWhatATPMRefusesIsExplained(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	real := s.Open(t)
	for _, test := range []struct {
		command tpm2.TPMCC
		code    tpm2.TPMRC
		cause   string
		remedy  string
	}{
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCObjectMemory, "making the attestation key", "/dev/tpmrm0"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCMemory, "TPM_RC_MEMORY", "/dev/tpmrm0"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCBadAuth, "TPM_RC_BAD_AUTH", "password"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCHierarchy, "TPM_RC_HIERARCHY", "switched off"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCInitialize, "TPM_RC_INITIALIZE", "startup-clear"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCFailure, "TPM_RC_FAILURE", "restart the machine"},
		{tpm2.TPMCCCreatePrimary, tpm2.TPMRCCurve, "TPM_RC_CURVE", "--aik"},
		{tpm2.TPMCCQuote, tpm2.TPMRCLockout, "quoting the PCRs", "recovery time"},
		{tpm2.TPMCCQuote, tpm2.TPMRCRetry, "TPM_RC_RETRY", "try again"},
		{tpm2.TPMCCPCRRead, tpm2.TPMRCSessionMemory, "reading the PCRs", "tpm2_flushcontext -l -s"},
		{tpm2.TPMCCPCRRead, tpm2.TPMRCPCR, "TPM_RC_PCR", "part 2"}, // one that nobody thought of
	} {
		m.TPM = attester.New(answering{real, test.command, test.code})
		_, err := m.Attest(t.Context(), (&judge{t: t}).post)
		wantProblem(t, err, test.cause, test.remedy)
	}
}

// repeating is a TPM that wants to have each command so many times more.
type repeating struct {
	transport.TPMCloser
	more, left int
}

func (b *repeating) Send(command []byte) ([]byte, error) {
	if b.left > 0 {
		b.left--
		return answering{code: tpm2.TPMRCRetry, command: tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))}.Send(command)
	}
	b.left = b.more
	return b.TPMCloser.Send(command)
}

func TestATPMThatWantsACommandAgainGetsItThreeTimesMore(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	real := s.Open(t)
	for more, wants := range map[int]string{3: "", 4: "TPM_RC_RETRY"} {
		m.TPM = attester.New(&repeating{real, more, more})
		_, err := m.Attest(t.Context(), (&judge{t: t, required: 0xFF, roots: noRoots(), uncertified: true}).post)
		switch {
		case wants != "":
			wantProblem(t, err, wants, "try again")
		case err != nil:
			t.Error(err)
		}
	}
}

func TestATPMThatGoesAwayMidwayIsNamed(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	j := &judge{t: t}
	_, err := m.Attest(t.Context(), func(ctx context.Context, path string, body []byte) ([]byte, error) {
		s.Stop()
		return j.post(ctx, path, body)
	})
	wantProblem(t, err, "the TPM went away while listing what is in it", "dmesg")
	_, err = attester.OpenSocket(s.Socket)
	wantProblem(t, err, s.Socket, "start it")
}

func TestAFullTPMIsNamed(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	c := s.Open(t)
	var objects []tpm2.TPMHandle
	for {
		answer, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		if err != nil {
			break // no slot is left
		}
		objects = append(objects, answer.ObjectHandle)
	}
	_, err := m.Attest(t.Context(), (&judge{t: t}).post)
	wantProblem(t, err, "TPM_RC_OBJECT_MEMORY", "tpm2_flushcontext -t")
	for _, h := range objects {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
	for range 64 {
		if _, _, err := tpm2.PolicySession(c, tpm2.TPMAlgSHA256, 16); err != nil {
			break
		}
	}
	if _, err := m.Attest(t.Context(), (&judge{t: t, required: 0xFF, roots: noRoots(), uncertified: true}).post); err != nil {
		t.Errorf("without sessions, which attesting does not need: %v", err)
	}
	_, err = m.Enroll(t.Context(), newEnroller(t).post)
	wantProblem(t, err, "TPM_RC_SESSION_MEMORY", "tpm2_flushcontext -l -s")
}

// TestALockedTPMAttests: the keys have no passwords, so that the lockout after wrong ones is none for them.
func TestALockedTPMAttests(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	c := s.Open(t)
	template := tpm2.ECCSRKTemplate
	template.ObjectAttributes.NoDA = false
	answer, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(template),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}},
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	locked := false
	for range 100 {
		_, err = tpm2.ReadPublic{ObjectHandle: answer.ObjectHandle}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: answer.ObjectHandle, Name: answer.Name, Auth: tpm2.PasswordAuth([]byte("wrong"))},
			InPublic:     tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		if locked = errors.Is(err, tpm2.TPMRCLockout); locked {
			break
		}
	}
	if !locked {
		t.Fatalf("the TPM does not lock: %v", err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: answer.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Attest(t.Context(), (&judge{t: t, required: 0xFF, roots: noRoots(), uncertified: true}).post); err != nil {
		t.Error(err)
	}
}

func TestAHierarchyWithAPasswordIsNamed(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	_, err := tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("secret")},
	}.Execute(s.Open(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Attest(t.Context(), (&judge{t: t}).post)
	wantProblem(t, err, "making the attestation key", "tpm2_changeauth -c endorsement")
}

// denied is a file system in which nobody may read.
type denied struct{}

func (denied) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestALogThatIsMissingEmptyOrAnotherIsNamed(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	right := vectortest.Read(t, realLog)
	file := func(b []byte) *fstest.MapFile { return &fstest.MapFile{Data: b} }
	for name, test := range map[string]struct {
		logs          attester.Logs
		cause, remedy string
	}{
		"missing":      {attester.Logs{Root: fstest.MapFS{}}, "/" + eventLog + " is not there", "UEFI"},
		"denied":       {attester.Logs{Root: denied{}}, "/" + eventLog + " is not yours to read", "root"},
		"empty":        {attester.Logs{Root: fstest.MapFS{eventLog: file(nil)}}, "is empty", "SHA-256 bank"},
		"no log":       {attester.Logs{Root: fstest.MapFS{eventLog: file([]byte("text"))}}, "is none", "binary form"},
		"too long":     {attester.Logs{Root: fstest.MapFS{eventLog: file(make([]byte, 2<<20+1))}}, "longer than 2097152 bytes", ""},
		"of SHA-1":     {attester.Logs{Root: fstest.MapFS{eventLog: file(vectortest.Read(t, "tpm/eventlogs/debian-10.bin"))}}, "no SHA-256", "SHA-256 bank"},
		"of another":   {attester.Logs{Root: fstest.MapFS{eventLog: file(vectortest.Read(t, "tpm/eventlogs/arch-linux-workstation.bin"))}}, "leads neither to PCR 0 nor to PCR 7", "--event-log"},
		"IMA missing":  {attester.Logs{Root: fstest.MapFS{eventLog: file(right)}, IMALog: "list"}, "/list is not there", ""},
		"IMA empty":    {attester.Logs{Root: fstest.MapFS{eventLog: file(right), "list": file(nil)}, IMALog: "list"}, "is empty", "ima_policy"},
		"no IMA list":  {attester.Logs{Root: fstest.MapFS{eventLog: file(right), imaLog: file([]byte("text"))}}, "is none", "SHA-1 template"},
		"IMA too long": {attester.Logs{Root: fstest.MapFS{eventLog: file(right), imaLog: file(make([]byte, 16<<20+1))}}, "longer than", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m.Logs = test.logs
			_, err := m.Attest(t.Context(), (&judge{t: t}).post)
			wantProblem(t, err, test.cause, test.remedy)
		})
	}
}

// garbling flips a bit of what one command answers.
type garbling struct {
	transport.TPMCloser
	command tpm2.TPMCC
	at      int
}

func (g garbling) Send(command []byte) ([]byte, error) {
	answer, err := g.TPMCloser.Send(command)
	if err == nil && tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == g.command {
		answer[g.at] ^= 1
	}
	return answer, err
}

// TestWhatTheTPMSignsIsLookedAtBeforeItIsSent: the service would only say that it is wrong. Behind the header are the size of the parameters and, of a
// signature, its algorithm, hash and size.
func TestWhatTheTPMSignsIsLookedAtBeforeItIsSent(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	m.Key = attester.TPMKey
	for command, want := range map[tpm2.TPMCC][2]string{
		tpm2.TPMCCSign:  {"another salt", "--key software"},
		tpm2.TPMCCQuote: {"quoting the PCRs", ""},
	} {
		m.TPM = attester.New(garbling{s.Open(t), command, 10 + 4 + 6 + 20})
		_, err := m.Attest(t.Context(), answers(`{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","service_context":"c"}`))
		wantProblem(t, err, want[0], want[1])
	}
}
