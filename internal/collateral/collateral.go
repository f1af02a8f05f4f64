// Package collateral says where Intel's endorsements come from: TCB info, QE identity and revocation lists, which are
// called collateral. A [Source] delivers bytes, which nobody believes: the provisioning service of Intel or a cache of
// it ([Web]), or files ([Set], many of them in a bundle). A [Cache] has each document verified once, when it is loaded,
// and keeps the verified value, in memory and on disk. [Baselines] answers which collateral a policy's baseline means.
//
// Whatever is wrong with collateral (missing, damaged, foreign, out of date, not to be had) is [Unavailable]: it is
// never a verdict on the evidence. The verification itself is package dcap's. Specification: sgx-tdx.md sections 5, 6
// and 9.1, management.md section 10.
package collateral

import (
	"context"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// MaxDocument bounds each document and chain read from a source, in bytes. The largest real TCB info has 20 KB.
const MaxDocument = 1 << 20

// The selectors of Intel's current collateral; any other selector is a TCB evaluation data number in decimal
// (sgx-tdx.md section 6.1).
const (
	Standard = "standard"
	Early    = "early"
)

// Source delivers collateral as it is stored or published, unverified. Its methods may be called concurrently and honour
// the context. An error wraps [ErrAbsent] when the source answered that it has no such item; an error that is an
// [Unavailable] may carry the time for which the source wants to be left alone. A source does not retry.
type Source interface {
	// TCBInfo returns the signed TCB info of a platform family for a TEE and its issuer chain in PEM. The evaluation is
	// [Standard], [Early] or a number.
	TCBInfo(ctx context.Context, tee dcap.TEE, fmspc dcap.FMSPC, evaluation string) (doc, issuerChain []byte, err error)
	// QEIdentity returns the signed identity of the enclave that makes the quotes of a TEE, and its issuer chain in PEM.
	QEIdentity(ctx context.Context, tee dcap.TEE, evaluation string) (doc, issuerChain []byte, err error)
	// PCKCRL returns the revocation list of the CA that issues PCK certificates, in DER, PEM or hex.
	PCKCRL(ctx context.Context, kind dcap.CAKind) ([]byte, error)
	// RootCRL returns the revocation list of the root, in DER, PEM or hex.
	RootCRL(ctx context.Context) ([]byte, error)
}

// Kind names a kind of document.
type Kind string

// The four documents that the verification of a quote needs.
const (
	TCBInfo    Kind = "TCB info"
	QEIdentity Kind = "QE identity"
	PCKCRL     Kind = "PCK CRL"
	RootCRL    Kind = "root CA CRL"
)

// raw is one document as a source delivers it. A CRL has no chain.
type raw struct {
	Document []byte `json:"document"`
	Chain    []byte `json:"chain,omitempty"`
}
