package assaytest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// What a vTPM of Azure has (azure-guest.md section 1).
const (
	vtpmReport      tpm2.TPMHandle = 0x01400001
	vtpmUserData    tpm2.TPMHandle = 0x01400002
	vtpmCertificate tpm2.TPMHandle = 0x01C101D0
	vtpmAK          tpm2.TPMHandle = 0x81000003
)

// vtpmChunk is how many bytes of an NV index are written at once.
const vtpmChunk = 512

// BootLog is the TCG log of a Linux guest that [AzureHost.Provision] can boot. Other simulated logs are of firmware that starts its TPM from locality 3, which
// gives PCR 0 another first value than a TPM in software has.
func (h *AzureHost) BootLog() ([]byte, error) {
	log, err := TPMBoot{SecureBoot: !h.SecureBootOff}.Log(h.TPM)
	if err != nil {
		return nil, err
	}
	log.Events = slices.DeleteFunc(log.Events, func(e TPMEvent) bool {
		return e.Type == evNoAction && bytes.HasPrefix(e.Data, []byte(localitySignature))
	})
	return log.Bytes(), nil
}

// SecureBootKeys are the variables of secure boot as the setting azureguest_secureboot_keys names them: of each certificate the SHA-256, and the SHA-256s in dbx, in
// lower-case hex.
type SecureBootKeys struct{ PK, KEK, DB, DBX []string }

// SecureBootKeys returns those of the host's guests, as their logs tell them.
func (h *AzureHost) SecureBootKeys() (SecureBootKeys, error) {
	certificate, err := h.TPM.firmwareCertificate()
	if err != nil {
		return SecureBootKeys{}, err
	}
	key := []string{hex.EncodeToString(hashOf(crypto.SHA256, certificate))}
	k := SecureBootKeys{PK: key, KEK: key, DB: key}
	for _, digest := range revokedLoaders() {
		k.DBX = append(k.DBX, hex.EncodeToString(digest))
	}
	return k, nil
}

// Provision makes the vTPM of a guest on the host out of a TPM in software (azure-guest.md section 5): it makes the attestation key at 81000003 unless there is
// one, writes the NV indices 01400001, 01400002 and 01C101D0 anew, and extends what a TCG log says if PCR 0 and PCR 7 are as after a reset. The HCL report has
// user data already, since an NV index does not change when another is written. The owner's password must be empty. Never do this to a TPM of a machine.
func (h *AzureHost) Provision(t transport.TPM, log []byte, userData [64]byte) error {
	ak, err := provisionAK(t)
	if err != nil {
		return fmt.Errorf("making the attestation key at %08X: %w", uint32(vtpmAK), err)
	}
	certificate, err := h.AKCertificate(ak)
	if err != nil {
		return err
	}
	indices := map[tpm2.TPMHandle][]byte{vtpmUserData: userData[:], vtpmCertificate: certificate, vtpmReport: nil}
	if h.Isolation != AzureTrustedLaunch {
		report, err := h.HCLReport(ak, nil, userData)
		if err != nil {
			return err
		}
		indices[vtpmReport] = bytes.TrimRight(report, "\x00") // TPMs in software have indices of up to 2048 bytes
	}
	for index, content := range indices {
		if err := provisionIndex(t, index, content); err != nil {
			return fmt.Errorf("writing index %08X: %w", uint32(index), err)
		}
	}
	return provisionPCRs(t, log)
}

func vtpmOwner() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
}

// provisionAK gives the attestation key that the TPM keeps, and makes it if it has none.
func provisionAK(t transport.TPM) (*rsa.PublicKey, error) {
	read, err := tpm2.ReadPublic{ObjectHandle: vtpmAK}.Execute(t)
	if err == nil {
		return vtpmRSA(read.OutPublic)
	}
	if !errors.Is(err, tpm2.TPMRCHandle) {
		return nil, err
	}
	made, err := tpm2.CreatePrimary{PrimaryHandle: vtpmOwner(), InPublic: tpm2.New2B(provisionedAK())}.Execute(t)
	if err != nil {
		return nil, err
	}
	object := tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}
	_, err = tpm2.EvictControl{Auth: vtpmOwner(), ObjectHandle: &object, PersistentHandle: vtpmAK}.Execute(t)
	if _, flushErr := (tpm2.FlushContext{FlushHandle: made.ObjectHandle}).Execute(t); err == nil {
		err = flushErr
	}
	if err != nil {
		return nil, err
	}
	return vtpmRSA(made.OutPublic)
}

// provisionedAK is the template of the attestation key: RSA with RSASSA and SHA-256, attributes 00050472.
func provisionedAK() tpm2.TPMTPublic {
	attributes := aikAttributes()
	attributes.NoDA = true
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: 2048, Scheme: tpm2.TPMTRSAScheme{
			Scheme: tpm2.TPMAlgRSASSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256}),
		}}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{}),
	}
}

func vtpmRSA(public tpm2.TPM2BPublic) (*rsa.PublicKey, error) {
	area, err := public.Contents()
	if err != nil {
		return nil, err
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		return nil, err
	}
	ak, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("expected an RSA key, found a %T", key)
	}
	return ak, nil
}

// provisionIndex makes an NV index as Azure's are, for the owner to read; without content there is none.
func provisionIndex(t transport.TPM, index tpm2.TPMHandle, content []byte) error {
	read, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if err == nil {
		_, err = tpm2.NVUndefineSpace{AuthHandle: vtpmOwner(), NVIndex: tpm2.NamedHandle{Handle: index, Name: read.NVName}}.Execute(t)
	} else if errors.Is(err, tpm2.TPMRCHandle) {
		err = nil
	}
	if err != nil || content == nil {
		return err
	}
	public := tpm2.New2B(tpm2.TPMSNVPublic{
		NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(content)), Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, NoDA: true},
	})
	if _, err := (tpm2.NVDefineSpace{AuthHandle: vtpmOwner(), PublicInfo: public}).Execute(t); err != nil {
		return err
	}
	for at := 0; at < len(content); at += vtpmChunk {
		if read, err = (tpm2.NVReadPublic{NVIndex: index}).Execute(t); err != nil { // its name changes with the first byte
			return err
		}
		_, err := tpm2.NVWrite{
			AuthHandle: vtpmOwner(), NVIndex: tpm2.NamedHandle{Handle: index, Name: read.NVName},
			Data: tpm2.TPM2BMaxNVBuffer{Buffer: content[at:min(at+vtpmChunk, len(content))]}, Offset: uint16(at),
		}.Execute(t)
		if err != nil {
			return err
		}
	}
	return nil
}

// provisionPCRs extends what a log says, unless the machine has booted.
func provisionPCRs(t transport.TPM, log []byte) error {
	l, err := eventlog.Parse(log, eventlog.DefaultLimits())
	if err != nil {
		return err
	}
	fresh, err := vtpmFresh(t)
	if err != nil || !fresh {
		return err
	}
	for i := range l.Records() {
		if r := &l.Records()[i]; r.Extended() {
			if err := provisionPCR(t, l.Algs(), r); err != nil {
				return fmt.Errorf("extending PCR %d: %w", r.PCR, err)
			}
		}
	}
	return nil
}

func provisionPCR(t transport.TPM, banks []tpm.Alg, r *eventlog.Record) error {
	var values tpm2.TPMLDigestValues
	for _, bank := range banks {
		digest, _ := r.Digest(bank)
		values.Digests = append(values.Digests, tpm2.TPMTHA{HashAlg: tpm2.TPMAlgID(bank), Digest: digest})
	}
	_, err := tpm2.PCRExtend{PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.PCR), Auth: tpm2.PasswordAuth(nil)}, Digests: values}.Execute(t)
	return err
}

// vtpmFresh reports whether PCR 0 and PCR 7, which each boot extends, have their first values.
func vtpmFresh(t transport.TPM) (bool, error) {
	read, err := tpm2.PCRRead{PCRSelectionIn: azureSelection([]int{0, 7})}.Execute(t)
	if err != nil {
		return false, fmt.Errorf("reading the PCRs: %w", err)
	}
	for _, digest := range read.PCRValues.Digests {
		if len(bytes.Trim(digest.Buffer, "\x00")) > 0 {
			return false, nil
		}
	}
	return true, nil
}
