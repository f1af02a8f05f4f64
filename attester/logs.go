package attester

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// Where Linux keeps its logs, below the root of its file system (tpm-evidence.md section 8).
const (
	eventLogPath = "sys/kernel/security/tpm0/binary_bios_measurements"
	imaLogPath   = "sys/kernel/security/ima/binary_runtime_measurements"
)

// Logs says where the logs of the machine are. The IMA list grows while the machine runs, and is read again for each quote.
type Logs struct {
	Root     fs.FS  // of the machine's file system; paths are below it, without a slash in front
	EventLog string // path of the TCG log; empty: where Linux keeps it
	IMALog   string // path of the IMA list in binary form; empty: where Linux keeps it, if it does
}

// errEmptyLog is the cause of a log without a byte.
var errEmptyLog = errors.New("it has no byte")

// event reads the TCG log, which must be there.
func (l Logs) event() (bytes []byte, log *eventlog.Log, err error) {
	path, limits := or(l.EventLog, eventLogPath), eventlog.DefaultLimits()
	what := "the event log /" + path
	if bytes, err = read(l.Root, path, limits.Size); err != nil {
		return nil, nil, notOpened(what, "mount securityfs (mount -t securityfs securityfs /sys/kernel/security); if the file still is missing, the firmware "+
			"hands no log over: start in UEFI mode, not in that of a BIOS. A log from elsewhere: --event-log",
			"run as root: only root may read it", err)
	}
	if len(bytes) == 0 {
		return nil, nil, problem(what+" is empty", "the firmware measured nothing: turn the TPM and its SHA-256 bank on in the firmware's setup, and restart", errEmptyLog)
	}
	if log, err = eventlog.Parse(bytes, limits); err != nil {
		return nil, nil, problem(what+" is none", "name the binary form of the log, as the kernel has it", err)
	}
	return bytes, log, nil
}

// azure reads the TCG log of a guest of Azure, where it may be empty (azure-guest.md section 3 step 7): then log is nil.
func (l Logs) azure() (bytes []byte, log *eventlog.Log, err error) {
	if bytes, log, err = l.event(); errors.Is(err, errEmptyLog) {
		return nil, nil, nil
	}
	return bytes, log, err
}

// ima reads the IMA list, nil if the machine has none.
func (l Logs) ima() (bytes []byte, list *ima.List, err error) {
	path, limits := or(l.IMALog, imaLogPath), ima.DefaultLimits()
	what := "the IMA list /" + path
	bytes, err = read(l.Root, path, limits.Size)
	switch {
	case errors.Is(err, fs.ErrNotExist) && l.IMALog == "":
		return nil, nil, nil
	case err != nil:
		return nil, nil, notOpened(what, "name the binary form of the list", "run as root: only root may read it", err)
	case len(bytes) == 0 && l.IMALog == "":
		return nil, nil, nil
	case len(bytes) == 0:
		return nil, nil, problem(what+" is empty", "leave --ima-log out, or start the kernel with an IMA policy (ima_policy=tcb)", nil)
	}
	if list, err = ima.ParseBinary(bytes, imaTemplateHash, limits); err != nil {
		return nil, nil, problem(what+" is none", "name the binary form of the list with SHA-1 template hashes (binary_runtime_measurements, or …_sha1)", err)
	}
	return bytes, list, nil
}

// read reads a file of at most so many bytes; those of the kernel say no size.
func read(root fs.FS, path string, most int) ([]byte, error) {
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return b, err
}

func or(path, usual string) string {
	if path == "" {
		return usual
	}
	return path
}
