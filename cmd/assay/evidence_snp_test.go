package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// guestVector is a case of vectors/snp/real.json and synthetic.json.
type guestVector struct {
	ID, Report, Chain, Root, CRL, Expect, Code, Auxblob, HCL string
	RuntimeData                                              string `json:"runtime_data"`
	At                                                       time.Time
	Facts                                                    map[string]any
}

func guestVectors(t *testing.T) (all []guestVector) {
	t.Helper()
	for _, index := range []string{"snp/real.json", "snp/synthetic.json"} {
		var list []guestVector
		vectortest.ReadJSON(t, index, &list)
		all = append(all, list...)
	}
	if len(all) == 0 {
		vectortest.NoCase(t, "case of SEV-SNP")
	}
	return all
}

// guestChecks are the words that are right for a reason class of vectors/snp.
func guestChecks(code string) []evidence.Check {
	return map[string][]evidence.Check{
		"LENGTH": {evidence.SNPFormat}, "VERSION": {evidence.SNPFormat}, "RESERVED": {evidence.SNPFormat}, "POLICY_RESERVED": {evidence.SNPFormat},
		"SIG_ALGO": {evidence.SNPFormat}, "JSON": {evidence.SNPFormat}, "BODY": {evidence.SNPFormat}, "SIGNING_KEY": {evidence.SNPSigningKey},
		"NO_CHAIN": {evidence.SNPChain, evidence.UntrustedRoot}, "EXPIRED": {evidence.SNPExpired}, "CERT_EXT": {evidence.SNPCertificate},
		"PRODUCT": {evidence.SNPProduct}, "REVOKED": {evidence.Revoked}, "SIGNATURE": {evidence.SNPSignature}, "CHIP_ID": {evidence.SNPChipID},
		"TCB_MISMATCH": {evidence.SNPTCB}, "TCB_ORDER": {evidence.SNPTCB}, "REPORT_DATA": {evidence.RuntimeData}, "HOST_DATA": {evidence.InitData},
	}[code]
}

// verify runs evidence verify on a file as the case says.
func (c *guestVector) verify(t *testing.T, file, chain string) (outcome, *verdict) {
	t.Helper()
	args := []string{"evidence", "verify", "--type", "snp", file, "--trust-root", vectortest.Path(t, "snp/"+c.Root), "--at", c.At.Format(time.RFC3339), "--json"}
	if chain != "" {
		args = append(args, "--chain", chain)
	}
	if c.CRL != "" {
		args = append(args, "--crl", vectortest.Path(t, "snp/"+c.CRL))
	}
	if c.RuntimeData != "" {
		args = append(args, "--runtime-data", vectortest.Path(t, "snp/"+c.RuntimeData))
	}
	o := assay(t, args...)
	got := &verdict{}
	o.read(t, got)
	return o, got
}

// holds checks an outcome against what the index expects.
func (c *guestVector) holds(t *testing.T, o outcome, got *verdict) {
	t.Helper()
	if strings.HasPrefix(c.Expect, "accept") {
		if o.status != exitOK || !got.Verified || got.Claims["x-ms-attestation-type"] != "sevsnpvm" || len(got.TrustAnchor) != 64 {
			t.Fatalf("exit status %d, %+v", o.status, got)
		}
		c.compare(t, got)
		return
	}
	if o.status != exitRefused || got.Verified || !slices.Contains(guestChecks(c.Code), evidence.Check(got.check())) || got.Error.Code == "" {
		t.Fatalf("exit status %d, error %+v; want a refusal for one of %v", o.status, got.Error, guestChecks(c.Code))
	}
	if last := got.Checks[len(got.Checks)-1]; string(last.Name) != got.check() || last.Outcome != evidence.Fail {
		t.Errorf("the last check is %+v, want the one that failed", last)
	}
}

// compare compares facts of the index with members and claims that tell them.
func (c *guestVector) compare(t *testing.T, got *verdict) {
	t.Helper()
	if want, there := c.Facts["version"].(float64); there && got.ReportVersion != want {
		t.Errorf("reportVersion %v, want %v", got.ReportVersion, want)
	}
	if want, there := c.Facts["product"]; there && got.Product != want {
		t.Errorf("product %v, want %v", got.Product, want)
	}
	for fact, claim := range map[string]string{
		"debug": "is-debuggable", "migration": "migration-allowed", "smt": "smt-allowed", "vmpl": "vmpl", "measurement": "launchmeasurement",
		"host_data": "hostdata", "report_data": "reportdata", "bootloader": "bootloader-svn", "microcode": "microcode-svn", "snp": "snpfw-svn", "guest_svn": "guestsvn",
	} {
		if want, there := c.Facts[fact]; there && got.Claims["x-ms-sevsnpvm-"+claim] != want {
			t.Errorf("%s: %v, want %v", claim, got.Claims["x-ms-sevsnpvm-"+claim], want)
		}
	}
}

func TestEvidenceVerifyGivesTheVerdictOfEveryGuest(t *testing.T) {
	for _, c := range guestVectors(t) {
		t.Run(c.ID, func(t *testing.T) {
			o, got := c.verify(t, vectortest.Path(t, "snp/"+c.Report), vectortest.Path(t, "snp/"+c.Chain))
			c.holds(t, o, got)
		})
	}
}

// TestEachFormOfEvidenceIsRecognised verifies the guests of the vectors again: behind their container, with their certificate table, as the document
// that services take, and as the body of a request.
func TestEachFormOfEvidenceIsRecognised(t *testing.T) {
	tables, containers := 0, 0
	for _, c := range guestVectors(t) {
		chain := vectortest.Path(t, "snp/"+c.Chain)
		if c.Auxblob != "" {
			tables++
			o, got := c.verify(t, vectortest.Path(t, "snp/"+c.Report), vectortest.Path(t, "snp/"+c.Auxblob))
			c.holds(t, o, got)
		}
		if c.HCL != "" {
			containers++
			bare := c
			bare.RuntimeData = "" // it is in the container
			o, got := bare.verify(t, vectortest.Path(t, "snp/"+c.HCL), chain)
			bare.holds(t, o, got)
			if got.Verified && slices.Contains(got.NotChecked, "runtime-data") {
				t.Errorf("%s: the runtime data of the container was not checked", c.ID)
			}
		}
		document, body := c.documents(t)
		for _, file := range []string{document, body} {
			o, got := c.verify(t, file, "")
			c.holds(t, o, got)
		}
	}
	if tables == 0 || containers == 0 {
		vectortest.NoCase(t, "certificate table or container")
	}
}

// documents writes the case as the document with report and chain, and as the body of a request with it.
func (c *guestVector) documents(t *testing.T) (document, body string) {
	t.Helper()
	text := func(rel string) string { return b64url(vectortest.Read(t, "snp/"+rel)) }
	inner, err := json.Marshal(map[string]string{"SnpReport": text(c.Report), "VcekCertChain": text(c.Chain)})
	if err != nil {
		t.Fatal(err)
	}
	outer := map[string]any{"report": b64url(inner)}
	if c.RuntimeData != "" {
		outer["runtimeData"] = map[string]string{"data": text(c.RuntimeData), "dataType": "Binary"}
	}
	b, err := json.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	return tempFile(t, "document.json", string(inner)), tempFile(t, "body.json", string(b))
}

// The bodies of vectors/snp/maa-requests are verified as files; which requests as a whole are right is decided by the service.
func TestBodiesOfRequestsAreVerified(t *testing.T) {
	var cases []struct{ ID, Request, Expect, Code, Root string }
	vectortest.ReadJSON(t, "snp/maa-requests/index.json", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			v := guestVector{Root: c.Root, At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Expect: "accept"}
			if guestChecks(c.Code) != nil && strings.HasPrefix(c.Expect, "reject") {
				v.Expect, v.Code = "reject", c.Code
			}
			if c.ID == "sh-leaf-only" { // spec, README.md section 10.2: only with a copy of the ASK, which no test root brings
				v.Expect, v.Code = "reject", "NO_CHAIN"
			}
			o, got := v.verify(t, vectortest.Path(t, "snp/"+c.Request), "")
			v.holds(t, o, got)
		})
	}
}

func TestContainersOfAzureAreInspectedAndVerified(t *testing.T) {
	var cases []struct{ ID, File, Expect, Code string }
	vectortest.ReadJSON(t, "snp/hcl-synthetic/index.json", &cases)
	for _, c := range cases {
		file := vectortest.Path(t, "snp/hcl-synthetic/"+c.File)
		want := []evidence.Check{evidence.HCLFormat}
		switch c.Code {
		case "REPORT_DATA":
			want = []evidence.Check{evidence.RuntimeData}
		case "MAGIC":
			want = append(want, evidence.SNPFormat) // nothing else says that it is a container
		}
		args := []string{"--type", "snp", file, "--chain", vectortest.Path(t, "tpm/azure-guest/vcek-chain.pem"), "--json"}
		inspected := assay(t, append([]string{"evidence", "inspect"}, args...)...)
		verified := assay(t, append(append([]string{"evidence", "verify"}, args...), "--trust-root", vectortest.Path(t, "tpm/azure-guest/ark.der"),
			"--at", "2026-11-01T00:00:00Z")...)
		for _, o := range []outcome{inspected, verified} {
			var got verdict
			o.read(t, &got)
			if c.Expect == "accept" && (o.status != exitOK || got.Error != nil) || c.Expect != "accept" && !slices.Contains(want, evidence.Check(got.check())) {
				t.Errorf("%s: exit status %d, %+v", c.ID, o.status, got.Error)
			}
		}
	}
	if len(cases) == 0 {
		vectortest.NoCase(t, "HCL container")
	}
}

func TestAContainerSaysByItselfOfWhichTypeItIs(t *testing.T) {
	var cases []struct {
		File       string
		ReportData string `json:"reportdata"`
	}
	vectortest.ReadJSON(t, "snp/hcl-tdx/index.json", &cases)
	for _, c := range cases {
		file := vectortest.Path(t, "snp/"+c.File)
		var got struct {
			ReportData       string
			RuntimeData      string
			RuntimeDataBound bool
		}
		assay(t, "evidence", "inspect", "--type", "tdx", file, "--json").read(t, &got)
		text, err := base64.RawURLEncoding.DecodeString(got.RuntimeData)
		if err != nil || !json.Valid(text) || got.ReportData != c.ReportData || !got.RuntimeDataBound {
			t.Errorf("%s: %+v", c.File, got)
		}
		assay(t, "evidence", "verify", "--type", "snp", file).want(t, exitRefused, "if it is 4, the machine is one of TDX", "")
		assay(t, "evidence", "inspect", "--type", "snp", file).want(t, exitRefused, "hcl-format", "")
		assay(t, "evidence", "verify", "--type", "tdx", file, "--collateral", vectortest.Path(t, "dcap/synthetic/tdx-01")).
			want(t, exitRefused, "acc/tdquote", "")
	}
	snp := vectortest.Path(t, "snp/hcl-synthetic/ok.bin")
	assay(t, "evidence", "inspect", "--type", "tdx", snp).want(t, exitRefused, "--type snp", "")
	assay(t, "evidence", "verify", "--type", "tdx", snp, "--collateral", vectortest.Path(t, "dcap/synthetic/tdx-01")).want(t, exitRefused, "--type snp", "")
}

func TestTheAnswerOfAzuresMetadataServiceIsAChain(t *testing.T) {
	c := guestVector{Root: "amd-ca/ark-milan.der", At: time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC), Expect: "accept"}
	report := vectortest.Path(t, "snp/aci-sidecar/report.bin")
	o, got := c.verify(t, report, vectortest.Path(t, "snp/aci-sidecar/uvm_host_amd_certificate.json"))
	c.holds(t, o, got)
	c.Expect, c.Code = "reject", "NO_CHAIN"
	for name, text := range map[string]string{"other JSON": `{"a":1}`, "no JSON": `{`, "no table": "x", "nothing": ""} {
		o, got := c.verify(t, report, tempFile(t, "chain", text))
		if o.status != exitRefused || got.check() != "snp-chain" {
			t.Errorf("%s: exit status %d, %+v", name, o.status, got.Error)
		}
	}
	o, got = c.verify(t, report, "")
	if c.holds(t, o, got); !strings.Contains(got.Error.Message, "--chain") {
		t.Errorf("without certificates: %+v", got.Error)
	}
}

func TestRootsOfAMDAreTrustedUnlessOthersAreNamed(t *testing.T) {
	args := []string{"evidence", "verify", "--type", "snp", vectortest.Path(t, "snp/maa-sample/report.bin"), "--chain", vectortest.Path(t, "snp/maa-sample/chain.pem"),
		"--at", "2025-04-08T04:15:00Z"}
	assay(t, args...).want(t, exitOK, "VERIFIED  SevSnpVm evidence, report version 2", "")
	assay(t, append(args, "--trust-root", vectortest.Path(t, "snp/synthetic/ark-Milan.der"))...).want(t, exitRefused, "untrusted-root", "")
}

func TestAMaskedChipIDIsAcceptedWhereThatIsAllowed(t *testing.T) {
	for _, c := range guestVectors(t) {
		if c.ID != "sh-bad-chip-id-zero" {
			continue
		}
		args := []string{"evidence", "verify", "--type", "snp", vectortest.Path(t, "snp/"+c.Report), "--chain", vectortest.Path(t, "snp/"+c.Chain),
			"--trust-root", vectortest.Path(t, "snp/"+c.Root), "--at", c.At.Format(time.RFC3339)}
		assay(t, args...).want(t, exitRefused, "snp-chip-id", "")
		assay(t, append(args, "--allow-masked-chip-id")...).want(t, exitOK, "VERIFIED", "")
		return
	}
	vectortest.NoCase(t, "masked chip id")
}

func TestARevocationListMustBeOfATrustedRoot(t *testing.T) {
	c := guestVector{Root: "amd-ca/ark-milan.der", At: time.Date(2025, 4, 8, 4, 15, 0, 0, time.UTC), Expect: "accept", CRL: "synthetic/crl-Milan-none.der"}
	o, got := c.verify(t, vectortest.Path(t, "snp/maa-sample/report.bin"), vectortest.Path(t, "snp/maa-sample/chain.pem"))
	if o.status != exitRefused || got.check() != "crl-signature" {
		t.Errorf("exit status %d, %+v", o.status, got.Error)
	}
}

func TestAPolicyIsEvaluatedOverAGuest(t *testing.T) {
	policy := tempFile(t, "policy", `version=1.0;authorizationrules{c:[type=="x-ms-sevsnpvm-is-debuggable",value==false] => permit();};issuancerules{};`)
	args := []string{"policy", "eval", "--policy", policy, "--type", "snp", "--evidence", vectortest.Path(t, "snp/maa-sample/report.bin"),
		"--at", "2025-04-08T04:15:00Z", "--chain"}
	assay(t, append(args, vectortest.Path(t, "snp/maa-sample/chain.pem"))...).want(t, exitOK, "PERMIT", "")
	assay(t, append(args, vectortest.Path(t, "snp/aci-sidecar/chain.pem"))...).want(t, exitRefused, "snp-signature", "")
}

// TestWhateverAFileHoldsIsReadOrRefused damages evidence and certificates in each form, a byte or the end at a time. What they hold is fuzzed where it is parsed.
func TestWhateverAFileHoldsIsReadOrRefused(t *testing.T) {
	report := vectortest.Read(t, "snp/veraison-genoa-tsm/report.bin")
	for _, name := range []string{"maa-sample/report.bin", "hcl-synthetic/ok-unpadded.bin", "maa-requests/inittime.json", "hcl-tdx/kinvolk-tdx.bin"} {
		for _, b := range damaged(vectortest.Read(t, "snp/"+name)) {
			readsOrRefuses(t, name, b, nil)
		}
	}
	for _, name := range []string{"veraison-genoa-tsm/auxblob.bin", "veraison-genoa-tsm/chain.pem", "aci-sidecar/uvm_host_amd_certificate.json"} {
		for _, b := range damaged(vectortest.Read(t, "snp/"+name)) {
			readsOrRefuses(t, name, report, b)
		}
	}
}

// damaged gives some 200 copies, each with one byte changed or cut short.
func damaged(b []byte) (copies [][]byte) {
	for i := 0; i < len(b); i += 1 + len(b)/100 {
		bad := bytes.Clone(b)
		bad[i] ^= 0x24
		copies = append(copies, bad, b[:i])
	}
	return copies
}

func readsOrRefuses(t *testing.T, name string, b, chain []byte) {
	t.Helper()
	g, err := readGuest(b, chain)
	if err != nil {
		if problemOf(err).Check == "" {
			t.Errorf("%s: no refusal: %v", name, err)
		}
		return
	}
	if !bytes.Contains(g.report, g.Report.Measurement[:]) {
		t.Errorf("%s: the report is not the one that was read", name)
	}
	if _, err := g.member(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
