package reference_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/policy"
)

// hexes are n hexadecimal digits.
func hexes(n int) string { return strings.Repeat("a1", n/2) }

// TestParseReadsTheExampleOfTheSpecification has the members of native.md section 5.
func TestParseReadsTheExampleOfTheSpecification(t *testing.T) {
	body := `{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-launchmeasurement":["` + hexes(96) + `"]},"minimums":{"x-ms-sevsnpvm-guestsvn":12},
		"complianceStatus":"azure-compliant-cvm","notBefore":"2026-01-01T02:00:00+02:00","notAfter":"2027-01-01T00:00:00Z","owner":"The platform team",
		"provenance":{"source":"https://example.com/measurements","sha256":"` + hexes(64) + `"}}`
	got, err := reference.Parse("azure-cvm.2026_01", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := &reference.Entry{
		Name: "azure-cvm.2026_01", Type: evidence.SevSnpVM,
		Values:           map[string][]policy.Value{"x-ms-sevsnpvm-launchmeasurement": {policy.StringValue(hexes(96))}},
		Minimums:         map[string]int64{"x-ms-sevsnpvm-guestsvn": 12},
		ComplianceStatus: "azure-compliant-cvm", Owner: "The platform team",
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Provenance: reference.Provenance{Source: "https://example.com/measurements", SHA256: hexes(64)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestParseTakesWhatEvidenceOfTheTypeCanHave(t *testing.T) {
	for _, body := range []string{
		`{"type":"sgx","values":{"x-ms-sgx-mrenclave":["` + hexes(64) + `"],"x-ms-sgx-is-debuggable":[false],"x-ms-sgx-product-id":[0,1]}}`,
		`{"type":"SGXENCLAVE","values":{"x-ms-sgx-config-id":["` + hexes(128) + `"]},"minimums":{"x-ms-sgx-config-svn":0}}`,
		`{"type":"OpenEnclave","minimums":{"x-ms-sgx-svn":9223372036854775807}}`,
		`{"type":"TdxVm","values":{"attester_tcb_status":["UpToDate","SWHardeningNeeded"]},"complianceStatus":"x"}`,
		`{"type":"Tpm","values":{"pcr-sha256-0":["` + hexes(64) + `"],"pcr-sha1-23":["` + hexes(40) + `"],"pcr-sha384-7":["` + hexes(96) + `"]}}`,
		`{"type":"Tpm","values":{"aikPubHash":["` + strings.Repeat("A", 43) + `="],"secureBootEnabled":[true]}}`,
		`{"type":"AzureGuest","values":{"pcr-sha256-23":["` + hexes(64) + `"],"x-ms-isolation-tee.x-ms-sevsnpvm-idkeydigest":["` + hexes(96) + `"]}}`,
		`{"type":"AzureGuest","values":{"x-ms-isolation-tee.tdx_mrtd":["` + hexes(96) + `"],"x-ms-isolation-tee.x-ms-attestation-type":["tdxvm"]}}`,
		`{"type":"AzureGuest","values":{"x-ms-azurevm-attested-pcrs":[0,1,7],"x-ms-azurevm-os-provisioning":["a",1,true]},"complianceStatus":"x"}`,
		`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[0]},"minimums":{},"provenance":{}}`,
		`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[7]},"minimums":{"x-ms-sevsnpvm-vmpl":7},"notAfter":"9999-12-31T23:59:59.5Z"}`,
	} {
		e, err := reference.Parse("n", []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		roundTrip(t, e)
	}
}

// roundTrip checks that the body of an entry is that entry, and canonical.
func roundTrip(t *testing.T, e *reference.Entry) {
	t.Helper()
	body, err := e.Body()
	if err != nil {
		t.Fatal(err)
	}
	again, err := reference.Parse(e.Name, body)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if second, err := again.Body(); err != nil || !bytes.Equal(body, second) || !reflect.DeepEqual(e, again) {
		t.Errorf("%s became %s (%v)", body, second, err)
	}
}

func TestBodiesAreCanonical(t *testing.T) {
	sent := `{ "owner":"A & B <\u00e4>", "notAfter":"2026-06-01T00:00:00.250+02:00", "minimums":{"x-ms-sevsnpvm-tee-svn":1,"x-ms-sevsnpvm-guestsvn":2},
		"values":{"x-ms-sevsnpvm-vmpl":[3,0],"x-ms-sevsnpvm-is-debuggable":[false]}, "provenance":{"source":"s"}, "type":"SEVSNPVM" }`
	want := `{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-is-debuggable":[false],"x-ms-sevsnpvm-vmpl":[3,0]},` +
		`"minimums":{"x-ms-sevsnpvm-guestsvn":2,"x-ms-sevsnpvm-tee-svn":1},"notAfter":"2026-05-31T22:00:00.25Z","owner":"A & B <ä>","provenance":{"source":"s"}}`
	e, err := reference.Parse("n", []byte(sent))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := e.Body(); err != nil || string(body) != want {
		t.Errorf("got\n%s\nwant\n%s (%v)", body, want, err)
	}
	roundTrip(t, e)
}

func TestParseRefuses(t *testing.T) {
	const vmpl = `"values":{"x-ms-sevsnpvm-vmpl":[0]}`
	for _, c := range []struct{ body, want string }{
		{``, "empty"},
		{`[]`, "expected an object"},
		{`{"type":"SevSnpVm",` + vmpl + `} x`, "after top-level value"},
		{`{"type":"SevSnpVm","type":"Tpm",` + vmpl + `}`, "duplicate"},
		{`{` + vmpl + `}`, "member type: expected an attestation type"},
		{`{"type":"Sev",` + vmpl + `}`, `found "Sev"`},
		{`{"type":null,` + vmpl + `}`, "member type: expected a string, found null"},
		{`{"type":7,` + vmpl + `}`, "member type: expected a string, found 7"},
		{`{"type":"SevSnpVm",` + vmpl + `,"Owner":"x"}`, `unknown member "Owner", expected some of type, values`},
		{`{"type":"SevSnpVm",` + vmpl + `,"name":"x"}`, `unknown member "name"`},
		// An entry without a demand would match everything.
		{`{"type":"SevSnpVm"}`, "would match all evidence"},
		{`{"type":"SevSnpVm","values":{},"minimums":{}}`, "would match all evidence"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[]}}`, "expected 1 to 256 values, found 0"},
		{`{"type":"SevSnpVm","values":null}`, "member values: expected an object, found null"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":0}}`, "expected an array, found 0"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[0],"x-ms-sevsnpvm-vmpl":[1]}}`, "duplicate"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[1,0,1]}}`, "found 1 twice"},
		// Values that no evidence can have.
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":["0"]}}`, `expected a value of type Integer, found the String "0"`},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[null]}}`, "claim value null"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[1.0]}}`, "claim value 1.0"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[-1]}}`, "expected an integer of 0 or more, found -1"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[9223372036854775808]}}`, "64-bit integer"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-is-debuggable":[0]}}`, "expected a value of type Boolean, found the Integer 0"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-hostdata":["` + strings.ToUpper(hexes(64)) + `"]}}`, `: write "` + hexes(64) + `"`},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-hostdata":["` + hexes(62) + `"]}}`, "expected 64 lower-case hexadecimal digits, found"},
		{`{"type":"TdxVm","values":{"attester_tcb_status":["uptodate"]}}`, "expected UpToDate or SWHardeningNeeded"},
		{`{"type":"TdxVm","values":{"attester_tcb_status":["\"UpToDate\""]}}`, "expected UpToDate or SWHardeningNeeded"},
		{`{"type":"Tpm","values":{"aikPubHash":["` + hexes(64) + `"]}}`, "base64 with padding, 44 characters"},
		{`{"type":"AzureGuest","values":{"x-ms-azurevm-osdistro":["` + strings.Repeat("x", reference.MaxText+1) + `"]}}`, "at most 256 bytes, found 257"},
		// Claims that there are not.
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-launchmeasuremnt":["x"]}}`, "was x-ms-sevsnpvm-launchmeasurement meant?"},
		{`{"type":"SevSnpVm","values":{"x-ms-sgx-svn":[1]}}`, `SevSnpVm has no claim "x-ms-sgx-svn"`},
		{`{"type":"SevSnpVm","values":{"pcr-sha256-7":["` + hexes(64) + `"]}}`, "has no claim"},
		{`{"type":"SevSnpVm","values":{"nonce":["x"]}}`, "is not made of the evidence"},
		{`{"type":"SevSnpVm","values":{"x-ms-compliance-status":["x"]}}`, "is not made of the evidence"},
		{`{"type":"SevSnpVm","values":{"assay-reference":["x"]}}`, "is not made of the evidence"},
		{`{"type":"SevSnpVm","values":{"x-ms-runtime":["x"]}}`, "is JSON text"},
		{`{"type":"SgxEnclave","values":{"$svn":[1]}}`, "has no claim"},
		{`{"type":"Tpm","values":{"pcr-sha256-24":["` + hexes(64) + `"]}}`, "has no claim"},
		{`{"type":"Tpm","values":{"pcr-sha256-07":["` + hexes(64) + `"]}}`, "has no claim"},
		{`{"type":"Tpm","values":{"pcr-sha512-7":["` + hexes(128) + `"]}}`, "has no claim"},
		{`{"type":"Tpm","values":{"pcr-sha1-7":["` + hexes(64) + `"]}}`, "expected 40 lower-case hexadecimal digits"},
		{`{"type":"Tpm","values":{"aas-ehd":["x"]}}`, "is not made of the evidence"},
		{`{"type":"AzureGuest","values":{"pcr-sha1-7":["` + hexes(40) + `"]}}`, "has no claim"},
		{`{"type":"AzureGuest","values":{"x-ms-sevsnpvm-vmpl":[0]}}`, "write x-ms-isolation-tee.x-ms-sevsnpvm-vmpl"},
		{`{"type":"AzureGuest","values":{"x-ms-isolation-tee.x-ms-sgx-svn":[0]}}`, "has no claim"},
		// Minimums.
		{`{"type":"SevSnpVm","minimums":{"x-ms-sevsnpvm-is-debuggable":true}}`, "only integers have an order"},
		{`{"type":"SevSnpVm","minimums":{"x-ms-sevsnpvm-vmpl":"0"}}`, `expected an integer of 0 or more, found "0"`},
		{`{"type":"SevSnpVm","minimums":{"x-ms-sevsnpvm-vmpl":-1}}`, "expected an integer of 0 or more, found -1"},
		{`{"type":"SevSnpVm","minimums":{"x-ms-sevsnpvm-vmpl":[0]}}`, "claim value [0]"},
		{`{"type":"SevSnpVm","minimums":{"x-ms-sevsnpvm-vpml":0}}`, "was x-ms-sevsnpvm-vmpl meant?"},
		{`{"type":"AzureGuest","minimums":{"x-ms-azurevm-os-provisioning":7}}`, "only integers have an order"},
		{`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[3,1]},"minimums":{"x-ms-sevsnpvm-vmpl":2}}`, "of at least its minimum 2, found 1"},
		// What else there is.
		{`{"type":"SgxEnclave","minimums":{"x-ms-sgx-svn":1},"complianceStatus":"x"}`, "tokens of SgxEnclave have no x-ms-compliance-status"},
		{`{"type":"Tpm","minimums":{"enclaveSvn":1},"complianceStatus":"x"}`, "tokens of Tpm have no x-ms-compliance-status"},
		{`{"type":"SevSnpVm",` + vmpl + `,"complianceStatus":""}`, "expected 1 to 64 bytes"},
		{`{"type":"SevSnpVm",` + vmpl + `,"complianceStatus":"ä"}`, "characters of ASCII"},
		{`{"type":"SevSnpVm",` + vmpl + `,"complianceStatus":"a\nb"}`, "printable"},
		{`{"type":"SevSnpVm",` + vmpl + `,"notBefore":"2026-01-01"}`, "member notBefore: expected a time of RFC 3339"},
		{`{"type":"SevSnpVm",` + vmpl + `,"notAfter":"0001-01-01T00:00:00Z"}`, "of the years 1970 to 9999"},
		{`{"type":"SevSnpVm",` + vmpl + `,"notAfter":"9999-12-31T23:59:59-01:00"}`, "of the years 1970 to 9999"},
		{`{"type":"SevSnpVm",` + vmpl + `,"notAfter":null}`, "expected a string, found null"},
		{`{"type":"SevSnpVm",` + vmpl + `,"notBefore":"2026-01-01T00:00:00Z","notAfter":"2026-01-01T01:00:00+01:00"}`, "expected notBefore before notAfter"},
		{`{"type":"SevSnpVm",` + vmpl + `,"owner":"a\u0000"}`, "member owner: expected 1 to 256 bytes of printable text"},
		{`{"type":"SevSnpVm",` + vmpl + `,"provenance":{"url":"x"}}`, `member provenance: unknown member "url", expected some of source, sha256`},
		{`{"type":"SevSnpVm",` + vmpl + `,"provenance":{"sha256":"` + strings.ToUpper(hexes(64)) + `"}}`, "expected 64 lower-case hexadecimal digits"},
		{`{"type":"SevSnpVm",` + vmpl + `,"provenance":"x"}`, "expected an object"},
	} {
		if _, err := reference.Parse("n", []byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.body, err, c.want)
		}
	}
}

// TestAParserKnowsTheClaimsAfterTheFirstBody: to put their catalogue together takes far longer than to read a body, and a provider may have a
// thousand.
func TestAParserKnowsTheClaimsAfterTheFirstBody(t *testing.T) {
	body := []byte(`{"type":"Tpm","values":{"pcr-sha256-0":["` + hexes(64) + `"],"pcr-sha256-7":["` + hexes(64) + `"]}}`)
	var p reference.Parser
	first := testing.AllocsPerRun(1, func() {
		p = reference.Parser{}
		if _, err := p.Parse("n", body); err != nil {
			t.Error(err)
		}
	})
	further := testing.AllocsPerRun(10, func() {
		if _, err := p.Parse("n", body); err != nil {
			t.Error(err)
		}
	})
	if further*2 > first {
		t.Errorf("%v allocations for a further body, %v for the first", further, first)
	}
}

func TestNamesAreShortAndPlain(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "7": true, "a.b_c-d": true, strings.Repeat("x", reference.MaxName): true,
		"": false, strings.Repeat("x", reference.MaxName+1): false, "A": false, ".a": false, "-a": false, "_a": false, "a/b": false, "a b": false, "ä": false, "a\x00": false,
	} {
		if _, err := reference.Parse(name, []byte(`{"type":"sgx","minimums":{"x-ms-sgx-svn":1}}`)); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func list(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d", i)
	}
	return b.String()[1:]
}

func TestParseKeepsToItsBounds(t *testing.T) {
	pcrs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"pcr-%s-%d":["%s"]`, []string{"sha1", "sha256"}[i/24], i%24, hexes([]int{40, 64}[i/24]))
		}
		return `"values":{` + b.String()[1:] + `}`
	}
	snp := func(member string) string {
		return `{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-vmpl":[0]},` + member + `}`
	}
	text := func(n int) string { return strings.Repeat("x", n) }
	padded := func(n int) string { s := snp(`"owner":"x"`); return s + strings.Repeat(" ", n-len(s)) }
	for _, c := range []struct{ within, beyond string }{
		{padded(reference.MaxBody), padded(reference.MaxBody + 1)},
		{`{"type":"Tpm",` + pcrs(reference.MaxKeys) + `}`, `{"type":"Tpm",` + pcrs(reference.MaxKeys+1) + `}`},
		{`{"type":"Tpm",` + pcrs(reference.MaxKeys-1) + `,"minimums":{"enclaveSvn":1}}`, `{"type":"Tpm",` + pcrs(reference.MaxKeys) + `,"minimums":{"enclaveSvn":1}}`},
		{`{"type":"sgx","values":{"x-ms-sgx-svn":[` + list(reference.MaxValues) + `]}}`, `{"type":"sgx","values":{"x-ms-sgx-svn":[` + list(reference.MaxValues+1) + `]}}`},
		{snp(`"complianceStatus":"` + text(reference.MaxStatus) + `"`), snp(`"complianceStatus":"` + text(reference.MaxStatus+1) + `"`)},
		{snp(`"owner":"` + text(reference.MaxText) + `"`), snp(`"owner":"` + text(reference.MaxText+1) + `"`)},
		{snp(`"provenance":{"source":"` + text(reference.MaxSource) + `"}`), snp(`"provenance":{"source":"` + text(reference.MaxSource+1) + `"}`)},
	} {
		if _, err := reference.Parse("n", []byte(c.within)); err != nil {
			t.Errorf("%.200s: %v", c.within, err)
		}
		if _, err := reference.Parse("n", []byte(c.beyond)); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%.200s: %v", c.beyond, err)
		}
	}
}

// FuzzReference: what is accepted is within the bounds, has a demand, and is the same when its body is read again.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{
		`{"type":"SevSnpVm","values":{"x-ms-sevsnpvm-launchmeasurement":["` + hexes(96) + `"]},"minimums":{"x-ms-sevsnpvm-guestsvn":12},"complianceStatus":"c"}`,
		`{"type":"tpm","values":{"pcr-sha256-7":["` + hexes(64) + `"]},"notBefore":"2026-01-01T00:00:00Z","notAfter":"2027-01-01T00:00:00.5+01:00"}`,
		`{"type":"AzureGuest","values":{"x-ms-isolation-tee.tdx_mrtd":["` + hexes(96) + `"],"x-ms-azurevm-osdistro":["\ud83d\ude00"]},"owner":"o","provenance":{"source":"s"}}`,
	} {
		f.Add("a-name", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		e, err := reference.Parse(name, body)
		if err != nil {
			return
		}
		if n := len(e.Values) + len(e.Minimums); n == 0 || n > reference.MaxKeys {
			t.Errorf("%d keys", n)
		}
		roundTrip(t, e)
	})
}
