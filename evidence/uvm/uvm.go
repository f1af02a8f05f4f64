// Package uvm verifies endorsements of utility VMs, the machines in which confidential containers run: a COSE_Sign1 by which their maker vouches
// for a launch measurement (README.md section 6 of the specification, below its table; tokens.md section 3.3).
package uvm

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// Issuer says whose endorsements count (switch snp_uvm_issuers).
type Issuer struct {
	DID    string              // did:x509:0:sha256:…, which the chain in the endorsement must match
	Feed   string              // the product that is endorsed, such as ContainerPlat-AMD-UVM
	MinSVN uint64              // the endorsed security version must be at least this
	Roots  []*x509.Certificate // nil: the root is told by the DID's fingerprint alone
}

// Endorsement is an endorsement whose signature, issuer and feed were checked.
type Endorsement struct {
	Issuer      Issuer
	Measurement [48]byte // of the launch
	SVN         uint64
	SignedAt    time.Time
}

// Verify checks the endorsement b, a COSE_Sign1, against the issuers that count, and that it is of the measurement. Certificates are judged at
// the signing time that it gives. The error is an [evidence.Refusal].
func Verify(b []byte, issuers []Issuer, measurement [48]byte, j *evidence.Journal) (*Endorsement, error) {
	return nil, errors.New("uvm: not built yet")
}
