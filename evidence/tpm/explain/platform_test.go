package explain_test

import (
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// on is the policy of a machine with Secure Boot, whose firmware found a boot loader signed by a certificate of db.
func on(cert []byte, more ...entry) []entry {
	list := signatures(eventlog.X509(), cert)
	global, security := eventlog.GlobalVariable(), eventlog.ImageSecurity()
	const config = eventlog.VariableDriverConfig
	return append([]entry{
		{7, config, variable(global, "SecureBoot", []byte{1}), nil}, {7, config, variable(global, "PK", list), nil},
		{7, config, variable(global, "KEK", list), nil}, {7, config, variable(security, "db", list), nil},
		{7, config, variable(security, "dbx", hashes(1, 2, 3)), nil}, zeroSeparator(7),
		{7, eventlog.VariableAuthority, variable(security, "db", append(make([]byte, 16), cert...)), nil},
	}, more...)
}

// empty is the policy of a machine without Secure Boot that has an empty list.
func empty(vendor eventlog.GUID, list string) []entry {
	return append([]entry{{7, eventlog.VariableDriverConfig, variable(vendor, list, nil), nil}}, off()...)
}

// driver is one that firmware started from a place.
func driver(path ...[]byte) entry {
	return entry{2, 0x80000004, image(append(path, node(0x7F, 0xFF, nil))...), []byte("PE")}
}

func TestSummaryTellsOfTheMachineAndItsBoot(t *testing.T) {
	cert := certificate(t, pkix.Name{CommonName: "Contoso CA"})
	shim := variable(eventlog.Shim(), "Shim", cert)
	byShim := entry{7, eventlog.VariableAuthority, shim, shim[:len(shim)-1]}
	rom, own, disk := driver(node(4, 8, make([]byte, 20))), driver(node(4, 6, make([]byte, 16))), driver(node(4, 1, make([]byte, 38)))
	sbat := entry{7, eventlog.VariableAuthority, variable(eventlog.Shim(), "SbatLevel", []byte("sbat,1")), nil}
	mok := func(name string) entry { return entry{14, eventlog.IPL, []byte(name + "\x00"), []byte("list")} }
	loader := func(path string) entry {
		return entry{4, application, image(node(4, 4, wide(path)), node(0x7F, 0xFF, nil)), []byte("PE")}
	}
	for _, test := range []struct {
		name    string
		entries []entry
		about   string
		says    string
		basis   explain.Basis
	}{
		{"on", on(cert), "secure boot", "on: the variable SecureBoot is 01 (event 1), PK, KEK and db hold keys, and some image was found allowed by an entry of db. Firmware starts only what db allows", explain.Measured},
		{"off", off(), "secure boot", "off: the variable SecureBoot is 00 (event 1). Firmware starts programs whoever signed them", explain.Measured},
		{"owner", on(cert), "owner of the keys (PK)", "1 certificate (Contoso CA)", explain.Measured},
		{"changers", on(cert), "may change the lists (KEK)", "1 certificate (Contoso CA)", explain.Measured},
		{"allowed", on(cert), "allowed to start (db)", "1 certificate (Contoso CA)", explain.Measured},
		{"no list", off(), "owner of the keys (PK)", "the log does not have the list", explain.Silent},
		{"a list in another PCR", off(entry{1, eventlog.VariableDriverConfig, variable(eventlog.GlobalVariable(), "PK", nil), nil}), "owner of the keys (PK)", "the log does not have the list", explain.Silent},
		{"no owner", empty(eventlog.GlobalVariable(), "PK"), "owner of the keys (PK)", "nobody: PK is empty, so that anybody may set the keys", explain.Measured},
		{"no changers", empty(eventlog.GlobalVariable(), "KEK"), "may change the lists (KEK)", "nobody but the owner: KEK is empty", explain.Measured},
		{"nothing allowed", empty(eventlog.ImageSecurity(), "db"), "allowed to start (db)", "nothing: db is empty", explain.Measured},
		{"forbidden", on(cert), "forbidden (dbx)", "3 hashes", explain.Measured},
		{"empty dbx", empty(eventlog.ImageSecurity(), "dbx"), "forbidden (dbx)", "empty: no known bad boot loader is forbidden", explain.Measured},
		{"signer", on(cert), "signed by", "Contoso CA (an entry of db)", explain.Measured},
		{"signer as shim logs it", off(byShim), "signed by", "Contoso CA (built into shim)", explain.Hint},
		{"no signer", off(), "signed by", "no event says who signed what was started, as is usual while Secure Boot is off", explain.Silent},
		{"no DMA event", off(), "DMA protection", "no event says that it was off; firmware that does not know it says nothing either", explain.Silent},
		{"no debug event", off(), "firmware debug mode", "no event says that it is on; firmware must measure one if it is", explain.Silent},
		{"Google's host", off(entry{0, 0x11, []byte("GCE NonHostInfo\x00\x04"), nil}), "encrypted memory", "AMD SEV-SNP, says Google's host", explain.Hint},
		{"no drivers", off(), "option ROMs", "no event of PCR 2 says that a driver was started, of a card or of the firmware", explain.Silent},
		{"drivers", off(rom, own, own, disk), "option ROMs", "1 driver from an option ROM of a card or another range of memory, 2 drivers from the firmware's own volume, 1 driver from elsewhere", explain.Hint},
		{"revocations", off(sbat), "shim", `revocations (SBAT) "sbat,1"`, explain.Measured},
		{"lists of shim", off(mok("MokList"), mok("MokSBState")), "shim", "measured MokList, the keys that the machine's owner added; MokSBState, with which the machine's owner can SWITCH OFF shim's checks of signatures. The log has their digests only", explain.Hint},
		{"no loader", off(), "boot loaders", "no event says that one was started", explain.Silent},
		{"boot entries", off(entry{1, eventlog.VariableBoot, variable(eventlog.GlobalVariable(), "Boot0001", loadOption("Linux")), nil}), "boot entries", `Boot0001 is "Linux"`, explain.Hint},
		{"systemd-boot", off(entry{12, eventlog.IPL, wide("quiet splash\x00"), nil}), "kernel", `command line: "quiet splash"`, explain.Hint},
		{"initrd", off(entry{9, eventlog.EventTag, []byte("\xEC\x22\x3B\x8F\x00\x00\x00\x00"), []byte("x")}), "operating system", "probably Linux, by what the boot loader measured", explain.Hint},
		{"Debian by its path", off(loader(`\EFI\debian\shimx64.efi`)), "operating system", "probably Debian Linux, by the path of a boot loader", explain.Hint},
		{"Fedora by its path", off(loader(`\EFI\fedora\shimx64.efi`)), "operating system", "probably Fedora Linux, by the path of a boot loader", explain.Hint},
		{"Linux by its path", off(loader(`\EFI\SYSTEMD\BOOTX64.EFI`)), "operating system", "probably Linux, by the path of a boot loader", explain.Hint},
		{"Linux by shim", off(byShim), "operating system", "probably Linux, by a key that is built into the boot loader shim", explain.Hint},
		{"no Windows", off(), "settings of Windows", "none (BitLocker, test signing, debugging, code integrity, VBS): only Windows measures them, and no event is of Windows", explain.Silent},
	} {
		t.Run(test.name, func(t *testing.T) {
			findings, err := summarize(t, logOf(t, test.entries...))
			if err != nil {
				t.Fatal(err)
			}
			if f := find(t, findings, test.about); f.Says != test.says || f.Basis != test.basis {
				t.Errorf("got %+v, want %q, %s", f, test.says, test.basis)
			}
		})
	}
}

func TestASignerIsNamedOnce(t *testing.T) {
	cert := certificate(t, pkix.Name{CommonName: "Contoso CA"})
	again := variable(eventlog.ImageSecurity(), "db", cert)
	findings, err := summarize(t, logOf(t, on(cert, entry{7, eventlog.VariableAuthority, again, again[:len(again)-1]})...))
	if err != nil {
		t.Fatal(err)
	}
	signers := slices.DeleteFunc(findings, func(f explain.Finding) bool { return f.About != "signed by" })
	if len(signers) != 1 || signers[0].Basis != explain.Measured {
		t.Errorf("got %+v", signers)
	}
}

func TestSummaryTellsOfTheProgramsThatWindowsLoaded(t *testing.T) {
	module := func(path, signer string, valid byte) []byte {
		return element(sipa.LoadedModule, slices.Concat(element(sipa.FilePath, wide(path)...), element(sipa.AuthorityPublisher, wide(signer)...), element(sipa.ImageValidated, valid))...)
	}
	digestOnly := element(sipa.LoadedModule, element(0x00070004, make([]byte, 20)...)...)
	boot := func(modules ...[]byte) []entry {
		return off(entry{12, eventlog.EventTag, element(sipa.TestSigning, 0), nil}, entry{13, eventlog.EventTag, slices.Concat(modules...), nil},
			entry{12, eventlog.Separator, []byte("WBCL"), nil}, entry{13, eventlog.Separator, []byte("WBCL"), nil})
	}
	for _, test := range []struct {
		name    string
		entries []entry
		about   string
		says    string
	}{
		{"programs", boot(module(`\a.sys`, "Contoso", 1), module(`\b.sys`, "Fabrikam", 1), module(`\a.sys`, "Contoso", 1)), "loaded by Windows", "2 programs, signed by Contoso; Fabrikam"},
		{"one not validated", boot(module(`\a.sys`, "Contoso", 0)), "loaded by Windows", `1 program, signed by Contoso. NOT VALIDATED: \a.sys`},
		{"policy", boot(element(sipa.SIPolicy, policyElement("Lockdown")...)), "code integrity policy", "Lockdown"},
		{"antimalware", boot(element(sipa.ELAMKeyName, wide("Defender")...)), "antimalware driver", "Defender"},
		{"demands", boot(element(sipa.VBSVSMRequired, 1), element(0x000A0002, 1), element(0x000A0004, 0)), "VBS demands", "VBS itself; Secure Boot"},
	} {
		findings, err := summarize(t, logOf(t, test.entries...))
		if err != nil {
			t.Fatal(err)
		}
		if f := find(t, findings, test.about); f.Says != test.says || f.Basis != explain.Measured {
			t.Errorf("%s: got %+v, want %q", test.name, f, test.says)
		}
	}
	findings, err := summarize(t, logOf(t, boot(digestOnly)...))
	for _, f := range findings {
		if err != nil || slices.Contains([]string{"loaded by Windows", "code integrity policy", "antimalware driver", "VBS demands"}, f.About) {
			t.Errorf("%v: told of what Windows did not tell: %+v", err, f)
		}
	}
}

func TestEveryPCRHasAPurpose(t *testing.T) {
	for pcr := range tpm.PCRCount {
		if explain.Purpose(pcr) == "" {
			t.Errorf("PCR %d has none", pcr)
		}
	}
	for pcr, want := range map[int]string{7: "Secure Boot", 10: "IMA of Linux", -1: "", 24: ""} { // tpm-evidence.md section 4
		if got := explain.Purpose(pcr); got != want {
			t.Errorf("PCR %d: got %q, want %q", pcr, got, want)
		}
	}
}

func TestEventsHaveTheDigestsOfTheirBanksAndKeysThatTellThemApart(t *testing.T) {
	e := explained(t, entry{7, eventlog.EFIAction, []byte("a"), nil}, entry{7, eventlog.EFIAction, []byte("b"), nil},
		entry{7, eventlog.NoAction, []byte("a"), nil}, entry{7, eventlog.NoAction, []byte("b"), nil}, entry{7, eventlog.Action, []byte("a"), nil})
	if got := e[0].Digest(tpm.SHA1); string(got) != string(tpm.SHA1.Sum([]byte("a"))) || e[0].Digest(tpm.SHA256) != nil || e[2].Digest(tpm.SHA1) != nil {
		t.Errorf("digests: %x, %x, %x", got, e[0].Digest(tpm.SHA256), e[2].Digest(tpm.SHA1))
	}
	seen := map[string]int{}
	for i := range e {
		key := e[i].Key([]tpm.Alg{tpm.SHA1})
		if other, ok := seen[key]; ok {
			t.Errorf("events %d and %d have the key %s", other, i, key)
		}
		seen[key] = i
	}
}

func TestChangesThatAreNoListsAreToldWhole(t *testing.T) {
	boot := func(order ...byte) entry {
		return entry{1, eventlog.VariableBoot, variable(eventlog.GlobalVariable(), "BootOrder", order), nil}
	}
	table := func(b byte) entry { return entry{5, eventlog.GPTEvent, []byte{b}, nil} }
	dbx := func(list []byte) entry {
		return entry{7, eventlog.VariableDriverConfig, variable(eventlog.ImageSecurity(), "dbx", list), nil}
	}
	text := func(s string) entry { return entry{8, eventlog.IPL, []byte(s), nil} }
	for want, pair := range map[string][2]entry{
		"was: boot entries are tried in this order: Boot0001; is: boot entries are tried in this order: Boot0002":         {boot(1, 0), boot(2, 0)},
		"the partition table of the disk that was started from is another":                                                {table(1), table(2)},
		"dbx had 2 entries, and has 2 entries (the same entries in another order or form)":                                {dbx(hashes(1, 2)), dbx(hashes(2, 1))},
		"was: what is forbidden to start (dbx): a list that cannot be read; is: what is forbidden to start (dbx): 1 hash": {dbx([]byte{1}), dbx(hashes(1))},
		"was: the boot loader measured \"a\"; is: the boot loader measured \"b\"":                                         {text("a"), text("b")},
	} {
		e := explained(t, pair[0], pair[1])
		if got := explain.Change(&e[0], &e[1], eventlog.DefaultLimits()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestManyNamesAreCut(t *testing.T) {
	var entries []entry
	for i := range byte(10) {
		entries = append(entries, entry{4, application, image(node(4, 4, wide(string('a'+rune(i)))), node(0x7F, 0xFF, nil)), []byte("PE")})
	}
	findings, err := summarize(t, logOf(t, off(entries...)...))
	if f := find(t, findings, "boot loaders"); err != nil || f.Says != `\a; \b; \c; \d; \e; \f; \g; \h and 2 more` {
		t.Errorf("%v: %s", err, f.Says)
	}
}

func TestWhatNoLogCanTellIsSaid(t *testing.T) {
	if all := explain.Unknowable(); len(all) == 0 || !strings.Contains(all[0], "only a fresh quote by its TPM") {
		t.Errorf("got %q", all)
	}
}
