package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

// tellGuests is the third act: confidential virtual machines, of AMD and of Intel.
func (d *demo) tellGuests(ctx context.Context) error {
	d.say("\n10 At last confidential virtual machines. The processor of a SEV-SNP guest reports what was loaded into its encrypted memory:\n")
	guest := demoGuest()
	var err error
	if d.outcome.Guest, err = d.attestGuest(ctx, guest); err != nil {
		return fmt.Errorf("the SEV-SNP guest was refused: %w", err)
	}
	d.brief(d.outcome.Guest, "x-ms-attestation-type", "x-ms-sevsnpvm-launchmeasurement", "x-ms-sevsnpvm-is-debuggable")
	guest.Edit.Bytes = func(p assaytest.AMDPart, b []byte) []byte {
		if p == assaytest.SNPReport {
			b[snpMeasurementOffset] ^= 1
		}
		return b
	}
	_, err = d.attestGuest(ctx, guest)
	d.say("\n11 Somebody changes one bit of that measurement in the report:\n")
	if err := d.refused(&d.outcome.TamperedGuest, "the tampered report", err); err != nil {
		return err
	}
	if d.outcome.Domain, err = d.attestDomain(ctx); err != nil {
		return fmt.Errorf("the TD was refused: %w", err)
	}
	d.say("\n12 And a trust domain (TD) of Intel's TDX:\n")
	d.brief(d.outcome.Domain, "x-ms-attestation-type", "tdx_mrtd", "attester_tcb_status")
	return nil
}

// snpMeasurementOffset is where the measurement stands in a report (sev-snp.md section 1).
const snpMeasurementOffset = 0x90

// demoGuest is a guest that vouches for runtime data.
func demoGuest() *assaytest.AMDScenario {
	s := assaytest.WellKnownAMD().Scenario(assaytest.Milan, time.Time{})
	digest := sha256.Sum256([]byte(simulatedGuestData))
	copy(s.Guest.ReportData[:], digest[:])
	return s
}

// attestGuest sends the evidence of a SEV-SNP guest, and relies on the token.
func (d *demo) attestGuest(ctx context.Context, s *assaytest.AMDScenario) (*tokenReport, error) {
	doc, err := s.Evidence()
	if err != nil {
		return nil, err
	}
	return d.earn(ctx, evidence.SevSnpVM, attestBodyFor(evidence.SevSnpVM, doc, &runtimeData{[]byte(simulatedGuestData), true}))
}

// attestDomain sends the quote of a TD, and relies on the token.
func (d *demo) attestDomain(ctx context.Context) (*tokenReport, error) {
	s := assaytest.WellKnownIntel().TDXScenario(time.Time{})
	digest := sha256.Sum256([]byte(simulatedGuestData))
	copy(s.TD.ReportData[:], digest[:])
	quote, err := s.Quote()
	if err != nil {
		return nil, err
	}
	return d.earn(ctx, evidence.TdxVM, attestBodyFor(evidence.TdxVM, quote, &runtimeData{[]byte(simulatedGuestData), true}))
}

// earn gets a token for a body, and verifies it.
func (d *demo) earn(ctx context.Context, t evidence.Type, body *attestBody) (*tokenReport, error) {
	m, err := attestMessage(t, body)
	if err != nil {
		return nil, err
	}
	token, err := d.remote().token(ctx, m)
	if err != nil {
		return nil, err
	}
	return d.relyOn(ctx, token)
}

// brief shows a few claims of a verified token.
func (d *demo) brief(report *tokenReport, names ...string) {
	if d.json {
		return
	}
	s := d.sheet()
	s.heading(green, "VERIFIED", "token of "+report.Issuer)
	s.rows(slices.DeleteFunc(memberRows(report.Claims), func(r row) bool { return !slices.Contains(names, r.name) })...)
}
