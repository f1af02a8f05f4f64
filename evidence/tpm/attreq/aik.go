package attreq

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

var errNoAlgorithm = errors.New("attreq: no implementation of " + algorithm)

// checkAIK checks the attestation key and its certificate (tpm.md section 12).
func (v *verification) checkAIK() error {
	a := &v.request.current
	if err := a.checkCertificateKey(); err != nil {
		return err
	}
	err := v.certify(a)
	switch {
	case err == nil:
		v.validated = true
		v.Journal.Pass(evidence.AIKCertificate, "")
	case v.WithoutCertificate:
		v.Journal.Skip(evidence.AIKCertificate, "not demanded by the policy (require_valid_aik_cert); "+err.Error())
	default:
		return err
	}
	return nil
}

// certify checks that the AIK is pinned, or its certificate.
func (v *verification) certify(a *attestation) error {
	if pinned, err := v.Roots.PinnedAIK(a.aik.key); pinned || err != nil {
		return err
	}
	if len(a.certificate) == 0 {
		return evidence.Refuse(evidence.AIKCertificate, "the attestation key has no certificate").Want("aik_cert", "none").
			Do("enrol an AIK certificate on the machine, or have the policy set require_valid_aik_cert to false and look at aikValidated")
	}
	_, err := v.Roots.VerifyAIK(a.certificate, v.At)
	return err
}

// checkCertificateKey refuses a certificate of another key, whatever is demanded of certificates.
func (a *attestation) checkCertificateKey() error {
	if len(a.certificate) == 0 {
		return nil
	}
	cert, err := tpm.ParseCertificate(a.certificate)
	if err != nil {
		return evidence.Refuse(evidence.AIKCertificate, "the certificate aik_cert cannot be read").Because(err).Do("send the certificate in DER")
	}
	if !equalKeys(a.aik.key, cert.PublicKey) {
		return evidence.Refuse(evidence.AIKKey, "the certificate aik_cert is of another key than aik_pub").
			Want("a certificate of "+fingerprint(a.aik.key), "one of "+fingerprint(cert.PublicKey)).Do("send the certificate of the attestation key that made the quote")
	}
	return nil
}

// aikHash is the claim aikPubHash.
func (v *Verified) aikHash() (string, error) { return keyHash(v.request.current.aik.key) }

// keyHash is base64, with padding, of SHA-256 over the SubjectPublicKeyInfo of a key.
func keyHash(key crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(spki)
	return base64.StdEncoding.EncodeToString(digest[:]), nil
}

// fingerprint names a key to a person, as aikPubHash does.
func fingerprint(key crypto.PublicKey) string {
	hash, err := keyHash(key)
	if err != nil {
		return "a key of another kind"
	}
	return "key " + hash
}

// checkBoot checks the attestation of the boot before hibernation: a quote by the same key, of the same cold boot.
func (v *verification) checkBoot() (err error) {
	boot := v.request.boot
	if boot == nil {
		return nil
	}
	if err := boot.checkCertificateKey(); err != nil {
		return err
	}
	if !equalKeys(boot.aik.key, v.request.current.aik.key) {
		return evidence.Refuse(evidence.AIKKey, "boot_attestation has another attestation key than current_attestation").
			Want(fingerprint(v.request.current.aik.key)+" in both", fingerprint(boot.aik.key)).Do("make both quotes with the same key")
	}
	v.before, err = boot.verifyQuote(tpm.QuoteInput{Unbound: true, Required: v.RequiredPCRs, AllowSHA1: v.AllowSHA1, Journal: v.Journal})
	if err != nil {
		return err
	}
	if err := before(v.before.Clock(), v.quoted.Clock()); err != nil {
		return err
	}
	v.Journal.Pass(evidence.BootAttestation, "")
	return nil
}

// before checks that a quote was not made after another one. TPMs add a constant to resetCount for each key, so that only the
// difference means something; it is taken as a signed number of 32 bits.
func before(boot, current tpm.Clock) error {
	if int32(boot.ResetCount-current.ResetCount) > 0 {
		return evidence.Refuse(evidence.BootAttestation, "the TPM was reset more often at the quote of the boot than at the current one").
			Want(fmt.Sprintf("resetCount up to %d", current.ResetCount), boot.ResetCount).Do(sameBoot)
	}
	if boot.Clock > current.Clock {
		return evidence.Refuse(evidence.BootAttestation, "the quote of the boot was made after the current one").
			Want(fmt.Sprintf("a clock up to %d ms", current.Clock), fmt.Sprintf("%d ms", boot.Clock)).Do(sameBoot)
	}
	return nil
}

const sameBoot = "send the attestation that was saved at the boot after which the machine hibernated"
