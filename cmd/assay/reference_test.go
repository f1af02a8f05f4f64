package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// shownReference is what --json says of a reference value.
type shownReference struct {
	Result, Name, Type, ComplianceStatus, Owner, State string
	NotBefore, NotAfter                                time.Time
	Version                                            int64
	Values                                             map[string][]any
	Minimums                                           map[string]int64
	Provenance                                         struct{ Source, SHA256 string }
	Changed                                            struct{ By string }
}

// reference runs a command that tells about one reference value.
func (m *managed) reference(t *testing.T, words string, args ...string) (r shownReference) {
	t.Helper()
	m.run(t, words, append(args, "--json")...).read(t, &r)
	return r
}

func TestReferencesOfAService(t *testing.T) {
	m := manage(t)
	launch := strings.Repeat("ab", 48)
	m.run(t, "reference list").want(t, exitOK, "REFERENCES  0", "")
	until := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Second)
	flags := "--type snp --value x-ms-sevsnpvm-launchmeasurement=" + launch + " --value x-ms-sevsnpvm-is-debuggable=false --minimum x-ms-sevsnpvm-guestsvn=12" +
		" --compliance-status azure-compliant-cvm --owner payments --not-before 2020-01-01T00:00:00Z --not-after " + until.Format(time.RFC3339)
	r := m.reference(t, "reference add Golden "+flags)
	if r.Result != "created" || r.Name != "golden" || r.Type != "SevSnpVm" || r.State != "expires-soon" || r.Version < 1 || r.Owner != "payments" || !r.NotAfter.Equal(until) ||
		r.NotBefore.Year() != 2020 || r.ComplianceStatus != "azure-compliant-cvm" || fmt.Sprint(r.Values["x-ms-sevsnpvm-launchmeasurement"]) != "["+launch+"]" ||
		fmt.Sprint(r.Values["x-ms-sevsnpvm-is-debuggable"]) != "[false]" || r.Minimums["x-ms-sevsnpvm-guestsvn"] != 12 || r.Changed.By == "" {
		t.Errorf("added: %+v", r)
	}
	m.run(t, "reference add golden "+flags).want(t, exitRefused, "Conflict", "")
	m.run(t, "reference list").want(t, exitOK, "golden  SevSnpVm  expires-soon  "+until.Format(time.RFC3339)+"  payments", "")
	m.run(t, "reference show golden").want(t, exitOK, "x-ms-sevsnpvm-guestsvn           at least 12", "")
	second := m.reference(t, "reference add golden --replace --type sgx --value x-ms-sgx-mrenclave="+strings.Repeat("a", 64)+" --value x-ms-sgx-mrenclave="+strings.Repeat("b", 64))
	if second.Result != "replaced" || second.Type != "SgxEnclave" || len(second.Values["x-ms-sgx-mrenclave"]) != 2 || second.Owner != "" || second.State != "in-force" || second.Version <= r.Version {
		t.Errorf("replaced: %+v", second)
	}
	file := tempFile(t, "golden.json", `{"type":"TdxVm","values":{"tdx_mrtd":["`+launch+`"]},"provenance":{"source":"build 7"}}`)
	m.run(t, fmt.Sprintf("reference add golden --if-match %d --file", r.Version), file).want(t, exitRefused, "Conflict", "")
	if third := m.reference(t, fmt.Sprintf("reference add golden --if-match %d --file", second.Version), file); third.Result != "replaced" || third.Type != "TdxVm" || third.Provenance.Source != "build 7" {
		t.Errorf("of a file: %+v", third)
	}
	m.run(t, fmt.Sprintf("reference remove golden --if-match %d", second.Version)).want(t, exitRefused, "Conflict", "")
	m.run(t, "reference remove golden").want(t, exitOK, "REMOVED  golden", "")
	m.run(t, "reference remove golden").want(t, exitRefused, "NotFound", "")
	m.run(t, "reference show golden").want(t, exitRefused, "NotFound", "")
}

// TestReferencesAreRefusedBeforeAnythingIsSent: what is wrong in a call reaches no service.
func TestReferencesAreRefusedBeforeAnythingIsSent(t *testing.T) {
	s := newFakeService(t)
	file := tempFile(t, "golden.json", `{"type":"SgxEnclave"}`)
	good := "--value x-ms-sgx-mrenclave=" + strings.Repeat("a", 64)
	for _, tt := range []struct{ args, want string }{
		{"add g", "--type is missing"},
		{"add g --type toaster", "expected sgx"},
		{"add g --type sgx", "values or minimums"},
		{"add G% --type sgx " + good, "NAME"},
		{"add \u212a --type sgx " + good, "NAME"}, // a Kelvin sign is no k
		{"add g --type sgx --value x-ms-sgx-mrenclave", "expected CLAIM=VALUE"},
		{"add g --type sgx --value x-ms-sgx-mrenclave=abc", "x-ms-sgx-mrenclave"},
		{"add g --type sgx --value x-ms-sgx-mrenclav=abc", "x-ms-sgx-mrenclave"},
		{"add g --type sgx --value x-ms-sgx-svn=two", "expected an integer"},
		{"add g --type sgx --value x-ms-sgx-is-debuggable=no", "expected true or false"},
		{"add g --type sgx --minimum x-ms-sgx-mrenclave=7", "only integers"},
		{"add g --type sgx --minimum x-ms-sgx-svn=7 --minimum x-ms-sgx-svn=8", "twice"},
		{"add g --type sgx --not-after tomorrow " + good, "expected a time"},
		{"add g --type sgx --compliance-status x " + good, "x-ms-compliance-status"},
		{"add g --type sgx --if-match x " + good, "expected a version"},
		{"add g --type sgx --claim x " + good, "--claim is for --from-evidence"},
		{"add g --type sgx --from-evidence q --pcrs 0", "--pcrs is for tpm"},
		{"add g --type tpm --from-evidence q --claim x", "--claim is not for tpm"},
		{"add g --type sgx --from-evidence q --chain " + file, "--chain is for snp"},
		{"add g --type sgx --file " + file, "exclude each other"},
		{"add g --file " + file, "values or minimums"},
		{"add g --type sgx --from-evidence nowhere", "nowhere"},
		{"show", "NAME is missing"},
		{"remove", "NAME is missing"},
	} {
		o := assay(t, append(strings.Fields("reference "+tt.args), "--endpoint", s.URL, "--ca", s.ca)...)
		if o.want(t, exitUsage, "", tt.want); s.request != nil {
			t.Fatalf("%s was sent", tt.args)
		}
	}
}

// TestWhatAServiceAnswersAboutReferencesIsChecked: an answer about something else is none.
func TestWhatAServiceAnswersAboutReferencesIsChecked(t *testing.T) {
	s := newFakeService(t)
	for command, text := range map[string]string{"show golden": `{"name":"other"}`, "list": `{"references":[null]}`} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
		assay(t, append(strings.Fields("reference "+command), "--endpoint", s.URL, "--ca", s.ca)...).want(t, exitService, "", "")
	}
}

// TestEvidenceBecomesAReference has the service verify evidence and trusts what it shows, though its policy denies it until then.
func TestEvidenceBecomesAReference(t *testing.T) {
	m := manage(t)
	for _, tt := range []struct {
		kind, file string
		flags      []string
		values     string // names of claims
		minimums   string
	}{
		{"sgx", "quote.bin", nil, "x-ms-sgx-mrenclave x-ms-sgx-product-id", "x-ms-sgx-svn"},
		{"sgx", "quote.bin", []string{"--claim", "x-ms-sgx-mrsigner"}, "x-ms-sgx-mrsigner", ""},
		{"snp", "report.bin", []string{"--chain", "chain.pem"}, "x-ms-sevsnpvm-launchmeasurement x-ms-sevsnpvm-idkeydigest", "x-ms-sevsnpvm-guestsvn"},
		{"tdx", "quote.bin", nil, "tdx_mrtd tdx_rtmr1 tdx_rtmr2", ""},
	} {
		dir := t.TempDir()
		assay(t, "sim", tt.kind, "--out", dir).want(t, exitOK, "WRITTEN", "")
		const policy = "version=1.0;authorizationrules{[type==\"assay-reference\", value==\"accepted\"] => permit();};issuancerules{};"
		m.run(t, "policy set --type "+tt.kind, tempFile(t, "p", policy)).want(t, exitOK, "SET", "")
		name := filepath.Join(dir, tt.file)
		flags := append([]string{}, tt.flags...)
		if len(flags) > 1 && flags[0] == "--chain" {
			flags[1] = filepath.Join(dir, flags[1])
		}
		attest := append([]string{name}, flags...)
		if len(tt.flags) > 0 && tt.flags[0] == "--claim" {
			attest = attest[:1]
		}
		m.run(t, "attest "+tt.kind, attest...).want(t, exitRefused, "PolicyEvaluationError", "")
		r := m.reference(t, "reference add accepted --type "+tt.kind+" --from-evidence", append([]string{name}, flags...)...)
		digest := sha256.Sum256([]byte(readFile(t, name)))
		if r.Provenance.Source != tt.file || r.Provenance.SHA256 != hex.EncodeToString(digest[:]) {
			t.Errorf("%s is from %+v", tt.kind, r.Provenance)
		}
		for names, have := range map[string]int{tt.values: len(r.Values), tt.minimums: len(r.Minimums)} {
			if len(strings.Fields(names)) != have {
				t.Errorf("%s: %+v, want values of %s and minimums of %s", tt.kind, r, tt.values, tt.minimums)
			}
		}
		for _, name := range strings.Fields(tt.values) {
			if len(r.Values[name]) != 1 {
				t.Errorf("%s: no value of %s: %+v", tt.kind, name, r)
			}
		}
		m.run(t, "attest "+tt.kind, attest...).want(t, exitOK, "VERIFIED", "")
		m.run(t, "reference remove accepted").want(t, exitOK, "REMOVED", "")
	}
}

// TestEvidenceThatDoesNotVerifyBecomesNoReference, and nor does what it does not show.
func TestEvidenceThatDoesNotVerifyBecomesNoReference(t *testing.T) {
	m := manage(t)
	dir := t.TempDir()
	assay(t, "sim", "sgx", "--out", dir).want(t, exitOK, "WRITTEN", "")
	quote := []byte(readFile(t, filepath.Join(dir, "quote.bin")))
	quote[112] ^= 1 // of MRENCLAVE
	const add = "reference add g --type sgx --from-evidence"
	m.run(t, add, tempFile(t, "quote.bin", string(quote))).want(t, exitRefused, "", "nothing was written: InvalidParameter")
	m.run(t, add, filepath.Join(dir, "quote.bin"), "--claim", "x-ms-sgx-nothing").want(t, exitRefused, "", "x-ms-sgx-nothing")
	m.run(t, "reference list").want(t, exitOK, "REFERENCES  0", "")
}

// TestEvidenceOfStandardInputBecomesAReference: it is there to be read once.
func TestEvidenceOfStandardInputBecomesAReference(t *testing.T) {
	m := manage(t)
	dir := t.TempDir()
	assay(t, "sim", "sgx", "--out", dir).want(t, exitOK, "WRITTEN", "")
	in := world{stdin: readFile(t, filepath.Join(dir, "quote.bin"))}
	in.assay(t, append(strings.Fields("reference add g --type sgx --from-evidence -"), m.flags...)...).want(t, exitOK, "CREATED  g", "")
	digest := sha256.Sum256([]byte(in.stdin))
	if r := m.reference(t, "reference show g"); r.Provenance.Source != "standard input" || r.Provenance.SHA256 != hex.EncodeToString(digest[:]) {
		t.Errorf("%+v", r)
	}
}

// TestALogBecomesAReferenceOfPCRs, with a warning, since nobody vouches for it.
func TestALogBecomesAReferenceOfPCRs(t *testing.T) {
	m := manage(t)
	log := vectortest.Path(t, "tpm/eventlogs/cos-85-amd-sev.bin")
	o := m.run(t, "reference add boot --type tpm --from-evidence", log)
	o.want(t, exitOK, "CREATED  boot", "a log alone proves nothing")
	r := m.reference(t, "reference show boot")
	var index []struct {
		File     string
		Replayed map[string]map[string]string `json:"replayed_pcrs"`
	}
	if err := json.Unmarshal(vectortest.Read(t, "tpm/eventlogs/index.json"), &index); err != nil {
		t.Fatal(err)
	}
	for _, v := range index {
		for _, pcr := range []string{"0", "2", "4", "7"} {
			want := "[" + v.Replayed["sha256"][pcr] + "]"
			if got := fmt.Sprint(r.Values["pcr-sha256-"+pcr]); v.File == "eventlogs/cos-85-amd-sev.bin" && got != want {
				t.Errorf("PCR %s: %s, want %s", pcr, got, want)
			}
		}
	}
	if len(r.Values) != 4 {
		t.Errorf("%+v", r)
	}
	if r := m.reference(t, "reference add boot --replace --type tpm --pcrs 7 --from-evidence", log); len(r.Values) != 1 {
		t.Errorf("of PCR 7: %+v", r)
	}
	for file, want := range map[string]string{
		tempFile(t, "no.log", "no log"): "no.log", vectortest.Path(t, "tpm/eventlogs/debian-10.bin"): "no SHA-256 bank",
	} {
		m.run(t, "reference add other --type tpm --from-evidence", file).want(t, exitUsage, "", want)
	}
}
