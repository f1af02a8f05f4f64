// Package enrol makes the service an attestation CA for the keys of TPMs (native.md section 4): it challenges a TPM to show that an
// attestation key (AIK) and an endorsement key (EK) are in it both, and certifies the AIK then. It keeps nothing: what is to be
// enrolled travels to the client and back inside a context that is encrypted and authenticated, and the CA of each provider follows
// from the sealing key, so that all replicas have the same one.
package enrol

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/seal"
)

// Lifetime is how long a challenge can be answered.
const Lifetime = 5 * time.Minute

// MaxProviderID is how long the id of a provider can be, in bytes.
const MaxProviderID = 128

// Enroller challenges and certifies for all providers. It does not change and may be used concurrently.
type Enroller struct{ key *seal.Key }

// New makes an enroller. Its challenges and CAs follow from the sealing key, which all replicas of a service have.
func New(key *seal.Key) *Enroller { return &Enroller{key} }

// Candidate is what a TPM wants to have enrolled.
type Candidate struct {
	ProviderID string
	AIK        *tpm.Public // an attestation key by its attributes, see [tpm.Public.CheckAIK]
	EK         tpm.KeyHash
	Pinned     bool   // the EK is trusted because it is pinned, not for its certificate
	Device     Device // what the EK's certificate says of the TPM
}

// Challenge is what a TPM has to answer.
type Challenge struct {
	Context    string // base64url; to be sent back along with the secret
	Credential *tpm.Credential
	Expires    time.Time
}

// Challenge encrypts a secret for the TPM of an endorsement key and for the attestation key of the candidate. The error is an
// [evidence.Refusal] of EKCertificate if the endorsement key cannot be one, or a fault of the service.
func (e *Enroller) Challenge(c Candidate, ek *tpm.Public, now time.Time) (*Challenge, error) {
	var secret [secretSize]byte
	rand.Read(secret[:]) // never fails: the program ends if the system has no randomness
	credential, err := tpm.MakeCredential(ek, c.AIK.Name, secret[:], rand.Reader)
	if err != nil {
		return nil, err
	}
	expires := now.Add(Lifetime).Truncate(time.Second)
	context, err := e.seal(content{secret, expires, c})
	if err != nil {
		return nil, fmt.Errorf("making an enrolment challenge: %w", err)
	}
	return &Challenge{context, credential, expires}, nil
}

// Activated is a candidate whose TPM has answered. Only [Enroller.Activate] makes one.
type Activated struct {
	Candidate
	ID string // of the certificate to be: always the same for one challenge
}

// Activate checks the answer to a challenge: its context, and the secret that the TPM has decrypted. The error is an
// [evidence.Refusal] of AIKEnrolment.
func (e *Enroller) Activate(context string, secret []byte, providerID string, now time.Time) (*Activated, error) {
	c, salt, err := e.open(context)
	switch {
	case err != nil:
		return nil, err
	case c.ProviderID != providerID:
		return nil, refuse("the enrolment context was issued by another attestation provider").Do("send it to the provider that gave the challenge, or begin anew here")
	case !now.Before(c.expires):
		return nil, refuse("the enrolment challenge has expired").Want("a time before "+stamp(c.expires), stamp(now)).Do(anew)
	case subtle.ConstantTimeCompare(secret, c.secret[:]) != 1:
		return nil, refuse("the secret is not the one of the challenge").Want("what TPM2_ActivateCredential gives for credentialBlob and encryptedSecret of this context", "another one").
			Do("use the TPM whose endorsement key and attestation key were sent, and answer with the context of the same challenge")
	}
	return &Activated{c.Candidate, e.id(salt)}, nil
}

const anew = "ask for a new enrolment challenge and send its context back unchanged"

func refuse(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.AIKEnrolment, "%s", problem)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
