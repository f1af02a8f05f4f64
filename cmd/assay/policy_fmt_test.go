package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

const (
	untidyPolicy = "version= 1.0;\r\nauthorizationrules{=>permit();}; // all\n"
	tidyPolicy   = "version=1.0;\nauthorizationrules\n{\n    => permit();\n}; // all\n"
	brokenPolicy = "version=1.0;\nauthorizationrules { => permit() };\n"
)

// hashNote is what standard error must say about an untidy policy.
func hashNote(verb string) string {
	return "formatting " + verb + " the policy hash from " + policy.Hash([]byte(untidyPolicy)) + " to " + policy.Hash([]byte(tidyPolicy)) +
		"; a signed policy must be signed again\n"
}

func TestPolicyFmtPrintsTheTextAndLeavesTheFile(t *testing.T) {
	file := tempFile(t, "policy.txt", untidyPolicy)
	o := assay(t, "policy", "fmt", file)
	o.want(t, exitOK, "", hashNote("changes"))
	if o.stdout != tidyPolicy {
		t.Errorf("standard output: got %q, want %q", o.stdout, tidyPolicy)
	}
	wantFile(t, file, untidyPolicy)
	if o := (world{stdin: untidyPolicy}).assay(t, "policy", "fmt", "-"); o.stdout != tidyPolicy || o.status != exitOK {
		t.Errorf("of standard input: status %d, %q, want %q", o.status, o.stdout, tidyPolicy)
	}
}

func TestPolicyFmtSaysNothingOfAPolicyThatStays(t *testing.T) {
	file := tempFile(t, "policy.txt", tidyPolicy)
	for _, args := range [][]string{{file}, {"--check", file}, {"--write", file}, {"-w", file}} {
		o := assay(t, append([]string{"policy", "fmt"}, args...)...)
		want := ""
		if len(args) == 1 {
			want = tidyPolicy
		}
		if o.status != exitOK || o.stderr != "" || o.stdout != want {
			t.Errorf("%q: status %d, standard output %q, standard error %q; want %q and nothing more", args, o.status, o.stdout, o.stderr, want)
		}
	}
}

func TestPolicyFmtCheckListsWhatWouldChange(t *testing.T) {
	untidy, tidy := tempFile(t, "untidy.txt", untidyPolicy), tempFile(t, "tidy.txt", tidyPolicy)
	o := assay(t, "policy", "fmt", "--check", tidy, untidy)
	o.want(t, exitRefused, "", hashNote("would change"))
	if o.stdout != untidy+"\n" {
		t.Errorf("standard output: got %q, want the one untidy file", o.stdout)
	}
	wantFile(t, untidy, untidyPolicy)
}

func TestPolicyFmtWritesInPlaceAndKeepsTheMode(t *testing.T) {
	file := tempFile(t, "policy.txt", untidyPolicy)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.txt")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	o := assay(t, "policy", "fmt", "-w", link)
	o.want(t, exitOK, link+"\n", hashNote("changes"))
	wantFile(t, file, tidyPolicy)
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v, want 0644", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("other files are left beside the policy: %v, %v", entries, err)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
	}
}

// A file that is refused does not keep the others from being formatted; one that cannot be read does.
func TestPolicyFmtGoesOnAfterARefusal(t *testing.T) {
	broken, untidy := tempFile(t, "broken.txt", brokenPolicy), tempFile(t, "untidy.txt", untidyPolicy)
	assay(t, "policy", "fmt", "-w", untidy, "absent").want(t, exitUsage, "", "absent")
	wantFile(t, untidy, untidyPolicy)
	o := assay(t, "policy", "fmt", "-w", broken, untidy)
	o.want(t, exitRefused, untidy+"\n", broken+":2:34: mismatched input '}' expecting ';'")
	wantFile(t, untidy, tidyPolicy)
	wantFile(t, broken, brokenPolicy)
}

func TestPolicyFmtRefusesAJWSWithAHint(t *testing.T) {
	for _, name := range []string{"jws-unsigned.txt", "jws-signed-rs256.txt", "jws-reset-unsigned.txt"} {
		file := vectortest.Path(t, "policies/"+name)
		for _, mode := range []string{"--check", "--write", "--json"} {
			o := assay(t, "policy", "fmt", mode, file)
			o.want(t, exitRefused, "", "assay policy unsign")
		}
	}
}

func TestPolicyFmtAsJSON(t *testing.T) {
	broken, untidy := tempFile(t, "broken.txt", brokenPolicy), tempFile(t, "untidy.txt", untidyPolicy)
	jws := tempFile(t, "policy.jws", "eyJhbGciOiJub25lIn0..")
	var got struct {
		Files []struct {
			File, Hash, NewHash string
			Changed             bool
			Text                *string
			Errors              []policyError
			Error               *problem
		}
	}
	o := assay(t, "policy", "fmt", broken, untidy, jws, "--json")
	o.want(t, exitRefused, "", hashNote("changes"))
	if o.read(t, &got); len(got.Files) != 3 {
		t.Fatalf("got %s, want three files", o.stdout)
	}
	if f := got.Files[0]; f.File != broken || f.Changed || f.Text != nil || len(f.Errors) != 1 || f.Errors[0].Line != 2 || f.Hash != policy.Hash([]byte(brokenPolicy)) {
		t.Errorf("of the broken one: %+v", f)
	}
	if f := got.Files[1]; !f.Changed || f.Text == nil || *f.Text != tidyPolicy || f.Errors != nil ||
		f.Hash != policy.Hash([]byte(untidyPolicy)) || f.NewHash != policy.Hash([]byte(tidyPolicy)) {
		t.Errorf("of the untidy one: %+v", f)
	}
	if f := got.Files[2]; f.Error == nil || !strings.Contains(f.Error.Message, "JWS") || f.Errors != nil || f.NewHash != "" {
		t.Errorf("of the JWS: %+v", f)
	}
	if o := assay(t, "policy", "fmt", untidy, "--check", "--json"); o.status != exitRefused || strings.Contains(o.stdout, `"text"`) {
		t.Errorf("--check: status %d, %s, want 1 and no text", o.status, o.stdout)
	}
}
