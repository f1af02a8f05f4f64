// Package nobody runs parts of tests as a user who may do nothing.
package nobody

import (
	"os"
	"runtime"
	"syscall"
)

// Run runs do as a user who is in no group and owns nothing, on a thread that ends with it. Whoever is not root is that already, if
// the owner of a file may not use it. Files that do opens on other threads are opened as before.
func Run(do func()) {
	if os.Geteuid() != 0 {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for _, set := range [][2]uintptr{{syscall.SYS_SETGROUPS, 0}, {syscall.SYS_SETFSGID, 65534}, {syscall.SYS_SETFSUID, 65534}} {
			syscall.RawSyscall(set[0], set[1], 0, 0)
		}
		do()
	}()
	<-done
}
