package provider

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// Settings are the switches of a provider, under the names of the specification (README.md section 6). Those of evidence
// that this version does not verify are not there, and refused like unknown ones.
type Settings struct {
	// Strict puts every switch at its strict value.
	Strict bool `yaml:"strict"`
	// AllowDraftPolicy is on by default.
	AllowDraftPolicy *bool `yaml:"allow_draft_policy"`
	// RefuseDebuggable refuses debuggable enclaves before the policy runs.
	RefuseDebuggable bool `yaml:"refuse_debuggable"`
	// PublicNetworkAccess and TPMAttestationAuthentication are Enabled, Disabled, or empty for Enabled. They are here for the
	// default provider; of others they are members of their own (management.md section 4.1).
	PublicNetworkAccess          string `yaml:"publicNetworkAccess"`
	TPMAttestationAuthentication string `yaml:"tpmAttestationAuthentication"`
	// AnonymousPolicyRead lets callers without a token read the policies.
	AnonymousPolicyRead bool `yaml:"anonymous_policy_read"`
	// HidePolicyReasons keeps the text of the policy, and the claims it met, out of the messages of its refusals, for callers
	// that may not read the policy.
	HidePolicyReasons bool `yaml:"hide_policy_reasons"`
	// RequireZeroReportDataTail demands a zero upper half of the report data when runtime data is given.
	RequireZeroReportDataTail bool `yaml:"require_zero_report_data_tail"`
	// RequireCRLs is on by default.
	RequireCRLs *bool `yaml:"require_crls"`
	// CollateralExpiry is enforce or pinned; empty: enforce for live baselines, pinned for stored ones.
	CollateralExpiry string `yaml:"collateral_expiry"`
	// CollateralGrace is how long past nextUpdate collateral is still used.
	CollateralGrace time.Duration `yaml:"collateral_grace"`
	// TCBAcceptedStatuses are the statuses that earn a token, each with the date (2026-01-31) on which its waiver
	// ends, or with an empty string. Default: UpToDate and SWHardeningNeeded.
	TCBAcceptedStatuses map[string]string `yaml:"tcb_accepted_statuses"`
	// TCBMinEvaluationNumber, TCBMinDate and TCBRefusedAdvisories are further conditions of the baseline.
	TCBMinEvaluationNumber uint32   `yaml:"tcb_min_evaluation_number"`
	TCBMinDate             string   `yaml:"tcb_min_date"`
	TCBRefusedAdvisories   []string `yaml:"tcb_refused_advisories"`

	TPMSettings   `yaml:",inline"`
	SNPSettings   `yaml:",inline"`
	AzureSettings `yaml:",inline"`
}

// ErrSettings is in the error of settings that cannot be used.
var ErrSettings = errors.New("settings")

// maxSettings bounds the settings of a provider in bytes of JSON: room for maxKeySets sets of secure-boot keys with a dbx of today, 29 KB each.
const maxSettings = 512 << 10

// ParseSettings reads the settings of a stored provider, a JSON object with the keys of the configuration file; nothing and
// null mean the defaults. Unknown keys are refused. The error wraps ErrSettings.
func ParseSettings(b jsontext.Value) (Settings, error) {
	s, err := readSettings(b)
	if err == nil {
		_, err = s.Baseline()
	}
	switch {
	case err != nil:
	case s.CollateralGrace != 0:
		err = errors.New("collateral_grace is a limit of the whole service: set it in its configuration")
	case s.PublicNetworkAccess != "" || s.TPMAttestationAuthentication != "":
		err = errors.New("publicNetworkAccess and tpmAttestationAuthentication are members of the provider itself, beside its settings")
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrSettings, err)
	}
	return s, err
}

// readSettings reads JSON by its grammar first, then as the YAML that it is too, so that there is one list of keys.
func readSettings(b jsontext.Value) (s Settings, err error) {
	if len(b) == 0 || b.Kind() == 'n' {
		return s, nil
	}
	if len(b) > maxSettings {
		return s, fmt.Errorf("expected at most %d bytes, found %d", maxSettings, len(b))
	}
	var members map[string]jsontext.Value
	if err := strictjson.Exact(b, &members); err != nil {
		return s, err
	}
	var whole uint32 // as YAML, 17.9 would be 17
	if n := members["tcb_min_evaluation_number"]; n != nil {
		if err := strictjson.Exact(n, &whole); err != nil {
			return s, fmt.Errorf("tcb_min_evaluation_number: %w", err)
		}
	}
	canonical, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return s, err
	}
	if err := yaml.UnmarshalWithOptions(canonical, &s, yaml.Strict()); err != nil {
		return s, errors.New(yaml.FormatError(err, false, false)) // without a picture of several lines
	}
	return s, nil
}

// Baseline turns the settings into the verifier's terms.
func (s *Settings) Baseline() (verifier.Baseline, error) {
	b := verifier.Baseline{
		Strict:              s.Strict,
		AllowDraftPolicy:    s.AllowDraftPolicy == nil || *s.AllowDraftPolicy,
		RefuseDebuggable:    s.RefuseDebuggable,
		ZeroReportDataTail:  s.RequireZeroReportDataTail,
		WithoutCRLs:         s.RequireCRLs != nil && !*s.RequireCRLs,
		CollateralGrace:     s.CollateralGrace,
		MinEvaluationNumber: s.TCBMinEvaluationNumber,
		RefusedAdvisories:   s.TCBRefusedAdvisories,
	}
	if s.CollateralGrace < 0 {
		return b, fmt.Errorf("collateral_grace: expected a duration such as 24h, found %v", s.CollateralGrace)
	}
	var err error
	if b.Expiry, err = s.expiry(); err != nil {
		return b, err
	}
	if err := cmp.Or(checkAbled("publicNetworkAccess", s.PublicNetworkAccess), checkAbled("tpmAttestationAuthentication", s.TPMAttestationAuthentication)); err != nil {
		return b, err
	}
	if b.TPM, err = s.TPMSettings.demands(); err != nil {
		return b, err
	}
	if b.SNP, err = s.SNPSettings.demands(); err != nil {
		return b, err
	}
	if b.Azure, err = s.AzureSettings.demands(); err != nil {
		return b, err
	}
	if s.TCBMinDate != "" {
		if b.MinDate, err = date("tcb_min_date", s.TCBMinDate); err != nil {
			return b, err
		}
	}
	for status, until := range s.TCBAcceptedStatuses {
		if b.AcceptedStatuses == nil {
			b.AcceptedStatuses = map[dcap.Status]time.Time{}
		}
		var end time.Time
		if until != "" {
			if end, err = date("tcb_accepted_statuses", until); err != nil {
				return b, err
			}
		}
		b.AcceptedStatuses[dcap.Status(status)] = end
	}
	return b, b.Check()
}

// expiry is nil where the baseline itself decides.
func (s *Settings) expiry() (*dcap.Expiry, error) {
	e := dcap.Enforce
	switch s.CollateralExpiry {
	case "":
		return nil, nil
	case "enforce":
		return &e, nil
	case "pinned":
		e = dcap.Pinned
		return &e, nil
	}
	return nil, fmt.Errorf("collateral_expiry: expected enforce or pinned, found %q", s.CollateralExpiry)
}

func date(key, s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("%s: expected a date such as 2026-01-31, found %q", key, s)
	}
	return t, nil
}

// disabled is the value of a switch of ARM's that is off.
const disabled = "Disabled"

// checkAbled checks a switch of ARM's.
func checkAbled(name, value string) error {
	if value != "" && value != "Enabled" && value != disabled {
		return fmt.Errorf("%s: expected Enabled or Disabled, found %.40q", name, value)
	}
	return nil
}
