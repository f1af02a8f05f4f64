package server

import (
	"time"

	"github.com/assay-attestation/assay/internal/provider"
)

// referenceWarningTime is how often the service says of one reference value that it ends.
const referenceWarningTime = 24 * time.Hour

// warnings are when the service said last of each reference value that it ends. Each replica has its own.
type warnings map[warning]time.Time

// warning names a reference value of a provider.
type warning struct{ providerID, name string }

// due reports whether it is time to warn, and then takes note of it.
func (w warnings) due(of warning, now time.Time) bool {
	if last, ok := w[of]; ok && now.Sub(last) < referenceWarningTime {
		return false
	}
	w[of] = now
	return true
}

// forget forgets what would be told again anyway.
func (w warnings) forget(now time.Time) {
	for of, last := range w {
		if now.Sub(last) >= referenceWarningTime {
			delete(w, of)
		}
	}
}

// warnOfReferences warns of each reference value that ends soon, or has ended, which is when evidence stops to match it.
func (s *Server) warnOfReferences(warned warnings) {
	now := s.clock()
	warned.forget(now)
	for _, i := range s.providers.All() {
		for _, e := range i.Expiring(now) {
			if warned.due(warning{i.ID, e.Name}, now) {
				s.opt.Logger.Warn("a reference value ends", "provider", i.Name, "name", e.Name, "type", e.Type, "owner", e.Owner,
					"notAfter", e.NotAfter.UTC(), "state", provider.StateOf(&e, now))
			}
		}
	}
}

// soonestReference gives how long it is until the first reference value ends, of those that are warned of.
func soonestReference(all []*provider.Instance, now time.Time) (left time.Duration, ok bool) {
	for _, i := range all {
		for _, e := range i.Expiring(now) {
			if until := e.NotAfter.Sub(now); !ok || until < left {
				left, ok = until, true
			}
		}
	}
	return left, ok
}
