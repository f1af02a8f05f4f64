// Package measured says what a machine measured at boot: it holds its logs against the PCRs that its TPM quoted, and draws
// the line between data that a digest covers, which policies may see, and data that anybody could have written
// (tpm.md section 7, tpm-evidence.md sections 5 and 6). Only what is on the right side of that line leaves this package.
package measured

import (
	"crypto"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

var errTODO = errors.New("not implemented")

// Log is one log of an attestation, of the TCG's form or an IMA list.
type Log struct {
	TCG  *eventlog.Log
	IMA  *ima.List
	DRTM bool // of a dynamic launch: PCR 17 to 22 begin with zero
}

// Options are what a provider demands of logs. The zero value is strict but for the limits, which must be given.
type Options struct {
	// WithoutAuthority lets secure boot count without a record of what was verified (switch tpm_secureboot_require_authority off).
	WithoutAuthority bool
	Depth            int              // sipa_depth
	Limits           eventlog.Limits  // for the data of events
	DRTMKey          crypto.PublicKey // tpm_drtm_signing_key; nil: no signature of a dynamic launch is valid
	Journal          *evidence.Journal
}

// Boot is what a TPM vouches for of one boot. Only Verify makes one.
type Boot struct{}

// Verify replays the logs, in the order in which they were measured, holds them against every quoted PCR, and judges the data
// of their events. Where one bank is SHA-1 and does not count, it is not in q. The error is an [evidence.Refusal].
func Verify(logs []Log, q *tpm.Quoted, opt Options) (*Boot, error) { return nil, errTODO }

// SecureBoot is what PCR 7 says, as far as it is quoted.
type SecureBoot struct {
	Enabled               bool
	DMAProtectionDisabled bool
	PK, KEK, DB, DBX      []eventlog.Signature
	Authorities           []eventlog.Signature // what was verified before the OS started, as far as believed
}

// SecureBoot gives the state of secure boot.
func (b *Boot) SecureBoot() SecureBoot { return SecureBoot{} }

// Facts are the scalar claims that rest on events (tpm.md section 8), each false where a PCR that its rule reads is not
// quoted.
type Facts struct {
	SecureBootEnabled, BootDebuggingDisabled, NotSafeMode, NotWinPE, VBSEnabled, IOMMUEnabled bool
}

// And is true where both are: for the boot before hibernation and the current one.
func (f Facts) And(g Facts) Facts {
	return Facts{
		f.SecureBootEnabled && g.SecureBootEnabled, f.BootDebuggingDisabled && g.BootDebuggingDisabled, f.NotSafeMode && g.NotSafeMode,
		f.NotWinPE && g.NotWinPE, f.VBSEnabled && g.VBSEnabled, f.IOMMUEnabled && g.IOMMUEnabled,
	}
}

// Facts gives the scalar claims.
func (b *Boot) Facts() Facts { return Facts{} }

// Setting is a believed SIPA element with the PCR it was measured into, before the end of the boot phase.
type Setting struct {
	PCR     uint32
	Element sipa.Element
}

// Settings gives all settings of an id in the order of the log.
func (b *Boot) Settings(id sipa.ID) []Setting { return nil }

// IDKS are the different keys of secure kernels that were measured (VSM_IDKS_INFO).
func (b *Boot) IDKS() []sipa.IDKS { return nil }

// EventsOptions change the claim events.
type EventsOptions struct {
	Digests bool // switch tpm_event_digests
}

// Events writes the claim events or bootEvents (tpm.md sections 9.1 and 9.2).
func (b *Boot) Events(opt EventsOptions) (jsontext.Value, error) { return nil, errTODO }

// PCRs writes the claim pcrs (tpm.md section 9.3), digests in base64url, or in hex.
func PCRs(q *tpm.Quoted, hex bool) jsontext.Value { return nil }
