package main

import (
	"crypto/sha256"
	"encoding/base64"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// policyVector is an entry of vectors/policies/index.json.
type policyVector struct {
	Kind, Version, Code string
	AttestationType     string `json:"attestation_type"`
	PolicyHash          string `json:"policy_hash"`
	Parses              bool
	Line                int
	Column              any // a number, or a list of numbers of which any is right
}

func (v *policyVector) columns() []int {
	switch column := v.Column.(type) {
	case float64:
		return []int{int(column)}
	case []any:
		var list []int
		for _, c := range column {
			list = append(list, int(c.(float64)))
		}
		return list
	}
	return nil
}

func TestPolicyCommandsOnEveryVector(t *testing.T) {
	var index map[string]policyVector
	vectortest.ReadJSON(t, "policies/index.json", &index)
	for name, v := range index {
		if v.Kind != "text" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file := vectortest.Path(t, path.Join("policies", name))
			assay(t, "policy", "hash", file).want(t, exitOK, v.PolicyHash+"\n", "")
			v.check(t, file)
		})
	}
}

// check runs policy check.
func (v *policyVector) check(t *testing.T, file string) {
	kind := v.AttestationType
	if kind == "any" {
		kind = "SgxEnclave"
	}
	o := assay(t, "policy", "check", file, "--type", kind, "--json")
	var got struct {
		Valid  bool
		Hash   string
		Errors []struct {
			Line, Column int
			Message      string
		}
	}
	o.read(t, &got)
	want := v.Parses
	if got.Valid != want || (o.status == exitOK) != want || got.Hash != v.PolicyHash {
		t.Errorf("exit status %d, %+v; want valid %v, hash %s", o.status, got, want, v.PolicyHash)
	}
	if want {
		return
	}
	first := got.Errors[0]
	if first.Line != v.Line || !slices.Contains(v.columns(), first.Column) || first.Message == "" {
		t.Errorf("first error %+v, want line %d, column among %v", first, v.Line, v.columns())
	}
}

// TestPolicyCheckOpensEveryJWSVector has the JWS in which tools send policies. One with a policy in it has the hash of
// that policy's text, while policy hash is always that of the file's bytes.
func TestPolicyCheckOpensEveryJWSVector(t *testing.T) {
	var index map[string]policyVector
	vectortest.ReadJSON(t, "policies/index.json", &index)
	for name, v := range index {
		if v.Kind != "jws" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file := vectortest.Path(t, path.Join("policies", name))
			encoded := base64.RawURLEncoding.EncodeToString(vectortest.Read(t, path.Join("policies", name)))
			digest := sha256.Sum256([]byte(encoded))
			assay(t, "policy", "hash", file).want(t, exitOK, base64.RawURLEncoding.EncodeToString(digest[:])+"\n", "")
			args := []string{"policy", "check", "--type", "sgx", file}
			if v.PolicyHash == "" {
				assay(t, args...).want(t, exitRefused, "", "policy JWS")
				return
			}
			assay(t, args...).want(t, exitOK, "JWS; checked is the text in it", "")
			var got struct {
				Valid, JWS bool
				Hash       string
			}
			if assay(t, append(args, "--json")...).read(t, &got); !got.Valid || !got.JWS || got.Hash != v.PolicyHash {
				t.Errorf("got %+v, want a valid policy out of a JWS with hash %s", got, v.PolicyHash)
			}
		})
	}
}

func TestPolicyErrorsAreShownWithTheirPlace(t *testing.T) {
	file := tempFile(t, "policy.txt", "version=1.0;\nauthorizationrules { => permit() };\n")
	o := assay(t, "policy", "check", "--type", "sgx", file)
	o.want(t, exitRefused, file+":2:", "")
	lines := strings.Split(o.stdout, "\n")
	caret := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, "^") })
	if caret < 1 || lines[caret-1][len(lines[caret])-1] != '}' {
		t.Errorf("want a caret below the brace:\n%s", o.stdout)
	}
}

// TestPolicyWarningsDoNotRefuse checks the text and the JSON of warnings, with and without a fix.
func TestPolicyWarningsDoNotRefuse(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	file := tempFile(t, "policy.txt", "version=1.0; authorizationrules { [type==\"x-ms-sgx-svn\", value>=2] => permit();\n"+
		` c:[type=="x-ms-sgx-mrsigner", value=="`+strings.ToUpper(digest)+`"] => deny(); };`)
	o := assay(t, "policy", "check", "--type", "sgx", file)
	o.want(t, exitOK, "VALID", "")
	for _, line := range []string{file + ":2:2: warning: nothing refers to the label c [unused-label]\n", "\n  write instead: \"" + digest + "\"\n"} {
		if !strings.Contains(o.stdout, line) {
			t.Errorf("%q is not in\n%s", line, o.stdout)
		}
	}
	var got struct {
		Valid    bool
		Warnings []struct {
			Line, Column       int
			Code, Message, Fix string
		}
	}
	assay(t, "policy", "check", "--type", "sgx", file, "--json").read(t, &got)
	if !got.Valid || len(got.Warnings) != 2 {
		t.Fatalf("got %+v, want a valid policy with two warnings", got)
	}
	if w := got.Warnings[0]; w.Line != 2 || w.Column != 2 || w.Code != "unused-label" || w.Message == "" || w.Fix != "" {
		t.Errorf("got %+v", w)
	}
	if w := got.Warnings[1]; w.Code != "upper-case-hex" || w.Fix != `"`+digest+`"` {
		t.Errorf("got %+v", w)
	}
}
