package azureguest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

var errNotOneCertificate = errors.New("not one PEM block CERTIFICATE and nothing else")

// checkCertificate checks the certificate of the attestation key (azure-guest.md section 3 step 3). One of another key and a key that was revoked are
// refused always; that it leads to no root only where nothing else vouches for the key, or where the provider wants it.
func (v *verification) checkCertificate() error {
	der, err := v.certificateOfKey()
	if err != nil {
		return err
	}
	pinned, err := v.Roots.PinnedAIK(v.aik)
	if err != nil {
		return err
	}
	if !pinned {
		err = v.chain(der)
	}
	v.certified = err == nil
	switch {
	case v.certified:
		v.Journal.Pass(evidence.AIKCertificate, "")
		return nil
	case v.bundle.Isolation == TrustedLaunch:
		return err
	case v.RequireChain || v.Strict:
		return v.demanded(err)
	}
	v.Journal.Skip(evidence.AIKCertificate, "the hardware report vouches for the key, and azureguest_require_ak_chain is off; "+err.Error())
	return nil
}

// certificateOfKey reads the certificate, nil if there is none, and refuses one of another key.
func (v *verification) certificateOfKey() ([]byte, error) {
	sent := v.bundle.vtpm.certificate
	if len(bytes.Trim(sent, "\x00")) == 0 {
		return nil, nil
	}
	der, cert, err := readCertificate(sent)
	if err != nil {
		return nil, evidence.Refuse(evidence.AIKCertificate, "the certificate AikCert cannot be read").Because(err).
			Do("send the certificate at NV index 01C101D0 as it is, or none")
	}
	if !v.aik.Equal(cert.PublicKey) {
		return nil, evidence.Refuse(evidence.AIKKey, "the certificate AikCert is of another key than AikPub").
			Do("send the certificate of the attestation key that made the quote, or renew it")
	}
	return der, nil
}

// readCertificate reads a certificate in DER or PEM, perhaps padded with zeros.
func readCertificate(b []byte) ([]byte, *x509.Certificate, error) {
	if bytes.HasPrefix(b, []byte("-----BEGIN")) {
		block, rest := pem.Decode(bytes.TrimRight(b, "\x00"))
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, nil, errNotOneCertificate
		}
		b = block.Bytes
	}
	cert, err := tpm.ParseCertificate(b)
	return b, cert, err
}

// chain leads the certificate to a root.
func (v *verification) chain(der []byte) error {
	if der == nil {
		return evidence.Refuse(evidence.AIKCertificate, "the attestation key has no certificate").Want("AikCert", "none").
			Do("send the certificate at NV index 01C101D0, or have the provider's owner pin the key")
	}
	_, err := v.Roots.VerifyAIK(der, v.At)
	return err
}

// demanded says that a setting demands what is refused.
func (v *verification) demanded(err error) error {
	if r, ok := refusal(err); ok {
		r.Problem += ", which the provider's setting " + named("azureguest_require_ak_chain", v.RequireChain) + " demands"
	}
	return err
}
