package verifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/uvm"
)

// SNP is what the evidence of SEV-SNP guests is held against, beside the demands of the provider.
type SNP struct {
	Signers     *Signers
	Revocations []*snp.CRL // the lists of the demands, verified
	// Unusable says why the lists of the demands cannot be used, nil if they can: nothing is attested then. It is an [evidence.Refusal].
	Unusable error
	// MinVersion and MaxVersion are the limit snp_report_versions; zero: its default.
	MinVersion, MaxVersion uint32
	// Chains asks AMD's key service for the certificates that a report is signed under. Errors are [evidence.Refusal] where the service
	// knows none; every other one means that it cannot be had now. Nil: nobody is asked.
	Chains func(context.Context, *snp.Report) (*snp.Chain, error)
}

// SNPDemands are the settings of a provider about SEV-SNP (README.md section 6 of the specification). The zero value is the default.
type SNPDemands struct {
	AllowMaskedChipID bool     // snp_allow_masked_chip_id
	FetchChains       bool     // snp_kds
	Revocations       [][]byte // snp_crls, DER
	UVM               []UVMIssuer
}

// UVMIssuer is an issuer of endorsements that count, and the compliance status that one of them earns; empty: none.
type UVMIssuer struct {
	uvm.Issuer
	ComplianceStatus string
}

func (v *Verifier) verifyGuest(ctx context.Context, r Request) (*Subject, error) {
	verified, status, err := v.verifySNP(ctx, r, r.Evidence)
	if err != nil {
		return nil, err
	}
	return OfGuest(verified, status), nil
}

// verifySNP climbs from the document of a SEV-SNP request to its verified report, and gives the compliance status that endorsements earn it.
func (v *Verifier) verifySNP(ctx context.Context, r Request, document []byte) (*snp.Verified, string, error) {
	e, err := snp.Parse(document)
	if err != nil {
		return nil, "", err
	}
	if v.cfg.SNP.Unusable != nil {
		return nil, "", v.cfg.SNP.Unusable
	}
	opt := v.guestOptions(r)
	signer, err := v.signer(ctx, e, opt)
	if err != nil {
		return nil, "", err
	}
	verified, err := snp.Verify(e.Report, signer, opt)
	if err != nil {
		return nil, "", err
	}
	status, err := v.endorsed(e, verified, opt.Journal)
	return verified, status, err
}

// guestOptions are those of the verification of a report.
func (v *Verifier) guestOptions(r Request) snp.Options {
	b := &v.cfg.Baseline
	return snp.Options{
		At: r.At, AllowMaskedChipID: b.SNP.AllowMaskedChipID && !b.Strict, Revocations: v.cfg.SNP.Revocations, Grace: b.CollateralGrace,
		MinVersion: v.cfg.SNP.MinVersion, MaxVersion: v.cfg.SNP.MaxVersion, Journal: &r.Record.Checks,
	}
}

// signer finds the key that signed the report: by the certificates that came with it, or where these are not complete and the
// provider wants it, by those of AMD's key service.
func (v *Verifier) signer(ctx context.Context, e *snp.Evidence, opt snp.Options) (*snp.Signer, error) {
	opt.Journal = nil // whoever appraises records the refusal that is the last
	fetches := v.cfg.SNP.Chains != nil && v.cfg.Baseline.SNP.FetchChains
	if e.Chain != nil {
		signer, err := v.cfg.SNP.Signers.Trace(e.Chain, opt)
		if !fetches || !errors.Is(err, snp.ErrMissing) {
			return signer, err
		}
	}
	if !fetches {
		return nil, evidence.Refuse(evidence.SNPChain, "no certificates came with the report").
			Want("VcekCertChain with the VCEK or VLEK, ASK and ARK in PEM", "none").
			Do("send them as the host gives them, or have the provider fetch them from AMD (snp_kds)")
	}
	if err := opt.Reads(e.Report); err != nil { // before anybody is asked
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Endorsing)
	defer cancel()
	chain, err := v.cfg.SNP.Chains(ctx, e.Report)
	if err != nil {
		return nil, err
	}
	return v.cfg.SNP.Signers.Trace(chain, opt)
}

// endorsed gives the compliance status that the endorsements of the evidence earn; empty: none.
func (v *Verifier) endorsed(e *snp.Evidence, g *snp.Verified, j *evidence.Journal) (string, error) {
	issuers := v.cfg.Baseline.SNP.UVM
	if len(e.UVM) == 0 || len(issuers) == 0 {
		return "", nil
	}
	var all []*uvm.Endorsement
	for _, b := range e.UVM {
		found, err := uvm.Parse(b)
		if err != nil {
			return "", err
		}
		all = append(all, found)
	}
	for _, found := range all {
		for _, issuer := range issuers {
			if err := found.Endorses(issuer.Issuer, g.Report.Measurement); err != nil {
				j.Skip(evidence.UVMEndorsement, err.Error())
				continue
			}
			j.Pass(evidence.UVMEndorsement, issuer.DID+" "+issuer.Feed)
			return issuer.ComplianceStatus, nil
		}
	}
	return "", nil
}

// OfGuest is the subject of a verified SEV-SNP report; status is its compliance status, or empty.
func OfGuest(g *snp.Verified, status string) *Subject {
	s := &Subject{kind: guest, claims: g.Claims(), reportData: g.Report.ReportData, zeroTail: true}
	s.comply = s.complies
	if status != "" {
		s.claims = compliant(s.claims, status)
	}
	s.initData = func(sum [sha256.Size]byte) error { return bindHostData(sum, g.Report) }
	if g.Report.Debug() {
		s.debuggable = evidence.Refuse(evidence.Debuggable, "the guest is debuggable").
			Want("a guest policy without bit 19", fmt.Sprintf("%#x", g.Report.Policy)).Do("launch the guest with a policy that forbids debugging")
	}
	return s
}

// bindHostData compares the hash of init data with HOST_DATA, which the host sets at launch (sev-snp.md section 5).
func bindHostData(sum [sha256.Size]byte, r *snp.Report) error {
	if bytes.Equal(sum[:], r.HostData[:]) {
		return nil
	}
	return evidence.Refuse(evidence.InitData, "the init data does not hash to HOST_DATA").
		Want("HOST_DATA "+hex.EncodeToString(sum[:]), hex.EncodeToString(r.HostData[:])).
		Do("send the very bytes whose SHA-256 the guest was launched with as host data")
}
