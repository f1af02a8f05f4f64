package measured_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// refused checks that the error is the refusal of the check, and that its text has the words.
func refused(t *testing.T, err error, check evidence.Check, words string) {
	t.Helper()
	var r *evidence.Refusal
	if !errors.As(err, &r) || r.Check != check || !strings.Contains(r.Error(), words) {
		t.Errorf("got %v, want a refusal of %s with %q", err, check, words)
	}
}

func TestSoundMachinesAreBelieved(t *testing.T) {
	for name, m := range map[string]*machine{"windows": windows(), "linux": linux()} {
		if b, err := m.verify(t, strict()); err != nil || !b.Facts().SecureBootEnabled {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The reasons for refusal of one record each, on a machine that is sound otherwise.
func TestRecordsThatRefuseALog(t *testing.T) {
	tag12 := boundary(12, element(sipa.OSKernelDebug, off))
	for name, c := range map[string]struct {
		edit  func(m *machine)
		check evidence.Check
		words string
	}{
		"variable edited":                   {replace(7, eventlog.VariableDriverConfig, global("SecureBoot", on).measuring("another")), evidence.EventLogData, "not measured"},
		"variable edited in another PCR":    {add(rec{pcr: 1, typ: eventlog.VariableDriverConfig, data: "x"}.measuring("y")), evidence.EventLogData, "PCR 1"},
		"tag edited":                        {replace(13, eventlog.EventTag, boundary(13).measuring("another")), evidence.EventLogData, "PCR 13"},
		"tag edited in PCR 11":              {add(boundary(11).measuring("another")), evidence.EventLogData, "PCR 11"},
		"tag edited in PCR 19":              {add(boundary(19).measuring("another")), evidence.EventLogData, "PCR 19"},
		"tag edited after the boot":         {add(tag12.measuring("another")), evidence.EventLogData, "PCR 12"},
		"tag malformed":                     {replace(12, eventlog.EventTag, rec{pcr: 12, typ: eventlog.EventTag, data: "\x01"}), evidence.WindowsEvents, "event 13 (EV_EVENT_TAG 0x6, PCR 12)"},
		"tag too deep":                      {replace(12, eventlog.EventTag, rec{pcr: 12, typ: eventlog.EventTag, data: nested(9)}), evidence.WindowsEvents, "deep"},
		"tag retyped in PCR 12":             {retype(12, eventlog.EventTag, eventlog.IPL), evidence.EventLogType, "Windows"},
		"tag retyped in PCR 13":             {retype(13, eventlog.EventTag, eventlog.NoAction+0x100), evidence.EventLogType, "Windows"},
		"tag as separator in PCR 12":        {retype(12, eventlog.EventTag, eventlog.Separator), evidence.EventLogType, "Windows"},
		"tag as separator in PCR 13":        {retype(13, eventlog.EventTag, eventlog.Separator), evidence.EventLogType, "Windows"},
		"end of the boot retyped":           {retype(12, eventlog.Separator, eventlog.EFIAction), evidence.EventLogType, "Windows"},
		"unextended record in PCR 12":       {insert(12, eventlog.EventTag, rec{pcr: 12, typ: eventlog.NoAction}), evidence.EventLogType, "Windows"},
		"separator edited in PCR 12":        {insert(12, eventlog.EventTag, separator(12, zero).measuring("x")), evidence.EventLogType, "Windows"},
		"type that does not belong":         {retype(7, eventlog.VariableDriverConfig, eventlog.IPL), evidence.EventLogType, "does not belong"},
		"variable that was never extended":  {insert(7, eventlog.Separator, rec{pcr: 7, typ: eventlog.NoAction, data: global("PK", "").data}), evidence.EventLogType, "does not belong"},
		"variable as authority":             {retype(7, eventlog.VariableDriverConfig, eventlog.VariableAuthority), evidence.EventLogType, "another type"},
		"variable as action":                {retype(7, eventlog.VariableDriverConfig, eventlog.EFIAction), evidence.EventLogType, "another type"},
		"other variable as authority":       {insert(7, eventlog.Separator, authorityOf(eventlog.GUID{1}, "CurrentPolicy")), evidence.EventLogType, "another type"},
		"separator as action":               {retype(7, eventlog.Separator, eventlog.EFIAction), evidence.EventLogType, "separator of PCR 7"},
		"separator edited":                  {replace(7, eventlog.Separator, separator(7, zero).measuring("x")), evidence.EventLogData, "not measured"},
		"action edited":                     {insert(7, eventlog.Separator, rec{pcr: 7, typ: eventlog.EFIAction, data: "x"}.measuring("y")), evidence.EventLogData, "not measured"},
		"authority of shim too early":       {insert(7, eventlog.Separator, authority("db", certificate+"x").measuring(authorityCut())), evidence.EventLogData, "not measured"},
		"authority malformed too early":     {insert(7, eventlog.Separator, rec{pcr: 7, typ: eventlog.VariableAuthority, data: "x"}), evidence.SecureBootLog, "no EFI variable"},
		"no separator":                      {remove(7, eventlog.Separator), evidence.SecureBootLog, "no separator"},
		"second separator":                  {add(separator(7, "\xFF\xFF\xFF\xFF")), evidence.SecureBootLog, "second separator"},
		"second separator under other type": {add(rec{pcr: 7, typ: eventlog.IPL, data: "x"}.measuring(zero)), evidence.SecureBootLog, "second separator"},
		"error separator":                   {replace(7, eventlog.Separator, separator(7, "\x01\x00\x00\x00")), evidence.SecureBootLog, "error"},
		"separator of another length":       {replace(7, eventlog.Separator, separator(7, "\x00\x00\x00")), evidence.SecureBootLog, "error"},
		"variable after the separator":      {add(global("AuditMode", off)), evidence.SecureBootLog, "after the separator"},
		"variable twice":                    {insert(7, eventlog.Separator, global("PK", "")), evidence.SecureBootLog, "second variable PK"},
		"dbt twice":                         {insert(7, eventlog.Separator, config(eventlog.ImageSecurity(), "dbt", ""), config(eventlog.ImageSecurity(), "dbt", "")), evidence.SecureBootLog, "second variable dbt"},
		"variable of another vendor":        {replace(7, eventlog.VariableDriverConfig, config(eventlog.Shim(), "SecureBoot", on)), evidence.SecureBootLog, "another vendor"},
		"database of another vendor":        {insert(7, eventlog.Separator, config(eventlog.GlobalVariable(), "dbr", "")), evidence.SecureBootLog, "another vendor"},
		"variable malformed":                {replace(7, eventlog.VariableDriverConfig, rec{pcr: 7, typ: eventlog.VariableDriverConfig, data: global("SecureBoot", on).data + "x"}), evidence.SecureBootLog, "no EFI variable"},
		"variable of a long name":           {insert(7, eventlog.Separator, global(strings.Repeat("n", 2049), on)), evidence.SecureBootLog, "no EFI variable"},
		"SecureBoot of two bytes":           {replace(7, eventlog.VariableDriverConfig, global("SecureBoot", on+on)), evidence.SecureBootLog, "wrong size"},
		"list malformed":                    {insert(7, eventlog.Separator, config(eventlog.ImageSecurity(), "dbt", "x")), evidence.SecureBootLog, "variable dbt"},
		"debug mode":                        {insert(7, eventlog.Separator, rec{pcr: 7, typ: eventlog.EFIAction, data: "UEFI Debug Mode"}), evidence.SecureBootLog, "debug mode"},
		"debug mode under another type":     {add(rec{pcr: 7, typ: eventlog.IPL, data: "x"}.measuring("UEFI Debug Mode\x00")), evidence.SecureBootLog, "debug mode"},
		"no authority":                      {remove(7, eventlog.VariableAuthority), evidence.SecureBootLog, "found signed"},
		"authority without a signature":     {replace(7, eventlog.VariableAuthority, rec{pcr: 7, typ: eventlog.VariableAuthority, data: variableData(eventlog.Shim(), "SbatLevel", "sbat,1,2022052400\n")}), evidence.SecureBootLog, "found signed"},
		"authority edited":                  {replace(7, eventlog.VariableAuthority, authority("db", owner+certificate).measuring("x")), evidence.SecureBootLog, "found signed"},
	} {
		t.Run(name, func(t *testing.T) {
			m := windows()
			c.edit(m)
			_, err := m.verify(t, strict())
			refused(t, err, c.check, c.words)
		})
	}
}

func TestSecureBootIsOnWithKeysOnly(t *testing.T) {
	for name, empty := range map[string]rec{
		"PK": global("PK", ""), "KEK": global("KEK", ""), "db": config(eventlog.ImageSecurity(), "db", ""),
	} {
		m := windows()
		head := empty.data[:24] // GUID and length of the name
		for i, r := range m.logs[0] {
			if r.pcr == 7 && strings.HasPrefix(r.data, head) && strings.Contains(r.data, empty.data[32:]) && r.typ == empty.typ {
				m.logs[0][i] = empty
			}
		}
		_, err := m.verify(t, strict())
		refused(t, err, evidence.SecureBootLog, "empty variable "+name)
	}
}

// Names and nesting at the limits are read.
func TestLimitsAtTheirEdge(t *testing.T) {
	m := windows()
	insert(7, eventlog.Separator, global(strings.Repeat("n", 2048), on))(m)
	replace(12, eventlog.EventTag, rec{pcr: 12, typ: eventlog.EventTag, data: nested(8)})(m)
	if s := m.boots(t).Settings(sipa.OSKernelDebug); len(s) != 2 {
		t.Errorf("got %v", s)
	}
}

// authorityOf is a variable of a vendor under the type of an authority.
func authorityOf(guid eventlog.GUID, name string) rec {
	return rec{pcr: 7, typ: eventlog.VariableAuthority, data: variableData(guid, name, owner+certificate)}
}

// authorityCut is what shim measures of an authority record: the last byte is left out.
func authorityCut() string {
	d := authority("db", certificate+"x").data
	return d[:len(d)-1]
}

func nested(depth int) string {
	s := element(sipa.OSKernelDebug, off)
	for range depth {
		s = element(0x40010003, s)
	}
	return s
}

func add(records ...rec) func(*machine) { return func(m *machine) { m.insert(-1, records...) } }

func insert(pcr uint32, typ eventlog.Type, records ...rec) func(*machine) {
	return func(m *machine) { m.insert(find(m, pcr, typ), records...) }
}

func replace(pcr uint32, typ eventlog.Type, r rec) func(*machine) {
	return func(m *machine) { m.logs[0][find(m, pcr, typ)] = r }
}

func remove(pcr uint32, typ eventlog.Type) func(*machine) {
	return func(m *machine) {
		i := find(m, pcr, typ)
		m.logs[0] = append(m.logs[0][:i:i], m.logs[0][i+1:]...)
	}
}

func retype(pcr uint32, from, to eventlog.Type) func(*machine) {
	return func(m *machine) { m.logs[0][find(m, pcr, from)].typ = to }
}

// find gives the first record of the PCR and type in the first log, which there must be.
func find(m *machine, pcr uint32, typ eventlog.Type) int {
	for i, r := range m.logs[0] {
		if r.pcr == pcr && r.typ == typ {
			return i
		}
	}
	panic("no such record")
}

func TestEveryQuotedPCRMustBeExplained(t *testing.T) {
	for name, c := range map[string]struct {
		pcr   int
		words string
	}{
		"a PCR with events": {0, "whole log"}, "a PCR without events": {9, "whole log"}, "PCR 10": {10, "IMA list"}, "PCR 17": {17, "PCR 17"},
	} {
		m := windows()
		banks := m.banks()
		banks[0].Values[c.pcr] = tpm.SHA256.Sum([]byte("another"))
		_, err := measured.Verify(m.parsed(t), quote(t, banks...), strict())
		t.Log(name)
		refused(t, err, evidence.EventLogReplay, c.words)
	}
}

func TestPCRsThatSoftwareCanResetAreNeverUsed(t *testing.T) {
	m := windows()
	m.insert(0, rec{pcr: 16, typ: eventlog.VariableDriverConfig, data: "x"}.measuring("y"), separator(23, zero))
	banks := m.banks()
	banks[0].Values[16], banks[0].Values[23] = tpm.SHA256.Sum([]byte("a")), tpm.SHA256.Sum([]byte("b"))
	b, err := measured.Verify(m.parsed(t), quote(t, banks...), strict())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events(t, b) {
		if p := e.PcrIndex; p != nil && (*p == 16 || *p == 23) && e.ProcessedData != nil {
			t.Errorf("event %d of PCR %d is believed", e.EventSeq, *p)
		}
	}
}

func TestLogsOfAnotherBankThanTheQuoteAreRefused(t *testing.T) {
	legacy, agile := windows(), windows()
	legacy.legacy, legacy.algs = true, []tpm.Alg{tpm.SHA1}
	sha256 := windows()
	_, err := measured.Verify(legacy.parsed(t), quote(t, sha256.banks()...), strict())
	refused(t, err, evidence.EventLogBank, "tpm_allow_sha1")
	agile.algs = []tpm.Alg{tpm.SHA384}
	_, err = measured.Verify(agile.parsed(t), quote(t, sha256.banks()...), strict())
	refused(t, err, evidence.EventLogBank, "no digests")
	if b, err := legacy.verify(t, strict()); err != nil || !b.Facts().SecureBootEnabled {
		t.Errorf("a SHA-1 log for a SHA-1 bank that counts: %v", err)
	}
}

func TestLogsAreOneOfTwoKinds(t *testing.T) {
	_, err := measured.Verify([]measured.Log{{}}, quote(t, windows().banks()...), strict())
	refused(t, err, evidence.EventLogFormat, "log 1")
}

func TestWithoutLogsEveryPCRMustHaveItsStartValue(t *testing.T) {
	m := &machine{algs: []tpm.Alg{tpm.SHA256, tpm.SHA384}}
	b, err := m.verify(t, strict())
	if err != nil {
		t.Fatal(err)
	}
	if f := b.Facts(); f != (measured.Facts{NotSafeMode: true, NotWinPE: true}) {
		t.Errorf("got %+v", f)
	}
	if e, err := b.Events(measured.EventsOptions{}); err != nil || string(e) != `{"Events":[]}` {
		t.Errorf("got %s, %v", e, err)
	}
	_, err = measured.Verify(nil, quote(t, windows().banks()...), strict())
	refused(t, err, evidence.EventLogReplay, "PCR 0")
}

// Only the bank in which data was measured otherwise tells.
func TestDataMustBeCoveredInEveryBankThatCounts(t *testing.T) {
	for _, bad := range []tpm.Alg{tpm.SHA256, tpm.SHA384} {
		m := windows()
		m.algs = []tpm.Alg{tpm.SHA256, tpm.SHA384}
		i := m.at(t, 13, eventlog.EventTag)
		m.logs[0][i].measured = map[tpm.Alg]string{bad: "another"}
		_, err := m.verify(t, strict())
		refused(t, err, evidence.EventLogData, "PCR 13")
	}
}

func TestAMachineWithoutAuthorityIsAcceptedWhereTheProviderSaysSo(t *testing.T) {
	m := windows()
	remove(7, eventlog.VariableAuthority)(m)
	opt := strict()
	opt.WithoutAuthority = true
	if b, err := m.verify(t, opt); err != nil || !b.Facts().SecureBootEnabled {
		t.Errorf("got %v", err)
	}
}

// Who signed what ran should be in db; where nobody is, the journal says so.
func TestTheJournalTellsOfAuthoritiesThatAreNotInDB(t *testing.T) {
	for value, want := range map[string]string{
		owner + certificate: "on", certificate: "on", owner + aHash: "on; no image was found signed by an entry of db",
	} {
		var j evidence.Journal
		opt := strict()
		opt.Journal = &j
		m := windows()
		replace(7, eventlog.VariableAuthority, authority("db", value))(m)
		if b, err := m.verify(t, opt); err != nil || !b.SecureBoot().Enabled {
			t.Fatal(err)
		}
		if got := j.Entries[len(j.Entries)-1].Found; got != want {
			t.Errorf("authority %q: got %q, want %q", value, got, want)
		}
	}
}

func TestTheJournalTellsOfTheVerdicts(t *testing.T) {
	var j evidence.Journal
	opt := strict()
	opt.Journal = &j
	m := windows()
	if _, err := m.verify(t, opt); err != nil {
		t.Fatal(err)
	}
	add(separator(7, zero))(m)
	if _, err := m.verify(t, opt); err == nil {
		t.Fatal("accepted")
	}
	want := []evidence.Entry{{Name: evidence.EventLogReplay, Outcome: evidence.Pass}, {Name: evidence.EventLogData, Outcome: evidence.Pass},
		{Name: evidence.SecureBootLog, Outcome: evidence.Pass}, {Name: evidence.EventLogReplay, Outcome: evidence.Pass},
		{Name: evidence.SecureBootLog, Outcome: evidence.Fail}}
	for i, e := range j.Entries {
		if i >= len(want) || e.Name != want[i].Name || e.Outcome != want[i].Outcome {
			t.Errorf("entry %d: got %v", i, e)
		}
	}
	if len(j.Entries) != len(want) {
		t.Errorf("got %d entries, want %d", len(j.Entries), len(want))
	}
}
