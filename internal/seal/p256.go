package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
)

// p256Attempts bounds how often a secret is asked for. One in 2^32 is no P-256 key.
const p256Attempts = 8

// P256 makes the signing key of that name: equal secrets make equal keys, on every replica and after every restart. The secrets, KeySize bytes
// each and uniformly random, are asked for by labels that begin with the name, as [Key.Derive] gives them. The error says that none of them is
// a key.
func P256(secret func(label string) []byte, name string) (*ecdsa.PrivateKey, error) {
	for i := range p256Attempts {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret(fmt.Sprintf("%s %d", name, i)))
		if err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("the key %q: no secret is a P-256 key", name)
}
