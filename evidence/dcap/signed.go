package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// document is what TCB info and QE identity share: an inner JSON object, signed by Intel's TCB signer over its bytes
// exactly as received, with dates and an evaluation number. Chain and signature are checked; dates are not.
type document struct {
	name       string // "TCB info" or "QE identity"
	signer     *x509.Certificate
	root       *x509.Certificate
	anchor     Anchor
	issueDate  time.Time
	nextUpdate time.Time
	evaluation uint32
	hash       [sha256.Size]byte // of the whole document
	chainHash  [sha256.Size]byte // of the issuer chain in its usual form
}

// EvaluationNumber is the TCB evaluation data number, one counter for all of Intel's collateral.
func (d *document) EvaluationNumber() uint32 { return d.evaluation }

// Anchor is the trusted root behind the document's signature.
func (d *document) Anchor() Anchor { return d.anchor }

// IssueDate is the time at which Intel issued the document.
func (d *document) IssueDate() time.Time { return d.issueDate }

// NextUpdate is the time by which Intel promises the next issue.
func (d *document) NextUpdate() time.Time { return d.nextUpdate }

// dates are the checks that tell the dates of one document from those of another.
type dates struct{ expired, notYetValid evidence.Check }

// envelope is the outer object of both documents.
type envelope struct {
	TCBInfo         jsontext.Value `json:"tcbInfo"`
	EnclaveIdentity jsontext.Value `json:"enclaveIdentity"`
	Signature       string         `json:"signature"`
}

// readEnvelope splits a document into its envelope without believing any of it.
func readEnvelope(b []byte) (envelope, error) {
	var e envelope
	if len(b) > maxDocument {
		return e, fmt.Errorf("document of %d bytes, at most %d are read", len(b), maxDocument)
	}
	return e, strictjson.Exact(bytes.Trim(b, padding), &e)
}

// common are the members that both inner objects have.
type common struct {
	Version    *int    `json:"version"`
	IssueDate  string  `json:"issueDate"`
	NextUpdate string  `json:"nextUpdate"`
	Evaluation *uint32 `json:"tcbEvaluationDataNumber"`
}

// read puts the common members into d.
func (c *common) read(d *document) error {
	var err, err2 error
	d.issueDate, err = utc(c.IssueDate)
	d.nextUpdate, err2 = utc(c.NextUpdate)
	switch {
	case err != nil:
		return fmt.Errorf("issueDate: %w", err)
	case err2 != nil:
		return fmt.Errorf("nextUpdate: %w", err2)
	case c.Evaluation == nil:
		return errors.New("tcbEvaluationDataNumber is missing")
	}
	d.evaluation = *c.Evaluation
	return nil
}

// signed checks the issuer chain of a document and the signature over inner. badSignature is the check that the
// signature stands for.
func (v *Verifier) signed(d *document, inner []byte, signature string, issuerChain []byte, badSignature evidence.Check) *evidence.Refusal {
	if r := v.signerChain(d, issuerChain); r != nil {
		return r
	}
	var sig rawSignature
	n, err := hex.Decode(sig[:], []byte(signature[:min(len(signature), 2*len(sig))]))
	if err != nil || n != len(sig) || len(signature) != 2*len(sig) {
		return endorsement(badSignature, "the signature of the %s is malformed", d.name).Want("128 hex digits", fmt.Sprintf("%d characters", len(signature)))
	}
	if !sig.inRange() || !sig.verifies(key(d.signer), inner) {
		return endorsement(badSignature, "the %s is not signed by its TCB signer", d.name).
			Want("a signature over the document as received", "another").Do("fetch the document again and store its bytes unchanged")
	}
	return nil
}

// signerChain reads the issuer chain: the TCB signer and a trusted root that issued it.
func (v *Verifier) signerChain(d *document, issuerChain []byte) *evidence.Refusal {
	bad := func(err error) *evidence.Refusal {
		return endorsement(evidence.TCBSigningChain, "the issuer chain of the %s is not Intel's", d.name).Because(err)
	}
	ders, err := splitPEM(issuerChain, 2)
	if err != nil {
		return bad(err)
	}
	signer, err := x509.ParseCertificate(ders[0])
	root, err2 := x509.ParseCertificate(ders[1])
	if err := errors.Join(err, err2); err != nil {
		return bad(err)
	}
	anchor, refusal := v.anchor(root)
	switch {
	case refusal != nil && refusal.Check == evidence.UntrustedRoot:
		return refusal.Blame(evidence.OfEndorsement)
	case refusal != nil:
		return bad(refusal)
	}
	if err := errors.Join(named(signer, tcbSignerName), notCA(signer), maySign(signer), issuedBy(signer, root)); err != nil {
		return bad(err)
	}
	d.signer, d.root, d.anchor, d.chainHash = signer, root, anchor, hashC(joinPEM(signer, root))
	return nil
}

// maySign checks that a certificate is for signatures.
func maySign(cert *x509.Certificate) error {
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%q is not for signatures: key usage digitalSignature is missing", cert.Subject.CommonName)
	}
	return nil
}

// joinPEM writes certificates in the form "leaf LF root LF" that quote providers deliver.
func joinPEM(certs ...*x509.Certificate) (text []byte) {
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// current checks that the document's signer is in force and not revoked, and its own dates, as opt.Expiry says
// (sgx-tdx.md section 9.1).
func (d *document) current(opt Options, rootCRL *CRL, checks dates) *evidence.Refusal {
	if rootCRL.lists(d.signer.SerialNumber) {
		return endorsement(evidence.Revoked, "the TCB signer of the %s is revoked", d.name).
			Want("not in the root CRL", "serial "+d.signer.SerialNumber.String())
	}
	if opt.Expiry == Ignore {
		return nil
	}
	judged := opt.At
	if opt.Expiry == Pinned {
		judged = d.issueDate
	}
	for _, cert := range []*x509.Certificate{d.signer, d.root} {
		if judged.Before(cert.NotBefore) || judged.After(cert.NotAfter) {
			return endorsement(evidence.TCBSigningChain, "%q, which signed the %s, is outside its dates", cert.Subject.CommonName, d.name).
				Want(stamp(cert.NotBefore)+" to "+stamp(cert.NotAfter), stamp(judged)).Do("fetch the collateral again")
		}
	}
	switch {
	case d.issueDate.After(opt.At.Add(ClockSkew)):
		return endorsement(checks.notYetValid, "the %s is issued in the future", d.name).
			Want("issueDate not after "+stamp(opt.At), stamp(d.issueDate)).Do("check the clock")
	case opt.Expiry == Enforce && d.expired(opt.At.Add(-opt.Grace)):
		return endorsement(checks.expired, "the %s is past its nextUpdate (collateral_expiry=enforce)", d.name).
			Want("nextUpdate after "+stamp(opt.At), stamp(d.nextUpdate)).Do("fetch the collateral again, or store it as a pinned baseline")
	}
	return nil
}

func (d *document) expired(at time.Time) bool { return !at.Before(d.nextUpdate) }

// key returns the P-256 key of a certificate that was checked to have one.
func key(cert *x509.Certificate) *ecdsa.PublicKey {
	k, _ := p256(cert)
	return k
}

func utc(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil || t.Nanosecond() != 0 {
		return t, fmt.Errorf("expected a UTC time such as 2025-06-19T10:56:11Z, found %q", s)
	}
	return t, nil
}

// unhex decodes a hex string of either case into exactly len(dst) bytes.
func unhex(dst []byte, member, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("%s: expected %d hex digits, found %q", member, 2*len(dst), s)
	}
	copy(dst, b)
	return nil
}
