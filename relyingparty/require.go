package relyingparty

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/result"
)

// Unmet is the reason of a genuine token that does not meet a requirement.
const Unmet result.Reason = "requirement"

// Requirement is what a relying party asks of a verified token. Check returns nil, or a *result.Refusal with reason
// Unmet, or another error if the requirement itself makes no sense.
type Requirement interface {
	Check(t *Token) error
}

// unmet refuses a token; claim names what was looked at.
func unmet(claim string, expected, found any) error {
	return &result.Refusal{Reason: Unmet, Problem: "the claim " + claim + " is not as required",
		Expected: fmt.Sprint(expected), Found: fmt.Sprint(found)}
}

// Claim requires one claim at top level to have a value, compared as text: the string itself, true or false, or the
// digits of a number as they stand in the token. Objects and arrays never match.
type Claim struct {
	Name, Value string
}

// ParseClaim reads NAME=VALUE. The name ends at the first equals sign; the value may be empty.
func ParseClaim(s string) (Claim, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return Claim{}, fmt.Errorf("requirement %q: expected NAME=VALUE", s)
	}
	return Claim{Name: name, Value: value}, nil
}

// Check implements Requirement.
func (c Claim) Check(t *Token) error {
	if found, ok := t.Text(c.Name); ok {
		if found != c.Value {
			return unmet(c.Name, c.Value, found)
		}
		return nil
	}
	if _, ok := t.JSON(c.Name); ok {
		return unmet(c.Name, c.Value, "a claim that is no string, number or boolean")
	}
	return unmet(c.Name, c.Value, "no such claim")
}

// SGX requires a token about an SGX enclave, attested as SgxEnclave or OpenEnclave. At least one of MRENCLAVE and
// MRSIGNER must be given; where both are, both must match.
//
// The zero value accepts nothing.
type SGX struct {
	MRENCLAVE []Measurement // the code; any of these
	MRSIGNER  []Measurement // the signer of the code; any of these
	ProductID uint16        // ISVPRODID, exactly; zero is a product id like any other
	MinSVN    uint16        // ISVSVN, this or higher

	// AllowDebuggable accepts enclaves whose memory the host can read.
	AllowDebuggable bool
}

// Check implements Requirement.
func (want SGX) Check(t *Token) error {
	if len(want.MRENCLAVE) == 0 && len(want.MRSIGNER) == 0 {
		return errors.New("requirement SGX: neither MRENCLAVE nor MRSIGNER is given, so that any enclave would do")
	}
	got, err := t.SGX()
	if err != nil {
		return err
	}
	switch {
	case got.Debuggable && !want.AllowDebuggable:
		return unmet(claimDebuggable, false, true)
	case len(want.MRENCLAVE) > 0 && !slices.Contains(want.MRENCLAVE, got.MRENCLAVE):
		return unmet(claimMRENCLAVE, anyOf(want.MRENCLAVE), got.MRENCLAVE)
	case len(want.MRSIGNER) > 0 && !slices.Contains(want.MRSIGNER, got.MRSIGNER):
		return unmet(claimMRSIGNER, anyOf(want.MRSIGNER), got.MRSIGNER)
	case got.ProductID != want.ProductID:
		return unmet(claimProductID, want.ProductID, got.ProductID)
	case got.SVN < want.MinSVN:
		return unmet(claimSVN, fmt.Sprintf("at least %d", want.MinSVN), got.SVN)
	}
	return nil
}

func anyOf(accepted []Measurement) string {
	if len(accepted) == 1 {
		return accepted[0].String()
	}
	return fmt.Sprintf("one of %v", accepted)
}
