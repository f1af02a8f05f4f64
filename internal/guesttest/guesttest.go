// Package guesttest fakes what Linux and Gramine offer a confidential machine: configfs-tsm, its devices, and /dev/attestation. It keeps to
// the kernel's headers and documentation, not to how the client uses them. For tests only.
package guesttest

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Where the kernel and Gramine have their files.
const (
	tsmReports = "/sys/kernel/config/tsm/report"
	gramine    = "/dev/attestation"
)

// Machine is a confidential machine. The zero value is one that has nothing. It is not safe for concurrent use.
type Machine struct {
	Report   func(data [64]byte) []byte // makes the report or quote
	Table    []byte                     // the certificate table of the host
	Provider string                     // of configfs-tsm; empty: none is loaded, and a request cannot be made
	TSM      bool                       // configfs-tsm is there
	Device   string                     // /dev/sev-guest or /dev/tdx_guest; empty: none
	Gramine  string                     // its attestation_type; empty: this is no enclave of Gramine
	Racers   int                        // how many of the first requests somebody else writes into
	// Fault gives the error of an operation ("read", "write", "mkdir", "ioctl") on a file (its base name) or a device; nil: none has one.
	Fault func(operation, name string) error
	// Status is the status in the responses of /dev/sev-guest.
	Status uint32
	// Refuses are requests that the device refuses, with their errors.
	Refuses map[uint32]error

	Requests map[string]*Request // of configfs-tsm that have not been removed
	Made     int                 // how many there ever were
	VMPL     string              // as it was asked for last
	data     [64]byte            // of Gramine
	racing   bool
}

// Request is a request of configfs-tsm.
type Request struct {
	inblob     []byte
	generation uint64
}

func (m *Machine) fault(operation, name string) error {
	if m.Fault == nil {
		return nil
	}
	if err := m.Fault(operation, path.Base(name)); err != nil {
		return &fs.PathError{Op: operation, Path: name, Err: err}
	}
	return nil
}

func missing(operation, name string) error {
	return &fs.PathError{Op: operation, Path: name, Err: fs.ErrNotExist}
}

// Mkdir makes a request.
func (m *Machine) Mkdir(name string) error {
	switch err := m.fault("mkdir", name); {
	case err != nil:
		return err
	case !m.TSM || path.Dir(name) != tsmReports:
		return missing("mkdir", name)
	case m.Provider == "":
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENXIO}
	}
	if m.Requests == nil {
		m.Requests = map[string]*Request{}
	}
	m.Requests[name] = &Request{}
	m.Made++
	return nil
}

// Remove removes a request.
func (m *Machine) Remove(name string) error {
	if m.Requests[name] == nil {
		return missing("remove", name)
	}
	delete(m.Requests, name)
	return nil
}

// Write writes a file.
func (m *Machine) Write(name string, b []byte) error {
	if err := m.fault("write", name); err != nil {
		return err
	}
	if name == gramine+"/user_report_data" && m.Gramine != "" {
		if len(b) != len(m.data) {
			return syscall.EINVAL
		}
		m.data = [64]byte(b)
		return nil
	}
	r := m.Requests[path.Dir(name)]
	switch {
	case r != nil && path.Base(name) == "inblob":
		r.inblob = b
	case r != nil && path.Base(name) == "privlevel" && m.Provider == "sev_guest":
		if level, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || level < 0 || level > 3 {
			return syscall.EINVAL
		}
		m.VMPL = string(b)
	default:
		return missing("write", name)
	}
	r.generation++
	m.racing = m.Racers > 0
	return nil
}

// Read reads a file.
func (m *Machine) Read(name string, limit int) ([]byte, error) {
	if err := m.fault("read", name); err != nil {
		return nil, err
	}
	b, err := m.content(name)
	return b[:min(len(b), limit)], err
}

func (m *Machine) content(name string) ([]byte, error) {
	r := m.Requests[path.Dir(name)]
	switch base := path.Base(name); {
	case path.Dir(name) == gramine && m.Gramine != "":
		return m.enclave(base)
	case r == nil:
		return nil, missing("read", name)
	case base == "provider":
		return []byte(m.Provider + "\n"), nil
	case base == "generation":
		return fmt.Appendf(nil, "%d\n", r.generation), nil
	case base == "outblob":
		return m.outblob(r)
	case base == "auxblob" && m.Provider == "sev_guest":
		return m.Table, nil
	}
	return nil, missing("read", name)
}

// outblob makes the report, of what another program wrote if it came first.
func (m *Machine) outblob(r *Request) ([]byte, error) {
	if m.racing {
		m.racing = false
		m.Racers--
		r.generation++
		r.inblob = make([]byte, 64)
	}
	if len(r.inblob) != 64 {
		return nil, syscall.EINVAL
	}
	return m.Report([64]byte(r.inblob)), nil
}

func (m *Machine) enclave(file string) ([]byte, error) {
	switch {
	case file == "attestation_type" && m.Gramine != "old":
		return []byte(m.Gramine), nil
	case file == "quote" && m.Report != nil:
		return m.Report(m.data), nil
	}
	return nil, missing("read", file)
}

// The requests of the devices and the places in their structures (include/uapi/linux/sev-guest.h, tdx-guest.h).
const (
	// SNPGetReport is SNP_GET_REPORT.
	SNPGetReport = 3<<30 | 32<<16 | 'S'<<8
	// SNPGetExtReport is SNP_GET_EXT_REPORT.
	SNPGetExtReport = 3<<30 | 32<<16 | 'S'<<8 | 2
	// TDXGetReport is TDX_CMD_GET_REPORT0.
	TDXGetReport = 3<<30 | (64+1024)<<16 | 'T'<<8 | 1
)

// Control does an ioctl on a device.
func (m *Machine) Control(device string, request uint32, argument []byte) error {
	switch err := m.fault("ioctl", device); {
	case err != nil:
		return err
	case device != m.Device:
		return missing("open", device)
	case m.Refuses[request] != nil:
		return m.Refuses[request]
	case device == "/dev/tdx_guest" && request == TDXGetReport && len(argument) == 64+1024:
		return m.tdreport(argument)
	case device == "/dev/sev-guest" && (request == SNPGetReport || request == SNPGetExtReport) && len(argument) == 32 && argument[0] > 0:
		return m.sevGuest(request, argument)
	}
	return syscall.ENOTTY
}

// tdreport puts a report behind the data: its type, and the data at 128.
func (m *Machine) tdreport(argument []byte) error {
	argument[64] = 0x81
	copy(argument[64+128:], argument[:64])
	return nil
}

// sevGuest reads the request behind its address, and writes the response behind its own.
func (m *Machine) sevGuest(code uint32, argument []byte) error {
	request := behind(argument[8:], 96)
	response := behind(argument[16:], 4000)
	m.VMPL = fmt.Sprint(binary.NativeEndian.Uint32(request[64:]))
	if code == SNPGetExtReport {
		ext := behind(argument[8:], 112)
		length := int(binary.NativeEndian.Uint32(ext[104:]))
		if length%4096 != 0 || length > 16<<10 {
			return syscall.EINVAL
		}
		if len(m.Table) > length {
			binary.NativeEndian.PutUint32(argument[28:], 1)
			return syscall.EIO
		}
		copy(behind(ext[96:], length), m.Table)
	}
	report := m.Report([64]byte(request))
	binary.LittleEndian.PutUint32(response, m.Status)
	binary.LittleEndian.PutUint32(response[4:], uint32(len(report)))
	copy(response[32:], report)
	return nil
}

// behind gives the bytes to which an address leads.
func behind(address []byte, size int) []byte {
	at := uintptr(binary.NativeEndian.Uint64(address))
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), size)
}
