package assaytest_test

import (
	"crypto/sha256"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
)

// A test of one's own: evidence for an enclave, collateral for it, and a verifier that trusts the simulated root.
func Example() {
	intel := assaytest.NewIntel()
	at := time.Date(2030, 6, 15, 0, 0, 0, 0, time.UTC)

	enclave := assaytest.SimulatedEnclave()
	enclave.SVN = 3
	hash := sha256.Sum256([]byte("runtime data"))
	copy(enclave.ReportData[:], hash[:])
	quote, err := intel.Quote(enclave)
	if err != nil {
		log.Fatal(err)
	}
	collateral, err := intel.Collateral(at)
	if err != nil {
		log.Fatal(err)
	}

	verified, err := verify(intel, quote, collateral, at)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verified.Status, verified.Report.SVN)
	// Output: UpToDate 3
}

// Every fault breaks one thing, and says which check has to find it.
func ExampleFaults() {
	intel := assaytest.NewIntel()
	for _, fault := range assaytest.Faults() {
		if fault.Name != "qe-debug" {
			continue
		}
		scenario := intel.Scenario(time.Date(2030, 6, 15, 0, 0, 0, 0, time.UTC))
		fault.Apply(scenario)
		quote, err := scenario.Quote()
		if err != nil {
			log.Fatal(err)
		}
		collateral, err := scenario.Collateral()
		if err != nil {
			log.Fatal(err)
		}
		_, err = verify(intel, quote, collateral, scenario.At)
		fmt.Println(fault.What+":", err.(*evidence.Refusal).Check, fault.Checks)
	}
	// Output: debug quoting enclave: qeidentity-mismatch [qeidentity-mismatch]
}

// A machine that attests by its TPM: what it sends in answer to a challenge and its context.
func ExampleTPMScenario() {
	machine, err := assaytest.NewTPMVendor().BootScenario(assaytest.TPMBoot{SecureBoot: true})
	if err != nil {
		log.Fatal(err)
	}
	machine.Binding = assaytest.BoundByCertify
	request, err := machine.Request([]byte("16 random bytes!"), "context of the service")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(machine.Data(request)) > len(request))
	// Output: true
}

// A service that fetches its collateral can be pointed at a simulated PCS.
func ExamplePCS() {
	pcs := assaytest.NewPCS(assaytest.NewIntel(), time.Now)
	server := httptest.NewServer(pcs)
	defer server.Close()

	answer, err := server.Client().Get(server.URL + "/sgx/certification/v4/qe/identity")
	if err != nil {
		log.Fatal(err)
	}
	answer.Body.Close()
	fmt.Println(answer.StatusCode, pcs.Requests(assaytest.QEIdentity))
	// Output: 200 1
}

func verify(intel *assaytest.Intel, quote []byte, c assaytest.Collateral, at time.Time) (*sgx.Verified, error) {
	root, err := intel.RootPEM()
	if err != nil {
		return nil, err
	}
	roots, err := dcap.NewRoots(root)
	if err != nil {
		return nil, err
	}
	v := dcap.NewVerifier(roots)
	e, err := sgx.Parse(quote)
	if err != nil {
		return nil, err
	}
	origin, err := v.Trace(e.Quote, at, nil)
	if err != nil {
		return nil, err
	}
	checked, err := load(v, origin, c)
	if err != nil {
		return nil, err
	}
	return sgx.Verify(v, origin, e, dcap.Input{Collateral: checked, Options: dcap.Options{At: at}})
}
