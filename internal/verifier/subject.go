package verifier

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/evidence/tdx"
)

// Subject is verified evidence as the rest of the pipeline sees it, whatever its kind.
type Subject struct {
	kind       kind
	claims     []evidence.Claim              // what the evidence says
	hardware   []evidence.Claim              // what the hardware report of an Azure guest says; nil: there is none
	object     []evidence.Claim              // the one object that the token has of it, or none
	reportData [64]byte                      // what the attester had signed
	zeroTail   bool                          // the upper half of it must be zero beside runtime data, whatever the settings say
	binary     []string                      // names of the claims that show binary runtime data
	initData   func([sha256.Size]byte) error // compares the hash of init data with what the evidence vouches for
	debuggable *evidence.Refusal             // what to answer where debuggable ones are refused; nil: it cannot be debugged
	standing   *dcap.Verified                // how Intel's collateral rates the platform; nil where it does not
	facts      []evidence.Claim              // what reference values may name beside the claims: parts of objects, PCRs
	comply     func(status string) error     // puts a compliance status where the token has it; nil: it has none
	recipient  *rsa.PublicKey                // that the token must be encrypted to; nil: anybody may read it
}

// kind is what attested.
type kind int

const (
	enclave kind = iota + 1 // of SGX
	domain                  // of TDX
	guest                   // of SEV-SNP
	azureVM                 // with a vTPM
)

// verify climbs the ladder of the evidence up to its verified facts.
func (v *Verifier) verify(ctx context.Context, r Request, baseline string) (*Subject, error) {
	switch r.Type {
	case evidence.SgxEnclave, evidence.OpenEnclave:
		return v.verifyEnclave(ctx, r, baseline)
	case evidence.TdxVM:
		return v.verifyDomain(ctx, r, baseline)
	case evidence.SevSnpVM:
		return v.verifyGuest(ctx, r)
	case evidence.AzureGuest:
		return v.verifyAzureGuest(ctx, r, baseline)
	}
	return nil, fmt.Errorf("no verifier for attestation type %s", r.Type)
}

func (v *Verifier) verifyEnclave(ctx context.Context, r Request, baseline string) (*Subject, error) {
	parse := sgx.Parse
	if r.Type == evidence.OpenEnclave {
		parse = sgx.ParseOpenEnclave
	}
	e, err := parse(r.Evidence)
	if err != nil {
		return nil, err
	}
	origin, in, err := v.endorse(ctx, r, e.Quote, baseline)
	if err != nil {
		return nil, err
	}
	verified, err := sgx.Verify(v.cfg.DCAP, origin, e, in)
	if err != nil {
		return nil, err
	}
	return OfEnclave(verified), nil
}

func (v *Verifier) verifyDomain(ctx context.Context, r Request, baseline string) (*Subject, error) {
	verified, err := v.verifyTDX(ctx, r, r.Evidence, baseline)
	if err != nil {
		return nil, err
	}
	return OfDomain(verified), nil
}

// verifyTDX climbs from a quote to its verified report.
func (v *Verifier) verifyTDX(ctx context.Context, r Request, quote []byte, baseline string) (*tdx.Verified, error) {
	e, err := tdx.Parse(quote)
	if err != nil {
		return nil, err
	}
	origin, in, err := v.endorse(ctx, r, e.Quote, baseline)
	if err != nil {
		return nil, err
	}
	return tdx.Verify(v.cfg.DCAP, origin, e, in)
}

// endorse follows a quote to its root, and finds the collateral to judge it by.
func (v *Verifier) endorse(ctx context.Context, r Request, q *dcap.Quote, baseline string) (*dcap.Origin, dcap.Input, error) {
	journal := &r.Record.Checks
	origin, err := v.cfg.DCAP.Trace(q, r.At, journal)
	if err != nil {
		return nil, dcap.Input{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Endorsing)
	defer cancel()
	endorsed, err := v.cfg.Endorser.For(ctx, baseline, origin)
	if err != nil {
		return nil, dcap.Input{}, err
	}
	return origin, dcap.Input{Collateral: endorsed.Collateral, Options: v.cfg.Baseline.options(r.At, endorsed.Expiry), Journal: journal}, nil
}

// OfEnclave is the subject of verified SGX evidence.
func OfEnclave(e *sgx.Verified) *Subject {
	s := &Subject{
		kind: enclave, claims: e.Claims(), reportData: e.Report.ReportData, standing: e.Verified,
		binary:   []string{"x-ms-sgx-ehd", "aas-ehd", "maa-ehd"},
		initData: func(sum [sha256.Size]byte) error { return bindConfigID(sum, e) },
	}
	if e.Report.Debug() {
		s.debuggable = evidence.Refuse(evidence.Debuggable, "the enclave is debuggable").
			Want("ATTRIBUTES without DEBUG", "DEBUG set").Do("build and sign the enclave without debug support")
	}
	return s
}

// OfDomain is the subject of verified evidence of a TD. What init data of a TD would be bound to is not known (api.md section 4.1).
func OfDomain(d *tdx.Verified) *Subject {
	s := &Subject{kind: domain, claims: d.Claims(), reportData: d.Report.ReportData, standing: d.Verified}
	s.comply = s.complies
	s.initData = func([sha256.Size]byte) error {
		return evidence.Refuse(evidence.InitData, "nothing in a TD report is known to vouch for init data").
			Want("no initTimeData", "some").Do("leave initTimeData out; put its hash into the runtime data")
	}
	if d.Report.Debug() {
		s.debuggable = evidence.Refuse(evidence.Debuggable, "the TD is debuggable or otherwise not to be trusted").
			Want("TDATTRIBUTES with bits 0 to 7 clear", fmt.Sprintf("%#02x", d.Report.TDAttributes[0])).Do("launch the TD without debug support")
	}
	return s
}

// bindConfigID compares the hash of init data with the lower half of CONFIGID, which means something in a KSS enclave only.
func bindConfigID(sum [sha256.Size]byte, e *sgx.Verified) error {
	if !e.Report.KSS() {
		return evidence.Refuse(evidence.InitData, "init data is bound to CONFIGID, which this enclave does not have").
			Want("an enclave with the KSS attribute", "one without").Do("leave initTimeData out, or build the enclave with KSS and configure it with the hash of the data")
	}
	if found := e.Report.ConfigID[:sha256.Size]; !bytes.Equal(sum[:], found) {
		return evidence.Refuse(evidence.InitData, "the init data does not hash to CONFIGID").
			Want("CONFIGID starting "+hex.EncodeToString(sum[:]), hex.EncodeToString(found)).
			Do("send the very bytes whose SHA-256 the enclave was configured with")
	}
	return nil
}

// Claims are those of the evidence as the token has them.
func (s *Subject) Claims() []evidence.Claim { return slices.Concat(s.claims, s.object) }

// complies puts the compliance status among the claims.
func (s *Subject) complies(status string) error {
	s.claims = compliant(s.claims, status)
	return nil
}

// compliant adds the compliance status to claims, if they have none.
func compliant(claims []evidence.Claim, status string) []evidence.Claim {
	if slices.ContainsFunc(claims, func(c evidence.Claim) bool { return c.Name == claimCompliance }) {
		return claims
	}
	return append(claims, evidence.Claim{Name: claimCompliance, Value: status})
}
