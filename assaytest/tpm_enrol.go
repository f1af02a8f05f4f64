package assaytest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// TPMEnrolment is what the machine of a vendor sends to have its AIK enrolled (native.md section 4).
type TPMEnrolment struct {
	EKCertificate []byte   // DER
	EKChain       [][]byte // DER: the issuing CA
	EKPublic      []byte   // TPMT_PUBLIC
	AIKPublic     []byte   // TPMT_PUBLIC
}

// Enrolment is what the machine sends. Its EK and AIK are of the scenario's kinds.
func (s *TPMScenario) Enrolment() (*TPMEnrolment, error) {
	e := &TPMEnrolment{}
	var err error
	if e.EKCertificate, err = s.tpmCertificate(EK); err != nil {
		return nil, err
	}
	issuer, err := s.tpmCertificate(EKIssuer)
	if err != nil {
		return nil, err
	}
	e.EKChain = [][]byte{issuer}
	if e.EKPublic, err = ekArea(s.Vendor.Key(EK, s.EKKind).Public()); err != nil {
		return nil, err
	}
	e.AIKPublic, err = s.AIKArea(aikAttributes())
	return e, err
}

// AIKArea is the TPMT_PUBLIC of the AIK, with attributes.
func (s *TPMScenario) AIKArea(attributes tpm2.TPMAObject) ([]byte, error) {
	return publicArea(s.aik(&s.Current).Public(), attributes)
}

// ekArea is the TPMT_PUBLIC of an endorsement key: templates L-1, L-2 and H-3 of the TCG EK Credential Profile, for RSA, P-256 and P-384.
func ekArea(key crypto.PublicKey) ([]byte, error) {
	if public, ok := key.(*rsa.PublicKey); ok {
		area := tpm2.RSAEKTemplate
		area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: public.N.Bytes()})
		return tpm2.Marshal(area), nil
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("no endorsement key is a %T here", key)
	}
	point, err := public.Bytes()
	if err != nil {
		return nil, err
	}
	area, half := tpm2.ECCEKTemplate, len(point)/2
	if public.Curve == elliptic.P384() {
		area = p384EKTemplate()
	}
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1 : 1+half]}, Y: tpm2.TPM2BECCParameter{Buffer: point[1+half:]},
	})
	return tpm2.Marshal(area), nil
}

// p384EKTemplate is template H-3 but for its policy, which nobody checks: attributes 000300F2, SHA-384 and AES-256.
func p384EKTemplate() tpm2.TPMTPublic {
	area := tpm2.ECCEKTemplate
	area.NameAlg, area.ObjectAttributes.UserWithAuth = tpm2.TPMAlgSHA384, true
	area.AuthPolicy.Buffer = make([]byte, sha512.Size384)
	area.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Symmetric: tpm2.TPMTSymDefObject{
			Algorithm: tpm2.TPMAlgAES, KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(256)),
			Mode: tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		CurveID: tpm2.TPMECCNistP384,
	})
	return area
}

// ErrActivation is the answer of a TPM to a credential that was not made for its EK and that AIK.
var ErrActivation = errors.New("TPM_RC_INTEGRITY: the credential is not for this endorsement key and this object")

// ActivateCredential does in software what TPM2_ActivateCredential does in the TPM of the machine: it gives the secret of a credential for its
// EK and the object of a public area. blob and secret are TPM2B structures.
func (s *TPMScenario) ActivateCredential(area, blob, secret []byte) ([]byte, error) {
	return OpenCredential(s.Vendor.Key(EK, s.EKKind), keyName(area), blob, secret)
}

// OpenCredential gives the secret of a credential for an endorsement key and the object of a Name (TPM 2.0 Library, Part 1, section 24). The key
// is an *rsa.PrivateKey, or an *ecdsa.PrivateKey on P-256 or P-384, of a template of the TCG EK Credential Profile. blob and secret are TPM2B
// structures. The error is [ErrActivation] for a credential that is for others.
func OpenCredential(ek crypto.PrivateKey, name, blob, secret []byte) ([]byte, error) {
	encrypted, err := tpm2.Unmarshal[tpm2.TPM2BEncryptedSecret](secret)
	if err != nil {
		return nil, fmt.Errorf("encryptedSecret: %w", err)
	}
	object, err := tpm2.Unmarshal[tpm2.TPM2BIDObject](blob)
	if err != nil {
		return nil, fmt.Errorf("credentialBlob: %w", err)
	}
	k := credentialKey{hash: crypto.SHA256, aesBits: 128}
	switch key := ek.(type) {
	case *rsa.PrivateKey:
		k.seed, err = rsa.DecryptOAEP(sha256.New(), nil, key, encrypted.Buffer, []byte("IDENTITY\x00"))
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P384() {
			k.hash, k.aesBits = crypto.SHA384, 256
		}
		k.seed, err = sharedSeed(key, k.hash, encrypted.Buffer)
	default:
		return nil, fmt.Errorf("no endorsement key is a %T here", ek)
	}
	if err != nil {
		return nil, ErrActivation
	}
	return k.open(name, object.Buffer)
}

// sharedSeed is the seed that both ends of a key agreement have (TPM 2.0 Library, Part 1, annex C.6.1).
func sharedSeed(key *ecdsa.PrivateKey, hash crypto.Hash, encrypted []byte) ([]byte, error) {
	private, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	point, err := tpm2.Unmarshal[tpm2.TPMSECCPoint](encrypted)
	if err != nil {
		return nil, err
	}
	ephemeral, err := private.Curve().NewPublicKey(slices.Concat([]byte{4}, point.X.Buffer, point.Y.Buffer))
	if err != nil {
		return nil, err
	}
	z, err := private.ECDH(ephemeral)
	if err != nil {
		return nil, err
	}
	own := private.PublicKey().Bytes()
	return tpm2.KDFe(hash, z, "IDENTITY", point.X.Buffer, own[1:1+len(own)/2], 8*hash.Size()), nil
}

// credentialKey opens credentials: the seed, the EK's nameAlg, and the bits of its AES.
type credentialKey struct {
	seed    []byte
	hash    crypto.Hash
	aesBits int
}

// open checks and decrypts a TPMS_ID_OBJECT.
func (k credentialKey) open(name, object []byte) ([]byte, error) {
	head := 2 + k.hash.Size()
	if len(object) < head+2 {
		return nil, ErrActivation
	}
	mac := hmac.New(k.hash.New, tpm2.KDFa(k.hash, k.seed, "INTEGRITY", nil, nil, 8*k.hash.Size()))
	mac.Write(object[head:])
	mac.Write(name)
	if !hmac.Equal(mac.Sum(nil), object[2:head]) {
		return nil, ErrActivation
	}
	block, err := aes.NewCipher(tpm2.KDFa(k.hash, k.seed, "STORAGE", name, nil, k.aesBits))
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(object)-head)
	//lint:ignore SA1019 TPMs protect credentials in this mode, under the HMAC checked above
	cipher.NewCFBDecrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(plain, object[head:])
	digest, err := tpm2.Unmarshal[tpm2.TPM2BDigest](plain)
	if err != nil {
		return nil, ErrActivation
	}
	return digest.Buffer, nil
}

// Enrolled has the machine send that certificate of its AIK, DER, instead of the vendor's.
func (s *TPMScenario) Enrolled(certificate []byte) {
	edit := s.Edit.Bytes
	s.Edit.Bytes = func(p TPMPart, b []byte) []byte {
		if p == AIK.Certificate() {
			return certificate
		}
		if edit != nil {
			return edit(p, b)
		}
		return b
	}
}
