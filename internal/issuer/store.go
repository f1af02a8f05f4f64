package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/wholefile"
	"github.com/assay-attestation/assay/result"
)

// The folder of a provider's keys has one file for each:
//
//	20300317T174640Z-1f2e3d4c.pem
//
// PEM of PKCS #8. The name begins with the time from which the key signs; the rest, the start of the SHA-256 of its
// SubjectPublicKeyInfo, tells apart keys of the same second. Rotation adds a file with a time to come, so that the key
// is listed before it signs, and removes files whose tokens have all expired (tokens.md section 3.2). Files without
// the ending .pem are not looked at.
const (
	keyTimeLayout = "20060102T150405Z"
	keyFileEnd    = ".pem"
	keyPEMType    = "PRIVATE KEY"
)

// newKeyBits is the size of the keys made here, the one of the recorded service (tokens.md section 3.1).
const newKeyBits = 2048

// maxKeyFile bounds a key file; the largest RSA key in use takes 13 KB.
const maxKeyFile = 64 << 10

// forbidden are the permissions that nobody but the owner may have on the folder of the keys.
const forbidden os.FileMode = 0o077

func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&forbidden != 0 {
		return fmt.Errorf("folder %s has permissions %04o, expected 0700: others can reach the keys; chmod 700 it",
			dir, info.Mode().Perm())
	}
	return nil
}

// load reads every key of the folder, in the order in which they sign.
func load(dir string) ([]storedKey, error) {
	entries, err := os.ReadDir(dir) // sorted by name, which begins with the time
	if err != nil {
		return nil, err
	}
	var keys []storedKey
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), keyFileEnd) {
			continue
		}
		k, err := loadKey(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	slices.SortStableFunc(keys, func(a, b storedKey) int { return a.from.Compare(b.from) })
	return keys, nil
}

func loadKey(path string) (storedKey, error) {
	text, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), keyFileEnd), "-")
	from, err := time.Parse(keyTimeLayout, text)
	if err != nil {
		return storedKey{}, fmt.Errorf("key file %s: the name does not begin with a time like %s", path, keyTimeLayout)
	}
	b, err := wholefile.ReadPrivate(path, maxKeyFile)
	if err != nil {
		return storedKey{}, err
	}
	key, err := parseKey(b)
	if err != nil {
		return storedKey{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return storedKey{from: from, key: key}, nil
}

func parseKey(b []byte) (*rsa.PrivateKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != keyPEMType || len(rest) > 0 {
		return nil, fmt.Errorf("expected one PEM block %q and nothing after it", keyPEMType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not an RSA key")
	}
	if bits := key.N.BitLen(); bits < result.MinKeyBits {
		return nil, fmt.Errorf("RSA key of %d bits, at least %d are needed", bits, result.MinKeyBits)
	}
	return key, nil
}

// create makes a key that signs from the given time on.
func create(dir string, from time.Time) error {
	key, err := rsa.GenerateKey(rand.Reader, newKeyBits)
	if err != nil {
		return fmt.Errorf("making an RSA key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(spki)
	name := fmt.Sprintf("%s-%x%s", from.UTC().Format(keyTimeLayout), digest[:4], keyFileEnd)
	return writeFile(dir, name, pem.EncodeToMemory(&pem.Block{Type: keyPEMType, Bytes: der}))
}

// writeFile makes a file of mode 0600 that is there whole or not at all, also after a loss of power.
func writeFile(dir, name string, content []byte) (err error) {
	f, err := os.CreateTemp(dir, "new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing once the file has its name
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
