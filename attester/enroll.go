package attester

import (
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The routes of enrolment (native.md section 4).
const (
	challengesPath   = "/assay/v1/aik/challenges"
	certificatesPath = "/assay/v1/aik/certificates"
)

// Enrolled is what a service, as attestation CA, says of an AIK.
type Enrolled struct {
	ID          string
	Certificate []byte    // DER
	Chain       [][]byte  // DER, those above it
	NotAfter    time.Time // of the certificate
}

// enrolBody is what asks for a certificate. The public areas are TPMT_PUBLIC, the certificates DER, all in base64url.
type enrolBody struct {
	EKCertificate string   `json:"ekCertificate,omitzero"`
	EKChain       []string `json:"ekChain,omitzero"`
	EKPublic      string   `json:"ekPublic"`
	AIKPublic     string   `json:"aikPublic"`
}

// enrolChallenge is the answer: a secret that only the TPM with both keys can read (TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET).
type enrolChallenge struct {
	Context         string `json:"context"`
	CredentialBlob  string `json:"credentialBlob"`
	EncryptedSecret string `json:"encryptedSecret"`
}

type secretBody struct {
	Context string `json:"context"`
	Secret  string `json:"secret"`
}

type certificateBody struct {
	ID          string   `json:"id"`
	Certificate string   `json:"certificate"`
	Chain       []string `json:"chain"`
}

// Enroll has the service certify the AIK of m.Scheme, for which it proves that the AIK is in the TPM of the endorsement key (tpm-evidence.md
// section 3), and sets m.AIKCertificate. The error is a *[Problem] where this machine is at fault, a *[BadAnswer] for an answer that is none;
// those of post come as they are.
func (m *Machine) Enroll(ctx context.Context, post Post) (*Enrolled, error) {
	if err := m.usable(false); err != nil {
		return nil, err
	}
	var enrolled *Enrolled
	if err := m.TPM.within(func() (err error) { enrolled, err = m.enroll(ctx, post); return err }); err != nil {
		return nil, err
	}
	m.AIKCertificate = enrolled.Certificate
	return enrolled, nil
}

func (m *Machine) enroll(ctx context.Context, post Post) (*Enrolled, error) {
	aik, err := m.TPM.aik(m.Scheme)
	if err != nil {
		return nil, err
	}
	body := enrolBody{AIKPublic: b64.URL(aik.public)}
	ek, kind, err := m.TPM.ek(&body)
	if err != nil {
		return nil, err
	}
	var challenge enrolChallenge
	if err := post.json(ctx, challengesPath, body, &challenge); err != nil {
		return nil, err
	}
	secret, err := m.TPM.activate(aik, ek, kind, &challenge)
	if err != nil {
		return nil, err
	}
	var answer certificateBody
	if err := post.json(ctx, certificatesPath, secretBody{challenge.Context, b64.URL(secret)}, &answer); err != nil {
		return nil, err
	}
	enrolled, err := answer.read()
	if err != nil {
		return nil, &BadAnswer{err}
	}
	if err := certifies(enrolled.Certificate, aik); err != nil {
		return nil, &BadAnswer{err}
	}
	return enrolled, nil
}

// ek makes the endorsement key, and puts it into the body with its certificate and what is above that, as far as the TPM has them.
func (t *TPM) ek(body *enrolBody) (*object, ekKind, error) {
	e, err := t.endorsement()
	if err != nil {
		return nil, e.ekKind, err
	}
	ek, kind, err := t.endorsementKey(e)
	if err != nil {
		return nil, kind, err
	}
	body.EKPublic = b64.URL(ek.public)
	if e.cert == nil {
		return ek, kind, nil
	}
	if same, ok := ek.key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(e.cert.PublicKey) {
		return nil, kind, problem("the certificate in the TPM is of another endorsement key", fmt.Sprintf(
			"this TPM has an own template or seed for it, which is not supported: have the owner of the service pin the key, and clear index %08X", uint32(e.certificate)), nil)
	}
	body.EKCertificate = b64.URL(e.cert.Raw)
	for _, c := range e.chain {
		body.EKChain = append(body.EKChain, b64.URL(c.Raw))
	}
	return ek, kind, nil
}

// endorsementKey makes the endorsement key that is certified. Without a certificate it is RSA, or P-256 in a TPM without RSA.
func (t *TPM) endorsementKey(e endorsement) (*object, ekKind, error) {
	const what = "the endorsement key"
	ek, err := t.primary(what, e.template)
	if e.cert == nil && (errors.Is(err, tpm2.TPMRCType) || errors.Is(err, tpm2.TPMRCAsymmetric)) {
		e.template = tpm2.ECCEKTemplate
		ek, err = t.primary(what, e.template)
	}
	return ek, e.ekKind, err
}

// activate reads the secret, which the TPM does only for the AIK that it is meant for.
func (t *TPM) activate(aik, ek *object, kind ekKind, c *enrolChallenge) ([]byte, error) {
	blob, err := sized(c.CredentialBlob)
	if err != nil {
		return nil, &BadAnswer{fmt.Errorf("credentialBlob: %w", err)}
	}
	encrypted, err := sized(c.EncryptedSecret)
	if err != nil {
		return nil, &BadAnswer{fmt.Errorf("encryptedSecret: %w", err)}
	}
	const doing = "reading the secret of the enrolment"
	session, _, err := tpm2.PolicySession(t.link, kind.template.NameAlg, nonceSize) // within takes it out
	if err != nil {
		return nil, failed(doing, err)
	}
	if err := kind.satisfy(t.link, session); err != nil {
		return nil, failed(doing, err)
	}
	answer, err := tpm2.ActivateCredential{
		ActivateHandle: aik.auth(), KeyHandle: tpm2.AuthHandle{Handle: ek.handle, Name: ek.name, Auth: session},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: blob}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: encrypted},
	}.Execute(t.link)
	// libtpms answers TPM_RC_FAILURE to a secret that was encrypted to another key. A TPM that failed in earnest had not made the two keys just before.
	refused := []error{tpm2.TPMRCIntegrity, tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCFailure}
	if slices.ContainsFunc(refused, func(code error) bool { return errors.Is(err, code) }) {
		return nil, problem("the TPM refuses the challenge of the enrolment", "it was made for other keys: look whether the endpoint is the right one, and enrol again", err)
	}
	if err != nil {
		return nil, failed(doing, err)
	}
	return answer.CertInfo.Buffer, nil
}

// sized reads a TPM2B in base64url to its last byte.
func sized(text string) ([]byte, error) {
	b, err := b64.Decode(text)
	switch {
	case err != nil:
		return nil, err
	case len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2:
		return nil, fmt.Errorf("its %d bytes are no TPM2B", len(b))
	}
	return b[2:], nil
}

// json posts a value and reads the answer.
func (p Post) json(ctx context.Context, path string, body, answer any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	if b, err = p(ctx, path, b); err != nil {
		return err
	}
	if err := strictjson.Exact(b, answer); err != nil {
		return &BadAnswer{err}
	}
	return nil
}

// maxChain bounds chains of certificates, of the service's CA and in the TPM.
const maxChain = 8

func (b *certificateBody) read() (*Enrolled, error) {
	if len(b.Chain) > maxChain {
		return nil, fmt.Errorf("the chain has %d certificates, more than %d", len(b.Chain), maxChain)
	}
	e := &Enrolled{ID: b.ID}
	var err error
	if e.Certificate, err = b64.Decode(b.Certificate); err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	cert, err := tpm.ParseCertificate(e.Certificate)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	e.NotAfter = cert.NotAfter
	for _, text := range b.Chain {
		der, err := b64.Decode(text)
		if err == nil {
			_, err = tpm.ParseCertificate(der)
		}
		if err != nil {
			return nil, fmt.Errorf("the chain: %w", err)
		}
		e.Chain = append(e.Chain, der)
	}
	return e, nil
}
