package assaytest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence"
)

// crlFaults break or use the revocation lists.
func crlFaults() []Fault {
	signature := one(evidence.CRLSignature)
	return []Fault{
		{"no-pck-crl", "PCK CRL missing", one(evidence.CollateralMissing), at(PCKCRL, missing)},
		{"no-root-crl", "root CRL missing", one(evidence.CollateralMissing), at(RootCRL, missing)},
		{"pck-crl-garbage", "PCK CRL is no CRL", one(evidence.CRLFormat), at(PCKCRL, becomes("no CRL"))},
		{"root-crl-garbage", "root CRL is no CRL", one(evidence.CRLFormat), at(RootCRL, becomes("no CRL"))},
		{"pck-crl-other-key", "PCK CRL signed by a stranger of the same name", signature, signedBy(stranger(), PCKCRL)},
		{"root-crl-other-key", "root CRL signed by a stranger of the same name", signature, signedBy(stranger(), RootCRL)},
		{"pck-crl-other-ca", "PCK CRL of the processor CA", signature, signedAs(ProcessorCA, PCKCRL)},
		{"root-crl-other-ca", "CRL of the platform CA in the place of the root's", signature, signedAs(PlatformCA, RootCRL)},
		{"pck-crl-signature", "a bit of the signature of the PCK CRL", signature, at(PCKCRL, flipLast)},
		{"root-crl-signature", "a bit of the signature of the root CRL", signature, at(RootCRL, flipLast)},
		{"pck-crl-expired", "PCK CRL past nextUpdate", one(evidence.CRLExpired), crl(PCKCRL, -32, -2)},
		{"root-crl-expired", "root CRL past nextUpdate", one(evidence.CRLExpired), crl(RootCRL, -367, -2)},
		{"pck-crl-not-yet-valid", "PCK CRL of the future", one(evidence.CRLNotYetValid), crl(PCKCRL, 2, 32)},
		{"root-crl-not-yet-valid", "root CRL of the future", one(evidence.CRLNotYetValid), crl(RootCRL, 2, 367)},
		{"pck-revoked", "PCK certificate revoked", one(evidence.Revoked), revoked(PCK)},
		{"pck-ca-revoked", "PCK CA revoked", one(evidence.Revoked), revoked(PlatformCA)},
		{"tcb-signer-revoked", "TCB signer revoked", one(evidence.Revoked), revoked(TCBSigning)},
	}
}

func revoked(r Role) func(*Scenario) {
	return func(s *Scenario) { s.Revoked = []Role{r} }
}

// crl moves the dates of a CRL; from and to are days from now.
func crl(target Part, from, to int) func(*Scenario) {
	return func(s *Scenario) {
		s.Edit.CRL = func(p Part, list *x509.RevocationList) {
			if p == target {
				list.ThisUpdate, list.NextUpdate = s.At.AddDate(0, 0, from), s.At.AddDate(0, 0, to)
			}
		}
	}
}

// documentFaults are those that both signed JSON documents can have.
func documentFaults() []Fault {
	return append(signedDocumentFaults(documentChecks{
		documentParts{"tcbInfo", TCBInfoBody, TCBInfo, TCBInfoChain}, "tcb-info",
		evidence.TCBInfoSignature, evidence.TCBInfoFormat, evidence.TCBInfoExpired, evidence.TCBInfoNotYetValid,
	}), signedDocumentFaults(documentChecks{
		documentParts{"enclaveIdentity", QEIdentityBody, QEIdentity, QEIdentityChain}, "qe-identity",
		evidence.QEIdentitySignature, evidence.QEIdentityFormat, evidence.QEIdentityExpired, evidence.QEIdentityNotYetValid,
	})...)
}

// documentChecks says which checks look after a signed document. The names of its faults begin with name.
type documentChecks struct {
	documentParts
	name                                    string
	signature, format, expired, notYetValid evidence.Check
}

func signedDocumentFaults(d documentChecks) []Fault {
	chain := one(evidence.TCBSigningChain)
	level := `"tcbStatus":"UpToDate"`
	faults := []Fault{
		{"missing", "not there", one(evidence.CollateralMissing), at(d.document, missing)},
		{"chain-missing", "issuer chain not there", one(evidence.CollateralMissing), at(d.chain, missing)},

		{"other-root", "signed under another root of the same name", one(evidence.UntrustedRoot), signedBy(stranger(), d.body, d.chain)},
		{"chain-unreadable", "broken PEM in the issuer chain", chain, at(d.chain, replaced("BEGIN CERTIFICATE", "BEGIN CERTIFICATX"))},
		{"chain-without-root", "issuer chain of one certificate", chain, at(d.chain, firstCertificate)},
		{"chain-too-long", "issuer chain of three certificates", chain, at(d.chain, firstTwice)},
		{"signer-is-pck-ca", "signed by a PCK CA, which the root has issued too", chain, signedAs(PlatformCA, d.body, d.chain)},

		{"other-key", "signed by a stranger, issuer chain as it should be", one(d.signature), signedBy(stranger(), d.body)},
		{"status-changed", "a status changed after signing", one(d.signature), at(d.document, replaced("OutOfDate", "UpToDate"))},
		{"spaced", "a blank added after signing", one(d.signature), at(d.document, replaced(`"version":`, `"version": `))},
		{"reordered", "a member moved after signing", one(d.signature), at(d.document, versionLast)},
		{"signature-zero", "signature all zero", one(d.signature), at(d.document, zeroSignature)},

		{"status-unknown", "an unknown status word, signed", one(d.format), at(d.body, replaced(level, `"tcbStatus":"Fine"`))},
		{"member-twice", "a member twice, signed", one(d.format), at(d.body, replaced(level, level+","+level))},
		{"member-missing", "a level without status, signed", one(d.format), at(d.body, replaced(","+level, ""))},
		{"version-unknown", "a version of the future, signed", one(d.format), at(d.body, versionNumber("9"))},
		{"version-string", "the version as a string, signed", one(d.format), at(d.body, versionNumber(`"2"`))},
		{"date-unreadable", "issueDate is no date, signed", one(d.format), at(d.body, replaced(`"issueDate":"2`, `"issueDate":"X`))},
		{"no-levels", "an empty list of levels, signed", one(d.format), at(d.body, noLevels)},
		{"deep", "nested forty deep, signed", one(d.format), at(d.body, replaced(`"tcbLevels":`, `"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"tcbLevels":`))},

		{"expired", "past nextUpdate", one(d.expired), d.dated(-31, -1)},
		{"not-yet-valid", "issueDate in the future", one(d.notYetValid), d.dated(2, 32)},
	}
	for i := range faults {
		faults[i].Name = d.name + "-" + faults[i].Name
		faults[i].What = fmt.Sprintf("%s: %s", d.document, faults[i].What)
	}
	return faults
}

// dated moves the dates of the document; from and to are days from those that it would have.
func (d documentChecks) dated(from, to int) func(*Scenario) {
	return func(s *Scenario) {
		dates := func(from, to int) string {
			return fmt.Sprintf(`"issueDate":"%s","nextUpdate":"%s"`,
				rfc3339(s.At.AddDate(0, 0, from)), rfc3339(s.At.AddDate(0, 0, to)))
		}
		at(d.body, replaced(dates(-1, 29), dates(from, to)))(s)
	}
}

const endCertificate = "-----END CERTIFICATE-----\n"

func firstCertificate(chain []byte) []byte {
	return chain[:bytes.Index(chain, []byte(endCertificate))+len(endCertificate)]
}

func firstTwice(chain []byte) []byte {
	return append(bytes.Clone(firstCertificate(chain)), chain...)
}

// versionLast moves the member version of a document behind the others.
func versionLast(doc []byte) []byte {
	for _, v := range []string{`"version":2,`, `"version":3,`} {
		if bytes.Contains(doc, []byte(v)) {
			doc = replaced(v, "")(doc)
			return replaced(`},"signature"`, ","+strings.TrimSuffix(v, ",")+`},"signature"`)(doc)
		}
	}
	return doc
}

// versionNumber gives the member version another value.
func versionNumber(v string) func([]byte) []byte {
	return func(body []byte) []byte {
		i := bytes.Index(body, []byte(`"version":`)) + len(`"version":`)
		return append(append(bytes.Clone(body[:i]), v...), body[i+1:]...)
	}
}

func zeroSignature(doc []byte) []byte {
	end := len(doc) - len(`"}`)
	copy(doc[end-128:end], bytes.Repeat([]byte("0"), 128))
	return doc
}

func noLevels(body []byte) []byte {
	i := bytes.Index(body, []byte(`"tcbLevels":`))
	return append(body[:i], `"tcbLevels":[]}`...)
}

// tcbInfoFaults are those of TCB info alone, and a platform below all its levels.
func tcbInfoFaults() []Fault {
	format, mismatch, chain := one(evidence.TCBInfoFormat), one(evidence.TCBInfoMismatch), one(evidence.TCBSigningChain)
	return []Fault{
		{"tcb-signer-name", "signer of another name, issued by the root", chain, certificate(TCBSigning, named("Intel SGX Other Signing"))},
		{"tcb-signer-signature", "signature of the signer's certificate", chain, at(TCBSigning.Certificate(), flipLast)},
		{"tcb-signer-expired", "signer's certificate past its end", chain, certificate(TCBSigning, expired)},
		{"tcb-signer-not-yet-valid", "signer's certificate before its start", chain, certificate(TCBSigning, notYetValid)},

		{"tcb-info-components-15", "fifteen components in a level", format, at(TCBInfoBody, replaced(`,{"svn":0}],"pcesvn"`, `],"pcesvn"`))},
		{"tcb-info-component-256", "a component above 255", format, at(TCBInfoBody, replaced(`{"svn":255}`, `{"svn":256}`))},
		{"tcb-info-component-negative", "a component below 0", format, at(TCBInfoBody, replaced(`{"svn":255}`, `{"svn":-1}`))},
		{"tcb-info-component-float", "a component with a fraction", format, at(TCBInfoBody, replaced(`{"svn":255}`, `{"svn":2.5}`))},
		{"tcb-info-component-string", "a component as a string", format, at(TCBInfoBody, replaced(`{"svn":255}`, `{"svn":"255"}`))},
		{"tcb-info-type", "tcbType 1", format, at(TCBInfoBody, replaced(`"tcbType":0`, `"tcbType":1`))},
		{"tcb-info-fmspc-short", "FMSPC of five bytes", format, at(TCBInfoBody, replaced(`"A55A79000000"`, `"A55A790000"`))},
		{"tcb-info-no-fmspc", "no FMSPC", format, at(TCBInfoBody, replaced(`"fmspc":"A55A79000000",`, ""))},
		{"tcb-info-level-twice", "two levels with the same components", format, func(s *Scenario) {
			levels := TCBLevels(s.Evaluation)
			s.Levels = append(levels[:1:1], levels...)
		}},

		{"tcb-info-other-fmspc", "TCB info of another FMSPC", mismatch, at(TCBInfoBody, replaced("A55A79000000", "A55A79000001"))},
		{"tcb-info-other-pceid", "TCB info of another PCE", mismatch, at(TCBInfoBody, replaced(`"pceId":"0000"`, `"pceId":"0001"`))},
		{"tcb-info-tdx", "TCB info for TDX", mismatch, at(TCBInfoBody, forTDX)},

		{"component-low", "a component below every level", one(evidence.TCBNotSupported), func(s *Scenario) { s.Platform.SVN[0] = 0 }},
		{"pcesvn-low", "PCESVN below every level", one(evidence.TCBNotSupported), func(s *Scenario) { s.Platform.PCESVN = 6 }},
		{"qe-svn-low", "quoting enclave below every level", one(evidence.TCBNotSupported), func(s *Scenario) { s.QE.SVN = 3 }},
	}
}

// forTDX turns the body of TCB info for SGX into one for TDX.
func forTDX(body []byte) []byte {
	zeros := strings.Repeat(`,{"svn":0}`, 16)[1:]
	module := fmt.Sprintf(`"tdxModule":{"mrsigner":"%096d","attributes":"%016d","attributesMask":"FFFFFFFFFFFFFFFF"}`, 0, 0)
	body = replaced(`"id":"SGX"`, `"id":"TDX"`)(body)
	body = replaced(`"tcbLevels"`, module+`,"tcbLevels"`)(body)
	return bytes.ReplaceAll(body, []byte(`"pcesvn"`), []byte(`"tdxtcbcomponents":[`+zeros+`],"pcesvn"`))
}

// qeFaults break the quoting enclave or its identity.
func qeFaults() []Fault {
	mismatch, data := one(evidence.QEIdentityMismatch), one(evidence.QEReportData)
	return []Fault{
		{"qe-report-signature", "a bit of the signature of the QE report", one(evidence.QEReportSignature), at(QEReportSignature, flip(0, 1))},
		{"qe-report-other-key", "QE report signed by the PCK key of a stranger", one(evidence.QEReportSignature), signedBy(stranger(), QEReportSignature)},
		{"qe-report-unbound", "QE report does not bind the attestation key", data, at(QEReport, flip(offReportData, 1))},
		{"qe-report-data-tail", "second half of the QE's report data not zero", data, at(QEReport, flip(offReportData+32, 1))},
		{"attestation-key-forged", "another attestation key put in, and the quote signed by it", data, forgeAttestationKey},

		{"qe-identity-td-qe", "identity of the quoting enclave for TDX", mismatch, at(QEIdentityBody, replaced(`"id":"QE"`, `"id":"TD_QE"`))},
		{"qe-debug", "debug quoting enclave", mismatch, func(s *Scenario) { s.QE.Debug = true }},
		{"qe-attributes", "quoting enclave without access to the provisioning key", mismatch, func(s *Scenario) { s.QE.ProvisionKey = false }},
		{"qe-miscselect", "quoting enclave with another MISCSELECT", mismatch, func(s *Scenario) { s.QE.MiscSelect = 1 }},
		{"qe-mrsigner", "quoting enclave of another signer", mismatch, func(s *Scenario) { s.QE.MRSIGNER[0] ^= 1 }},
		{"qe-product-id", "another enclave of the same signer", mismatch, func(s *Scenario) { s.QE.ProdID = 2 }},
	}
}

// forgeAttestationKey plays a forger without the attestation key, who signs the quote by a key of his own and puts that
// in. The QE report, which he cannot sign, stays as it was.
func forgeAttestationKey(s *Scenario) {
	forger := stranger()
	signedBy(forger, QuoteSignature)(s)
	at(SignatureData, func(b []byte) []byte {
		copy(b[offKeyInSig:], forger.publicKey(QuotingEnclave))
		return b
	})(s)
}
