package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// level puts the platform on the level of the standard evaluation that has the status.
func level(status string) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		for _, l := range assaytest.TCBLevels(assaytest.StandardEvaluation) {
			if l.Status == status {
				s.Platform.SVN, s.Platform.PCESVN = l.SVN, l.PCESVN
			}
		}
	}
}

func debuggable(s *assaytest.Scenario) { s.Enclave.Debug = true }

// tail makes the upper half of the report data other than zero.
func tail(s *assaytest.Scenario) { s.Enclave.ReportData[63] = 1 }

// fault is the change of a ready-made fault.
func fault(t *testing.T, name string) func(*assaytest.Scenario) {
	t.Helper()
	for _, f := range assaytest.Faults() {
		if f.Name == name {
			return f.Apply
		}
	}
	t.Fatalf("no fault %q", name)
	return nil
}

const permitAll = "version= 1.0;authorizationrules{=> permit();};issuancerules{};"

// TestSettings covers the switches of README.md section 6 of the specification, each alone and under strict.
func TestSettings(t *testing.T) {
	folder := t.TempDir()
	no := false
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	accept := func(status, until string) provider.Settings {
		return provider.Settings{TCBAcceptedStatuses: map[string]string{status: until}}
	}
	strict := func(s provider.Settings) provider.Settings { s.Strict = true; return s }
	sound := func(*assaytest.Scenario) {}
	const invalid, below, unavailable = "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", "CollateralUnavailable"
	for _, tt := range []struct {
		name      string
		settings  provider.Settings
		edits     []func(*assaytest.Scenario)
		members   []any
		status    int
		code      string
		inner     string
		fragments []string
	}{
		{"UpToDate", provider.Settings{}, nil, nil, 200, "", "", nil},
		{"SWHardeningNeeded", provider.Settings{}, []func(*assaytest.Scenario){level("SWHardeningNeeded")}, nil, 200, "", "", nil},
		{"SWHardeningNeeded, strict", strict(provider.Settings{}), []func(*assaytest.Scenario){level("SWHardeningNeeded")}, nil, 200, "", "", nil},
		{"ConfigurationNeeded", provider.Settings{}, []func(*assaytest.Scenario){level("ConfigurationNeeded")}, nil, 400, invalid, below,
			[]string{"OE_TCB_LEVEL_INVALID: The specified quote was invalid because the device on which the quote was generated does not meet the azure baseline requirements",
				"expected TCB status UpToDate or SWHardeningNeeded, found ConfigurationNeeded", "INTEL-SA-90002", "sgxtcbcomp07svn", "tcb_accepted_statuses"}},
		{"ConfigurationAndSWHardeningNeeded", provider.Settings{}, []func(*assaytest.Scenario){level("ConfigurationAndSWHardeningNeeded")}, nil, 400, invalid, below, []string{"found ConfigurationAndSWHardeningNeeded"}},
		{"OutOfDate", provider.Settings{}, []func(*assaytest.Scenario){level("OutOfDate")}, nil, 400, invalid, below, []string{"found OutOfDate", "pcesvn"}},
		{"OutOfDateConfigurationNeeded", provider.Settings{}, []func(*assaytest.Scenario){level("OutOfDateConfigurationNeeded")}, nil, 400, invalid, below, []string{"found OutOfDateConfigurationNeeded"}},
		{"Revoked", provider.Settings{}, []func(*assaytest.Scenario){level("Revoked")}, nil, 400, invalid, below, []string{"found Revoked"}},

		{"ConfigurationNeeded listed", accept("ConfigurationNeeded", ""), []func(*assaytest.Scenario){level("ConfigurationNeeded")}, nil, 200, "", "", nil},
		{"ConfigurationNeeded listed, strict", strict(accept("ConfigurationNeeded", "")), []func(*assaytest.Scenario){level("ConfigurationNeeded")}, nil, 200, "", "", nil},
		{"a list replaces the default", accept("ConfigurationNeeded", ""), nil, nil, 400, invalid, below, []string{"expected TCB status ConfigurationNeeded, found UpToDate"}},
		{"OutOfDate waived", accept("OutOfDate", day(1)), []func(*assaytest.Scenario){level("OutOfDate")}, nil, 200, "", "", nil},
		{"Revoked waived", accept("Revoked", day(1)), []func(*assaytest.Scenario){level("Revoked")}, nil, 200, "", "", nil},
		{"waiver of another status", accept("OutOfDate", day(1)), []func(*assaytest.Scenario){level("Revoked")}, nil, 400, invalid, below, []string{"found Revoked"}},
		{"waiver that has ended", accept("OutOfDate", day(-1)), []func(*assaytest.Scenario){level("OutOfDate")}, nil, 400, invalid, below, []string{"expected TCB status OutOfDate until " + day(-1) + ", found OutOfDate"}},
		{"waiver that ends today", accept("OutOfDate", day(0)), []func(*assaytest.Scenario){level("OutOfDate")}, nil, 400, invalid, below, nil},
		{"waiver under strict", strict(accept("OutOfDate", day(1))), []func(*assaytest.Scenario){level("OutOfDate")}, nil, 400, invalid, below, []string{"expected TCB status none (waivers do not count under strict), found OutOfDate", "tcb_accepted_statuses"}},

		{"evaluation number reached", provider.Settings{TCBMinEvaluationNumber: 17}, nil, nil, 200, "", "", nil},
		{"evaluation number too low", provider.Settings{TCBMinEvaluationNumber: 18}, nil, nil, 400, invalid, below, []string{"tcb_min_evaluation_number", "18 or more", "found 17"}},
		{"TCB date reached", provider.Settings{TCBMinDate: "2024-03-13"}, nil, nil, 200, "", "", nil},
		{"TCB date too early", provider.Settings{TCBMinDate: "2024-03-14"}, nil, nil, 400, invalid, below, []string{"tcb_min_date", "2024-03-14", "found 2024-03-13"}},
		{"advisory refused", provider.Settings{TCBRefusedAdvisories: []string{"INTEL-SA-90001"}}, []func(*assaytest.Scenario){level("SWHardeningNeeded")}, nil, 400, invalid, below, []string{"tcb_refused_advisories", "found INTEL-SA-90001"}},
		{"other advisory refused", provider.Settings{TCBRefusedAdvisories: []string{"INTEL-SA-90002"}}, []func(*assaytest.Scenario){level("SWHardeningNeeded")}, nil, 200, "", "", nil},

		{"debuggable", provider.Settings{}, []func(*assaytest.Scenario){debuggable}, nil, 200, "", "", nil},
		{"debuggable refused", provider.Settings{RefuseDebuggable: true}, []func(*assaytest.Scenario){debuggable}, nil, 400, invalid, "", []string{"debuggable: ", "refuse_debuggable", "expected", "found"}},
		{"debuggable under strict", strict(provider.Settings{}), []func(*assaytest.Scenario){debuggable}, nil, 400, invalid, "", []string{"debuggable: ", "refuse_debuggable, on by strict"}},

		{"report data with a tail", provider.Settings{}, []func(*assaytest.Scenario){binds("x"), tail}, []any{"runtimeData", data("x", "Binary")}, 200, "", "", nil},
		{"tail refused", provider.Settings{RequireZeroReportDataTail: true}, []func(*assaytest.Scenario){binds("x"), tail}, []any{"runtimeData", data("x", "Binary")}, 400, invalid, "", []string{"runtime-data: ", "require_zero_report_data_tail", "expected 32 zero bytes, found 00"}},
		{"tail under strict", strict(provider.Settings{}), []func(*assaytest.Scenario){binds("x"), tail}, []any{"runtimeData", data("x", "Binary")}, 400, invalid, "", []string{"runtime-data: ", "require_zero_report_data_tail, on by strict"}},
		{"tail without runtime data", strict(provider.Settings{}), []func(*assaytest.Scenario){binds("x"), tail}, nil, 200, "", "", nil},

		{"draft", provider.Settings{}, nil, []any{"draftPolicyForAttestation", permitAll}, 200, "", "", nil},
		{"draft refused", provider.Settings{AllowDraftPolicy: &no}, nil, []any{"draftPolicyForAttestation", permitAll}, 400, "InvalidOperation", "", []string{"allow_draft_policy"}},
		{"draft under strict", strict(provider.Settings{}), nil, []any{"draftPolicyForAttestation", permitAll}, 400, "InvalidOperation", "", []string{"allow_draft_policy", "strict"}},
		{"broken draft where none is allowed", provider.Settings{AllowDraftPolicy: &no}, nil, []any{"draftPolicyForAttestation", "version"}, 400, "InvalidOperation", "", nil},
		{"empty draft where none is allowed", provider.Settings{AllowDraftPolicy: &no}, nil, []any{"draftPolicyForAttestation", ""}, 200, "", "", nil},

		{"TCB info past its date", provider.Settings{}, []func(*assaytest.Scenario){fault(t, "tcb-info-expired")}, nil, 503, unavailable, "", []string{"TCB info for FMSPC A55A79000000", "nextUpdate", "collateral_expiry=enforce"}},
		{"the same, pinned", provider.Settings{CollateralExpiry: "pinned"}, []func(*assaytest.Scenario){fault(t, "tcb-info-expired")}, nil, 200, "", "", nil},
		{"the same, pinned under strict", strict(provider.Settings{CollateralExpiry: "pinned"}), []func(*assaytest.Scenario){fault(t, "tcb-info-expired")}, nil, 503, unavailable, "", []string{"collateral_expiry=enforce"}},
		{"the same, within the grace", provider.Settings{CollateralGrace: 72 * time.Hour}, []func(*assaytest.Scenario){fault(t, "tcb-info-expired")}, nil, 200, "", "", nil},
		{"CRL past its date, pinned", provider.Settings{CollateralExpiry: "pinned"}, []func(*assaytest.Scenario){fault(t, "pck-crl-expired")}, nil, 503, unavailable, "", []string{"PCK CRL"}},
		{"CRL past its date, within the grace", provider.Settings{CollateralGrace: 96 * time.Hour}, []func(*assaytest.Scenario){fault(t, "pck-crl-expired")}, nil, 200, "", "", nil},
		{"issued in the future, pinned", provider.Settings{CollateralExpiry: "pinned"}, []func(*assaytest.Scenario){fault(t, "tcb-info-not-yet-valid")}, nil, 503, unavailable, "", []string{day(2)}},

		{"CRL past its date, none required", provider.Settings{RequireCRLs: &no}, []func(*assaytest.Scenario){fault(t, "pck-crl-expired")}, nil, 200, "", "", nil},
		{"the same under strict", strict(provider.Settings{RequireCRLs: &no}), []func(*assaytest.Scenario){fault(t, "pck-crl-expired")}, nil, 503, unavailable, "", []string{"PCK CRL", "require_crls"}},
		{"revoked, no CRL required", provider.Settings{RequireCRLs: &no}, []func(*assaytest.Scenario){revokedPCK}, nil, 400, invalid, "", []string{"revoked: the PCK certificate is revoked"}},

		{"revoked by a CRL past its date, none required", provider.Settings{RequireCRLs: &no}, []func(*assaytest.Scenario){revokedPCK, fault(t, "pck-crl-expired")}, nil, 400, invalid, "", []string{"revoked: the PCK certificate is revoked"}},

		{"advisory refused, none known", provider.Settings{TCBRefusedAdvisories: []string{"INTEL-SA-90001"}}, []func(*assaytest.Scenario){func(s *assaytest.Scenario) { s.TCBInfoVersion = 2 }}, nil, 400, invalid, below, []string{"tcb_refused_advisories", "version 2"}},

		{"sound under strict", strict(provider.Settings{}), []func(*assaytest.Scenario){sound}, nil, 200, "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, config.Config{Data: folder, Settings: tt.settings})
			s.pcs.Alter(func(sc *assaytest.Scenario) {
				for _, edit := range tt.edits {
					edit(sc)
				}
			})
			a := s.attest(t, s.scenario(tt.edits...), tt.members...)
			if tt.status == http.StatusOK {
				a.claims(t)
				return
			}
			a.refused(t, tt.status, tt.code, tt.inner, tt.fragments...)
		})
	}
}

// TestWhatFitsNoTokenIsTheClientsFault: documents within every limit of their own can be too much for a token together.
func TestWhatFitsNoTokenIsTheClientsFault(t *testing.T) {
	s := start(t, config.Config{})
	many := "[" + strings.Repeat("0,", strictjson.MaxTokens-50) + "0]"
	s.attest(t, s.scenario(binds(many)), "runtimeData", data(many, "JSON")).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "do not fit into a token")

	var draft strings.Builder
	draft.WriteString("version=1.0;authorizationrules{=>permit();};issuancerules{")
	for i := range 256 {
		fmt.Fprintf(&draft, `=>add(type="t",value="%d");=>add(type="v",value=%d);`, i, i)
	}
	draft.WriteString(`x:[type=="t"]&&y:[type=="v"]=>issue(type=x.value,value=y.value);};`)
	s.attest(t, s.scenario(), "draftPolicyForAttestation", draft.String()).
		refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "issues more than")
}

func revokedPCK(s *assaytest.Scenario) { s.Revoked = []assaytest.Role{assaytest.PCK} }

// TestMissingCRLs: without require_crls a service goes on without revocation lists, and claims no hash of one.
func TestMissingCRLs(t *testing.T) {
	no := false
	for _, tt := range []struct {
		settings provider.Settings
		ok       bool
	}{{provider.Settings{}, false}, {provider.Settings{RequireCRLs: &no}, true}, {provider.Settings{RequireCRLs: &no, Strict: true}, false}} {
		s := start(t, config.Config{Settings: tt.settings})
		s.pcs.Fail(assaytest.PCKCRL, assaytest.Failure{Status: http.StatusNotFound})
		s.pcs.Fail(assaytest.RootCRL, assaytest.Failure{Status: http.StatusNotFound})
		a := s.attest(t, s.scenario())
		if !tt.ok {
			a.refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "CRL", "require_crls")
			continue
		}
		hashes, ok := a.claims(t)["x-ms-sgx-collateral"].(map[string]any)
		if !ok || hashes["quotehash"] == nil || hashes["qeidcrlhash"] != nil || hashes["tcbinfocrlhash"] != nil {
			t.Errorf("collateral hashes %v, want none of a revocation list", hashes)
		}
	}
}

// TestFixedTimeIsForEvidenceOnly holds --at to native.md section 1.1: it is never the time of a token.
func TestFixedTimeIsForEvidenceOnly(t *testing.T) {
	at := time.Now().UTC().AddDate(-1, 0, 0)
	s := start(t, config.Config{At: at})
	claims := s.attest(t, s.scenario()).claims(t)
	for name, want := range map[string]time.Time{"iat": time.Now(), "nbf": time.Now(), "exp": time.Now().Add(8 * time.Hour)} {
		got := time.Unix(number(t, claims[name]), 0)
		if d := want.Sub(got).Abs(); d > time.Minute {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
