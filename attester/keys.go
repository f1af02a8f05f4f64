package attester

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// Scheme is how an AIK signs.
type Scheme int

// The schemes, each with the hash of its size (tpm-evidence.md section 1). RSA keys have 2048 bits.
const (
	RSASSA    Scheme = iota // SHA-256
	RSAPSS                  // SHA-256
	ECDSAP256               // SHA-256
	ECDSAP384               // SHA-384
)

// Schemes are the names of the schemes, by their numbers.
func Schemes() []string { return []string{"rsassa", "rsapss", "ecdsa-p256", "ecdsa-p384"} }

// ParseScheme gives the scheme of a name.
func ParseScheme(name string) (Scheme, error) {
	for i, known := range Schemes() {
		if name == known {
			return Scheme(i), nil
		}
	}
	return 0, fmt.Errorf("expected one of %v", Schemes())
}

const requestKeyBits = 2048

// object is a key that is loaded in the TPM.
type object struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public []byte // TPMT_PUBLIC
	key    crypto.PublicKey
}

// auth names the object in a command; its password is empty.
func (o *object) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: tpm2.PasswordAuth(nil)}
}

// primary makes a key in the endorsement hierarchy, for the time of [TPM.within]. The same template gives the same key until the TPM is cleared. The hierarchy is one in
// which a TPM tells its counters as they are (tpm-evidence.md section 2 item 9).
func (t *TPM) primary(what string, template tpm2.TPMTPublic) (*object, error) {
	return t.primaryIn(tpm2.TPMRHEndorsement, what, template)
}

// primaryIn makes a key in a hierarchy, for the time of [TPM.within].
func (t *TPM) primaryIn(hierarchy tpm2.TPMHandle, what string, template tpm2.TPMTPublic) (*object, error) {
	doing := "making " + what
	answer, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(t.link)
	if err != nil {
		return nil, failed(doing, err)
	}
	return loadedObject(doing, answer.ObjectHandle, answer.Name, answer.OutPublic.Bytes())
}

// loadedObject reads the public area of a key that the TPM has.
func loadedObject(doing string, handle tpm2.TPMHandle, name tpm2.TPM2BName, area []byte) (*object, error) {
	public, err := tpm.ParsePublic(area)
	if err != nil {
		return nil, failed(doing, err)
	}
	return &object{handle, name, area, public.Key}, nil
}

// aik makes the attestation key: restricted, so that it signs nothing that begins as if the TPM said it. It is not subject to the lockout after
// wrong passwords: it has none.
func (t *TPM) aik(s Scheme) (*object, error) {
	if err := (&Machine{TPM: t, Scheme: s}).usable(false); err != nil {
		return nil, err
	}
	template := signing(s)
	template.ObjectAttributes.Restricted = true
	return t.primary("the attestation key", template)
}

// signing is the template of a signing key.
func signing(s Scheme) tpm2.TPMTPublic {
	template := tpm2.TPMTPublic{NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true,
	}}
	switch s {
	case ECDSAP256:
		return elliptic(template, tpm2.TPMECCNistP256, tpm2.TPMAlgSHA256)
	case ECDSAP384:
		return elliptic(template, tpm2.TPMECCNistP384, tpm2.TPMAlgSHA384)
	}
	scheme := tpm2.TPMTRSAScheme{
		Scheme: tpm2.TPMAlgRSASSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256}),
	}
	if s == RSAPSS {
		scheme = tpm2.TPMTRSAScheme{
			Scheme: tpm2.TPMAlgRSAPSS, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSAPSS, &tpm2.TPMSSigSchemeRSAPSS{HashAlg: tpm2.TPMAlgSHA256}),
		}
	}
	template.Type = tpm2.TPMAlgRSA
	template.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{Scheme: scheme, KeyBits: requestKeyBits})
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	return template
}

func elliptic(template tpm2.TPMTPublic, curve tpm2.TPMECCCurve, hash tpm2.TPMAlgID) tpm2.TPMTPublic {
	template.Type = tpm2.TPMAlgECC
	template.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme: tpm2.TPMTECCScheme{
			Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: hash}),
		},
		CurveID: curve,
	})
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return template
}

// signPSS signs a SHA-256 digest as PS256 does, and looks whether the salt is the right one: the TPM chooses it.
func (t *TPM) signPSS(o *object, digest []byte) ([]byte, error) {
	const doing = "signing the request"
	answer, err := tpm2.Sign{
		KeyHandle: o.auth(), Digest: tpm2.TPM2BDigest{Buffer: digest},
		InScheme: tpm2.TPMTSigScheme{
			Scheme: tpm2.TPMAlgRSAPSS, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgRSAPSS, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256}),
		},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(t.link)
	if err != nil {
		return nil, failed(doing, err)
	}
	signature, err := answer.Signature.Signature.RSAPSS()
	if err != nil {
		return nil, failed(doing, err)
	}
	if !saltAsLongAsHash(o.key, digest, signature.Sig.Buffer) {
		return nil, problem("this TPM signs PSS with another salt than PS256 has", "use --key software",
			errors.New("expected a salt as long as the hash, as TPMs of FIPS 140 make it"))
	}
	return signature.Sig.Buffer, nil
}

// AIK makes the attestation key of a scheme and gives its public part, RSA or ECDSA, for those who certify keys in another way than
// [Machine.Enroll]. The error is a *[Problem].
func (t *TPM) AIK(s Scheme) (key crypto.PublicKey, err error) {
	err = t.within(func() error {
		aik, err := t.aik(s)
		if err == nil {
			key = aik.key
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}
