// Package measured says what a machine measured at boot: it holds its logs against the PCRs that its TPM quoted, and draws
// the line between data that a digest covers, which policies may see, and data that anybody could have written
// (tpm.md section 7, tpm-evidence.md sections 5 and 6). Only what is on the right side of that line leaves this package.
package measured

import (
	"crypto"
	"errors"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// Log is one log of an attestation: exactly one of TCG and IMA is set.
type Log struct {
	TCG  *eventlog.Log
	IMA  *ima.List
	DRTM bool // of a dynamic launch: PCR 17 to 22 begin with zero
}

// Options are what a provider demands of logs. The zero value is strict but for the limits, which must be given.
type Options struct {
	// WithoutAuthority lets secure boot count without a record of what was verified (switch tpm_secureboot_require_authority off).
	WithoutAuthority bool
	Depth            int             // sipa_depth
	Limits           eventlog.Limits // for the data of events
	// DRTMKey is the switch tpm_drtm_signing_key. What it signs is not public, so that no signature of a dynamic launch is
	// ever valid here; the journal says so where one would be looked at.
	DRTMKey crypto.PublicKey
	Journal *evidence.Journal
}

// Boot is what a TPM vouches for of one boot. Only Verify makes one.
type Boot struct {
	quoted coverage
	events []event
	secure SecureBoot
	tags   []tag
}

// event is one line of the claim events: a record of a TCG log or an entry of an IMA list.
type event struct {
	record  *eventlog.Record // nil for an entry of an IMA list
	pcr     uint32
	decoded decoded // nil: its data is not believed, or has no form in the claim
}

// Verify replays the logs, in the order in which they were measured, holds them against every quoted PCR but 16 and 23, and
// judges the data of their events. TCG logs come before the IMA list, of which there is one at most. Without logs every
// quoted PCR must have its start value. The quoted banks are those that count. The error is an [evidence.Refusal] of
// EventLogFormat, EventLogBank, EventLogStart, EventLogReplay, EventLogData, EventLogType, SecureBootLog, WindowsEvents or
// IMAReplay.
func Verify(logs []Log, q *tpm.Quoted, opt Options) (*Boot, error) {
	b, err := verify(logs, q, opt)
	if r := (*evidence.Refusal)(nil); errors.As(err, &r) {
		return nil, opt.Journal.Fail(r)
	}
	return b, err
}

func verify(logs []Log, q *tpm.Quoted, opt Options) (*Boot, error) {
	in, err := sort(logs)
	if err != nil {
		return nil, err
	}
	entries, err := in.replay(q)
	if err != nil {
		return nil, err
	}
	opt.Journal.Pass(evidence.EventLogReplay, "every quoted PCR has the value that the logs lead to")
	if in.list != nil && entries != unquoted {
		opt.Journal.Pass(evidence.IMAReplay, plural(entries, "entry", "entries"))
	}
	j := newJudge(in, q.Banks(), opt)
	if err := j.logs(logs, entries); err != nil {
		return nil, err
	}
	return &j.boot, nil
}

// Covers reports whether what was measured into the PCR counts: it is quoted, and not 16 or 23.
func (b *Boot) Covers(pcr int) bool { return pcr >= 0 && pcr < tpm.PCRCount && b.quoted.has(pcr) }
