package enrol

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/seal"
)

const own = "0123456789abcdef0123456789abcdef"

func instant() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

func sealKey(t testing.TB) *seal.Key {
	t.Helper()
	key, err := seal.Create(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// lab is a machine of a simulated maker and its parsed keys.
type lab struct {
	machine *assaytest.TPMScenario
	sent    *assaytest.TPMEnrolment
	ek, aik *tpm.Public
}

// vendor makes its RSA keys once.
var vendor = sync.OnceValue(assaytest.WellKnownTPMVendor)

func newLab(t testing.TB) lab {
	t.Helper()
	l := lab{machine: vendor().Scenario()}
	var err error
	if l.sent, err = l.machine.Enrolment(); err != nil {
		t.Fatal(err)
	}
	if l.ek, err = tpm.ParsePublic(l.sent.EKPublic); err != nil {
		t.Fatal(err)
	}
	if l.aik, err = tpm.ParsePublic(l.sent.AIKPublic); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l lab) challenge(t testing.TB, e *Enroller, edits ...func(*Candidate)) (context string, secret []byte) {
	t.Helper()
	c := Candidate{ProviderID: own, AIK: l.aik, EK: tpm.KeyHash{1, 2}, Pinned: true, Device: Device{"id:1", "é", ""}}
	for _, edit := range edits {
		edit(&c)
	}
	made, err := e.Challenge(c, l.ek, instant())
	if err != nil {
		t.Fatal(err)
	}
	if want := instant().Add(5 * time.Minute); !made.Expires.Equal(want) {
		t.Errorf("expires %s, want %s", made.Expires, want)
	}
	secret, err = l.machine.ActivateCredential(l.sent.AIKPublic, made.Credential.Blob, made.Credential.Secret)
	if err != nil || len(secret) != 32 {
		t.Fatalf("secret %x, %v", secret, err)
	}
	return made.Context, secret
}

func refused(t *testing.T, err error, text string) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || r.Check != evidence.AIKEnrolment || !strings.Contains(r.Problem, text) || r.Remedy == "" {
		t.Errorf("got %v, want a refusal of %s with a remedy that says %q", err, evidence.AIKEnrolment, text)
	}
}

// TestAnyReplicaActivates what another one challenged, to the same certificate id every time.
func TestAnyReplicaActivates(t *testing.T) {
	key, l := sealKey(t), newLab(t)
	context, secret := l.challenge(t, New(key))
	first, err := New(key).Activate(context, secret, own, instant())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.AIK.Name, l.aik.Name) || first.EK != (tpm.KeyHash{1, 2}) || !first.Pinned || first.Device != (Device{"id:1", "é", ""}) {
		t.Errorf("got %+v", first)
	}
	again, err := New(key).Activate(context, secret, own, instant().Add(4*time.Minute))
	if err != nil || again.ID != first.ID || len(first.ID) != 32 {
		t.Errorf("ids %s and %v, %v", first.ID, again, err)
	}
	other, otherSecret := l.challenge(t, New(key))
	if second, err := New(key).Activate(other, otherSecret, own, instant()); err != nil || second.ID == first.ID || other == context || bytes.Equal(otherSecret, secret) {
		t.Errorf("another challenge: %v, %v", second, err)
	}
}

func TestAnswersThatActivateNothing(t *testing.T) {
	key, l := sealKey(t), newLab(t)
	e := New(key)
	context, secret := l.challenge(t, e)
	other, otherSecret := l.challenge(t, e)
	for name, tt := range map[string]struct {
		context, provider string
		secret            []byte
		at                time.Duration
		want              string
	}{
		"last moment":            {context, own, secret, 5*time.Minute - 1, ""},
		"expired":                {context, own, secret, 5 * time.Minute, "has expired"},
		"secret of another one":  {context, own, otherSecret, 0, "not the one of the challenge"},
		"context of another one": {other, own, secret, 0, "not the one of the challenge"},
		"no secret":              {context, own, nil, 0, "not the one of the challenge"},
		"short secret":           {context, own, secret[:31], 0, "not the one of the challenge"},
		"long secret":            {context, own, append(bytes.Clone(secret), 0), 0, "not the one of the challenge"},
		"another provider":       {context, "another", secret, 0, "another attestation provider"},
		"another provider, late": {context, "another", secret, time.Hour, "another attestation provider"},
		"no context":             {"", own, secret, 0, "not one that this service makes"},
		"not base64":             {"%%%", own, secret, 0, "not one that this service makes"},
		"a salt alone":           {b64.URL(make([]byte, saltSize)), own, secret, 0, "not one that this service makes"},
		"made up":                {b64.URL(make([]byte, 200)), own, secret, 0, "changed on its way"},
		"longest":                {strings.Repeat("A", MaxContext), own, secret, 0, "changed on its way"},
		"too long":               {strings.Repeat("A", MaxContext+1), own, secret, 0, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := e.Activate(tt.context, tt.secret, tt.provider, instant().Add(tt.at))
			if tt.want == "" {
				if err != nil || got == nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, tt.want)
		})
	}
	_, err := New(sealKey(t)).Activate(context, secret, own, instant())
	refused(t, err, "made by another service")
}

func TestNoByteOfAContextCanBeChanged(t *testing.T) {
	e, l := New(sealKey(t)), newLab(t)
	context, secret := l.challenge(t, e)
	b, err := b64.DecodeURL(context)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, secret) || bytes.Contains(b, []byte(own)) {
		t.Error("the context can be read")
	}
	for i := range b {
		b[i] ^= 1
		_, err := e.Activate(b64.URL(b), secret, own, instant())
		refused(t, err, "changed on its way")
		b[i] ^= 1
	}
}

func TestTheLargestContextFits(t *testing.T) {
	e, l := New(sealKey(t)), newLab(t)
	long := strings.Repeat("m", 64)
	context, secret := l.challenge(t, e, func(c *Candidate) {
		c.ProviderID, c.Device = strings.Repeat("p", MaxProviderID), Device{long, long, long}
	})
	if n := len(context); n > MaxContext-b64Len(2048-len(l.sent.AIKPublic)) {
		t.Errorf("%d characters with a key of %d bytes: one of 2048 would not fit into %d", n, len(l.sent.AIKPublic), MaxContext)
	}
	if _, err := e.Activate(context, secret, strings.Repeat("p", MaxProviderID), instant()); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"", strings.Repeat("p", MaxProviderID+1)} {
		if _, err := e.Challenge(Candidate{ProviderID: id, AIK: l.aik}, l.ek, instant()); err == nil {
			t.Errorf("challenged for an id of %d bytes", len(id))
		}
	}
}

func b64Len(n int) int { return (n*4 + 2) / 3 }

func TestTheCAOfAProviderIsTheSameEverywhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "seal.key")
	if _, err := seal.Create(name); err != nil {
		t.Fatal(err)
	}
	authority := func(key *seal.Key, id string) *Authority {
		a, err := New(key).Authority(id)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	reopened, err := seal.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	a := authority(reopened, own)
	if b := authority(again, own); !bytes.Equal(a.Certificate.Raw, b.Certificate.Raw) || !a.key.Equal(b.key) {
		t.Error("the CA differs")
	}
	if b := authority(again, "another"); a.key.Equal(b.key) || bytes.Equal(a.Certificate.RawSubject, b.Certificate.RawSubject) {
		t.Error("two providers have one CA")
	}
	if b := authority(sealKey(t), own); a.key.Equal(b.key) {
		t.Error("two services have one CA")
	}
	c := a.Certificate
	if !c.IsCA || c.MaxPathLen != 0 || c.KeyUsage != x509.KeyUsageCertSign || c.CheckSignatureFrom(c) != nil {
		t.Errorf("the certificate is %+v", c)
	}
}

// TestCertificatesSayWhatTheSpecificationWants: native.md section 4, and what the verifier demands of the certificates of AIKs.
func TestCertificatesSayWhatTheSpecificationWants(t *testing.T) {
	e, l := New(sealKey(t)), newLab(t)
	ek, err := x509.ParseCertificate(l.sent.EKCertificate)
	if err != nil {
		t.Fatal(err)
	}
	for name, device := range map[string]Device{"certified": DeviceOf(ek), "pinned": {}} {
		context, secret := l.challenge(t, e, func(c *Candidate) { c.Device = device })
		activated, err := e.Activate(context, secret, own, instant())
		if err != nil {
			t.Fatal(err)
		}
		ca, err := e.Authority(own)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ca.Issue(activated, instant())
		if err != nil {
			t.Fatal(err)
		}
		if !c.NotAfter.Equal(instant().AddDate(0, 0, 90)) || c.NotBefore.After(instant()) || c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA ||
			len(c.UnknownExtKeyUsage) != 1 || !c.UnknownExtKeyUsage[0].Equal(asn1.ObjectIdentifier{2, 23, 133, 8, 3}) || len(c.Subject.Names) != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if id := hex.EncodeToString(c.SerialNumber.Bytes()); id != activated.ID || tpm.CertificateID(c) != id {
			t.Errorf("serial number %s, id %s", id, activated.ID)
		}
		if got, want := tpm.DeviceName(c), tpm.DeviceName(ek); name == "certified" && (got != want || got[0] != "id:41535359") || name == "pinned" && got != [3]string{unknown, unknown, unknown} {
			t.Errorf("%s: device %q, that of the EK %q", name, got, want)
		}
		roots := tpm.NewRoots(nil, nil).With(tpm.Enrolled{Issuer: ca.Certificate})
		if _, err := roots.VerifyAIK(c.Raw, instant()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err = roots.VerifyAIK(c.Raw, instant().Add(Validity+time.Second))
		if err == nil || !strings.Contains(err.Error(), activated.ID) || !strings.Contains(err.Error(), "has expired") {
			t.Errorf("%s: after 90 days: %v", name, err)
		}
	}
}

func FuzzActivate(f *testing.F) {
	e, l := New(sealKey(f)), newLab(f)
	context, secret := l.challenge(f, e)
	f.Add(context, secret)
	f.Add(context[:100], secret)
	f.Add("", []byte{})
	want := sha256.Sum256([]byte(context))
	f.Fuzz(func(t *testing.T, text string, answer []byte) {
		got, err := e.Activate(text, answer, own, instant())
		if err == nil && (got == nil || sha256.Sum256([]byte(strings.TrimRight(text, "="))) != want || !bytes.Equal(answer, secret)) {
			t.Errorf("activated with %q and %x", text, answer)
		}
		if _, ok := errors.AsType[*evidence.Refusal](err); err != nil && !ok {
			t.Errorf("not a refusal: %v", err)
		}
	})
}
