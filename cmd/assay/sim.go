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

// runSim writes evidence of the simulated Intel, whose keys everybody has. Only a service in development mode, or a
// command that is told so by --trust-root, accepts it.
func runSim(_ context.Context, c *call) error {
	sim := simulation{runtime: []byte(simulatedRuntimeData)}
	c.StringVar(&sim.Dir, "out", "", "`DIR` to write to")
	c.fileVar(&sim.runtime, "runtime-data", "`FILE` that the enclave vouches for, JSON (default: a greeting)")
	c.BoolVar(&sim.debug, "debug", false, "make the enclave debuggable")
	c.timeVar(&sim.at)
	pos, err := c.parse("TYPE", "--out")
	if err != nil {
		return err
	}
	if t, err := evidenceType(pos[0]); err != nil || t != evidence.SgxEnclave {
		return usage("TYPE %q: only sgx is simulated; it writes an Open Enclave report, too", pos[0])
	}
	if err := sim.write(); err != nil {
		return err
	}
	return c.tell(&sim, nil)
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
	sim.Files = []string{"collateral"}
	return sim.writeFiles([]file{
		{"quote.bin", quote}, {"report.bin", assaytest.OpenEnclaveReport(quote)}, {"runtime.json", sim.runtime},
		{"root.pem", root}, {"request.json", body},
	})
}

type file struct {
	name    string
	content []byte
}

func (sim *simulation) writeFiles(files []file) error {
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(sim.Dir, f.name), f.content, 0o644); err != nil {
			return badFile(err)
		}
		sim.Files = append(sim.Files, f.name)
	}
	return nil
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
