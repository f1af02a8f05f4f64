package attester_test

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/guesttest"
)

// on gives the fault of one operation on one file.
func on(operation, name string, err error) func(string, string) error {
	return func(o, n string) error {
		if o == operation && n == name {
			return err
		}
		return nil
	}
}

func TestEachPieceThatIsMissingIsAProblemWithItsFix(t *testing.T) {
	const level = "look what the kernel says"
	fault := func(m *guesttest.Machine, operation, name string, err error) *guesttest.Machine {
		m.Fault = on(operation, name, err)
		return m
	}
	anyMkdir := func(m *guesttest.Machine, err error) *guesttest.Machine {
		m.Fault = func(operation, _ string) error {
			if operation == "mkdir" {
				return err
			}
			return nil
		}
		return m
	}
	other := func(m *guesttest.Machine, provider string) *guesttest.Machine {
		m.Provider = provider
		return m
	}
	snp, tdx := (*attester.Guest).SNP, (*attester.Guest).TDX
	for _, tt := range []struct {
		name       string
		machine    *guesttest.Machine
		collect    func(*attester.Guest, [64]byte) (*attester.Evidence, error)
		cause, fix string
	}{
		{"nothing at all, SNP", &guesttest.Machine{}, snp, "neither /sys/kernel/config/tsm/report with a provider nor /dev/sev-guest", "load the module sev-guest"},
		{"nothing at all, TDX", &guesttest.Machine{}, tdx, "does not look like a TDX guest", "mount -t configfs"},
		{"configfs without a provider", &guesttest.Machine{TSM: true}, snp, "does not look like a guest of SEV-SNP", "load the module sev-guest"},
		{"no permission for requests", anyMkdir(snpMachine(t), fs.ErrPermission), snp, "/sys/kernel/config/tsm/report is not yours to use", "run as root"},
		{"configfs that cannot be written", anyMkdir(tdxMachine(t), syscall.EROFS), tdx, "no request can be made", "mount the host's"},
		{"provider of the other kind, SNP", other(snpMachine(t), "tdx_guest"), snp, `provider "tdx_guest", not of sev_guest`, "assay attest tdx --collect"},
		{"provider of the other kind, TDX", other(tdxMachine(t), "sev_guest"), tdx, `provider "sev_guest", not of tdx_guest`, "assay attest snp --collect"},
		{"provider of a third kind", other(tdxMachine(t), "arm_cca_guest"), tdx, `provider "arm_cca_guest"`, "assay doctor"},
		{"provider that cannot be read", fault(tdxMachine(t), "read", "provider", syscall.EIO), tdx, "provider", "qgsd"},
		{"data that cannot be written", fault(snpMachine(t), "write", "inblob", fs.ErrPermission), snp, "inblob is not yours to use", "run as root"},
		{"no report", fault(snpMachine(t), "read", "outblob", syscall.EIO), snp, "made no report of SEV-SNP", level},
		{"host without a quote service", fault(tdxMachine(t), "read", "outblob", syscall.ETIMEDOUT), tdx, "made no report of TDX", "quote generation service"},
		{"certificates that cannot be read", fault(snpMachine(t), "read", "auxblob", syscall.EIO), snp, "auxblob", level},
		{"kernel that does not count", fault(tdxMachine(t), "read", "generation", syscall.ENOENT), tdx, "generation", "qgsd"},
		{"report that is none", reports(snpMachine(t), "x"), snp, "not a report of SEV-SNP", "newer than this program"},
		{"quote that is none", reports(tdxMachine(t), "x"), tdx, "not a quote of TDX", "newer than this program"},
		{"report of something else", constant(snpMachine(t)), snp, "other report data", "try again"},
		{"quote of something else", constant(tdxMachine(t)), tdx, "other report data", "try again"},
		{"no permission for the device", fault(without(snpMachine(t)), "ioctl", "sev-guest", fs.ErrPermission), snp, "/dev/sev-guest is not yours to use", "run as root"},
		{"old kernel", refuses(without(snpMachine(t)), syscall.ENOTTY), snp, "/dev/sev-guest gave no report", "the kernel is too old"},
		{"device that is asked too often", refuses(without(snpMachine(t)), syscall.EAGAIN), snp, "/dev/sev-guest gave no report", "again in a minute"},
		{"device that fails", refuses(without(snpMachine(t)), syscall.EIO), snp, "firmware 0x0, host 0x0", "dmesg"},
		{"firmware that refuses", status(without(snpMachine(t)), 0x16), snp, "status 0x16, 1184 bytes", "VMPL"},
		{"TD without a quote service", without(tdxMachine(t)), tdx, "a TDREPORT only, which is no quote", "acc/tdquote"},
		{"TD whose device is closed", fault(without(tdxMachine(t)), "ioctl", "tdx_guest", fs.ErrPermission), tdx, "/dev/tdx_guest is not yours to use", "run as root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.collect(guest(tt.machine), [64]byte{1})
			wantProblem(t, err, tt.cause, tt.fix)
			if len(tt.machine.Requests) > 0 {
				t.Error("a request is left")
			}
		})
	}
}

func reports(m *guesttest.Machine, text string) *guesttest.Machine {
	m.Report = func([64]byte) []byte { return []byte(text) }
	return m
}

// constant has a machine make the same evidence, whatever it is asked for.
func constant(m *guesttest.Machine) *guesttest.Machine {
	b := m.Report([64]byte{0xff})
	m.Report = func([64]byte) []byte { return b }
	return m
}

func refuses(m *guesttest.Machine, err error) *guesttest.Machine {
	m.Refuses = map[uint32]error{guesttest.SNPGetExtReport: err, guesttest.SNPGetReport: err}
	return m
}

func status(m *guesttest.Machine, code uint32) *guesttest.Machine {
	m.Status = code
	return m
}

func TestEachPieceThatGramineLacksIsAProblemWithItsFix(t *testing.T) {
	kind := func(k string) *guesttest.Machine { m := enclave(t); m.Gramine = k; return m }
	noQuote := enclave(t)
	noQuote.Fault = on("read", "quote", syscall.EIO)
	closed := enclave(t)
	closed.Fault = on("write", "user_report_data", fs.ErrPermission)
	unsaid := enclave(t)
	unsaid.Fault = on("read", "attestation_type", syscall.EIO)
	for _, tt := range []struct {
		name       string
		machine    *guesttest.Machine
		cause, fix string
	}{
		{"no Gramine", &guesttest.Machine{}, "does not run in an enclave of Gramine", "gramine-sgx"},
		{"no remote attestation", kind("none"), "attestation_type none", `sgx.remote_attestation = "dcap"`},
		{"EPID", kind("epid"), `attests by "epid"`, "EPID has ended"},
		{"no quote", noQuote, "Gramine made no quote", "aesmd"},
		{"empty quote", reports(enclave(t), ""), "it has 0 bytes", "aesmd"},
		{"no quote of SGX", reports(enclave(t), "x"), "not a quote of SGX", "newer than this program"},
		{"closed", closed, "user_report_data cannot be used", "manifest"},
		{"kind that is not said", unsaid, "attestation_type", "aesmd"},
		{"another quote", constant(enclave(t)), "other report data", "try again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := guest(tt.machine).SGX([64]byte{1})
			wantProblem(t, err, tt.cause, tt.fix)
		})
	}
	if _, err := guest(kind("old")).SGX([64]byte{1}); err != nil {
		t.Errorf("a Gramine that does not say its kind: %v", err)
	}
}
