package collateral

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// The files of a set. A CRL may lie there as .der or as .pem; if both are there, .der counts.
const (
	tcbInfoFile         = "tcb_info.json"
	tcbInfoChainFile    = "tcb_info_issuer_chain.pem"
	qeIdentityFile      = "qe_identity.json"
	qeIdentityChainFile = "qe_identity_issuer_chain.pem"
	pckCRLFile          = "pck_crl.der"
	pckCRLPEMFile       = "pck_crl.pem"
	pckCRLChainFile     = "pck_crl_issuer_chain.pem"
	rootCRLFile         = "root_ca_crl.der"
	rootCRLPEMFile      = "root_ca_crl.pem"
)

// isSetFile reports whether a set has a file of that name. Other files in its folder are left alone.
func isSetFile(name string) bool {
	switch name {
	case tcbInfoFile, tcbInfoChainFile, qeIdentityFile, qeIdentityChainFile,
		pckCRLFile, pckCRLPEMFile, pckCRLChainFile, rootCRLFile, rootCRLPEMFile:
		return true
	}
	return false
}

// Set is one folder of collateral, enough for one kind of platform: tcb_info.json, tcb_info_issuer_chain.pem,
// qe_identity.json, qe_identity_issuer_chain.pem, pck_crl.der or .pem, root_ca_crl.der or .pem, and perhaps
// pck_crl_issuer_chain.pem, each as it was found. It is a [Source] that gives what it has, whatever it is asked for:
// whether that fits is for the reader to check. A file that is missing is [ErrAbsent] and named.
type Set struct {
	// Name is the folder's path inside its bundle, with slashes; "." for the bundle itself.
	Name  string
	files map[string][]byte
}

// ReadSet reads the folder dir as it is. The error wraps [ErrAbsent] when dir has none of a set's files.
func ReadSet(dir string) (*Set, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("collateral folder: %w", err)
	}
	defer root.Close()
	t := newTree()
	if err := t.readFolder(root.FS(), 0); err != nil {
		return nil, fmt.Errorf("collateral folder %s: %w", dir, err)
	}
	if len(t.files) == 0 {
		return nil, fmt.Errorf("collateral folder %s: files %s, …: %w", dir, tcbInfoFile, ErrAbsent)
	}
	return &Set{Name: ".", files: t.files}, nil
}

// TCBInfo implements [Source].
func (s *Set) TCBInfo(context.Context, dcap.TEE, dcap.FMSPC, string) (doc, issuerChain []byte, err error) {
	r, err := s.read(TCBInfo)
	return r.Document, r.Chain, err
}

// QEIdentity implements [Source].
func (s *Set) QEIdentity(context.Context, dcap.TEE, string) (doc, issuerChain []byte, err error) {
	r, err := s.read(QEIdentity)
	return r.Document, r.Chain, err
}

// PCKCRL implements [Source].
func (s *Set) PCKCRL(context.Context, dcap.CAKind) ([]byte, error) {
	r, err := s.read(PCKCRL)
	return r.Document, err
}

// RootCRL implements [Source].
func (s *Set) RootCRL(context.Context) ([]byte, error) {
	r, err := s.read(RootCRL)
	return r.Document, err
}

// read returns the document of a kind.
func (s *Set) read(kind Kind) (r raw, err error) {
	var err2 error
	switch kind {
	case TCBInfo:
		r.Document, err = s.file(tcbInfoFile)
		r.Chain, err2 = s.file(tcbInfoChainFile)
	case QEIdentity:
		r.Document, err = s.file(qeIdentityFile)
		r.Chain, err2 = s.file(qeIdentityChainFile)
	case PCKCRL:
		r.Document, err = s.file(pckCRLFile, pckCRLPEMFile)
	case RootCRL:
		r.Document, err = s.file(rootCRLFile, rootCRLPEMFile)
	}
	return r, cmp.Or(err, err2)
}

// file returns the first of the named files that is there.
func (s *Set) file(names ...string) ([]byte, error) {
	for _, name := range names {
		if b, ok := s.files[name]; ok {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s in collateral folder %s: %w", strings.Join(names, " or "), s.Name, ErrAbsent)
}

// Verify has the documents of the set verified for evidence of origin o, in the order in which the evidence's own checks
// name them (sgx-tdx.md section 7). What is missing gives [ErrAbsent], what is unsound the verifier's refusal. Whether
// dates and platform fit is for [dcap.Verifier.Verify] to judge.
func (s *Set) Verify(v *dcap.Verifier, o *dcap.Origin) (c dcap.Collateral, err error) {
	rootCRL, err1 := s.read(RootCRL)
	pckCRL, err2 := s.read(PCKCRL)
	tcbInfo, err3 := s.read(TCBInfo)
	identity, err4 := s.read(QEIdentity)
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return dcap.Collateral{}, err
	}
	c.RootCRL, err1 = v.RootCRL(rootCRL.Document, o.Anchor())
	c.PCKCRL, err2 = v.PCKCRL(pckCRL.Document, o.CA())
	c.TCBInfo, err3 = v.TCBInfo(tcbInfo.Document, tcbInfo.Chain)
	c.QEIdentity, err4 = v.QEIdentity(identity.Document, identity.Chain)
	return c, cmp.Or(err1, err2, err3, err4)
}

// Choice says which collateral to fetch into a set.
type Choice struct {
	TEE        dcap.TEE
	FMSPC      dcap.FMSPC
	CA         dcap.CAKind
	Evaluation string // [Standard], [Early] or a number
}

// Fetch asks src for all documents of a choice. They are not verified. Name becomes the set's name.
func Fetch(ctx context.Context, src Source, c Choice, name string) (*Set, error) {
	s := &Set{Name: name, files: map[string][]byte{}}
	var err error
	if s.files[tcbInfoFile], s.files[tcbInfoChainFile], err = src.TCBInfo(ctx, c.TEE, c.FMSPC, c.Evaluation); err != nil {
		return nil, err
	}
	if s.files[qeIdentityFile], s.files[qeIdentityChainFile], err = src.QEIdentity(ctx, c.TEE, c.Evaluation); err != nil {
		return nil, err
	}
	crl, err := src.PCKCRL(ctx, c.CA)
	if err != nil {
		return nil, err
	}
	s.putCRL(crl, pckCRLFile, pckCRLPEMFile)
	if crl, err = src.RootCRL(ctx); err != nil {
		return nil, err
	}
	s.putCRL(crl, rootCRLFile, rootCRLPEMFile)
	return s, nil
}

func (s *Set) putCRL(crl []byte, der, pem string) {
	if bytes.HasPrefix(bytes.TrimSpace(crl), []byte("-----BEGIN")) {
		der = pem
	}
	s.files[der] = crl
}
