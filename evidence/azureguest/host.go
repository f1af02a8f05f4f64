package azureguest

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// Verified is an Azure guest whose attestation key a hardware report, or the certificate of a trusted vTPM, vouches for.
type Verified struct {
	machine *Machine
	runtime *hcl.RuntimeData // nil for trusted launch
}

// OnSNP holds the machine against a verified SEV-SNP report (azure-guest.md section 3 step 6): requested by the paravisor, at VMPL 0, for the runtime
// data whose HCLAkPub is the attestation key. The error is an [evidence.Refusal].
func (m *Machine) OnSNP(r *snp.Verified) (*Verified, error) {
	if err := m.is(SevSnp); err != nil {
		return nil, err
	}
	if r.Report.VMPL != 0 {
		return nil, evidence.Refuse(evidence.PrivilegeLevel, "the guest's operating system may have requested the report itself, with any report data").
			Want("VMPL 0", r.Report.VMPL).Do("send the report that the paravisor requested, at NV index 01400001")
	}
	m.journal.Pass(evidence.PrivilegeLevel, "0")
	return m.on(r.Report.ReportData)
}

// OnTDX holds the machine against a verified quote of a TD likewise.
func (m *Machine) OnTDX(d *tdx.Verified) (*Verified, error) {
	if err := m.is(Tdx); err != nil {
		return nil, err
	}
	return m.on(d.Report.ReportData)
}

// OnTrustedLaunch goes by the certificate of the attestation key alone, for guests without a hardware report. The error is an [evidence.Refusal].
func (m *Machine) OnTrustedLaunch() (*Verified, error) {
	if err := m.is(TrustedLaunch); err != nil {
		return nil, err
	}
	return &Verified{machine: m}, nil
}

// is checks that the machine said to be of the type that it is held against.
func (m *Machine) is(t Isolation) error {
	if m.bundle.Isolation == t {
		return nil
	}
	return evidence.Refuse(evidence.IsolationType, "the evidence is of another kind of machine").Want(m.bundle.Isolation, t).
		Do("send the evidence of the type that IsolationInfo.Type names")
}

// on goes from the report data to the attestation key.
func (m *Machine) on(reportData [64]byte) (*Verified, error) {
	var want [64]byte
	sum := sha256.Sum256(m.bundle.RuntimeData)
	copy(want[:], sum[:])
	if reportData != want {
		return nil, evidence.Refuse(evidence.RuntimeData, "the runtime data is not what the hardware report vouches for").
			Want("report data "+hex.EncodeToString(want[:]), hex.EncodeToString(reportData[:])).
			Do("send report and runtime data as they stand in one HCL report of NV index 01400001, byte for byte")
	}
	m.journal.Pass(evidence.RuntimeData, hex.EncodeToString(sum[:]))
	runtime, err := hcl.ParseRuntimeData(m.bundle.RuntimeData)
	if err != nil {
		return nil, err
	}
	m.journal.Pass(evidence.HCLRuntime, "")
	if !m.aik.Equal(runtime.AK) {
		return nil, evidence.Refuse(evidence.AKBinding, "the paravisor vouches for another attestation key than the one that made the quote").
			Want("HCLAkPub "+keyText(m.aik), keyText(runtime.AK)).Do("send quote, report and runtime data of one machine and one boot")
	}
	m.journal.Pass(evidence.AKBinding, keyText(m.aik))
	return &Verified{m, runtime}, nil
}

// keyText names a key in a refusal, which has one that a refusal may name: tpm.HashKey takes those that were accepted.
func keyText(key *rsa.PublicKey) string {
	hash, err := tpm.HashKey(key)
	if err != nil {
		return fmt.Sprintf("RSA of %d bits", key.N.BitLen())
	}
	return hash.String()
}

// Recipient is the key that the token is to be encrypted to.
func (v *Verified) Recipient() *rsa.PublicKey { return v.machine.sealing }

// RuntimeData is the runtime data of the paravisor as JSON to be shown in the token; nil for trusted launch.
func (v *Verified) RuntimeData() jsontext.Value {
	if v.runtime == nil {
		return nil
	}
	return v.runtime.JSON
}

// Version is AttestationProtocolVersion.
func (v *Verified) Version() string { return v.machine.bundle.Version }

// PCR gives the quoted SHA-256 value of a PCR; nil if it is not quoted.
func (v *Verified) PCR(index int) []byte {
	if index < 0 || index >= tpm.PCRCount {
		return nil
	}
	return v.machine.quoted.Banks()[0].Values[index]
}
