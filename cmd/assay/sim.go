package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

// simulatedRuntimeData is what the simulated enclave or guest vouches for unless it is given something.
const (
	simulatedRuntimeData = `{"greeting":"hello from a simulated enclave"}`
	simulatedGuestData   = `{"greeting":"hello from a simulated guest"}`
)

// runSim simulates the platform of a vendor whose keys everybody has. Only a service in development mode, or a command that is told so by
// --trust-root, accepts its evidence.
func runSim(ctx context.Context, c *call) error {
	sim, machine, guest := simulation{}, tpmSimulation{}, azureSimulation{}
	sim.declare(c)
	machine.declare(c)
	guest.declare(c)
	pos, err := c.parse("TYPE")
	if err != nil {
		return err
	}
	switch sim.kind, _ = evidence.ParseType(pos[0]); sim.kind {
	case evidence.Tpm:
		err := cmp.Or(c.onlyFor("sgx, snp and tdx", strings.Fields(simFlags)...), c.onlyFor("azureguest", strings.Fields(azureFlags)...))
		if err != nil {
			return err
		}
		machine.Dir = sim.Dir
		return machine.run(ctx, c)
	case evidence.AzureGuest:
		guest.platform, guest.secureBoot = &sim, machine.boot.SecureBoot
		return guest.run(c)
	case evidence.SgxEnclave, evidence.SevSnpVM, evidence.TdxVM:
		if err := c.onlyFor("azureguest", strings.Fields(azureFlags)...); err != nil {
			return err
		}
		return sim.run(c)
	}
	return usage("TYPE %q: only sgx, snp, tdx, tpm and azureguest are simulated; sgx writes an Open Enclave report, too", pos[0])
}

// simulation is one run of sim for an enclave or a guest, and its result.
type simulation struct {
	Dir         string   `json:"dir"`
	Files       []string `json:"files"`
	RuntimeHash string   `json:"runtimeDataHash"` // SHA-256, hex

	kind       evidence.Type
	at         time.Time
	runtime    []byte
	debug      bool
	product    assaytest.AMDProduct
	vlek       bool
	firmware   string   // what the guest was launched from; empty: a measurement of its own
	reportData [64]byte // what the evidence has to say: the hash of the runtime data, then zeros
}

// Flags of sim that are not for all types.
const (
	simFlags = "runtime-data debug at " + snpFlags
	snpFlags = "product vlek firmware"
)

func (sim *simulation) declare(c *call) {
	c.StringVar(&sim.Dir, "out", "", "`DIR` to write to")
	c.fileVar(&sim.runtime, "runtime-data", "sgx, snp, tdx: `FILE` that the evidence vouches for, JSON (default: a greeting)")
	c.BoolVar(&sim.debug, "debug", false, "sgx, snp, tdx, azureguest: make the enclave or the guest debuggable")
	c.timeVar(&sim.at)
	sim.product = assaytest.Milan
	c.Func("product", "snp: the processor is a `NAME`: Milan, Genoa or Turin (default Milan)", func(s string) error {
		i := slices.IndexFunc(assaytest.AMDProducts(), func(p assaytest.AMDProduct) bool { return strings.EqualFold(s, string(p)) })
		if i < 0 {
			return errors.New("expected Milan, Genoa or Turin")
		}
		sim.product = assaytest.AMDProducts()[i]
		return nil
	})
	c.StringVar(&sim.firmware, "firmware", "", "snp: the guest was launched from firmware `NAME`, which decides its launch measurement")
	c.BoolVar(&sim.vlek, "vlek", false, "snp: sign with the key of a cloud provider (VLEK), not of the chip (VCEK)")
}

// run writes the files and tells of them.
func (sim *simulation) run(c *call) error {
	if err := c.onlyFor("tpm", strings.Fields(tpmFlags)...); err != nil {
		return err
	}
	if sim.kind != evidence.SevSnpVM {
		if err := c.onlyFor("snp", strings.Fields(snpFlags)...); err != nil {
			return err
		}
	}
	if !c.isSet("out") {
		return usage("--out is missing")
	}
	if err := sim.write(); err != nil {
		return err
	}
	return c.tell(sim, nil)
}

// write makes the evidence and writes it.
func (sim *simulation) write() error {
	if sim.runtime == nil {
		sim.runtime = []byte(simulatedGuestData)
		if sim.kind == evidence.SgxEnclave {
			sim.runtime = []byte(simulatedRuntimeData)
		}
	}
	digest := sha256.Sum256(sim.runtime)
	copy(sim.reportData[:], digest[:])
	sim.RuntimeHash = hex.EncodeToString(digest[:])
	issue := sim.dcap
	if sim.kind == evidence.SevSnpVM {
		issue = sim.snp
	}
	files, endorsements, err := issue()
	if err != nil {
		return fmt.Errorf("simulating evidence: %w", err)
	}
	return sim.writeAll(append(files, file{"runtime.json", sim.runtime}), endorsements)
}

// writeAll makes the folder and writes files, and collateral if there is some.
func (sim *simulation) writeAll(files []file, endorsements *assaytest.Collateral) error {
	if err := os.MkdirAll(sim.Dir, 0o755); err != nil {
		return badFile(err)
	}
	if endorsements != nil {
		if err := endorsements.WriteDir(filepath.Join(sim.Dir, "collateral")); err != nil {
			return badFile(err)
		}
		sim.Files = []string{"collateral"}
	}
	names, err := writeEach(sim.Dir, files)
	sim.Files = append(sim.Files, names...)
	return err
}

type file struct {
	name    string
	content []byte
}

// writeEach writes files into a folder and gives their names.
func writeEach(dir string, files []file) (names []string, err error) {
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, 0o644); err != nil {
			return names, badFile(err)
		}
		names = append(names, f.name)
	}
	return names, nil
}
