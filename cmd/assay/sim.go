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
	out := c.String("out", "", "`DIR` to write to")
	data := c.String("runtime-data", "", "`FILE` that the enclave vouches for; JSON")
	debug := c.Bool("debug", false, "make the enclave debuggable")
	var text string
	c.at(&text)
	pos, err := c.parse("TYPE")
	if err != nil {
		return err
	}
	if t, err := evidenceType(pos[0]); err != nil || t != evidence.SgxEnclave {
		return usage("type %q: only sgx is simulated; it writes an Open Enclave report, too", pos[0])
	}
	if *out == "" {
		return usage("--out is missing")
	}
	at, err := c.time(text)
	if err != nil {
		return err
	}
	runtime := []byte(simulatedRuntimeData)
	if *data != "" {
		if runtime, err = c.read(*data); err != nil {
			return err
		}
	}
	files, err := simulate(*out, at, runtime, *debug)
	if err != nil {
		return err
	}
	return c.tellSim(*out, files, runtime)
}

// simulate writes the files and returns their names.
func simulate(dir string, at time.Time, runtime []byte, debug bool) ([]string, error) {
	intel := assaytest.WellKnownIntel()
	scenario := intel.Scenario(at)
	scenario.Enclave.Debug = debug
	digest := sha256.Sum256(runtime)
	copy(scenario.Enclave.ReportData[:], digest[:])
	quote, err := scenario.Quote()
	if err != nil {
		return nil, fmt.Errorf("simulating a quote: %w", err)
	}
	root, err := intel.RootPEM()
	if err != nil {
		return nil, fmt.Errorf("simulating a root: %w", err)
	}
	body, err := json.Marshal(attestBodyFor(evidence.SgxEnclave, quote, &runtimeData{runtime, true}))
	if err != nil {
		return nil, fmt.Errorf("writing a request: %w", err)
	}
	endorsements, err := scenario.Collateral()
	if err != nil {
		return nil, fmt.Errorf("simulating collateral: %w", err)
	}
	if err := endorsements.WriteDir(filepath.Join(dir, "collateral")); err != nil {
		return nil, badFile(err)
	}
	return writeFiles(dir, []file{
		{"quote.bin", quote}, {"report.bin", assaytest.OpenEnclaveReport(quote)}, {"runtime.json", runtime},
		{"root.pem", root}, {"request.json", body},
	})
}

type file struct {
	name    string
	content []byte
}

func writeFiles(dir string, files []file) ([]string, error) {
	names := []string{"collateral"}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, 0o644); err != nil {
			return nil, badFile(err)
		}
		names = append(names, f.name)
	}
	return names, nil
}

func (c *call) tellSim(dir string, files []string, runtime []byte) error {
	digest := sha256.Sum256(runtime)
	if c.json {
		return c.printJSON(struct {
			Dir         string   `json:"dir"`
			Files       []string `json:"files"`
			RuntimeHash string   `json:"runtimeDataHash"`
		}{dir, files, hex.EncodeToString(digest[:])})
	}
	s := c.sheet()
	s.heading(green, "WRITTEN", dir+": evidence of a simulated enclave, worth nothing outside development mode")
	s.rows(row{"evidence", "quote.bin, report.bin (the same behind an Open Enclave header)"},
		row{"runtime data", "runtime.json, SHA-256 " + hex.EncodeToString(digest[:])},
		row{"collateral", "collateral"}, row{"trusted root", "root.pem"}, row{"attest request", "request.json"})
	s.section("Verify it:")
	fmt.Fprintf(s.w, "  assay evidence verify --type sgx %[1]s/quote.bin --collateral %[1]s/collateral --trust-root %[1]s/root.pem\n",
		strings.TrimSuffix(plain(dir), "/"))
	return nil
}
