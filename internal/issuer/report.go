package issuer

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/result"
)

// Times of reports (tokens.md section 4, policy.md section 6).
const (
	ReportBackdating      = 5 * time.Minute      // fixed, as published
	DefaultReportValidity = 1440 * time.Minute   // the limit tpm_report_validity
	MaxReportValidity     = 365 * 24 * time.Hour // fixed: the largest report_validity_in_minutes, 525600
)

// reportIDBytes is how much randomness names a report.
const reportIDBytes = 20

// MintReport makes the report that a permit is the right to, issued at now (tokens.md section 10). Before,
// keyring.Ring.Reserve must have been told of its validity. An error is as sign gives it, or says that the permit
// is not for a report that can be.
func (k *Keys) MintReport(p *verifier.ReportPermit, now time.Time) (string, error) {
	return k.report(reportBody{p.Claims(), p.Validity(), p.OmitChain()}, now)
}

// reportBody is what a permit says.
type reportBody struct {
	claims    []evidence.Claim
	validity  time.Duration
	omitChain bool
}

// report signs a report and verifies it as a relying party would.
func (k *Keys) report(b reportBody, now time.Time) (string, error) {
	signer := k.inUse(now).reports
	if signer.Key == nil {
		return "", fmt.Errorf("issuing a report: %w", errNoAuthority)
	}
	members, err := k.reportMembers(b, now)
	if err != nil {
		return "", fmt.Errorf("issuing a report: %w", err)
	}
	token, err := signer.Sign(members, b.omitChain)
	if err != nil {
		return "", fmt.Errorf("issuing a report: %w", err)
	}
	want := result.Expect{Issuer: k.issuer, At: now, AllowDevelopment: true}
	if _, err := result.Verify(token, k.set, want); err != nil {
		return "", fmt.Errorf("issuing a report: the own check refused it: %w", err)
	}
	return token, nil
}

// reportMembers puts the registered claims before those of the verifier, which has made all others: rp_data, nonce, cnf and what
// follows. It must give none of the registered ones.
func (k *Keys) reportMembers(b reportBody, now time.Time) ([]result.Member, error) {
	if b.validity < time.Second || b.validity > MaxReportValidity {
		return nil, fmt.Errorf("a validity of %s, expected %s to %s", b.validity, time.Second, MaxReportValidity)
	}
	members := []result.Member{
		{Name: result.ClaimNotBefore, Value: now.Add(-ReportBackdating).Unix()},
		{Name: result.ClaimExpires, Value: now.Add(b.validity).Unix()},
		{Name: result.ClaimIssuedAt, Value: now.Unix()},
		{Name: result.ClaimIssuer, Value: k.issuer},
		{Name: result.ClaimTokenID, Value: newReportID()},
		{Name: "ver", Value: "1.0"},
		{Name: "x-ms-ver", Value: "1.0"},
	}
	if k.development {
		members = append(members, result.Member{Name: result.ClaimDevelopment, Value: true})
	}
	for _, c := range b.claims {
		if isRegistered(c.Name) {
			return nil, fmt.Errorf("the claim %s is not the verifier's to give", c.Name)
		}
		members = append(members, result.Member{Name: c.Name, Value: c.Value})
	}
	return members, nil
}

// isRegistered reports whether the issuer alone gives a claim of a report.
func isRegistered(name string) bool {
	switch name {
	case result.ClaimNotBefore, result.ClaimExpires, result.ClaimIssuedAt, result.ClaimIssuer, result.ClaimTokenID, result.ClaimDevelopment, "ver", "x-ms-ver":
		return true
	}
	return false
}

func newReportID() string {
	var id [reportIDBytes]byte
	rand.Read(id[:]) // never fails: the program ends if the system has no randomness
	return hex.EncodeToString(id[:])
}
