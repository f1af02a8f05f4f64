package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/guesttest"
)

// outcome is what a run of the program left behind.
type outcome struct {
	status         int
	stdout, stderr string
}

// world is what a test changes of the world around the program.
type world struct {
	stdin    string
	now      time.Time
	terminal bool
	vars     map[string]string
	guest    *guesttest.Machine // nil: the machine is this one
}

// assay runs the program in this process.
func assay(t *testing.T, args ...string) outcome {
	t.Helper()
	return world{}.assay(t, args...)
}

func (w world) assay(t *testing.T, args ...string) outcome {
	t.Helper()
	now := time.Now // it goes on, as that of a service does
	if !w.now.IsZero() {
		now = func() time.Time { return w.now }
	}
	var stdout, stderr bytes.Buffer
	var guest func(string) *attester.Guest
	if w.guest != nil {
		guest = func(string) *attester.Guest { return &attester.Guest{Files: w.guest, Control: w.guest.Control} }
	}
	status := run(t.Context(), &env{
		args: args, stdin: strings.NewReader(w.stdin), stdout: &stdout, stderr: &stderr,
		terminal: w.terminal, getenv: func(name string) string { return w.vars[name] },
		now: now, guest: guest,
	})
	return outcome{status, stdout.String(), stderr.String()}
}

// want checks the exit status, and that standard output and standard error hold the texts given.
func (o outcome) want(t *testing.T, status int, stdout, stderr string) {
	t.Helper()
	if o.status != status {
		t.Errorf("exit status: got %d, want %d", o.status, status)
	}
	if !strings.Contains(o.stdout, stdout) {
		t.Errorf("standard output: want it to hold %q", stdout)
	}
	if !strings.Contains(o.stderr, stderr) {
		t.Errorf("standard error: want it to hold %q", stderr)
	}
	if t.Failed() {
		t.Logf("standard output:\n%s\nstandard error:\n%s", o.stdout, o.stderr)
	}
}

// read decodes the one JSON line on standard output.
func (o outcome) read(t *testing.T, v any) {
	t.Helper()
	if strings.Count(o.stdout, "\n") != 1 {
		t.Errorf("want one line of JSON, got:\n%s", o.stdout)
	}
	if err := json.Unmarshal([]byte(o.stdout), v); err != nil {
		t.Fatalf("standard output is not JSON: %v\n%s\n%s", err, o.stdout, o.stderr)
	}
}

// tempFile writes a file in a folder of the test and returns its path.
func tempFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// simulatedDir is a folder that sim wrote at the time given.
func simulatedDir(t *testing.T, at time.Time) string {
	t.Helper()
	dir := t.TempDir()
	if o := (world{now: at}).assay(t, "sim", "sgx", "--out", dir); o.status != exitOK {
		t.Fatalf("sim: exit status %d: %s", o.status, o.stderr)
	}
	return dir
}

func TestHelpGoesToStandardOutputAndShowsExamples(t *testing.T) {
	for _, ask := range []string{"--help", "-h", "help"} {
		assay(t, ask).want(t, exitOK, "evidence verify", "")
	}
	o := assay(t, "token", "--help")
	o.want(t, exitOK, "token inspect", "")
	if strings.Contains(o.stdout, "policy check") {
		t.Errorf("help of one group lists another:\n%s", o.stdout)
	}
	for _, c := range commands() {
		o := assay(t, append(strings.Fields(c.name), "--help")...)
		o.want(t, exitOK, "Usage: assay "+c.name, "")
		for _, want := range append(slices.Clone(c.examples), "--json", c.summary) {
			if !strings.Contains(o.stdout, want) {
				t.Errorf("assay %s --help: want it to hold %q, got\n%s", c.name, want, o.stdout)
			}
		}
	}
}

// Examples must not rot: every flag in one is a flag of its command.
func TestExamplesUseFlagsThatExist(t *testing.T) {
	for _, c := range commands() {
		help := assay(t, append(strings.Fields(c.name), "--help")...).stdout
		for _, example := range c.examples {
			words := strings.Fields(example)
			if words[0] != "assay" {
				t.Errorf("example %q is not of this program", example)
			}
			for _, w := range words {
				if strings.HasPrefix(w, "--") && strings.HasPrefix(example, "assay "+c.name) && !strings.Contains(help, "  "+w) {
					t.Errorf("example %q: %s has no flag %s", example, c.name, w)
				}
			}
		}
	}
}

func TestUsageErrors(t *testing.T) {
	present := tempFile(t, "present", "x")
	folder := t.TempDir()
	for _, test := range []struct {
		args   string // PRESENT and FOLDER stand for paths
		stderr string
	}{
		{"", "no command given"},
		{"frobnicate", `unknown command "frobnicate"`},
		{"evidence", "evidence what?"},
		{"evidence forge x", `unknown command "evidence forge"`},
		{"version extra", `unexpected argument "extra"`},
		{"version --verbose", "flag provided but not defined: --verbose"},
		{"version --json=perhaps", `invalid boolean value "perhaps" for --json`},
		{"evidence inspect PRESENT --type", "flag needs an argument: --type"},
		{"evidence inspect PRESENT", "--type is missing"},
		{"evidence inspect --type sgx", "FILE is missing"},
		{"evidence inspect --type=", "expected sgx, openenclave, snp, tdx or azureguest"},
		{"evidence inspect --type toaster PRESENT", `assay: --type "toaster": expected sgx, openenclave, snp, tdx or azureguest`},
		{"evidence inspect --type sgx absent", "no such file"},
		{"evidence inspect --type sgx FOLDER", "is a directory"},
		{"evidence inspect --type sgx PRESENT PRESENT", "unexpected argument"},
		{"evidence verify --type sgx PRESENT", "--collateral is missing"},
		{"evidence verify --type sgx PRESENT --collateral absent", "absent"},
		{"evidence verify --type sgx absent --collateral FOLDER", "no such file"},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --trust-root PRESENT", "trusted root"},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --trust-root absent", "no such file"},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --at yesterday", `assay: --at "yesterday": expected a time such as 2024-03-01T00:00:00Z`},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --collateral-expiry never", "enforce, pinned or ignore"},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --accept-status Uptodate", `"Uptodate" is none of UpToDate, SWHardeningNeeded, `},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --runtime-type yaml", "json or binary"},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --runtime-data absent", "assay: --runtime-data: open absent: no such file"},
		{"token inspect", "TOKEN is missing"},
		{"token inspect absent", "TOKEN is neither a file nor a token"},
		{"token inspect one.dot", "no such file"},
		{"token inspect three.dots.in.it", "no such file"},
		{"token inspect FOLDER", "is a directory"},
		{"token verify PRESENT", "--issuer is missing"},
		{"token verify PRESENT --issuer=", "--issuer is missing"},
		{"token verify PRESENT --issuer http://attest.example", "http is for this machine only"},
		{"token verify PRESENT --issuer https://attest.example --jwks absent", "no such file"},
		{"token verify PRESENT --issuer https://attest.example --ca PRESENT", "no PEM certificate"},
		{"token verify PRESENT --issuer https://attest.example --require x", "NAME=VALUE"},
		{"policy check PRESENT", "--type is missing"},
		{"policy check --type toaster PRESENT", "expected sgx"},
		{"policy check --type sgx absent", "no such file"},
		{"policy hash", "FILE is missing"},
		{"policy hash absent", "no such file"},
		{"policy eval", "--policy is missing"},
		{"policy eval --policy PRESENT", "--claims or --evidence is missing"},
		{"policy eval --policy PRESENT --claims PRESENT --evidence PRESENT", "--claims and --evidence exclude each other"},
		{"policy eval --policy PRESENT --evidence PRESENT", "--type is missing: evidence does not say it"},
		{"policy eval --policy PRESENT --evidence PRESENT --type sgx", "--collateral is missing"},
		{"policy eval --policy PRESENT --evidence PRESENT --type tpm --collateral FOLDER", `--type "Tpm": of evidence, expected sgx, openenclave, snp, tdx or azureguest`},
		{"policy eval --policy PRESENT --evidence PRESENT --type snp --collateral FOLDER", "--collateral is for sgx, openenclave and tdx"},
		{"policy eval --policy PRESENT --claims PRESENT --chain PRESENT", "--chain goes with --evidence"},
		{"evidence inspect --type tpm PRESENT", "expected sgx, openenclave, snp, tdx or azureguest"},
		{"evidence inspect --type tdx PRESENT --chain PRESENT", "--chain is for snp"},
		{"evidence verify --type tdx PRESENT", "--collateral is missing"},
		{"evidence verify --type tdx PRESENT --collateral FOLDER --crl PRESENT", "--crl is for snp"},
		{"evidence verify --type sgx PRESENT --collateral FOLDER --allow-masked-chip-id", "--allow-masked-chip-id is for snp"},
		{"evidence verify --type snp PRESENT --accept-status UpToDate", "--accept-status is for sgx, openenclave and tdx"},
		{"evidence verify --type snp PRESENT --trust-root PRESENT", "--trust-root: trusted root"},
		{"attest snp --endpoint https://localhost", "FILE is missing: give one, or --collect"},
		{"attest snp PRESENT --collect --endpoint https://localhost", "FILE and --collect exclude each other"},
		{"attest snp --collect", "--endpoint is missing"},
		{"attest snp PRESENT --out x", "--endpoint is missing"},
		{"attest snp PRESENT --out x --endpoint https://localhost", "--out is for --collect"},
		{"attest snp --collect --vmpl 4 --out x", "expected a number from 0 to 3"},
		{"attest tdx --collect --vmpl 1 --out x", "--vmpl is for snp"},
		{"attest tdx --collect --chain PRESENT --out x", "--chain is for snp"},
		{"attest openenclave --collect --out x", "--collect is for snp, tdx and sgx, not for OpenEnclave"},
		{"policy eval --policy PRESENT --evidence absent --type sgx --collateral FOLDER", "no such file"},
		{"policy eval --policy PRESENT --claims PRESENT", "PRESENT: claims: expected an array"},
		{"policy eval --policy PRESENT --claims PRESENT --type toaster", "expected sgx"},
		{"policy eval --policy PRESENT --claims PRESENT --at 2024-03-01T00:00:00Z", "--at goes with --evidence"},
		{"policy eval --policy PRESENT --claims PRESENT --collateral FOLDER", "--collateral goes with --evidence"},
		{"policy eval --policy absent --claims PRESENT", "no such file"},
		{"policy eval --policy PRESENT --claims absent", "no such file"},
		{"policy test", "DIR is missing"},
		{"policy test absent", "no such file"},
		{"policy test FOLDER", "expected test files (NAME.test.yaml)"},
		{"policy fmt", "FILE is missing"},
		{"policy fmt absent", "no such file"},
		{"policy fmt FOLDER", "is a directory"},
		{"policy fmt --check --write PRESENT", "--check and --write exclude each other"},
		{"policy fmt -w --check PRESENT", "--check and --write exclude each other"},
		{"policy lsp PRESENT", "unexpected argument"},
		{"policy fmt -w -", "standard input cannot be written"},
		{"collateral fetch --ca processor --out x", "--fmspc is missing"},
		{"collateral fetch --fmspc 00906ED50000 --out x", "--ca is missing"},
		{"collateral fetch --fmspc 00906ED50000 --ca processor", "--out is missing"},
		{"collateral fetch --fmspc 906ED50000 --ca processor --out x", "12 hex digits"},
		{"collateral fetch --fmspc 00906ED50000 --ca root --out x", "processor or platform"},
		{"collateral fetch --tee snp --fmspc 00906ED50000 --ca root --out x", "sgx or tdx"},
		{"collateral fetch --fmspc 00906ED50000 --ca processor --evaluation newest --out x", "standard or early"},
		{"collateral fetch --fmspc 00906ED50000 --ca processor --source ftp://x --out x", "--source"},
		{"collateral verify absent", "no such file"},
		{"collateral status", "BUNDLE is missing"},
		{"collateral import FOLDER", "--out is missing"},
		{"collateral export FOLDER", "--out is missing"},
		{"sim sgx", "--out is missing"},
		{"sim snp", "--out is missing"},
		{"sim openenclave --out FOLDER", "only sgx, snp, tdx, tpm and azureguest are simulated"},
		{"sim toaster --out FOLDER", `TYPE "toaster"`},
		{"sim sgx --out FOLDER --vbs", "--vbs is for tpm"},
		{"sim tdx --out FOLDER --vlek", "--vlek is for snp"},
		{"sim sgx --out FOLDER --product Milan", "--product is for snp"},
		{"sim tpm --product Milan", "--product is for sgx, snp and tdx"},
		{"sim snp --out FOLDER --product Rome", "expected Milan, Genoa or Turin"},
		{"sim tpm --debug", "--debug is for sgx"},
		{"sim tpm --linux --vbs", "of Windows"},
		{"sim tpm --secure-boot maybe", "expected on or off"},
		{"sim tpm --protocol 3", "expected 1 or 2"},
		{"sim tpm --answer FILE --endpoint https://localhost", "--answer"},
		{"sim tpm --log FILE", "--log"},
		{"sim sgx --out PRESENT", "not a directory"},
		{"dev token", "--role is missing"},
		{"dev token --role admin", `--role "admin": expected a role (reader, contributor or owner)`},
		{"dev token --role reader extra", "unexpected argument"},
		{"dev token --role reader --data PRESENT", "not a directory"},
		{"dev token --role reader --data FOLDER --life 25h", "expected a life from 1s to 24h0m0s"},
		{"dev token --role reader --data FOLDER --life soon", `--life "soon": expected a duration such as 30m`},
		{"dev token --role reader --data FOLDER --provider a_b", `provider "a_b": expected 3 to 24`},
		{"attest sgx PRESENT", "--endpoint is missing"},
		{"attest toaster PRESENT --endpoint https://attest.example", `TYPE "toaster": expected sgx, openenclave, snp, tdx or azureguest`},
		{"attest sgx PRESENT --endpoint https://attest.example --token a --token-file PRESENT", "--token and --token-file exclude each other"},
		{"attest sgx PRESENT --endpoint https://attest.example --token-command true --token-file PRESENT", "--token-file and --token-command exclude"},
		{"attest sgx PRESENT --endpoint https://attest.example --token-command true --token a", "--token and --token-command exclude"},
		{"attest sgx absent --endpoint https://attest.example", "no such file"},
		{"attest sgx PRESENT --endpoint http://attest.example", "http is for this machine only"},
		{"attest sgx PRESENT --endpoint https://attest.example --token-file absent", "no such file"},
		{"attest sgx PRESENT --endpoint https://attest.example --token-command false", "--token-command"},
		{"attest sgx PRESENT --endpoint https://attest.example --draft-policy absent", "no such file"},
	} {
		t.Run(test.args, func(t *testing.T) {
			paths := strings.NewReplacer("PRESENT", present, "FOLDER", folder)
			o := assay(t, strings.Fields(paths.Replace(test.args))...)
			o.want(t, exitUsage, "", paths.Replace(test.stderr))
			if o.stdout != "" {
				t.Errorf("a usage error wrote to standard output: %s", o.stdout)
			}
		})
	}
}

func TestErrorsAreJSONWhereThatIsWanted(t *testing.T) {
	var got struct {
		Error struct{ Message string }
	}
	o := assay(t, "policy", "hash", "absent", "--json")
	o.want(t, exitUsage, "", "absent")
	if o.read(t, &got); !strings.Contains(got.Error.Message, "absent") {
		t.Errorf("got message %q, want it to name the file", got.Error.Message)
	}
}

// The mistake may stand before --json, or keep the command from being found.
func TestWrongCallsAreToldAsJSONToo(t *testing.T) {
	for _, test := range []struct {
		args   string
		asJSON bool
	}{
		{"evidence inspect --type toaster x --json", true},
		{"evidence inspect --json --type toaster x", true},
		{"evidence inspect --forge x --json", true},
		{"frobnicate --json", true},
		{"evidence -json", true},
		{"version --verbose --json=true", true},
		{"version --verbose --json=false", false},
		{"version --verbose --json=perhaps", false},
		{"version --verbose", false},
		{"version extra -- --json", false},
	} {
		t.Run(test.args, func(t *testing.T) {
			o := assay(t, strings.Fields(test.args)...)
			o.want(t, exitUsage, "", "assay: ")
			if !test.asJSON {
				if o.stdout != "" {
					t.Errorf("standard output: %s, want nothing", o.stdout)
				}
				return
			}
			var got struct{ Error struct{ Message string } }
			if o.read(t, &got); !strings.Contains(o.stderr, plain(got.Error.Message)) || got.Error.Message == "" {
				t.Errorf("message %q, want that of standard error: %s", got.Error.Message, o.stderr)
			}
		})
	}
}

// The value of a flag is not a flag.
func TestJSONAsAValueIsNoFlag(t *testing.T) {
	policy := tempFile(t, "policy", "version=1.0;authorizationrules{=>permit();};")
	t.Chdir(t.TempDir())
	if err := os.Rename(policy, "--json"); err != nil {
		t.Fatal(err)
	}
	assay(t, "policy", "check", "--type", "sgx", "--", "--json").want(t, exitOK, "VALID  --json", "")
}

func TestHelpNamesValuesInCapitals(t *testing.T) {
	for _, c := range commands() {
		help := assay(t, append(strings.Fields(c.name), "--help")...).stdout
		for line := range strings.Lines(help) {
			words := strings.Fields(line)
			if !strings.HasPrefix(line, "  --") || len(words) < 2 || !strings.HasPrefix(line, "  "+words[0]+" "+words[1]+" ") {
				continue // no flag, or one without a value
			}
			if words[1] != strings.ToUpper(words[1]) {
				t.Errorf("assay %s --help: value %s of %s, want it in capitals", c.name, words[1], words[0])
			}
		}
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	policy := tempFile(t, "-policy", "version=1.0;authorizationrules{=>permit();};")
	dir, name := filepath.Split(policy)
	t.Chdir(dir)
	for _, args := range [][]string{
		{"policy", "check", "--type", "sgx", policy, "--json"},
		{"policy", "check", policy, "--json", "-type=sgx"},
		{"policy", "check", "--json", "--type", "sgx", "--", name},
	} {
		assay(t, args...).want(t, exitOK, `"valid":true`, "")
	}
}

func TestFilesLongerThanTheLimitAreRefused(t *testing.T) {
	path := tempFile(t, "long", "")
	if err := os.Truncate(path, maxInput); err != nil {
		t.Fatal(err)
	}
	assay(t, "policy", "hash", path).want(t, exitOK, "", "")
	if err := os.Truncate(path, maxInput+1); err != nil {
		t.Fatal(err)
	}
	assay(t, "policy", "hash", path).want(t, exitUsage, "", "longer than")
}

func TestColoursOnlyOnTerminalsAndNeverWithNO_COLOR(t *testing.T) {
	policy := tempFile(t, "policy", "version=1.0;authorizationrules{=>permit();};")
	for _, test := range []struct {
		world world
		want  bool
	}{
		{world{}, false},
		{world{terminal: true}, true},
		{world{terminal: true, vars: map[string]string{"NO_COLOR": "1"}}, false},
	} {
		o := test.world.assay(t, "policy", "check", "--type", "sgx", policy)
		if got := strings.Contains(o.stdout, "\x1b["); got != test.want {
			t.Errorf("terminal %v, %v: colours %v, want %v", test.world.terminal, test.world.vars, got, test.want)
		}
	}
}

func TestLinesOfAMessageAreKeptAndIndented(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"one line", "one line"},
		{"two\nlines\n", "two\n  lines"},
		{"\x1b[2J\nassay: forged", `\x1b[2J` + "\n  assay: forged"},
	} {
		if got := plainLines(test.in); got != test.want {
			t.Errorf("plainLines(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestNothingThatATerminalObeysIsPrinted(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"plain text, ü and 漢", "plain text, ü and 漢"},
		{"\x1b[2Jgone", `\x1b[2Jgone`},
		{"two\nlines", `two\nlines`},
		{"\u202egnitirw", `\u202egnitirw`},
		{"a \"quote\"\a", `a "quote"\a`},
		{"\xff", `\xff`},
	} {
		if got := plain(test.in); got != test.want {
			t.Errorf("plain(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}
