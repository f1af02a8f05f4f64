// Package tdx is the evidence of Intel TDX guests ("trust domains", TDs): an ECDSA quote around a TD report (/attest/TdxVm). It leaves
// the quote to package dcap and states the claims of a verified one. Specification: sgx-tdx.md sections 2, 7 and 8, tokens.md section 8.
package tdx

import (
	"encoding/hex"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// Profile is the EAT profile that the claims of a TD follow.
const Profile = "https://aka.ms/maa-eat-profile-tdxvm"

// Evidence is a parsed quote of a TD of which nothing is believed. Report is there to look at; a verification reads it from
// the quote again.
type Evidence struct {
	Quote  *dcap.Quote
	Report dcap.TDReport
}

// Parse reads a quote of a TD, of version 4 or 5, with padding behind it or without. The error is an [evidence.Refusal].
func Parse(b []byte) (*Evidence, error) {
	q, err := dcap.ParseQuote(b)
	if err != nil {
		return nil, err
	}
	if q.TEE != dcap.TDX {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the quote is not of a TDX guest").Want(dcap.TDX, q.TEE).
			Do("send the quote of an SGX enclave to /attest/SgxEnclave")
	}
	report, err := parseReport(q.Body, q.BodyType)
	return &Evidence{q, report}, err
}

func parseReport(body []byte, t dcap.BodyType) (dcap.TDReport, error) {
	report, err := dcap.ParseTDReport(body, t)
	if err != nil {
		return report, evidence.Refuse(evidence.QuoteFormat, "the TD report cannot be parsed").Because(err)
	}
	return report, nil
}

// Verified is evidence of a TD that holds, with the facts found about it.
type Verified struct {
	*dcap.Verified
	Report dcap.TDReport
}

// Verify verifies e, whose origin o was traced by v, against the collateral for TDX; see [dcap.Verifier.Verify].
func Verify(v *dcap.Verifier, o *dcap.Origin, e *Evidence, in dcap.Input) (*Verified, error) {
	if o.Quote() != e.Quote || e.Quote.TEE != dcap.TDX {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the origin is that of another quote")
	}
	facts, err := v.Verify(o, in.Collateral, in.Options, in.Journal)
	if err != nil {
		return nil, err
	}
	report, err := parseReport(facts.Body, e.Quote.BodyType)
	return &Verified{facts, report}, err
}

// Claims states the service's claims about the TD, in the names and formats of the token (tokens.md section 8).
func (v *Verified) Claims() []evidence.Claim {
	r := &v.Report
	debug := "disabled"
	if r.Debug() {
		debug = "enabled"
	}
	claims := []evidence.Claim{
		{Name: "x-ms-attestation-type", Value: "tdxvm"},
		{Name: "eat_profile", Value: Profile},
		{Name: "intuse", Value: "generic"},
		{Name: "dbgstat", Value: debug},
		{Name: "attester_tcb_status", Value: string(v.Status)},
		{Name: "tdx_seamsvn", Value: int64(r.TEETCBSVN[0])},
	}
	for i, rtmr := range r.RTMR {
		claims = append(claims, evidence.Claim{Name: fmt.Sprintf("tdx_rtmr%d", i), Value: hex.EncodeToString(rtmr[:])})
	}
	for _, field := range []struct {
		name  string
		bytes []byte
	}{
		{"mrseam", r.MRSEAM[:]}, {"mrsignerseam", r.MRSIGNERSEAM[:]}, {"mrtd", r.MRTD[:]}, {"mrconfigid", r.MRCONFIGID[:]}, {"mrowner", r.MROWNER[:]},
		{"mrownerconfig", r.MROWNERCONFIG[:]}, {"report_data", r.ReportData[:]}, {"seam_attributes", r.SEAMAttributes[:]},
		{"td_attributes", r.TDAttributes[:]}, {"xfam", r.XFAM[:]}, {"tee_tcb_svn", r.TEETCBSVN[:]},
	} {
		claims = append(claims, evidence.Claim{Name: "tdx_" + field.name, Value: hex.EncodeToString(field.bytes)})
	}
	for _, attribute := range []struct {
		name string
		bit  int
	}{
		{"debug", dcap.TDDebug}, {"septve_disable", dcap.TDSEPTVEDisable}, {"protection_keys", dcap.TDPKS}, {"key_locker", dcap.TDKeyLocker}, {"perfmon", dcap.TDPerfmon},
	} {
		claims = append(claims, evidence.Claim{Name: "tdx_td_attributes_" + attribute.name, Value: r.Attribute(attribute.bit)})
	}
	return claims
}
