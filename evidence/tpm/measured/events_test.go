package measured_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// What each record says in the claim, on a machine that has secure boot off and measured nothing else into PCR 7.
func TestProcessedDataByEvent(t *testing.T) {
	boot := variableData(eventlog.GlobalVariable(), "Boot\"é", "\xFF\xFE")
	boots := `{"VariableGuid":"8BE4DF61-93CA-11D2-AA0D-00E098032B8C","UnicodeName":"Boot\"é","VariableData":"__4"}`
	debug := element(sipa.TrustBoundary, element(sipa.OSKernelDebug, on))
	for name, c := range map[string]struct {
		record rec
		want   string
	}{
		"separator":                    {separator(0, "\x01\x02\x00\x00"), `{"Value":513}`},
		"separator of another length":  {separator(0, "\x01\x02\x00"), ``},
		"separator edited":             {separator(0, zero).measuring("x"), ``},
		"EFI action":                   {rec{pcr: 5, typ: eventlog.EFIAction, data: "Calling <\"it\">"}, `{"String":"Calling <\"it\">"}`},
		"action":                       {rec{pcr: 4, typ: eventlog.Action, data: "an action"}, `{"String":"an action"}`},
		"action that is no text":       {rec{pcr: 4, typ: eventlog.Action, data: "an \xC3\xA9"}, ``},
		"action of two lines":          {rec{pcr: 4, typ: eventlog.Action, data: "an\naction"}, ``},
		"action edited":                {rec{pcr: 4, typ: eventlog.Action, data: "an action"}.measuring("x"), ``},
		"boot variable":                {rec{pcr: 1, typ: eventlog.VariableBoot, data: boot}, boots},
		"boot variable, value only":    {rec{pcr: 1, typ: eventlog.VariableBoot, data: boot}.measuring("\xFF\xFE"), boots},
		"boot variable edited":         {rec{pcr: 1, typ: eventlog.VariableBoot, data: boot}.measuring("\xFF"), ``},
		"boot variable malformed":      {rec{pcr: 1, typ: eventlog.VariableBoot, data: boot + "x"}, ``},
		"boot variable 2":              {rec{pcr: 1, typ: eventlog.VariableBoot2, data: boot}, boots},
		"boot variable 2, value only":  {rec{pcr: 1, typ: eventlog.VariableBoot2, data: boot}.measuring("\xFF\xFE"), ``},
		"variable in another PCR":      {rec{pcr: 3, typ: eventlog.VariableDriverConfig, data: boot}, boots},
		"authority in another PCR":     {rec{pcr: 3, typ: eventlog.VariableAuthority, data: boot}, boots},
		"tag in PCR 12":                {rec{pcr: 12, typ: eventlog.EventTag, data: debug}, `{"EVENT_TRUSTBOUNDARY":{"EVENT_OSKERNELDEBUG":true}}`},
		"tag without a known element":  {rec{pcr: 14, typ: eventlog.EventTag, data: element(0x0005FFFF, "x")}, ``},
		"tag in PCR 11":                {rec{pcr: 11, typ: eventlog.EventTag, data: debug}, ``},
		"tag in PCR 5":                 {rec{pcr: 5, typ: eventlog.EventTag, data: debug}, ``},
		"tag in PCR 5 of another text": {rec{pcr: 9, typ: eventlog.EventTag, data: debug}.measuring("an initrd"), ``},
		"tag in PCR 19, no launch":     {rec{pcr: 19, typ: eventlog.EventTag, data: debug}, ``},
		"image":                        {rec{pcr: 4, typ: 0x80000003, data: "a device path"}, ``},
		"text of a boot loader":        {rec{pcr: 8, typ: eventlog.IPL, data: "grub_cmd: boot"}, ``},
		"hash of BitLocker":            {rec{pcr: 11, typ: eventlog.CompactHash, data: "\x10\x00\x00\x00"}, ``},
		"unknown type":                 {rec{pcr: 2, typ: 0x8401, data: zero}, ``},
		"never extended":               {rec{pcr: 12, typ: eventlog.NoAction, data: debug}, ``},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{{c.record}}}
			e := events(t, m.boots(t))[1] // behind the record that describes the log
			if got := string(e.ProcessedData); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if *e.PcrIndex != c.record.pcr || *e.EventType != uint32(c.record.typ) || e.EventTypeString != c.record.typ.String() {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestEventsAreWrittenAsSpecified(t *testing.T) {
	m := &machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{
		{separator(0, zero), {pcr: eventlog.Outside, typ: eventlog.NoAction, data: "x"}}, {{pcr: 1, typ: 0x13, data: "y"}},
	}}
	got, err := m.boots(t).Events(measured.EventsOptions{})
	want := `{"Events":[{"EventSeq":1,"EventType":3,"EventTypeString":"EV_NO_ACTION","PcrIndex":0},` +
		`{"EventSeq":2,"EventType":4,"EventTypeString":"EV_SEPARATOR","PcrIndex":0,"ProcessedData":{"Value":0}},` +
		`{"EventSeq":3,"EventType":3,"EventTypeString":"EV_NO_ACTION"},` +
		`{"EventSeq":4,"EventType":3,"EventTypeString":"EV_NO_ACTION","PcrIndex":0},` +
		`{"EventSeq":5,"EventType":19,"EventTypeString":"UNKNOWN","PcrIndex":1}]}`
	if string(got) != want || err != nil {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

// Digests are given of records that a quoted PCR was extended with, in the banks that quote it.
func TestDigestsOfEventsAreGivenOnRequest(t *testing.T) {
	m := &machine{algs: []tpm.Alg{tpm.SHA256, tpm.SHA1}, logs: [][]rec{{separator(0, zero), separator(1, zero)}}, quoted: []int{0}}
	v, err := m.boots(t).Events(measured.EventsOptions{Digests: true})
	if err != nil {
		t.Fatal(err)
	}
	got := lines(t, v)
	if d := got[1].Digests; len(d) != 2 || got[0].Digests != nil || got[2].Digests != nil {
		t.Errorf("got %s", v)
	}
	// SHA-1 and SHA-256 of four zero bytes, by Python's hashlib.
	if want := `"Digests":{"SHA1":"kGnKeOdFCihRc0MbPlLFwlKZ5HM","SHA256":"3z9hmASpL9tAVxktxD3XSOp3itxSvEmM6AUkwBS4ERk"}`; !bytes.Contains(v, []byte(want)) {
		t.Errorf("got  %s\nwant %s", v, want)
	}
}

func TestPCRsClaim(t *testing.T) {
	var a, b tpm.Bank
	a.Alg, b.Alg = tpm.SHA256, tpm.SHA1
	a.Values[0], a.Values[23] = bytes.Repeat([]byte{0xFB}, 32), make([]byte, 32)
	b.Values[0], b.Values[16] = bytes.Repeat([]byte{0xFB}, 20), make([]byte, 20)
	q := quote(t, a, b)
	zeros, fb := strings.Repeat("A", 43), strings.Repeat("-_v7", 10)+"-_s"
	want := `{"PCRs":[{"Index":0,"Digests":{"SHA1":"` + strings.Repeat("-_v7", 6) + `-_s","SHA256":"` + fb + `"}},` +
		`{"Index":16,"Digests":{"SHA1":"` + strings.Repeat("A", 27) + `"}},{"Index":23,"Digests":{"SHA256":"` + zeros + `"}}]}`
	if got := string(measured.PCRs(q, false)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = `{"PCRs":[{"Index":0,"Digests":{"SHA1":"` + strings.Repeat("fb", 20) + `","SHA256":"` + strings.Repeat("fb", 32) + `"}},` +
		`{"Index":16,"Digests":{"SHA1":"` + strings.Repeat("0", 40) + `"}},{"Index":23,"Digests":{"SHA256":"` + strings.Repeat("0", 64) + `"}}]}`
	if got := string(measured.PCRs(q, true)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Nothing is said of data in PCRs that are not quoted, and nothing of it refuses the log.
func TestDataOfPCRsThatAreNotQuotedIsNotBelieved(t *testing.T) {
	m := windows()
	m.quoted = []int{0}
	for i, r := range m.logs[0] {
		if r.pcr != 0 {
			m.logs[0][i] = r.measuring("another")
		}
	}
	b := m.boots(t)
	for _, e := range events(t, b) {
		if e.ProcessedData != nil && *e.PcrIndex != 0 {
			t.Errorf("event %d: %s", e.EventSeq, e.ProcessedData)
		}
	}
	if f := b.Facts(); f != (measured.Facts{}) {
		t.Errorf("got %+v", f)
	}
}

// A quote may have a PCR in one bank only: the others do not speak of it.
func TestABankThatDoesNotQuoteAPCRSaysNothingOfIt(t *testing.T) {
	m := windows()
	m.algs = []tpm.Alg{tpm.SHA256, tpm.SHA384}
	m.logs[0][m.at(t, 13, eventlog.EventTag)].measured = map[tpm.Alg]string{tpm.SHA384: "another"}
	banks := m.banks()
	banks[1].Values[13] = nil
	b, err := measured.Verify(m.parsed(t), quote(t, banks...), strict())
	if err != nil || len(b.Settings(sipa.OSKernelDebug)) != 1 {
		t.Errorf("got %v", err)
	}
}
