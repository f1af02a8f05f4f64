//go:build unix

package doctor

import (
	"io/fs"
	"syscall"
)

// groupID is the number of the group that a file belongs to.
func groupID(info fs.FileInfo) (uint32, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return stat.Gid, true
}
