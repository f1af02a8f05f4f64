package attester

import (
	"crypto/sha256"
	"errors"
	"io/fs"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/vendorca"
)

// ReportDataSize is how many bytes a machine has signed at the wish of whoever asks for evidence.
const ReportDataSize = 64

// ReportData is what evidence has to be asked for so that it vouches for runtime data: its SHA-256 and zeros. Without runtime data it is zero.
func ReportData(runtime []byte) (data [ReportDataSize]byte) {
	if runtime != nil {
		sum := sha256.Sum256(runtime)
		copy(data[:], sum[:])
	}
	return data
}

// Guest is the ways to evidence of its own that Linux offers a confidential machine, and Gramine an enclave (sev-snp.md section 6, sgx-tdx.md section 11).
// Its methods look again each time. What they give nobody has verified; their errors are *[Problem].
type Guest struct {
	Files Files // must be given
	// Control does an ioctl on the device of a path, which it opens and closes. The argument is that of the kernel's headers, and may hold addresses.
	// It must be given.
	Control func(device string, request uint32, argument []byte) error
	VMPL    *int // privilege level, 0 to 3, that a report of SEV-SNP is for; nil: what the kernel takes
}

// Files is the files of the machine. Paths begin with a slash. The errors are those of package os.
type Files interface {
	Mkdir(path string) error
	Remove(path string) error
	// Read gives the content of a file, or the first limit bytes of it.
	Read(path string, limit int) ([]byte, error)
	// Write writes into a file that is there, at one go.
	Write(path string, b []byte) error
}

// Where evidence comes from.
const (
	FromTSM     = "configfs-tsm"
	FromDevice  = "sev-guest"
	FromGramine = "gramine"
)

// Evidence is what a machine says of itself.
type Evidence struct {
	Source  string     // [FromTSM] and its like
	Report  []byte     // of SEV-SNP the report of 1184 bytes, of TDX and SGX the quote
	Chain   *snp.Chain // certificates that the host of a SEV-SNP guest gave; nil: none
	Warning *Problem   // what a service may miss; nil: nothing
}

// SNPDocument makes the member report of a request to /attest/SevSnpVm (api.md section 7.4) of a report and its certificates; nil: none.
func SNPDocument(report []byte, chain *snp.Chain) ([]byte, error) {
	document := struct {
		Report string `json:"SnpReport"`
		Chain  string `json:"VcekCertChain,omitzero"`
	}{Report: b64.URL(report)}
	if chain != nil {
		document.Chain = b64.URL(append(vendorca.PEM(chain.Leaf), vendorca.PEM(chain.Others...)...))
	}
	return json.Marshal(document)
}

// Where Linux makes reports of SEV-SNP without configfs.
const snpGuestDevice = "/dev/sev-guest"

// absent is the error of a way to evidence that the machine does not have.
type absent struct{ error }

func (a absent) Unwrap() error { return a.error }

// SNP has a report of this SEV-SNP guest made: by configfs-tsm, or by /dev/sev-guest where that is not there.
func (g *Guest) SNP(data [ReportDataSize]byte) (*Evidence, error) {
	if g.VMPL != nil && (*g.VMPL < 0 || *g.VMPL > maxVMPL) {
		return nil, problem("there is no such privilege level", "name a VMPL from 0 to 3", nil)
	}
	e, err := g.tsm(tsmSNP(), data)
	if errors.As(err, new(absent)) {
		without := err
		if e, err = g.snpDevice(data); errors.As(err, new(absent)) {
			return nil, noGuest("a guest of SEV-SNP: there is neither "+tsmReports+" with a provider nor "+snpGuestDevice,
				"start the virtual machine as one of SEV-SNP, load the module sev-guest, and mount configfs; the device needs Linux 5.19, configfs-tsm 6.7. "+
					"On Azure the paravisor has the device: read the HCL report from the TPM (tpm2_nvread 0x01400001) and give that file", errors.Join(without, err))
		}
	}
	if err != nil {
		return nil, err
	}
	return e, e.checkSNP(data)
}

// TDX has a quote of this TDX guest made by configfs-tsm, which has it from the host's quote generation service.
func (g *Guest) TDX(data [ReportDataSize]byte) (*Evidence, error) {
	e, err := g.tsm(tsmTDX(), data)
	if errors.As(err, new(absent)) {
		return nil, g.noQuote(data, err)
	}
	if err != nil {
		return nil, err
	}
	return e, e.checkTDX(data)
}

// noQuote explains why there is no quote: the machine is no TD, or one whose kernel makes none.
func (g *Guest) noQuote(data [ReportDataSize]byte, without error) error {
	_, err := g.TDReport(data)
	switch {
	case errors.As(err, new(absent)):
		return noGuest("a TDX guest: there is neither "+tsmReports+" with a provider nor "+tdxGuestDevice,
			"start the virtual machine as a trust domain, load the module tdx-guest, and mount configfs (mount -t configfs configfs /sys/kernel/config); "+
				"this needs Linux 6.7", errors.Join(without, err))
	case err != nil:
		return err
	}
	return problem("this is a TDX guest whose kernel gives a TDREPORT only, which is no quote: nobody but its own processor can check one",
		"use Linux 6.7 or newer, load tdx-guest and mount configfs, so that the host's quote generation service (QGS) signs a quote; on Azure have the metadata "+
			"service make one (POST http://169.254.169.254/acc/tdquote) and give that file", without)
}

func noGuest(what, remedy string, err error) error {
	return problem("this machine does not look like "+what, remedy, err)
}

// denied is the problem of a file or device that this user may not use.
func denied(path string, err error) error {
	return problem(path+" is not yours to use", "run as root: making evidence is for root only", err)
}

// notThere reports whether err says that a file or device does not exist.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
