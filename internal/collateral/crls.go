package collateral

import (
	"context"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// crlPatience is how long evidence waits for live revocation lists that it could do without.
const crlPatience = 5 * time.Second

// crls says where revocation lists come from. They are kept fresh whatever the baseline is (sgx-tdx.md section 9.1), so
// stored ones only count where the live source has nothing newer, or nothing at all.
type crls struct {
	live, stored *Cache // one may be nil
	optional     bool   // do without those that are not available (setting require_crls)
}

// addTo returns docs with the two revocation lists.
func (l crls) addTo(ctx context.Context, docs dcap.Collateral, o *dcap.Origin) (_ dcap.Collateral, err error) {
	l.begin(o)
	brief, cancel := context.WithTimeout(ctx, crlPatience)
	defer cancel()
	if docs.PCKCRL, err = l.get(ctx, brief, wantPCKCRL(o)); err != nil {
		return dcap.Collateral{}, err
	}
	if docs.RootCRL, err = l.get(ctx, brief, wantRootCRL(o)); err != nil {
		return dcap.Collateral{}, err
	}
	return docs, nil
}

// begin has the loads begin, so that none waits for another to end.
func (l crls) begin(o *dcap.Origin) {
	for _, c := range []*Cache{l.stored, l.live} {
		if c != nil {
			c.begin(wantPCKCRL(o))
			c.begin(wantRootCRL(o))
		}
	}
}

// patience is how long to wait for a live list that need not be there.
func (l crls) patience(w want) time.Duration {
	if l.live.failing(w) {
		return 0
	}
	return crlPatience
}

// get returns the list that w asks for: of the live and the stored one, as far as they may be used, the one issued later.
// A live one that need not be there is waited for no longer than brief, and not at all if it could not be had the last
// time. That the other list failed says nothing of this one.
func (l crls) get(ctx, brief context.Context, w want) (*dcap.CRL, error) {
	best, err := (*dcap.CRL)(nil), error(nil)
	if l.stored != nil {
		best, err = get[*dcap.CRL](ctx, l.stored, w)
	}
	if l.live != nil {
		if best != nil || l.optional {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(brief, l.patience(w))
			defer cancel()
		}
		live, liveErr := get[*dcap.CRL](ctx, l.live, w)
		if best == nil || live != nil && !best.ThisUpdate().After(live.ThisUpdate()) {
			best, err = live, liveErr
		}
	}
	if l.optional {
		err = nil
	}
	return best, demanded(err)
}

// demanded has the refusal of a list name the setting that demands it.
func demanded(err error) error {
	u, ok := errors.AsType[*Unavailable](err)
	if !ok {
		return err
	}
	named := *u
	named.Item += ", which the setting require_crls demands,"
	return &named
}
