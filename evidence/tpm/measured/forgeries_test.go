package measured_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// secureBootOff is a machine whose firmware says that secure boot is off.
func secureBootOff() *machine {
	m := linux()
	m.logs[0][find(m, 7, eventlog.VariableDriverConfig)] = global("SecureBoot", off)
	return m
}

// The published policy for secure boot looks at no PCR. An administrator can extend all of them after the start.
func TestThePublishedPolicyIsNotFooledByVariablesOfOtherPCRs(t *testing.T) {
	text := string(vectortest.Read(t, "policies/tpm-v12-secureboot.txt"))
	on1 := global("SecureBoot", on)
	on1.pcr = 1
	for name, c := range map[string]struct {
		m      *machine
		quoted []int
		want   string
	}{
		"secure boot":                       {linux(), nil, `{"secureBootEnabled":true}`},
		"no secure boot":                    {secureBootOff(), nil, `{"secureBootEnabled":false}`},
		"forged in PCR 1, without PCR 7":    {secureBootOff(), []int{0, 1}, `{"secureBootEnabled":false}`},
		"forged in PCR 1, nothing in PCR 7": {&machine{algs: linux().algs, logs: [][]rec{nil}}, nil, `{"secureBootEnabled":false}`},
	} {
		if name[0] == 'f' {
			c.m.insert(-1, on1)
		}
		c.m.quoted = c.quoted
		v, err := c.m.boots(t).Events(measured.EventsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := decide(t, text, string(v)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// A name outside of PCR 7 that is none of the policy of secure boot is shown, as firmware of Dell measures AuditMode into PCR 1.
func TestVariablesOfThePolicyAreShownInPCR7Only(t *testing.T) {
	for name, c := range map[string]struct {
		r    rec
		want bool
	}{
		"SecureBoot in PCR 1":               {rec{pcr: 1, typ: eventlog.VariableDriverConfig, data: global("SecureBoot", on).data}, false},
		"AuditMode in PCR 1":                {rec{pcr: 1, typ: eventlog.VariableDriverConfig, data: global("AuditMode", off).data}, true},
		"a boot variable PK":                {rec{pcr: 1, typ: eventlog.VariableBoot, data: global("PK", on).data}, false},
		"a value under the name SecureBoot": {rec{pcr: 1, typ: eventlog.VariableBoot, data: global("SecureBoot", on).data}.measuring(on), false},
		"BootOrder":                         {rec{pcr: 1, typ: eventlog.VariableBoot, data: global("BootOrder", on).data}, true},
		"an authority db":                   {authority("db", owner+certificate), true},
		"an authority SecureBoot":           {authority("SecureBoot", on), false},
		"a boot variable SecureBoot, PCR 7": {rec{pcr: 7, typ: eventlog.VariableBoot2, data: global("SecureBoot", on).data}, false},
	} {
		m := linux()
		m.insert(-1, c.r)
		e := events(t, m.boots(t))
		if got := e[len(e)-1].ProcessedData != nil; got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// Into PCR 10 goes nothing but what IMA measures: the beginning of its list would vanish as records of the firmware's log.
func TestTheBeginningOfAnIMAListIsNotHiddenInATCGLog(t *testing.T) {
	hidden, shown := measurement{10, "kernel_version", "5.10.0", "", false}, measurement{10, "kernel_version", "6.1.0", "", false}
	_, after := entries(t, hidden, shown)
	l, _ := entries(t, shown)
	m := linux()
	m.insert(-1, rec{pcr: 10, typ: eventlog.IPL}.measuring(string(hidden.data())))
	q := quoteWithIMA(t, m, values{"sha256": hex.EncodeToString(after[1])})
	_, err := measured.Verify(append(m.parsed(t), measured.Log{IMA: l}), q, strict())
	refused(t, err, evidence.IMAReplay, "PCR 10")
}

// A log can hold thousands of keys that differ in their last bytes only: finding the different ones costs no more than reading them.
func TestManyKeysOfSecureKernelsCostNoMoreThanTheirNumber(t *testing.T) {
	const count = 5000
	var records []rec
	for i := range count {
		modulus := strings.Repeat("\xFF", 253) + string([]byte{byte(i), byte(i >> 8), 0xFF})
		key := "\x01\x00\x00\x00\x00\x08\x00\x00\x03\x00\x00\x00\x00\x01\x00\x00\x01\x00\x01" + modulus
		records = append(records, boundary(12, element(sipa.VSMIDKSInfo, key)))
	}
	b := (&machine{algs: []tpm.Alg{tpm.SHA256}, logs: [][]rec{append(records, records[:9]...)}}).boots(t)
	start := time.Now()
	if n := len(b.IDKS()); n != count {
		t.Errorf("got %d keys", n)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

// relabel gives the list of entries with the names of templates, which nothing covers, as an administrator could send it.
func relabel(t *testing.T, list []measurement, templates map[int]string) string {
	t.Helper()
	var b []byte
	value := make([]byte, 32)
	for i, e := range list {
		template := "ima-ng"
		if e.buffer != "" {
			template = "ima-buf"
		}
		if other, ok := templates[i]; ok {
			template = other
		}
		b = append(binary.LittleEndian.AppendUint32(b, e.pcr), tpm.SHA1.Sum(e.data())...)
		b = sized(sized(b, template), string(e.data()))
		value = tpm.SHA256.Sum(value, tpm.SHA256.Sum(e.data()))
	}
	l, err := ima.ParseBinary(b, tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	bank := tpm.Bank{Alg: tpm.SHA256}
	bank.Values[ima.PCR] = value
	if _, err := measured.Verify([]measured.Log{{IMA: l}}, quote(t, bank), strict()); err != nil {
		refused(t, err, evidence.IMAFormat, "tells no file")
		return "refused"
	}
	return eventsOf(t, l, value)
}

// No template hash covers the name of the template. Under another one a kernel, a key or a file would vanish behind what the
// administrator extended later.
func TestMeasurementsDoNotVanishUnderAnotherTemplate(t *testing.T) {
	kernels := []measurement{{10, "kernel_version", "5.10.0", "", false}, {10, "kernel_version", "6.1.0", "", false}}
	shells := []measurement{{10, "/bin/sh", "", "x", false}, {10, "/bin/sh", "", "evil", false}}
	for name, c := range map[string]struct {
		policy   string
		list     []measurement
		at       int
		template string
	}{
		"a kernel as a signed file":         {kernelPolicy, kernels, 0, "ima-sig"},
		"a kernel of a list of fields":      {kernelPolicy, kernels, 0, "d-ng|n-ng|buf"},
		"a kernel as an appended signature": {kernelPolicy, kernels, 0, "d-ng|n-ng|modsig"},
		"a signed file as a buffer":         {filePolicy, []measurement{shells[0], {10, "/bin/sh", "signature", "evil", false}}, 1, "ima-buf"},
		"a file without a name":             {filePolicy, shells, 1, "d-ng|evmsig"},
		"a file under names of xattrs":      {filePolicy, shells, 1, "d-ng|xattrnames"},
	} {
		events := relabel(t, c.list, map[int]string{c.at: c.template})
		if events == "refused" {
			if c.list[0].buffer != "" {
				t.Errorf("%s: refused", name)
			}
			continue
		}
		if got := decide(t, c.policy, events); got != "no permit" {
			t.Errorf("%s: got %s; events %s", name, got, events)
		}
	}
}
