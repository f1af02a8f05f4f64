package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// guestRefusals sends the evidence of SEV-SNP guests and TDs that the vectors have for each reason of refusal, the first of each.
func guestRefusals(t *testing.T) (list []refusalText) {
	t.Helper()
	folder := t.TempDir()
	seen := map[string]bool{}
	var s *testService
	root := ""
	for _, c := range guestCases(t, "synthetic.json") {
		if seen[c.Code] || !strings.HasPrefix(c.Expect, "reject") {
			continue
		}
		seen[c.Code] = true
		if s == nil || c.Root+c.CRL != root {
			var settings provider.Settings
			if c.CRL != "" {
				settings.CRLs = []string{c.crlPEM(t, c.CRL)}
			}
			s, root = start(t, c.config(t, folder, settings)), c.Root+c.CRL
		}
		a := s.guest(t, c.body(t))
		a.refused(t, http.StatusBadRequest, "InvalidParameter", "")
		list = append(list, refusalText{"SEV-SNP, " + strings.ToLower(c.Code), a.problem(t).Message})
	}
	return append(list, bindingRefusals(t, folder)...)
}

// bindingRefusals are those of what a request of a guest brings beside the report, and of TDs.
func bindingRefusals(t *testing.T, folder string) (list []refusalText) {
	t.Helper()
	add := func(name string, a answer) {
		list = append(list, refusalText{name, a.problem(t).Message})
	}
	c, debug := findGuest(t, "synthetic.json", "sh-milan-v3"), findGuest(t, "synthetic.json", "sh-milan-debug-policy")
	s := start(t, c.config(t, folder, provider.Settings{RefuseDebuggable: true, SNPSettings: provider.SNPSettings{UVMIssuers: []provider.UVMIssuer{issuerOfUVMs()}}}))
	add("SEV-SNP, init data", s.guest(t, c.body(t, "initTimeData", data("x", "Binary"))))
	add("SEV-SNP, no certificates", s.guest(t, body{"report": wrapped(c.file(t, c.Report), nil, nil)}))
	add("SEV-SNP, debuggable", s.guest(t, debug.body(t)))
	add("SEV-SNP, endorsement that is none", s.guest(t, body{"report": wrapped(c.file(t, c.Report), c.file(t, c.Chain), []byte("x"))}))
	for _, status := range []string{"OutOfDate", "TDRelaunchAdvised"} {
		td := domainOf(t, status)
		add("TDX, "+status, startTD(t, folder, td, provider.Settings{}).domain(t, td.Quote))
	}
	td := domainOf(t, "UpToDate")
	add("TDX, init data", startTD(t, folder, td, provider.Settings{}).domain(t, td.Quote, "initTimeData", data("x", "Binary")))
	for _, c := range domainCases(t) {
		if len(c.Reasons) == 1 && c.Reasons[0] == "tdx-module" {
			add("TDX, module", startTD(t, folder, c, provider.Settings{}).domain(t, c.Quote))
			return list
		}
	}
	vectortest.NoCase(t, "TDX quote of a module that is not known")
	return nil
}
