// Package reference holds reference values: measurements and minimums that a provider's owner trusts, under names, against which the claims of
// verified evidence are held (native.md section 5). A match gives claims to policies; it permits nothing by itself.
//
// The package is pure: time is an argument.
package reference

import (
	"errors"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

// The bounds of reference values.
const (
	// MaxBody is how many bytes the body of a PUT may have.
	MaxBody = 1 << 20
	// MaxName is how many characters a name may have.
	MaxName = 64
	// MaxKeys is how many claims an entry may name, under values and minimums together.
	MaxKeys = 32
	// MaxValues is how many values an entry may have for one claim.
	MaxValues = 256
	// MaxText is how many bytes a value may have, where its claim has no form; and the owner.
	MaxText = 256
	// MaxStatus is how many characters a compliance status may have.
	MaxStatus = 64
	// MaxSource is how many bytes provenance.source may have.
	MaxSource = 1024
	// MaxEntries is how many entries a provider may have.
	MaxEntries = 1000
	// MaxValuesPerType is how many values all entries of one attestation type may have together, in date or not. Each is a claim that
	// policies see: it leaves them nine tenths of the limit incoming_claims.
	MaxValuesPerType = 10_000
)

// ErrFull is in the error of [Room]: the provider has as many reference values as it may.
var ErrFull = errors.New("the provider has as many reference values as it may have")

// Entry is one named reference value.
type Entry struct {
	Name             string
	Type             evidence.Type
	Values           map[string][]policy.Value // by claim: those that are trusted
	Minimums         map[string]int64          // by claim: the least that is trusted
	ComplianceStatus string                    // the claim x-ms-compliance-status that a match earns; empty: none
	NotBefore        time.Time                 // from when on it is in date; zero: no bound
	NotAfter         time.Time                 // when it is in date no more; zero: no bound
	Owner            string
	Provenance       Provenance
}

// Provenance says where the values of an entry are from: a place, and the SHA-256 of what was found there in lower-case hex. Both may be
// empty, and nothing is checked against them.
type Provenance struct{ Source, SHA256 string }

// count is how many values the entry has.
func (e *Entry) count() (n int) {
	for _, values := range e.Values {
		n += len(values)
	}
	return n
}

// Room says whether a provider may have these entries: MaxEntries, and MaxValuesPerType of each type. The error wraps ErrFull.
func Room(entries []Entry) error {
	if len(entries) > MaxEntries {
		return fmt.Errorf("%w: %d entries: delete some", ErrFull, MaxEntries)
	}
	values := map[evidence.Type]int{}
	for i := range entries {
		e := &entries[i]
		values[e.Type] += e.count()
		if values[e.Type] > MaxValuesPerType {
			return fmt.Errorf("%w: %d values of type %s: delete some, or name fewer claims", ErrFull, MaxValuesPerType, e.Type)
		}
	}
	return nil
}
