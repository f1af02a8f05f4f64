package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

const digest64 = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"

// TestWarningsKnowReferenceValues: the claims of reference values (native.md section 5), their issuer, and what they show.
func TestWarningsKnowReferenceValues(t *testing.T) {
	for _, c := range []struct {
		kind, rule string
		want       string // "" or code: part of the text; several by |
	}{
		{"SgxEnclave", `[type=="assay-reference", value=="prod"] => permit();`, ""},
		{"Tpm", `[type=="assay-reference", value=="prod"] => permit();`, ""}, // clients cannot send one
		{"Tpm", `[type=="assay-reference", issuer=="ReferenceValue", value=="prod"] => permit();`, ""},
		{"Tpm", `[type=="assay-reference-pcr-sha256-7", value=="` + digest64 + `"] => permit();`, ""},
		{"Tpm", `[type=="assay-reference-pcr-sha384-23", issuer!="AttestationPolicy"] => permit();`, ""},
		{"AzureGuest", `[type=="assay-reference-x-ms-isolation-tee.x-ms-sevsnpvm-guestsvn", value>=7] => permit();`, ""},
		{"TdxVm", `![type=="assay-reference"] => deny(); => permit();`, ""},
		{"SgxEnclave", `c1:[type=="x-ms-sgx-mrenclave"] && [type=="assay-reference-x-ms-sgx-mrenclave", value==c1.value] => permit();`, ""},
		{"SgxEnclave", `c1:[type=="x-ms-sgx-svn"] && [type=="assay-reference-x-ms-sgx-svn", value<=c1.value] => permit();`, ""},
		{"SgxEnclave", `c1:[type=="x-ms-sgx-svn"] && [type=="assay-reference-x-ms-sgx-mrenclave", value==c1.value] => permit();`, "wrong-type: value is String, and what it is compared with is Integer"},
		{"", `[type=="assay-reference-anything", issuer=="ReferenceValue", value==1] => permit();`, ""},

		{"SgxEnclave", `[type=="assay-referance", issuer=="ReferenceValue"] => permit();`, "unknown-claim: was assay-reference meant?"},
		{"SgxEnclave", `[type=="Assay-Reference"] => permit();`, "claim-case: the claim is called assay-reference:"},
		{"SgxEnclave", `[type=="assay-reference-x-ms-sgx-mrenclav"] => permit();`, "unknown-claim: was assay-reference-x-ms-sgx-mrenclave meant?"},
		{"Tpm", `[type=="assay-reference-pcr-sha256-24"] => permit();`, "unknown-claim: was assay-reference-pcr-sha256-2"},
		{"Tpm", `[type=="assay-reference-anything-at-all"] => permit();`, "unknown-claim: Tpm has no claim"},
		{"TdxVm", `[type=="assay-reference-x-ms-sgx-svn"] => permit();`, "foreign-claim: is a claim of SgxEnclave"},
		{"TdxVm", `[type=="assay-reference-tdx_mrtd", value==1] => permit();`, "wrong-type: is String"},
		{"SgxEnclave", `[type=="assay-reference-x-ms-sgx-mrenclave", value=="` + strings.ToUpper(digest64) + `"] => permit();`, "upper-case-hex: lower case"},
		{"SgxEnclave", `[type=="assay-reference-x-ms-sgx-mrenclave", value=="a1"] => permit();`, "wrong-format: 64 lower-case"},
		{"SgxEnclave", `[type=="x-ms-sgx-svn", issuer=="ReferenceValue"] => permit();`, "unknown-claim: the issuer is tested to be another"},
		{"SgxEnclave", `[type=="assay-reference", issuer=="AttestationService"] => permit();`, "unknown-claim: only reference values do"},
		{"SgxEnclave", `[type=="assay-reference", issuer=="referenceValue"] => permit();`, "unknown-issuer: CustomClaim and ReferenceValue"},
		{"Tpm", `[type=="assay-reference", issuer=="CustomClaim"] => permit();`, "unknown-issuer: clients cannot send"},
		{"SgxEnclave", `[type=="assay-reference", issuer=="CustomClaim"] => permit();`, "unknown-issuer: only requests of type Tpm"},
	} {
		got := warnings(t, "version=1.2;authorizationrules{"+c.rule+"};issuancerules{};", c.kind)
		compareWarnings(t, c.kind+" "+c.rule, got, c.want)
	}
}

// TestWarningsOfIssuedReferenceValues: they are read-only, and so is what is made of them.
func TestWarningsOfIssuedReferenceValues(t *testing.T) {
	const readOnly = "read-only-claim: claims of reference values and what functions make of them are read-only"
	for rule, want := range map[string]string{
		`c:[type=="assay-reference"] => issue(claim=c);`:                                                                                                      readOnly,
		`c:[type=="assay-reference-x-ms-sgx-svn"] => issue(type="level", value=c.value);`:                                                                     readOnly,
		`c:[type=="assay-reference"] => issue(type="n", value=AppendString(c.value, "x"));`:                                                                   readOnly,
		`c:[issuer=="ReferenceValue"] => issue(claim=c);`:                                                                                                     readOnly,
		`c:[type=="assay-reference"] => add(type="n", value=c.value); d:[type=="n"] => issue(claim=d);`:                                                       readOnly,
		`[type=="assay-reference", value=="prod"] => issue(type="reference", value="prod");`:                                                                  "",
		`c:[type=="assay-reference-x-ms-sgx-mrenclave"] => add(type="n", value=c.value); [type=="n", value=="` + digest64 + `"] => issue(type="o", value=1);`: "",
	} {
		got := warnings(t, "version=1.2;authorizationrules{[type==\"x-ms-sgx-svn\", value>1] => permit();};issuancerules{"+rule+"};", "SgxEnclave")
		compareWarnings(t, rule, got, want)
	}
	got := warnings(t, `version=1.2;configurationrules{[type=="assay-reference"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="17");[issuer=="ReferenceValue"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="18");};`+
		`authorizationrules{[type=="x-ms-sgx-svn", value>1] => permit();};issuancerules{};`, "SgxEnclave")
	compareWarnings(t, "configuration", got, "unverified-claim: before the evidence|unknown-issuer: before there are claims of reference values")
}

func warnings(t *testing.T, text, kind string) []policy.Warning {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p.Warnings(kind)
}

func compareWarnings(t *testing.T, name string, got []policy.Warning, want string) {
	t.Helper()
	got = slices.DeleteFunc(got, func(w policy.Warning) bool { return w.Code == "no-permit" }) // what follows of the others
	wanted := strings.FieldsFunc(want, func(r rune) bool { return r == '|' })
	matches := len(got) == len(wanted)
	for i := 0; matches && i < len(got); i++ {
		code, text, _ := strings.Cut(wanted[i], ": ")
		matches = got[i].Code == code && strings.Contains(got[i].Text, text)
	}
	if !matches {
		t.Errorf("%s:\ngot  %+v\nwant %s", name, got, want)
	}
}
