package verifier

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/policy"
)

// ErrNoDrafts says that the provider takes no draft policies.
var ErrNoDrafts = errors.New("draft policies are not allowed here (allow_draft_policy)")

// ErrBusy says that too many policies are being evaluated.
var ErrBusy = errors.New("too many policies are being evaluated")

// Baseline is what a provider demands of a platform before its policy is asked (README.md section 6 of the
// specification, sgx-tdx.md section 9.1). The zero value but for AllowDraftPolicy is the default.
type Baseline struct {
	Strict              bool
	AllowDraftPolicy    bool
	RefuseDebuggable    bool
	ZeroReportDataTail  bool
	WithoutCRLs         bool                      // require_crls off
	Expiry              *dcap.Expiry              // collateral_expiry; nil: as the baseline in use says
	CollateralGrace     time.Duration             // collateral_grace
	AcceptedStatuses    map[dcap.Status]time.Time // with the end of the waiver, zero for none; nil: the default
	MinEvaluationNumber uint32                    // tcb_min_evaluation_number
	MinDate             time.Time                 // tcb_min_date
	RefusedAdvisories   []string                  // tcb_refused_advisories
	TPM                 TPMDemands
	SNP                 SNPDemands
	Azure               AzureDemands
}

// Check reports settings that would open more than the specification allows: a status that stands for an outdated
// platform needs an end date.
func (b *Baseline) Check() error {
	for status, until := range b.AcceptedStatuses {
		switch status {
		case dcap.UpToDate, dcap.SWHardeningNeeded, dcap.ConfigurationNeeded, dcap.ConfigurationAndSWHardeningNeeded:
		case dcap.OutOfDate, dcap.OutOfDateConfigurationNeeded, dcap.RevokedTCB, dcap.TDRelaunchAdvised, dcap.TDRelaunchAdvisedConfigurationNeeded:
			if until.IsZero() {
				return fmt.Errorf("tcb_accepted_statuses: %s needs the date on which the waiver ends", status)
			}
		default:
			return fmt.Errorf("tcb_accepted_statuses: unknown status %q", status)
		}
	}
	return nil
}

func (b *Baseline) refuseDebuggable() bool { return b.RefuseDebuggable || b.Strict }

func (b *Baseline) zeroTail() bool { return b.ZeroReportDataTail || b.Strict }

// named names the setting behind a refusal, and strict where that alone turned it on.
func named(setting string, on bool) string {
	if on {
		return setting
	}
	return setting + ", on by strict,"
}

// options are those of the verification; strict lets every date count.
func (b *Baseline) options(at time.Time, expiry dcap.Expiry) dcap.Options {
	opt := dcap.Options{At: at, Expiry: expiry, Grace: b.CollateralGrace, WithoutCRLs: b.WithoutCRLs}
	if b.Expiry != nil {
		opt.Expiry = *b.Expiry
	}
	if b.Strict {
		opt.Expiry, opt.WithoutCRLs = dcap.Enforce, false
	}
	return opt
}

// accept decides whether the facts about s earn a token.
func (b *Baseline) accept(s *Subject, at time.Time) error {
	if s.debuggable != nil && b.refuseDebuggable() {
		refusal := *s.debuggable
		refusal.Problem += ", which the provider's setting " + named("refuse_debuggable", b.RefuseDebuggable) + " forbids"
		return &refusal
	}
	if s.standing == nil {
		return nil
	}
	return b.acceptStanding(s.standing, at)
}

// acceptStanding decides whether a platform that Intel's collateral rates is good enough.
func (b *Baseline) acceptStanding(v *dcap.Verified, at time.Time) error {
	if !b.accepts(v.Status, at) {
		return below().Want("TCB status "+b.list(), v.Status).Do(v.Remedy("tcb_accepted_statuses"))
	}
	switch {
	case v.EvaluationNumber < b.MinEvaluationNumber:
		return below().Want(fmt.Sprintf("collateral of TCB evaluation data number %d or more (the provider's setting tcb_min_evaluation_number)", b.MinEvaluationNumber), v.EvaluationNumber).
			Do("the policy has to name a newer baseline in " + policy.TCBIdentifier + ", or the operator to renew the collateral; the platform is not at fault")
	case v.Date.Before(b.MinDate):
		return below().Want("TCB date not before "+b.MinDate.Format(time.DateOnly)+" (tcb_min_date)", v.Date.Format(time.DateOnly)).
			Do("update the platform: its TCB level is of that date")
	}
	if len(b.RefusedAdvisories) > 0 && !v.AdvisoriesKnown {
		return below().Want("TCB info of version 3, which names advisories (tcb_refused_advisories)", "version 2, which does not").
			Do("use a baseline with TCB info of version 3")
	}
	for _, id := range v.AdvisoryIDs {
		if slices.Contains(b.RefusedAdvisories, id) {
			return below().Want("no refused advisory (tcb_refused_advisories)", id).Do("update the platform as the advisory says")
		}
	}
	return nil
}

// accepts reports whether status is accepted at the given time. Under strict, waivers do not count.
func (b *Baseline) accepts(status dcap.Status, at time.Time) bool {
	if b.AcceptedStatuses == nil {
		return status == dcap.UpToDate || status == dcap.SWHardeningNeeded
	}
	until, listed := b.AcceptedStatuses[status]
	return listed && (until.IsZero() || !b.Strict && at.Before(until))
}

// list names the accepted statuses, each waiver with its end unless strict disregards it.
func (b *Baseline) list() string {
	if b.AcceptedStatuses == nil {
		return "UpToDate or SWHardeningNeeded"
	}
	var words []string
	disregarded := ""
	for _, status := range slices.Sorted(maps.Keys(b.AcceptedStatuses)) {
		switch until := b.AcceptedStatuses[status]; {
		case until.IsZero():
			words = append(words, string(status))
		case b.Strict:
			disregarded = " (waivers do not count under strict)"
		default:
			words = append(words, string(status)+" until "+until.Format(time.DateOnly))
		}
	}
	if len(words) == 0 {
		words = []string{"none"}
	}
	return strings.Join(words, " or ") + disregarded
}

// below starts the refusal of a platform that verifies but is not good enough; the text is the real service's.
func below() *evidence.Refusal {
	return evidence.Refuse(evidence.TCBBaseline, "OE_TCB_LEVEL_INVALID: The specified quote was invalid because the device on "+
		"which the quote was generated does not meet the azure baseline requirements")
}
