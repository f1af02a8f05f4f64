package vbs

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
)

// MaxKeys is how many different keys a report is tried with: a log measures one.
const MaxKeys = 16

// minKeyBits is the length of the shortest key that is trusted.
const minKeyBits = 2048

// Verified is a report that a secure kernel signed about its request. Only Verify makes one.
type Verified struct {
	Identity Identity
	Modules  []Module
}

// Claims are the facts of the enclave (tpm.md section 8.1): ids as base64url without padding, integers as int64.
func (v *Verified) Claims() []evidence.Claim {
	id := &v.Identity
	return []evidence.Claim{
		{Name: "enclaveOwnerId", Value: b64.URL(id.OwnerID[:])},
		{Name: "enclaveAuthorId", Value: b64.URL(id.AuthorID[:])},
		{Name: "enclaveFamilyId", Value: b64.URL(id.FamilyID[:])},
		{Name: "enclaveImageId", Value: b64.URL(id.ImageID[:])},
		{Name: "enclaveSvn", Value: int64(id.EnclaveSVN)},
		{Name: "enclavePlatformSvn", Value: int64(id.PlatformSVN)},
		{Name: "enclaveFlags", Value: int64(id.Flags)},
	}
}

// Verify checks that one of the keys signed the report and that its EnclaveData is the given one: the SHA-512 of the request's
// report_signed as it was sent (tpm.md section 11). The keys are the IDKS keys that a believed log measures; the same key may be
// among them more than once. The error is an [evidence.Refusal] of VBSSignature or VBSBinding.
func (r *Report) Verify(keys []*rsa.PublicKey, enclaveData [64]byte) (*Verified, error) {
	keys = different(keys)
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, evidence.Refuse(evidence.VBSSignature, "the log does not say by which key enclave reports are signed").
			Want(fmt.Sprintf("1 to %d keys (EVENT_VSM_IDKS_INFO)", MaxKeys), len(keys)).
			Do("attest a machine that runs virtualization-based security, with its whole log, PCR 12 included")
	}
	if !r.signedByOne(keys) {
		return nil, evidence.Refuse(evidence.VBSSignature, "the enclave report is not signed by the secure kernel of the log").
			Want("RSASSA-PSS with SHA-256 by a measured key (EVENT_VSM_IDKS_INFO)", "another signature").
			Do("send a report of the boot that the log is of")
	}
	if r.enclaveData != enclaveData {
		return nil, evidence.Refuse(evidence.VBSBinding, "the enclave report is about another request").
			Want(fmt.Sprintf("EnclaveData %x, the SHA-512 of report_signed", enclaveData), fmt.Sprintf("%x", r.enclaveData)).
			Do("send report_signed byte for byte as the enclave hashed it")
	}
	return &Verified{Identity: r.identity, Modules: r.modules}, nil
}

// different gives the keys that can be trusted, each once, as soon as there are too many no more of them.
func different(keys []*rsa.PublicKey) []*rsa.PublicKey {
	var list []*rsa.PublicKey
	for _, k := range keys {
		if k == nil || k.N == nil || k.N.BitLen() < minKeyBits || contains(list, k) {
			continue
		}
		if list = append(list, k); len(list) > MaxKeys {
			break
		}
	}
	return list
}

func contains(list []*rsa.PublicKey, k *rsa.PublicKey) bool {
	for _, other := range list {
		if other.Equal(k) {
			return true
		}
	}
	return false
}

// signedByOne reports whether one of the keys signed the report, with a salt of any length.
func (r *Report) signedByOne(keys []*rsa.PublicKey) bool {
	sum := sha256.Sum256(r.statement)
	for _, k := range keys {
		opt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: crypto.SHA256}
		if rsa.VerifyPSS(k, crypto.SHA256, sum[:], r.signature, opt) == nil {
			return true
		}
	}
	return false
}
