package measured_test

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// rec is a record of a log that a test makes.
type rec struct {
	pcr      uint32
	typ      eventlog.Type
	data     string
	measured map[tpm.Alg]string // what the digest of a bank is of, instead of data
}

func (r rec) digest(a tpm.Alg) []byte {
	if m, ok := r.measured[a]; ok {
		return a.Sum([]byte(m))
	}
	return a.Sum([]byte(r.data))
}

// measuring gives a record whose digests are of another text.
func (r rec) measuring(text string) rec {
	r.measured = map[tpm.Alg]string{tpm.SHA1: text, tpm.SHA256: text, tpm.SHA384: text}
	return r
}

// machine is a machine that a test makes: what it logged, one log per list, and what was extended, which is the same.
type machine struct {
	algs   []tpm.Alg // the banks of log and quote
	legacy bool
	drtm   bool // the last log is of a dynamic launch
	logs   [][]rec
	quoted []int // PCRs; nil: all
}

// bytes writes a log, little-endian.
func (m *machine) bytes(records []rec) []byte {
	var b []byte
	le := binary.LittleEndian
	if !m.legacy {
		spec := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2)
		spec = le.AppendUint32(spec, uint32(len(m.algs)))
		for _, a := range m.algs {
			spec = le.AppendUint16(le.AppendUint16(spec, uint16(a)), uint16(a.Size()))
		}
		spec = append(spec, 0)
		b = le.AppendUint32(le.AppendUint32(b, 0), uint32(eventlog.NoAction))
		b = append(le.AppendUint32(append(b, make([]byte, 20)...), uint32(len(spec))), spec...)
	}
	for _, r := range records {
		b = le.AppendUint32(le.AppendUint32(b, r.pcr), uint32(r.typ))
		if m.legacy {
			b = append(b, r.digest(tpm.SHA1)...)
		} else {
			b = le.AppendUint32(b, uint32(len(m.algs)))
			for _, a := range m.algs {
				b = append(le.AppendUint16(b, uint16(a)), r.digest(a)...)
			}
		}
		b = append(le.AppendUint32(b, uint32(len(r.data))), r.data...)
	}
	return b
}

// bank replays what was extended.
func (m *machine) bank(a tpm.Alg) tpm.Bank {
	b := tpm.Bank{Alg: a}
	for i := range b.Values {
		b.Values[i] = make([]byte, a.Size())
		for k := range b.Values[i] {
			if i >= 17 && i <= 22 && !m.drtm {
				b.Values[i][k] = 0xFF
			}
		}
	}
	for _, records := range m.logs {
		for _, r := range records {
			if r.typ != eventlog.NoAction && r.pcr < tpm.PCRCount {
				b.Values[r.pcr] = a.Sum(b.Values[r.pcr], r.digest(a))
			}
		}
	}
	return b
}

// only leaves the PCRs that are quoted.
func (m *machine) only(b tpm.Bank) tpm.Bank {
	if m.quoted == nil {
		return b
	}
	out := tpm.Bank{Alg: b.Alg}
	for _, pcr := range m.quoted {
		out.Values[pcr] = b.Values[pcr]
	}
	return out
}

func (m *machine) banks() (banks []tpm.Bank) {
	for _, a := range m.algs {
		banks = append(banks, m.only(m.bank(a)))
	}
	return banks
}

func (m *machine) parsed(t testing.TB) (logs []measured.Log) {
	t.Helper()
	for i, records := range m.logs {
		l, err := eventlog.Parse(m.bytes(records), eventlog.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, measured.Log{TCG: l, DRTM: m.drtm && i == len(m.logs)-1})
	}
	return logs
}

func (m *machine) verify(t testing.TB, opt measured.Options, lists ...*ima.List) (*measured.Boot, error) {
	t.Helper()
	logs := m.parsed(t)
	for _, l := range lists {
		logs = append(logs, measured.Log{IMA: l})
	}
	return measured.Verify(logs, quote(t, m.banks()...), opt)
}

// boots verifies a machine that must be believed.
func (m *machine) boots(t testing.TB) *measured.Boot {
	t.Helper()
	b, err := m.verify(t, strict())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func strict() measured.Options {
	return measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits()}
}

// at finds the first record of the first log of a PCR and type.
func (m *machine) at(t testing.TB, pcr uint32, typ eventlog.Type) int {
	t.Helper()
	for i, r := range m.logs[0] {
		if r.pcr == pcr && r.typ == typ {
			return i
		}
	}
	t.Fatalf("no record of type %v in PCR %d", typ, pcr)
	return 0
}

// insert puts records before record i of the first log, or at its end.
func (m *machine) insert(i int, records ...rec) {
	if i < 0 {
		i = len(m.logs[0])
	}
	m.logs[0] = append(m.logs[0][:i:i], append(records, m.logs[0][i:]...)...)
}

// variableData is UEFI_VARIABLE_DATA.
func variableData(guid eventlog.GUID, name, value string) string {
	units := utf16.Encode([]rune(name))
	b := binary.LittleEndian.AppendUint64(guid[:], uint64(len(units)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b) + value
}

// certificate stands for one: a DER sequence.
const certificate = "\x30\x03\x02\x01\x05"

const (
	owner = "an owner of 16 B"
	aHash = "32 bytes that stand for a SHA256"
)

// list is an EFI_SIGNATURE_LIST with one entry.
func list(kind eventlog.GUID, data string) string {
	b := binary.LittleEndian.AppendUint32(kind[:], uint32(28+16+len(data)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(16+len(data)))
	return string(b) + owner + data
}

func config(guid eventlog.GUID, name, value string) rec {
	return rec{pcr: 7, typ: eventlog.VariableDriverConfig, data: variableData(guid, name, value)}
}

func global(name, value string) rec { return config(eventlog.GlobalVariable(), name, value) }

func authority(name, value string) rec {
	return rec{pcr: 7, typ: eventlog.VariableAuthority, data: variableData(eventlog.ImageSecurity(), name, value)}
}

// element is a SIPA element.
func element(id sipa.ID, value string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(id))
	return string(binary.LittleEndian.AppendUint32(b, uint32(len(value)))) + value
}

// boundary is an EV_EVENT_TAG with a trust boundary.
func boundary(pcr uint32, elements ...string) rec {
	all := ""
	for _, e := range elements {
		all += e
	}
	return rec{pcr: pcr, typ: eventlog.EventTag, data: element(sipa.TrustBoundary, all)}
}

func separator(pcr uint32, data string) rec {
	return rec{pcr: pcr, typ: eventlog.Separator, data: data}
}

const (
	on, off  = "\x01", "\x00"
	zero     = "\x00\x00\x00\x00"
	endOfWin = "WBCL"
)

// secureBootRecords are PCR 7 of a machine with secure boot.
func secureBootRecords() []rec {
	x509 := eventlog.X509()
	return []rec{
		global("SecureBoot", on), global("PK", list(x509, "\x30\x03\x02\x01\x01")), global("KEK", list(x509, "\x30\x03\x02\x01\x02")),
		config(eventlog.ImageSecurity(), "db", list(x509, certificate)),
		config(eventlog.ImageSecurity(), "dbx", list(eventlog.SHA256(), aHash)),
		separator(7, zero), authority("db", owner+certificate),
	}
}

// windows is a sound machine that runs Windows.
func windows() *machine {
	records := append([]rec{{pcr: 0, typ: eventlog.SCRTMVersion, data: "1\x00"}}, secureBootRecords()...)
	return &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{append(records,
		separator(0, zero), separator(4, zero),
		rec{pcr: 5, typ: eventlog.EFIAction, data: "Exit Boot Services Invocation"},
		boundary(12, element(sipa.BootDebugging, off), element(sipa.BootCounter, "\x2A\x00\x00\x00\x00\x00\x00\x00")),
		boundary(13, element(sipa.OSKernelDebug, off), element(sipa.CodeIntegrity, on)),
		boundary(14, element(0x00060002, "a key")),
		separator(12, endOfWin), separator(13, endOfWin), separator(14, endOfWin),
	)}}
}

// linux is a sound machine that runs Linux.
func linux() *machine {
	return &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{append(secureBootRecords(),
		rec{pcr: 8, typ: eventlog.IPL, data: "grub_cmd: boot\x00"}.measuring("boot"),
		rec{pcr: 12, typ: eventlog.IPL, data: "options of systemd-stub"},
		rec{pcr: 14, typ: eventlog.IPL, data: "MokList\x00"}.measuring("a list"),
	)}}
}
