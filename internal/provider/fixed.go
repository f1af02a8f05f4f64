package provider

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/internal/store"
)

// The trust models (management.md section 5).
const (
	aad      = "AAD"
	isolated = "Isolated"
)

func trustModel(isIsolated bool) string {
	if isIsolated {
		return isolated
	}
	return aad
}

// ShortLocation gives the short name of a location that may be written as it is shown to people: westus of "West US".
func ShortLocation(text string) string { return strings.ToLower(strings.ReplaceAll(text, " ", "")) }

// Bounds of names in bytes.
const (
	maxLocation = 63 // of the short name: it can be part of a host name (provider_url)
	maxScope    = 90 // of a subscription or resource group, Azure's own
)

// What names of locations, and of the subscriptions and resource groups in ARM ids, are made of.
var (
	locationPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	scopePattern    = regexp.MustCompile(`^[a-zA-Z0-9._()-]+$`)
)

// checkPlace checks where the provider is said to be.
func (s *Spec) checkPlace() error {
	if location := ShortLocation(s.Location); location != "" && (len(location) > maxLocation || !locationPattern.MatchString(location)) {
		return fmt.Errorf("%w: location: expected at most %d letters, digits and hyphens, such as westus, found %.40q", ErrInvalid, maxLocation, s.Location)
	}
	for name, text := range map[string]string{"subscription": s.Subscription, "resource group": s.ResourceGroup} {
		if text != "" && (len(text) > maxScope || !scopePattern.MatchString(text)) {
			return fmt.Errorf("%w: %s: expected at most %d letters, digits and ._()-, found %.40q", ErrInvalid, name, maxScope, text)
		}
	}
	return nil
}

// checkTrust checks that the trust model that is asked for is the one that the signers make.
func (s *Spec) checkTrust() error {
	switch {
	case s.TrustModel != "" && !strings.EqualFold(s.TrustModel, aad) && !strings.EqualFold(s.TrustModel, isolated):
		return fmt.Errorf("%w: trustModel: expected %s or %s, found %.40q", ErrInvalid, aad, isolated, s.TrustModel)
	case s.TrustModel != "" && s.Signers != nil && !strings.EqualFold(s.TrustModel, trustModel(len(s.Signers) > 0)):
		return fmt.Errorf("%w: trustModel %s with %d policySigningCertificates: a provider is %s if it has any, and %s if it has none", ErrInvalid, s.TrustModel, len(s.Signers), isolated, aad)
	case s.Shared != nil && *s.Shared && len(s.Signers) > 0:
		return fmt.Errorf("%w: a shared provider has no policySigningCertificates: nobody can change its policies", ErrInvalid)
	}
	return nil
}

// fixed refuses what a spec would have other than it was fixed when the provider was created (management.md sections 4.3 and 5).
func (s *Spec) fixed(record *store.Provider) error {
	wanted := s.TrustModel
	if s.Signers != nil {
		wanted = cmp.Or(wanted, trustModel(len(s.Signers) > 0))
	}
	for _, m := range []struct{ name, wanted, is string }{
		{"location", ShortLocation(s.Location), ShortLocation(record.Location)}, {"trustModel", wanted, trustModel(record.Isolated)},
	} {
		if m.wanted != "" && !strings.EqualFold(m.wanted, m.is) {
			return fmt.Errorf("%s: %w: it is %s and cannot become %s", m.name, ErrFixed, m.is, m.wanted)
		}
	}
	if s.Shared != nil && *s.Shared != record.Shared {
		return fmt.Errorf("shared: %w: it is %t and cannot become %t", ErrFixed, record.Shared, *s.Shared)
	}
	if s.Signers != nil && signerSet(s.Signers) != signerSet(record.Signers) {
		return fmt.Errorf("policySigningCertificates: %w: they are not those that the provider has; send them to /certificates:add and /certificates:remove of the provider", ErrFixed)
	}
	return nil
}

// checkVersion refuses the change of a record that is not of the version; 0 means any.
func checkVersion(record store.Provider, version int64) error {
	if version != 0 && version != record.Version {
		return fmt.Errorf("%w: expected version %d, found %d", store.ErrConflict, version, record.Version)
	}
	return nil
}

// signerSet names a set of signers whatever their order.
func signerSet(ders [][]byte) string {
	var names []string
	for _, der := range ders {
		names = append(names, hashOf(der))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}
