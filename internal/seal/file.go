package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxKeyFile bounds the file: 64 hex characters and the end of a line.
const maxKeyFile = 2*KeySize + len("\r\n")

// forbidden are the permissions that nobody but the owner may have on the file.
const forbidden fs.FileMode = 0o077

// Open reads the key in a file: KeySize bytes as standard base64 with padding or as hex characters, on one line. It
// refuses what is not a regular file, and a file that others than its owner can reach.
func Open(file string) (*Key, error) {
	text, err := readPrivate(file)
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

// readPrivate reads a file that only its owner can reach. Permissions are those of the opened file, which nobody can
// swap between the check and the reading.
func readPrivate(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", file)
	case info.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s has permissions %04o, expected 0600: if others may have read it, replace the key; else chmod 600 it",
			file, info.Mode().Perm())
	case info.Size() > int64(maxKeyFile):
		return nil, fmt.Errorf("%s has %d bytes, expected one line of %d base64 or %d hex characters", file, info.Size(),
			base64.StdEncoding.EncodedLen(KeySize), 2*KeySize)
	}
	return io.ReadAll(io.LimitReader(f, int64(maxKeyFile)))
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

// create makes the file under another name and links it into place, which fails if another process was first.
func create(file string) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tmp-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(newSecret() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(dir)
}

func newSecret() string {
	var secret [KeySize]byte
	rand.Read(secret[:]) // never fails: the program ends if the system has no randomness
	return base64.StdEncoding.EncodeToString(secret[:])
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
