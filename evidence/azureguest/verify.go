package azureguest

import (
	"crypto/rsa"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/binread"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// requiredPCRs must be quoted: bit n is PCR n (azure-guest.md section 3 step 4).
const requiredPCRs = 0xFF

// Input is what a bundle is held against. The zero value but for At is strict, except that a quote needs no nonce and confidential guests no chain.
type Input struct {
	At           time.Time
	Roots        *tpm.Roots // of certificates of attestation keys
	RequireNonce bool       // azureguest_require_nonce
	RequireChain bool       // azureguest_require_ak_chain
	Strict       bool       // demands both, whether they are set or not
	// WithoutAuthority is tpm_secureboot_require_authority off.
	WithoutAuthority bool
	Journal          *evidence.Journal
}

// named names a setting of this endpoint behind a refusal, and strict where that turned on what is not set.
func named(setting string, set bool) string {
	if !set {
		return setting + ", on by strict,"
	}
	return setting
}

// Machine is a vTPM whose quote, log, sealing key and certificate hold together under one attestation key. Who vouches for that key is not said.
type Machine struct {
	bundle    *Bundle
	boot      *measured.Boot // nil: there was no log
	quoted    *tpm.Quoted    // one bank, of SHA-256
	aik       *rsa.PublicKey
	sealing   *rsa.PublicKey // EncKeyPub
	certified bool           // the attestation key's certificate has a chain to a root, or the key is pinned
	journal   *evidence.Journal
}

// verification makes the checks one after the other.
type verification struct {
	Input
	*Machine
}

// Verify checks all that the vTPM signed (azure-guest.md section 3, steps 2 to 5 and 7): attestation key and its certificate, quote, certification and
// properties of the sealing key, log. An empty log is accepted; then no PCR is explained. The error is an [evidence.Refusal].
func (b *Bundle) Verify(in Input) (*Machine, error) {
	in.Journal.Pass(evidence.GuestRequest, "")
	in.Journal.Pass(evidence.GuestProtocol, b.Version)
	in.Journal.Pass(evidence.IsolationType, string(b.Isolation))
	v := &verification{in, &Machine{bundle: b, journal: in.Journal}}
	for _, check := range []func() error{v.checkAIK, v.checkCertificate, v.checkQuote, v.checkSealing, v.checkLog} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return v.Machine, nil
}

// checkAIK reads the attestation key.
func (v *verification) checkAIK() error {
	p, err := readPublic("AikPub", v.bundle.vtpm.aik)
	if err != nil {
		return err
	}
	if err := p.CheckAIK(); err != nil {
		return err
	}
	key, ok := p.Key.(*rsa.PublicKey)
	if !ok {
		return evidence.Refuse(evidence.AIKKey, "the attestation key is not RSA").Want("RSA", fmt.Sprintf("%T", p.Key)).
			Do("quote with the attestation key of the virtual TPM, at handle 81000003")
	}
	v.aik = key
	v.Journal.Pass(evidence.AIKKey, fmt.Sprintf("RSA of %d bits", key.N.BitLen()))
	return nil
}

// readPublic reads a TPM2B_PUBLIC to its last byte.
func readPublic(name string, b []byte) (*tpm.Public, error) {
	c := binread.New(b)
	area := c.Bytes("publicArea", int(c.BE16("size")))
	if err := c.Done("TPM2B_PUBLIC"); err != nil {
		return nil, evidence.Refuse(evidence.AttestFormat, "%s cannot be read as TPM2B_PUBLIC", name).Because(err).
			Do("send the structure with its size in front, as the TPM gives it, and with nothing behind it")
	}
	return tpm.ParsePublic(area)
}

// checkQuote verifies the quote over exactly the values that came along.
func (v *verification) checkQuote() error {
	t := &v.bundle.vtpm
	quote, err := tpm.ParseAttestRaw(t.quote, t.quoteSignature)
	if err != nil {
		return err
	}
	silent := len(quote.ExtraData()) == 0
	if silent && (v.RequireNonce || v.Strict) {
		return evidence.Refuse(evidence.AttestNonce, "the quote has no qualifying data, which the provider's setting %s demands", named("azureguest_require_nonce", v.RequireNonce)).
			Want("the nonce of ClientPayload", "none").Do("use a client that quotes with its nonce, or turn the setting off")
	}
	nonce, err := v.bundle.answer(quote)
	if err != nil {
		return err
	}
	v.quoted, err = quote.VerifyQuote(tpm.QuoteInput{
		Key: v.aik, ExtraData: nonce, Unbound: silent, PCRs: []tpm.Bank{t.pcrs}, Required: requiredPCRs, Journal: v.Journal,
	})
	return withNonce(err)
}

// answer gives what the qualifying data of an attestation must be (azure-guest.md section 2, Freshness): nothing where it has none, else the nonce of
// ClientPayload, decoded; without one that is nothing, too. The name of the nonce is matched without regard to case.
func (b *Bundle) answer(a *tpm.Attest) ([]byte, error) {
	if len(a.ExtraData()) == 0 {
		return nil, nil
	}
	var text string
	if b.Payload.Kind() == '{' {
		members, err := strictjson.Members(b.Payload)
		if err == nil && members["nonce"] != nil {
			err = strictjson.Exact(members["nonce"], &text)
		}
		if err != nil {
			return nil, badNonce("ClientPayload has no nonce that can be read").Because(err)
		}
	}
	nonce, err := b64.Decode(text)
	if err != nil {
		return nil, badNonce("the nonce of ClientPayload is not base64").Because(err)
	}
	return nonce, nil
}

// sendNonce is what to do about qualifying data that is not the nonce.
const sendNonce = "send the nonce that the TPM was given, in base64, as ClientPayload.nonce, or give the TPM none"

func badNonce(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.AttestNonce, "%s", problem).Do(sendNonce)
}

// withNonce says of a refusal for another nonce what to do here.
func withNonce(err error) error {
	if r, ok := refusal(err); ok && r.Check == evidence.AttestNonce {
		return r.Do(sendNonce)
	}
	return err
}

// checkSealing verifies that the attestation key's TPM has the sealing key, and that it can be used in the quoted state only.
func (v *verification) checkSealing() error {
	t := &v.bundle.vtpm
	key, err := readPublic("EncKeyPub", t.sealing)
	if r, ok := refusal(err); ok && r.Check == evidence.AIKKey {
		r.Check = evidence.SealingKey // too weak a key, or none that is known
	}
	if err != nil {
		return err
	}
	if err := v.certifies(t, key); err != nil {
		return err
	}
	policy := v.quoted.PCRPolicy()
	if err := key.CheckSealing(policy); err != nil {
		return err
	}
	v.sealing = key.Key.(*rsa.PublicKey)
	v.Journal.Pass(evidence.SealingKey, fmt.Sprintf("RSA of %d bits", v.sealing.N.BitLen()))
	v.Journal.Pass(evidence.SealingPolicy, fmt.Sprintf("%x", policy))
	return nil
}

// certifies verifies the certification of the sealing key.
func (v *verification) certifies(t *vtpm, key *tpm.Public) error {
	certification, err := tpm.ParseAttestRaw(t.certification, t.certSignature)
	if err != nil {
		return ofCertification(err)
	}
	nonce, err := v.bundle.answer(certification)
	if err != nil {
		return ofCertification(err)
	}
	if err := certification.VerifyCertify(v.aik, nonce, key); err != nil {
		return ofCertification(withNonce(err))
	}
	v.Journal.Pass(evidence.CertifiedKey, fmt.Sprintf("%x", key.Name))
	return nil
}

// ofCertification says of a refusal that it is not of the quote, whose words it has.
func ofCertification(err error) error {
	if r, ok := refusal(err); ok {
		r.Problem = "EncKeyCertifyInfo, the certification of EncKeyPub: " + r.Problem
	}
	return err
}

// checkLog holds the log against the quote.
func (v *verification) checkLog() error {
	b := v.bundle
	if len(b.log) == 0 {
		v.Journal.Skip(evidence.EventLogReplay, "no log was sent: what the PCRs stand for is not known")
		return nil
	}
	log, err := eventlog.Parse(b.log, b.limits.Log)
	if err != nil {
		return err
	}
	if log.Legacy() {
		return evidence.Refuse(evidence.SHA1, "the log is in the SHA-1 form, which no setting allows for Azure guests").
			Want("a crypto-agile log", "one in the SHA-1 form").Do("send the log of the virtual TPM as the operating system hands it out")
	}
	v.boot, err = measured.Verify([]measured.Log{{TCG: log}}, v.quoted, measured.Options{
		WithoutAuthority: v.WithoutAuthority, Depth: b.limits.Depth, Limits: b.limits.Log, Journal: v.Journal,
	})
	return err
}
