package attester

import (
	"io"
	"os"
	"path/filepath"
)

// Linux is the machine whose files are below root: "/" for this one.
func Linux(root string) *Guest {
	return &Guest{Files: disk{root}, Control: func(device string, request uint32, argument []byte) error {
		f, err := os.OpenFile(filepath.Join(root, device), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // what was asked for is in the argument
		return ioctl(f, request, argument)
	}}
}

// disk is files below a folder.
type disk struct{ root string }

func (d disk) Mkdir(path string) error { return os.Mkdir(filepath.Join(d.root, path), 0o700) }

func (d disk) Remove(path string) error { return os.Remove(filepath.Join(d.root, path)) }

func (d disk) Read(path string, limit int) ([]byte, error) {
	f, err := os.Open(filepath.Join(d.root, path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}

// Write does not make the file: one that the kernel does not have would hold the question, and no answer would come.
func (d disk) Write(path string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(d.root, path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close() //nolint:errcheck // the first error is the one to tell
		return err
	}
	return f.Close()
}
