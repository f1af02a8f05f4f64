//go:build !linux

package attester

import (
	"errors"
	"os"
)

// ioctl is for Linux.
func ioctl(f *os.File, _ uint32, _ []byte) error {
	return &os.PathError{Op: "ioctl", Path: f.Name(), Err: errors.ErrUnsupported}
}
