// Package uvm verifies endorsements of utility VMs, the machines in which confidential containers run: a COSE_Sign1 by which their maker vouches
// for a launch measurement (README.md section 6 of the specification, below its table; tokens.md section 3.3).
package uvm

import (
	"crypto/x509"
	"errors"
	"time"
)

// Issuer says whose endorsements count (switch snp_uvm_issuers).
type Issuer struct {
	DID    string // did:x509:0:sha256:…, which the chain in the endorsement must match
	Feed   string // the product that is endorsed, such as ContainerPlat-AMD-UVM
	MinSVN uint64 // the endorsed security version must be at least this
}

// CheckDID reports what is wrong with a did:x509 identifier. Known are version 0, fingerprints with SHA-256, and the policies eku and subject.
func CheckDID(did string) error { return errors.New("uvm: not built yet") }

// Endorsement is an endorsement whose signature is that of the first certificate of the chain that came with it. Anybody can make one: it
// is worth something only by [Endorsement.Endorses].
type Endorsement struct {
	Issuer      string // as it names its issuer
	Feed        string
	Measurement [48]byte // of the launch
	SVN         uint64
	SignedAt    time.Time

	chain []*x509.Certificate
}

// Parse reads an endorsement, a COSE_Sign1 with PS384 and x5chain, and checks its signature. The error is an [evidence.Refusal].
func Parse(b []byte) (*Endorsement, error) { return nil, errors.New("uvm: not built yet") }

// Endorses checks that the endorsement counts and is of the measurement: its chain leads to the issuer at the signing time, issuer and
// feed are those configured, the endorsed security version is not below the minimum. The error is an [evidence.Refusal].
func (e *Endorsement) Endorses(by Issuer, measurement [48]byte) error {
	return errors.New("uvm: not built yet")
}
