package snp

import "errors"

// Evidence is the content of the member report of a request to /attest/SevSnpVm (api.md section 7.4); nothing is believed.
type Evidence struct {
	Report *Report
	Chain  *Chain   // nil: none was sent
	UVM    [][]byte // endorsements of utility VMs, COSE_Sign1 each
}

// Parse reads the JSON document that clients send in report: SnpReport, VcekCertChain, Endorsements. The error is an [evidence.Refusal].
func Parse(b []byte) (*Evidence, error) { return nil, errors.New("snp: not built yet") }
