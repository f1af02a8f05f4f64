package server_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/policy"
)

func number(t *testing.T, v any) int64 {
	t.Helper()
	n, err := v.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// compare checks the members of claims named in want; nil wants the member absent.
func compare(t *testing.T, claims, want map[string]any) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, there := claims[name]
		if want[name] == nil && there || want[name] != nil && text(got) != text(want[name]) {
			t.Errorf("%s: got %s, want %s", name, text(got), text(want[name]))
		}
	}
}

// always are the names of every token for SGX under the default policy (tokens.md sections 4 to 6), and the mark of
// development mode.
func always() []string {
	return []string{
		"exp", "iat", "iss", "jti", "nbf", "ext-development", "x-ms-ver", "x-ms-attestation-type", "x-ms-policy-hash", "x-ms-policy",
		"x-ms-sgx-is-debuggable", "x-ms-sgx-product-id", "x-ms-sgx-svn", "x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner",
		"x-ms-sgx-report-data", "x-ms-sgx-tcbidentifier", "x-ms-sgx-collateral", "maa-attestationcollateral",
		"is-debuggable", "product-id", "svn", "sgx-mrenclave", "sgx-mrsigner", "tee",
	}
}

func kss(s *assaytest.Scenario) {
	s.Enclave.KSS = true
	s.Enclave.ConfigSVN = 513
	s.Enclave.ExtProdID[0], s.Enclave.FamilyID[15] = 0xE1, 0xFA
	digest := s.Enclave.MRENCLAVE // any 32 bytes
	copy(s.Enclave.ConfigID[32:], digest[:])
}

// configured puts the hash of data into CONFIGID.
func configured(data string) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		var hashed assaytest.Scenario
		binds(data)(&hashed)
		kss(s)
		copy(s.Enclave.ConfigID[:32], hashed.Enclave.ReportData[:32])
	}
}

// TestTokenClaims compares the names of all claims, and the values that the request decides (tokens.md section 6).
func TestTokenClaims(t *testing.T) {
	const big = `{"keys":[{"kty":"RSA","n":18446744073709551617}],"b":1.50,"a":"é"}`
	ksNames := []string{"x-ms-sgx-config-id", "x-ms-sgx-config-svn", "x-ms-sgx-isv-extended-product-id", "x-ms-sgx-isv-family-id"}
	s := start(t, config.Config{})
	for _, tt := range []struct {
		name    string
		edits   []func(*assaytest.Scenario)
		members []any
		added   []string
		want    map[string]any
	}{
		{"plain", nil, nil, nil, map[string]any{"x-ms-ver": "1.0", "x-ms-attestation-type": "sgx", "tee": "sgx", "x-ms-sgx-is-debuggable": false,
			"x-ms-sgx-product-id": 1, "svn": 2, "x-ms-sgx-tcbidentifier": "azuredefault", "ext-development": true, "iss": s.URL}},
		{"debuggable", []func(*assaytest.Scenario){debuggable}, nil, nil, map[string]any{"x-ms-sgx-is-debuggable": true, "is-debuggable": true}},
		{"open enclave", []func(*assaytest.Scenario){func(s *assaytest.Scenario) { s.OpenEnclave = true }}, nil, nil, map[string]any{"x-ms-attestation-type": "sgx"}},
		{"report data without runtime data", []func(*assaytest.Scenario){tail}, nil, nil, map[string]any{"x-ms-sgx-report-data": strings.Repeat("00", 63) + "01"}},
		{"string nonce", nil, []any{"nonce", "n-42 é\""}, []string{"nonce"}, map[string]any{"nonce": "n-42 é\""}},
		{"numeric nonce beyond 2^53", nil, []any{"nonce", json.Number("18446744073709551615")}, []string{"nonce"}, map[string]any{"nonce": "18446744073709551615"}},
		{"null nonce", nil, []any{"nonce", nil}, nil, nil},
		{"binary runtime data", []func(*assaytest.Scenario){binds("\x00\x01\xFF")}, []any{"runtimeData", data("\x00\x01\xFF", "Binary")},
			[]string{"x-ms-sgx-ehd", "aas-ehd", "maa-ehd"}, map[string]any{"x-ms-sgx-ehd": "AAH_", "aas-ehd": "AAH_", "maa-ehd": "AAH_"}},
		{"runtime data without a type", []func(*assaytest.Scenario){binds("ab")}, []any{"runtimeData", map[string]string{"data": "YWI="}},
			[]string{"x-ms-sgx-ehd", "aas-ehd", "maa-ehd"}, map[string]any{"aas-ehd": "YWI"}},
		{"runtime data of an empty type", []func(*assaytest.Scenario){binds("ab")}, []any{"RUNTIMEDATA", map[string]string{"Data": "YWI", "DATATYPE": ""}},
			[]string{"x-ms-sgx-ehd", "aas-ehd", "maa-ehd"}, nil},
		{"JSON runtime data", []func(*assaytest.Scenario){binds(big)}, []any{"runtimeData", data(big, "JSON")},
			[]string{"x-ms-runtime"}, map[string]any{"x-ms-runtime": json.RawMessage(`{"a":"é","b":1.50,"keys":[{"kty":"RSA","n":18446744073709551617}]}`)}},
		{"JSON runtime data with a NUL", []func(*assaytest.Scenario){binds("[7]\x00")}, []any{"runtimeData", data("[7]\x00", "json")},
			[]string{"x-ms-runtime"}, map[string]any{"x-ms-runtime": []int{7}}},
		{"empty runtime data", nil, []any{"runtimeData", data("", "JSON")}, nil, nil},
		{"init data of a known client bug", nil, []any{"initTimeData", map[string]string{"dataType": "JSON"}}, nil, nil},
		{"empty init data", nil, []any{"inittimeData", map[string]string{"data": "", "dataType": ""}}, nil, nil},
		{"key separation and sharing", []func(*assaytest.Scenario){kss}, nil, ksNames, map[string]any{"x-ms-sgx-config-svn": 513,
			"x-ms-sgx-isv-extended-product-id": "e1" + strings.Repeat("00", 15), "x-ms-sgx-isv-family-id": strings.Repeat("00", 15) + "fa",
			"x-ms-sgx-config-id": strings.Repeat("00", 32) + mrenclave()}},
		{"JSON init data", []func(*assaytest.Scenario){configured(`{"x":1}`)}, []any{"initTimeData", data(`{"x":1}`, "JSON")},
			append(ksNames, "x-ms-inittime"), map[string]any{"x-ms-inittime": map[string]int{"x": 1}}},
		{"binary init data", []func(*assaytest.Scenario){configured("ab")}, []any{"initTimeData", data("ab", "Binary")}, ksNames, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := s.attest(t, s.scenario(tt.edits...), tt.members...).claims(t)
			if got, want := slices.Sorted(maps.Keys(claims)), slices.Sorted(slices.Values(append(always(), tt.added...))); !slices.Equal(got, want) {
				t.Errorf("claims:\ngot  %q\nwant %q", got, want)
			}
			compare(t, claims, tt.want)
		})
	}
}

func mrenclave() string {
	m := assaytest.SimulatedEnclave().MRENCLAVE
	return hex.EncodeToString(m[:])
}

// TestBoundDataIsRefused covers data that the enclave vouches for but that cannot be presented, or does not fit.
func TestBoundDataIsRefused(t *testing.T) {
	s := start(t, config.Config{})
	for _, tt := range []struct {
		name, member, data string
		edit               func(string) func(*assaytest.Scenario)
		fragment           string
	}{
		{"not JSON", "runtimeData", "{", binds, "runtime-data: "},
		{"two NULs", "runtimeData", "{}\x00\x00", binds, "runtime-data: "},
		{"NUL alone", "runtimeData", "\x00", binds, "runtime-data: "},
		{"duplicate member", "runtimeData", `{"a":1,"a":2}`, binds, "duplicate"},
		{"duplicate member, escaped", "runtimeData", `{"a":{"b":1,"\u0062":2}}`, binds, "duplicate"},
		{"invalid UTF-8", "runtimeData", "\"\xff\"", binds, "UTF-8"},
		{"too deep for a token", "runtimeData", deep(32), binds, "deeper than 32"},
		{"two documents", "runtimeData", `1,2`, binds, "runtime-data: "},
		{"init data not JSON", "initTimeData", "{", configured, "init-data: "},
		{"init data of another hash", "initTimeData", "{}", func(string) func(*assaytest.Scenario) { return configured("{ }") }, "init-data: the init data does not hash to CONFIGID (expected CONFIGID starting "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.attest(t, s.scenario(tt.edit(tt.data)), tt.member, data(tt.data, "JSON"))
			a.refused(t, http.StatusBadRequest, "InvalidParameter", "", tt.fragment)
		})
	}
}

// copyAll is a policy that issues every claim it is given.
const copyAll = `version= 1.0;authorizationrules{=> permit();};issuancerules{c:[issuer=="AttestationService"] => issue(claim=c);};`

// TestPolicySeesTheClaimsOfItsType compares the incoming claims with policy.md section 8, letter by letter.
func TestPolicySeesTheClaimsOfItsType(t *testing.T) {
	s := start(t, config.Config{})
	sc := s.scenario(binds("ab"), kss)
	claims := s.attest(t, sc, "runtimeData", data("ab", "Binary"), "nonce", "n", "draftPolicyForAttestation", copyAll).claims(t)
	signer := hex.EncodeToString(sc.Enclave.MRSIGNER[:])
	want := map[string]any{
		"x-ms-sgx-is-debuggable": false, "x-ms-sgx-product-id": 1, "x-ms-sgx-mrsigner": signer,
		"x-ms-sgx-mrenclave": mrenclave(), "x-ms-sgx-svn": 2, "x-ms-attestation-type": "sgx",
		"$is-debuggable": false, "$product-id": 1, "$sgx-mrsigner": signer, "$sgx-mrenclave": mrenclave(), "$svn": 2, "$tee": "sgx",
		"x-ms-ver": "1.0", "x-ms-policy-hash": policy.Hash([]byte(copyAll)), "maa-ehd": "YWI", "ext-collateral-expired": false,
	}
	if got := claims["x-ms-policy"]; text(got) != text(want) {
		t.Errorf("incoming claims:\ngot  %s\nwant %s", text(got), text(want))
	}
}

// TestExpiredPinnedCollateralIsSeen covers ext-collateral-expired (policy.md section 8, sgx-tdx.md section 9.1).
func TestExpiredPinnedCollateralIsSeen(t *testing.T) {
	s := start(t, config.Config{Settings: provider.Settings{CollateralExpiry: "pinned"}})
	s.pcs.Alter(fault(t, "qe-identity-expired"))
	plain := s.attest(t, s.scenario()).claims(t)
	compare(t, plain, map[string]any{"ext-collateral-expired": nil})
	told := s.attest(t, s.scenario(), "draftPolicyForAttestation", copyAll).claims(t)
	compare(t, told, map[string]any{"ext-collateral-expired": true})
}

// TestPolicyCannotForgeClaims issues the name of every claim that is the service's own (policy.md section 5.5).
func TestPolicyCannotForgeClaims(t *testing.T) {
	s := start(t, config.Config{})
	own := slices.Concat(always(), []string{
		"aud", "sub", "cnf", "nonce", "rp_data", "ver", "x-ms-runtime", "x-ms-inittime", "x-ms-policy-signer", "x-ms-compliance-status",
		"x-ms-sgx-ehd", "aas-ehd", "maa-ehd", "x-ms-sgx-config-id", "x-ms-sgx-config-svn", "x-ms-sgx-isv-extended-product-id", "x-ms-sgx-isv-family-id",
	})
	free := []string{"is-debuggable", "product-id", "svn", "sgx-mrenclave", "sgx-mrsigner", "tee", "x-ms-foo", "custom-name", "ISS", "ext-collateral-expired"}
	rules := ""
	for _, name := range slices.Concat(own, free[6:]) {
		rules += fmt.Sprintf("=> issue(type=%q, value=\"forged\");", name)
	}
	draft := "version= 1.0;authorizationrules{=> permit();};issuancerules{" + rules + "};"
	claims := s.attest(t, s.scenario(), "draftPolicyForAttestation", draft).claims(t)
	issued := claims["x-ms-policy"].(map[string]any)
	for name, value := range issued {
		if value != "forged" {
			t.Errorf("x-ms-policy.%s is %s, want what the policy issued", name, text(value))
		}
		if forged := claims[name] == "forged"; forged != slices.Contains(free, name) {
			t.Errorf("%s at top level is %s", name, text(claims[name]))
		}
	}
	if len(issued) != len(own)+len(free)-6 {
		t.Errorf("%d claims in x-ms-policy, want %d", len(issued), len(own)+len(free)-6)
	}
}

// TestIssuedClaims covers where issued claims go and the forms of their values (policy.md section 5.5).
func TestIssuedClaims(t *testing.T) {
	s := start(t, config.Config{})
	for _, tt := range []struct {
		name, rules string
		want        map[string]any
	}{
		{"nothing", ``, map[string]any{"x-ms-policy": nil, "is-debuggable": nil, "tee": nil}},
		{"one of each kind", `=> issue(type="s", value="é\"<"); => issue(type="n", value=9007199254740993); => issue(type="b", value=true);`,
			map[string]any{"s": "é\"<", "n": int64(9007199254740993), "b": true, "x-ms-policy": map[string]any{"s": "é\"<", "n": int64(9007199254740993), "b": true}}},
		{"several values", `=> issue(type="x", value="b"); => issue(type="x", value="a"); => issue(type="x", value=3);`,
			map[string]any{"x": []any{"b", "a", 3}, "x-ms-policy": map[string]any{"x": []any{"b", "a", 3}}}},
		{"the same value twice", `=> issue(type="x", value="b"); => issue(type="x", value="b");`, map[string]any{"x": "b"}},
		{"JSON text", `=> issue(type="x", value="[1]");`, map[string]any{"x": "[1]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			draft := "version= 1.0;authorizationrules{=> permit();};issuancerules{" + tt.rules + "};"
			compare(t, s.attest(t, s.scenario(), "draftPolicyForAttestation", draft).claims(t), tt.want)
		})
	}
}

// TestDrafts covers the outcomes of draft policies (policy.md sections 11 and 12, management.md section 10).
func TestDrafts(t *testing.T) {
	s := start(t, config.Config{})
	baseline := func(id string) string {
		return `version= 1.1;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="` + id + `");};authorizationrules{=> permit();};issuancerules{};`
	}
	jws := "eyJhbGciOiJub25lIn0." + b64url([]byte(`{"AttestationPolicy":"`+b64url([]byte(permitAll))+`"}`)) + "."
	for _, tt := range []struct {
		name, draft string
		status      int
		code, inner string
		fragments   []string
	}{
		{"text", permitAll, 200, "", "", nil},
		{"JWS", jws, 200, "", "", nil},
		{"baseline of the number in force", baseline("17"), 200, "", "", nil},
		{"damaged JWS", "eyJhbGciOiJub25lIn0.!.", 400, "InvalidOperation", "", []string{"base64url"}},
		{"syntax", "version= 1.0;\n[", 400, "PolicyParsingError", "", []string{"Offending symbol: '['", "Line: '2', Column: '1'"}},
		{"unknown property", strings.Replace(baseline("17"), "x-ms-sgx-tcbidentifier", "nope", 1), 400, "PolicyParsingError", "", []string{"nope"}},
		{"deny", "version= 1.0;authorizationrules{=> deny();};issuancerules{};", 400, "PolicyEvaluationError", "", []string{policy.DenyMessage}},
		{"no permit", "version= 1.0;authorizationrules{};issuancerules{};", 400, "PolicyEvaluationError", "", []string{policy.NoPermitMessage}},
		{"baseline that is no number", baseline("banana"), 400, "InvalidParameter", "", []string{"unknown baseline", "banana", `expected "azuredefault" or a TCB evaluation data number`}},
		{"baseline with a leading zero", baseline("017"), 400, "InvalidParameter", "", []string{"unknown baseline"}},
		{"baseline above the platform", baseline("18"), 400, "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", []string{"OutOfDate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.attest(t, s.scenario(), "draftPolicyForAttestation", tt.draft)
			if tt.status != http.StatusOK {
				a.refused(t, tt.status, tt.code, tt.inner, tt.fragments...)
				return
			}
			token := opened(t, a.body).(map[string]any)
			if alg := token["header"].(map[string]any)["alg"]; alg != "none" || token["signed"] != false {
				t.Errorf("a draft gave a token with alg %v, signed: %v", alg, token["signed"])
			}
			if hash := token["payload"].(map[string]any)["x-ms-policy-hash"]; strings.HasPrefix(tt.draft, "version= 1.0") && hash != policy.Hash([]byte(tt.draft)) {
				t.Errorf("x-ms-policy-hash is %v, want that of the draft", hash)
			}
		})
	}
}

// TestDraftCannotInflateTheToken has a draft issue a long value under many names: refused before it is put together.
func TestDraftCannotInflateTheToken(t *testing.T) {
	s := start(t, config.Config{})
	long, rules := strings.Repeat("x", 1<<20), ""
	for i := range 60 {
		rules += fmt.Sprintf(`c:[type=="maa-ehd"] => issue(type="x%d", value=c.value);`, i)
	}
	a := s.attest(t, s.scenario(binds(long)), "runtimeData", data(long, "Binary"),
		"draftPolicyForAttestation", "version= 1.0;authorizationrules{=> permit();};issuancerules{"+rules+"};")
	a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "the policy issues more than 1048576 bytes")
}

// TestConfiguredPolicies covers the policies that are in force from the start, one for each type.
func TestConfiguredPolicies(t *testing.T) {
	jws := "eyJhbGciOiJub25lIn0." + b64url([]byte(`{"AttestationPolicy":"`+b64url([]byte(permitAll))+`"}`)) + ".\n"
	s := start(t, config.Config{Policies: map[string]string{
		"sgx":         tempFile(t, jws),
		"OpenEnclave": tempFile(t, "version= 1.0;authorizationrules{c:[type==\"$svn\", value==9] => permit();};issuancerules{};"),
	}})
	compare(t, s.attest(t, s.scenario()).claims(t), map[string]any{"x-ms-policy-hash": policy.Hash([]byte(permitAll)), "tee": nil})
	report := s.scenario(func(sc *assaytest.Scenario) { sc.OpenEnclave = true })
	s.attest(t, report).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "",
		policy.NoPermitMessage, "line 1, column 33", "$svn", "found $svn = 2")
}

// tempFile writes a file that lasts as long as the test.
func tempFile(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
