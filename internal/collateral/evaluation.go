package collateral

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// ErrUnknownBaseline says that an identifier names no baseline that is stored or could be fetched. The service answers
// it as 400 InvalidParameter.
var ErrUnknownBaseline = errors.New("unknown baseline")

// A live evaluation is only asked for by a number near that of the standard one, so that policies cannot have the source
// asked for all numbers there are. Intel raises the number about twice a year, has the early evaluation a few ahead of
// the standard one, and retires old ones (sgx-tdx.md sections 5.4 and 6.1).
const (
	evaluationsBelow = 16
	evaluationsAbove = 8
)

// maxQuoted is how many bytes of an identifier an error repeats.
const maxQuoted = 64

// unknownBaseline says what is wrong with an identifier, and what to do.
func unknownBaseline(id, format string, args ...any) error {
	remedy := "correct x-ms-sgx-tcbidentifier in the policy"
	if isNumber(id) {
		remedy += ", or store the collateral of that number"
	}
	return fmt.Errorf("%w %q: %s; %s", ErrUnknownBaseline, id[:min(len(id), maxQuoted)], fmt.Sprintf(format, args...), remedy)
}

// isNumber reports whether s is a TCB evaluation data number as the API writes it: decimal, without leading zeros.
func isNumber(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// numbered returns the two JSON documents of a TCB evaluation data number. The error wraps [ErrUnknownBaseline] if the
// number is far from that of the standard evaluation, or if the source has the standard evaluation but not that one.
//
// Without the standard TCB info of the platform there is nothing to measure a number by, and no number is asked for:
// the answer is the [Unavailable] of the standard one, also where a cache of Intel's service holds nothing but numbered
// ones. Those can be stored.
func (c *Cache) numbered(ctx context.Context, o *dcap.Origin, number string) (dcap.Collateral, error) {
	standard, err := get[*dcap.TCBInfo](ctx, c, wantTCBInfo(o, Standard))
	if err != nil {
		return dcap.Collateral{}, err
	}
	if err := near(number, int64(standard.EvaluationNumber())); err != nil {
		return dcap.Collateral{}, err
	}
	docs, err := c.signed(ctx, o, number)
	if errors.Is(err, ErrAbsent) {
		err = unknownBaseline(number, "the source of collateral does not have it; the standard evaluation is %d", standard.EvaluationNumber())
	}
	return docs, err
}

// near checks that a number is in reach of the standard one.
func near(number string, standard int64) error {
	least, most := max(0, standard-evaluationsBelow), standard+evaluationsAbove
	if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < least || n > most {
		return unknownBaseline(number, "expected %d to %d; the standard evaluation is %d", least, most, standard)
	}
	return nil
}
