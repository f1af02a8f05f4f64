package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// logJSON is the JSON of tpm eventlog, as scripts read it.
type logJSON struct {
	Verified   bool
	Format     string
	Banks      []string
	Summary    []struct{ About, Says, Basis string }
	Unknowable []string
	Events     struct{ Events []map[string]any }
	Words      []struct {
		Seq                int
		PCR                *int
		Type, Covers, Says string
		Digests            map[string]string
	}
	PCRs        map[string]map[string]string
	Differences []struct {
		Bank            string
		PCR             int
		Value, Replayed string
	}
	Error *struct{ Code, Check, Message string }
}

func realLog(t *testing.T, name string) string {
	t.Helper()
	return vectortest.Path(t, "tpm/eventlogs/"+name)
}

func TestEventlogTellsOfEveryRealLogWhatTheIndexSays(t *testing.T) {
	var cases []struct {
		File, Format string
		Events       int
		SecureBoot   string                       `json:"secureboot_variable"`
		Replayed     map[string]map[string]string `json:"replayed_pcrs"`
	}
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &cases)
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			var got logJSON
			o := assay(t, "tpm", "eventlog", "--json", vectortest.Path(t, "tpm/"+c.File))
			o.read(t, &got)
			if o.status != exitOK || got.Verified || len(got.Words) != len(got.Events.Events) || len(got.Words) < c.Events {
				t.Errorf("status %d, verified %v, %d events and %d in words, want %d", o.status, got.Verified, len(got.Events.Events), len(got.Words), c.Events)
			}
			if on := strings.HasPrefix(got.Summary[0].Says, "on"); on != (c.SecureBoot == "01") || got.Summary[0].About != "secure boot" {
				t.Errorf("%+v, want the variable %s", got.Summary[0], c.SecureBoot)
			}
			for bank, values := range c.Replayed {
				for pcr, want := range values {
					if got.PCRs[bank][pcr] != want {
						t.Errorf("PCR %s in %s: got %s, want %s", pcr, bank, got.PCRs[bank][pcr], want)
					}
				}
			}
			assay(t, "tpm", "eventlog", vectortest.Path(t, "tpm/"+c.File)).want(t, exitOK, "UNVERIFIED", "")
		})
	}
}

func TestEventlogHeldAgainstAQuote(t *testing.T) {
	c := findQuote(t, "swtpm-rsassa-sha256")
	args := append([]string{"tpm", "eventlog", "--json", "--nonce", c.Nonce}, c.files(t)...)
	var got logJSON
	o := assay(t, append(args, realLog(t, "ubuntu-2104-no-dbx.bin"))...)
	o.read(t, &got)
	if o.status != exitOK || !got.Verified || len(got.Differences) != 0 {
		t.Errorf("status %d: %.300s", o.status, o.stdout)
	}
	got = logJSON{}
	o = assay(t, append(args, realLog(t, "ubuntu-1804-amd-sev.bin"))...)
	o.read(t, &got)
	if o.status != exitRefused || got.Verified || got.Error == nil || got.Error.Check != "event-log-replay" || len(got.Differences) == 0 || got.Events.Events != nil {
		t.Errorf("status %d: %+v", o.status, got.Error)
	}
	if slices.ContainsFunc(got.Summary, func(f struct{ About, Says, Basis string }) bool { return f.Basis == "measured" }) {
		t.Error("a log that the quote does not fit has measured findings")
	}
	stale := append([]string{"tpm", "eventlog", realLog(t, "ubuntu-2104-no-dbx.bin")}, c.files(t)...)
	assay(t, stale...).want(t, exitOK, "NOT SHOWN TO BE FRESH", "")
	assay(t, append(args[:len(args):len(args)][:4], realLog(t, "ubuntu-2104-no-dbx.bin"))...).want(t, exitUsage, "", "")
}

// TestEventlogTakesNoQuoteThatIsAnothers: each file of the quote is looked at.
func TestEventlogTakesNoQuoteThatIsAnothers(t *testing.T) {
	log := realLog(t, "ubuntu-2104-no-dbx.bin")
	c := findQuote(t, "swtpm-rsassa-sha256")
	files, others := c.files(t), findQuote(t, "swtpm-rsassa-sha384").files(t)
	for i, want := range map[int]string{1: "attest-signature", 3: "attest-signature", 5: "attest-signature"} {
		args := slices.Clone(files)
		args[i] = others[i]
		assay(t, append([]string{"tpm", "eventlog", "--json", log}, args...)...).want(t, exitRefused, `"check":"`+want+`"`, "")
	}
	assay(t, append([]string{"tpm", "eventlog", "--json", "--nonce", "00", log}, files...)...).want(t, exitRefused, `"check":"attest-nonce"`, "")
	weak := findQuote(t, "gce-cos85-nononce-sha1")
	args := append([]string{"tpm", "eventlog", "--json", realLog(t, "gce-cos85-nononce.bin")}, weak.files(t)...)
	assay(t, args...).want(t, exitRefused, `"check":"sha1"`, "")
	if o := assay(t, append(args, "--allow-sha1")...); strings.Contains(o.stdout, `"check":"sha1"`) {
		t.Errorf("status %d: %.300s", o.status, o.stdout)
	}
}

func TestEventlogHeldAgainstValuesOnly(t *testing.T) {
	c := findQuote(t, "swtpm-rsassa-sha256")
	values := c.files(t)[6:]
	assay(t, append([]string{"tpm", "eventlog", realLog(t, "ubuntu-2104-no-dbx.bin")}, values...)...).want(t, exitOK, "UNVERIFIED", "")
	assay(t, append([]string{"tpm", "eventlog", realLog(t, "ubuntu-1804-amd-sev.bin")}, values...)...).
		want(t, exitRefused, "PCRs that do not have the value", "")
}

func TestEventlogShowsThePCRsAskedFor(t *testing.T) {
	var got logJSON
	assay(t, "tpm", "eventlog", "--json", "--pcrs", "7,12-14", realLog(t, "goattest-option-rom-windows-sha1.bin")).read(t, &got)
	for _, w := range got.Words {
		if w.PCR == nil || *w.PCR != 7 && (*w.PCR < 12 || *w.PCR > 14) {
			t.Errorf("%+v", w)
		}
	}
	if d := got.Words[0].Digests["sha1"]; d != "d4fdd1f14d4041494deb8fc990c45343d2277d08" { // published for Secure Boot on
		t.Errorf("digest %s of %s", d, got.Words[0].Says)
	}
	if len(got.Words) == 0 || len(got.PCRs["sha1"]) != 4 || len(got.Events.Events) <= len(got.Words) {
		t.Errorf("%d events in words of %d, %d PCRs", len(got.Words), len(got.Events.Events), len(got.PCRs["sha1"]))
	}
	for _, list := range []string{"24", "x", "3-1", "1-24", "-1", ","} {
		assay(t, "tpm", "eventlog", "--pcrs="+list, realLog(t, "debian-10.bin")).want(t, exitUsage, "", "expected PCRs from 0 to 23")
	}
}

func TestEventlogOfAManipulatedLogIsRefusedAndStillShown(t *testing.T) {
	var cases []struct{ ID, Log string }
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &cases)
	for _, c := range cases {
		if c.ID != "sh-secureboot-data-edited" {
			continue
		}
		file := filepath.Join(vectortest.Path(t, "tpm/attacks"), c.Log)
		o := assay(t, "tpm", "eventlog", file)
		o.want(t, exitRefused, "NOT BELIEVED", "")
		o.want(t, exitRefused, "event-log-data", "")
		o.want(t, exitRefused, "\nEvents", "")
	}
	assay(t, "tpm", "eventlog", tempFile(t, "log", "no log")).want(t, exitRefused, "REFUSED  TCG event log", "")
	assay(t, "tpm", "eventlog", "--json", tempFile(t, "log", "")).want(t, exitRefused, `"check":"event-log-format"`, "")
}

func TestEventlogDiff(t *testing.T) {
	a, b := realLog(t, "tpm2tools-moklisttrusted.bin"), realLog(t, "keylime-secureboot-sha256.bin")
	o := assay(t, "tpm", "eventlog", "diff", a, b)
	for _, want := range []string{
		"DIFFERENT  bank sha256: PCR 0, 1, 2, 4, 5, 7, 8, 9, 14", "dbx had 1 entry, and has 371 entries (added: 371 hashes; removed: 1 hash)",
		"the version of the firmware's first code was none: the text is empty, and is edk2-20240524-7.el9",
		"added: 2 certificates (Windows UEFI CA 2023; Microsoft UEFI CA 2023)", "Boot0002, Boot0001, Boot0000; is: ",
	} {
		o.want(t, exitOK, want, "")
	}
	assay(t, "tpm", "eventlog", "diff", a, a).want(t, exitOK, "SAME", "")
	var got struct {
		Same    bool
		Bank    string
		PCRs    []struct{ PCR int }
		Summary []struct{ About, Was, Now string }
		Events  []struct{ Change, Says string }
	}
	assay(t, "tpm", "eventlog", "diff", "--json", b, a).read(t, &got)
	if got.Same || got.Bank != "sha256" || len(got.PCRs) != 9 || len(got.Summary) == 0 || len(got.Events) == 0 {
		t.Errorf("%+v", got)
	}
	assay(t, "tpm", "eventlog", "diff", a, realLog(t, "debian-10.bin")).want(t, exitUsage, "", "no bank in common")
	assay(t, "tpm", "eventlog", "diff", a).want(t, exitUsage, "", "B is missing")
}
