package keyring

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/store"
)

// Authority gives the CA that certifies the keys of a provider for reports. It follows from the sealing key and the provider's id,
// which no other provider ever has.
func (r *Ring) Authority(providerID string) (*issuer.Authority, error) {
	return issuer.NewAuthority(func(label string) []byte {
		return r.cfg.Seal.Derive("report authority " + providerID + " " + label)
	})
}

// LongestReport is as of the schedule.
func (r *Ring) LongestReport() time.Duration { return r.cfg.Schedule.LongestReport() }

// reservations are the longest validities of reports that the store is known to have, by provider. There they only grow.
type reservations struct {
	mu      sync.Mutex
	longest map[string]time.Duration
}

func (s *reservations) has(providerID string, validity time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return validity <= s.longest[providerID]
}

func (s *reservations) add(providerID string, validity time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.longest == nil {
		s.longest = map[string]time.Duration{}
	}
	s.longest[providerID] = max(s.longest[providerID], validity)
}

// Reserve sees to it that the keys of a provider stay listed for as long as reports of a validity live (tokens.md section 3.2). To
// be called before each report is minted: it writes to the store if no report of this provider was to live as long, and does
// nothing otherwise. It refuses a validity over LongestReport.
func (r *Ring) Reserve(ctx context.Context, providerID string, validity time.Duration) error {
	if validity <= 0 || validity > r.LongestReport() {
		return fmt.Errorf("a report that lives %s: at most %s, as long as its key can be listed", validity, r.LongestReport())
	}
	if r.reserved.has(providerID, validity) {
		return nil
	}
	err := r.cfg.Store.Write(ctx, func(tx *store.Tx) error { return tx.RaiseLongestReport(providerID, validity) })
	if err != nil {
		return fmt.Errorf("keeping the keys of provider %s listed for reports: %w", providerID, err)
	}
	r.reserved.add(providerID, validity)
	return nil
}
