package assaytest_test

import (
	"bytes"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// TestATPMInSoftwareBecomesTheVTPMOfAGuest: it has what azure-guest.md section 1 lists, and becomes that of another guest when it is done again.
func TestATPMInSoftwareBecomesTheVTPMOfAGuest(t *testing.T) {
	s := swtpmtest.Start(t)
	c, reader := s.Open(t), attester.New(s.Open(t))
	for _, isolation := range []assaytest.AzureIsolation{assaytest.AzureSevSnp, assaytest.AzureTdx, assaytest.AzureTrustedLaunch, assaytest.AzureSevSnp} {
		host := assaytest.WellKnownAzureHost(isolation, time.Now())
		log, err := host.BootLog()
		if err != nil {
			t.Fatal(err)
		}
		userData := [64]byte{1, 2, 3}
		if err := host.Provision(c, log, userData); err != nil {
			t.Fatal(err)
		}
		public, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(0x81000003)}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		ak, err := tpm.ParsePublic(public.OutPublic.Bytes())
		if err != nil || !bytes.Equal(public.OutPublic.Bytes()[4:8], []byte{0, 5, 4, 0x72}) {
			t.Errorf("%v, %x", err, public.OutPublic.Bytes())
		}
		der, err := reader.ReadIndex(0x01C101D0)
		if err != nil {
			t.Fatal(err)
		}
		if cert, err := tpm.ParseCertificate(der); err != nil || !ak.Key.(*rsa.PublicKey).Equal(cert.PublicKey) {
			t.Errorf("%v", err)
		}
		wantReport(t, reader, isolation, ak.Key)
		if data, err := reader.ReadIndex(0x01400002); err != nil || !bytes.Equal(data, userData[:]) {
			t.Errorf("%x, %v", data, err)
		}
		wantBooted(t, c, log)
	}
}

func wantReport(t *testing.T, reader *attester.TPM, isolation assaytest.AzureIsolation, ak any) {
	t.Helper()
	b, err := reader.ReadIndex(0x01400001)
	if err != nil || (b == nil) != (isolation == assaytest.AzureTrustedLaunch) {
		t.Fatal(len(b), err)
	}
	if b == nil {
		return
	}
	container, err := hcl.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := hcl.ParseRuntimeData(container.RuntimeData)
	if err != nil || !runtime.AK.Equal(ak) || !bytes.Contains(runtime.JSON, []byte(`"user-data":"010203`)) {
		t.Errorf("%v, %s", err, container.RuntimeData)
	}
}

// wantBooted checks that the PCRs are those that the log leads to, once.
func wantBooted(t *testing.T, c tpmOf, log []byte) {
	t.Helper()
	l, err := eventlog.Parse(log, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	bank, err := eventlog.Replay(tpm.SHA256, false, l)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(0, 1, 2, 3, 4, 5, 6, 7)},
	}}}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	for i, digest := range read.PCRValues.Digests {
		if !bytes.Equal(digest.Buffer, bank.Values[i]) {
			t.Errorf("PCR %d is %x, want %x", i, digest.Buffer, bank.Values[i])
		}
	}
}

// tpmOf is a TPM that takes commands.
type tpmOf = interface{ Send([]byte) ([]byte, error) }
