package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// states are the documents of a report by kind, and the verdict.
type states struct {
	Sound     bool
	Documents []struct{ Set, Kind, State, NextUpdate string }
	Error     struct{ Check, Message string }
}

func (s *states) of(kind string) string {
	for _, d := range s.Documents {
		if d.Kind == kind {
			return d.State
		}
	}
	return "not listed"
}

func TestCollateralVerifyTellsWhatIsWrong(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name   string
		spoil  func(t *testing.T, dir string)
		at     time.Time
		status int
		kind   string
		state  string
	}{
		{"nothing", func(*testing.T, string) {}, now, exitOK, "TCB info", "ok"},
		{"PCK CRL waits for evidence", func(*testing.T, string) {}, now, exitOK, "PCK CRL", "with-evidence"},
		{"expired", func(*testing.T, string) {}, now.AddDate(0, 2, 0), exitRefused, "TCB info", "expired"},
		{"from the future", func(*testing.T, string) {}, now.AddDate(0, 0, -7), exitRefused, "QE identity", "not-yet-valid"},
		{"a file removed", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "root_ca_crl.der")); err != nil {
				t.Fatal(err)
			}
		}, now, exitMissing, "root CA CRL", "missing"},
		{"a byte changed", func(t *testing.T, dir string) {
			name := filepath.Join(dir, "qe_identity.json")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(b), `"version":2`, `"version":3`, 1)
			if err := os.WriteFile(name, []byte(changed), 0o600); err != nil || changed == string(b) {
				t.Fatal("nothing changed", err)
			}
		}, now, exitRefused, "QE identity", "unsound"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := simulatedDir(t, now)
			test.spoil(t, dir+"/collateral")
			args := []string{dir + "/collateral", "--trust-root", dir + "/root.pem", "--at", test.at.Format(time.RFC3339), "--json"}
			var got states
			o := assay(t, append([]string{"collateral", "verify"}, args...)...)
			o.read(t, &got)
			if o.status != test.status || got.Sound != (test.status == exitOK) || got.of(test.kind) != test.state {
				t.Errorf("exit status %d, %+v; want %d and %s %s", o.status, got, test.status, test.kind, test.state)
			}
			assay(t, append([]string{"collateral", "status"}, args...)...).want(t, exitOK, test.state, "")
		})
	}
}

func TestCollateralOfAnotherRootIsUnsound(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	assay(t, "collateral", "verify", dir).want(t, exitRefused, "unsound", "")
}

// A bundle of several sets is looked up by the platform of the evidence; of several sets for it the newest counts.
func TestBundleOfSeveralSets(t *testing.T) {
	now := time.Now()
	intel := assaytest.WellKnownIntel()
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	dirs := map[string]string{}
	add := func(name string, change func(*assaytest.Scenario)) {
		s := intel.Scenario(now)
		change(s)
		dirs[name] = t.TempDir()
		writeScenario(t, s, dirs[name])
		assay(t, "collateral", "import", dirs[name], "--out", bundle, "--trust-root", dirs[name]+"/root.pem").want(t, exitOK, "SOUND", "")
	}
	add("standard", func(*assaytest.Scenario) {})
	add("early", func(s *assaytest.Scenario) { s.Evaluation = assaytest.EarlyEvaluation })
	add("other", func(s *assaytest.Scenario) { s.Platform.FMSPC[5]++ })
	dir := dirs["other"]
	verify := func(dir, bundle string) outcome {
		return assay(t, "evidence", "verify", "--type", "sgx", dir+"/quote.bin", "--collateral", bundle, "--trust-root", dir+"/root.pem", "--json")
	}
	verify(dirs["standard"], bundle).want(t, exitOK, `"status":"OutOfDate"`, "")
	verify(dir, bundle).want(t, exitOK, `"status":"UpToDate"`, "")

	one := filepath.Join(t.TempDir(), "one")
	fmspc := assaytest.SimulatedPlatform().FMSPC
	assay(t, "collateral", "export", bundle, "--out", one, "--fmspc", strings.ToLower(dcap.FMSPC(fmspc).String()),
		"--trust-root", dir+"/root.pem").want(t, exitOK, "SOUND", "")
	verify(dirs["standard"], one).want(t, exitOK, `"tcbEvaluationDataNumber":18`, "")
	verify(dir, one).want(t, exitMissing, "collateral-missing", "")
	assay(t, "collateral", "export", bundle, "--out", one, "--fmspc", "000000000000").want(t, exitMissing, "", "a set for FMSPC 000000000000 is not there")
}

func TestImportRefusesUnsoundSets(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	out := filepath.Join(t.TempDir(), "out")
	assay(t, "collateral", "import", dir, "--out", out).want(t, exitRefused, "REFUSED", "")
	if _, err := os.Stat(out); err == nil {
		t.Error("an unsound set was written")
	}
}

func TestBundleThatCannotBeRead(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	noBundle := tempFile(t, "x.tar.gz", "this is no archive")
	assay(t, "collateral", "verify", noBundle).want(t, exitRefused, "", noBundle+": expected a folder or a .tar.gz, found another kind of file")
	assay(t, "collateral", "status", t.TempDir()).want(t, exitMissing, "", "a folder in it with tcb_info.json is not there")
	empty := tempFile(t, "empty.tar.gz", "")
	assay(t, "collateral", "verify", empty).want(t, exitRefused, "", empty+": expected a folder or a .tar.gz, found an empty file")
	assay(t, "collateral", "import", dir, "--trust-root", dir+"/root.pem", "--out", "/dev/null/x").want(t, exitUsage, "", "not a directory")
}

func TestFetchVerifiesWhatItGets(t *testing.T) {
	intel := assaytest.WellKnownIntel()
	pcs := assaytest.NewPCS(intel, nil)
	server := httptest.NewServer(pcs)
	defer server.Close()
	dir := simulatedDir(t, time.Now())
	fmspc := assaytest.SimulatedPlatform().FMSPC
	out := filepath.Join(t.TempDir(), "bundle")
	args := []string{"collateral", "fetch", "--fmspc", dcap.FMSPC(fmspc).String(), "--ca", "platform",
		"--source", server.URL, "--out", out}
	assay(t, args...).want(t, exitRefused, "REFUSED", "") // the root is not trusted
	args = append(args, "--trust-root", dir+"/root.pem")
	assay(t, args...).want(t, exitOK, "SOUND", "")
	assay(t, "evidence", "verify", "--type", "sgx", dir+"/quote.bin", "--collateral", out, "--trust-root", dir+"/root.pem").
		want(t, exitOK, "VERIFIED", "")

	pcs.Fail(assaytest.QEIdentity, assaytest.Failure{Status: http.StatusInternalServerError})
	assay(t, args...).want(t, exitMissing, "", "QE identity")
	server.Close()
	assay(t, args...).want(t, exitMissing, "", "TCB info")
}
