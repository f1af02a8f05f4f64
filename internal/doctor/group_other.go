//go:build !unix

package doctor

import "io/fs"

// groupID knows no groups here.
func groupID(fs.FileInfo) (uint32, bool) { return 0, false }
