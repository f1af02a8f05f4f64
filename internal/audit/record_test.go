package audit

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var at = time.Date(2021, 11, 3, 19, 33, 54, 331808100, time.UTC)

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// sample is a record with everything in it.
func sample(t testing.TB) Record {
	return Record{
		Time: at, ResourceID: "/subscriptions/s/providers/Microsoft.Attestation/attestationProviders/demo", Region: "EastUS",
		Location: "EastUS", Operation: SetCurrentPolicy, Category: AuditEvent, Status: 200, Duration: 1500 * time.Millisecond,
		CallerIPAddress: "::ffff:24.17.183.201", Trace: Trace{strings.Repeat("a", 32), strings.Repeat("b", 16)},
		Identity: Identity{"ann@example.com", "0b", "https://issuer|ann"},
		URL:      mustURL(t, "https://demo.example/policies/SgxEnclave?api-version=2022-08-01"),
		Properties: Properties{
			Received:  Received{UserAgent: "curl", HeaderCount: 7, ContentType: "text/plain", ContentLength: 12, CookieCount: 1, TraceParent: "00-aa-bb-01"},
			RequestID: "r1", Provider: "demo", Before: "h1", After: "h2",
		},
	}
}

func marshal(t testing.TB, r Record) string {
	t.Helper()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRecordHasTheMembersOfTheSpecification: management.md section 11.2.
func TestRecordHasTheMembersOfTheSpecification(t *testing.T) {
	want := `{"Time":"2021-11-03T19:33:54.3318081Z",` +
		`"resourceId":"/subscriptions/s/providers/Microsoft.Attestation/attestationProviders/demo","region":"EastUS","location":"EastUS",` +
		`"operationName":"SetCurrentPolicy","category":"AuditEvent","level":"Informational","resultType":"Succeeded",` +
		`"resultSignature":"200","durationMs":1500,"callerIpAddress":"::ffff:24.17.183.201",` +
		`"traceContext":"{\"traceId\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"parentId\":\"bbbbbbbbbbbbbbbb\"}",` +
		`"identity":"{\"callerAadUPN\":\"ann@example.com\",\"callerAadObjectId\":\"0b\",\"callerId\":\"https://issuer|ann\"}",` +
		`"uri":"https://demo.example:443/policies/SgxEnclave?api-version=2022-08-01",` +
		`"properties":{"failureResourceId":"","failureCategory":"None","failureDetails":"","infoDataReceived":{"Headers":{"User-Agent":"curl"},` +
		`"HeaderCount":7,"ContentType":"text/plain","ContentLength":12,"CookieCount":1,"TraceParent":"00-aa-bb-01"},` +
		`"requestId":"r1","provider":"demo","before":"h1","after":"h2"}}`
	if got := marshal(t, sample(t)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRecordTellsFailures(t *testing.T) {
	for status, want := range map[int][3]string{
		200: {"Informational", "Succeeded", "None"}, 401: {"Error", "Succeeded", "AzureAuthorization"},
		403: {"Error", "Succeeded", "AzureAuthorization"}, 400: {"Error", "Succeeded", "Request"},
		// resultType reports processing, not outcome (management.md section 11.2).
		503: {"Error", "Failed", "Service"},
	} {
		r := sample(t)
		r.Status, r.Properties.FailureDetails, r.Properties.Check, r.Properties.Code = status, "why", "chain", "InvalidParameter"
		var got struct {
			Level, ResultType, ResultSignature string
			Properties                         struct{ FailureCategory, FailureDetails, FailureResourceID, Check, Code string }
		}
		if err := json.Unmarshal([]byte(marshal(t, r)), &got); err != nil {
			t.Fatal(err)
		}
		p := got.Properties
		if [3]string{got.Level, got.ResultType, p.FailureCategory} != want || (p.FailureDetails == "why") != (status >= 400) ||
			(p.FailureResourceID == r.ResourceID) != (status >= 400) || p.Check != "chain" || p.Code != "InvalidParameter" {
			t.Errorf("status %d: %+v, want %v", status, got, want)
		}
	}
}

func TestRecordNeedsWhatMakesItOne(t *testing.T) {
	for name, spoil := range map[string]func(*Record){
		"time": func(r *Record) { r.Time = time.Time{} }, "operation": func(r *Record) { r.Operation = "" },
		"category": func(r *Record) { r.Category = "" }, "status": func(r *Record) { r.Status = 0 },
	} {
		r := sample(t)
		spoil(&r)
		if b, err := r.Marshal(); err == nil {
			t.Errorf("without %s: got %s", name, b)
		}
	}
	least := Record{Time: at, Operation: RotateSigningKey, Category: AuditEvent, Status: 200}
	if got := marshal(t, least); !strings.Contains(got, `"uri":"",`) || strings.Contains(got, "before") {
		t.Errorf("what the service does by itself: %s", got)
	}
}

// TestTextsOfStrangersAreBounded fills every text with what JSON writes longest.
func TestTextsOfStrangersAreBounded(t *testing.T) {
	for _, text := range []string{"\"\\", "\x00\x7f\u2028", "\xff\xc3", "語", "a"} {
		long := strings.Repeat(text, 20000)
		r := Record{
			Time: at, ResourceID: long, Region: long, Location: long, Operation: Operation(long), Category: Category(long),
			Status: 400, Duration: 1<<63 - 1, CallerIPAddress: long, Trace: Trace{long, long}, Identity: Identity{long, long, long},
			URL: &url.URL{Scheme: "https", Host: long, Path: "/" + long, RawQuery: "api-version=" + long + strings.Repeat("&a", 9000)},
			Properties: Properties{
				Failure: Failure(long), FailureDetails: long, RequestID: long, Provider: long, Check: long, Code: long,
				Received: Received{long, 1 << 62, long, 1 << 62, 1 << 62, long}, Before: long, After: long,
			},
		}
		b := []byte(marshal(t, r))
		if len(b) > MaxRecord || !utf8.Valid(b) || !json.Valid(b) || strings.ContainsAny(string(b), "\x00\x7f\u2028\n") {
			t.Errorf("texts of %q: record of %d bytes, %.300q", text, len(b), b)
		}
	}
}

func TestBoundIsExact(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{strings.Repeat("a", 8), "aaaaaaaa"}, {strings.Repeat("a", 9), "aaaaa…"}, {"ééééé", "éé…"}, {"a\tb", "a\uFFFDb"},
		{"\xff\xff\xff", "\uFFFD…"}, {"", ""},
	} {
		if got := bounded(tt.text, 8); got != tt.want {
			t.Errorf("bounded(%q, 8) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestURIHasNoSecrets: tokens come to servers in queries, by mistake and on purpose.
func TestURIHasNoSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example/certs": "https://a.example:443/certs",
		"https://a.example:8443/attest/SgxEnclave?api-version=2025-06-01": "https://a.example:8443/attest/SgxEnclave?api-version=2025-06-01",
		"http://[::1]/operations/policy/current?API-Version=1&tee=sgx":    "http://[::1]:80/operations/policy/current?API-Version=1&tee=sgx",
		"https://a/p?access_token=eyJhbGciOi":                             "https://a:443/p?access_token=",
		"https://a/p?eyJhbGciOiJub25lIn0.e30.":                            "https://a:443/p?_",
		"https://a/p?eyJhbGciOiJub25lIn0e30eyJhbGciOiJub25lIn0":           "https://a:443/p?_",
		"https://a/p?api-version=eyJhbGciOiJub25lIn0.e30.&x":              "https://a:443/p?api-version=&x",
		"https://user:secret@a/p#fragment":                                "https://a:443/p",
		"https://a/a%2Fb":                                                 "https://a:443/a%2Fb",
	} {
		if got := cleanURI(mustURL(t, in)); got != want {
			t.Errorf("%s is written %s, want %s", in, got, want)
		}
	}
}

// TestOperationsAreThoseOfPublishedQueries: management.md section 11.4.
func TestOperationsAreThoseOfPublishedQueries(t *testing.T) {
	ours := []Operation{AttestSgxEnclave, SetCurrentPolicy, ResetAttestationPolicy, AddCertificate, RemoveCertificate,
		AttestOpenEnclave, AttestSevSnpVM, AttestTdxVM, AttestAzureGuest, AttestTpm}
	published := []Operation{"AttestSgxEnclave", "SetCurrentPolicy", "ResetAttestationPolicy", "AddPolicyManagementCertificate",
		"RemovePolicyManagementCertificate", "AttestOpenEnclave", "AttestSevSnpVm", "AttestTdxVm", "AttestAzureGuest", "AttestTpm"}
	if !slices.Equal(ours, published) {
		t.Errorf("got %v, want %v", ours, published)
	}
}
