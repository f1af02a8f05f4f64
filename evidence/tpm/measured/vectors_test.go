package measured_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// attack is a case of vectors/tpm/attacks/index.json.
type attack struct {
	ID, Log, Bank, Expect, Code string
	PCRs                        map[string]values
	Facts                       *facts
}

// values are PCR values by index, in hex.
type values map[string]string

func (v values) bank(t testing.TB, name string) tpm.Bank {
	t.Helper()
	b := tpm.Bank{Alg: alg(t, name)}
	for index, digest := range v {
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= tpm.PCRCount {
			t.Fatalf("PCR %q", index)
		}
		if b.Values[i], err = hex.DecodeString(digest); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func alg(t testing.TB, name string) tpm.Alg {
	t.Helper()
	for _, a := range []tpm.Alg{tpm.SHA1, tpm.SHA256, tpm.SHA384, tpm.SHA512} {
		if strings.EqualFold(a.String(), name) {
			return a
		}
	}
	t.Fatalf("unknown bank %q", name)
	return 0
}

// checksOf maps the reason classes of the index to the checks that are right for them.
func checksOf(code string) []evidence.Check {
	return map[string][]evidence.Check{
		"REPLAY":                   {evidence.EventLogReplay},
		"DIGEST_DATA":              {evidence.EventLogData},
		"EVENT_TYPE_IN_PCR7":       {evidence.EventLogType},
		"PCR_INDEX":                {evidence.EventLogFormat},
		"DUPLICATE_VARIABLE":       {evidence.SecureBootLog},
		"VARIABLE_AFTER_SEPARATOR": {evidence.SecureBootLog},
		"NO_SEPARATOR":             {evidence.SecureBootLog, evidence.EventLogType},
		"DUPLICATE_SEPARATOR":      {evidence.SecureBootLog},
		"ERROR_SEPARATOR":          {evidence.SecureBootLog},
		"BAD_VARIABLE":             {evidence.SecureBootLog},
		"NO_AUTHORITY":             {evidence.SecureBootLog},
		"UEFI_DEBUG":               {evidence.SecureBootLog},
		"BAD_SIGNATURE_LIST":       {evidence.SecureBootLog},
		"SIPA_DEPTH":               {evidence.WindowsEvents},
		"SIPA_LENGTH":              {evidence.WindowsEvents},
		"SIPA_WRONG_PCR":           {evidence.EventLogType},
		"TRUNCATED":                {evidence.EventLogFormat},
		"BAD_LENGTH":               {evidence.EventLogFormat},
		"BAD_SPECID":               {evidence.EventLogFormat, evidence.EventLogBank},
		"BANK_MISSING":             {evidence.EventLogBank, evidence.EventLogFormat},
		"BANK_DUPLICATE":           {evidence.EventLogBank, evidence.EventLogFormat},
		"STARTUP_LOCALITY":         {evidence.EventLogStart},
		"EMPTY":                    {evidence.EventLogFormat},
	}[code]
}

// choices are the cases for which the index allows two results (README.md section 10.2 of the specification): whether we accept.
func choices() map[string]bool {
	return map[string]bool{
		"sh-secureboot-forged-pcr24": false, "sh-secureboot-empty": true, "sh-sipa-conflict": true, "sh-sipa-after-separator": true,
		"sh-grub-cmdline-edited": true, "sh-trailing-zero-padding": true,
	}
}

// accepts says what the index expects of a case.
func (c *attack) accepts(t *testing.T) bool {
	t.Helper()
	switch c.Expect {
	case "accept":
		return true
	case "reject":
		return false
	}
	ours, known := choices()[c.ID]
	if !known {
		t.Fatalf("the index leaves the result open (%q), and README.md has no choice", c.Expect)
	}
	return ours
}

func attacks(t testing.TB) (cases []attack) {
	t.Helper()
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "attack on an event log")
	}
	return cases
}

func (c *attack) verify(t testing.TB) (*measured.Boot, error) {
	t.Helper()
	l, err := eventlog.Parse(vectortest.Read(t, "tpm/attacks/"+c.Log), eventlog.DefaultLimits())
	if err != nil {
		return nil, err
	}
	return measured.Verify([]measured.Log{{TCG: l}}, quote(t, c.PCRs[c.Bank].bank(t, c.Bank)), strict())
}

func TestAttacks(t *testing.T) {
	for _, c := range attacks(t) {
		t.Run(c.ID, func(t *testing.T) {
			b, err := c.verify(t)
			if !c.accepts(t) {
				var r *evidence.Refusal
				if !errors.As(err, &r) || !slices.Contains(checksOf(c.Code), r.Check) {
					t.Fatalf("got %v, want a refusal of %v (%s)", err, checksOf(c.Code), c.Code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Facts != nil {
				c.Facts.compare(t, b)
			}
			events(t, b) // is valid
		})
	}
}

// facts are what may be claimed of a log. A member that is not there is not looked at; null means that nothing may be claimed.
type facts struct {
	SecureBoot     *bool    `json:"secure_boot"`
	DMADisabled    bool     `json:"dma_protection_disabled"`
	DBCertificates *int     `json:"db_x509"`
	DBXHashes      *int     `json:"dbx_sha256"`
	DBXEntries     []string `json:"dbx_entries"`
	Authorities    *int
	BitLocker      bool `json:"bitlocker_pcr11"`
	Scalars        map[string]json.RawMessage
}

func (f *facts) UnmarshalJSON(b []byte) error {
	type plain facts
	if err := json.Unmarshal(b, (*plain)(f)); err != nil {
		return err
	}
	return json.Unmarshal(b, &f.Scalars)
}

// scalars are the members that tell the value of Windows settings: of each the settings, and whether the worse of several values
// is true.
func scalars() map[string]struct {
	ids       []sipa.ID
	worseTrue bool
} {
	type s = struct {
		ids       []sipa.ID
		worseTrue bool
	}
	return map[string]s{
		"os_kernel_debug": {[]sipa.ID{sipa.OSKernelDebug}, true}, "code_integrity": {[]sipa.ID{sipa.CodeIntegrity}, false},
		"test_signing": {[]sipa.ID{sipa.TestSigning}, true}, "boot_debugging": {[]sipa.ID{sipa.BootDebugging}, true},
		"safe_mode": {[]sipa.ID{sipa.SafeMode}, true}, "winpe": {[]sipa.ID{sipa.WinPE}, true},
		"vsm_launch_type": {[]sipa.ID{sipa.VSMLaunchType}, true}, "dep": {[]sipa.ID{sipa.DataExecutionPrevention}, true},
		"boot_counter": {[]sipa.ID{sipa.BootCounter}, true}, "vbs_required": {[]sipa.ID{sipa.VBSVSMRequired, sipa.VBSMandatoryEnforcement}, false},
		"hvci": {[]sipa.ID{sipa.VBSHVCIPolicy}, false},
	}
}

// compare checks that the boot says what the facts allow, and no better.
func (f *facts) compare(t *testing.T, b *measured.Boot) {
	t.Helper()
	s := b.SecureBoot()
	if f.SecureBoot != nil && (b.Facts().SecureBootEnabled != *f.SecureBoot || s.Enabled != *f.SecureBoot) {
		t.Errorf("secure boot: got %v", s.Enabled)
	}
	if s.DMAProtectionDisabled != f.DMADisabled {
		t.Errorf("DMA protection disabled: got %v", s.DMAProtectionDisabled)
	}
	f.compareLists(t, s)
	for name, c := range scalars() {
		if want, ok := f.Scalars[name]; ok {
			compareScalar(t, b, name, string(want), c.ids, c.worseTrue)
		}
	}
}

func (f *facts) compareLists(t *testing.T, s measured.SecureBoot) {
	t.Helper()
	certificates, hashes := ofType(s.DB, eventlog.X509()), ofType(s.DBX, eventlog.SHA256())
	if f.DBCertificates != nil && len(certificates) != *f.DBCertificates || f.DBXHashes != nil && len(hashes) != *f.DBXHashes {
		t.Errorf("got %d certificates in db, %d hashes in dbx", len(certificates), len(hashes))
	}
	if f.DBXEntries != nil && !slices.Equal(hashes, f.DBXEntries) {
		t.Errorf("got hashes %v, want %v", hashes, f.DBXEntries)
	}
	if f.Authorities != nil && len(s.Authorities) != *f.Authorities {
		t.Errorf("got %d authorities, want %d", len(s.Authorities), *f.Authorities)
	}
}

// ofType gives the entries of a type, in hex.
func ofType(list []eventlog.Signature, kind eventlog.GUID) (all []string) {
	for _, e := range list {
		if e.Type == kind {
			all = append(all, hex.EncodeToString(e.Data))
		}
	}
	return all
}

// compareScalar checks the settings of the ids against a boolean, a number, or null for none. Several values count as the worse
// one.
func compareScalar(t *testing.T, b *measured.Boot, name, want string, ids []sipa.ID, worseTrue bool) {
	t.Helper()
	var got []uint64
	for _, id := range ids {
		for _, s := range b.Settings(id) {
			v, ok := s.Element.Uint()
			if !ok {
				t.Fatalf("%s: no integer", name)
			}
			got = append(got, v)
		}
	}
	if len(got) == 0 {
		if want != "null" {
			t.Errorf("%s: got nothing, want %s", name, want)
		}
		return
	}
	worse := slices.Min(got)
	if worseTrue {
		worse = slices.Max(got)
	}
	text := strconv.FormatUint(worse, 10)
	if want == "true" || want == "false" {
		text = strconv.FormatBool(worse != 0)
	}
	if text != want {
		t.Errorf("%s: got %v, want %s", name, got, want)
	}
}

// firmwareLog is an entry of vectors/tpm/eventlogs/index.json.
type firmwareLog struct {
	File     string
	Replayed map[string]values `json:"replayed_pcrs"`
	Variable string            `json:"secureboot_variable"`
	Events   int
}

// Logs of real machines are believed with the PCR values that they lead to. What the index says of the variable SecureBoot is
// what we say of secure boot.
func TestRealLogs(t *testing.T) {
	var cases []firmwareLog
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "event log of a real machine")
	}
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			l, err := eventlog.Parse(vectortest.Read(t, "tpm/"+c.File), eventlog.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			b, err := measured.Verify([]measured.Log{{TCG: l}}, quote(t, c.banks(t, l)...), strict())
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Facts().SecureBootEnabled; got != (c.Variable == "01") {
				t.Errorf("secure boot: got %v, variable %s", got, c.Variable)
			}
			if got := len(events(t, b)); got != len(l.Records()) {
				t.Errorf("got %d events of %d records", got, len(l.Records()))
			}
		})
	}
}

// banks gives what the index says of each bank. Where it has no value at all, PCR 1, which the log does not extend, is quoted with
// its start value.
func (c *firmwareLog) banks(t *testing.T, l *eventlog.Log) (banks []tpm.Bank) {
	t.Helper()
	for name, v := range c.Replayed {
		b := v.bank(t, name)
		if len(v) == 0 {
			b.Values[1] = make([]byte, b.Alg.Size())
		}
		banks = append(banks, b)
	}
	slices.SortFunc(banks, func(a, b tpm.Bank) int { return int(a.Alg) - int(b.Alg) })
	if len(banks) == 0 {
		t.Fatalf("no bank; the log has %v", l.Algs())
	}
	return banks
}
