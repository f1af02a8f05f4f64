package assaytest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// TPMEnrolment is what the machine of a vendor sends to have its AIK enrolled (native.md section 4).
type TPMEnrolment struct {
	EKCertificate []byte   // DER
	EKChain       [][]byte // DER: the issuing CA
	EKPublic      []byte   // TPMT_PUBLIC
	AIKPublic     []byte   // TPMT_PUBLIC
}

// Enrolment is what the machine sends. Its EK is RSA, its AIK of the scenario's kind.
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
	if e.EKPublic, err = ekArea(s.Vendor.Key(EK, RSA2048).Public()); err != nil {
		return nil, err
	}
	e.AIKPublic, err = s.AIKArea(aikAttributes())
	return e, err
}

// AIKArea is the TPMT_PUBLIC of the AIK, with attributes.
func (s *TPMScenario) AIKArea(attributes tpm2.TPMAObject) ([]byte, error) {
	return publicArea(s.aik(&s.Current).Public(), attributes)
}

// ekArea is the TPMT_PUBLIC of an RSA endorsement key (TCG EK Credential Profile, template L-1), attributes 000300B2.
func ekArea(key crypto.PublicKey) ([]byte, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("no endorsement key is a %T here", key)
	}
	area := tpm2.RSAEKTemplate
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: public.N.Bytes()})
	return tpm2.Marshal(area), nil
}

// ErrActivation is the answer of a TPM to a credential that was not made for its EK and that AIK.
var ErrActivation = errors.New("TPM_RC_INTEGRITY: the credential is not for this endorsement key and this object")

// ActivateCredential does in software what TPM2_ActivateCredential does in the TPM of the machine (TPM 2.0 Library, Part 1, section 24): it
// gives the secret of a credential for its RSA EK and the object of a public area. blob and secret are TPM2B structures.
func (s *TPMScenario) ActivateCredential(area, blob, secret []byte) ([]byte, error) {
	encrypted, err := tpm2.Unmarshal[tpm2.TPM2BEncryptedSecret](secret)
	if err != nil {
		return nil, fmt.Errorf("encryptedSecret: %w", err)
	}
	object, err := tpm2.Unmarshal[tpm2.TPM2BIDObject](blob)
	if err != nil {
		return nil, fmt.Errorf("credentialBlob: %w", err)
	}
	key, ok := s.Vendor.Key(EK, RSA2048).(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the EK is not RSA")
	}
	seed, err := rsa.DecryptOAEP(sha256.New(), nil, key, encrypted.Buffer, []byte("IDENTITY\x00"))
	if err != nil {
		return nil, ErrActivation
	}
	return openCredential(seed, keyName(area), object.Buffer)
}

// openCredential checks and decrypts a TPMS_ID_OBJECT.
func openCredential(seed, name, object []byte) ([]byte, error) {
	const head = 2 + sha256.Size
	if len(object) < head+2 {
		return nil, ErrActivation
	}
	mac := hmac.New(sha256.New, tpm2.KDFa(crypto.SHA256, seed, "INTEGRITY", nil, nil, 256))
	mac.Write(object[head:])
	mac.Write(name)
	if !hmac.Equal(mac.Sum(nil), object[2:head]) {
		return nil, ErrActivation
	}
	block, err := aes.NewCipher(tpm2.KDFa(crypto.SHA256, seed, "STORAGE", name, nil, 128))
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
