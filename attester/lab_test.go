package attester_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const (
	realLog  = "tpm/eventlogs/ubuntu-2104-no-dbx.bin" // has a SHA-256 and a SHA-384 bank
	eventLog = "sys/kernel/security/tpm0/binary_bios_measurements"
	imaLog   = "sys/kernel/security/ima/binary_runtime_measurements"
)

func roots(ca *swtpmtest.CA) *tpm.Roots {
	return tpm.NewRoots([]tpm.Root{{Certificate: ca.Certificate}}, nil)
}

func noRoots() *tpm.Roots { return tpm.NewRoots(nil, nil) }

// machine is a machine on swtpm that booted as the real log says.
func machine(t *testing.T, s *swtpmtest.TPM) *attester.Machine {
	t.Helper()
	log := vectortest.Read(t, realLog)
	s.Boot(t, log)
	c, err := attester.OpenSocket(s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &attester.Machine{TPM: c, Logs: attester.Logs{Root: fstest.MapFS{eventLog: {Data: log}}}}
}

// judge is a service as far as this package sees it: it verifies the evidence with the package of the real one and answers
// with a text instead of a report.
type judge struct {
	t           *testing.T
	roots       *tpm.Roots
	required    uint32
	uncertified bool
	verified    *attreq.Verified
}

const testChallenge = "0123456789abcdef"

func (j *judge) post(_ context.Context, path string, body []byte) ([]byte, error) {
	if path != "/attest/Tpm" {
		j.t.Errorf("posted to %s", path)
	}
	var outer struct{ Data string }
	if err := json.Unmarshal(body, &outer); err != nil {
		j.t.Fatal(err)
	}
	inner, err := base64.RawURLEncoding.DecodeString(outer.Data)
	if err != nil {
		j.t.Fatal(err)
	}
	m, err := attreq.ParseMessage(inner)
	if err != nil {
		return nil, err
	}
	var answer []byte
	if m.Request == "" {
		answer, err = m.AnswerChallenge([]byte(testChallenge), `opaque "context"`)
	} else {
		if err := j.verify(m.Request); err != nil {
			return nil, err
		}
		answer, err = m.AnswerReport("the report")
	}
	return []byte(`{"data":"` + base64.RawURLEncoding.EncodeToString(answer) + `"}`), err
}

func (j *judge) verify(jws string) error {
	request, err := attreq.Parse(jws, attreq.DefaultLimits())
	if err != nil {
		return err
	}
	signed, err := request.VerifySignature()
	if err != nil {
		return err
	}
	if signed.Context() != `opaque "context"` {
		j.t.Errorf("context %s", signed.Context())
	}
	fresh, err := signed.Answer([]byte(testChallenge))
	if err != nil {
		return err
	}
	j.verified, err = fresh.Verify(attreq.Input{At: time.Now(), Roots: j.roots, RequiredPCRs: j.required, WithoutCertificate: j.uncertified})
	return err
}

// claim gives a claim as text.
func (j *judge) claim(name string) string {
	j.t.Helper()
	claims, err := j.verified.Claims(attreq.ClaimOptions{})
	if err != nil {
		j.t.Fatal(err)
	}
	for _, c := range claims {
		if c.Name == name {
			b, err := json.Marshal(c.Value)
			if err != nil {
				j.t.Fatal(err)
			}
			return strings.TrimSpace(string(b))
		}
	}
	return ""
}
