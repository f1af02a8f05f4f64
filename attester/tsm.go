package attester

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"github.com/assay-attestation/assay/evidence/snp"
)

// tsmReports is where Linux 6.7 and newer make reports: a folder in it is one request (Documentation/ABI/testing/configfs-tsm of the kernel).
const tsmReports = "/sys/kernel/config/tsm/report"

// Bounds of what the kernel gives.
const (
	maxAttribute = 4 << 10  // bytes of a text; one page
	maxOutblob   = 64 << 10 // bytes of a report or quote; real ones have up to 8 KB
	maxVMPL      = 3
	tsmTries     = 4 // how often a report is asked for that somebody else's writing spoils
)

// tsmKind is a kind of machine as configfs-tsm knows it.
type tsmKind struct {
	provider     string
	name         string // for people
	other        string // the command for the other kind
	remedy       string // where the provider makes no report
	certificates bool   // it gives some in auxblob
	levels       bool   // it has privilege levels
}

func tsmSNP() tsmKind {
	return tsmKind{"sev_guest", "SEV-SNP", "assay attest snp --collect",
		"look what the kernel says (dmesg | grep -i sev): after an error it wipes its key to the secure processor, and only a restart of the machine gives it another; " +
			"--vmpl must not be below the level of the kernel itself (privlevel_floor)", true, true}
}

func tsmTDX() tsmKind {
	return tsmKind{"tdx_guest", "TDX", "assay attest tdx --collect",
		"the host must run Intel's quote generation service (qgsd), and give the machine a way to it (vsock port 4050, or quote-generation-socket of QEMU); " +
			"look what the kernel says (dmesg | grep -i tdx)", false, false}
}

// errRaced is a report that somebody else's writing may have spoiled.
var errRaced = errors.New("somebody else wrote into the request meanwhile")

// tsm has a report made. The error is absent where there is no provider.
func (g *Guest) tsm(kind tsmKind, data [ReportDataSize]byte) (*Evidence, error) {
	name := make([]byte, 8)
	rand.Read(name) //nolint:errcheck // it never fails
	request := tsmReports + "/assay-" + hex.EncodeToString(name)
	if err := g.Files.Mkdir(request); err != nil {
		return nil, noRequest(err)
	}
	defer g.Files.Remove(request) //nolint:errcheck // the report is there, or another error is
	if err := g.provided(request, kind); err != nil {
		return nil, err
	}
	var err error
	for range tsmTries {
		var e *Evidence
		if e, err = g.tsmRound(request, kind, data); !errors.Is(err, errRaced) {
			return e, err
		}
	}
	return nil, problem(fmt.Sprintf("%s was written to by another program in each of %d tries", request, tsmTries),
		"find the program that writes into requests of others (lsof +D "+tsmReports+"), and end it", err)
}

// noRequest explains why no request can be made.
func noRequest(err error) error {
	switch {
	case notThere(err), errors.Is(err, syscall.ENXIO): // no configfs-tsm, or no module that provides reports
		return absent{err}
	case errors.Is(err, fs.ErrPermission):
		return denied(tsmReports, err)
	}
	return problem("no request can be made in "+tsmReports, "look whether configfs is mounted and can be written to; in a container, mount the host's", err)
}

// provided refuses a machine of another kind.
func (g *Guest) provided(request string, kind tsmKind) error {
	b, err := g.Files.Read(request+"/provider", maxAttribute)
	if err != nil {
		return unreadable(request+"/provider", kind, err)
	}
	found := strings.TrimSpace(string(b))
	if found == kind.provider {
		return nil
	}
	remedy := "attest in another way: assay doctor tells which ones there are"
	for _, other := range []tsmKind{tsmSNP(), tsmTDX()} {
		if found == other.provider {
			remedy = "this is a machine of " + other.name + ": " + other.other
		}
	}
	return problem(fmt.Sprintf("the kernel's reports are of the provider %.40q, not of %s, which %s has", found, kind.provider, kind.name), remedy, nil)
}

// tsmRound asks for a report once. The generation of the request counts the writes to it: if it counted others than ours, the report may be of
// what somebody else wrote.
func (g *Guest) tsmRound(request string, kind tsmKind, data [ReportDataSize]byte) (*Evidence, error) {
	before, err := g.generation(request, kind)
	if err != nil {
		return nil, err
	}
	writes, err := g.ask(request, kind, data)
	if err != nil {
		return nil, err
	}
	e := &Evidence{Source: FromTSM}
	if e.Report, err = g.blob(request+"/outblob", kind, maxOutblob); err != nil {
		return nil, err
	}
	if kind.certificates {
		table, err := g.blob(request+"/auxblob", kind, snp.MaxChain)
		if err != nil && !notThere(err) {
			return nil, err
		}
		e.certified(table)
	}
	after, err := g.generation(request, kind)
	if err == nil && after != before+writes {
		err = errRaced
	}
	return e, err
}

// ask writes what the report is to be of, and reports how many writes that took.
func (g *Guest) ask(request string, kind tsmKind, data [ReportDataSize]byte) (writes uint64, err error) {
	if err := g.Files.Write(request+"/inblob", data[:]); err != nil {
		return 0, unreadable(request+"/inblob", kind, err)
	}
	if !kind.levels || g.VMPL == nil {
		return 1, nil
	}
	if err := g.Files.Write(request+"/privlevel", []byte(strconv.Itoa(*g.VMPL))); err != nil {
		return 0, problem(fmt.Sprintf("the kernel makes no report for VMPL %d", *g.VMPL), "name a level that is not below that of the kernel itself ("+tsmReports+"/*/privlevel_floor), or none", err)
	}
	return 2, nil
}

func (g *Guest) generation(request string, kind tsmKind) (uint64, error) {
	b, err := g.Files.Read(request+"/generation", maxAttribute)
	if err != nil {
		return 0, unreadable(request+"/generation", kind, err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, problem(request+"/generation is no number", "use a kernel whose configfs-tsm counts writes (6.7 or newer)", err)
	}
	return n, nil
}

// blob reads bytes that the kernel makes when they are read.
func (g *Guest) blob(path string, kind tsmKind, limit int) ([]byte, error) {
	b, err := g.Files.Read(path, limit+1)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return nil, errRaced
	case err != nil:
		return nil, unreadable(path, kind, err)
	case len(b) > limit:
		return nil, problem(fmt.Sprintf("%s has more than %d bytes", path, limit), "no real one does: look what provides the reports", nil)
	}
	return b, nil
}

// unreadable explains why a part of a request cannot be read or written.
func unreadable(path string, kind tsmKind, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return denied(path, err)
	}
	return problem("the kernel made no report of "+kind.name+" ("+path+")", kind.remedy, err)
}

// certified takes over the certificates that the host gave, or warns that there are none that can be used.
func (e *Evidence) certified(table []byte) {
	const remedy = "have the host load the certificates into the table that it hands to guests (snphost import, or the cloud's own service), " +
		"give them with --chain, or attest to a service that asks AMD for them (setting snp_kds)"
	if len(bytes.Trim(table, "\x00")) == 0 {
		e.Warning = &Problem{What: "the host gave no certificates with the report", Remedy: remedy}
		return
	}
	chain, err := snp.ParseTable(table)
	if err != nil {
		e.Warning = &Problem{What: "the certificates that the host gave with the report are of no use", Remedy: remedy, Err: err}
		return
	}
	e.Chain = chain
}
