package simulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-tpm-tools/simulator"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const (
	realLog  = "tpm/eventlogs/ubuntu-2104-no-dbx.bin" // has a SHA-256 and a SHA-384 bank
	eventLog = "sys/kernel/security/tpm0/binary_bios_measurements"

	indexRSA = 0x01C00002 // certificate of the RSA-2048 endorsement key (tpm-evidence.md section 3)
	indexECC = 0x01C0000A // certificate of the P-256 endorsement key
)

// newTPM makes a TPM with seeds of its own that booted as the real log says. There can be one at a time.
func newTPM(t *testing.T) transport.TPM {
	t.Helper()
	s, err := simulator.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := transport.FromReadWriter(s)
	swtpmtest.Boot(t, c, vectortest.Read(t, realLog))
	return c
}

// open leaves a TPM open when the client closes it: the next one gets the same.
type open struct{ transport.TPM }

func (open) Close() error { return nil }

// machine is a machine with this TPM and the log of its boot.
func machine(t *testing.T, c transport.TPM) *attester.Machine {
	t.Helper()
	return &attester.Machine{
		TPM:  attester.New(open{c}),
		Logs: attester.Logs{Root: fstest.MapFS{eventLog: {Data: vectortest.Read(t, realLog)}}},
	}
}

// loaded lists the keys and sessions that are in the TPM.
func loaded(t *testing.T, c transport.TPM) []tpm2.TPMHandle {
	t.Helper()
	var all []tpm2.TPMHandle
	for _, first := range []uint32{0x80000000, 0x02000000} {
		answer, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		handles, err := answer.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, handles.Handle...)
	}
	return all
}

func flush(t *testing.T, c transport.TPM, handles []tpm2.TPMHandle) {
	t.Helper()
	for _, h := range handles {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
}

// maker certifies the endorsement keys of TPMs.
type maker struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := &maker{key: key, certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Maker of TPMs"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	if m.certificate, err = x509.ParseCertificate(m.sign(t, m.certificate, key.Public())); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *maker) sign(t *testing.T, c *x509.Certificate, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, m.certificate, key, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (m *maker) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.certificate.Raw}))
}

// certify puts a certificate of the endorsement key of the template into the TPM.
func (m *maker) certify(t *testing.T, c transport.TPM, template tpm2.TPMTPublic, usage x509.KeyUsage, index tpm2.TPMHandle) {
	t.Helper()
	swtpmtest.Store(t, c, index, m.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "EK"}, KeyUsage: usage, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
	}, endorsementKey(t, c, template)))
}

// endorsementKey is the public part of the endorsement key of a template.
func endorsementKey(t *testing.T, c transport.TPM, template tpm2.TPMTPublic) crypto.PublicKey {
	t.Helper()
	ek, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(template),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	flush(t, c, []tpm2.TPMHandle{ek.ObjectHandle})
	public, err := ek.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certifyRSA certifies the key that most TPMs have.
func (m *maker) certifyRSA(t *testing.T, c transport.TPM) {
	t.Helper()
	m.certify(t, c, tpm2.RSAEKTemplate, x509.KeyUsageKeyEncipherment, indexRSA)
}
