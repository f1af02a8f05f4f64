package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// verdict is the JSON of evidence verify, as scripts read it.
type verdict struct {
	Verified                         bool
	Status, PlatformStatus, QEStatus string
	TDXModuleStatus                  string
	ReportVersion                    float64
	Product                          string
	AdvisoryIDs                      []string
	TCBDate, CollateralValidUntil    time.Time
	TCBEvaluationDataNumber          uint32
	TrustAnchor                      string
	Claims                           map[string]any
	Checks                           []evidence.Entry
	NotChecked                       []string
	Error                            *struct{ Code, Check, Message string }
}

func (v *verdict) check() string {
	if v.Error == nil {
		return ""
	}
	return v.Error.Check
}

// expiries are the values of --collateral-expiry by the policies of the vectors.
var expiries = map[string]string{"strict": "enforce", "pinned": "pinned", "ignore-collateral-dates": "ignore"}

func TestEvidenceVerifyGivesTheVerdictOfEveryVector(t *testing.T) {
	for _, c := range vectortest.DCAPCases(t, "sgx", "openenclave", "tdx") {
		expiry, ok := expiries[c.Policy]
		if !ok {
			continue // no-crl is a mode of the library; the command line has none
		}
		t.Run(c.Name, func(t *testing.T) {
			quote, collateral, root := c.WriteFiles(t, t.TempDir())
			args := []string{"evidence", "verify", "--type", c.Type, quote, "--collateral", collateral,
				"--at", c.Now.Format(time.RFC3339), "--collateral-expiry", expiry, "--json"}
			if root != "" {
				args = append(args, "--trust-root", root)
			}
			o := assay(t, args...)
			if !slices.Contains(c.Exits, o.status) {
				t.Errorf("exit status %d, want one of %v", o.status, c.Exits)
			}
			var got verdict
			o.read(t, &got)
			checkVerdict(t, &c, &got)
		})
	}
}

func checkVerdict(t *testing.T, c *vectortest.DCAPCase, got *verdict) {
	t.Helper()
	if got.Verified != c.Accept {
		t.Fatalf("verified %v, want %v: %+v", got.Verified, c.Accept, got.Error)
	}
	if !c.Accept {
		if !slices.Contains(c.Reasons, got.check()) || got.Error.Code == "" || got.Error.Message == "" {
			t.Errorf("error %+v, want code, message and a check among %v", got.Error, c.Reasons)
		}
		if last := got.Checks[len(got.Checks)-1]; string(last.Name) != got.check() || last.Outcome != evidence.Fail {
			t.Errorf("the last check is %+v, want the one that failed", last)
		}
		return
	}
	if got.Status != c.Status || got.PlatformStatus != c.PlatformStatus || got.QEStatus != c.QEStatus {
		t.Errorf("status %s, platform %s, QE %s; want %s, %s, %s", got.Status, got.PlatformStatus, got.QEStatus,
			c.Status, c.PlatformStatus, c.QEStatus)
	}
	if got.TDXModuleStatus != c.ModuleStatus {
		t.Errorf("tdxModuleStatus %s, want %s", got.TDXModuleStatus, c.ModuleStatus)
	}
	if !got.TCBDate.Equal(c.TCBDate) {
		t.Errorf("tcbDate %s, want %s", got.TCBDate, c.TCBDate)
	}
	slices.Sort(c.AdvisoryIDs)
	if !slices.Equal(got.AdvisoryIDs, c.AdvisoryIDs) {
		t.Errorf("advisoryIds %v, want %v", got.AdvisoryIDs, c.AdvisoryIDs)
	}
	if len(c.Evaluations) > 0 && got.TCBEvaluationDataNumber != slices.Min(c.Evaluations) {
		t.Errorf("tcbEvaluationDataNumber %d, want %d", got.TCBEvaluationDataNumber, slices.Min(c.Evaluations))
	}
	kind := map[string]string{"sgx": "sgx", "openenclave": "sgx", "tdx": "tdxvm"}[c.Type]
	if got.Claims["x-ms-attestation-type"] != kind || got.CollateralValidUntil.IsZero() || len(got.TrustAnchor) != 64 {
		t.Errorf("claims, collateralValidUntil or trustAnchor are missing: %+v", got)
	}
}

// recordedEvidence is the member verify of an entry of vectors/maa/index.json.
type recordedEvidence struct {
	Type, Evidence, Collateral, Expiry, Verdict string
	Root                                        string
	ReportType                                  int    `json:"report_type"`
	Bound                                       *bool  `json:"runtime_data_bound"`
	TCBStatus                                   string `json:"tcb_status"`
	RuntimeData                                 string `json:"runtime_data"`
	At                                          time.Time
	Reason                                      oneOrMany
}

func TestEvidenceVerifyGivesTheOutcomeOfEveryRecording(t *testing.T) {
	var index map[string]struct{ Verify *recordedEvidence }
	vectortest.ReadJSON(t, "maa/index.json", &index)
	for name, entry := range index {
		if v := entry.Verify; v != nil {
			t.Run(name, func(t *testing.T) { v.run(t, "maa/"+name) })
		}
	}
}

func (v *recordedEvidence) run(t *testing.T, file string) {
	if v.Evidence != "" {
		file = v.Evidence
	}
	file = vectortest.Path(t, file)
	if v.Verdict == "no-collateral" {
		o := assay(t, "evidence", "inspect", "--type", v.kind(), file)
		o.want(t, exitOK, "UNVERIFIED", "")
		if bound := strings.Contains(o.stdout, "runtime data fits"); v.Bound != nil && bound != *v.Bound {
			t.Errorf("runtime data fits: %v", bound)
		}
		return
	}
	args := []string{"evidence", "verify", "--type", v.kind(), file, "--json"}
	if v.kind() == "snp" {
		args = append(args, v.chain(t)...)
	} else {
		args = append(args, "--collateral", vectortest.Path(t, v.Collateral), "--accept-status", "UpToDate,SWHardeningNeeded")
	}
	if !v.At.IsZero() {
		args = append(args, "--at", v.At.Format(time.RFC3339))
	}
	if v.Root != "" {
		args = append(args, "--trust-root", vectortest.Path(t, v.Root))
	}
	if v.Expiry != "" {
		args = append(args, "--collateral-expiry", v.Expiry)
	}
	if v.RuntimeData != "" {
		args = append(args, "--runtime-data", vectortest.Path(t, v.RuntimeData))
	}
	var got verdict
	assay(t, args...).read(t, &got)
	if got.Verified != (v.Verdict == "accept") {
		t.Fatalf("verified %v, want %s: %+v", got.Verified, v.Verdict, got.Error)
	}
	if v.Verdict == "accept" && got.Status != v.TCBStatus {
		t.Errorf("status %s, want %s", got.Status, v.TCBStatus)
	}
	if v.Verdict == "reject" && !slices.Contains(v.Reason, got.check()) {
		t.Errorf("check %s, want one of %v", got.check(), v.Reason)
	}
}

// kind is the type as the command takes it.
func (v *recordedEvidence) kind() string {
	switch {
	case v.Type == "sevsnp", v.Type == "hcl" && v.ReportType == 2:
		return "snp"
	case v.Type == "hcl" && v.ReportType == 4:
		return "tdx"
	}
	return v.Type
}

// chain gives the flag with the certificates, where there are some.
func (v *recordedEvidence) chain(t *testing.T) []string {
	if v.Collateral == "" {
		return nil
	}
	return []string{"--chain", vectortest.Path(t, v.Collateral)}
}

func TestSimulatedEvidenceVerifiesAgainstItsRootOnly(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	verify := func(args ...string) outcome {
		return assay(t, append([]string{"evidence", "verify", "--collateral", dir + "/collateral"}, args...)...)
	}
	root := []string{"--trust-root", dir + "/root.pem"}
	runtime := []string{"--runtime-data", dir + "/runtime.json", "--runtime-type", "JSON"}
	for _, test := range []struct{ kind, file string }{{"sgx", "quote.bin"}, {"openenclave", "report.bin"}} {
		args := []string{"--type", test.kind, filepath.Join(dir, test.file)}
		verify(slices.Concat(args, root, runtime)...).want(t, exitOK, "VERIFIED", "")
		verify(args...).want(t, exitRefused, "untrusted-root", "")
	}
}

func TestRuntimeDataMustBeWhatTheEnclaveVouchesFor(t *testing.T) {
	text := tempFile(t, "text", "no JSON")
	dir := t.TempDir()
	assay(t, "sim", "sgx", "--out", dir, "--runtime-data", text).want(t, exitOK, "WRITTEN", "")
	for _, test := range []struct {
		name, data, kind string
		status           int
		found            string
	}{
		{"the very bytes", text, "binary", exitOK, "VERIFIED"},
		{"other bytes", dir + "/root.pem", "binary", exitRefused, "not what the enclave vouches for"},
		{"not JSON", text, "json", exitRefused, "not the JSON it is said to be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"evidence", "verify", "--type", "sgx", dir + "/quote.bin", "--collateral", dir + "/collateral",
				"--trust-root", dir + "/root.pem", "--runtime-data", test.data, "--runtime-type", test.kind}
			assay(t, args...).want(t, test.status, test.found, "")
			if test.status == exitRefused {
				var got verdict
				assay(t, append(args, "--json")...).read(t, &got)
				if got.check() != "runtime-data" || got.Status != "UpToDate" || got.Claims == nil {
					t.Errorf("got %+v, want check runtime-data beside the facts that were learned", got)
				}
			}
		})
	}
}

// platformBelow writes a simulated quote of a platform at the TCB level of the given status, and its collateral.
func platformBelow(t *testing.T, status string) string {
	t.Helper()
	dir := t.TempDir()
	s := assaytest.WellKnownIntel().Scenario(time.Now())
	for _, l := range assaytest.TCBLevels(s.Evaluation) {
		if l.Status == status {
			s.Platform.SVN, s.Platform.PCESVN = l.SVN, l.PCESVN
		}
	}
	writeScenario(t, s, dir)
	return dir
}

func writeScenario(t *testing.T, s *assaytest.Scenario, dir string) {
	t.Helper()
	quote, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	collateral, err := s.Collateral()
	if err != nil {
		t.Fatal(err)
	}
	if err := collateral.WriteDir(dir + "/collateral"); err != nil {
		t.Fatal(err)
	}
	root, err := s.Endorser.RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"quote.bin": quote, "root.pem": root} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatusDecidesOnlyIfAskedTo(t *testing.T) {
	for _, status := range []string{"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded",
		"ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"} {
		t.Run(status, func(t *testing.T) {
			dir := platformBelow(t, status)
			args := []string{"evidence", "verify", "--type", "sgx", dir + "/quote.bin",
				"--collateral", dir + "/collateral", "--trust-root", dir + "/root.pem"}
			loud := "TCB STATUS " + strings.ToUpper(status)
			o := assay(t, args...)
			o.want(t, exitOK, "VERIFIED", "")
			if got := strings.Contains(o.stdout, loud); got != (status != "UpToDate") {
				t.Errorf("%q in the output: %v\n%s", loud, got, o.stdout)
			}
			o = assay(t, append(args, "--accept-status", status)...)
			if o.want(t, exitOK, "VERIFIED", ""); strings.Contains(o.stdout, loud) {
				t.Errorf("an accepted status is warned about:\n%s", o.stdout)
			}
			other := "UpToDate"
			if status == other {
				other = "SWHardeningNeeded"
			}
			o = assay(t, append(args, "--accept-status", other, "--json")...)
			var got verdict
			if o.read(t, &got); o.status != exitRefused || got.check() != "tcb-baseline" || got.Status != status {
				t.Errorf("exit status %d, %+v; want a refusal by tcb-baseline that still tells the status", o.status, got)
			}
			assay(t, append(args, "--accept-status", other)...).want(t, exitRefused, "list "+status+" in --accept-status", "")
		})
	}
}

func TestEveryFaultIsRefusedForItsReason(t *testing.T) {
	for _, fault := range assaytest.Faults() {
		t.Run(fault.Name, func(t *testing.T) {
			s := assaytest.WellKnownIntel().Scenario(time.Now())
			fault.Apply(s)
			dir := t.TempDir()
			writeScenario(t, s, dir)
			root, _ := assaytest.WellKnownIntel().RootPEM()
			o := assay(t, "evidence", "verify", "--type", string(s.Type()), dir+"/quote.bin", "--collateral", dir+"/collateral",
				"--trust-root", tempFile(t, "root", string(root)), "--json")
			var got verdict
			if o.read(t, &got); o.status == exitOK || !slices.Contains(fault.Checks, evidence.Check(got.check())) {
				t.Errorf("%s: exit status %d, error %+v; want a refusal by one of %v", fault.What, o.status, got.Error, fault.Checks)
			}
		})
	}
}

func TestInspectTellsFormErrors(t *testing.T) {
	bad := tempFile(t, "bad", "no quote")
	assay(t, "evidence", "inspect", "--type", "sgx", bad).want(t, exitRefused, "quote-format", "")
	o := assay(t, "evidence", "inspect", "--type", "sgx", bad, "--json")
	var got verdict
	if o.read(t, &got); o.status != exitRefused || got.check() != "quote-format" || got.Error.Code != "InvalidQuote" {
		t.Errorf("exit status %d, %+v; want quote-format, InvalidQuote", o.status, got.Error)
	}
}

func TestMissingCollateralIsNamedAndExits3(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	o := assay(t, "evidence", "verify", "--type", "sgx", dir+"/quote.bin", "--collateral", t.TempDir(), "--json")
	var got verdict
	if o.read(t, &got); o.status != exitMissing || got.check() != "collateral-missing" || got.Error.Code != "CollateralUnavailable" {
		t.Errorf("empty folder: exit status %d, %+v; want %d, collateral-missing", o.status, got.Error, exitMissing)
	}
}
