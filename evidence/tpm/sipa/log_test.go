package sipa_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const eventTag = 6

// record is a record of a TCG log, as far as these tests need it.
type record struct {
	pcr, kind uint32
	data      []byte
}

// readLog reads a log in either form. It trusts its lengths: the logs are vectors.
func readLog(t testing.TB, b []byte) []record {
	t.Helper()
	le := binary.LittleEndian
	digests := func(b []byte) int { return 20 }
	if bytes.HasPrefix(b[32:], []byte("Spec ID Event03\x00")) {
		sizes := map[uint16]int{}
		for i := range int(le.Uint32(b[56:])) {
			sizes[le.Uint16(b[60+4*i:])] = int(le.Uint16(b[62+4*i:]))
		}
		b = b[32+le.Uint32(b[28:]):]
		digests = func(b []byte) int {
			at := 4
			for range le.Uint32(b) {
				at += 2 + sizes[le.Uint16(b[at:])]
			}
			return at
		}
	}
	var records []record
	for len(b) >= 12 {
		r := record{pcr: le.Uint32(b), kind: le.Uint32(b[4:])}
		b = b[8+digests(b[8:]):]
		n := le.Uint32(b)
		r.data, b = b[4:4+n], b[4+n:]
		records = append(records, r)
	}
	return records
}

// realLogs are the Windows logs whose events the vectors give as JSON, by the name of their claims.
func realLogs() map[string]string {
	return map[string]string{
		"windows_gcp_shielded_vm":          "tpm/windows/windows_gcp_shielded_vm.wbcl",
		"goattest-option-rom-windows-sha1": "tpm/eventlogs/goattest-option-rom-windows-sha1.bin",
	}
}

// claimed reads the claim events of a claims file of the vectors.
func claimed(t testing.TB, name string) []event {
	t.Helper()
	var claims []struct {
		Type  string
		Value json.RawMessage
	}
	vectortest.ReadJSON(t, "policies/events/"+name+".claims.json", &claims)
	for _, c := range claims {
		if c.Type != "events" {
			continue
		}
		var text string
		var list struct{ Events []event }
		if err := errors.Join(json.Unmarshal(c.Value, &text), json.Unmarshal([]byte(text), &list)); err != nil {
			t.Fatal(err)
		}
		return list.Events
	}
	t.Fatalf("%s has no claim events", name)
	return nil
}

type event struct {
	EventSeq, EventType, PcrIndex uint32
	ProcessedData                 json.RawMessage
}

func TestEventsOfRealLogsAreThoseOfTheVectorsByteForByte(t *testing.T) {
	for name, path := range realLogs() {
		records, tags := readLog(t, vectortest.Read(t, path)), 0
		for _, want := range claimed(t, name) {
			if want.EventType != eventTag || want.ProcessedData == nil {
				continue
			}
			tags++
			elements, err := sipa.Parse(records[want.EventSeq-1].data, sipa.DefaultDepth)
			if err != nil {
				t.Errorf("%s, event %d: %v", name, want.EventSeq, err)
				continue
			}
			got, err := sipa.AppendJSON(nil, elements, sipa.Options{})
			if err != nil || !bytes.Equal(got, want.ProcessedData) {
				t.Errorf("%s, event %d: %v\ngot  %s\nwant %s", name, want.EventSeq, err, got, want.ProcessedData)
			}
		}
		if tags < 6 {
			t.Errorf("%s: only %d events", name, tags)
		}
	}
}

func TestAllTaggedEventsOfRealWindowsLogsAreRead(t *testing.T) {
	for _, path := range []string{
		"tpm/windows/windows_gcp_shielded_vm.wbcl", "tpm/eventlogs/goattest-option-rom-windows-sha1.bin",
		"tpm/eventlogs/goattest-ebs-missing-windows-sha1.bin", "tpm/attacks/ok-windows.bin", "tpm/azure-guest/windows-log.bin",
	} {
		for i, r := range readLog(t, vectortest.Read(t, path)) {
			if r.kind != eventTag || r.pcr < 11 || r.pcr > 14 {
				continue
			}
			elements, err := sipa.Parse(r.data, 2)
			if err != nil || len(elements) != 1 {
				t.Errorf("%s, record %d: %d elements, %v", path, i, len(elements), err)
			}
		}
	}
}

// attacks are the logs of the vectors whose events are malformed, by their reason class.
func attacks(t *testing.T) map[string][]byte {
	t.Helper()
	var list []struct{ ID, Log, Code, Expect string }
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &list)
	logs := map[string][]byte{}
	for _, c := range list {
		if c.Expect == "reject" && (c.Code == "SIPA_DEPTH" || c.Code == "SIPA_LENGTH") {
			logs[c.ID] = vectortest.Read(t, "tpm/attacks/"+c.Log)
		}
	}
	if len(logs) == 0 {
		vectortest.NoCase(t, "log with malformed SIPA elements")
	}
	return logs
}

func TestMalformedEventsOfTheAttacksAreRefused(t *testing.T) {
	for id, log := range attacks(t) {
		refused := 0
		for _, r := range readLog(t, log) {
			if r.kind != eventTag || r.pcr < 12 || r.pcr > 14 {
				continue
			}
			if _, err := sipa.Parse(r.data, sipa.DefaultDepth); err != nil {
				refused++
				refusedBecause(t, id, err, "")
			}
		}
		if refused != 1 {
			t.Errorf("%s: %d events refused, want 1", id, refused)
		}
	}
}

// refusedBecause checks that err is a refusal of WindowsEvents that says why, and what to do.
func refusedBecause(t testing.TB, what string, err error, why string) {
	t.Helper()
	var r *evidence.Refusal
	if !errors.As(err, &r) || r.Check != evidence.WindowsEvents || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want a refusal of %s with %q", what, err, evidence.WindowsEvents, why)
		return
	}
	if r.Remedy == "" {
		t.Errorf("%s: the refusal says not what to do: %v", what, err)
	}
}
