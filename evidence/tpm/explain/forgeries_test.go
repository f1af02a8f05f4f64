package explain_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// Whoever administers a machine can extend its PCRs after the start, and whoever sends a log can change its types and labels.
// None of that may read as what a machine measured.

func TestTextsOfFirmwareAreKnownByTheirDigestsWhateverTheLogCallsThem(t *testing.T) {
	retyped := func(text string) []entry {
		label := variable(eventlog.Shim(), "MokListTrusted", []byte{1})
		return off(entry{7, eventlog.VariableAuthority, label, []byte(text)})
	}
	for _, test := range []struct {
		text, about, says string
		basis             explain.Basis
	}{
		{"DMA Protection Disabled", "DMA protection", "OFF while the firmware ran: event 3", explain.Measured},
		{"DMA Protection Disabled\x00", "DMA protection", "OFF", explain.Measured},
		{"UEFI Debug Mode", "firmware debug mode", "ON: event 3", explain.Hint}, // the log is refused
	} {
		log := logOf(t, retyped(test.text)...)
		findings, _ := summarize(t, log) //nolint:errcheck // one is refused, as it should be
		if f := find(t, findings, test.about); !strings.HasPrefix(f.Says, test.says) || f.Basis != test.basis {
			t.Errorf("%q: %+v", test.text, f)
		}
		if e := explained(t, retyped(test.text)...)[2]; strings.Contains(e.Says, "MokListTrusted") {
			t.Errorf("%q is told as %q", test.text, e.Says)
		}
	}
}

func TestVersionOfTheFirmwareThatWasMeasuredAfterItIsNoFact(t *testing.T) {
	forged := entry{0, eventlog.SCRTMVersion, []byte("9.9"), nil}
	hidden := entry{0, eventlog.Action, []byte("done"), make([]byte, 4)} // the separator under another type
	for name, entries := range map[string][]entry{
		"after the separator": off(zeroSeparator(0), forged), "after a retyped one": off(hidden, forged),
	} {
		findings, err := summarize(t, logOf(t, entries...))
		if f := find(t, findings, "firmware"); err != nil || f.Basis != explain.Hint {
			t.Errorf("%s: %v, %+v", name, err, f)
		}
	}
}

func TestWhatStandsInAnotherPCRIsNotToldAsTheRealThing(t *testing.T) {
	global, image := eventlog.GlobalVariable(), eventlog.ImageSecurity()
	for name, test := range map[string]struct {
		entry entry
		never string
	}{
		"Secure Boot":  {entry{1, eventlog.VariableDriverConfig, variable(global, "SecureBoot", []byte{1}), nil}, "Secure Boot is on"},
		"dbx":          {entry{1, eventlog.VariableDriverConfig, variable(image, "dbx", hashes(1)), nil}, "forbidden to start"},
		"authority":    {entry{8, eventlog.VariableAuthority, variable(image, "db", make([]byte, 48)), nil}, "what was started"},
		"settings":     {entry{5, eventlog.EventTag, element(sipa.TestSigning, 0), nil}, "test signing"},
		"resettable":   {entry{16, eventlog.EventTag, element(sipa.TestSigning, 0), nil}, "test signing"},
		"no launch":    {entry{19, eventlog.EventTag, element(sipa.TestSigning, 0), nil}, "test signing"},
		"end of boot":  {entry{3, eventlog.Separator, []byte("WBCL"), nil}, "Windows has started"},
		"boot setting": {entry{1, eventlog.VariableBoot, variable(global, "SecureBoot", []byte{1}), nil}, "is on"},
	} {
		if e := explained(t, test.entry)[0]; strings.Contains(e.Says, test.never) {
			t.Errorf("%s in PCR %d: %q", name, e.PCR, e.Says)
		}
	}
	findings, err := summarize(t, logOf(t, off(entry{1, eventlog.VariableDriverConfig, variable(image, "dbx", nil), nil})...))
	if f := find(t, findings, "forbidden (dbx)"); err != nil || f.Basis != explain.Silent {
		t.Errorf("dbx of PCR 1: %v, %+v", err, f)
	}
}

func TestSettingsAfterTheBootAreToldAsSuch(t *testing.T) {
	later := entry{12, eventlog.EventTag, element(sipa.TestSigning, 0), nil}
	e := explained(t, append(windowsBoot(element(sipa.TestSigning, 1)), later)...)
	if first, last := e[2].Says, e[len(e)-1].Says; strings.HasPrefix(first, "after ") || !strings.HasPrefix(last, "after Windows' start") {
		t.Errorf("%q, %q", first, last)
	}
}

func TestSecureBootThatFoundNothingSignedByDBSaysSo(t *testing.T) {
	for found, want := range map[byte]string{7: "and some image was found allowed by an entry of db", 8: "but no image was found"} {
		owned := append(make([]byte, 16), strings.Repeat(string([]byte{found}), 32)...)
		findings, err := summarize(t, logOf(t, withSecureBoot(entry{7, eventlog.VariableAuthority, variable(eventlog.ImageSecurity(), "db", owned), nil})...))
		if f := find(t, findings, "secure boot"); err != nil || !strings.Contains(f.Says, want) {
			t.Errorf("%v, %+v, want %q", err, f, want)
		}
	}
}

// withSecureBoot is the policy of a machine with Secure Boot, whose db allows one hash.
func withSecureBoot(more ...entry) []entry {
	policy := func(g eventlog.GUID, name string, data []byte) entry {
		return entry{7, eventlog.VariableDriverConfig, variable(g, name, data), nil}
	}
	global, image := eventlog.GlobalVariable(), eventlog.ImageSecurity()
	return append([]entry{
		policy(global, "SecureBoot", []byte{1}), policy(global, "PK", hashes(1)), policy(global, "KEK", hashes(1)), policy(image, "db", hashes(7)),
		zeroSeparator(7),
	}, more...)
}

// TestSilenceAboutWhatIsNotQuotedIsNotToldAsAFact has the events of a PCR dropped that the quote does not cover.
func TestSilenceAboutWhatIsNotQuotedIsNotToldAsAFact(t *testing.T) {
	l := logOf(t, entry{0, eventlog.SCRTMVersion, []byte("1.0"), nil})
	events := explain.Events(l, eventlog.DefaultLimits(), sipa.DefaultDepth)
	u := judged(t, l)
	for _, about := range []string{"secure boot", "DMA protection", "firmware debug mode", "signed by", "settings of Windows"} {
		f := find(t, explain.Summarize(events, partial{u, []int{7, 12, 13}}), about)
		if f.Basis != explain.Silent || !strings.Contains(f.Says, "the quote does not cover") {
			t.Errorf("%+v", f)
		}
		if f := find(t, explain.Summarize(events, u), about); strings.Contains(f.Says, "the quote does not cover") {
			t.Errorf("covered: %+v", f)
		}
	}
}

// TestAMachineThatStartedLinuxIsNotToldToBeWindowsForAFact has an administrator of Linux measure what Windows would have.
func TestAMachineThatStartedLinuxIsNotToldToBeWindowsForAFact(t *testing.T) {
	entries := append(windowsBoot(element(sipa.TestSigning, 0)), entry{8, eventlog.IPL, []byte("kernel_cmdline: ro\x00"), []byte("ro")})
	findings, err := summarize(t, logOf(t, entries...))
	if f := find(t, findings, "operating system"); err != nil || f.Basis != explain.Hint || !strings.Contains(f.Says, "Linux") {
		t.Errorf("%v, %+v", err, f)
	}
	if f := find(t, findings, "kernel"); f.Says != `command line: "ro"` {
		t.Errorf("%+v", f)
	}
	findings, _ = summarize(t, logOf(t, windowsBoot(element(sipa.TestSigning, 0))...)) //nolint:errcheck // it is accepted above
	if f := find(t, findings, "operating system"); f.Basis != explain.Hint || strings.Contains(f.Says, "Linux") {
		t.Errorf("%+v", f)
	}
}

// TestSettingsThatClaimsOfPoliciesDoNotRestOnSaySo has PCR 19 and 20 left out of the quote: tpm.md section 8 makes the claims false then.
func TestSettingsThatClaimsOfPoliciesDoNotRestOnSaySo(t *testing.T) {
	l := logOf(t, windowsBoot(element(sipa.BootDebugging, 0), element(sipa.SafeMode, 0), element(sipa.WinPE, 0), element(sipa.VBSVSMRequired, 1),
		element(sipa.TestSigning, 0))...)
	events, u := explain.Events(l, eventlog.DefaultLimits(), sipa.DefaultDepth), judged(t, l)
	for about, without := range map[string]int{"boot debugging": 20, "safe mode": 19, "Windows PE": 20, "VBS demands": 19} {
		if f := find(t, explain.Summarize(events, partial{u, []int{without}}), about); !strings.Contains(f.Says, "the quote does not cover") {
			t.Errorf("%+v", f)
		}
		if f := find(t, explain.Summarize(events, u), about); strings.Contains(f.Says, "the quote does not cover") {
			t.Errorf("covered: %+v", f)
		}
	}
	if f := find(t, explain.Summarize(events, partial{u, []int{19, 20}}), "test signing"); f.Says != "off" {
		t.Errorf("%+v", f)
	}
}

func TestAStartupLocalityThatDoesNotCountIsNotToldAsOne(t *testing.T) {
	for pcr, counts := range map[uint32]bool{0: true, 3: false} {
		e := explained(t, entry{pcr, eventlog.NoAction, []byte("StartupLocality\x00\x03"), nil})[0]
		if strings.Contains(e.Says, "was started from locality 03") != counts {
			t.Errorf("PCR %d: %q", pcr, e.Says)
		}
	}
}

func TestWindowsIsKnownByTheEndOfItsBootAlone(t *testing.T) {
	findings, err := summarize(t, logOf(t, off(entry{14, eventlog.IPL, []byte("x"), []byte("WBCL")})...))
	if f := find(t, findings, "test signing"); err != nil || f.Says != "Windows did not say" {
		t.Errorf("%v, %+v", err, f)
	}
}

func TestOnlyTheByteOneSwitchesSecureBootOn(t *testing.T) {
	for _, value := range [][]byte{{1, 0}, {1, 1}, {2}, {0}, nil} {
		e := explained(t, entry{7, eventlog.VariableDriverConfig, variable(eventlog.GlobalVariable(), "SecureBoot", value), nil})[0]
		if !strings.HasPrefix(e.Says, "Secure Boot is off") {
			t.Errorf("%x: %q", value, e.Says)
		}
	}
}

// TestNoMoreNodesOfADevicePathAreLookedAtThanTheLimit stands on both sides of it: 64 nodes.
func TestNoMoreNodesOfADevicePathAreLookedAtThanTheLimit(t *testing.T) {
	for before, want := range map[int]bool{63: true, 64: false} {
		path := append(bytes.Repeat(node(1, 1, nil), before), node(4, 4, wide(`\last.efi`))...)
		e := explained(t, entry{4, application, image(path), []byte("PE")})[0]
		if strings.Contains(e.Says, "last.efi") != want {
			t.Errorf("%d nodes before: %q", before, e.Says)
		}
	}
}

func TestWhatOnlyMovedOrWasRelabelledIsKnownByItsDigest(t *testing.T) {
	common := []tpm.Alg{tpm.SHA1}
	e := explained(t, entry{8, eventlog.IPL, []byte("a"), nil}, entry{8, eventlog.IPL, []byte("a"), nil}, entry{8, eventlog.IPL, []byte("b"), []byte("a")},
		entry{9, eventlog.IPL, []byte("a"), nil}, entry{8, eventlog.IPL, []byte("b"), nil}, entry{8, eventlog.NoAction, []byte("a"), nil})
	for i, want := range map[int]string{1: "measured in another order", 2: "what the log says of it is not", 3: "", 4: "", 5: ""} {
		same := explain.SameMeasured(&e[0], &e[i], common)
		if same != (want != "") || same && !strings.Contains(explain.Relabel(&e[0], &e[i]), want) {
			t.Errorf("event %d: %v, %s", i+1, same, explain.Relabel(&e[0], &e[i]))
		}
	}
}
