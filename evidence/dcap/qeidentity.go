package dcap

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// QEIdentity is Intel's description of a quoting enclave, with its signature checked (sgx-tdx.md section 5.3).
type QEIdentity struct {
	document
	id                         string
	miscSelect, miscMask       [4]byte
	attributes, attributesMask [16]byte
	mrsigner                   [32]byte
	prodID                     uint16
	levels                     []svnLevel // highest first
}

// svnLevel is the version that an enclave or a TDX module must at least have for a status.
type svnLevel struct {
	svn uint16
	rating
}

// ID is the kind of enclave: QE for SGX quotes, TD_QE for TDX quotes.
func (q *QEIdentity) ID() string { return q.id }

type wireIdentity struct {
	common
	ID             string         `json:"id"`
	MiscSelect     string         `json:"miscselect"`
	MiscMask       string         `json:"miscselectMask"`
	Attributes     string         `json:"attributes"`
	AttributesMask string         `json:"attributesMask"`
	MRSIGNER       string         `json:"mrsigner"`
	ProdID         *uint16        `json:"isvprodid"`
	Levels         []wireSVNLevel `json:"tcbLevels"`
}

type wireSVNLevel struct {
	TCB struct {
		SVN *uint16 `json:"isvsvn"`
	} `json:"tcb"`
	wireRating
}

// QEIdentity reads an enclave identity document of version 2, exactly as received, and checks its signature through
// issuerChain (PEM, signer then root). The error is an [evidence.Refusal].
func (v *Verifier) QEIdentity(doc, issuerChain []byte) (*QEIdentity, error) {
	q := &QEIdentity{document: document{name: "QE identity", hash: hashDocument(doc)}}
	e, err := readEnvelope(doc)
	if err != nil || len(e.EnclaveIdentity) == 0 {
		return nil, badIdentity(cmp.Or(err, errors.New("enclaveIdentity is missing")))
	}
	if r := v.signed(&q.document, e.EnclaveIdentity, e.Signature, issuerChain, evidence.QEIdentitySignature); r != nil {
		return nil, r
	}
	if err := q.read(e.EnclaveIdentity); err != nil {
		return nil, badIdentity(err)
	}
	return q, nil
}

func badIdentity(err error) error {
	return endorsement(evidence.QEIdentityFormat, "the QE identity breaks its schema").Because(err).Do("fetch the document again")
}

// read reads the inner object, whose signature has been checked.
func (q *QEIdentity) read(inner []byte) error {
	var w wireIdentity
	if err := strictjson.Exact(inner, &w); err != nil {
		return err
	}
	err := errors.Join(w.common.read(&q.document),
		unhex(q.miscSelect[:], "miscselect", w.MiscSelect), unhex(q.miscMask[:], "miscselectMask", w.MiscMask),
		unhex(q.attributes[:], "attributes", w.Attributes), unhex(q.attributesMask[:], "attributesMask", w.AttributesMask),
		unhex(q.mrsigner[:], "mrsigner", w.MRSIGNER))
	switch {
	case err != nil:
		return err
	case w.Version == nil || *w.Version != 2:
		return errors.New("version: expected 2")
	case !slices.Contains([]string{"QE", "TD_QE", "QVE", "QAE"}, w.ID):
		return fmt.Errorf("id: unknown word %q", w.ID)
	case w.ProdID == nil:
		return errors.New("isvprodid is missing")
	}
	q.id, q.prodID = w.ID, *w.ProdID
	q.levels, err = readSVNLevels(w.Levels, identityStatuses())
	return err
}

// readSVNLevels reads the levels of an identity and sorts them, highest first.
func readSVNLevels(wire []wireSVNLevel, known []Status) (levels []svnLevel, err error) {
	if len(wire) == 0 {
		return nil, errors.New("tcbLevels: none")
	}
	for i, w := range wire {
		r, err := w.wireRating.read(known)
		if err == nil && w.TCB.SVN == nil {
			err = errors.New("tcb.isvsvn is missing")
		}
		if err != nil {
			return nil, fmt.Errorf("tcbLevels[%d]: %w", i, err)
		}
		levels = append(levels, svnLevel{*w.TCB.SVN, r})
	}
	slices.SortStableFunc(levels, func(a, b svnLevel) int { return cmp.Compare(b.svn, a.svn) })
	for i := 1; i < len(levels); i++ {
		if levels[i].svn == levels[i-1].svn {
			return nil, fmt.Errorf("tcbLevels: two levels with isvsvn %d", levels[i].svn)
		}
	}
	return levels, nil
}

// reached finds the first level, from the highest, that version svn reaches.
func reached(levels []svnLevel, svn uint16) (rating, bool) {
	for _, l := range levels {
		if svn >= l.svn {
			return l.rating, true
		}
	}
	return rating{}, false
}

// matches checks that the QE report r is that of the enclave described, for quotes of tee (sgx-tdx.md section 7 step 8).
func (q *QEIdentity) matches(tee TEE, r *EnclaveReport) *evidence.Refusal {
	differ := func(what string, expected, found any) *evidence.Refusal {
		return evidence.Refuse(evidence.QEIdentityMismatch, "the quoting enclave is not the one Intel describes: %s", what).
			Want(expected, found).Do("quote with Intel's production quoting enclave")
	}
	id := map[TEE]string{SGX: "QE", TDX: "TD_QE"}[tee]
	var misc [4]byte
	binary.LittleEndian.PutUint32(misc[:], r.MiscSelect)
	switch {
	case q.id != id:
		return differ("kind of identity", id, q.id).Blame(evidence.OfEndorsement)
	case !maskedEqual(misc[:], q.miscSelect[:], q.miscMask[:]):
		return differ("MISCSELECT under its mask", fmt.Sprintf("%x", q.miscSelect), fmt.Sprintf("%x", misc))
	case !maskedEqual(r.Attributes[:], q.attributes[:], q.attributesMask[:]):
		return differ("ATTRIBUTES under its mask", fmt.Sprintf("%x", q.attributes), fmt.Sprintf("%x", r.Attributes))
	case r.MRSIGNER != q.mrsigner:
		return differ("MRSIGNER", fmt.Sprintf("%x", q.mrsigner), fmt.Sprintf("%x", r.MRSIGNER))
	case r.ProdID != q.prodID:
		return differ("ISVPRODID", q.prodID, r.ProdID)
	}
	return nil
}

func maskedEqual(found, expected, mask []byte) bool {
	for i := range found {
		if (found[i]^expected[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}
