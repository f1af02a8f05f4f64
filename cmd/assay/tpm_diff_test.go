package main

import (
	"bytes"
	"crypto"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// diffed compares two logs.
func diffed(t *testing.T, a, b string) (same bool, bank, text string) {
	t.Helper()
	var got struct {
		Same bool
		Bank string
	}
	assay(t, "tpm", "eventlog", "diff", "--json", a, b).read(t, &got)
	return got.Same, got.Bank, assay(t, "tpm", "eventlog", "diff", a, b).stdout
}

func TestADiffTellsOfLabelsThatChangedUnderTheSameDigest(t *testing.T) {
	real := vectortest.Path(t, "tpm/"+ubuntu)
	path := func(s string) []byte { return []byte(strings.Join(strings.Split(s, ""), "\x00")) }
	for name, test := range map[string]struct {
		pcr      uint32
		old, now []byte
		want     string
	}{
		"path of a program": {4, path("grubx64"), path("evilx64"), `\EFI\ubuntu\evilx64.efi`},
		"Secure Boot":       {7, append(path("SecureBoot"), 0, 0), append(path("SecureBoot"), 0, 1), "Secure Boot is on"},
		"command line":      {8, []byte("kernel_cmdline: /boot"), []byte("kernel_cmdline: /b00t"), "/b00t"},
	} {
		changed := with(t, ubuntu, func(l *assaytest.TPMLog) {
			for i := range l.Events {
				if e := &l.Events[i]; e.PCR == test.pcr {
					e.Data = bytes.Replace(e.Data, test.old, test.now, 1)
				}
			}
		})
		same, _, text := diffed(t, real, changed)
		if !same || !strings.Contains(text, test.want) || !strings.Contains(text, "what was measured is the same") {
			t.Errorf("%s: %v\n%s", name, same, text)
		}
	}
}

func TestADiffLooksAtEveryBank(t *testing.T) {
	changed := with(t, ubuntu, func(l *assaytest.TPMLog) {
		l.Find(func(e assaytest.TPMEvent) bool { return e.PCR == 4 && e.Type == 0x80000003 }).Digests[crypto.SHA256] = make([]byte, 32)
	})
	same, bank, text := diffed(t, vectortest.Path(t, "tpm/"+ubuntu), changed)
	if same || bank != "sha256" || !strings.HasPrefix(text, "DIFFERENT  bank sha256: PCR 4") {
		t.Errorf("%v, %s: %s", same, bank, text)
	}
}

func TestADiffTellsWhatOnlyChangedItsPlace(t *testing.T) {
	changed := with(t, ubuntu, func(l *assaytest.TPMLog) {
		var at []int
		for i, e := range l.Events {
			if e.PCR == 4 && e.Type == 0x80000003 {
				at = append(at, i)
			}
		}
		l.Events[at[0]], l.Events[at[1]] = l.Events[at[1]], l.Events[at[0]]
	})
	same, _, text := diffed(t, vectortest.Path(t, "tpm/"+ubuntu), changed)
	if same || !strings.Contains(text, "measured in another order") || strings.Contains(text, "what was measured is not") {
		t.Errorf("%v: %s", same, text)
	}
}

func TestADiffSaysThatALogWouldBeRefused(t *testing.T) {
	good, bad := vectortest.Path(t, "tpm/attacks/ok-secureboot-off.bin"), vectortest.Path(t, "tpm/attacks/secureboot-data-edited.bin")
	for _, pair := range [][2]string{{good, bad}, {bad, good}, {bad, bad}} {
		_, _, text := diffed(t, pair[0], pair[1])
		if n := strings.Count(text, "REFUSED  the "); n != strings.Count(fmt.Sprint(pair), "edited") || !strings.Contains(text, "event-log-data") {
			t.Errorf("%v:\n%s", pair, text)
		}
		assay(t, "tpm", "eventlog", "diff", "--json", pair[0], pair[1]).want(t, exitOK, `"check":"event-log-data"`, "")
	}
	assay(t, "tpm", "eventlog", "diff", "--json", good, good).want(t, exitOK, `"same":true`, "")
}

// TestADiffSaysWhatItsSummaryRestsOn has a version of firmware that was measured turned into one that only a label tells.
func TestADiffSaysWhatItsSummaryRestsOn(t *testing.T) {
	changed := with(t, ubuntu, func(l *assaytest.TPMLog) {
		e := l.Find(func(e assaytest.TPMEvent) bool { return e.PCR == 0 && e.Type == 8 })
		e.Digests = map[crypto.Hash][]byte{crypto.SHA1: make([]byte, 20), crypto.SHA256: make([]byte, 32), crypto.SHA384: make([]byte, 48)}
	})
	_, _, text := diffed(t, vectortest.Path(t, "tpm/"+ubuntu), changed)
	if !strings.Contains(text, "+ ~ version of its first code (CRTM): GCE Virtual Firmware v1") {
		t.Error(text)
	}
}
