package assaytest

import (
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// vtpmFirmware is the version that Azure's vTPMs state (azure-guest.md section 1).
const vtpmFirmware = 0x2020_0312_0012_0003

// akArea is the TPMT_PUBLIC of the attestation key: attributes 00050472, RSASSA with SHA-256 (azure-guest.md section 1).
func akArea(key *rsa.PublicKey) tpm2.TPMTPublic {
	attributes := aikAttributes()
	attributes.NoDA = true
	scheme := tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgRSASSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256})}
	return rsaArea(key, attributes, scheme)
}

// sealingArea is the TPMT_PUBLIC of the sealing key: attributes 00020432, no scheme, a policy (azure-guest.md section 3 step 5).
func sealingArea(key *rsa.PublicKey, policy []byte) tpm2.TPMTPublic {
	attributes := tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true}
	area := rsaArea(key, attributes, tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgNull})
	area.AuthPolicy = tpm2.TPM2BDigest{Buffer: policy}
	return area
}

func rsaArea(key *rsa.PublicKey, attributes tpm2.TPMAObject, scheme tpm2.TPMTRSAScheme) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}, Scheme: scheme, KeyBits: tpm2.TPMIRSAKeyBits(key.N.BitLen()),
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()}),
	}
}

// sized is a TPM2B of b.
func sized(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// azureSelection is the TPML_PCR_SELECTION of PCRs of the SHA-256 bank.
func azureSelection(pcrs []int) tpm2.TPMLPCRSelection {
	bitmap := make([]byte, TPMPCRs/8)
	for _, i := range pcrs {
		bitmap[i/8] |= 1 << (i % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bitmap}}}
}

// digest is the hash over the values of PCRs, in ascending order.
func (m *azureMachine) digest(pcrs []int) []byte {
	var values [][]byte
	for _, i := range pcrs {
		values = append(values, m.values[i])
	}
	return hashOf(crypto.SHA256, values...)
}

// policy is the digest of PolicyPCR over PCRs (azure-guest.md section 3 step 5).
func (m *azureMachine) policy(pcrs []int) []byte {
	return hashOf(crypto.SHA256, make([]byte, 32), []byte{0, 0, 1, 0x7F}, tpm2.Marshal(azureSelection(pcrs)), m.digest(pcrs))
}

// attest is a TPMS_ATTEST by the attestation key but for what it is about.
func (m *azureMachine) attest(p AzurePart) tpm2.TPMSAttest {
	var extra []byte
	if m.Fresh || m.Dialect == AzureGo && p == AzureQuote {
		extra = m.nonce()
	}
	if f := m.host.Edit.ExtraData; f != nil {
		extra = f(p, extra)
	}
	signer := keyName(binary.BigEndian.AppendUint32(nil, 0x4000000B), keyName(tpm2.Marshal(akArea(&m.host.vtpmKey(VTPMAK).PublicKey))))
	return tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, QualifiedSigner: tpm2.TPM2BName{Buffer: signer}, ExtraData: tpm2.TPM2BData{Buffer: extra},
		ClockInfo: TPMClock{Clock: 3_600_000, ResetCount: 7}.info(), FirmwareVersion: vtpmFirmware,
	}
}

// quote makes and signs the quote.
func (m *azureMachine) quote() (attest, signature []byte, err error) {
	a := m.attest(AzureQuote)
	a.Type = tpm2.TPMSTAttestQuote
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
		PCRSelect: azureSelection(m.quoted), PCRDigest: tpm2.TPM2BDigest{Buffer: m.digest(m.quoted)},
	})
	return m.signed(AzureQuote, AzureQuoteSignature, tpm2.Marshal(a))
}

// certify makes and signs the certification of a public area.
func (m *azureMachine) certify(area []byte) (attest, signature []byte, err error) {
	a, name := m.attest(AzureCertification), keyName(area)
	a.Type = tpm2.TPMSTAttestCertify
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
		Name: tpm2.TPM2BName{Buffer: name}, QualifiedName: tpm2.TPM2BName{Buffer: keyName(binary.BigEndian.AppendUint32(nil, 0x40000007), name)},
	})
	return m.signed(AzureCertification, AzureCertificationSignature, tpm2.Marshal(a))
}

// signed signs an attestation as clients send it: the bare RSASSA signature, with SHA-256.
func (m *azureMachine) signed(p, of AzurePart, attest []byte) ([]byte, []byte, error) {
	attest = m.host.edit(p, attest)
	signature, err := m.host.signer(p, m.host.vtpmKey(VTPMAK)).Sign(nil, hashOf(crypto.SHA256, attest), crypto.SHA256)
	if err != nil {
		return nil, nil, fmt.Errorf("signing the %s: %w", p, err)
	}
	return attest, m.host.edit(of, signature), nil
}

// sealing is the TPMT_PUBLIC of the sealing key.
func (m *azureMachine) sealing() []byte { return m.area(VTPMSealingKey) }

// area is the TPMT_PUBLIC of a key of the machine.
func (m *azureMachine) area(r TPMRole) []byte {
	area := akArea(&m.host.vtpmKey(r).PublicKey)
	if r != VTPMAK {
		area = sealingArea(&m.host.vtpmKey(r).PublicKey, m.policy(m.quoted))
	}
	if m.host.Edit.PublicArea != nil {
		m.host.Edit.PublicArea(r, &area)
	}
	return tpm2.Marshal(area)
}
