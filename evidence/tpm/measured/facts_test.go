package measured_test

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

func TestFactsCountTheWorseValue(t *testing.T) {
	is := func(pcr uint32, id sipa.ID, value string) rec { return boundary(pcr, element(id, value)) }
	type pick = func(measured.Facts) bool
	debugging := func(f measured.Facts) bool { return f.BootDebuggingDisabled }
	safe := func(f measured.Facts) bool { return f.NotSafeMode }
	pe := func(f measured.Facts) bool { return f.NotWinPE }
	vbs := func(f measured.Facts) bool { return f.VBSEnabled }
	iommu := func(f measured.Facts) bool { return f.IOMMUEnabled }
	for name, c := range map[string]struct {
		fact pick
		want bool
		tags []rec
	}{
		"debugging: nothing":           {debugging, false, nil},
		"debugging: off":               {debugging, true, []rec{is(13, sipa.BootDebugging, off)}},
		"debugging: on":                {debugging, false, []rec{is(12, sipa.BootDebugging, on)}},
		"debugging: on, then off":      {debugging, false, []rec{is(12, sipa.BootDebugging, on), is(12, sipa.BootDebugging, off)}},
		"debugging: off, then on":      {debugging, false, []rec{is(12, sipa.BootDebugging, off), is(13, sipa.BootDebugging, "\x80")}},
		"debugging: off in PCR 14":     {debugging, false, []rec{is(14, sipa.BootDebugging, off)}},
		"debugging: off after the end": {debugging, false, []rec{separator(12, endOfWin), is(12, sipa.BootDebugging, off)}},
		"safe mode: nothing":           {safe, true, nil},
		"safe mode: off":               {safe, true, []rec{is(12, sipa.SafeMode, off)}},
		"safe mode: on":                {safe, false, []rec{is(13, sipa.SafeMode, on), is(13, sipa.SafeMode, off)}},
		"safe mode: on in PCR 14":      {safe, true, []rec{is(14, sipa.SafeMode, on)}},
		"PE: nothing":                  {pe, true, nil},
		"PE: on":                       {pe, false, []rec{is(12, sipa.WinPE, on)}},
		"VBS: nothing":                 {vbs, false, nil},
		"VBS: required":                {vbs, true, []rec{is(12, sipa.VBSVSMRequired, on)}},
		"VBS: enforced":                {vbs, true, []rec{is(12, sipa.VBSMandatoryEnforcement, on)}},
		"VBS: required, not enforced":  {vbs, false, []rec{is(12, sipa.VBSVSMRequired, on), is(12, sipa.VBSMandatoryEnforcement, off)}},
		"VBS: in PCR 13":               {vbs, false, []rec{is(13, sipa.VBSVSMRequired, on)}},
		"IOMMU: nothing":               {iommu, false, nil},
		"IOMMU: required":              {iommu, true, []rec{is(13, sipa.VBSIOMMURequired, on)}},
		"IOMMU: in part":               {iommu, false, []rec{is(13, sipa.VBSIOMMURequired, on), is(12, sipa.VBSIOMMURequired, off)}},
	} {
		m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{c.tags}}
		if got := c.fact(m.boots(t).Facts()); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// good is a machine for which all facts are true.
func good() *machine {
	m := windows()
	m.logs[0][find(m, 12, eventlog.EventTag)] = boundary(12, element(sipa.BootDebugging, off), element(sipa.SafeMode, off),
		element(sipa.WinPE, off), element(sipa.VBSVSMRequired, on), element(sipa.VBSIOMMURequired, on))
	return m
}

func TestFactsNeedThePCRsThatTheyRestOn(t *testing.T) {
	all := measured.Facts{SecureBootEnabled: true, BootDebuggingDisabled: true, NotSafeMode: true, NotWinPE: true, VBSEnabled: true, IOMMUEnabled: true}
	for _, c := range []struct {
		quoted []int
		want   measured.Facts
	}{
		{[]int{7, 12, 13, 19, 20}, all},
		{[]int{7, 12, 13}, measured.Facts{SecureBootEnabled: true}},
		{[]int{12, 13, 19}, measured.Facts{VBSEnabled: true}},
		{[]int{7}, measured.Facts{SecureBootEnabled: true}},
		{[]int{12, 19}, measured.Facts{VBSEnabled: true}},
		{[]int{12}, measured.Facts{}},
		{[]int{13, 19, 20}, measured.Facts{}},
		{[]int{0, 14}, measured.Facts{}},
	} {
		m := good()
		m.quoted = c.quoted
		if got := m.boots(t).Facts(); got != c.want {
			t.Errorf("quoted %v: got %+v", c.quoted, got)
		}
	}
}

func TestADynamicLaunchCountsInItsPCRs(t *testing.T) {
	launch := func(quoted []int, tags ...rec) *measured.Boot {
		m := good()
		m.logs, m.drtm, m.quoted = append(m.logs, tags), true, quoted
		return m.boots(t)
	}
	debugging := boundary(20, element(sipa.BootDebugging, on))
	vbsOff := boundary(19, element(sipa.VBSVSMRequired, off))
	if f := launch(nil, debugging).Facts(); f.BootDebuggingDisabled || !f.VBSEnabled {
		t.Errorf("debugging in PCR 20: got %+v", f)
	}
	if f := launch(nil, vbsOff).Facts(); !f.BootDebuggingDisabled || f.VBSEnabled {
		t.Errorf("VBS off in PCR 19: got %+v", f)
	}
	if f := launch([]int{7, 12, 13, 19}, debugging).Facts(); f.BootDebuggingDisabled || f.NotSafeMode || !f.VBSEnabled {
		t.Errorf("PCR 20 is not quoted: got %+v", f)
	}
	if s := launch(nil, debugging).Settings(sipa.BootDebugging); len(s) != 2 || s[1].PCR != 20 {
		t.Errorf("settings: got %v", s)
	}
}

func TestFactsHoldInBothBoots(t *testing.T) {
	f := measured.Facts{SecureBootEnabled: true, NotWinPE: true, VBSEnabled: true}
	g := measured.Facts{SecureBootEnabled: true, NotSafeMode: true, VBSEnabled: true}
	if got := f.And(g); got != (measured.Facts{SecureBootEnabled: true, VBSEnabled: true}) {
		t.Errorf("got %+v", got)
	}
}

// A log that is cut in two behind the end of the boot phase does not begin it anew.
func TestNothingAfterTheBootIsBelieved(t *testing.T) {
	later := boundary(12, element(sipa.OSKernelDebug, off))
	together, apart := windows(), windows()
	together.insert(-1, later)
	apart.logs = append(apart.logs, []rec{later})
	for _, m := range []*machine{together, apart} {
		b := m.boots(t)
		if s := b.Settings(sipa.OSKernelDebug); len(s) != 1 || s[0].PCR != 13 {
			t.Errorf("got %v", s)
		}
		all := events(t, b)
		if last := all[len(all)-1]; last.ProcessedData != nil {
			t.Errorf("got %s", last.ProcessedData)
		}
	}
}

// The end of the boot phase is known by its digest, whatever its type says.
func TestTheEndOfTheBootPhaseIsKnownByItsDigest(t *testing.T) {
	m := windows()
	m.logs[0][find(m, 14, eventlog.Separator)].typ = 0x8401
	m.insert(-1, boundary(14, element(sipa.OSKernelDebug, off)))
	if s := m.boots(t).Settings(sipa.OSKernelDebug); len(s) != 1 {
		t.Errorf("got %v", s)
	}
}

// A record that was never extended ends nothing.
func TestOnlyWhatWasExtendedEndsTheBootPhase(t *testing.T) {
	m := windows()
	i := find(m, 14, eventlog.EventTag)
	m.insert(i, rec{pcr: 14, typ: eventlog.NoAction}.measuring(endOfWin))
	if s := m.boots(t).Settings(0x00060002); len(s) != 1 {
		t.Errorf("got %v", s)
	}
}

// A Windows log is known by each sign alone: a believed tag, or the digest of the end of the boot phase, in PCR 12, 13 or 14.
func TestALogOfWindowsIsKnownByEachSign(t *testing.T) {
	stranger := rec{pcr: 12, typ: eventlog.IPL, data: "kernel debugging is on"}
	for name, sign := range map[string]rec{
		"tag in PCR 12": boundary(12), "tag in PCR 13": boundary(13), "tag in PCR 14": boundary(14),
		"end of PCR 12": separator(12, endOfWin), "end of PCR 13": separator(13, endOfWin), "end of PCR 14": separator(14, endOfWin),
		"end of PCR 14 under another type": {pcr: 14, typ: 0x8401, data: endOfWin},
	} {
		m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{{stranger, sign}}}
		_, err := m.verify(t, strict())
		t.Log(name)
		refused(t, err, evidence.EventLogType, "Windows")
	}
	m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{{stranger, separator(14, zero), rec{pcr: 9, typ: eventlog.EventTag, data: endOfWin}}}}
	if _, err := m.verify(t, strict()); err != nil {
		t.Errorf("no sign: %v", err)
	}
}

// What the running system extends is not held against the boot.
func TestRecordsAfterTheBootMayBeOfAnyType(t *testing.T) {
	m := windows()
	m.insert(-1, rec{pcr: 12, typ: eventlog.IPL, data: "x"}, rec{pcr: 13, typ: 0x8401, data: "x"}.measuring("y"),
		rec{pcr: 7, typ: eventlog.IPL, data: "x"}, rec{pcr: 7, typ: eventlog.NoAction}, authority("PK", "x"))
	if f := m.boots(t).Facts(); !f.SecureBootEnabled || !f.BootDebuggingDisabled {
		t.Errorf("got %+v", f)
	}
}

// The logs of a dynamic launch need not be the last.
func TestOneLogOfADynamicLaunchIsEnough(t *testing.T) {
	m := good()
	m.logs, m.drtm = append([][]rec{{boundary(19, element(sipa.BootDebugging, off))}}, m.logs...), true
	logs := m.parsed(t)
	logs[0].DRTM, logs[1].DRTM = true, false
	b, err := measured.Verify(logs, quote(t, m.banks()...), strict())
	if err != nil || len(b.Settings(sipa.BootDebugging)) != 2 {
		t.Errorf("got %v", err)
	}
}

// idks is the value of VSM_IDKS_INFO with a modulus that is one byte over and over.
func idks(modulus string) string {
	return "\x01\x00\x00\x00" + "\x00\x08\x00\x00" + "\x03\x00\x00\x00" + "\x00\x01\x00\x00" + "\x01\x00\x01" + strings.Repeat(modulus, 256)
}

func TestKeysOfTheSecureKernelComeFromPCR12(t *testing.T) {
	a, b := element(sipa.VSMIDKSInfo, idks("\x81")), element(sipa.VSMIDKSInfo, idks("\x83"))
	m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{{
		boundary(12, a, b), boundary(12, a, element(sipa.VSMIDKSInfo, "no key"), element(0x00050020, idks("\x85"))),
		boundary(13, element(sipa.VSMIDKSInfo, idks("\x87"))), separator(12, endOfWin), boundary(12, element(sipa.VSMIDKSInfo, idks("\x89"))),
	}}}
	keys := m.boots(t).IDKS()
	if len(keys) != 2 || keys[0].Modulus[0] != 0x81 || keys[1].Modulus[0] != 0x83 || keys[0].Exponent != 65537 {
		t.Errorf("got %v", keys)
	}
	m.quoted = []int{13}
	if keys := m.boots(t).IDKS(); keys != nil {
		t.Errorf("PCR 12 is not quoted: got %v", keys)
	}
}

func TestSecureBootState(t *testing.T) {
	m := windows()
	m.insert(find(m, 7, eventlog.Separator), rec{pcr: 7, typ: eventlog.EFIAction, data: "DMA Protection Disabled"})
	m.insert(-1, rec{pcr: 7, typ: eventlog.VariableAuthority, data: variableData(eventlog.Shim(), "MokList", certificate)},
		rec{pcr: 7, typ: eventlog.VariableAuthority, data: variableData(eventlog.Shim(), "SbatLevel", "sbat,1,2022052400\n")},
		authority("db", owner+aHash), authority("db", certificate+"x").measuring(authorityCut()))
	s := m.boots(t).SecureBoot()
	if !s.Enabled || !s.DMAProtectionDisabled || len(s.PK) != 1 || len(s.KEK) != 1 || len(s.DB) != 1 || len(s.DBX) != 1 || len(s.Authorities) != 3 {
		t.Fatalf("got %+v", s)
	}
	if a := s.Authorities[0]; string(a.Owner[:]) != owner || string(a.Data) != certificate || a.Type != eventlog.X509() {
		t.Errorf("authority: got %+v", a)
	}
	if a := s.Authorities[1]; string(a.Data) != certificate || a.Owner != (eventlog.GUID{}) {
		t.Errorf("authority of shim: got %+v", a)
	}
	if a := s.Authorities[2]; string(a.Data) != aHash || a.Type != eventlog.SHA256() {
		t.Errorf("authority by hash: got %+v", a)
	}
	if s.DBX[0].Type != eventlog.SHA256() || string(s.DB[0].Data) != certificate {
		t.Errorf("databases: got %+v, %+v", s.DB, s.DBX)
	}
}

func TestSecureBootIsOffWithoutRecords(t *testing.T) {
	m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{{separator(0, zero)}}}
	if s := m.boots(t).SecureBoot(); s.Enabled {
		t.Errorf("got %+v", s)
	}
	m.logs[0] = append(m.logs[0], separator(7, "\xFF\xFF\xFF\xFF"))
	if s := m.boots(t).SecureBoot(); s.Enabled {
		t.Errorf("a separator only: got %+v", s)
	}
	for _, value := range []string{"", off, "\x02"} {
		m := windows()
		m.logs[0][find(m, 7, eventlog.VariableDriverConfig)] = global("SecureBoot", value)
		if s := m.boots(t).SecureBoot(); s.Enabled {
			t.Errorf("SecureBoot %x: got %+v", value, s)
		}
	}
}
