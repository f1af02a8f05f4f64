package assaytest_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

func TestEveryPartPassesTheHook(t *testing.T) {
	s := assaytest.NewIntel().Scenario(now)
	s.QuoteVersion, s.OpenEnclave = 4, true
	seen := make(map[assaytest.Part]bool)
	s.Edit.Bytes = func(p assaytest.Part, b []byte) []byte {
		if len(b) == 0 {
			t.Errorf("%s: nothing to edit", p)
		}
		seen[p] = true
		return b
	}
	pieces(t, s)
	for _, p := range []assaytest.Part{
		assaytest.QuoteBody, assaytest.QuoteSignature, assaytest.AttestationKey, assaytest.QEReport, assaytest.QEReportSignature,
		assaytest.PCKChainPEM, assaytest.CertificationData, assaytest.QECertification, assaytest.SignatureData, assaytest.Evidence,
		assaytest.TCBInfoBody, assaytest.TCBInfo, assaytest.TCBInfoChain,
		assaytest.QEIdentityBody, assaytest.QEIdentity, assaytest.QEIdentityChain, assaytest.PCKCRL, assaytest.RootCRL,
		assaytest.Root.Certificate(), assaytest.PlatformCA.Certificate(), assaytest.PCK.Certificate(), assaytest.TCBSigning.Certificate(),
	} {
		if !seen[p] {
			t.Errorf("%s: never offered to the hook", p)
		}
		delete(seen, p)
	}
	if len(seen) != 0 {
		t.Errorf("parts without a name of their own: %v", seen)
	}
}

func TestEverySignedPartAsksForItsSigner(t *testing.T) {
	intel := assaytest.NewIntel()
	s := intel.Scenario(now)
	got := make(map[assaytest.Part]assaytest.Role)
	s.Edit.Signer = func(p assaytest.Part, signer assaytest.Signer) assaytest.Signer {
		if signer.By != intel {
			t.Errorf("%s: signed by another Intel", p)
		}
		got[p] = signer.Role
		return signer
	}
	pieces(t, s)
	for p, want := range map[assaytest.Part]assaytest.Role{
		assaytest.QuoteSignature:           assaytest.QuotingEnclave,
		assaytest.QEReportSignature:        assaytest.PCK,
		assaytest.PCK.Certificate():        assaytest.PlatformCA,
		assaytest.PlatformCA.Certificate(): assaytest.Root,
		assaytest.TCBSigning.Certificate(): assaytest.Root,
		assaytest.Root.Certificate():       assaytest.Root,
		assaytest.TCBInfoBody:              assaytest.TCBSigning,
		assaytest.QEIdentityBody:           assaytest.TCBSigning,
		assaytest.PCKCRL:                   assaytest.PlatformCA,
		assaytest.RootCRL:                  assaytest.Root,
	} {
		if got[p] != want {
			t.Errorf("%s: signed by %q, want %q", p, got[p], want)
		}
	}
}

func TestCertificatesFollowTheSpecification(t *testing.T) {
	const caUse, leafUse = x509.KeyUsageCertSign | x509.KeyUsageCRLSign, x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	for role, want := range map[assaytest.Role]struct {
		name    string
		ca      bool
		pathLen int
		use     x509.KeyUsage
	}{
		assaytest.Root:        {"Intel SGX Root CA", true, 1, caUse},
		assaytest.ProcessorCA: {"Intel SGX PCK Processor CA", true, 0, caUse},
		assaytest.PlatformCA:  {"Intel SGX PCK Platform CA", true, 0, caUse},
		assaytest.TCBSigning:  {"Intel SGX TCB Signing", false, -1, leafUse},
		assaytest.PCK:         {"Intel SGX PCK Certificate", false, -1, leafUse},
	} {
		s := assaytest.NewIntel().Scenario(now)
		s.PCKChain = []assaytest.Role{role}
		quote, err := s.Quote()
		if err != nil {
			t.Fatal(err)
		}
		c := certificates(t, quote[1052:])[0]
		pathLen := c.MaxPathLen
		if !c.IsCA {
			pathLen = -1
		}
		if c.Subject.CommonName != want.name || c.IsCA != want.ca || pathLen != want.pathLen || c.KeyUsage != want.use {
			t.Errorf("%s: %q, CA %t, path length %d, key usage %b; want %+v", role, c.Subject.CommonName, c.IsCA, pathLen, c.KeyUsage, want)
		}
		if got := c.Subject.String(); got != "CN="+want.name+",O=Intel Corporation,L=Santa Clara,ST=CA,C=US" {
			t.Errorf("%s: subject %s", role, got)
		}
	}
}

func TestScenariosShareNothing(t *testing.T) {
	intel := assaytest.NewIntel()
	want := pieces(t, intel.Scenario(now))
	s := intel.Scenario(now)
	s.AuthData[0] ^= 1
	s.PCKChain[0] = assaytest.ForgedPCK
	s.QELevels[0].Status = "Revoked"
	levels := assaytest.TCBLevels(assaytest.StandardEvaluation)
	levels[1].Advisories[0] = "changed"
	assaytest.Faults()[0].Apply(s)
	for name, got := range pieces(t, intel.Scenario(now)) {
		if !bytes.Equal(got, want[name]) {
			t.Errorf("%s: changed through another scenario", name)
		}
	}
}

func TestZoneAndFractionOfTheTimeDoNotCount(t *testing.T) {
	intel := assaytest.NewIntel()
	want := pieces(t, intel.Scenario(now))
	for _, at := range []time.Time{now.In(time.FixedZone("", 3600)), now.Add(999 * time.Millisecond)} {
		for name, got := range pieces(t, intel.Scenario(at)) {
			if !bytes.Equal(got, want[name]) {
				t.Errorf("at %s: %s differs from that at %s", at, name, now)
			}
		}
	}
}

func TestEachQELevelGivesItsStatus(t *testing.T) {
	intel := assaytest.NewIntel()
	for _, l := range assaytest.QELevels() {
		s := intel.Scenario(now)
		s.QE.SVN = l.SVN
		got, err := judge(intel, s)
		if err != nil {
			t.Errorf("SVN %d: %v", l.SVN, err)
			continue
		}
		if string(got.QE) != l.Status || !slices.Equal(got.AdvisoryIDs, l.Advisories) {
			t.Errorf("SVN %d: got %s %v, want %s %v", l.SVN, got.QE, got.AdvisoryIDs, l.Status, l.Advisories)
		}
	}
}

func TestEnclaveIsReportedAsAsked(t *testing.T) {
	intel := assaytest.NewIntel()
	s := intel.Scenario(now)
	s.Enclave.Debug, s.Enclave.ProdID, s.Enclave.SVN = true, 300, 400
	got, err := judge(intel, s)
	if err != nil {
		t.Fatal(err)
	}
	claims := make(map[string]any)
	for _, c := range got.Claims() {
		claims[c.Name] = c.Value
	}
	for name, want := range map[string]any{
		"x-ms-sgx-is-debuggable": true, "x-ms-sgx-product-id": int64(300), "x-ms-sgx-svn": int64(400),
	} {
		if claims[name] != want {
			t.Errorf("%s: got %v, want %v", name, claims[name], want)
		}
	}
}

func TestTypeFollowsTheEnvelope(t *testing.T) {
	s := assaytest.NewIntel().Scenario(now)
	if got := s.Type(); got != evidence.SgxEnclave {
		t.Errorf("bare quote: %s, want %s", got, evidence.SgxEnclave)
	}
	bare, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	s.OpenEnclave = true
	if got := s.Type(); got != evidence.OpenEnclave {
		t.Errorf("Open Enclave report: %s, want %s", got, evidence.OpenEnclave)
	}
	report, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	header := []byte{1, 0, 0, 0, 2, 0, 0, 0, byte(len(bare)), byte(len(bare) >> 8), 0, 0, 0, 0, 0, 0}
	if want := append(header, bare...); !bytes.Equal(report, want) {
		t.Errorf("Open Enclave report begins %x, want %x", report[:16], want[:16])
	}
}
