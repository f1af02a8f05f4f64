package collateral

import (
	"context"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// key tells a document from all others. It holds what sgx-tdx.md section 6.4 names, and the key of the issuer besides:
// two PKIs, such as Intel's and a simulated one, may use the same names.
type key struct {
	kind       Kind
	tee        dcap.TEE    // of TCB info and QE identity; zero, which is SGX, of CRLs
	fmspc      dcap.FMSPC  // of TCB info
	evaluation string      // of TCB info and QE identity
	ca         dcap.CAKind // of a PCK CRL
	issuer     [32]byte    // the trust anchor; of a PCK CRL the CA's key
}

// want is a document that somebody needs.
type want struct {
	key
	issuedBy *dcap.CA // of a PCK CRL
}

func wantTCBInfo(o *dcap.Origin, evaluation string) want {
	return want{key: key{kind: TCBInfo, tee: o.Quote().TEE, fmspc: o.FMSPC(), evaluation: evaluation, issuer: o.Anchor()}}
}

func wantQEIdentity(o *dcap.Origin, evaluation string) want {
	return want{key: key{kind: QEIdentity, tee: o.Quote().TEE, evaluation: evaluation, issuer: o.Anchor()}}
}

func wantPCKCRL(o *dcap.Origin) want {
	return want{key{kind: PCKCRL, ca: o.CA().Kind(), issuer: o.CA().KeyID()}, o.CA()}
}

func wantRootCRL(o *dcap.Origin) want { return want{key: key{kind: RootCRL, issuer: o.Anchor()}} }

// String names the document for people.
func (k key) String() string {
	name := string(k.kind)
	if k.tee == dcap.TDX {
		name = "TDX " + name
	}
	switch k.kind {
	case TCBInfo:
		name += " for FMSPC " + k.fmspc.String()
	case PCKCRL:
		name += " of the " + string(k.ca) + " CA"
	}
	switch k.evaluation {
	case "", Standard:
		return name
	case Early:
		return name + ", early"
	}
	return name + ", evaluation " + k.evaluation
}

// fetch gets the bytes of w from the source.
func (c *Cache) fetch(ctx context.Context, w want) (r raw, err error) {
	switch w.kind {
	case TCBInfo:
		r.Document, r.Chain, err = c.cfg.Source.TCBInfo(ctx, w.tee, w.fmspc, w.evaluation)
	case QEIdentity:
		r.Document, r.Chain, err = c.cfg.Source.QEIdentity(ctx, w.tee, w.evaluation)
	case PCKCRL:
		r.Document, err = c.cfg.Source.PCKCRL(ctx, w.ca)
	case RootCRL:
		r.Document, err = c.cfg.Source.RootCRL(ctx)
	}
	return r, err
}

// verify has r verified and checks that it is what w asks for. Dates are left to check.
func (c *Cache) verify(w want, r raw) (document, error) {
	v := c.cfg.Verifier
	switch w.kind {
	case TCBInfo:
		t, err := v.TCBInfo(r.Document, r.Chain)
		if err == nil && (t.TEE() != w.tee || t.FMSPC() != w.fmspc) {
			err = notNow("its source gave the one for %s platforms with FMSPC %s", t.TEE(), t.FMSPC())
		}
		if err != nil {
			return document{}, err
		}
		return signedDocument(t, w)
	case QEIdentity:
		q, err := v.QEIdentity(r.Document, r.Chain)
		if err == nil && q.ID() != identityOf(w.tee) {
			err = notNow("its source gave the identity of %s", q.ID())
		}
		if err != nil {
			return document{}, err
		}
		return signedDocument(q, w)
	case PCKCRL:
		return crlDocument(v.PCKCRL(r.Document, w.issuedBy))
	default:
		return crlDocument(v.RootCRL(r.Document, w.issuer))
	}
}

// identityOf is the id of the identity of the enclave that makes the quotes of a TEE (sgx-tdx.md section 5.3).
func identityOf(tee dcap.TEE) string {
	if tee == dcap.TDX {
		return "TD_QE"
	}
	return "QE"
}

// signedDocument checks that a verified document belongs to the PKI and the evaluation it was asked for.
func signedDocument(doc signed, w want) (document, error) {
	if found, anchor := doc.Anchor(), dcap.Anchor(w.issuer); found != anchor {
		return document{}, notNow("its source gave one whose issuer chain ends in the root %s, that of the evidence in %s", found, anchor)
	}
	if n := decimal(doc.EvaluationNumber()); isNumber(w.evaluation) && n != w.evaluation {
		return document{}, notNow("its source gave one with the evaluation number %s", n)
	}
	return document{value: doc, issued: doc.IssueDate(), next: doc.NextUpdate()}, nil
}

// signed is what a verified TCB info and a verified QE identity have in common.
type signed interface {
	Anchor() dcap.Anchor
	EvaluationNumber() uint32
	IssueDate() time.Time
	NextUpdate() time.Time
}

func crlDocument(crl *dcap.CRL, err error) (document, error) {
	if err != nil {
		return document{}, err
	}
	return document{value: crl, issued: crl.ThisUpdate(), next: crl.NextUpdate()}, nil
}

// check says why a document may not be used now; nil if it may. The verification of evidence makes the same checks;
// here they decide whether to ask the source again, and keep a stale document from being a verdict on the evidence.
func (c *Cache) check(d document) error {
	now, skew, setting := c.cfg.Clock(), dcap.ClockSkew, " (collateral_expiry=enforce)"
	_, isCRL := d.value.(*dcap.CRL)
	if isCRL {
		skew, setting = 0, "" // a CRL may be old only where none is required; then it still revokes
	}
	switch {
	case d.value == nil:
		return errors.New("it is not loaded")
	case d.issued.After(now.Add(skew)):
		return notNow("it is issued in the future, at %s, while the service's time is %s: its clock or the document is wrong", stamp(d.issued), stamp(now))
	case (isCRL && !c.cfg.WithoutCRLs || !isCRL && !c.cfg.Pinned) && !now.Before(d.next.Add(c.cfg.Grace)):
		return notNow("it is past its nextUpdate %s%s, the service's time is %s", stamp(d.next), setting, stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
