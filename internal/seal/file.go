package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-attestation/assay/internal/wholefile"
)

// maxKeyFile bounds the file: 64 hex characters and the end of a line.
const maxKeyFile = 2*KeySize + len("\r\n")

// Open reads the key in a file: KeySize bytes as standard base64 with padding or as hex characters, on one line. It
// refuses what is not a regular file, and a file that others than its owner can reach.
func Open(file string) (*Key, error) {
	text, err := wholefile.ReadPrivate(file, int64(maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	secret, err := decode(string(text))
	if err != nil {
		return nil, fmt.Errorf("sealing key %s: %w", file, err)
	}
	return newKey(secret)
}

// Create opens the key in a file, after making it with mode 0600 if the file is not there, and its folder with mode
// 0700. The file is there whole or not at all; of several processes that make it at once, one does and all open the same.
func Create(file string) (*Key, error) {
	_, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(file)
	}
	if err != nil {
		return nil, fmt.Errorf("making a sealing key: %w", err)
	}
	return Open(file)
}

// decode reads the line. Its length tells the two forms apart. No error repeats what was found: it may be most of a key.
func decode(text string) ([]byte, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	switch len(text) {
	case 2 * KeySize:
		if secret, err := hex.DecodeString(text); err == nil {
			return secret, nil
		}
		return nil, fmt.Errorf("the %d characters are not hex digits", len(text))
	case base64.StdEncoding.EncodedLen(KeySize):
		if secret, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && len(secret) == KeySize {
			return secret, nil
		}
		return nil, fmt.Errorf("the %d characters are not standard base64 of %d bytes", len(text), KeySize)
	}
	return nil, fmt.Errorf("%d characters, expected %d bytes as %d base64 or %d hex characters on one line", len(text), KeySize,
		base64.StdEncoding.EncodedLen(KeySize), 2*KeySize)
}

// create makes the file unless another process is first.
func create(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := wholefile.Create(file, []byte(newSecret()+"\n"), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(dir)
}

func newSecret() string {
	var secret [KeySize]byte
	rand.Read(secret[:]) // never fails: the program ends if the system has no randomness
	return base64.StdEncoding.EncodeToString(secret[:])
}

// syncFolder makes sure that the file is still there after a loss of power: what was sealed with it would be lost.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
