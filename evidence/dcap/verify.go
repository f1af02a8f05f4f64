package dcap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// Expiry says which dates of the collateral count (switch collateral_expiry, sgx-tdx.md section 9.1).
type Expiry int

// The values of Expiry. Certificates of the quote and issue dates in the future are refused under Enforce and Pinned alike.
const (
	// Enforce lets every date count.
	Enforce Expiry = iota
	// Pinned does not look at nextUpdate of TCB info and QE identity, and judges their signer at their issue date.
	// Revocation lists must be current all the same.
	Pinned
	// Ignore looks at no date of the collateral. It exists for archived evidence, never for a service.
	Ignore
)

// Options steer a verification. The zero value but for At is the strict one.
type Options struct {
	At          time.Time     // the time to judge at
	Expiry      Expiry        // which dates of the collateral count
	Grace       time.Duration // how long past nextUpdate a document still counts (limit collateral_grace)
	WithoutCRLs bool          // revocation lists may be missing or out of date; Verified.NotChecked says so
}

// Collateral is what a quote is judged against, each part verified by itself.
type Collateral struct {
	TCBInfo    *TCBInfo
	QEIdentity *QEIdentity
	PCKCRL     *CRL
	RootCRL    *CRL
}

// Input is what a quote is verified with.
type Input struct {
	Collateral Collateral
	Options    Options
	Journal    *evidence.Journal // records each check; may be nil
}

// Verified is a quote that holds: every signature, binding and revocation list was checked. Its standing is a fact
// that the caller must still accept or refuse.
type Verified struct {
	Standing
	Origin            *Origin
	Body              []byte           // the report body that the quote signs
	NotChecked        []evidence.Check // checks left out because of the options
	CollateralExpired bool             // TCB info or QE identity is past its nextUpdate and was used all the same
	ValidUntil        time.Time        // earliest nextUpdate of the collateral
	Hashes            CollateralHashes
}

// CollateralHashes are the SHA-256 of the collateral as a quote provider delivers it: C strings with their NUL byte
// (sgx-tdx.md section 10.2).
type CollateralHashes struct {
	TCBInfo, TCBInfoCerts, QEIdentity, QEIdentityCerts [sha256.Size]byte
	RootCRL                                            [sha256.Size]byte // zero if there was none
}

// Verify checks the quote behind o against the collateral c, in the order of sgx-tdx.md section 7 from step 3 on. The
// journal, if any, records each check. The error is an [evidence.Refusal] that names the first check that failed.
func (v *Verifier) Verify(o *Origin, c Collateral, opt Options, j *evidence.Journal) (*Verified, error) {
	run := &verification{roots: v.roots, o: o, c: &c, opt: opt, j: j}
	steps := []func() *evidence.Refusal{
		run.origin, run.complete, run.revocation, run.tcbInfo, run.tdxModule, run.qeReport, run.qeIdentity, run.quoteSignature, run.standing,
	}
	for _, step := range steps {
		if r := step(); r != nil {
			return nil, j.Fail(r)
		}
	}
	return run.verified(), nil
}

// verification is one run of Verify.
type verification struct {
	roots      Roots
	o          *Origin
	c          *Collateral
	opt        Options
	j          *evidence.Journal
	qe         EnclaveReport
	td         TDReport // of a quote for TDX
	stand      Standing
	notChecked []evidence.Check
}

func (r *verification) skip(check evidence.Check, why string) {
	r.notChecked = append(r.notChecked, check)
	r.j.Skip(check, why)
}

// origin checks that the origin holds for this verifier and this time too: it may have been traced by another one, or
// long ago.
func (r *verification) origin() *evidence.Refusal {
	if _, ok := r.roots.keys[r.o.Anchor()]; !ok {
		return untrusted(r.o.Anchor())
	}
	return r.o.chain.inForce(r.opt.At)
}

// complete checks that nothing is missing and that everything hangs on the one root that the quote hangs on.
func (r *verification) complete() *evidence.Refusal {
	missing := ""
	switch {
	case r.c.TCBInfo == nil:
		missing = "TCB info"
	case r.c.QEIdentity == nil:
		missing = "QE identity"
	case r.c.PCKCRL == nil && !r.opt.WithoutCRLs:
		missing = "PCK CRL"
	case r.c.RootCRL == nil && !r.opt.WithoutCRLs:
		missing = "root CRL"
	}
	if missing != "" {
		return endorsement(evidence.CollateralMissing, "the %s is missing", missing).Do("supply it with the rest of the collateral")
	}
	for _, d := range []*document{&r.c.TCBInfo.document, &r.c.QEIdentity.document} {
		if d.anchor != r.o.Anchor() {
			return endorsement(evidence.UntrustedRoot, "the %s and the quote end in different roots", d.name).Want(r.o.Anchor(), d.anchor)
		}
	}
	return nil
}

// revocation checks both revocation lists, and the quote's certificates against them. Where lists are not required
// they may be missing or out of date; one that is there revokes all the same.
func (r *verification) revocation() *evidence.Refusal {
	ca, leaf := r.o.chain.ca, r.o.chain.leaf
	if r.c.RootCRL.foreign(ca.anchor) || r.c.PCKCRL.foreign(ca.keyID) {
		return endorsement(evidence.CRLSignature, "a revocation list is of another authority than the PCK certificate").
			Want(ca.cert.Subject.CommonName+" and its root", "another key")
	}
	if refusal := r.crlDates(); refusal != nil {
		return refusal
	}
	switch {
	case r.c.RootCRL.lists(ca.cert.SerialNumber):
		return evidence.Refuse(evidence.Revoked, "the PCK CA is revoked").Want("a serial number that is not in the root CRL", fmt.Sprintf("serial 0x%x", ca.cert.SerialNumber))
	case r.c.PCKCRL.lists(leaf.SerialNumber):
		return evidence.Refuse(evidence.Revoked, "the PCK certificate is revoked").
			Want("a serial number that is not in the PCK CRL", fmt.Sprintf("serial 0x%x", leaf.SerialNumber)).
			Do("Intel no longer vouches for this platform: do not trust it; its owner can only provision another platform")
	case r.c.RootCRL == nil || r.c.PCKCRL == nil:
		r.skip(evidence.Revoked, "a revocation list is missing, and none is required")
	default:
		r.j.Pass(evidence.Revoked, "")
	}
	return nil
}

func (r *verification) crlDates() *evidence.Refusal {
	if r.opt.WithoutCRLs || r.opt.Expiry == Ignore {
		r.skip(evidence.CRLExpired, "the dates of revocation lists do not count")
		return nil
	}
	for _, crl := range []*CRL{r.c.RootCRL, r.c.PCKCRL} {
		if refusal := crl.current(r.opt); refusal != nil {
			return refusal
		}
	}
	r.j.Pass(evidence.CRLExpired, stamp(r.c.PCKCRL.NextUpdate()))
	return nil
}

// tcbInfo checks the dates of the TCB info and that it is of this platform.
func (r *verification) tcbInfo() *evidence.Refusal {
	t := r.c.TCBInfo
	if refusal := t.current(r.opt, r.c.RootCRL, dates{evidence.TCBInfoExpired, evidence.TCBInfoNotYetValid}); refusal != nil {
		return refusal
	}
	r.dates(&t.document, evidence.TCBInfoExpired)
	pck := r.o.PCK()
	differ := func(expected, found any) *evidence.Refusal {
		return endorsement(evidence.TCBInfoMismatch, "the TCB info is of another platform").Want(expected, found)
	}
	switch {
	case t.tee != r.o.quote.TEE:
		return differ(r.o.quote.TEE, t.tee)
	case t.fmspc != pck.FMSPC:
		return differ("FMSPC "+pck.FMSPC.String(), "FMSPC "+t.fmspc.String())
	case t.pceID != pck.PCEID:
		return differ(fmt.Sprintf("PCEID %x", pck.PCEID), fmt.Sprintf("PCEID %x", t.pceID))
	}
	r.j.Pass(evidence.TCBInfoMismatch, "FMSPC "+pck.FMSPC.String())
	return nil
}

// dates notes whether nextUpdate of d was looked at.
func (r *verification) dates(d *document, check evidence.Check) {
	if r.opt.Expiry == Enforce {
		r.j.Pass(check, stamp(d.nextUpdate))
		return
	}
	r.skip(check, "nextUpdate "+stamp(d.nextUpdate)+" does not count")
}

// tdxModule checks of a TD that the module it was launched on is Intel's.
func (r *verification) tdxModule() *evidence.Refusal {
	q := r.o.quote
	if q.TEE != TDX {
		return nil
	}
	var err error
	if r.td, err = ParseTDReport(q.body, q.BodyType); err != nil {
		return evidence.Refuse(evidence.QuoteFormat, "the TD report cannot be parsed").Because(err)
	}
	m, refusal := r.c.TCBInfo.moduleOf(r.td.TEETCBSVN)
	if refusal == nil {
		refusal = m.matches(&r.td)
	}
	if refusal == nil {
		r.j.Pass(evidence.TDXModule, teeTCB(r.td.TEETCBSVN).moduleID())
	}
	return refusal
}

// qeReport checks that the PCK key signed the QE report, and that the report vouches for the attestation key.
func (r *verification) qeReport() *evidence.Refusal {
	q := r.o.quote
	if !q.qeSignature.verifies(key(r.o.chain.leaf), q.qeReport) {
		return evidence.Refuse(evidence.QEReportSignature, "the report of the quoting enclave is not signed by the PCK key").
			Want("a signature by the key of the PCK certificate in the quote", "one that does not verify").
			Do("the quote was altered, or put together from two: make a new one and send it exactly as it was produced")
	}
	r.j.Pass(evidence.QEReportSignature, "")
	report, err := ParseEnclaveReport(q.qeReport)
	if err != nil {
		return evidence.Refuse(evidence.QuoteFormat, "the QE report cannot be parsed").Because(err)
	}
	if want := q.keyBinding(); want != report.ReportData {
		return evidence.Refuse(evidence.QEReportData, "the report of the quoting enclave does not vouch for the attestation key").
			Want("report data "+hex.EncodeToString(want[:]), hex.EncodeToString(report.ReportData[:])).
			Do("the quote was altered, or put together from two: make a new one and send it exactly as it was produced")
	}
	r.j.Pass(evidence.QEReportData, "")
	r.qe = report
	return nil
}

// qeIdentity checks the dates of the QE identity and that the quoting enclave is the one described.
func (r *verification) qeIdentity() *evidence.Refusal {
	d := &r.c.QEIdentity.document
	if refusal := d.current(r.opt, r.c.RootCRL, dates{evidence.QEIdentityExpired, evidence.QEIdentityNotYetValid}); refusal != nil {
		return refusal
	}
	r.dates(d, evidence.QEIdentityExpired)
	if refusal := r.c.QEIdentity.matches(r.o.quote.TEE, &r.qe); refusal != nil {
		return refusal
	}
	r.j.Pass(evidence.QEIdentityMismatch, r.c.QEIdentity.id)
	return nil
}

func (r *verification) quoteSignature() *evidence.Refusal {
	q := r.o.quote
	if !q.signature.verifies(q.attestationKey, q.signed) {
		return evidence.Refuse(evidence.QuoteSignature, "the quote is not signed by its attestation key").
			Want("a signature over header and report body by the attestation key in the quote", "one that does not verify").
			Do("make a new quote and send it exactly as it was produced")
	}
	r.j.Pass(evidence.QuoteSignature, "")
	return nil
}

func (r *verification) standing() (refusal *evidence.Refusal) {
	if tcb, q := r.o.PCK().TCB, r.o.quote; q.TEE == TDX {
		r.stand, refusal = r.c.standTD(tcb, r.qe.SVN, &r.td, q.BodyType)
	} else {
		r.stand, refusal = r.c.stand(tcb, r.qe.SVN, nil)
	}
	if refusal == nil {
		r.j.Pass(evidence.TCBNotSupported, string(r.stand.Status))
	}
	return refusal
}

func (r *verification) verified() *Verified {
	t, q := r.c.TCBInfo, r.c.QEIdentity
	v := &Verified{
		Standing: r.stand, Origin: r.o, NotChecked: r.notChecked, Body: r.o.quote.body,
		CollateralExpired: t.expired(r.opt.At) || q.expired(r.opt.At),
		Hashes:            CollateralHashes{TCBInfo: t.hash, TCBInfoCerts: t.chainHash, QEIdentity: q.hash, QEIdentityCerts: q.chainHash},
	}
	until := []time.Time{t.nextUpdate, q.nextUpdate}
	for _, crl := range []*CRL{r.c.PCKCRL, r.c.RootCRL} {
		if crl != nil {
			until = append(until, crl.NextUpdate())
		}
	}
	if r.c.RootCRL != nil {
		v.Hashes.RootCRL = r.c.RootCRL.pemHash
	}
	v.ValidUntil = slices.MinFunc(until, time.Time.Compare)
	return v
}
