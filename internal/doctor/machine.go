package doctor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	maxAttribute = 4 << 10  // bytes of a file of the kernel that has one value
	maxGroups    = 1 << 20  // bytes of /etc/group
	maxLog       = 16 << 20 // bytes of a log that are counted
)

// machine is what is looked at.
type machine struct{ Place }

func (m machine) at(path string) string { return filepath.Join(m.Root, path) }

func (m machine) exists(path string) bool {
	_, err := os.Stat(m.at(path))
	return err == nil
}

// attribute reads a short file, without the white space around it; none gives an empty text.
func (m machine) attribute(path string) string {
	b, err := m.read(path, maxAttribute)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// read reads a regular file of at most limit bytes.
func (m machine) read(path string, limit int64) ([]byte, error) {
	f, err := m.file(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	return b, err
}

// file opens a regular file. Anything else might keep the reader waiting.
func (m machine) file(path string) (*os.File, error) {
	info, err := os.Stat(m.at(path))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.Open(m.at(path))
}

// device looks at a device by opening it for reading and writing, as those who use it do.
func (m machine) device(name Name, path string) Finding {
	f := Finding{Name: name, Path: path}
	if info, err := os.Stat(m.at(path)); err == nil && info.Mode()&(os.ModeDevice|os.ModeCharDevice) == 0 && !info.Mode().IsRegular() {
		f.State, f.Detail = Fault, "neither a device nor a file that stands for one"
		return f
	}
	opened, err := os.OpenFile(m.at(path), os.O_RDWR, 0)
	if err == nil {
		opened.Close() //nolint:errcheck // nothing was written
	}
	m.outcome(&f, err)
	return f
}

// outcome puts what opening gave into the finding.
func (m machine) outcome(f *Finding, err error) {
	switch {
	case err == nil:
		f.State = Ready
	case errors.Is(err, fs.ErrNotExist):
		f.State = Absent
	case errors.Is(err, fs.ErrPermission):
		f.State = Denied
		m.denied(f)
	default:
		f.State, f.Detail = Fault, reason(err)
	}
}

// reason is an error without the path, which stands beside it.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// denied says who may open the file, and what to do about it.
func (m machine) denied(f *Finding) {
	info, err := os.Stat(m.at(f.Path))
	if err != nil { // the folder is closed already
		f.Detail, f.Remedy = "this user may not look into "+filepath.Dir(f.Path), "run as root"
		return
	}
	need := os.FileMode(0o060)
	if info.Mode().IsRegular() && strings.HasPrefix(f.Path, "/sys/") {
		need = 0o040
	}
	mode := info.Mode().Perm()
	group, known := m.groupOf(info)
	switch {
	case mode&(need>>3) == need>>3:
		f.Detail, f.Remedy = "its permissions let everybody", "a container or a security module forbids it: let this process use "+f.Path
	case known && mode&need == need && group != "root" && group != "0":
		f.Detail = fmt.Sprintf("its permissions (%04o) let the group %s", mode, group)
		f.Remedy = fmt.Sprintf("add this user to the group (usermod -aG %s USER) and log in anew, or run as root", group)
	default:
		f.Detail, f.Remedy = fmt.Sprintf("its permissions (%04o) let the owner only", mode), "run as root"
	}
}

// groupOf names the group of a file by the machine's own list: its number, if that has none.
func (m machine) groupOf(info fs.FileInfo) (string, bool) {
	gid, ok := groupID(info)
	if !ok {
		return "", false
	}
	id := strconv.FormatUint(uint64(gid), 10)
	b, err := m.read("/etc/group", maxGroups)
	if err != nil {
		return id, true
	}
	for line := range strings.Lines(string(b)) {
		if field := strings.Split(strings.TrimSpace(line), ":"); len(field) >= 3 && field[2] == id {
			return field[0], true
		}
	}
	return id, true
}

// log looks at a log of the kernel by reading it: its files say that they have no bytes, whatever they have.
func (m machine) log(name Name, path string) Finding {
	f := Finding{Name: name, Path: path}
	in, err := m.file(path)
	if m.outcome(&f, err); err != nil {
		return f
	}
	defer in.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(in, maxLog+1))
	switch {
	case err != nil:
		m.outcome(&f, err)
	case n == 0:
		f.State = Empty
	case n > maxLog:
		f.Value, f.Detail = strconv.Itoa(maxLog), "more than the bytes that are counted"
	default:
		f.Value = strconv.FormatInt(n, 10)
	}
	return f
}
