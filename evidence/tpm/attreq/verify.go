package attreq

import (
	"crypto"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/vbs"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
)

// Signed is a request that was signed by the key that it names. It proves possession of that key, and nothing else.
type Signed struct{ request *Request }

// VerifySignature checks the signature of the JWS. The error is an [evidence.Refusal] of TPMRequestKey.
func (r *Request) VerifySignature() (*Signed, error) {
	alg, ok := jose.Find(algorithm)
	if !ok {
		return nil, errNoAlgorithm
	}
	if err := alg.Verify(r.key.key, []byte(r.input), r.signature); err != nil {
		return nil, evidence.Refuse(evidence.TPMRequestKey, "the signature of the request does not verify with the key that it names").Because(err).
			Do("sign header and payload, as they are sent, by PS256 with the key in attest_key or request_key")
	}
	return &Signed{r}, nil
}

// Context is the service context that the request brings back, as the client sent it.
func (s *Signed) Context() string { return s.request.context }

// Fresh is a signed request that answers a challenge of the service.
type Fresh struct{ request *Request }

// Answer checks that the request answers the challenge, which is the one of its service context. The error is an
// [evidence.Refusal] of TPMChallenge.
func (s *Signed) Answer(challenge []byte) (*Fresh, error) {
	sent := s.request.challenge
	if len(challenge) == 0 || subtle.ConstantTimeCompare(challenge, sent) != 1 {
		return nil, evidence.Refuse(evidence.TPMChallenge, "the challenge is not that of the service context").
			Want(b64.URL(challenge), b64.URL(sent)).Do("send challenge and service_context as they came in one answer")
	}
	return &Fresh{s.request}, nil
}

// Input is what evidence is held against. The zero value is strict, but for RequiredPCRs.
type Input struct {
	At    time.Time
	Roots *tpm.Roots
	// WithoutCertificate goes on where the AIK has no valid certificate (policy property require_valid_aik_cert false).
	WithoutCertificate bool
	RequiredPCRs       uint32           // policy property required_pcr_mask
	AllowSHA1          bool             // switch tpm_allow_sha1
	AllowV1Basic       bool             // switch tpm_allow_v1_basic
	WithoutAuthority   bool             // switch tpm_secureboot_require_authority off
	DRTMKey            crypto.PublicKey // tpm_drtm_signing_key; nil: none
	Journal            *evidence.Journal
}

// Verified is evidence of a TPM, and of a VBS enclave if the request had one. Only Fresh.Verify makes one.
type Verified struct {
	request   *Request
	validated bool // the AIK has a valid certificate
	quoted    *tpm.Quoted
	current   *measured.Boot
	boot      *measured.Boot // nil: none
	enclave   *vbs.Verified  // nil: none
}

// Enclave is the report of a VBS enclave, nil if the request had none.
func (v *Verified) Enclave() *vbs.Verified { return v.enclave }

// Quoted are the PCRs that the current quote covers, in the banks that count.
func (v *Verified) Quoted() *tpm.Quoted { return v.quoted }

// verification makes the checks one after the other.
type verification struct {
	Input
	*Verified
	before *tpm.Quoted // of the boot before hibernation
}

// Verify checks the evidence (tpm.md section 13, steps 6 to 11). The error is an [evidence.Refusal].
func (f *Fresh) Verify(in Input) (*Verified, error) {
	v := &verification{in, &Verified{request: f.request}, nil}
	for _, check := range []func() error{v.checkV1, v.checkAIK, v.checkQuote, v.checkBoot, v.checkLogs, v.checkKeys, v.checkEnclave} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return v.Verified, nil
}

// checkV1 refuses the request whose key nothing binds to the TPM, unless that is allowed.
func (v *verification) checkV1() error {
	if v.request.version != 1 || v.request.enclave != nil || v.AllowV1Basic {
		return nil
	}
	return evidence.Refuse(evidence.KeyBinding, "nothing binds the key of a basic request of version 1 to the TPM, and the provider's setting tpm_allow_v1_basic is off, by itself or by strict").
		Want("a request of version 2 (attReqV2), or of a VBS enclave", "basic of version 1 (attReq)").Do("have the client use version 2 of the protocol")
}

// checkQuote verifies the current quote.
func (v *verification) checkQuote() (err error) {
	extraData := v.request.challenge
	if v.request.version == 2 {
		extraData = v.request.request.extraData(v.request.challenge)
	}
	v.quoted, err = v.request.current.verifyQuote(tpm.QuoteInput{ExtraData: extraData, Required: v.RequiredPCRs, AllowSHA1: v.AllowSHA1, Journal: v.Journal})
	if r, ok := errors.AsType[*evidence.Refusal](err); ok && r.Check == evidence.AttestNonce {
		return r.Do(v.request.wantExtraData())
	}
	return err
}

// wantExtraData says what the qualifying data of the quote must be.
func (r *Request) wantExtraData() string {
	if r.version == 2 && r.request.binding == byQuote {
		return "quote with the " + r.request.hash.name + " of the jwk of request_key, byte by byte as sent, a zero byte, and the challenge"
	}
	return "quote with the bytes of the challenge"
}

// verifyQuote verifies the quote of an attestation by its AIK.
func (a *attestation) verifyQuote(in tpm.QuoteInput) (*tpm.Quoted, error) {
	in.Key = a.aik.key
	if a.claim != nil {
		claim, err := tpm.ParsePlatformClaim(a.claim)
		if err != nil {
			return nil, err
		}
		in.PCRs = []tpm.Bank{claim.PCRs}
		return claim.Attest.VerifyQuote(in)
	}
	attest, err := tpm.ParseAttest(a.quote, a.signature)
	if err != nil {
		return nil, err
	}
	in.PCRs = a.pcrs
	return attest.VerifyQuote(in)
}

// checkKeys verifies what certifies keys of version 2.
func (v *verification) checkKeys() error {
	if v.request.version == 1 {
		return nil
	}
	for _, k := range append([]*keyObject{v.request.request}, v.request.others...) {
		if k.binding != byCertify {
			continue
		}
		if err := k.verifyCertified(v.request.current.aik.key, v.request.challenge); err != nil {
			return err
		}
		v.Journal.Pass(evidence.CertifiedKey, k.name)
	}
	return nil
}

// verifyCertified checks that the AIK certifies the key.
func (k *keyObject) verifyCertified(aik crypto.PublicKey, challenge []byte) error {
	area, err := tpm.ParsePublic(k.public)
	if err != nil {
		return err
	}
	attest, err := tpm.ParseAttest(k.certification, k.certified.signature)
	if err != nil {
		return err
	}
	if err := attest.VerifyCertify(aik, challenge, area); err != nil {
		return err
	}
	if !equalKeys(k.jwk.key, area.Key) {
		return evidence.Refuse(evidence.CertifiedKey, "the key %s is not the one that is certified", k.name).
			Want(fingerprint(area.Key)+" in jwk", fingerprint(k.jwk.key)).Do("send the JWK of the key that was certified")
	}
	k.area = area
	return nil
}
