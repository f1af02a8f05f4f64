package tpm

import (
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

// Credential is a secret that only the TPM with an endorsement key can read, and only if it also has the attestation key that it
// was made for (tpm-evidence.md section 3). Both members are TPM2B structures, big-endian, as TPM2_ActivateCredential takes them.
type Credential struct {
	Blob   []byte // TPM2B_ID_OBJECT, 70 bytes for a secret of 32, 86 where names are by SHA-384
	Secret []byte // TPM2B_ENCRYPTED_SECRET: 258 bytes for an RSA key of 2048 bits, 70 for P-256, 102 for P-384
}

// MaxCredentialSecret is how long the secret of a credential can be in bytes: a digest by the endorsement key's nameAlg.
const MaxCredentialSecret = 32

// ekProfile is what the TCG's EK profiles demand of a kind of endorsement key beside its attributes: the hash of its Name, and the bits of AES
// in CFB mode that it protects with.
type ekProfile struct {
	nameAlg Alg
	aesBits uint16
}

// profile gives the profile of the key: RSA 2048 and P-256 (templates L-1, L-2, H-1, H-2), or P-384 (H-3).
func (p *Public) profile() (ekProfile, error) {
	switch k := p.Key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() != 2048 {
			return ekProfile{}, noEK("the endorsement key has another size").Want("2048 bits", fmt.Sprintf("%d bits", k.N.BitLen()))
		}
		return ekProfile{SHA256, 128}, nil
	default:
		switch curve := curveName(p.Key); curve {
		case elliptic.P256().Params().Name:
			return ekProfile{SHA256, 128}, nil
		case elliptic.P384().Params().Name:
			return ekProfile{SHA384, 256}, nil
		default:
			return ekProfile{}, noEK("the endorsement key is on another curve").Want("P-256 or P-384", curve)
		}
	}
}

// CheckEK checks that a key can be an endorsement key that credentials are made for: restricted and decrypt set, sign clear, made
// in the TPM and fixed to it; and as the TCG's EK profiles have it, RSA of 2048 bits or P-256 with a name by SHA-256 and AES-128 in CFB mode, or
// P-384 with SHA-384 and AES-256. Whether it is one says its certificate. The error is an [evidence.Refusal] of EKCertificate.
func (p *Public) CheckEK() error {
	if missing := p.lacksOfEK(); len(missing) > 0 {
		return noEK("the key's attributes are not those of an endorsement key").Want(strings.Join(missing, ", "), hex32(p.Attributes))
	}
	_, err := p.encapsulation()
	return err
}

func noEK(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.EKCertificate, "%s", problem).Do("send the public area of the TPM's endorsement key for RSA 2048, P-256 or P-384")
}

// lacksOfEK names the attributes of an endorsement key that the key does not have.
func (p *Public) lacksOfEK() []string {
	missing := p.without(attribute{restricted, "restricted"}, attribute{decrypt, "decrypt"}, attribute{fixedTPM, "fixedTPM"},
		attribute{fixedParent, "fixedParent"}, attribute{sensitiveDataOrigin, "sensitiveDataOrigin"})
	if p.Attributes&sign != 0 {
		missing = append(missing, "not sign")
	}
	return missing
}

// encapsulation gives the key in the form that secrets are sealed with.
func (p *Public) encapsulation() (tpm2.LabeledEncapsulationKey, error) {
	profile, err := p.profile()
	if err != nil {
		return nil, err
	}
	if p.NameAlg != profile.nameAlg {
		return nil, noEK("the endorsement key's Name is by another hash").Want(profile.nameAlg, p.NameAlg)
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](p.area)
	if err != nil {
		return nil, noEK("the endorsement key's public area cannot be read").Because(err)
	}
	key, err := tpm2.ImportEncapsulationKey(area)
	if err != nil {
		return nil, noEK("nothing can be encrypted to the endorsement key").Because(err)
	}
	if err := checkSymmetric(key.SymmetricParameters(), profile.aesBits); err != nil {
		return nil, noEK("the endorsement key protects with another algorithm").Because(err)
	}
	return key, nil
}

func checkSymmetric(s *tpm2.TPMTSymDefObject, want uint16) error {
	if s == nil || s.Algorithm != tpm2.TPMAlgAES {
		return errors.New("expected AES")
	}
	bits, err := s.KeyBits.AES()
	if err != nil {
		return err
	}
	mode, err := s.Mode.AES()
	if err != nil {
		return err
	}
	if uint16(*bits) != want || *mode != tpm2.TPMAlgCFB {
		return fmt.Errorf("expected AES-%d in CFB mode, found %d bits and mode %s", want, *bits, hex16(uint16(*mode)))
	}
	return nil
}

// MakeCredential encrypts a secret of at most MaxCredentialSecret bytes for the TPM that has the endorsement key and, loaded
// beside it, the object of the name. All that is random is read from random, which must be a cryptographic source. The error is
// a refusal of CheckEK, or one of the arguments.
func MakeCredential(ek *Public, name, secret []byte, random io.Reader) (*Credential, error) {
	if err := ek.CheckEK(); err != nil {
		return nil, err
	}
	if len(secret) == 0 || len(secret) > MaxCredentialSecret {
		return nil, fmt.Errorf("a credential has a secret of 1 to %d bytes, found %d", MaxCredentialSecret, len(secret))
	}
	key, err := ek.encapsulation()
	if err != nil {
		return nil, err
	}
	return credentialOf(key, name, secret, random)
}

func credentialOf(key tpm2.LabeledEncapsulationKey, name, secret []byte, random io.Reader) (*Credential, error) {
	blob, encrypted, err := tpm2.CreateCredential(random, key, name, secret)
	if err != nil {
		return nil, fmt.Errorf("making a credential: %w", err)
	}
	return &Credential{Blob: withSize(blob), Secret: withSize(encrypted)}, nil
}

// withSize writes a TPM2B. What is here is far shorter than 64 KB.
func withSize(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b))), b...)
}
