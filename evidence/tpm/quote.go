package tpm

import (
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

var errTODO = errors.New("not implemented")

// Clock is the TPM's time at the signature (TPMS_CLOCK_INFO). None of it proves freshness (tpm-evidence.md section 2 item 9).
type Clock struct {
	Clock        uint64 // milliseconds the TPM has been powered, since it was last cleared
	ResetCount   uint32 // obfuscated for keys outside the endorsement and platform hierarchies
	RestartCount uint32
	Safe         bool
}

// Attest is a TPMS_ATTEST with its TPMT_SIGNATURE, of any type. Nothing of it is believed.
type Attest struct {
	raw []byte
}

// ParseAttest reads a TPMS_ATTEST (without a size in front) and a TPMT_SIGNATURE, both big-endian, to their last byte.
// The error is an [evidence.Refusal] of AttestFormat.
func ParseAttest(attest, signature []byte) (*Attest, error) { return nil, errTODO }

// QuoteInput is what a quote is held against.
type QuoteInput struct {
	Key       crypto.PublicKey // the AIK: RSA of at least 2048 bits, or ECDSA on P-256, P-384 or P-521
	ExtraData []byte           // what the qualifying data must be, in full
	Unbound   bool             // the qualifying data is not looked at: for quotes whose freshness does not matter
	PCRs      []Bank           // the values that came along, a bank for each selection of the quote, in its order
	// AllowSHA1 lets SHA-1 banks count (switch tpm_allow_sha1). A SHA-1 signature is never accepted.
	AllowSHA1 bool
	Required  uint32 // bit n: PCR n must be quoted, all of them in one bank that counts
	Journal   *evidence.Journal
}

// Quoted are the PCR values that a TPM vouched for. Only VerifyQuote makes one.
type Quoted struct {
	banks []Bank
	clock Clock
}

// VerifyQuote checks that the attestation is a quote by the key over exactly the values that came along (tpm-evidence.md
// section 2, tpm.md section 5): signature, magic and type, qualifying data, selections, digest, required PCRs.
// The error is an [evidence.Refusal].
func (a *Attest) VerifyQuote(in QuoteInput) (*Quoted, error) { return nil, errTODO }

// Banks are the quoted banks that count, strongest first; there is at least one. A SHA-1 bank counts only where it is allowed.
// The caller must not change them.
func (q *Quoted) Banks() []Bank { return q.banks }

// Clock is the TPM's time at the quote.
func (q *Quoted) Clock() Clock { return q.clock }

// Covers reports whether the PCR is quoted in a bank that counts.
func (q *Quoted) Covers(pcr int) bool {
	for _, b := range q.banks {
		if pcr >= 0 && pcr < PCRCount && b.Values[pcr] != nil {
			return true
		}
	}
	return false
}

// Public is a TPMT_PUBLIC: the public area of a key, parsed. Nothing says that a TPM has it.
type Public struct {
	Key        crypto.PublicKey // RSA or ECDSA
	NameAlg    Alg
	Attributes uint32 // TPMA_OBJECT
	AuthPolicy []byte // empty: none
	Name       []byte // nameAlg and hash of the area
}

// ParsePublic reads a TPMT_PUBLIC (without a size in front), big-endian, to its last byte. The error is an
// [evidence.Refusal] of AttestFormat or, for a key that is too weak, of AIKKey.
func ParsePublic(b []byte) (*Public, error) { return nil, errTODO }

// CheckAIK checks the attributes that an attestation key must have (tpm-evidence.md section 3): fixedTPM, fixedParent,
// sensitiveDataOrigin, restricted and sign, not decrypt, and a name by SHA-256 or better.
func (p *Public) CheckAIK() error { return errTODO }

// VerifyCertify checks that the attestation certifies the public area, signed by the key, with the qualifying data.
// The error is an [evidence.Refusal].
func (a *Attest) VerifyCertify(key crypto.PublicKey, extraData []byte, p *Public) error {
	return errTODO
}

// PlatformClaim is what NCryptCreateClaim(NCRYPT_CLAIM_PLATFORM) makes (tpm.md section 6), parsed.
type PlatformClaim struct {
	Attest *Attest
	PCRs   Bank // all 24
}

// ParsePlatformClaim reads a claim, little-endian around the TPM's structures. The error is an [evidence.Refusal].
func ParsePlatformClaim(b []byte) (*PlatformClaim, error) { return nil, errTODO }

// Root is a trusted certificate of a CA that certifies attestation or endorsement keys.
type Root struct {
	Certificate *x509.Certificate
	// AllowMissingEKU accepts certificates below this root that do not say that they are of an AIK.
	AllowMissingEKU bool
}

// Roots are the trust anchors for keys of TPMs, with the intermediate certificates that clients do not send. The zero value
// trusts nothing.
type Roots struct {
	roots         []Root
	intermediates []*x509.Certificate
}

// NewRoots makes trust anchors.
func NewRoots(roots []Root, intermediates []*x509.Certificate) *Roots {
	return &Roots{roots, intermediates}
}

// VerifyAIK checks the certificate of an attestation key (tpm.md section 12): DER, perhaps padded with zeros, that leads to a
// root, in force at the time, with the usages of an AIK. It gives the certificate, whose key is of a kind that can be an
// AIK's. The error is an [evidence.Refusal].
func (r *Roots) VerifyAIK(der []byte, at time.Time) (*x509.Certificate, error) { return nil, errTODO }

// VerifyEK checks the certificate of an endorsement key likewise (tpm-evidence.md section 3).
func (r *Roots) VerifyEK(der []byte, at time.Time) (*x509.Certificate, error) { return nil, errTODO }

// ParseCertificate reads a DER certificate that may be padded with zeros to the size of the NV index it was read from.
func ParseCertificate(der []byte) (*x509.Certificate, error) { return nil, errTODO }

// CheckKey says why a public key cannot be an AIK's or one certified by it: RSA under 2048 bits, or of another kind than RSA
// and ECDSA on P-256, P-384 and P-521.
func CheckKey(key crypto.PublicKey) error { return errTODO }
