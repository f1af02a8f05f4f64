package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/assaytest"
)

// azureSimulation is one run of sim azureguest, and its result.
type azureSimulation struct {
	Dir       string                   `json:"dir"`
	Files     []string                 `json:"files"`
	Isolation assaytest.AzureIsolation `json:"isolation"`

	platform   *simulation // where to, at what time, debuggable or not
	secureBoot bool
	windows    bool
	dialect    assaytest.AzureDialect
}

// azureFlags are those that only sim azureguest has.
const azureFlags = "isolation windows dialect"

func (sim *azureSimulation) declare(c *call) {
	c.isolation(&sim.Isolation, "azureguest")
	c.BoolVar(&sim.windows, "windows", false, "azureguest: boot a Windows, not a Linux")
	c.choice("dialect", "azureguest: write as a `CLIENT` does: cpp, go or python (default cpp)", []string{"cpp", "go", "python"}, func(i int) {
		sim.dialect = assaytest.AzureDialects()[i]
	})
}

// isolation declares the flag for what keeps a guest apart from its host.
func (c *call) isolation(to *assaytest.AzureIsolation, with string) {
	*to = assaytest.AzureSevSnp
	var kinds []string
	for _, k := range assaytest.AzureIsolations() {
		kinds = append(kinds, string(k))
	}
	c.choice("isolation", with+": the guest is of a `KIND`: SevSnp, Tdx or TrustedLaunch (default SevSnp)", kinds, func(i int) {
		*to = assaytest.AzureIsolations()[i]
	})
}

// run writes the files and tells of them.
func (sim *azureSimulation) run(c *call) error {
	others := append(strings.Fields(snpFlags), "runtime-data")
	for _, name := range strings.Fields(tpmFlags) {
		if name != "secure-boot" {
			others = append(others, name)
		}
	}
	if err := c.onlyFor("other types", others...); err != nil {
		return err
	}
	if sim.Dir = sim.platform.Dir; sim.Dir == "" {
		return usage("--out is missing")
	}
	if sim.platform.debug && sim.Isolation == assaytest.AzureTrustedLaunch {
		return usage("--debug is for --isolation SevSnp and Tdx: nothing says of other guests that they are debuggable")
	}
	if err := sim.write(); err != nil {
		return err
	}
	return c.tell(sim, nil)
}

// guest is the guest to be simulated.
func (sim *azureSimulation) guest() *assaytest.AzureScenario {
	s := assaytest.WellKnownAzureHost(sim.Isolation, sim.platform.at).Scenario()
	boot := assaytest.SoundAzureBoot(sim.windows)
	boot.SecureBoot = sim.secureBoot
	s.Boot, s.Dialect, s.Host.SecureBootOff = &boot, sim.dialect, !sim.secureBoot
	if sim.platform.debug {
		s.Host.SNP.Guest.Policy = assaytest.UsualSNPPolicy | assaytest.SNPDebugAllowed
		s.Host.TDX.TD.Attributes[0] |= 1
	}
	return s
}

// write makes the request, with what is needed to judge it and to open the answer.
func (sim *azureSimulation) write() error {
	s := sim.guest()
	key, err := x509.MarshalPKCS8PrivateKey(s.SealingKey())
	if err != nil {
		return fmt.Errorf("encoding the sealing key: %w", err)
	}
	files := []file{{"sealing-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}}
	for _, f := range sim.issued(s) {
		content, err := f.issue()
		if err != nil {
			return fmt.Errorf("simulating an Azure guest: %w", err)
		}
		files = append(files, file{f.name, content})
	}
	var endorsements *assaytest.Collateral
	if sim.Isolation == assaytest.AzureTdx {
		c, err := s.Host.TDX.Collateral()
		if err != nil {
			return fmt.Errorf("simulating collateral: %w", err)
		}
		endorsements = &c
	}
	err = sim.platform.writeAll(files, endorsements)
	sim.Files = sim.platform.Files
	return err
}

type issuedFile struct {
	name  string
	issue func() ([]byte, error)
}

// issued are the files that have to be made. There is a root of the hardware's maker unless there is no hardware report.
func (sim *azureSimulation) issued(s *assaytest.AzureScenario) []issuedFile {
	files := []issuedFile{{"body.json", s.Body}, {"vtpm-root.pem", s.Host.AKRoot}, {"vtpm-intermediate.pem", s.Host.AKIntermediate}}
	switch sim.Isolation {
	case assaytest.AzureSevSnp:
		files = append(files, issuedFile{"root.pem", s.Host.AMDRoot})
	case assaytest.AzureTdx:
		files = append(files, issuedFile{"root.pem", s.Host.IntelRoot})
	}
	return files
}

func (sim *azureSimulation) print(s sheet, _ error) {
	s.heading(green, "WRITTEN", sim.Dir+": a request of a simulated Azure guest, worth nothing outside development mode")
	rows := []row{
		{"isolation", string(sim.Isolation)}, {"attest request", "body.json"}, {"key of the answer", "sealing-key.pem"},
		{"attestation key", "trusted root vtpm-root.pem, vtpm-intermediate.pem below it"},
	}
	trust := ""
	if sim.Isolation != assaytest.AzureTrustedLaunch {
		rows, trust = append(rows, row{"hardware report", "trusted root root.pem"}), " --trust-root %[1]s/root.pem"
	}
	if sim.Isolation == assaytest.AzureTdx {
		rows, trust = append(rows, row{"collateral", "collateral"}), trust+" --collateral %[1]s/collateral"
	}
	s.rows(rows...)
	s.section("Verify it:")
	fmt.Fprintf(s.w, "  assay evidence verify --type azureguest %[1]s/body.json --aik-root %[1]s/vtpm-root.pem --aik-intermediates %[1]s/vtpm-intermediate.pem"+trust+"\n",
		strings.TrimSuffix(plain(sim.Dir), "/"))
}
