package attester

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/internal/b64"
)

// requestKey is the key that signs the request.
type requestKey struct {
	public    *rsa.PublicKey
	private   *rsa.PrivateKey // nil: the TPM has it
	object    *object         // nil: it is in memory
	certified bool
	sign      func(digest []byte) ([]byte, error) // PS256
}

func (m *Machine) requestKey() (*requestKey, error) {
	if m.Key == SoftwareKey {
		key, err := fresh()
		if err != nil {
			return nil, err
		}
		return &requestKey{public: &key.PublicKey, private: key, sign: func(digest []byte) ([]byte, error) {
			return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}}, nil
	}
	o, err := m.TPM.primary("the request key", signing(RSAPSS))
	if err != nil {
		return nil, err
	}
	public, ok := o.key.(*rsa.PublicKey)
	if !ok {
		return nil, failed("making the request key", fmt.Errorf("it is a %T", o.key))
	}
	return &requestKey{public: public, object: o, certified: m.Key == CertifiedKey, sign: func(digest []byte) ([]byte, error) {
		return m.TPM.signPSS(o, digest)
	}}, nil
}

func saltAsLongAsHash(key crypto.PublicKey, digest, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPSS(public, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// jwk writes the public key. Its bytes are hashed as they are sent (tpm.md section 3.1).
func (k *requestKey) jwk() (jsontext.Value, error) {
	b, err := json.Marshal(struct {
		Type     string `json:"kty"`
		Modulus  string `json:"n"`
		Exponent string `json:"e"`
	}{"RSA", b64.URL(k.public.N.Bytes()), b64.URL(big.NewInt(int64(k.public.E)).Bytes())})
	if err != nil {
		return nil, fmt.Errorf("writing the request key: %w", err)
	}
	return b, nil
}

// binding is what ties the request key to the TPM (tpm.md section 4).
type binding struct {
	object    keyObject
	extraData []byte // of the quote
}

// keyObject is a key in the request.
type keyObject struct {
	JWK  jsontext.Value `json:"jwk"`
	Info keyInfo        `json:"info"`
}

type keyInfo struct {
	Quote   *quoteBinding `json:"tpm_quote,omitzero"`
	Certify *certifyInfo  `json:"tpm_certify,omitzero"`
}

type quoteBinding struct {
	Hash string `json:"hash_alg"`
}

type certifyInfo struct {
	Public        string `json:"public"`        // TPMT_PUBLIC
	Certification string `json:"certification"` // TPMS_ATTEST
	Signature     string `json:"signature"`     // TPMT_SIGNATURE
}

// maxQualifying is how many bytes of a caller a TPM puts into what it signs (TPM2B_DATA): a SHA-512 hash.
const maxQualifying = 64

// bind binds the key to the challenge: by the quote, or by a certification.
func (k *requestKey) bind(t *TPM, aik *object, challenge []byte) (*binding, error) {
	jwk, err := k.jwk()
	if err != nil {
		return nil, err
	}
	if k.certified {
		if len(challenge) > maxQualifying {
			return nil, &BadAnswer{fmt.Errorf("the challenge has %d bytes: a TPM certifies keys over at most %d", len(challenge), maxQualifying)}
		}
		attest, signature, err := t.certify(aik, k.object, challenge)
		if err != nil {
			return nil, err
		}
		info := &certifyInfo{b64.URL(k.object.public), b64.URL(attest), b64.URL(tpm2.Marshal(signature))}
		return &binding{keyObject{jwk, keyInfo{Certify: info}}, challenge}, nil
	}
	h := sha256.New()
	h.Write(jwk)
	h.Write([]byte{0})
	h.Write(challenge)
	return &binding{keyObject{jwk, keyInfo{Quote: &quoteBinding{"sha-256"}}}, h.Sum(nil)}, nil
}

// certify has an attestation key certify another key of the TPM, and gives TPMS_ATTEST with the signature.
func (t *TPM) certify(aik, o *object, extraData []byte) (attest []byte, signature tpm2.TPMTSignature, err error) {
	answer, err := tpm2.Certify{
		ObjectHandle: o.auth(), SignHandle: aik.auth(), QualifyingData: tpm2.TPM2BData{Buffer: extraData}, InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
	}.Execute(t.link)
	if err != nil {
		return nil, signature, failed("certifying a key", err)
	}
	return answer.CertifyInfo.Bytes(), answer.Signature, nil
}
