package attester

import (
	"os"
	"syscall"
	"unsafe"
)

// ioctl has the kernel do a request with an argument, which it may change.
func ioctl(f *os.File, request uint32, argument []byte) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), uintptr(request), uintptr(unsafe.Pointer(&argument[0])))
	if errno != 0 {
		return &os.PathError{Op: "ioctl", Path: f.Name(), Err: errno}
	}
	return nil
}
