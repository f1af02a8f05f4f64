package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestTermsOfReports(t *testing.T) {
	for _, tt := range []struct {
		properties string
		want       ReportTerms
		fragment   string
	}{
		{``, ReportTerms{0, false}, ""},
		{`=> issueproperty(type="report_validity_in_minutes", value=1);`, ReportTerms{1, false}, ""},
		{`=> issueproperty(type="report_validity_in_minutes", value=525600);`, ReportTerms{525600, false}, ""},
		{`=> issueproperty(type="report_validity_in_minutes", value=525601);`, ReportTerms{525600, false}, ""},
		{`=> issueproperty(type="report_validity_in_minutes", value=9223372036854775807); => issueproperty(type="omit_x5c", value=true);`, ReportTerms{525600, true}, ""},
		{`=> issueproperty(type="omit_x5c", value=false); => issueproperty(type="other", value="x");`, ReportTerms{0, false}, ""},
		{`=> issueproperty(type="report_validity_in_minutes", value=0);`, ReportTerms{}, "is 0"},
		{`=> issueproperty(type="report_validity_in_minutes", value=-1);`, ReportTerms{}, "is -1"},
		{`=> issueproperty(type="report_validity_in_minutes", value="60");`, ReportTerms{}, "must be Integer"},
		{`=> issueproperty(type="report_validity_in_minutes", value=60); => issueproperty(type="report_validity_in_minutes", value=61);`, ReportTerms{}, "60, 61"},
		{`=> issueproperty(type="omit_x5c", value="true");`, ReportTerms{}, "must be Boolean"},
	} {
		p, err := Parse(fmt.Appendf(nil, "version= 1.2;authorizationrules{=> permit();};issuancerules{%s};", tt.properties))
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := p.Evaluate(nil, Budget{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := outcome.ReportTerms()
		_, failed := errors.AsType[*EvaluationError](err)
		if got != tt.want || failed != (tt.fragment != "") || err != nil && !strings.Contains(err.Error(), tt.fragment) {
			t.Errorf("%s: %+v, %v", tt.properties, got, err)
		}
	}
}

func TestConfigurationOfTPMs(t *testing.T) {
	for _, tt := range []struct {
		rules    string
		valid    bool
		mask     uint32
		fragment string
	}{
		{``, true, 0xFFFFFF, ""},
		{`=> issueproperty(type="require_valid_aik_cert", value=false); => issueproperty(type="required_pcr_mask", value=15);`, false, 15, ""},
		{`=> issueproperty(type="required_pcr_mask", value=0);`, true, 0, ""},
		{`=> issueproperty(type="required_pcr_mask", value=16777216);`, true, 0, "16777216"},
		{`=> issueproperty(type="required_pcr_mask", value=-1);`, true, 0, "-1"},
	} {
		p, err := Parse(fmt.Appendf(nil, "version= 1.2;configurationrules{%s};authorizationrules{=> permit();};issuancerules{};", tt.rules))
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Configure("Tpm", Budget{})
		if err != nil {
			t.Fatal(err)
		}
		mask, err := c.RequiredPCRs()
		_, failed := errors.AsType[*EvaluationError](err)
		if mask != tt.mask || c.RequiresAIKCertificate() != tt.valid || failed != (tt.fragment != "") || err != nil && !strings.Contains(err.Error(), tt.fragment) {
			t.Errorf("%s: %#x, %t, %v", tt.rules, mask, c.RequiresAIKCertificate(), err)
		}
	}
}
