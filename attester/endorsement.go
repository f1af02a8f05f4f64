package attester

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// ekKind is an endorsement key of the TCG EK Credential Profile: how it is made, and in which NV index its certificate is
// (tpm-evidence.md section 3).
type ekKind struct {
	certificate tpm2.TPMHandle
	template    tpm2.TPMTPublic
}

// ekKinds are the endorsement keys that a service takes, in the order in which they are looked for: templates L-1, H-1, L-2, H-2 and H-3.
func ekKinds() []ekKind {
	return []ekKind{
		{0x01C00002, tpm2.RSAEKTemplate},
		{0x01C00012, highRSA()},
		{0x01C0000A, tpm2.ECCEKTemplate},
		{0x01C00014, highECC(tpm2.TPMECCNistP256, tpm2.TPMAlgSHA256, 128)},
		{0x01C00016, highECC(tpm2.TPMECCNistP384, tpm2.TPMAlgSHA384, 256)},
	}
}

// high is what templates of the high range have in common: PolicyB, and a password, which is empty. It is not used: it counts as one that
// can be guessed, so that a TPM refuses it while it is locked.
func high(nameAlg tpm2.TPMAlgID) tpm2.TPMTPublic {
	area := tpm2.TPMTPublic{NameAlg: nameAlg, ObjectAttributes: tpm2.ECCEKTemplate.ObjectAttributes, AuthPolicy: policyB(nameAlg)}
	area.ObjectAttributes.UserWithAuth = true
	return area
}

func highRSA() tpm2.TPMTPublic {
	area := high(tpm2.TPMAlgSHA256)
	area.Type, area.Parameters = tpm2.TPMAlgRSA, tpm2.RSAEKTemplate.Parameters
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	return area
}

func highECC(curve tpm2.TPMECCCurve, nameAlg tpm2.TPMAlgID, aesBits tpm2.TPMKeyBits) tpm2.TPMTPublic {
	area := high(nameAlg)
	area.Type, area.Unique = tpm2.TPMAlgECC, tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	area.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Symmetric: tpm2.TPMTSymDefObject{
			Algorithm: tpm2.TPMAlgAES, KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, aesBits), Mode: tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		CurveID: curve,
	})
	return area
}

// policyA is the digest of the profile's PolicyA: the password of the endorsement hierarchy.
func policyA(nameAlg tpm2.TPMAlgID) tpm2.TPM2BDigest {
	if nameAlg != tpm2.TPMAlgSHA384 {
		return tpm2.ECCEKTemplate.AuthPolicy
	}
	return tpm2.TPM2BDigest{Buffer: []byte{
		0x8B, 0xBF, 0x22, 0x66, 0x53, 0x7C, 0x17, 0x1C, 0xB5, 0x6E, 0x40, 0x3C, 0x4D, 0xC1, 0xD4, 0xB6, 0x4F, 0x43, 0x26, 0x11, 0xDC, 0x38, 0x6E, 0x6F,
		0x53, 0x20, 0x50, 0xC3, 0x27, 0x8C, 0x93, 0x0E, 0x14, 0x3E, 0x8B, 0xB1, 0x13, 0x38, 0x24, 0xCC, 0xB4, 0x31, 0x05, 0x38, 0x71, 0xC6, 0xDB, 0x53,
	}}
}

// policyC is that of PolicyC: what NV index 01C07F01 says.
func policyC(nameAlg tpm2.TPMAlgID) tpm2.TPM2BDigest {
	if nameAlg != tpm2.TPMAlgSHA384 {
		return tpm2.TPM2BDigest{Buffer: []byte{
			0x37, 0x67, 0xE2, 0xED, 0xD4, 0x3F, 0xF4, 0x5A, 0x3A, 0x7E, 0x1E, 0xAE, 0xFC, 0xEF, 0x78, 0x64,
			0x3D, 0xCA, 0x96, 0x46, 0x32, 0xE7, 0xAA, 0xD8, 0x2C, 0x67, 0x3A, 0x30, 0xD8, 0x63, 0x3F, 0xDE,
		}}
	}
	return tpm2.TPM2BDigest{Buffer: []byte{
		0xD6, 0x03, 0x2C, 0xE6, 0x1F, 0x2F, 0xB3, 0xC2, 0x40, 0xEB, 0x3C, 0xF6, 0xA3, 0x32, 0x37, 0xEF, 0x2B, 0x6A, 0x16, 0xF4, 0x29, 0x3C, 0x22, 0xB4,
		0x55, 0xE2, 0x61, 0xCF, 0xFD, 0x21, 0x7A, 0xD5, 0xB4, 0x94, 0x7C, 0x2D, 0x73, 0xE6, 0x30, 0x05, 0xEE, 0xD2, 0xDC, 0x2B, 0x35, 0x93, 0xD1, 0x65,
	}}
}

// policyB is that of PolicyB: A or C (TPM2_PolicyOR, command 0171, from the start of a session).
func policyB(nameAlg tpm2.TPMAlgID) tpm2.TPM2BDigest {
	h := sha256.New()
	if nameAlg == tpm2.TPMAlgSHA384 {
		h = sha512.New384()
	}
	h.Write(make([]byte, h.Size()))
	h.Write([]byte{0, 0, 0x01, 0x71})
	h.Write(policyA(nameAlg).Buffer)
	h.Write(policyC(nameAlg).Buffer)
	return tpm2.TPM2BDigest{Buffer: h.Sum(nil)}
}

// nonceSize is that of policy sessions, in bytes.
const nonceSize = 16

// satisfy fulfils the policy of the key, by the password of the endorsement hierarchy, which is empty.
func (k ekKind) satisfy(t transport.TPM, session tpm2.Session) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session.Handle(), NonceTPM: session.NonceTPM(),
	}.Execute(t)
	if alg := k.template.NameAlg; err == nil && !bytes.Equal(k.template.AuthPolicy.Buffer, policyA(alg).Buffer) {
		either := tpm2.TPMLDigest{Digests: []tpm2.TPM2BDigest{policyA(alg), policyC(alg)}}
		_, err = tpm2.PolicyOr{PolicySession: session.Handle(), PHashList: either}.Execute(t)
	}
	return err
}

// endorsement is what a TPM has of an endorsement key beside the key.
type endorsement struct {
	ekKind
	cert  *x509.Certificate   // nil: it has none, of no kind
	chain []*x509.Certificate // those above it
}

// endorsement reads the first certificate of an endorsement key that the TPM has. A TPM without any has the first kind of key.
func (t *TPM) endorsement() (e endorsement, err error) {
	for _, e.ekKind = range ekKinds() {
		der, err := t.ReadIndex(uint32(e.certificate))
		if err != nil {
			return e, err
		}
		if der == nil {
			continue
		}
		if e.cert, err = tpm.ParseCertificate(der); err != nil {
			return e, problem(fmt.Sprintf("the certificate of the endorsement key in the TPM (index %08X) cannot be read", uint32(e.certificate)),
				"ask the maker of the machine for one", err)
		}
		e.chain, err = t.EKChain()
		return e, err
	}
	return endorsement{ekKind: ekKinds()[0]}, nil
}

// EKCertificate reads the certificate of an endorsement key and the certificates above it that the TPM has: of RSA 2048, P-256 or P-384, the
// first of these. There may be none: then it is nil. Nobody has verified them. The error is a *[Problem].
func (t *TPM) EKCertificate() (cert *x509.Certificate, chain []*x509.Certificate, err error) {
	e, err := t.endorsement()
	return e.cert, e.chain, err
}
