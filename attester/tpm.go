package attester

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/internal/tpmsocket"
)

// The device files of Linux: with the kernel's resource manager, and without it (tpm-evidence.md section 8).
const (
	managedDevice = "/dev/tpmrm0"
	rawDevice     = "/dev/tpm0"
)

// TPM is a TPM 2.0 that is open. It is not safe for concurrent use. The zero value is one that does not answer.
type TPM struct{ link link }

// New takes a way to a TPM that is open: an emulator elsewhere, or in the program. Close closes it.
func New(t transport.TPMCloser) *TPM { return &TPM{link{t}} }

// DefaultDevice gives the device file of the machine whose files are below root ("/" for this one): /dev/tpmrm0, or /dev/tpm0 if only that one is there.
func DefaultDevice(root string) string {
	managed, raw := filepath.Join(root, managedDevice), filepath.Join(root, rawDevice)
	if _, err := os.Stat(managed); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(raw); err == nil {
			return raw
		}
	}
	return managed
}

// OpenDevice opens the TPM behind a device file, such as [DefaultDevice] names it. The error is a *[Problem].
func OpenDevice(path string) (*TPM, error) {
	const absent = "turn the TPM on in the firmware's setup (names: TPM, PTT, fTPM, security device); in a virtual machine add one"
	const denied = "run as root, or join the group of the file (usually tss)"
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, notOpened("the TPM "+path, absent, denied, err)
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeDevice == 0 {
		return nil, errors.Join(problem(path+" is no device", "name a device file such as "+managedDevice, err), f.Close())
	}
	return New(transport.FromReadWriteCloser(f)), nil
}

// OpenSocket opens the swtpm that listens on a unix socket (option --server type=unixio). The error is a *[Problem].
func OpenSocket(path string) (*TPM, error) {
	const absent = "start it: swtpm socket --tpm2 --tpmstate dir=DIR --server type=unixio,path=SOCKET --flags not-need-init,startup-clear"
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, problem(path+" is no unix socket", "name the one that swtpm was given as --server type=unixio,path=SOCKET", nil)
	}
	s, err := tpmsocket.Open(path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, problem("nobody listens at "+path, absent, err)
	}
	if err != nil {
		return nil, notOpened("the swtpm at "+path, absent, "run as the user of swtpm", err)
	}
	return New(s), nil
}

// Close closes the way to the TPM. Nothing of this package stays in it.
func (t *TPM) Close() error {
	if t.link.TPMCloser == nil {
		return nil
	}
	if err := t.link.Close(); err != nil {
		return fmt.Errorf("closing the TPM: %w", err)
	}
	return nil
}

// link tells the errors of the way to the TPM from its answers.
type link struct{ transport.TPMCloser }

// sendTries is how often a command is sent to a TPM that wants to have it again, as it does when something that its lockout protects is used for
// the first time. Linux does likewise for its devices, and waits in between.
const sendTries = 4

func (l link) Send(command []byte) ([]byte, error) {
	if l.TPMCloser == nil {
		return nil, lost{errors.New("it was not opened")}
	}
	for try := 1; ; try++ {
		answer, err := l.TPMCloser.Send(command)
		if err != nil {
			return nil, lost{err}
		}
		if try == sendTries || !wantedAgain(answer) {
			return answer, nil
		}
	}
}

// wantedAgain reports whether an answer is TPM_RC_RETRY: the command was not begun. The code stands behind tag and size.
func wantedAgain(answer []byte) bool {
	return len(answer) >= 10 && tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:])) == tpm2.TPMRCRetry
}
