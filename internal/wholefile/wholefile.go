// Package wholefile writes files whole or not at all: whatever happens, the file has its old content or the new one. It
// also reads what was written for the owner alone.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts a file of this content and mode into the place of name, whether there is one or not.
func Write(name string, content []byte, mode fs.FileMode) error {
	return place(name, all(content), mode, os.Rename)
}

// Stream is Write for content that fill writes, perhaps more than fits into memory. If fill fails, the file stays as it is.
func Stream(name string, mode fs.FileMode, fill func(io.Writer) error) error {
	return place(name, fill, mode, os.Rename)
}

// Create makes a file of this content and mode if there is none of that name; else the error is fs.ErrExist, and the file
// stays as it is. Of several that create one file at once, one succeeds.
func Create(name string, content []byte, mode fs.FileMode) error {
	return place(name, all(content), mode, os.Link)
}

func all(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// place has fill write the content beside name and put give it the name.
func place(name string, fill func(io.Writer) error, mode fs.FileMode, put func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain once it is renamed
	if err = errors.Join(fill(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return put(f.Name(), name)
}

// Replace gives a file that is there another content. It keeps the permissions, and where name is a link it replaces
// what the link leads to.
func Replace(name string, content []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "write", Path: name, Err: errors.New("not a regular file")}
	}
	return Write(name, content, info.Mode().Perm())
}

// othersMay are the permissions that nobody but the owner may have on a secret.
const othersMay fs.FileMode = 0o077

// ReadPrivate reads a file of at most limit bytes that only its owner can reach. Permissions are those of the opened
// file, which nobody can swap between the check and the reading.
func ReadPrivate(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("key file %s is not a regular file", name)
	case info.Mode().Perm()&othersMay != 0:
		return nil, fmt.Errorf("key file %s has permissions %04o, expected 0600: if others may have read it, replace the key; else chmod 600 it",
			name, info.Mode().Perm())
	case info.Size() > limit:
		return nil, fmt.Errorf("key file %s has %d bytes, at most %d are read", name, info.Size(), limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
