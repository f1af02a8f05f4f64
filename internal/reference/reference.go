// Package reference holds reference values: measurements and minimums that a provider's owner trusts, under names, against which the claims of
// verified evidence are held (native.md section 5). A match gives claims to policies; it permits nothing by itself.
//
// The package is pure: time is an argument.
package reference

import (
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

// Entry is one named reference value.
type Entry struct {
	Name             string
	Type             evidence.Type
	Values           map[string][]policy.Value // by claim: those that are trusted
	Minimums         map[string]int64          // by claim: the least that is trusted
	ComplianceStatus string                    // the claim x-ms-compliance-status that a match earns; empty: none
	NotBefore        time.Time                 // zero: no bound
	NotAfter         time.Time                 // likewise
	Owner            string
	Provenance       Provenance
}

// Provenance says where the values of an entry are from.
type Provenance struct{ Source, SHA256 string }

// Parse reads the body of a PUT (native.md section 5). The error says what is wrong.
func Parse(name string, body []byte) (*Entry, error) { return nil, errors.New("not built yet") }

// Set is the reference values of a provider, ready to be held against claims. A nil set is empty. It is safe for concurrent use.
type Set struct{}

// NewSet makes a set.
func NewSet(entries []Entry) *Set { return &Set{} }

// Found is what a set says of evidence.
type Found struct {
	Claims           []policy.Claim // for the policy: read-only, of issuer ReferenceValue
	ComplianceStatus string         // empty: none was earned
}

// Match holds the claims of verified evidence against the entries of its type that are in date.
func (s *Set) Match(t evidence.Type, facts []evidence.Claim, at time.Time) Found { return Found{} }
