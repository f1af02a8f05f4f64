package dcaptest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// Offsets of fields in a TD report (sgx-tdx.md section 2.4).
const (
	TEETCBSVN      = 0
	MRSIGNERSEAM   = 64
	SEAMAttributes = 112
	TDAttributes   = 120
	TEETCBSVN2     = 584
)

// TDQESigner is MRSIGNER of Intel's quoting enclave for TDX, in hex (sgx-tdx.md section 5.3).
const TDQESigner = "dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"

// SVNLevel is a level of a TDX module.
type SVNLevel struct {
	TCB struct {
		SVN int `json:"isvsvn"`
	} `json:"tcb"`
	Date       string   `json:"tcbDate"`
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs,omitempty"`
}

// LevelAt makes a level of a TDX module that came in 2024.
func LevelAt(svn int, status dcap.Status, advisories ...string) SVNLevel {
	l := SVNLevel{Date: "2024-03-13T00:00:00Z", Status: string(status), Advisories: advisories}
	l.TCB.SVN = svn
	return l
}

// Module is a TDX module as TCB info describes it; values are in hex.
type Module struct {
	ID         string     `json:"id,omitempty"`
	MRSIGNER   string     `json:"mrsigner"`
	Attributes string     `json:"attributes"`
	Mask       string     `json:"attributesMask"`
	Levels     []SVNLevel `json:"tcbLevels,omitempty"`
}

// NewModule describes a module of Intel's.
func NewModule(id string, levels ...SVNLevel) Module {
	return Module{ID: id, MRSIGNER: fmt.Sprintf("%096d", 0), Attributes: fmt.Sprintf("%016d", 0), Mask: "FFFFFFFFFFFFFFFF", Levels: levels}
}

// TD is a TDX guest and what Intel says about its module.
type TD struct {
	Type       dcap.BodyType
	Report     []byte // as long as Type has it
	Module     *Module
	Identities []Module
	Components [][16]int // TDX components of the levels of TCB info; the last one is that of all further levels
}

// NewTD is a sound TD of version t, launched on module TDX_01 with SVN 5, which is up to date.
func NewTD(t dcap.BodyType) *TD {
	d := &TD{Type: t, Report: make([]byte, map[dcap.BodyType]int{dcap.TDReport10: 584, dcap.TDReport15: 648, dcap.TDReport15Ex: 885}[t])}
	for i := 136; i < len(d.Report); i++ {
		d.Report[i] = byte(i)
	}
	d.Launched(5, 1, 3)
	d.Running(5, 1, 3)
	module := NewModule("")
	d.Module = &module
	d.Identities = []Module{NewModule("TDX_01", LevelAt(5, dcap.UpToDate), LevelAt(3, dcap.OutOfDate, "INTEL-SA-90007"), LevelAt(1, dcap.RevokedTCB))}
	d.Components = [][16]int{{5, 0, 3}}
	return d
}

// Launched sets TEE_TCB_SVN: SVN and version of the module, and further components.
func (d *TD) Launched(components ...byte) { d.set(TEETCBSVN, components) }

// Running sets TEE_TCB_SVN_2, where there is one.
func (d *TD) Running(components ...byte) {
	if d.Type >= dcap.TDReport15 {
		d.set(TEETCBSVN2, components)
	}
}

func (d *TD) set(offset int, components []byte) {
	clear(d.Report[offset : offset+16])
	copy(d.Report[offset:], components)
}

// Apply makes a scenario one of the TD: quote, quoting enclave and collateral. Edits of bytes that are made later, by [Edit] or
// [Then], meet those of TDX.
func (d *TD) Apply(t testing.TB) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		if s.QuoteVersion == 3 {
			s.QuoteVersion = 4
		}
		if d.Type != dcap.TDReport10 {
			s.QuoteVersion = 5
		}
		signer, err := hex.DecodeString(TDQESigner)
		if err != nil {
			t.Fatal(err)
		}
		s.QE.MRSIGNER, s.QE.ProdID = [32]byte(signer), 2
		Edit(assaytest.QuoteBody, d.body)(s)
		Edit(assaytest.TCBInfoBody, func(b []byte) []byte { return d.tcbInfo(t, b) })(s)
		Edit(assaytest.QEIdentityBody, qeIdentity)(s)
	}
}

// Then makes a change that sets its own edit of bytes, such as a fault of assaytest, keep the edits made before.
func Then(change func(*assaytest.Scenario)) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		before := s.Edit.Bytes
		s.Edit.Bytes = nil
		change(s)
		after := s.Edit.Bytes
		s.Edit.Bytes = func(p assaytest.Part, b []byte) []byte {
			for _, edit := range []func(assaytest.Part, []byte) []byte{before, after} {
				if edit != nil {
					b = edit(p, b)
				}
			}
			return b
		}
	}
}

// body makes the header one of TDX and puts the TD report behind it.
func (d *TD) body(b []byte) []byte {
	le := binary.LittleEndian
	b = slices.Clone(b[:48])
	le.PutUint32(b[4:], uint32(dcap.TDX))
	if le.Uint16(b) == 5 {
		b = le.AppendUint16(b, uint16(d.Type))
		b = le.AppendUint32(b, uint32(len(d.Report)))
	}
	return append(b, d.Report...)
}

// tcbInfo makes TCB info for SGX such for TDX. Everything else stays byte for byte.
func (d *TD) tcbInfo(t testing.TB, b []byte) []byte {
	t.Helper()
	var modules []byte
	if d.Module != nil {
		modules = fmt.Appendf(modules, `"tdxModule":%s,`, encode(t, d.Module))
	}
	if d.Identities != nil {
		modules = fmt.Appendf(modules, `"tdxModuleIdentities":%s,`, encode(t, d.Identities))
	}
	b = bytes.Replace(b, []byte(`"id":"SGX"`), []byte(`"id":"TDX"`), 1)
	b = bytes.Replace(b, []byte(`"tcbLevels":`), append(modules, `"tcbLevels":`...), 1)
	level := -1
	return regexp.MustCompile(`"pcesvn":\d+`).ReplaceAllFunc(b, func(pcesvn []byte) []byte {
		level++
		var list []map[string]int
		for _, svn := range d.Components[min(level, len(d.Components)-1)] {
			list = append(list, map[string]int{"svn": svn})
		}
		return fmt.Appendf(nil, `%s,"tdxtcbcomponents":%s`, pcesvn, encode(t, list))
	})
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// qeIdentity makes the identity that of the quoting enclave for TDX.
func qeIdentity(b []byte) []byte {
	b = bytes.Replace(b, []byte(`"id":"QE"`), []byte(`"id":"TD_QE"`), 1)
	b = bytes.Replace(b, []byte(`"isvprodid":1`), []byte(`"isvprodid":2`), 1)
	return regexp.MustCompile(`"mrsigner":"[^"]*"`).ReplaceAll(b, []byte(`"mrsigner":"`+TDQESigner+`"`))
}
