package provider

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/verifier"
)

// AzureSettings are the switches about Azure guests.
type AzureSettings struct {
	// RequireNonce refuses quotes without a nonce. Two of the three known clients send none.
	RequireNonce bool `yaml:"azureguest_require_nonce"`
	// RequireChain demands a certificate of the attestation key also where a hardware report vouches for it.
	RequireChain bool `yaml:"azureguest_require_ak_chain"`
	// SecureBootKeys are sets of secure-boot keys; a guest that has just those of one set is said to have valid ones.
	SecureBootKeys []SecureBootKeys `yaml:"azureguest_secureboot_keys"`
}

// SecureBootKeys are the variables of secure boot: for each certificate in them its SHA-256, and the SHA-256s in them, in hex.
type SecureBootKeys struct {
	PK  []string `yaml:"pk"`
	KEK []string `yaml:"kek"`
	DB  []string `yaml:"db"`
	DBX []string `yaml:"dbx"`
	// DBXCertificates are those of certificates in dbx; DBX has the rest.
	DBXCertificates []string `yaml:"dbx_certificates"`
}

// Bounds of the settings. A dbx of 2026 has some 430 entries.
const (
	maxKeySets = 16
	maxKeys    = 4096 // in one list
)

// demands turns the settings into the verifier's terms.
func (s *AzureSettings) demands() (d verifier.AzureDemands, err error) {
	d = verifier.AzureDemands{RequireNonce: s.RequireNonce, RequireChain: s.RequireChain}
	if len(s.SecureBootKeys) > maxKeySets {
		return d, fmt.Errorf("azureguest_secureboot_keys: expected at most %d sets, found %d", maxKeySets, len(s.SecureBootKeys))
	}
	for i, set := range s.SecureBootKeys {
		keys, err := set.keys()
		if err != nil {
			return d, fmt.Errorf("azureguest_secureboot_keys: set %d: %w", i+1, err)
		}
		d.SecureBootKeys = append(d.SecureBootKeys, keys)
	}
	return d, nil
}

// keys reads the lists. Only those of dbx may be empty: with another empty list firmware does not check what it boots.
func (s *SecureBootKeys) keys() (k azureguest.SecureBootKeys, err error) {
	for _, list := range []struct {
		name  string
		from  []string
		to    *[][32]byte
		least int
	}{{"pk", s.PK, &k.PK, 1}, {"kek", s.KEK, &k.KEK, 1}, {"db", s.DB, &k.DB, 1}, {"dbx", s.DBX, &k.DBX, 0}, {"dbx_certificates", s.DBXCertificates, &k.DBXCertificates, 0}} {
		if n := len(list.from); n < list.least || n > maxKeys {
			return k, fmt.Errorf("%s: expected %d to %d entries, found %d", list.name, list.least, maxKeys, n)
		}
		if *list.to, err = digests(list.from); err != nil {
			return k, fmt.Errorf("%s: %w", list.name, err)
		}
	}
	return k, nil
}

// digests reads SHA-256s in hex.
func digests(list []string) (all [][32]byte, err error) {
	for _, text := range list {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != 32 {
			return nil, fmt.Errorf("expected 64 hexadecimal digits, found %.70q", text)
		}
		all = append(all, [32]byte(b))
	}
	return all, nil
}

// ParseSecureBootKeys reads the setting azureguest_secureboot_keys alone: YAML, or JSON, with that one key.
func ParseSecureBootKeys(b []byte) ([]azureguest.SecureBootKeys, error) {
	var s struct {
		SecureBootKeys []SecureBootKeys `yaml:"azureguest_secureboot_keys"`
	}
	if len(b) > maxSettings {
		return nil, fmt.Errorf("expected at most %d bytes, found %d", maxSettings, len(b))
	}
	if err := yaml.UnmarshalWithOptions(b, &s, yaml.Strict()); err != nil {
		return nil, errors.New(yaml.FormatError(err, false, false)) // without a picture of several lines
	}
	d, err := (&AzureSettings{SecureBootKeys: s.SecureBootKeys}).demands()
	return d.SecureBootKeys, err
}
