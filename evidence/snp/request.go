package snp

import (
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Bounds of what a request carries.
const (
	// MaxRequest is the most that is read of the member report once decoded, in bytes. Real ones have 10 KB, with endorsements 40.
	MaxRequest = 1 << 20
	// MaxUVM is how many endorsements of utility VMs may come with a report.
	MaxUVM = 8
)

// Evidence is the content of the member report of a request to /attest/SevSnpVm (api.md section 7.4); nothing is believed.
type Evidence struct {
	Report *Report
	Chain  *Chain   // nil: none was sent
	UVM    [][]byte // endorsements of utility VMs, COSE_Sign1 each
}

// Parse reads the JSON document that clients send in report: SnpReport, VcekCertChain, Endorsements, each in base64url or base64, padded or not.
// The case of names does not count, unknown members are ignored. The error is an [evidence.Refusal].
func Parse(b []byte) (*Evidence, error) {
	if len(b) > MaxRequest {
		return nil, notRequest(fmt.Errorf("%d bytes, at most %d are read", len(b), MaxRequest))
	}
	var d struct {
		Report       string `json:"snpreport"`
		Chain        string `json:"vcekcertchain"`
		Endorsements string `json:"endorsements"`
	}
	if err := strictjson.Folded(b, &d); err != nil {
		return nil, notRequest(err)
	}
	e := &Evidence{}
	raw, err := decode("SnpReport", d.Report)
	if err != nil {
		return nil, err
	}
	if e.Report, err = ParseReport(raw); err != nil {
		return nil, err
	}
	if e.Chain, err = sentChain(d.Chain); err != nil {
		return nil, err
	}
	e.UVM, err = sentEndorsements(d.Endorsements)
	return e, err
}

// notRequest refuses a document that is not the one that clients send.
func notRequest(err error) *evidence.Refusal {
	return evidence.Refuse(evidence.SNPFormat, "the member report is not the JSON document of a SEV-SNP request").Because(err).
		Do(`send {"SnpReport": …, "VcekCertChain": …} in report, each member in base64url`)
}

// decode reads a member in either base64.
func decode(member, text string) ([]byte, error) {
	b, err := b64.Decode(text)
	if err != nil {
		return nil, notRequest(fmt.Errorf("member %s: %w", member, err))
	}
	return b, nil
}

// sentChain reads the certificates, if there are any.
func sentChain(text string) (*Chain, error) {
	if text == "" {
		return nil, nil
	}
	b, err := decode("VcekCertChain", text)
	if err != nil {
		return nil, err
	}
	return ParseChain(b)
}

// sentEndorsements reads the endorsements of utility VMs, if there are any.
func sentEndorsements(text string) (all [][]byte, err error) {
	if text == "" {
		return nil, nil
	}
	b, err := decode("Endorsements", text)
	if err != nil {
		return nil, err
	}
	var d struct {
		UVM []string `json:"uvm"`
	}
	if err := strictjson.Folded(b, &d); err != nil {
		return nil, notRequest(fmt.Errorf("member Endorsements: %w", err))
	}
	if len(d.UVM) > MaxUVM {
		return nil, notRequest(fmt.Errorf("member Endorsements: %d endorsements, at most %d are read", len(d.UVM), MaxUVM))
	}
	for _, text := range d.UVM {
		cose, err := decode("Endorsements.Uvm", text)
		if err != nil {
			return nil, err
		}
		all = append(all, cose)
	}
	return all, nil
}
