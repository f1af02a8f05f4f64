// Package seal encrypts what is kept at rest with a key from a file, and derives further keys from it. Whoever has the
// database without the file can neither read the signing keys nor forge the audit trail.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// KeySize is the length of the key in the file, and of derived keys, in bytes.
const KeySize = 32

// MaxPlain is the largest value that can be sealed so that it can be unsealed again, in bytes. Signing keys have 2 KB.
const MaxPlain = 1 << 20

// What a sealed value has beside the plain one: the version first, then the nonce, and the tag at the end.
const (
	version   = 1
	nonceSize = 12
	tagSize   = 16
	overhead  = 1 + nonceSize + tagSize
)

// Uses of the key. Those of [Key.Derive] have a beginning of their own, so that no label can ask for another's key.
const (
	useSeal    = "assay seal v1"
	useID      = "assay key id v1"
	usesDerive = "assay derived v1: "
)

// idSize is how many bytes of a hash name a key: enough to tell files apart, nothing to search the key with.
const idSize = 4

// ErrUnseal is the answer to whatever cannot be unsealed. It does not say why.
var ErrUnseal = errors.New("sealed with another key, or changed")

// Key seals and unseals. It does not change and may be used concurrently.
type Key struct {
	secret []byte
	aead   cipher.AEAD
	id     string
}

// newKey makes a key of a secret of KeySize bytes.
func newKey(secret []byte) (*Key, error) {
	use, err := expand(secret, useSeal)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(use)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	name, err := expand(secret, useID)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(name)
	return &Key{secret: secret, aead: aead, id: hex.EncodeToString(digest[:idSize])}, nil
}

// expand is HKDF-SHA256 of the secret for one use. The secret is uniformly random already: there is no salt.
func expand(secret []byte, use string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, use, KeySize)
}

// ID names the key to people, with 8 hex digits that tell nothing about it.
func (k *Key) ID() string { return k.id }

// Derive returns a key of KeySize bytes for the use that the label names: the same for the same file and label.
func (k *Key) Derive(label string) []byte {
	// HKDF of one block by SHA-256 cannot fail: errors are for too long outputs and keys too short for FIPS 140.
	derived, _ := expand(k.secret, usesDerive+label)
	return derived
}

// Seal encrypts and authenticates plain, at most MaxPlain bytes, with AES-256-GCM. The context says what the value is
// and whose; it is not part of the result, and only who names it again can unseal.
func (k *Key) Seal(plain []byte, context string) []byte {
	sealed := make([]byte, 1, overhead+len(plain))
	sealed[0] = version
	return k.aead.Seal(sealed, nil, plain, additional(context))
}

// Unseal returns what was sealed with this key and context, or ErrUnseal.
func (k *Key) Unseal(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < overhead || len(sealed) > overhead+MaxPlain || sealed[0] != version {
		return nil, ErrUnseal
	}
	plain, err := k.aead.Open(nil, nil, sealed[1:], additional(context))
	if err != nil {
		return nil, ErrUnseal
	}
	return plain, nil
}

// additional binds version and context.
func additional(context string) []byte {
	return append([]byte{version}, context...)
}
