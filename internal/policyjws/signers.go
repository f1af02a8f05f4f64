package policyjws

import (
	"crypto/x509"
	"fmt"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// Signers reads a JWK set that names policy management certificates, as whoever creates a provider sends it: the first
// certificate in x5c of each key, at most so many, each once. All other members are left alone, and names are matched without regard to
// case (management.md section 4.2). A set without keys gives none.
func Signers(b []byte, most int) ([]*x509.Certificate, error) {
	var set struct {
		Keys []struct {
			Chain []string `json:"x5c"`
		} `json:"keys"`
	}
	if err := strictjson.Folded(b, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > most {
		return nil, fmt.Errorf("expected at most %d keys, found %d", most, len(set.Keys))
	}
	var certs []*x509.Certificate
	seen := map[string]bool{}
	for i, key := range set.Keys {
		chain, err := parseChain(key.Chain)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if raw := string(chain[0].Raw); !seen[raw] {
			seen[raw], certs = true, append(certs, chain[0])
		}
	}
	return certs, nil
}
