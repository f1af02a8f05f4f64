package dcap

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// A report is read if its size is that of its type, and every byte up to the end of what is known of it lands in one field.
func FuzzTDReport(f *testing.F) {
	for _, b := range quoteSeeds(f) {
		if q, err := ParseQuote(b); err == nil && q.TEE == TDX {
			f.Add(q.Body, uint16(q.BodyType))
		}
	}
	f.Add(make([]byte, 885), uint16(TDReport15Ex))
	f.Add(make([]byte, reportSize), uint16(SGXReport))
	f.Fuzz(func(t *testing.T, b []byte, kind uint16) {
		var r TDReport
		var err error
		bounded(t, len(b), func() { r, err = ParseTDReport(b, BodyType(kind)) })
		sizes := map[BodyType]int{TDReport10: 584, TDReport15: 648, TDReport15Ex: 885}
		if size, ok := sizes[BodyType(kind)]; (err == nil) != (ok && size == len(b)) {
			t.Fatalf("type %d with %d bytes: %v", kind, len(b), err)
		}
		if err != nil {
			return
		}
		again := slices.Concat(r.TEETCBSVN[:], r.MRSEAM[:], r.MRSIGNERSEAM[:], r.SEAMAttributes[:], r.TDAttributes[:], r.XFAM[:], r.MRTD[:],
			r.MRCONFIGID[:], r.MROWNER[:], r.MROWNERCONFIG[:], r.RTMR[0][:], r.RTMR[1][:], r.RTMR[2][:], r.RTMR[3][:], r.ReportData[:])
		if kind != uint16(TDReport10) {
			again = slices.Concat(again, r.TEETCBSVN2[:], r.MRSERVICETD[:])
		}
		if !bytes.HasPrefix(b, again) {
			t.Errorf("the fields give %x, not the beginning of %x", again, b)
		}
		if r.TEETCBSVN2 != [16]byte{} && kind == uint16(TDReport10) {
			t.Error("a report of version 1.0 has a TEE_TCB_SVN_2")
		}
		if r.Debug() != (b[120] != 0) || r.Attribute(TDPerfmon) != (b[127]&0x80 != 0) {
			t.Errorf("attributes %x: debug %t, perfmon %t", b[120:128], r.Debug(), r.Attribute(TDPerfmon))
		}
	})
}

// modulesHold checks what holds of the modules in any TCB info that can be read.
func modulesHold(t *testing.T, info *TCBInfo) {
	t.Helper()
	if info.tee != TDX && len(info.identities) > 0 {
		t.Errorf("TCB info for %s has %d modules", info.tee, len(info.identities))
	}
	seen := map[string]bool{}
	for i := range info.identities {
		m := &info.identities[i]
		id := strings.ToUpper(m.id)
		if seen[id] || len(m.levels) == 0 {
			t.Errorf("module %s is there before, or has no levels", m.id)
		}
		seen[id] = true
		for j, l := range m.levels {
			if j > 0 && l.svn >= m.levels[j-1].svn || !slices.Contains(moduleStatuses(), l.status) {
				t.Errorf("module %s: level %d with isvsvn %d, %s, stands behind %d", m.id, j, l.svn, l.status, m.levels[j-1].svn)
			}
		}
	}
	for version := range 256 {
		tcb := teeTCB{0xFF, byte(version)}
		if m, refusal := info.moduleOf(tcb); refusal == nil && version > 0 && !strings.EqualFold(m.id, tcb.moduleID()) || refusal != nil && seen[tcb.moduleID()] {
			t.Errorf("version %d: found %+v (%v)", version, m, refusal)
		}
	}
}

// agree checks that the two ways to compare a TD with a level say the same.
func agree(t *testing.T, td, level teeTCB) {
	t.Helper()
	if td.reaches(level) != (len(td.below(level)) == 0) {
		t.Errorf("%s reaches %s: %t, below it: %v", td, level, td.reaches(level), td.below(level))
	}
}
