package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// guestRefusal gives what the message of a refusal begins with for a reason class of vectors/snp.
func guestRefusal(code string) []string {
	return map[string][]string{
		"LENGTH": {"snp-format"}, "VERSION": {"snp-format"}, "RESERVED": {"snp-format"}, "POLICY_RESERVED": {"snp-format"}, "SIG_ALGO": {"snp-format"},
		"JSON": {"snp-format"}, "SIGNING_KEY": {"snp-signing-key"}, "NO_CHAIN": {"snp-chain", "untrusted-root"}, "EXPIRED": {"snp-expired"},
		"CERT_EXT": {"snp-certificate"}, "PRODUCT": {"snp-product"}, "REVOKED": {"revoked"}, "SIGNATURE": {"snp-signature"}, "CHIP_ID": {"snp-chip-id"},
		"TCB_MISMATCH": {"snp-tcb"}, "TCB_ORDER": {"snp-tcb"}, "REPORT_DATA": {"runtime-data"}, "HOST_DATA": {"init-data"}, "BODY": {"The member"},
	}[code]
}

// judged holds an answer against the index.
func (c guestCase) judged(t *testing.T, a answer) {
	t.Helper()
	if strings.HasPrefix(c.Expect, "accept") {
		a.claims(t)
		return
	}
	a.refused(t, http.StatusBadRequest, "InvalidParameter", "")
	for _, begin := range guestRefusal(c.Code) {
		if strings.HasPrefix(a.problem(t).Message, begin) {
			return
		}
	}
	t.Errorf("refused for %q, want %q", a.problem(t).Message, guestRefusal(c.Code))
}

// TestGuestsOfTheVectors sends every case of vectors/snp with its runtime data, each to a service that trusts its root, and its list if it has
// one.
func TestGuestsOfTheVectors(t *testing.T) {
	folder := t.TempDir()
	services := map[string]*testService{}
	for _, index := range []string{"real.json", "synthetic.json"} {
		for _, c := range guestCases(t, index) {
			key := c.Root + c.CRL + c.At.String()
			if services[key] == nil {
				for _, s := range services {
					s.stop()
				}
				var settings provider.Settings
				if c.CRL != "" {
					settings.CRLs = []string{c.crlPEM(t, c.CRL)}
				}
				clear(services)
				services[key] = start(t, c.config(t, folder, settings))
			}
			t.Run(c.ID, func(t *testing.T) { c.judged(t, services[key].guest(t, c.body(t))) })
		}
	}
}

// TestRequestsOfTheVectors sends every body of vectors/snp/maa-requests. What came with it stands in the token (api.md sections 4 and 7.4).
func TestRequestsOfTheVectors(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	folder := t.TempDir()
	for _, c := range guestCases(t, "maa-requests/index.json") {
		c.At = at
		t.Run(c.ID, func(t *testing.T) {
			sent := c.file(t, c.Request)
			cfg := c.config(t, folder, provider.Settings{})
			a := start(t, cfg).do(t, http.MethodPost, snpPath, string(sent))
			switch {
			case strings.HasPrefix(c.Expect, "accept only with an own copy of the ASK"):
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp-chain")
				cfg.AMDRoots = append(cfg.AMDRoots, findGuest(t, "synthetic.json", "sh-milan-v3").certificate(t, 1))
				c.presented(t, sent, start(t, cfg).do(t, http.MethodPost, snpPath, string(sent)))
			case strings.HasPrefix(c.Expect, "accept"):
				c.presented(t, sent, a)
			default:
				c.judged(t, a)
			}
		})
	}
}

// presented holds the token against the request.
func (c guestCase) presented(t *testing.T, sent []byte, a answer) {
	t.Helper()
	var b struct {
		Report, Nonce string
		RuntimeData   struct{ Data, DataType string }
	}
	decode(t, sent, &b)
	var inner struct{ SnpReport string }
	decode(t, decoded(t, b.Report), &inner)
	claims := a.claims(t)
	want := map[string]any{
		"x-ms-attestation-type": "sevsnpvm", "nonce": nil, "x-ms-runtime": nil,
		"x-ms-sevsnpvm-reportdata": hex.EncodeToString(decoded(t, inner.SnpReport)[0x50:0x90]),
	}
	if b.Nonce != "" {
		want["nonce"] = b.Nonce
	}
	if strings.EqualFold(b.RuntimeData.DataType, "JSON") {
		var parsed any
		decode(t, decoded(t, b.RuntimeData.Data), &parsed)
		want["x-ms-runtime"] = parsed
	}
	compare(t, claims, want)
}

// TestRequestsInTheDialectsOfClients: what the sidecar of confidential containers and the Python tools send (clients.md sections 1 and 11.5).
func TestRequestsInTheDialectsOfClients(t *testing.T) {
	c := findGuest(t, "synthetic.json", "sh-milan-v3")
	s := start(t, c.config(t, "", provider.Settings{}))
	plain := c.body(t)
	pad := func(v string) string { return v + strings.Repeat("=", (4-len(v)%4)%4) }
	runtime := c.body(t)["runtimeData"].(map[string]string)
	padded := body{
		"report": pad(plain["report"].(string)), "runtimeData": map[string]string{"data": pad(runtime["data"]), "dataType": "JSON"},
		"initTimeData": map[string]string{"data": "", "dataType": ""}, "nonce": json.Number("18446744073709551615"),
	}
	for _, segment := range []string{"SevSnpVM", "sevsnpvm", "SEVSNPVM", "SevSnpVm"} {
		claims := s.do(t, http.MethodPost, "/attest/"+segment+"?api-version=2020-10-01", text(padded)).claims(t)
		compare(t, claims, map[string]any{"nonce": "18446744073709551615", "x-ms-inittime": nil, "x-ms-attestation-type": "sevsnpvm"})
	}
	odd := body{"Report": plain["report"], "RuntimeData": runtime, "inittimeData": map[string]string{"dataType": "JSON"}}
	compare(t, s.guest(t, odd).claims(t), map[string]any{"x-ms-inittime": nil})

	s.guest(t, c.body(t, "draftPolicyForAttestation", `version=1.0;authorizationrules{[type=="x-ms-sevsnpvm-vmpl",value==0]=>permit();};issuancerules{=>issue(type="x",value=1);};`)).draft(t, "x")
	s.guest(t, c.body(t, "draftPolicyForAttestation", `version=1.0;authorizationrules{[type=="x-ms-sevsnpvm-vmpl",value==1]=>permit();};issuancerules{};`)).
		refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "x-ms-sevsnpvm-vmpl")
	s.guest(t, body{"quote": "AAAA"}).refused(t, http.StatusBadRequest, "InvalidParameter", "", `"report" is missing`)
}

// draft checks that a token is unsigned and has a claim.
func (a answer) draft(t *testing.T, claim string) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	token := opened(t, a.body).(map[string]any)
	if token["signed"] != false || token["payload"].(map[string]any)[claim] == nil {
		t.Errorf("got %v", token)
	}
}

// TestUnrelatedRuntimeDataIsRefused: the sample request with data of another machine.
func TestUnrelatedRuntimeDataIsRefused(t *testing.T) {
	s := start(t, config.Config{At: time.Date(2025, 4, 8, 4, 15, 0, 0, time.UTC)})
	var request body
	vectortest.ReadJSON(t, "maa/snp/sample.request.json", &request)
	s.guest(t, request).claims(t)
	request["runtimeData"] = data(string(vectortest.Read(t, "maa/snp/unrelated-runtime-data.json")), "JSON")
	s.guest(t, request).refused(t, http.StatusBadRequest, "InvalidParameter", "", "runtime-data: SuppliedRuntimeDataDigest does not match RuntimeData Digest in quote")
}

// TestContainersAreEndorsed: the report of a container group on ACI with the endorsement of its utility VM. What status it earns is said by
// the settings alone; its container policy is what HOST_DATA is the hash of (api.md section 4.1).
func TestContainersAreEndorsed(t *testing.T) {
	issuer := issuerOfUVMs()
	other, newer, silent := issuer, issuer, issuer
	other.Feed, newer.MinSVN, silent.ComplianceStatus = "Another", 23, ""
	read := func(name string) []byte { return vectortest.Read(t, "maa/snp/aci-sidecar."+name) }
	report, chain, cose, rego := read("report.bin"), read("vcek-chain.pem"), read("uvm-endorsement.cose"), read("policy.rego")
	folder := t.TempDir()
	for _, tt := range []struct {
		name    string
		issuers []provider.UVMIssuer
		cose    []byte
		status  any
	}{
		{"configured", []provider.UVMIssuer{issuer}, cose, "azure-compliant-uvm"},
		{"the second issuer", []provider.UVMIssuer{other, issuer}, cose, "azure-compliant-uvm"},
		{"no setting", nil, cose, nil},
		{"another feed", []provider.UVMIssuer{other}, cose, nil},
		{"too old", []provider.UVMIssuer{newer}, cose, nil},
		{"without a status", []provider.UVMIssuer{silent}, cose, nil},
		{"not sent", []provider.UVMIssuer{issuer}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config.Config{Data: folder, At: time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)}
			cfg.Settings.UVMIssuers = tt.issuers
			s := start(t, cfg)
			b := body{"report": wrapped(report, chain, tt.cose), "initTimeData": data(string(rego), "Binary")}
			compare(t, s.guest(t, b).claims(t), map[string]any{"x-ms-compliance-status": tt.status, "x-ms-inittime": nil})
			b["initTimeData"] = data(string(rego)+"\n", "Binary")
			s.guest(t, b).refused(t, http.StatusBadRequest, "InvalidParameter", "", "init-data: ", "HOST_DATA")
			if tt.cose != nil && tt.issuers != nil {
				b = body{"report": wrapped(report, chain, bytes.Repeat(tt.cose[:1], 8))}
				s.guest(t, b).refused(t, http.StatusBadRequest, "InvalidParameter", "", "uvm-endorsement: ")
			}
		})
	}
}

// issuerOfUVMs is the issuer of the recorded endorsement, which says 22.
func issuerOfUVMs() provider.UVMIssuer {
	const did = "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"
	return provider.UVMIssuer{DID: did, Feed: "ContainerPlat-AMD-UVM", MinSVN: 22, ComplianceStatus: "azure-compliant-uvm"}
}

// TestReportOfAnotherKindIsNoSEVSNPReport sends the hardware area of HCL containers that hold a TD report, one of which is called "snp".
func TestReportOfAnotherKindIsNoSEVSNPReport(t *testing.T) {
	var index []struct {
		File       string
		ReportType int `json:"report_type"`
	}
	vectortest.ReadJSON(t, "snp/hcl-tdx/index.json", &index)
	s := start(t, config.Config{})
	for _, c := range index {
		hcl := vectortest.Read(t, "snp/"+c.File)
		for _, report := range [][]byte{hcl[32 : 32+1184], hcl} {
			s.guest(t, body{"report": wrapped(report, nil, nil)}).refused(t, http.StatusBadRequest, "InvalidParameter", "", "snp-format: ")
		}
	}
	if len(index) == 0 {
		vectortest.NoCase(t, path.Join("snp/hcl-tdx"))
	}
}

// TestInitDataOfAGuestIsWhatTheHostVouchesFor: the request with init data is refused unless its hash is HOST_DATA.
func TestInitDataOfAGuestIsWhatTheHostVouchesFor(t *testing.T) {
	c := findGuest(t, "synthetic.json", "sh-milan-v3")
	s := start(t, c.config(t, "", provider.Settings{}))
	sum := sha256.Sum256([]byte("x"))
	s.guest(t, c.body(t, "initTimeData", data("x", "Binary"))).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "init-data: ", "HOST_DATA "+hex.EncodeToString(sum[:]), hex.EncodeToString(c.file(t, c.Report)[0xC0:0xE0]))
}

// TestTypesThatAreNotSupported: the routes of the preview of 2026 ask for the access of Tpm, and name what they do not do (api.md section 5).
func TestTypesThatAreNotSupported(t *testing.T) {
	s := start(t, config.Config{})
	for _, kind := range []string{"KeyGuard", "MdepTz", "Pluton"} {
		route := "/attest/" + kind + "?api-version=2026-03-11-preview"
		s.do(t, http.MethodPost, route, "{}", "Authorization", "Bearer "+s.token(t, auth.Reader)).
			refused(t, http.StatusBadRequest, "InvalidParameter", "", kind+" is not supported")
		s.do(t, http.MethodPost, route, "{}").refused(t, http.StatusUnauthorized, "Unauthorized", "")
	}
}
