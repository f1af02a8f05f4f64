package server_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// startTD starts a service with the collateral of a case: a stored baseline, or that of a vendor whose root the case trusts.
func startTD(t *testing.T, folder string, c vectortest.DCAPCase, settings provider.Settings) *testService {
	t.Helper()
	_, files, root := c.WriteFiles(t, t.TempDir())
	cfg := config.Config{Data: folder, At: c.Now, Settings: settings}
	cfg.Settings.CollateralExpiry = map[string]string{"strict": "enforce", "pinned": "pinned"}[c.Policy]
	if root == "" {
		cfg.Collateral = []string{files}
		return start(t, cfg)
	}
	set, err := collateral.ReadSet(files)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Clean(root))
	if err != nil {
		t.Fatal(err)
	}
	return startBeside(t, cfg, &server.Simulated{Root: pem, Source: set})
}

func (s *testService) domain(t testing.TB, quote []byte, members ...any) answer {
	t.Helper()
	b := body{"quote": b64url(quote)}
	for i := 0; i < len(members); i += 2 {
		b[members[i].(string)] = members[i+1]
	}
	return s.do(t, http.MethodPost, tdxPath, text(b))
}

// domainCases are the TDX cases of vectors/dcap of which a service can be asked: collateral is not edited.
func domainCases(t testing.TB) (list []vectortest.DCAPCase) {
	t.Helper()
	for _, c := range vectortest.DCAPCases(t, "tdx") {
		if c.Policy == "strict" || c.Policy == "pinned" {
			list = append(list, c)
		}
	}
	return list
}

// tokenStatuses are the statuses that earn a token by default (sgx-tdx.md section 9.1).
func tokenStatuses() []string { return []string{"UpToDate", "SWHardeningNeeded"} }

// TestDomainsOfTheVectors sends the TDX quotes of vectors/dcap to services with their collateral. An accepted status earns a token; a sound
// quote of another status is refused, and the refusal says which component is short.
func TestDomainsOfTheVectors(t *testing.T) {
	folder := t.TempDir()
	seen := map[string]int{}
	for _, c := range domainCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			s := startTD(t, folder, c, provider.Settings{})
			defer s.stop()
			a := s.domain(t, c.Quote)
			switch {
			case !c.Accept:
				if a.status != http.StatusBadRequest && a.status != http.StatusServiceUnavailable {
					t.Errorf("status %d: %s", a.status, a.body)
				}
			case slices.Contains(tokenStatuses(), c.Status):
				seen["token"]++
				checkDomain(t, c, a.claims(t))
			default:
				seen["short"]++
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", "found "+c.Status, "tcb_accepted_statuses")
				if m := a.problem(t).Message; !strings.Contains(m, "svn") && !strings.Contains(m, "SVN") && !strings.Contains(m, "component") {
					t.Errorf("no component is named: %s", m)
				}
			}
		})
	}
	if seen["token"] == 0 || seen["short"] == 0 {
		vectortest.NoCase(t, fmt.Sprintf("TDX quotes with a token and without: %v", seen))
	}
}

// checkDomain holds claims against the bytes of the quote (tokens.md section 8, sgx-tdx.md section 2.4).
func checkDomain(t *testing.T, c vectortest.DCAPCase, claims map[string]any) {
	t.Helper()
	td := c.Quote[48:]
	if c.Quote[0] == 5 {
		td = c.Quote[54:]
	}
	text := func(from, size int) string { return hex.EncodeToString(td[from : from+size]) }
	attribute := func(bit int) bool { return td[120+bit/8]&(1<<(bit%8)) != 0 }
	debug := map[bool]string{false: "disabled", true: "enabled"}[attribute(0)]
	want := map[string]any{
		"x-ms-attestation-type": "tdxvm", "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm", "dbgstat": debug, "intuse": "generic",
		"attester_tcb_status": c.Status, "tdx_tee_tcb_svn": text(0, 16), "tdx_seamsvn": int(td[0]), "tdx_mrseam": text(16, 48),
		"tdx_mrsignerseam": text(64, 48), "tdx_seam_attributes": text(112, 8), "tdx_td_attributes": text(120, 8), "tdx_xfam": text(128, 8),
		"tdx_mrtd": text(136, 48), "tdx_mrconfigid": text(184, 48), "tdx_mrowner": text(232, 48), "tdx_mrownerconfig": text(280, 48),
		"tdx_rtmr0": text(328, 48), "tdx_rtmr1": text(376, 48), "tdx_rtmr2": text(424, 48), "tdx_rtmr3": text(472, 48), "tdx_report_data": text(520, 64),
		"tdx_td_attributes_debug": attribute(0), "tdx_td_attributes_septve_disable": attribute(28), "tdx_td_attributes_protection_keys": attribute(30),
		"tdx_td_attributes_key_locker": attribute(31), "tdx_td_attributes_perfmon": attribute(63),
		"x-ms-sgx-tcbidentifier": nil, "x-ms-sgx-collateral": nil,
	}
	compare(t, claims, want)
	for name := range claims {
		_, listed := want[name]
		if !listed && !slices.Contains([]string{"exp", "iat", "iss", "jti", "nbf", "ext-development", "x-ms-ver", "x-ms-policy-hash"}, name) {
			t.Errorf("unexpected claim %s", name)
		}
	}
}

// domainOf finds a sound case by its status.
func domainOf(t *testing.T, status string) vectortest.DCAPCase {
	t.Helper()
	for _, c := range domainCases(t) {
		if c.Accept && c.Status == status {
			return c
		}
	}
	vectortest.NoCase(t, "TDX quote of the status "+status)
	return vectortest.DCAPCase{}
}

// TestStatusesOfDomains: tcb_accepted_statuses and strict, with the status that only TDs have.
func TestStatusesOfDomains(t *testing.T) {
	folder := t.TempDir()
	for _, status := range []string{"OutOfDate", "TDRelaunchAdvised"} {
		c := domainOf(t, status)
		day := func(n int) string { return c.Now.AddDate(0, 0, n).Format(time.DateOnly) }
		for _, tt := range []struct {
			name, until string
			strict, ok  bool
			fragment    string
		}{
			{"waived", day(1), false, true, ""},
			{"waiver has ended", day(-1), false, false, status + " until " + day(-1)},
			{"waived, strict", day(1), true, false, "waivers do not count under strict"},
		} {
			t.Run(status+" "+tt.name, func(t *testing.T) {
				s := startTD(t, folder, c, provider.Settings{Strict: tt.strict, TCBAcceptedStatuses: map[string]string{status: tt.until}})
				defer s.stop()
				a := s.domain(t, c.Quote)
				if tt.ok {
					compare(t, a.claims(t), map[string]any{"attester_tcb_status": status})
					return
				}
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", "tcb_accepted_statuses", tt.fragment)
			})
		}
	}
}

// TestRequestsOfDomains: nonces, drafts and init data, and the route in other cases (api.md sections 4.1 and 7.5).
func TestRequestsOfDomains(t *testing.T) {
	c := domainOf(t, "UpToDate")
	s := startTD(t, "", c, provider.Settings{})
	empty := map[string]string{"data": "", "dataType": ""}
	compare(t, s.domain(t, c.Quote, "nonce", 7, "initTimeData", empty).claims(t), map[string]any{"nonce": "7", "x-ms-inittime": nil})
	s.domain(t, c.Quote, "initTimeData", data("x", "Binary")).refused(t, http.StatusBadRequest, "InvalidParameter", "", "init-data: ", "TD")
	s.domain(t, c.Quote, "runtimeData", data("x", "JSON")).refused(t, http.StatusBadRequest, "InvalidParameter", "", "runtime-data: ")
	s.domain(t, c.Quote, "draftPolicyForAttestation", `version=1.0;authorizationrules{[type=="attester_tcb_status",value=="UpToDate"]=>permit();};issuancerules{=>issue(type="x",value=1);};`).draft(t, "x")
	s.domain(t, c.Quote, "draftPolicyForAttestation", `version=1.0;authorizationrules{[type=="tdx_seamsvn",value==99]=>permit();};issuancerules{};`).
		refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "tdx_seamsvn")
	s.do(t, http.MethodPost, "/attest/tdxvm?api-version=2025-06-01", text(body{"Quote": b64url(c.Quote)})).claims(t)
	s.do(t, http.MethodPost, sgxPath, text(body{"quote": b64url(c.Quote)})).refused(t, http.StatusBadRequest, "InvalidQuote", "", "quote-format: ")
	s.domain(t, s.quote(t)).refused(t, http.StatusBadRequest, "InvalidQuote", "", "quote-format: ", "TDX")
}

// quote is the quote of an SGX enclave.
func (s *testService) quote(t *testing.T) []byte {
	t.Helper()
	return decoded(t, s.evidence(t, s.scenario())["quote"].(string))
}

// TestQuotesOfTheIndexOfTokens holds the TDX and SEV-SNP entries of vectors/maa against a service (vectors/maa/README.md section 5).
func TestQuotesOfTheIndexOfTokens(t *testing.T) {
	var index map[string]struct {
		Verify *struct {
			Type, Collateral, Root, Expiry, Verdict string
			At                                      time.Time
		}
	}
	vectortest.ReadJSON(t, "maa/index.json", &index)
	ran := map[string]int{}
	for name, entry := range index {
		v := entry.Verify
		if v == nil || v.Type != "tdx" && v.Type != "sevsnp" {
			continue
		}
		ran[v.Type]++
		t.Run(name, func(t *testing.T) {
			evidence, cfg := vectortest.Read(t, "maa/"+name), config.Config{At: v.At}
			path, b := tdxPath, body{"quote": b64url(evidence)}
			if v.Type == "sevsnp" {
				path, b = snpPath, body{"report": wrapped(evidence, vectortest.Read(t, v.Collateral), nil)}
				cfg.AMDRoots = []string{vectortest.Path(t, v.Root)}
			} else {
				cfg.Collateral, cfg.Settings.CollateralExpiry = []string{vectortest.Path(t, v.Collateral)}, v.Expiry
			}
			a := start(t, cfg).do(t, http.MethodPost, path, text(b))
			if v.Verdict == "accept" {
				a.claims(t)
			} else if a.status != http.StatusBadRequest {
				t.Errorf("status %d, want 400: %s", a.status, a.body)
			}
		})
	}
	if ran["tdx"] == 0 || ran["sevsnp"] == 0 {
		vectortest.NoCase(t, fmt.Sprintf("TDX and SEV-SNP evidence in maa/index.json: %v", ran))
	}
}
