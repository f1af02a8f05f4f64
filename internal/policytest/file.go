package policytest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/policy"
)

// testFile is a test file, read with the policy and the claims files that it names.
type testFile struct {
	name    string
	source  string // of the test file, with LF for line ends
	newline string // the line ends in the file itself; "" if it has both
	text    []byte // of the policy
	kind    string // the attestation type
	cases   []testCase
}

// testCase is one case of a test file.
type testCase struct {
	name     string
	line     int
	claims   []policy.Claim // all that the policy sees
	evidence *Evidence      // nil: the claims are given
	expect   *expectation   // nil: missing
	node     *ast.MappingNode
}

// Evidence is the evidence of a case and how it is judged, in the words of the flags of assay evidence verify. Paths are
// made to be opened from where the program runs.
type Evidence struct {
	Type                    string // the attestation type
	File, Collateral        string
	Chain                   string // of SEV-SNP, whose evidence needs no collateral; "" if not given, like those below
	TrustRoot, RuntimeData  string
	Expiry, Accept, Runtime string // collateral-expiry, accept-status, runtime-type
	At                      time.Time
}

// readFile reads a test file and all it names but evidence.
func readFile(name string) (*testFile, error) {
	source, err := readRegular(name, MaxFile)
	if err != nil {
		return nil, err
	}
	f, err := parseFile(name, source)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return f, nil
}

// readRegular reads a file of at most limit bytes. Anything but a file might never end.
func readRegular(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: expected a file, found %v", name, info.Mode().Type())
	}
	if err != nil {
		return nil, err
	}
	return config.ReadFile(name, limit)
}

// parseFile reads the text of a test file. Errors begin with the place in it: "3:5: ".
func parseFile(name string, source []byte) (*testFile, error) {
	f := &testFile{name: name, newline: newlineOf(string(source))}
	f.source = strings.ReplaceAll(string(source), "\r\n", "\n")
	top, err := parseYAML([]byte(f.source))
	if err != nil {
		return nil, err
	}
	var common claimSet
	var cases ast.Node
	if err := (readers{
		"policy": f.readPolicy, "type": f.readType, "claims": f.claimsVar(&common),
		"cases": func(n ast.Node) error { cases = n; return nil },
	}).read(top); err != nil {
		return nil, err
	}
	switch {
	case f.text == nil:
		return nil, wrong(top, "expected the member policy, which names the policy's file")
	case f.kind == "":
		return nil, wrong(top, "expected the member type: one of %s", policy.TypeNames)
	case cases == nil:
		return nil, wrong(top, "expected the member cases: a file without cases tests nothing")
	}
	return f, f.readCases(cases, &common)
}

// newlineOf returns the line ends of a text, "" if they differ.
func newlineOf(text string) string {
	switch strings.Count(text, "\r\n") {
	case 0:
		return "\n"
	case strings.Count(text, "\n"):
		return "\r\n"
	}
	return ""
}

// readPolicy reads the policy's file, text or JWS. Whether the text parses is for the cases to say.
func (f *testFile) readPolicy(n ast.Node) error {
	path, err := f.path(n)
	if err != nil {
		return err
	}
	b, err := readRegular(path, config.MaxPolicyFile)
	if err == nil {
		f.text, err = policyjws.Text(b)
	}
	if err != nil {
		return wrong(n, "policy: %w", err)
	}
	f.text = append([]byte{}, f.text...) // not nil, even of an empty file
	return nil
}

func (f *testFile) readType(n ast.Node) error {
	text, err := textOf(n)
	if err != nil {
		return err
	}
	var ok bool
	if f.kind, ok = policy.ParseType(text); !ok {
		return wrong(n, "expected one of %s, found %.40q", policy.TypeNames, text)
	}
	return nil
}

// path reads a path, which is relative to the folder of the test file so that the folder can be moved.
func (f *testFile) path(n ast.Node) (string, error) {
	text, err := textOf(n)
	switch {
	case err != nil:
		return "", err
	case text == "" || text == "-" || filepath.IsAbs(text):
		return "", wrong(n, "expected a path relative to the folder of the test file, found %.80q", text)
	}
	return filepath.Join(filepath.Dir(f.name), filepath.FromSlash(text)), nil
}

func (f *testFile) pathVar(s *string) func(ast.Node) error {
	return func(n ast.Node) (err error) {
		*s, err = f.path(n)
		return err
	}
}

// readCases reads the list of cases.
func (f *testFile) readCases(n ast.Node, common *claimSet) error {
	list, ok := n.(*ast.SequenceNode)
	switch {
	case !ok:
		return wrong(n, "cases: expected a list, found %s", describe(n))
	case len(list.Values) == 0:
		return wrong(n, "cases: expected at least one: a file without cases tests nothing")
	case len(list.Values) > MaxCases:
		return wrong(n, "cases: %w", tooMany(MaxCases, "cases"))
	}
	for _, element := range list.Values {
		c, err := f.readCase(element, common)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(f.cases, func(other testCase) bool { return other.name == c.name }) {
			return wrong(element, "name: two cases are named %q", c.name)
		}
		f.cases = append(f.cases, *c)
	}
	return nil
}

// readCase reads one case. The claims common to all are those of a case without evidence, but for the types of which it
// has claims of its own.
func (f *testFile) readCase(n ast.Node, common *claimSet) (*testCase, error) {
	c := &testCase{line: start(n).Line}
	c.node, _ = n.(*ast.MappingNode)
	var own claimSet
	err := readers{
		"name": textVar(&c.name), "claims": f.claimsVar(&own),
		"evidence": func(n ast.Node) error { return f.readEvidence(n, c) },
		"expect":   func(n ast.Node) (err error) { c.expect, err = readExpectation(n); return err },
	}.read(n)
	if err == nil {
		err = c.check(&own, common)
	}
	if err != nil {
		return nil, err
	}
	c.claims = common.with(&own)
	if len(c.claims) > policy.MaxClaims {
		return nil, wrong(n, "claims: %w", tooMany(policy.MaxClaims, "claims"))
	}
	return c, nil
}

// check checks that a case has what it needs. Only a policy that must not parse is tested without claims.
func (c *testCase) check(own, common *claimSet) error {
	var problem error
	switch {
	case c.name == "":
		problem = errors.New("expected the member name")
	case len(c.name) > MaxName:
		problem = tooMany(MaxName, "bytes in a name")
	case c.evidence != nil && own.given:
		problem = errors.New("expected claims or evidence, found both")
	case c.evidence == nil && !own.given && !common.given && !(c.expect != nil && c.expect.code == codeParsing):
		problem = errors.New("expected claims or evidence, found none: write claims: [] for no claims at all")
	default:
		return nil
	}
	return wrong(c.node, "%w", problem)
}

// readEvidence reads the evidence of a case. The time is not left to the clock: a test ends alike on every day.
func (f *testFile) readEvidence(n ast.Node, c *testCase) error {
	e := &Evidence{Type: f.kind}
	if err := (readers{
		"file": f.pathVar(&e.File), "collateral": f.pathVar(&e.Collateral), "chain": f.pathVar(&e.Chain), "trust-root": f.pathVar(&e.TrustRoot),
		"runtime-data": f.pathVar(&e.RuntimeData), "runtime-type": textVar(&e.Runtime),
		"collateral-expiry": textVar(&e.Expiry), "accept-status": textVar(&e.Accept), "at": timeVar(&e.At),
	}).read(n); err != nil {
		return err
	}
	guest := f.kind == string(evidence.SevSnpVM)
	switch {
	case guest && (e.File == "" || e.At.IsZero()):
		return wrong(n, "evidence: expected the members file and at (the time to judge at)")
	case !guest && (e.File == "" || e.Collateral == "" || e.At.IsZero()):
		return wrong(n, "evidence: expected the members file, collateral and at (the time to judge at)")
	case guest && e.Collateral+e.Expiry+e.Accept != "":
		return wrong(n, "evidence: of SEV-SNP, collateral, collateral-expiry and accept-status mean nothing")
	case !guest && e.Chain != "":
		return wrong(n, "evidence: chain is for SEV-SNP")
	}
	c.evidence = e
	return nil
}

func timeVar(t *time.Time) func(ast.Node) error {
	return func(n ast.Node) error {
		text, err := textOf(n)
		if err != nil {
			return err
		}
		if *t, err = time.Parse(time.RFC3339, text); err != nil || t.IsZero() {
			return wrong(n, "expected a time such as 2024-03-01T00:00:00Z, found %.40q", text)
		}
		return nil
	}
}
