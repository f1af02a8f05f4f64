package main

import (
	"crypto/sha512"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

// dcap simulates Intel's platform: an enclave or a TD, and the collateral for it.
func (sim *simulation) dcap() ([]file, *assaytest.Collateral, error) {
	intel := assaytest.WellKnownIntel()
	scenario := sim.enclave(intel)
	if sim.kind == evidence.TdxVM {
		scenario = sim.domain(intel)
	}
	quote, err := scenario.Quote()
	if err != nil {
		return nil, nil, err
	}
	root, err := intel.RootPEM()
	if err != nil {
		return nil, nil, err
	}
	endorsements, err := scenario.Collateral()
	if err != nil {
		return nil, nil, err
	}
	body, err := json.Marshal(attestBodyFor(sim.kind, quote, &runtimeData{sim.runtime, true}))
	files := []file{{"quote.bin", quote}, {"root.pem", root}, {"request.json", body}}
	if sim.kind == evidence.SgxEnclave {
		files = append(files, file{"report.bin", assaytest.OpenEnclaveReport(quote)})
	}
	return files, &endorsements, err
}

func (sim *simulation) enclave(intel *assaytest.Intel) *assaytest.Scenario {
	s := intel.Scenario(sim.at)
	s.Enclave.Debug, s.Enclave.ReportData = sim.debug, sim.reportData
	return s
}

func (sim *simulation) domain(intel *assaytest.Intel) *assaytest.Scenario {
	s := intel.TDXScenario(sim.at)
	s.TD.ReportData = sim.reportData
	if sim.debug {
		s.TD.Attributes[0] |= 1
	}
	return s
}

// snp simulates AMD's platform, and a guest on it.
func (sim *simulation) snp() ([]file, *assaytest.Collateral, error) {
	s := assaytest.WellKnownAMD().Scenario(sim.product, sim.at)
	s.Guest.ReportData = sim.reportData
	if sim.debug {
		s.Guest.Policy = assaytest.UsualSNPPolicy | assaytest.SNPDebugAllowed
	}
	if sim.firmware != "" {
		s.Guest.Measurement = sha512.Sum384([]byte("simulated firmware " + sim.firmware))
	}
	if sim.vlek {
		s.UseVLEK()
	}
	root := func() ([]byte, error) { return s.Vendor.RootPEM(sim.product) }
	var files []file
	for _, f := range []struct {
		name  string
		issue func() ([]byte, error)
	}{
		{"report.bin", s.Report}, {"chain.pem", s.ChainPEM}, {"auxblob.bin", s.Table}, {"evidence.json", s.Evidence}, {"crl.der", s.RevocationList}, {"root.pem", root},
	} {
		content, err := f.issue()
		if err != nil {
			return nil, nil, err
		}
		files = append(files, file{f.name, content})
	}
	doc, err := s.Evidence()
	if err != nil {
		return nil, nil, err
	}
	body, err := json.Marshal(attestBodyFor(sim.kind, doc, &runtimeData{sim.runtime, true}))
	return append(files, file{"request.json", body}), nil, err
}

func (sim *simulation) print(s sheet, _ error) {
	what := map[evidence.Type]string{evidence.SgxEnclave: "enclave", evidence.SevSnpVM: "SEV-SNP guest", evidence.TdxVM: "TD"}[sim.kind]
	s.heading(green, "WRITTEN", sim.Dir+": evidence of a simulated "+what+", worth nothing outside development mode")
	s.rows(append(sim.evidenceRows(), row{"runtime data", "runtime.json, SHA-256 " + sim.RuntimeHash},
		row{"trusted root", "root.pem"}, row{"attest request", "request.json"})...)
	dir := strings.TrimSuffix(plain(sim.Dir), "/")
	s.section("Verify it:")
	switch sim.kind {
	case evidence.SevSnpVM:
		fmt.Fprintf(s.w, "  assay evidence verify --type snp %[1]s/report.bin --chain %[1]s/chain.pem --crl %[1]s/crl.der --trust-root %[1]s/root.pem --runtime-data %[1]s/runtime.json\n", dir)
	case evidence.TdxVM:
		fmt.Fprintf(s.w, "  assay evidence verify --type tdx %[1]s/quote.bin --collateral %[1]s/collateral --trust-root %[1]s/root.pem --runtime-data %[1]s/runtime.json\n", dir)
	default:
		fmt.Fprintf(s.w, "  assay evidence verify --type sgx %[1]s/quote.bin --collateral %[1]s/collateral --trust-root %[1]s/root.pem\n", dir)
	}
}

// evidenceRows name the files that are not the same for all types.
func (sim *simulation) evidenceRows() []row {
	switch sim.kind {
	case evidence.SevSnpVM:
		return []row{
			{"evidence", "report.bin, evidence.json (with its certificates, as requests carry it)"},
			{"certificates", "chain.pem, auxblob.bin (as Linux gives them)"}, {"revocation list", "crl.der"},
		}
	case evidence.TdxVM:
		return []row{{"evidence", "quote.bin"}, {"collateral", "collateral"}}
	}
	return []row{{"evidence", "quote.bin, report.bin (the same behind an Open Enclave header)"}, {"collateral", "collateral"}}
}
