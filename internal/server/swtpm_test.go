package server_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const bootLog = "tpm/eventlogs/ubuntu-2104-no-dbx.bin"

// trusting is what makes a service trust the maker of a TPM.
func trusting(t testing.TB, m *swtpmtest.Maker) config.Config {
	t.Helper()
	file := func(der []byte) string {
		return tempFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	return config.Config{EKRoots: []config.AIKRoot{{File: file(m.Root.Raw)}}, EKIntermediates: []string{file(m.Issuer.Raw)}}
}

// machineOn is a machine with a TPM in software that has booted. Its AIK is an elliptic one, which is made faster than an RSA one.
func machineOn(t *testing.T, s *swtpmtest.TPM) *attester.Machine {
	t.Helper()
	log := vectortest.Read(t, bootLog)
	s.Boot(t, log)
	c, err := attester.OpenSocket(s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &attester.Machine{TPM: c, Scheme: attester.ECDSAP256, Logs: attester.Logs{Root: fstest.MapFS{"sys/kernel/security/tpm0/binary_bios_measurements": {Data: log}}}}
}

// notOK is an answer that is none of success, as an error of [attester.Post].
type notOK struct{ answer }

func (n notOK) Error() string { return fmt.Sprintf("status %d: %s", n.status, n.body) }

// client is what real machines speak to a provider through. Bodies of enrolment are edited before they are sent.
func (e *estate) client(t testing.TB, at string, edit func(path string, body map[string]any)) attester.Post {
	return through(t, func(path, body string) answer {
		return e.send(t, sending{at: at, method: http.MethodPost, path: path, body: body, contentType: "application/json", token: e.token(at + ".reader")})
	}, edit)
}

// through edits what real machines send, and judges the answers.
func through(t testing.TB, send func(path, body string) answer, edit func(path string, body map[string]any)) attester.Post {
	return func(_ context.Context, path string, body []byte) ([]byte, error) {
		if path == "/attest/Tpm" {
			path = tpmPath
		} else if edit != nil {
			var members map[string]any
			decode(t, body, &members)
			edit(path, members)
			body = []byte(text(members))
		}
		a := send(path, string(body))
		if a.status >= 300 {
			return nil, notOK{a}
		}
		return a.body, nil
	}
}

// wantRefused checks that the service refused what a machine sent, for one reason.
func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	var n notOK
	if !errors.As(err, &n) {
		t.Fatalf("got %v, want a refusal by the service", err)
	}
	n.refused(t, http.StatusBadRequest, "InvalidParameter", "", words...)
}

// errCaptured ends an enrolment whose body was wanted.
var errCaptured = errors.New("captured")

// capture gives the body that a machine would send to a path of enrolment.
func (e *estate) capture(t *testing.T, m *attester.Machine, path string) (body map[string]any) {
	t.Helper()
	post := e.client(t, "vendor", nil)
	_, err := m.Enroll(t.Context(), func(ctx context.Context, to string, b []byte) ([]byte, error) {
		if to != path {
			return post(ctx, to, b)
		}
		if err := json.Unmarshal(b, &body); err != nil {
			t.Fatal(err)
		}
		return nil, errCaptured
	})
	if !errors.Is(err, errCaptured) {
		t.Fatal(err)
	}
	return body
}

// replacing edits bodies for a path.
func replacing(path string, from map[string]any, names ...string) func(string, map[string]any) {
	return func(to string, body map[string]any) {
		for _, name := range names {
			if to == path {
				body[name] = from[name]
			}
		}
	}
}

// unrestricted makes a key in the TPM that is like its AIK, but signs whatever it is given, and gives its public area.
func unrestricted(t *testing.T, s *swtpmtest.TPM, aik any) map[string]any {
	t.Helper()
	template, err := tpm2.Unmarshal[tpm2.TPMTPublic](unb64(t, aik.(string)))
	if err != nil {
		t.Fatal(err)
	}
	template.ObjectAttributes.Restricted = false
	c := s.Open(t)
	key, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(*template),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: key.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"aikPublic": b64url(key.OutPublic.Bytes())}
}

// TestARealTPMIsEnrolledForWhatItIsOnly: each enrolment by a TPM that is not as it should be is refused for its own reason, by the service or, where the
// service cannot know, by the TPM.
func TestARealTPMIsEnrolledForWhatItIsOnly(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	s, neighbour := maker.Start(t), maker.Start(t)
	e := enrollingWith(t, trusting(t, maker))
	m, other := machineOn(t, s), machineOn(t, neighbour)
	own, theirs := e.capture(t, m, aikChallenges), e.capture(t, other, aikChallenges)
	enrol := func(m *attester.Machine, edit func(string, map[string]any)) error {
		_, err := m.Enroll(t.Context(), e.client(t, "vendor", edit))
		return err
	}
	wantRefused(t, enrol(m, replacing(aikChallenges, theirs, "ekPublic")), "ek-certificate: ", "of another key than ekPublic")
	wantRefused(t, enrol(m, replacing(aikChallenges, theirs, "ekCertificate")), "ek-certificate: ", "of another key than ekPublic")
	wantRefused(t, enrol(m, replacing(aikChallenges, unrestricted(t, s, own["aikPublic"]), "aikPublic")), "aik-key: ", "expected restricted")
	wantRefused(t, enrol(machineOn(t, swtpmtest.NewMaker(t).Start(t)), nil), "ek-certificate: ", "does not lead to a trusted root")
	for name, err := range map[string]error{
		"another TPM's EK":  enrol(m, replacing(aikChallenges, theirs, "ekPublic", "ekCertificate")),
		"another TPM's AIK": enrol(m, replacing(aikChallenges, theirs, "aikPublic")),
	} {
		var p *attester.Problem
		if !errors.As(err, &p) || !strings.Contains(p.What, "the TPM refuses the challenge") {
			t.Errorf("%s: %v", name, err)
		}
	}
	first := e.capture(t, m, aikCertificates)
	wantRefused(t, enrol(m, replacing(aikCertificates, first, "context")), "aik-enrolment: ", "not the one of the challenge")
	e.postAs(t, "pinned", "pinned.reader", aikCertificates, first).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", "another attestation provider")
	if n := e.countAIKs(t, "vendor"); n != 0 {
		t.Errorf("%d certificates were issued", n)
	}
	for _, sound := range []*attester.Machine{m, other} {
		if err := enrol(sound, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestTheAIKOfARealTPMCountsWhereAndAsLongAsItIsEnrolled: at its provider, until it is revoked.
func TestTheAIKOfARealTPMCountsWhereAndAsLongAsItIsEnrolled(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	s := maker.Start(t)
	e := enrollingWith(t, trusting(t, maker))
	m := machineOn(t, s)
	attest := func(at string) error {
		_, err := m.Attest(t.Context(), e.client(t, at, nil))
		return err
	}
	wantRefused(t, attest("vendor"), "aik-certificate: ", "no certificate")
	enrolled, err := m.Enroll(t.Context(), e.client(t, "vendor", nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := attest("vendor"); err != nil {
		t.Error(err)
	}
	wantRefused(t, attest("pinned"), "aik-certificate: ", "does not lead to a trusted root")
	e.revoke(t, enrolled.ID)
	wantRefused(t, attest("vendor"), "aik-certificate: ", enrolled.ID, "revoked")
	_, err = m.Enroll(t.Context(), e.client(t, "vendor", nil))
	wantRefused(t, err, "aik-enrolment: ", enrolled.ID, "revoked")
}

// TestTheAIKOfARealTPMExpires by the clock of the service.
func TestTheAIKOfARealTPMExpires(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	s := maker.Start(t)
	cfg := trusting(t, maker)
	cfg.Policies, cfg.Settings.AIKEnrolment = map[string]string{"Tpm": tempFile(t, permitTPM())}, "vendor"
	service := newTimeMachine(t, cfg)
	m := machineOn(t, s)
	post := through(t, func(path, body string) answer {
		token, err := service.dev.Token(auth.Reader, []string{auth.AllProviders}, nil, service.clock(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return service.do(t, http.MethodPost, path, body, "Authorization", "Bearer "+token)
	}, nil)
	enrolled, err := m.Enroll(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []time.Duration{0, time.Until(enrolled.NotAfter) - time.Minute} {
		service.startAhead(t, ahead)
		if _, err := m.Attest(t.Context(), post); err != nil {
			t.Errorf("%s ahead: %v", ahead, err)
		}
	}
	service.startAhead(t, time.Until(enrolled.NotAfter)+time.Minute)
	_, err = m.Attest(t.Context(), post)
	wantRefused(t, err, "aik-certificate: ", enrolled.ID, "has expired")
	if _, err := m.Enroll(t.Context(), post); err != nil {
		t.Errorf("enrolling again: %v", err)
	}
	if _, err := m.Attest(t.Context(), post); err != nil {
		t.Errorf("enrolled again: %v", err)
	}
}
