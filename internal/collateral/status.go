package collateral

import (
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// ErrNeedsEvidence stands in the [Status] of a PCK CRL: its signature can only be verified together with evidence, which
// carries the certificate of the CA.
var ErrNeedsEvidence = errors.New("not verified by itself: the CA's certificate comes with the evidence")

// Status is what can be said about a stored document without evidence. Key, number and dates are only given of what is
// verified.
type Status struct {
	Where      string // the name of the set, or of the file in a cache's folder
	Kind       Kind
	TEE        dcap.TEE // of TCB info
	Key        string   // FMSPC of TCB info, id of an identity, trust anchor of the root CRL
	Evaluation uint32   // TCB evaluation data number; zero for a CRL
	IssueDate  time.Time
	NextUpdate time.Time
	Err        error // why it is not verified; nil if it is
}

// Status verifies the documents of the set one by one, at no particular time. A document that is missing has an entry
// whose Err wraps [ErrAbsent].
func (s *Set) Status(v *dcap.Verifier) []Status {
	var list []Status
	anchor := s.anchor(v) // the root CRL must be of the same root
	for _, kind := range []Kind{TCBInfo, QEIdentity, PCKCRL, RootCRL} {
		r, err := s.read(kind)
		status := Status{Err: err}
		if err == nil {
			status = inspect(v, kind, r, anchor)
		}
		status.Where, status.Kind = s.Name, kind
		list = append(list, status)
	}
	return list
}

// anchor is the root of the TCB info; none if that is not verified.
func (s *Set) anchor(v *dcap.Verifier) dcap.Anchor {
	r, err := s.read(TCBInfo)
	if err != nil {
		return dcap.Anchor{}
	}
	t, err := v.TCBInfo(r.Document, r.Chain)
	if err != nil {
		return dcap.Anchor{}
	}
	return t.Anchor()
}

// inspect verifies a document; a root CRL as that of anchor.
func inspect(v *dcap.Verifier, kind Kind, r raw, anchor dcap.Anchor) Status {
	switch kind {
	case TCBInfo:
		t, err := v.TCBInfo(r.Document, r.Chain)
		if err != nil {
			return Status{Err: err}
		}
		return Status{TEE: t.TEE(), Key: t.FMSPC().String(), Evaluation: t.EvaluationNumber(), IssueDate: t.IssueDate(), NextUpdate: t.NextUpdate()}
	case QEIdentity:
		q, err := v.QEIdentity(r.Document, r.Chain)
		if err != nil {
			return Status{Err: err}
		}
		return Status{Key: q.ID(), Evaluation: q.EvaluationNumber(), IssueDate: q.IssueDate(), NextUpdate: q.NextUpdate()}
	case RootCRL:
		crl, err := v.RootCRL(r.Document, anchor)
		if err != nil {
			return Status{Err: err}
		}
		return Status{Key: anchor.String(), IssueDate: crl.ThisUpdate(), NextUpdate: crl.NextUpdate()}
	}
	return Status{Err: ErrNeedsEvidence}
}
