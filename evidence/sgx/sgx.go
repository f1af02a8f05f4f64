// Package sgx is the evidence of SGX enclaves: a bare ECDSA quote (/attest/SgxEnclave) or one behind an Open Enclave
// envelope (/attest/OpenEnclave). It reads the envelopes, leaves the quote to package dcap, and states the claims of
// a verified one. Specification: sgx-tdx.md sections 2, 3 and 10, tokens.md section 6.
package sgx

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// Evidence is parsed SGX evidence of which nothing is believed yet. Report is there to look at; a verification reads it
// from the quote again.
type Evidence struct {
	Quote  *dcap.Quote
	Report dcap.EnclaveReport
	raw    []byte
}

// Parse reads a bare quote of an SGX enclave. The error is an [evidence.Refusal].
func Parse(b []byte) (*Evidence, error) {
	if _, err := openReport(b); err == nil {
		return nil, evidence.Refuse(evidence.QuoteFormat, "this is an Open Enclave report, not a bare quote").
			Want("a quote of version 3, 4 or 5", "the header of an Open Enclave report").Do("send it to /attest/OpenEnclave")
	}
	q, err := dcap.ParseQuote(b)
	if err != nil {
		return nil, err
	}
	return fromQuote(q, b)
}

// fromQuote makes evidence of a quote that stands in raw, the bytes as submitted.
func fromQuote(q *dcap.Quote, raw []byte) (*Evidence, error) {
	if q.TEE != dcap.SGX {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the quote is not of an SGX enclave").Want(dcap.SGX, q.TEE).
			Do("send the quote of a TDX guest to /attest/TdxVm")
	}
	report, err := dcap.ParseEnclaveReport(q.Body)
	if err != nil {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the report body cannot be parsed").Because(err)
	}
	return &Evidence{Quote: q, Report: report, raw: raw}, nil
}

// Verified is SGX evidence that holds, with the facts found about it.
type Verified struct {
	*dcap.Verified
	Report    dcap.EnclaveReport
	QuoteHash [sha256.Size]byte // SHA-256 of the evidence as submitted, envelope included
}

// Verify verifies e, whose origin o was traced by v, against the collateral c; see [dcap.Verifier.Verify].
func Verify(v *dcap.Verifier, o *dcap.Origin, e *Evidence, in dcap.Input) (*Verified, error) {
	if o.Quote() != e.Quote {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the origin is that of another quote")
	}
	facts, err := v.Verify(o, in.Collateral, in.Options, in.Journal)
	if err != nil {
		return nil, err
	}
	report, err := dcap.ParseEnclaveReport(facts.Body)
	if err != nil {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the report body cannot be parsed").Because(err)
	}
	return &Verified{facts, report, sha256.Sum256(e.raw)}, nil
}

// Claims states the service's claims about the enclave, in the names and formats of the token (tokens.md section 6).
func (v *Verified) Claims() []evidence.Claim {
	r := &v.Report
	claims := []evidence.Claim{
		{Name: "x-ms-attestation-type", Value: "sgx"},
		{Name: "x-ms-sgx-is-debuggable", Value: r.Debug()},
		{Name: "x-ms-sgx-product-id", Value: int64(r.ProdID)},
		{Name: "x-ms-sgx-svn", Value: int64(r.SVN)},
		{Name: "x-ms-sgx-mrenclave", Value: hex.EncodeToString(r.MRENCLAVE[:])},
		{Name: "x-ms-sgx-mrsigner", Value: hex.EncodeToString(r.MRSIGNER[:])},
		{Name: "x-ms-sgx-report-data", Value: hex.EncodeToString(r.ReportData[:])},
	}
	if r.KSS() {
		claims = append(claims,
			evidence.Claim{Name: "x-ms-sgx-config-id", Value: hex.EncodeToString(r.ConfigID[:])},
			evidence.Claim{Name: "x-ms-sgx-config-svn", Value: int64(r.ConfigSVN)},
			evidence.Claim{Name: "x-ms-sgx-isv-extended-product-id", Value: hex.EncodeToString(r.ExtProdID[:])},
			evidence.Claim{Name: "x-ms-sgx-isv-family-id", Value: hex.EncodeToString(r.FamilyID[:])})
	}
	collateral := v.collateral()
	return append(claims,
		evidence.Claim{Name: "x-ms-sgx-collateral", Value: collateral},
		evidence.Claim{Name: "maa-attestationcollateral", Value: collateral})
}

// collateral is the object of the seven collateral hashes (sgx-tdx.md section 10.2). Without a root CRL there are five.
func (v *Verified) collateral() jsontext.Value {
	hashes := map[string]string{}
	for name, sum := range map[string][sha256.Size]byte{
		"quotehash": v.QuoteHash, "tcbinfohash": v.Hashes.TCBInfo, "qeidhash": v.Hashes.QEIdentity,
		"tcbinfocertshash": v.Hashes.TCBInfoCerts, "qeidcertshash": v.Hashes.QEIdentityCerts,
		"tcbinfocrlhash": v.Hashes.RootCRL, "qeidcrlhash": v.Hashes.RootCRL,
	} {
		if sum != [sha256.Size]byte{} {
			hashes[name] = hex.EncodeToString(sum[:])
		}
	}
	b, err := json.Marshal(hashes, json.Deterministic(true))
	if err != nil {
		panic("sgx: strings that cannot be marshalled: " + err.Error())
	}
	return b
}
