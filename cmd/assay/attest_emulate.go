package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/tpmsocket"
)

// azureEmulation is a simulated Azure host in the place of a real one.
type azureEmulation struct {
	wanted    bool
	isolation assaytest.AzureIsolation
}

func (e *azureEmulation) declare(c *call) {
	c.BoolVar(&e.wanted, "emulate", false, "have a simulated Azure host stand in, on the TPM of --swtpm or one that is started for this")
	c.isolation(&e.isolation, "with --emulate")
}

// Where an emulated machine keeps its log, below its folder, and what it says of its system.
const (
	emulatedLog     = "sys/kernel/security/tpm0/binary_bios_measurements"
	emulatedRelease = "NAME=\"Emulated Linux\"\nVERSION_ID=\"1.0\"\n"
)

// emulate makes a guest on a simulated host; end takes it away. The TPM of --swtpm is changed for good: it becomes that of the guest.
func (a *azureAttestation) emulate(ctx context.Context, c *call) (end func(), err error) {
	fmt.Fprintln(c.stderr, "assay: warning: EMULATED: a simulated Azure host stands in, whose keys are public; nothing of this evidence is real, and only a service in development mode believes it")
	dir, err := os.MkdirTemp("", "assay-azure")
	if err != nil {
		return nil, badFile(err)
	}
	remove := func() { os.RemoveAll(dir) } //nolint:errcheck // nothing in it is of use
	stop, err := a.emulatedTPM(ctx, dir)
	if err != nil {
		remove()
		return nil, err
	}
	end = func() { stop(); remove() }
	if err := a.provision(c, dir); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// provision makes the TPM the one of a guest, and the folder that of its files.
func (a *azureAttestation) provision(c *call, dir string) error {
	host := assaytest.WellKnownAzureHost(a.emulation.isolation, c.now())
	log, err := a.emulatedBoot(c, host, dir)
	if err != nil {
		return err
	}
	t, err := tpmsocket.Open(a.socket)
	if err != nil {
		_, err := attester.OpenSocket(a.socket) // which explains it
		return err
	}
	if len(a.options.UserData) > attester.AzureUserDataSize {
		return usage("--user-data has %d bytes: at most %d fit", len(a.options.UserData), attester.AzureUserDataSize)
	}
	var data [attester.AzureUserDataSize]byte
	copy(data[:], a.options.UserData)
	if err := host.Provision(t, log, data); err != nil {
		return badFile(fmt.Errorf("making the TPM that of a guest: %w", err))
	}
	a.options.Metadata.Client = &http.Client{Transport: inProcess{assaytest.NewIMDS(host)}}
	a.options.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() } // its paravisor needs no time
	return nil
}

// emulatedBoot gives the log that the TPM is to boot by: that of --event-log, or a simulated one, which is left in the folder.
func (a *azureAttestation) emulatedBoot(c *call, host *assaytest.AzureHost, dir string) ([]byte, error) {
	if a.options.Logs.EventLog != "" {
		return c.read("/" + a.options.Logs.EventLog)
	}
	log, err := host.BootLog()
	if err != nil {
		return nil, fmt.Errorf("simulating a boot: %w", err)
	}
	a.options.Logs.Root = os.DirFS(dir)
	for name, content := range map[string][]byte{emulatedLog: log, "etc/os-release": []byte(emulatedRelease)} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			return nil, badFile(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, badFile(err)
		}
	}
	return log, nil
}

// swtpmStart is how long an swtpm may take to listen, and swtpmPoll how often that is looked at.
const (
	swtpmStart = 20 * time.Second
	swtpmPoll  = 5 * time.Millisecond
)

// emulatedTPM starts an swtpm in the folder, unless one is named; stop ends it.
func (a *azureAttestation) emulatedTPM(ctx context.Context, dir string) (stop func(), err error) {
	if a.socket != "" {
		return func() {}, nil
	}
	program, err := exec.LookPath("swtpm")
	if err != nil {
		return nil, badFile(fmt.Errorf("--emulate needs a TPM in software: install swtpm (Debian: apt-get install swtpm), or name the socket of one (--swtpm): %w", err))
	}
	a.socket = filepath.Join(dir, "tpm.sock")
	running, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(running, program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+a.socket, "--flags", "not-need-init,startup-clear")
	if err := command.Start(); err != nil {
		cancel()
		return nil, badFile(fmt.Errorf("starting swtpm: %w", err))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // it ends by being killed
	}()
	stop = func() { cancel(); <-ended }
	if err := listens(ctx, a.socket, ended); err != nil {
		stop()
		return nil, badFile(err)
	}
	return stop, nil
}

// listens waits until an swtpm takes commands.
func listens(ctx context.Context, socket string, ended <-chan struct{}) error {
	bounded, cancel := context.WithTimeout(ctx, swtpmStart)
	defer cancel()
	for {
		if _, err := tpmsocket.Open(socket); err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("swtpm ended at once: look whether it works (swtpm socket --tpm2), or start one and name its socket (--swtpm)")
		case <-bounded.Done():
			return fmt.Errorf("swtpm does not listen: %w", bounded.Err())
		case <-time.After(swtpmPoll):
		}
	}
}
