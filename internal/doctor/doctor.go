// Package doctor looks at a Linux machine: what it has of the hardware that attests, whether this user may use it, and what is
// to be done where something is missing. It opens devices, reads files, and reads what a TPM that it can open has in its NV indices; it changes
// nothing and asks no service. Where the kernel keeps what: tpm-evidence.md section 8.
package doctor

import "time"

// State is what was found of one thing.
type State string

// The states of a finding.
const (
	Ready   State = "ready"   // there, and this user can use it
	Absent  State = "absent"  // not there
	Denied  State = "denied"  // there, but not for this user
	Empty   State = "empty"   // there, with nothing in it
	Fault   State = "fault"   // there, but opening or reading it fails
	Skipped State = "skipped" // not looked at
)

// Finding is one thing that was looked for. Names, states and values are stable; the rest is for people.
type Finding struct {
	Name   Name   `json:"name"`
	Path   string `json:"path,omitzero"` // on the machine, where it lies below the root of the report, or the NV index in the TPM
	State  State  `json:"state"`
	Value  string `json:"value,omitzero"`  // what it says: on or off, a version, a vendor, bytes of a log
	Detail string `json:"detail,omitzero"` // in words
	Remedy string `json:"remedy,omitzero"` // what to do, if something is wrong
	// Issuer is, of an ek-certificate, whose certificate a service needs above those that the TPM has.
	Issuer *Issuer `json:"issuer,omitzero"`
}

// Name says what a finding is of.
type Name string

// The names of findings. A report has one of each, in another order, and of EKCertificate one for each certificate that the TPM has.
const (
	TPMVersion    Name = "tpm-version"
	TPMDevice     Name = "tpm-device"
	BootLog       Name = "boot-log"
	IMALog        Name = "ima-log"
	EKCertificate Name = "ek-certificate"
	SecureBoot    Name = "secure-boot"
	SGXEnclave    Name = "sgx-enclave"
	SGXProvision  Name = "sgx-provision"
	SGXAESM       Name = "sgx-aesm"
	SNPGuest      Name = "sev-guest"
	TDXGuest      Name = "tdx-guest"
	TSMReport     Name = "tsm-report"
	Vendor        Name = "vendor"
	Azure         Name = "azure"
	AzureReport   Name = "azure-report"
)

// Answer says whether the machine can attest in one way.
type Answer string

// The answers. Unknown is for what cannot be told without asking the hardware.
const (
	Can     Answer = "can"
	Cannot  Answer = "cannot"
	Unknown Answer = "unknown"
)

// Verdict is the answer for one kind of attestation.
type Verdict struct {
	Kind   string   `json:"kind"` // tpm, sgx, snp, tdx, azureguest
	Answer Answer   `json:"answer"`
	Why    string   `json:"why"`
	Do     []string `json:"do,omitzero"` // what to do for it, or what to mind
}

// Report is what was found on a machine.
type Report struct {
	Root     string    `json:"root"`
	Findings []Finding `json:"findings"`
	Verdicts []Verdict `json:"verdicts"`
}

// Place is where to look.
type Place struct {
	Root   string    // of the machine's file system: "/" for this one
	Socket string    // of an swtpm that is the TPM, in the place of the device; empty: the device
	At     time.Time // now, by which certificates are judged
}

// Examine looks at a machine. It never fails: what cannot be read is a finding.
func Examine(p Place) *Report {
	m := machine{p}
	r := &Report{Root: p.Root}
	r.Findings = append(r.Findings, m.tpmVersion(), m.tpmDevice(), m.bootLog(), m.imaLog())
	r.Findings = append(r.Findings, m.inside(r.get(TPMDevice))...)
	r.Findings = append(r.Findings, m.secureBoot())
	r.Findings = append(r.Findings, m.sgx()...)
	r.Findings = append(r.Findings, m.sevGuest(), m.tdxGuest(), m.tsmReport(), m.vendor(), m.azure())
	r.Verdicts = []Verdict{r.tpm(), r.sgx(), r.snp(), r.tdx(), r.azureGuest()}
	return r
}

// CanAttest reports whether the machine can attest in at least one way.
func (r *Report) CanAttest() bool {
	for _, v := range r.Verdicts {
		if v.Answer == Can {
			return true
		}
	}
	return false
}

// get is the finding of a name, which every report has.
func (r *Report) get(name Name) Finding {
	for _, f := range r.Findings {
		if f.Name == name {
			return f
		}
	}
	return Finding{Name: name, State: Absent}
}
