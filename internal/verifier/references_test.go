package verifier

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/policy"
)

// references is a set of entries, each a name and its body.
func references(t testing.TB, entries ...string) *reference.Set {
	t.Helper()
	var parsed []reference.Entry
	for _, text := range entries {
		name, body, _ := strings.Cut(text, " ")
		e, err := reference.Parse(name, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, *e)
	}
	return reference.NewSet(parsed)
}

// judged is what came of sound evidence.
type judged struct {
	claims map[string]any // of the token or report
	record *explain.Record
	at     time.Time
	err    error
}

// scheme is evidence of a type, and two members of reference values that it has.
type scheme struct {
	kind          evidence.Type
	values        string // a string claim and its value
	other         string // the same claim with a value that the evidence does not have
	integer       string // an integer claim
	level         int    // its value
	hasCompliance bool
	appraise      func(t *testing.T, set *reference.Set, policyText string) judged
}

func member(claim, value string) string { return fmt.Sprintf("%q:[%q]", claim, value) }

// enclaveScheme is that of the simulated enclave.
func enclaveScheme(t *testing.T) scheme {
	t.Helper()
	const claim = "x-ms-sgx-mrenclave"
	sum := sha256.Sum256([]byte("simulated enclave"))
	value := hex.EncodeToString(sum[:])
	return scheme{kind: evidence.SgxEnclave, values: member(claim, value), other: member(claim, strings.Repeat("a", len(value))),
		integer: "x-ms-sgx-svn", level: 2, appraise: newBench(t, permits).judge}
}

// azureScheme is that of a simulated Azure guest on SEV-SNP.
func azureScheme(t *testing.T) scheme {
	t.Helper()
	b, sc := newAzureBench(t, assaytest.AzureSevSnp)
	guest := sc.Host.SNP.Guest
	const claim = "x-ms-isolation-tee.x-ms-sevsnpvm-launchmeasurement"
	value := hex.EncodeToString(guest.Measurement[:])
	return scheme{kind: evidence.AzureGuest, values: member(claim, value), other: member(claim, strings.Repeat("a", len(value))),
		integer: "x-ms-isolation-tee.x-ms-sevsnpvm-guestsvn", level: int(guest.GuestSVN), appraise: b.judge}
}

// schemes are those of the simulated enclave, guest, TD, TPM and Azure guest. The values are those that package assaytest documents.
func schemes(t *testing.T) []scheme {
	t.Helper()
	guest, td := sha512.Sum384([]byte("simulated guest")), sha512.Sum384([]byte("simulated TD"))
	r := tpmRequest(t)
	pcr := quotedPCR(t, r)
	other := func(text string) string { return strings.Repeat("a", len(text)) }
	of := func(kind evidence.Type, claim, value string, integer string, level int, appraise func(*testing.T, *reference.Set, string) judged) scheme {
		return scheme{kind: kind, values: member(claim, value), other: member(claim, other(value)), integer: integer, level: level, appraise: appraise,
			hasCompliance: kind == evidence.SevSnpVM || kind == evidence.TdxVM}
	}
	return []scheme{
		enclaveScheme(t),
		of(evidence.SevSnpVM, "x-ms-sevsnpvm-launchmeasurement", hex.EncodeToString(guest[:]), "x-ms-sevsnpvm-guestsvn", 1, newGuestBench(t).judge),
		of(evidence.TdxVM, "tdx_mrtd", hex.EncodeToString(td[:]), "tdx_seamsvn", 5, newDomainBench(t).judge),
		of(evidence.Tpm, "pcr-sha256-7", pcr, "enclaveSvn", 7, judgeTPM(r)),
		azureScheme(t),
	}
}

// judge appraises the request of the bench against reference values under a policy.
func (b *bench) judge(t *testing.T, set *reference.Set, policyText string) judged {
	t.Helper()
	b.cfg.References = set
	b.cfg.Policies[b.request.Type] = parsed(policyText)
	b.request.Record = &explain.Record{Type: b.request.Type}
	p, err := b.Appraise(t.Context(), b.request)
	j := judged{record: b.request.Record, at: b.request.At, err: err}
	if err == nil {
		j.claims = p.Claims()
	}
	return j
}

// judgeTPM gives what does likewise with a request of the TPM protocol.
func judgeTPM(r ReportRequest) func(*testing.T, *reference.Set, string) judged {
	return func(t *testing.T, set *reference.Set, policyText string) judged {
		t.Helper()
		r.Record = &explain.Record{Type: evidence.Tpm}
		v := tpmBench(t, strings.Replace(policyText, "authorizationrules", `configurationrules{=> issueproperty(type="required_pcr_mask", value=32767);};authorizationrules`, 1))
		v.cfg.References = set
		p, err := v.AppraiseReport(t.Context(), r)
		j := judged{claims: map[string]any{}, record: r.Record, at: r.At, err: err}
		if err == nil {
			for _, c := range p.Claims() {
				j.claims[c.Name] = c.Value
			}
		}
		return j
	}
}

// quotedPCR is PCR 7 of the simulated TPM's bank SHA-256, read from the quote by itself.
func quotedPCR(t *testing.T, r ReportRequest) string {
	t.Helper()
	v := tpmBench(t, permitsTPM)
	request, err := attreq.Parse(r.JWS, v.cfg.TPM.Limits)
	if err != nil {
		t.Fatal(err)
	}
	e, err := v.verifyReport(t.Context(), r, request, v.cfg.Policies[evidence.Tpm])
	if err != nil {
		t.Fatal(err)
	}
	for _, bank := range e.Quoted().Banks() {
		if value := bank.Values[7]; len(value) == sha256.Size {
			return hex.EncodeToString(value)
		}
	}
	t.Fatal("no PCR 7 of SHA-256 is quoted")
	return ""
}

// wantsProd permits evidence that the reference value named prod matches, and nothing else.
const wantsProd = `version=1.2;authorizationrules{[type=="assay-reference", value=="prod", issuer=="ReferenceValue"] => permit();};issuancerules{};`

func noPermit(err error) bool { return denied(err) && strings.Contains(err.Error(), "permit") }

// TestReferenceValuesOfEachType has the same demands of the values of every type.
func TestReferenceValuesOfEachType(t *testing.T) {
	for _, s := range schemes(t) {
		for name, test := range map[string]func(*testing.T, scheme){
			"policies can ask for a match": canAskForAMatch, "only policies see them": areSeenByPoliciesOnly, "they cannot be issued": cannotBeIssued,
			"only a match earns a compliance status": earnAComplianceStatusByAMatch,
		} {
			t.Run(string(s.kind)+" "+name, func(t *testing.T) { test(t, s) })
		}
	}
}

// canAskForAMatch goes through the reasons for which a reference value matches evidence or does not.
func canAskForAMatch(t *testing.T, s scheme) {
	t.Helper()
	at := s.appraise(t, nil, wantsProd).at
	stamp := func(member string, after time.Duration) string {
		return fmt.Sprintf(`,%q:%q`, member, at.Add(after).Format(time.RFC3339Nano))
	}
	entry := func(name, members string) string { return fmt.Sprintf(`%s {"type":%q,%s}`, name, s.kind, members) }
	values := func(members ...string) string { return `"values":{` + strings.Join(members, ",") + `}` }
	minimum := func(n int) string { return fmt.Sprintf(`"minimums":{%q:%d}`, s.integer, n) }
	level := func(n int) string { return fmt.Sprintf(`%q:[%d]`, s.integer, n) }
	matching := values(s.values)
	for _, c := range []struct {
		name    string
		entries []string
		matches bool
	}{
		{"no reference values", nil, false},
		{"a match", []string{entry("prod", matching)}, true},
		{"a match of another name", []string{entry("test", matching)}, false},
		{"another value", []string{entry("prod", values(s.other))}, false},
		{"one of two values", []string{entry("prod", `"values":{`+strings.TrimSuffix(s.other, "]")+","+s.values[strings.Index(s.values, "[")+1:]+"}")}, true},
		{"from now on", []string{entry("prod", matching+stamp("notBefore", 0))}, true},
		{"soon", []string{entry("prod", matching+stamp("notBefore", 1))}, false},
		{"until now", []string{entry("prod", matching+stamp("notAfter", 0))}, false},
		{"still", []string{entry("prod", matching+stamp("notAfter", 1))}, true},
		{"the minimum", []string{entry("prod", matching+","+minimum(s.level))}, true},
		{"above the minimum", []string{entry("prod", matching+","+minimum(s.level-1))}, true},
		{"below the minimum", []string{entry("prod", matching+","+minimum(s.level+1))}, false},
		{"a minimum alone", []string{entry("prod", minimum(s.level))}, true},
		{"two entries, the first matches", []string{entry("prod", matching), entry("q", values(s.other))}, true},
		{"two entries, the other matches", []string{entry("prod", values(s.other)), entry("q", matching)}, false},
		{"two entries, both match", []string{entry("prod", matching), entry("q", matching)}, true},
		{"two keys, both hold", []string{entry("prod", values(s.values, level(s.level)))}, true},
		{"keys of two entries", []string{entry("prod", values(s.values, level(s.level+1))), entry("q", values(s.other, level(s.level)))}, false},
	} {
		got := s.appraise(t, references(t, c.entries...), wantsProd)
		if c.matches != (got.err == nil) || !c.matches && !noPermit(got.err) {
			t.Errorf("%s, %s: %v", s.kind, c.name, got.err)
		}
	}
}

// TestReferenceValuesOfAnotherTypeAreNotSeen, even if claim and value are the same.
func TestReferenceValuesOfAnotherTypeAreNotSeen(t *testing.T) {
	s := enclaveScheme(t)
	got := s.appraise(t, references(t, `prod {"type":"OpenEnclave","values":{`+s.values+`}}`), wantsProd)
	if !noPermit(got.err) || slices.ContainsFunc(got.record.Claims, func(c policy.Claim) bool { return c.Issuer == policy.ReferenceValue }) {
		t.Errorf("%v: %v", got.err, got.record.Claims)
	}
}

// areSeenByPoliciesOnly: the record, which explanations show, has the claims that native.md section 5 lists.
func areSeenByPoliciesOnly(t *testing.T, s scheme) {
	t.Helper()
	const everything = `version=1.2;authorizationrules{=> permit();};issuancerules{};`
	set := references(t, fmt.Sprintf(`prod {"type":%q,"values":{%s},"minimums":{%q:0}}`, s.kind, s.values, s.integer), fmt.Sprintf(`q {"type":%q,"values":{%s}}`, s.kind, s.other))
	got := s.appraise(t, set, everything)
	if got.err != nil {
		t.Fatal(got.err)
	}
	claim, value, _ := strings.Cut(strings.NewReplacer(`"`, "", "[", "", "]", "").Replace(s.values), ":")
	of := func(name, value string) policy.Claim {
		return policy.Claim{Type: name, Value: policy.StringValue(value), Issuer: "ReferenceValue", ReadOnly: true}
	}
	want := []policy.Claim{of("assay-reference", "prod"), of("assay-reference-"+claim, value), of("assay-reference-"+claim, strings.Repeat("a", len(value)))}
	seen := slices.DeleteFunc(slices.Clone(got.record.Claims), func(c policy.Claim) bool { return c.Issuer != policy.ReferenceValue })
	if !slices.Equal(seen, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", s.kind, seen, want)
	}
	for name := range got.claims {
		if strings.HasPrefix(name, "assay-reference") {
			t.Errorf("%s: the token has %s", s.kind, name)
		}
	}
	without := s.appraise(t, nil, everything).record.Claims
	if !slices.Equal(without, got.record.Claims[:len(got.record.Claims)-len(want)]) {
		t.Errorf("%s: without reference values the policy sees %v", s.kind, without)
	}
}

// TestAPolicyCanCompareWithTheValuesShown and so permit by any reference value that there is.
func TestAPolicyCanCompareWithTheValuesShown(t *testing.T) {
	s := enclaveScheme(t)
	const text = `version=1.2;authorizationrules{c:[type=="x-ms-sgx-mrenclave"] && [type=="assay-reference-x-ms-sgx-mrenclave", value==c.value] => permit();};issuancerules{};`
	for values, matches := range map[string]bool{s.values: true, s.other: false} {
		got := s.appraise(t, references(t, `any {"type":"SgxEnclave","values":{`+values+`,"x-ms-sgx-svn":[77]}}`), text)
		if matches != (got.err == nil) || !matches && !noPermit(got.err) {
			t.Errorf("%s: %v", values, got.err)
		}
	}
}

// cannotBeIssued: not copied, nor by value, by name or through functions and added claims.
func cannotBeIssued(t *testing.T, s scheme) {
	t.Helper()
	set := references(t, fmt.Sprintf(`prod {"type":%q,"values":{%s}}`, s.kind, s.values))
	for _, rule := range []string{
		`c:[type=="assay-reference"] => issue(claim=c);`,
		`c:[issuer=="ReferenceValue"] => issue(claim=c);`,
		`c:[issuer=="ReferenceValue"] => issue(type="x", value=c.value);`,
		`c:[type=="assay-reference"] => issue(type=c.type, value=1);`,
		`c:[type=="assay-reference"] => issue(type="x", value=AppendString(c.value, "x"));`,
		`c:[type=="assay-reference"] => add(type="y", value=c.value);c:[type=="y"] => issue(claim=c);`,
		`c:[type=="assay-reference"] => add(claim=c);c:[type=="assay-reference"] => issue(claim=c);`,
	} {
		got := s.appraise(t, set, `version=1.2;authorizationrules{=> permit();};issuancerules{`+rule+`};`)
		if _, ok := errors.AsType[*policy.EvaluationError](got.err); !ok || !strings.Contains(got.err.Error(), "read-only") {
			t.Errorf("%s, %s: %v", s.kind, rule, got.err)
		}
	}
}

// earnAComplianceStatusByAMatch: in the token and for the policy.
func earnAComplianceStatusByAMatch(t *testing.T, s scheme) {
	t.Helper()
	const everything = `version=1.2;authorizationrules{=> permit();};issuancerules{};`
	for values, want := range map[string]any{s.values: "azure-compliant-cvm", s.other: nil} {
		body := fmt.Sprintf(`prod {"type":%q,"values":{%s},"complianceStatus":"azure-compliant-cvm"}`, s.kind, values)
		if !s.hasCompliance {
			body, want = strings.Replace(body, `,"complianceStatus":"azure-compliant-cvm"`, "", 1), nil
		}
		got := s.appraise(t, references(t, body), everything)
		if got.err != nil || got.claims["x-ms-compliance-status"] != want {
			t.Errorf("%s: %v, %v, want %v", s.kind, got.claims["x-ms-compliance-status"], got.err, want)
		}
		seen := slices.Contains(got.record.Claims, policy.Claim{Type: "x-ms-compliance-status", Value: policy.StringValue("azure-compliant-cvm"), Issuer: policy.AttestationService})
		if seen != (want != nil) {
			t.Errorf("%s: the policy sees the status: %t", s.kind, seen)
		}
	}
}

// TestTokenClaimsThatPoliciesDoNotSeeCanBeKeys: the report data of an enclave.
func TestTokenClaimsThatPoliciesDoNotSeeCanBeKeys(t *testing.T) {
	s := enclaveScheme(t)
	for value, matches := range map[string]bool{strings.Repeat("0", 128): true, strings.Repeat("1", 128): false} {
		got := s.appraise(t, references(t, `prod {"type":"SgxEnclave","values":{"x-ms-sgx-report-data":["`+value+`"]}}`), wantsProd)
		if matches != (got.err == nil) || !matches && !noPermit(got.err) {
			t.Errorf("%s: %v", value, got.err)
		}
	}
}

// TestRefusedEvidenceIsNotRescuedByAMatch: reference values come after verification and baseline.
func TestRefusedEvidenceIsNotRescuedByAMatch(t *testing.T) {
	b := newBench(t, permits)
	b.cfg.Baseline.MinEvaluationNumber = 99
	got := b.judge(t, references(t, `prod {"type":"SgxEnclave","minimums":{"x-ms-sgx-svn":0}}`), wantsProd)
	if !check(evidence.TCBBaseline)(got.err) || len(got.record.Claims) != 0 {
		t.Errorf("%v, claims %v", got.err, got.record.Claims)
	}
}

// TestTheComplianceStatusOfAnAzureGuestStandsInItsHardwareClaims, for the policy and in the token, and only on a match.
func TestTheComplianceStatusOfAnAzureGuestStandsInItsHardwareClaims(t *testing.T) {
	const status = `"x-ms-compliance-status":"azure-compliant-cvm"`
	s := azureScheme(t)
	for values, want := range map[string]bool{s.values: true, s.other: false} {
		set := references(t, `prod {"type":"AzureGuest","values":{`+values+`},"complianceStatus":"azure-compliant-cvm"}`)
		got := s.appraise(t, set, `version=1.2;authorizationrules{=> permit();};issuancerules{};`)
		if got.err != nil {
			t.Fatal(got.err)
		}
		inToken := strings.Contains(fmt.Sprintf("%s", got.claims["x-ms-isolation-tee"]), status)
		seen := slices.ContainsFunc(got.record.Claims, func(c policy.Claim) bool {
			text, _ := c.Value.Text()
			return c.Type == "x-ms-isolation-tee" && strings.Contains(text, status)
		})
		if inToken != want || seen != want || got.claims["x-ms-compliance-status"] != nil {
			t.Errorf("%s: in the token %t, seen %t, want %t; at top level %v", values, inToken, seen, want, got.claims["x-ms-compliance-status"])
		}
	}
}

// TestTrustedLaunchHasNoComplianceStatus, since it has no hardware report beside which it would stand; the entry matches none the less.
func TestTrustedLaunchHasNoComplianceStatus(t *testing.T) {
	b, _ := newAzureBench(t, assaytest.AzureTrustedLaunch)
	set := references(t, `golden {"type":"AzureGuest","values":{"secureboot":[true,false]},"complianceStatus":"azure-compliant-cvm"}`)
	j := b.judge(t, set, `version=1.0;authorizationrules{[type=="assay-reference", value=="golden"] => permit();};issuancerules{};`)
	if j.err != nil || strings.Contains(fmt.Sprint(j.claims), "azure-compliant-cvm") {
		t.Errorf("%v, %v", j.err, j.claims)
	}
}
