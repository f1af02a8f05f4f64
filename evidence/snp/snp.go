// Package snp is the evidence of AMD SEV-SNP guests: an attestation report that the platform's secure processor signed with a key
// of its chip (VCEK) or of its cloud provider (VLEK), and the certificates from that key to AMD's root. Specification:
// sev-snp.md sections 1 to 3 and 5, tokens.md section 7.
//
// Verification climbs a ladder whose rungs are types. [ParseReport] and [ParseChain] give what is well-formed, of which nothing
// is believed. [Roots.Trace] follows a chain to a trusted ARK and gives the [Signer]: a key of a known chip or provider, and
// the TCB it was derived for. [Verify] takes report and signer and gives [Verified]: facts. Whether debugging, migration or a TCB
// is acceptable is not decided here.
//
// The package is pure: no network, no clock, no files; time is an argument.
package snp

import (
	"encoding/hex"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// Options steer a verification. The zero value but for At is the strict one.
type Options struct {
	At                time.Time     // the time to judge at
	AllowMaskedChipID bool          // accept a report whose chip id is zero beside a VCEK (switch snp_allow_masked_chip_id)
	Revocations       []*CRL        // AMD's revocation lists to apply (switch snp_crls); none: revocation is not checked
	Grace             time.Duration // how long past nextUpdate a revocation list still counts (limit collateral_grace)
	MinVersion        uint32        // limit snp_report_versions; zero: 2
	MaxVersion        uint32        // likewise; zero: 5
	Journal           *evidence.Journal
}

// Verified is a report that holds: every signature and binding was checked. What it says is a fact that the caller must still
// accept or refuse.
type Verified struct {
	Report *Report
	Signer *Signer
}

// Claims states the service's claims about the guest, in the names and formats of the token (tokens.md section 7). Security versions are those of the
// reported TCB, for which the key was derived.
func (v *Verified) Claims() []evidence.Claim {
	r, tcb := v.Report, v.Signer.Product.Components(v.Report.ReportedTCB)
	claims := []evidence.Claim{{Name: "x-ms-attestation-type", Value: "sevsnpvm"}}
	add := func(name string, value any) {
		claims = append(claims, evidence.Claim{Name: "x-ms-sevsnpvm-" + name, Value: value})
	}
	add("authorkeydigest", hex.EncodeToString(r.AuthorKeyDigest[:]))
	add("bootloader-svn", int64(tcb.BootLoader))
	add("familyId", hex.EncodeToString(r.FamilyID[:]))
	add("guestsvn", int64(r.GuestSVN))
	add("hostdata", hex.EncodeToString(r.HostData[:]))
	add("idkeydigest", hex.EncodeToString(r.IDKeyDigest[:]))
	add("imageId", hex.EncodeToString(r.ImageID[:]))
	add("is-debuggable", r.Debug())
	add("launchmeasurement", hex.EncodeToString(r.Measurement[:]))
	add("microcode-svn", int64(tcb.Microcode))
	add("migration-allowed", r.Migratable())
	add("reportdata", hex.EncodeToString(r.ReportData[:]))
	add("reportid", hex.EncodeToString(r.ReportID[:]))
	add("smt-allowed", r.SMT())
	add("snpfw-svn", int64(tcb.SNP))
	add("tee-svn", int64(tcb.TEE))
	add("vmpl", int64(r.VMPL))
	return claims
}

// NewerClaims states what tokens for Azure guests of protocol version 3.0 say beside [Verified.Claims]: bits 20 to 25 of the guest policy, in
// their order (tokens.md section 7).
func (v *Verified) NewerClaims() (claims []evidence.Claim) {
	const first = 20
	for i, name := range []string{
		"singlesocket", "cxl-allowed", "mem-aes256-xts-required", "rapl-disabled", "ciphertext-hiding-dram-enabled", "page-swap-disabled",
	} {
		claims = append(claims, evidence.Claim{Name: "x-ms-sevsnpvm-" + name, Value: v.Report.Policy>>(first+i)&1 != 0})
	}
	return claims
}
