package keyring

import (
	"fmt"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
)

// The schedule that holds unless something else is configured.
const (
	DefaultLead  = 24 * time.Hour // the limit key_publish_lead
	DefaultEvery = 90 * 24 * time.Hour
	// DefaultRetain is the longest life of a token that is issued by default, that of a TPM report
	// (tpm_report_validity, tokens.md section 4), and Slack.
	DefaultRetain = 24*time.Hour + Slack
)

// Slack is how much longer than its tokens a key is listed, for clocks that differ.
const Slack = 5 * time.Minute

// Bounds of a schedule.
const (
	// MinLead is the shortest time between the listing of a key and its first token. Replicas see a change within a
	// second and their clocks may differ by another one.
	MinLead = 2 * time.Second
	// MinRetain is how long a superseded key is listed at least.
	MinRetain = issuer.AttestationLifetime + Slack
)

// Schedule says when signing keys come and go (tokens.md section 3.2).
type Schedule struct {
	Lead   time.Duration // a new key is listed this long before it signs
	Every  time.Duration // a key signs this long, then the next one does; 0: until somebody rotates
	Retain time.Duration // a key is listed this long after another one took over
}

// DefaultSchedule is made of the defaults.
func DefaultSchedule() Schedule {
	return Schedule{Lead: DefaultLead, Every: DefaultEvery, Retain: DefaultRetain}
}

// Check refuses schedules that break relying parties: tokens signed with keys that are not listed yet, or no longer, and
// more keys at a time than a provider can have.
func (s Schedule) Check() error {
	switch {
	case s.Lead < MinLead:
		return fmt.Errorf("keys are to sign %s after they are listed: at least %s are needed until all replicas list them", s.Lead, MinLead)
	case s.Retain < MinRetain:
		return fmt.Errorf("superseded keys are to be listed for %s: at least %s are needed while tokens signed with them live", s.Retain, MinRetain)
	case s.Every != 0 && s.Every <= s.Lead:
		return fmt.Errorf("keys are to sign for %s and to be listed %s before: each must sign longer than the next one is listed before", s.Every, s.Lead)
	case s.Every != 0 && s.Retain/s.Every >= issuer.MaxKeys/2:
		return fmt.Errorf("keys are to sign for %s and to be listed for another %s: more than %d would be listed at a time", s.Every, s.Retain, issuer.MaxKeys/2)
	}
	return nil
}

// LongestReport is the longest validity of reports whose keys this schedule can keep listed until they expire, in whole seconds:
// a year, or less if keys change so often that a provider would have too many.
func (s Schedule) LongestReport() time.Duration {
	if s.Every == 0 || s.Every > issuer.MaxReportValidity {
		return issuer.MaxReportValidity
	}
	return min(issuer.MaxReportValidity, (s.Every*(issuer.MaxKeys/2) - Slack - 1).Truncate(time.Second))
}

// retaining is the schedule of a provider whose longest report lives so long: its keys are listed until that has expired.
func (s Schedule) retaining(longestReport time.Duration) Schedule {
	s.Retain = max(s.Retain, longestReport+Slack)
	return s
}

// Listed is what the schedule has to know of a key.
type Listed struct {
	ID   string
	From time.Time // it signs from then on
}

// Plan decides what is to be done about a provider's keys, given in the order in which they sign: from when the keys to
// add shall sign, and which ones to drop. Times to sign from are whole seconds.
//
// Without a key, one is to sign at once. When the newest one will have signed long enough once a new one may sign, one is to
// sign then; but not while another one is to come. Dropped are the keys whose successor has signed for the time of Retain.
func Plan(keys []Listed, now time.Time, s Schedule) (add []time.Time, drop []string) {
	if len(keys) == 0 {
		return []time.Time{now.Truncate(time.Second)}, nil
	}
	for i, successor := range keys[1:] {
		if now.Sub(successor.From) > s.Retain {
			drop = append(drop, keys[i].ID)
		}
	}
	newest := keys[len(keys)-1].From
	if s.Every > 0 && !newest.After(now) && now.Sub(newest) >= s.Every-s.Lead {
		add = []time.Time{after(now, s.Lead)}
	}
	return add, drop
}

// after is the first whole second that lies at least the lead after now.
func after(now time.Time, lead time.Duration) time.Time {
	return now.Add(lead + time.Second - 1).Truncate(time.Second)
}
