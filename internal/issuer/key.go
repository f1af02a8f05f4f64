package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/result"
)

// newKeyBits is the size of the keys made here, the one of the recorded service (tokens.md section 3.1).
const newKeyBits = 2048

// maxKeyDER bounds a stored key in bytes; the largest RSA key in use takes 10 KB.
const maxKeyDER = 16 << 10

// Key is a signing key.
type Key struct {
	ID      string    // the kid of its tokens, which follows from the key
	From    time.Time // it signs from then on, until a later one takes over
	Private *rsa.PrivateKey
}

// Generate makes a key of RSA-2048. It takes some 100 ms.
func Generate(from time.Time) (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, newKeyBits)
	if err != nil {
		return Key{}, fmt.Errorf("making an RSA key: %w", err)
	}
	id, err := keyID(private)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, From: from, Private: private}, nil
}

func keyID(private *rsa.PrivateKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return "", fmt.Errorf("naming a signing key: %w", err)
	}
	return result.KeyID(spki), nil
}

// Marshal writes the private key as PKCS #8, in DER. It is in the clear.
func (k Key) Marshal() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("writing the signing key %s: %w", k.ID, err)
	}
	return der, nil
}

// ParseKey reads what Marshal has written. It refuses all but RSA keys of at least result.MinKeyBits whose kid is id.
func ParseKey(id string, from time.Time, der []byte) (Key, error) {
	if len(der) > maxKeyDER {
		return Key{}, fmt.Errorf("signing key %s: %d bytes, at most %d are read", id, len(der), maxKeyDER)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("signing key %s: %w", id, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("signing key %s: not an RSA key", id)
	}
	key := Key{ID: id, From: from, Private: private}
	return key, key.check()
}

// check holds the key to what a provider signs with.
func (k Key) check() error {
	if k.Private == nil {
		return errors.New("a signing key without its private key")
	}
	if bits := k.Private.N.BitLen(); bits < result.MinKeyBits {
		return fmt.Errorf("signing key %s: RSA key of %d bits, at least %d are needed", k.ID, bits, result.MinKeyBits)
	}
	switch id, err := keyID(k.Private); {
	case err != nil:
		return err
	case id != k.ID:
		return fmt.Errorf("signing key %q: the key is %q", k.ID, id)
	}
	return nil
}
