package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// Bounds of signatures, which follow from those of keys.
const (
	maxRSASignature = maxRSABits / 8
	maxCoordinate   = 66 // P-521
	maxSignature    = 2 + 2 + 2 + maxRSASignature
)

// signature is a TPMT_SIGNATURE.
type signature struct {
	scheme tpm2.TPMAlgID
	hash   Alg
	rsa    []byte
	r, s   []byte
}

func readSignature(b []byte) (signature, error) {
	if len(b) > maxSignature {
		return signature{}, fmt.Errorf("%s, at most %d", byteCount(len(b)), maxSignature)
	}
	c := binread.New(b)
	s := signature{scheme: tpm2.TPMAlgID(c.BE16("sigAlg"))}
	switch s.scheme {
	case tpm2.TPMAlgRSASSA, tpm2.TPMAlgRSAPSS:
		s.hash = Alg(c.BE16("hash"))
		s.rsa = sized(c, "sig", maxRSASignature)
	case tpm2.TPMAlgECDSA:
		s.hash = Alg(c.BE16("hash"))
		s.r = sized(c, "signatureR", maxCoordinate)
		s.s = sized(c, "signatureS", maxCoordinate)
	default:
		c.Fail("sigAlg is %s, not RSASSA, RSAPSS or ECDSA", hex16(uint16(s.scheme)))
	}
	return s, c.Done("TPMT_SIGNATURE")
}

func rawSignature(b []byte) (signature, error) {
	if len(b) == 0 || len(b) > maxRSASignature {
		return signature{}, fmt.Errorf("%s, not 1 to %d", byteCount(len(b)), maxRSASignature)
	}
	return signature{scheme: tpm2.TPMAlgRSASSA, hash: SHA256, rsa: b}, nil
}

// allowed checks the hash of the signature (tpm-evidence.md section 2 item 1). SHA-1 never is.
func (s *signature) allowed() *evidence.Refusal {
	switch {
	case s.hash == SHA1:
		return evidence.Refuse(evidence.SHA1, "the attestation is signed with SHA-1, which is never accepted").
			Want("SHA-256, SHA-384 or SHA-512", s.hash).
			Do("use an attestation key whose scheme has another hash; tpm_allow_sha1 is for PCR banks and logs only")
	case s.hash.Size() == 0:
		return evidence.Refuse(evidence.AttestSignature, "the signature's hash is not known").
			Want("SHA-256, SHA-384 or SHA-512", s.hash)
	}
	return nil
}

// verify checks the signature over the message. The hash must be a known one, the key one that CheckKey lets pass.
func (s *signature) verify(key crypto.PublicKey, message []byte) *evidence.Refusal {
	digest := s.hash.Sum(message)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return s.verifyRSA(k, digest)
	case *ecdsa.PublicKey:
		return s.verifyECDSA(k, digest)
	}
	return s.otherKey("RSA or ECDSA")
}

func (s *signature) verifyRSA(key *rsa.PublicKey, digest []byte) *evidence.Refusal {
	var err error
	switch s.scheme {
	case tpm2.TPMAlgRSASSA:
		err = rsa.VerifyPKCS1v15(key, s.hash.Hash(), digest, s.rsa)
	case tpm2.TPMAlgRSAPSS:
		// TPMs choose the length of the salt.
		err = rsa.VerifyPSS(key, s.hash.Hash(), digest, s.rsa, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	default:
		return s.otherKey("RSASSA or RSAPSS")
	}
	if err != nil {
		return forged().Because(err)
	}
	return nil
}

func (s *signature) verifyECDSA(key *ecdsa.PublicKey, digest []byte) *evidence.Refusal {
	if s.scheme != tpm2.TPMAlgECDSA {
		return s.otherKey("ECDSA")
	}
	if !ecdsa.Verify(key, digest, new(big.Int).SetBytes(s.r), new(big.Int).SetBytes(s.s)) {
		return forged()
	}
	return nil
}

func (s *signature) otherKey(want string) *evidence.Refusal {
	return evidence.Refuse(evidence.AttestSignature, "the signature is of another kind than the attestation key").
		Want(want, schemeName(s.scheme)).Do("send the signature that the attestation key made")
}

func forged() *evidence.Refusal {
	return evidence.Refuse(evidence.AttestSignature, "the attestation is not signed by the attestation key").
		Do("send the attestation as the TPM gave it, and the key that signed it")
}

// String names the scheme and its hash.
func (s *signature) String() string { return schemeName(s.scheme) + " " + s.hash.String() }

func schemeName(alg tpm2.TPMAlgID) string {
	switch alg {
	case tpm2.TPMAlgRSASSA:
		return "RSASSA"
	case tpm2.TPMAlgRSAPSS:
		return "RSAPSS"
	case tpm2.TPMAlgECDSA:
		return "ECDSA"
	}
	return "scheme " + hex16(uint16(alg))
}
