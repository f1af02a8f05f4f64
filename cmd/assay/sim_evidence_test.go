package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
)

// posted sends a file to a route of the service, and returns the status and the body of the answer.
func (s *service) posted(t *testing.T, route, file string) (int, string) {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := newCall(&env{now: time.Now}, nil, nil).client(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, s.URL+route, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer.String()
}

// attested sends the request of a folder that sim wrote, and returns what the token says, its words one blank apart.
func (s *service) attested(t *testing.T, kind evidence.Type, dir string) string {
	t.Helper()
	status, body := s.posted(t, "/attest/"+string(kind)+"?api-version="+apiVersion, filepath.Join(dir, "request.json"))
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	token := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(body), `{"token":"`), `"}`)
	o := assay(t, "token", "verify", token, "--issuer", s.URL, "--ca", s.CA)
	if o.status != exitOK {
		t.Fatal(o.stdout, o.stderr)
	}
	return strings.Join(strings.Fields(o.stdout), " ")
}

func TestSimulatedGuestsAttestToAServiceInDevelopment(t *testing.T) {
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	data := tempFile(t, "data.json", `{"key":"value of the key"}`)
	for flags, want := range map[string][]string{
		"snp":                                {"sevsnpvm", "is-debuggable false", "microcode-svn 219", "hello from a simulated guest"},
		"snp --vlek":                         {"sevsnpvm"},
		"snp --product Genoa":                {"sevsnpvm"},
		"snp --product genoa --vlek":         {"sevsnpvm"},
		"snp --product Turin":                {"sevsnpvm"},
		"snp --product Turin --vlek":         {"sevsnpvm"},
		"snp --debug":                        {"is-debuggable true"},
		"snp --firmware 2.0":                 {"launchmeasurement a6ebdc00ac8aca6a80a633f9f6be93270fc549de5bfde4d831040862c4c2a6421a2f90e955c7c53aa44e20b8fb703210"},
		"snp --runtime-data " + data:         {"value of the key"},
		"tdx":                                {"tdxvm", "UpToDate", "hello from a simulated guest"},
		"tdx --debug --runtime-data " + data: {"dbgstat", "enabled", "value of the key"},
	} {
		t.Run(flags, func(t *testing.T) {
			dir := t.TempDir()
			assay(t, append([]string{"sim", "--out", dir}, strings.Fields(flags)...)...).want(t, exitOK, "WRITTEN", "")
			kind := evidence.SevSnpVM
			if strings.HasPrefix(flags, "tdx") {
				kind = evidence.TdxVM
			}
			shown := s.attested(t, kind, dir)
			for _, part := range want {
				if !strings.Contains(shown, part) {
					t.Errorf("the token does not say %q:\n%s", part, shown)
				}
			}
		})
	}
}

// What stands in the files beside the request is what stands in the request.
func TestSimulatedGuestsComeInAllForms(t *testing.T) {
	dir := t.TempDir()
	assay(t, "sim", "snp", "--out", dir).want(t, exitOK, "crl.der", "")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	e, err := snp.Parse(read("evidence.json"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := snp.ParseTable(read("auxblob.bin"))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := snp.ParseChain(read("chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if !table.Leaf.Equal(e.Chain.Leaf) || !chain.Leaf.Equal(e.Chain.Leaf) {
		t.Error("the certificate is not the same in chain.pem, auxblob.bin and evidence.json")
	}
	report, err := snp.ParseReport(read("report.bin"))
	if err != nil || *report != *e.Report {
		t.Errorf("report.bin is not the report of evidence.json: %v", err)
	}
	roots, err := snp.NewRoots(read("root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := roots.CRL(read("crl.der")); err != nil {
		t.Error(err)
	}
}

func TestSimulatedGuestsAreWrittenAtTheTimeGiven(t *testing.T) {
	dir := t.TempDir()
	assay(t, "sim", "tdx", "--out", dir, "--at", "2031-02-03T04:05:06Z", "--json").want(t, exitOK, `"files":["collateral","quote.bin","root.pem","request.json","runtime.json"]`, "")
	info, err := os.ReadFile(filepath.Join(dir, "collateral", "tcb_info.json"))
	if err != nil || !bytes.Contains(info, []byte(`"issueDate":"2031-02-02T04:05:06Z"`)) {
		t.Errorf("%v, %s", err, info)
	}
	quote, err := os.ReadFile(filepath.Join(dir, "quote.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tdx.Parse(quote); err != nil {
		t.Error(err)
	}
}

// A request without certificates is for AMD's key service, which is simulated as well.
func TestAServiceInDevelopmentAsksTheSimulatedKeyService(t *testing.T) {
	guest := demoGuest()
	guest.Chain = nil
	doc, err := guest.Evidence()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(attestBodyFor(evidence.SevSnpVM, doc, &runtimeData{[]byte(simulatedGuestData), true}))
	if err != nil {
		t.Fatal(err)
	}
	request := tempFile(t, "request.json", string(body))
	config := tempFile(t, "assay.yaml", "settings:\n  snp_kds: true\n")
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{{nil, 400, "snp-chain"}, {[]string{"--config", config}, 200, "token"}} {
		s := serve(t, append([]string{"--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, test.args...)...)
		if status, answer := s.posted(t, "/attest/SevSnpVm?api-version="+apiVersion, request); status != test.status || !strings.Contains(answer, test.says) {
			t.Errorf("serve %q: %d %s; want %d and %q", test.args, status, answer, test.status, test.says)
		}
	}
}
