package assaytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// TPMScheme is how a key of a TPM signs. The zero value is RSASSA with SHA-256, or ECDSA with SHA-256.
type TPMScheme struct {
	PSS  bool        // RSASSA-PSS, for an RSA key
	Hash crypto.Hash // 0 stands for SHA256
}

func (s TPMScheme) hash() crypto.Hash {
	if s.Hash == 0 {
		return crypto.SHA256
	}
	return s.Hash
}

// TPMSelection are the PCRs of one bank that a quote covers.
type TPMSelection struct {
	Bank crypto.Hash
	PCRs []int
}

// AllPCRs are the indexes of all PCRs.
func AllPCRs() []int { return PCRRange(0, TPMPCRs-1) }

// PCRRange are the indexes from first to last.
func PCRRange(first, last int) []int {
	var all []int
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

// TPMClock is the TPM's time at a signature.
type TPMClock struct {
	Clock                    uint64 // milliseconds
	ResetCount, RestartCount uint32
}

func (c TPMClock) info() tpm2.TPMSClockInfo {
	return tpm2.TPMSClockInfo{Clock: c.Clock, ResetCount: c.ResetCount, RestartCount: c.RestartCount, Safe: true}
}

// attestation is a TPMS_ATTEST by the AIK of a but for what it is about.
func (s *TPMScenario) attestation(a *TPMAttestation, extraData []byte) (tpm2.TPMSAttest, error) {
	signer, err := s.qualifiedSigner(a)
	return tpm2.TPMSAttest{
		Magic:           tpm2.TPMGeneratedValue,
		QualifiedSigner: tpm2.TPM2BName{Buffer: signer},
		ExtraData:       tpm2.TPM2BData{Buffer: extraData},
		ClockInfo:       a.Clock.info(),
		FirmwareVersion: 0x0001_0002_0000_0000,
	}, err
}

// qualifiedSigner is the qualified name of the AIK, a primary key of the endorsement hierarchy.
func (s *TPMScenario) qualifiedSigner(a *TPMAttestation) ([]byte, error) {
	area, err := publicArea(s.aik(a).Public(), aikAttributes())
	if err != nil {
		return nil, err
	}
	return keyName(binary.BigEndian.AppendUint32(nil, 0x4000000B), keyName(area)), nil
}

// keyName is a name by SHA-256: the algorithm and the hash of the parts.
func keyName(parts ...[]byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, tpmAlg(crypto.SHA256)), hashOf(crypto.SHA256, parts...)...)
}

// quoteOf makes a TPMS_ATTEST over the values.
func (s *TPMScenario) quoteOf(a *TPMAttestation, extraData []byte) ([]byte, error) {
	attest, err := s.attestation(a, extraData)
	if err != nil {
		return nil, err
	}
	var values [][]byte
	var selection tpm2.TPMLPCRSelection
	for _, q := range a.Quoted {
		bitmap := make([]byte, TPMPCRs/8)
		bank := a.values(q.Bank)
		for _, i := range q.PCRs {
			bitmap[i/8] |= 1 << (i % 8)
			values = append(values, bank[i])
		}
		selection.PCRSelections = append(selection.PCRSelections, tpm2.TPMSPCRSelection{Hash: tpm2.TPMIAlgHash(tpmAlg(q.Bank)), PCRSelect: bitmap})
	}
	attest.Type = tpm2.TPMSTAttestQuote
	attest.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
		PCRSelect: selection, PCRDigest: tpm2.TPM2BDigest{Buffer: hashOf(s.AIKScheme.hash(), values...)},
	})
	return tpm2.Marshal(attest), nil
}

// certificationOf makes a TPMS_ATTEST that certifies a public area.
func (s *TPMScenario) certificationOf(area, extraData []byte) ([]byte, error) {
	attest, err := s.attestation(&s.Current, extraData)
	if err != nil {
		return nil, err
	}
	name := keyName(area)
	attest.Type = tpm2.TPMSTAttestCertify
	attest.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
		Name: tpm2.TPM2BName{Buffer: name}, QualifiedName: tpm2.TPM2BName{Buffer: keyName(name)},
	})
	return tpm2.Marshal(attest), nil
}

// tpmSign signs as a TPM does and gives a TPMT_SIGNATURE.
func tpmSign(key crypto.Signer, scheme TPMScheme, message []byte) ([]byte, error) {
	h := scheme.hash()
	digest := hashOf(h, message)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return rsaSignature(key, scheme, digest)
	case *ecdsa.PrivateKey:
		der, err := key.Sign(nil, digest, h)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		return ecdsaSignature(key, h, der)
	}
	return nil, fmt.Errorf("a TPM has no %T", key)
}

func rsaSignature(key *rsa.PrivateKey, scheme TPMScheme, digest []byte) ([]byte, error) {
	h := scheme.hash()
	alg, opt := tpm2.TPMAlgRSASSA, crypto.SignerOpts(h)
	if scheme.PSS {
		alg, opt = tpm2.TPMAlgRSAPSS, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
	}
	sig, err := key.Sign(pssSalt(digest), digest, opt)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: alg, Signature: tpm2.NewTPMUSignature(alg, &tpm2.TPMSSignatureRSA{
		Hash: tpm2.TPMIAlgHash(tpmAlg(h)), Sig: tpm2.TPM2BPublicKeyRSA{Buffer: sig},
	})}), nil
}

func ecdsaSignature(key *ecdsa.PrivateKey, h crypto.Hash, der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("reading the signature just made: %w", err)
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash:       tpm2.TPMIAlgHash(tpmAlg(h)),
		SignatureR: tpm2.TPM2BECCParameter{Buffer: sig.R.FillBytes(make([]byte, size))},
		SignatureS: tpm2.TPM2BECCParameter{Buffer: sig.S.FillBytes(make([]byte, size))},
	})}), nil
}

// aikAttributes are those of an attestation key (tpm-evidence.md section 3).
func aikAttributes() tpm2.TPMAObject {
	return tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: true, SignEncrypt: true}
}

// keyAttributes are those of another key that the TPM made and signs with.
func keyAttributes() tpm2.TPMAObject {
	return tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true}
}

// publicArea is the TPMT_PUBLIC of a key.
func publicArea(key crypto.PublicKey, attributes tpm2.TPMAObject) ([]byte, error) {
	area := tpm2.TPMTPublic{NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes}
	switch key := key.(type) {
	case *rsa.PublicKey:
		area.Type = tpm2.TPMAlgRSA
		area.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: tpm2.TPMIRSAKeyBits(key.N.BitLen())})
		area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil, fmt.Errorf("encoding a point: %w", err)
		}
		curve, half := tpm2.TPMECCNistP256, len(point)/2
		if key.Curve == elliptic.P384() {
			curve = tpm2.TPMECCNistP384
		}
		area.Type = tpm2.TPMAlgECC
		area.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: curve})
		area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1 : 1+half]}, Y: tpm2.TPM2BECCParameter{Buffer: point[1+half:]},
		})
	default:
		return nil, fmt.Errorf("a TPM has no %T", key)
	}
	return tpm2.Marshal(area), nil
}

// platformClaim is what NCryptCreateClaim(NCRYPT_CLAIM_PLATFORM) makes of a quote (tpm.md section 6), little-endian around it.
func platformClaim(bank crypto.Hash, quote, signature, digests []byte) []byte {
	b := []byte("ALPT\x00\x00\x00\x00") // magic, version 0
	b = binary.LittleEndian.AppendUint32(b, uint32(tpmAlg(bank)))
	for _, part := range [][]byte{signature, quote, digests} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(part)))
	}
	return append(append(append(b, signature...), quote...), digests...)
}
