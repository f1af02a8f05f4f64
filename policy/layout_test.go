package policy_test

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// layouts are written by hand after the examples of docs/policy.md.
func TestFormatLaysOut(t *testing.T) {
	long, longer := strings.Repeat("s", 64), strings.Repeat("s", 128)
	for _, test := range []struct{ name, text, want string }{
		{"a text of one line", `version= 1.1;configurationrules{=>issueproperty(type="x",value="17");};authorizationrules{=>permit();};issuancerules{};`,
			`version=1.1;
configurationrules
{
    => issueproperty(type="x", value="17");
};
authorizationrules
{
    => permit();
};
issuancerules
{
};
`},
		{"words in any case and place", "\n\tVersion = 1 . 0 ;\r\nAuthorizationRules{\r\nc :[ Type== \"A\" ,VALUETYPE ==\n\"Integer\",value>= - 5]&&[value== c . Value ]=> Permit ( ) ;}\r\n;",
			`version=1.0;
authorizationrules
{
    c:[type=="A", valueType=="Integer", value>=-5] && [value==c.value] => permit();
};
`},
		{"one blank line between groups, none at the edges of a section", "\n\nversion=1.0;\n\n\n\nauthorizationrules\n\n{\n\n=> permit();\n\n\n=> deny();\n=>\n\npermit();\n\n}\n\n;\n\n",
			`version=1.0;

authorizationrules
{
    => permit();

    => deny();
    => permit();
};
`},
		{"conditions too long for a line", auth(`c:[type=="a",value=="` + long + `"]&&[type=="b"]&&[type=="c",value==c.value]=>permit();`),
			`version=1.0;
authorizationrules
{
    c:[type=="a", value=="` + long + `"] &&
    [type=="b"] &&
    [type=="c", value==c.value] => permit();
};
`},
		{"an action too long for the line of its condition", issuance(`c:[type=="` + long + `"]=>issue(type="` + long + `",value=c.value);`),
			`version=1.1;
authorizationrules
{
    => permit();
};
issuancerules
{
    c:[type=="` + long + `"]
        => issue(type="` + long + `", value=c.value);
};
`},
		{"tests too long for a line", auth(`c:[type=="` + long + `",value=="` + long + `",issuer=="AttestationService"]=>permit();`),
			`version=1.0;
authorizationrules
{
    c:[type=="` + long + `",
        value=="` + long + `",
        issuer=="AttestationService"] => permit();
};
`},
		{"strings longer than any line", issuance(`c:[type=="a"]=>issue(type="` + longer + `",value=c.value);=>issue(type="b",value="` + longer + `");`),
			`version=1.1;
authorizationrules
{
    => permit();
};
issuancerules
{
    c:[type=="a"]
        => issue(type="` + longer + `",
            value=c.value);
    => issue(type="b",
        value="` + longer + `");
};
`},
		{"negation and functions", `version=1.2;authorizationrules{! c :[type=="a"]=>permit ( );};issuancerules{c:[type=="` + long + `"]=>issue(type="b",` +
			`value=JsonToClaimValue ( JmesPath ( c . value , AppendString("` + longer + `", "x"))));=>issue(type="c",value=NegateBool(IsSubsetOf(true,false)));};`,
			`version=1.2;
authorizationrules
{
    !c:[type=="a"] => permit();
};
issuancerules
{
    c:[type=="` + long + `"]
        => issue(type="b",
            value=JsonToClaimValue(JmesPath(c.value,
                AppendString("` + longer + `",
                    "x"))));
    => issue(type="c", value=NegateBool(IsSubsetOf(true, false)));
};
`},
	} {
		t.Run(test.name, func(t *testing.T) { wantLayout(t, test.text, test.want) })
	}
}

func wantLayout(t *testing.T, text, want string) {
	t.Helper()
	if got := string(format(t, []byte(text))); got != want {
		t.Errorf("%s\ngot\n%s\nwant\n%s", text, got, want)
	}
}

func TestFormatKeepsCommentsInTheirPlace(t *testing.T) {
	wantLayout(t, `
//  of the owner  


// second paragraph
version=1.0; // the newest
// why
authorizationrules // who may
{ // begins

  //of the rule
  [type=="a"] && // first
  // second
  [type=="b"]=>permit(); // third  
  => deny();// behind
  [type=="c"]
     // before the arrow
  => permit();
  [type=="d", // in brackets
  value==1] // behind brackets
  => permit();

  // last
  
} // ends
;
// end
`, `//  of the owner

// second paragraph
version=1.0; // the newest
// why
authorizationrules // who may
{ // begins
    //of the rule
    [type=="a"] && // first
    // second
    [type=="b"] => permit(); // third
    => deny(); // behind
    [type=="c"]
        // before the arrow
        => permit();
    [type=="d", // in brackets
        value==1] // behind brackets
        => permit();

    // last
} // ends
    ;
// end
`)
}

// The widths are counted in characters: a rule of more than one condition may go up to column 110, part of one to 120.
func TestFormatBreaksAtItsWidths(t *testing.T) {
	frame := func(rule string) string { return "version=1.0;\nauthorizationrules\n{\n" + rule + "};\n" }
	for _, test := range []struct {
		name          string
		before, after string // of the string that is stretched
		column        int
		broken        string // after, when it no longer fits
	}{
		{"conditions", `    [type=="`, `"] && [type=="b"] => permit();`, 110, "\"] &&\n    [type==\"b\"] => permit();"},
		{"action", `    [type=="`, `"] => permit();`, 120, "\"]\n        => permit();"},
		{"tests", `    [type=="`, `", value==1] => permit();`, 120, "\", value==1]\n        => permit();"},
		{"arguments", `    => add(type="`, `", value=1);`, 120, "\",\n        value=1);"},
	} {
		for _, more := range []int{0, 1} {
			name := strings.Repeat("ü", test.column-len(test.before)-len(test.after)+more)
			want := test.before + name + test.after + "\n"
			if more > 0 {
				want = test.before + name + test.broken + "\n"
			}
			t.Run(test.name, func(t *testing.T) {
				wantLayout(t, frame(test.before+name+test.after+"\n"), frame(want))
			})
		}
	}
}

// A test so long that its condition does not fit with what must follow on the line is broken.
func TestFormatBreaksAListWithWhatFollowsIt(t *testing.T) {
	const before, after = `    [type=="a", value=="`, `"] &&`
	for _, more := range []int{0, 1} {
		value := strings.Repeat("v", 120-len(before)-len(after)+more)
		want := before + value + after
		if more > 0 {
			want = "    [type==\"a\",\n        value==\"" + value + after
		}
		rest := "\n    [type==\"b\"] => permit();\n};\n"
		wantLayout(t, auth(before+value+after+strings.TrimSuffix(rest, "};\n")), "version=1.0;\nauthorizationrules\n{\n"+want+rest)
	}
}

func TestTheDefaultPolicyIsNotInTheCanonicalLayout(t *testing.T) {
	if out := format(t, policy.DefaultSGX()); policy.Hash(out) == policy.Hash(policy.DefaultSGX()) {
		t.Error("formatting the default policy must change its hash")
	}
}

// The reference shows policies as they are formatted, but for the default policy, whose real text has no line breaks.
func TestDocumentedExamplesAreInTheCanonicalLayout(t *testing.T) {
	for _, e := range readExamples(t) {
		if e.mistakes == "" && !strings.HasPrefix(e.text, "version= 1.1;") {
			wantLayout(t, e.text, e.text+"\n")
		}
	}
}
