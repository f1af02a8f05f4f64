// Package vbs reads and verifies the attestation reports of VBS enclaves (tpm.md section 11).
package vbs

import (
	"crypto/rsa"
	"errors"
)

var errTODO = errors.New("not implemented")

// Report is an enclave report, parsed. Nothing of it is believed.
type Report struct{}

// Identity is who an enclave is, as the secure kernel says.
type Identity struct {
	OwnerID, UniqueID, AuthorID                                         [32]byte
	FamilyID, ImageID                                                   [16]byte
	EnclaveSVN, SecureKernelSVN, PlatformSVN, Flags, SigningLevel, Type uint32
}

// Debuggable reports whether any of the three debugging flags is set.
func (id Identity) Debuggable() bool { return id.Flags&7 != 0 }

// Module is a module that is loaded in an enclave.
type Module struct {
	Name               string
	UniqueID, AuthorID [32]byte
	FamilyID, ImageID  [16]byte
	SVN                uint32
}

// Verified is a report that a secure kernel signed about its request.
type Verified struct {
	Identity Identity
	Modules  []Module
}

// Parse reads the output of EnclaveGetAttestationReport, little-endian, to its last byte. The error is an [evidence.Refusal] of VBSFormat.
func Parse(b []byte) (*Report, error) { return nil, errTODO }

// Verify checks that one of the keys signed the report and that its EnclaveData is the given one. The keys are the IDKS keys that
// a believed log measures. The error is an [evidence.Refusal] of VBSSignature or VBSBinding.
func (r *Report) Verify(keys []*rsa.PublicKey, enclaveData [64]byte) (*Verified, error) {
	return nil, errTODO
}
