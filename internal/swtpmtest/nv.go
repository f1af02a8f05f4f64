package swtpmtest

import (
	"crypto"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// The NV indices of certificates of endorsement keys (tpm-evidence.md section 3).
const (
	EKCertificateRSA     = 0x01C00002
	EKCertificateP256    = 0x01C0000A
	EKCertificateHighRSA = 0x01C00012
	EKCertificateHigh256 = 0x01C00014
	EKCertificateP384    = 0x01C00016
	EKChain              = 0x01C00100
)

func owner() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
}

// Store fills an NV index that anybody may read, as makers of TPMs do, but by the owner.
func Store(t testing.TB, c transport.TPM, index tpm2.TPMHandle, content []byte) {
	t.Helper()
	Define(t, c, index, len(content), tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true})
	Write(t, c, index, content)
}

// Define makes an NV index of so many bytes.
func Define(t testing.TB, c transport.TPM, index tpm2.TPMHandle, size int, attributes tpm2.TPMANV) {
	t.Helper()
	public := tpm2.New2B(tpm2.TPMSNVPublic{NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(size), Attributes: attributes})
	if _, err := (tpm2.NVDefineSpace{AuthHandle: owner(), PublicInfo: public}).Execute(c); err != nil {
		t.Fatal(err)
	}
}

// Write fills an NV index that the owner may write.
func Write(t testing.TB, c transport.TPM, index tpm2.TPMHandle, content []byte) {
	t.Helper()
	for offset := 0; offset < len(content); offset += 256 {
		read, err := tpm2.NVReadPublic{NVIndex: index}.Execute(c) // the Name changes with the first byte written
		if err != nil {
			t.Fatal(err)
		}
		_, err = tpm2.NVWrite{
			AuthHandle: owner(), NVIndex: tpm2.NamedHandle{Handle: index, Name: read.NVName},
			Data: tpm2.TPM2BMaxNVBuffer{Buffer: content[offset:min(offset+256, len(content))]}, Offset: uint16(offset),
		}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Remove takes an NV index of the maker away, as the platform can.
func Remove(t testing.TB, c transport.TPM, index tpm2.TPMHandle) {
	t.Helper()
	read, err := tpm2.NVReadPublic{NVIndex: index}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: index, Name: read.NVName},
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
}

// EK makes the endorsement key of a template, TPMT_PUBLIC, and gives its public key.
func EK(t testing.TB, c transport.TPM, template []byte) crypto.PublicKey {
	t.Helper()
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.BytesAs2B[tpm2.TPMTPublic](template),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: made.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	area, err := made.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
