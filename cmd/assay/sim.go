package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

// simulatedRuntimeData is what the simulated enclave vouches for unless it is given something.
const simulatedRuntimeData = `{"greeting":"hello from a simulated enclave"}`

// runSim simulates the platform of a vendor whose keys everybody has. Only a service in development mode, or a command that is told so by
// --trust-root, accepts its evidence.
func runSim(ctx context.Context, c *call) error {
	sim := simulation{runtime: []byte(simulatedRuntimeData)}
	machine := tpmSimulation{}
	c.StringVar(&sim.Dir, "out", "", "`DIR` to write to")
	c.fileVar(&sim.runtime, "runtime-data", "sgx: `FILE` that the enclave vouches for, JSON (default: a greeting)")
	c.BoolVar(&sim.debug, "debug", false, "sgx: make the enclave debuggable")
	c.timeVar(&sim.at)
	machine.declare(c)
	pos, err := c.parse("TYPE")
	if err != nil {
		return err
	}
	switch t, _ := evidence.ParseType(pos[0]); {
	case t == evidence.Tpm:
		if err := c.onlyFor("sgx", "runtime-data", "debug", "at"); err != nil {
			return err
		}
		machine.Dir = sim.Dir
		return machine.run(ctx, c)
	case t != evidence.SgxEnclave:
		return usage("TYPE %q: only sgx and tpm are simulated; sgx writes an Open Enclave report, too", pos[0])
	}
	return sim.run(c)
}

// simulation is one run of sim, and its result.
type simulation struct {
	Dir         string   `json:"dir"`
	Files       []string `json:"files"`
	RuntimeHash string   `json:"runtimeDataHash"` // SHA-256, hex
	at          time.Time
	runtime     []byte
	debug       bool
}

// run writes the files and tells of them.
func (sim *simulation) run(c *call) error {
	if err := c.onlyFor("tpm", strings.Fields(tpmFlags)...); err != nil {
		return err
	}
	if !c.isSet("out") {
		return usage("--out is missing")
	}
	if err := sim.write(); err != nil {
		return err
	}
	return c.tell(sim, nil)
}

// write writes the files.
func (sim *simulation) write() error {
	intel := assaytest.WellKnownIntel()
	scenario := intel.Scenario(sim.at)
	scenario.Enclave.Debug = sim.debug
	digest := sha256.Sum256(sim.runtime)
	copy(scenario.Enclave.ReportData[:], digest[:])
	sim.RuntimeHash = hex.EncodeToString(digest[:])
	quote, err := scenario.Quote()
	if err != nil {
		return fmt.Errorf("simulating a quote: %w", err)
	}
	root, err := intel.RootPEM()
	if err != nil {
		return fmt.Errorf("simulating a root: %w", err)
	}
	endorsements, err := scenario.Collateral()
	if err != nil {
		return fmt.Errorf("simulating collateral: %w", err)
	}
	body, err := json.Marshal(attestBodyFor(evidence.SgxEnclave, quote, &runtimeData{sim.runtime, true}))
	if err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	if err := endorsements.WriteDir(filepath.Join(sim.Dir, "collateral")); err != nil {
		return badFile(err)
	}
	files, err := writeEach(sim.Dir, []file{
		{"quote.bin", quote}, {"report.bin", assaytest.OpenEnclaveReport(quote)}, {"runtime.json", sim.runtime},
		{"root.pem", root}, {"request.json", body},
	})
	sim.Files = append([]string{"collateral"}, files...)
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

func (sim *simulation) print(s sheet, _ error) {
	s.heading(green, "WRITTEN", sim.Dir+": evidence of a simulated enclave, worth nothing outside development mode")
	s.rows(row{"evidence", "quote.bin, report.bin (the same behind an Open Enclave header)"},
		row{"runtime data", "runtime.json, SHA-256 " + sim.RuntimeHash},
		row{"collateral", "collateral"}, row{"trusted root", "root.pem"}, row{"attest request", "request.json"})
	s.section("Verify it:")
	fmt.Fprintf(s.w, "  assay evidence verify --type sgx %[1]s/quote.bin --collateral %[1]s/collateral --trust-root %[1]s/root.pem\n",
		strings.TrimSuffix(plain(sim.Dir), "/"))
}
