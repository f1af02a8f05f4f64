package assaytest

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/assay-attestation/assay/evidence"
)

func tpmRequestFaults() []TPMFault {
	form := one(evidence.TPMRequest)
	return []TPMFault{
		{"request-payload-cut", "the payload is no JSON", form, nil, tpmAt(TPMPayload, func(b []byte) []byte { return b[:len(b)-1] })},
		{"request-other-type", "the header says typ JWT", form, nil, tpmAt(TPMHeader, replaced("attReqV2", "JWT"))},
		{"request-other-algorithm", "the header says alg RS256", form, nil, tpmAt(TPMHeader, replaced("PS256", "RS256"))},
		{"request-critical-header", "the header has crit", form, nil, tpmAt(TPMHeader, replaced(`{`, `{"crit":["exp"],`))},
		{"request-member-twice", "a member of the payload stands there twice", form, nil, tpmAt(TPMPayload, replaced(`{`, `{"att_type":"basic",`))},
		{"request-unknown-kind", "att_type is neither basic nor vbs", form, nil, tpmAt(TPMPayload, replaced(`"basic"`, `"advanced"`))},
		{"request-without-tpm", "there is no tpm_att_data", form, nil, tpmAt(TPMEvidence, replaced(`"tpm_att_data"`, `"other_data"`))},
		{"request-cut", "the JWS has two parts", form, nil, tpmAt(TPMRequest, func(b []byte) []byte { return b[:len(b)-343] })},
		{"request-key-vbs-ncrypt", "the binding of the key is one that nobody knows", form, nil, tpmAt(TPMRequestKey, replaced("tpm_quote", "vbs_ncrypt"))},
		{"request-three-other-keys", "there are three other keys", form, nil, func(s *TPMScenario) { s.OtherKeys = make([]TPMOtherKey, 3) }},
		{"request-signature", "the signature of the request is of other bytes", one(evidence.TPMRequestKey), nil, tpmAt(TPMRequest, flipBase64)},
		{"request-other-key", "the request is signed by another key than it names", one(evidence.TPMRequestKey), nil, tpmSignedBy(OtherKey, TPMRequest)},
	}
}

// otherKeyNamed has the request name another key of that kind as that of r.
func otherKeyNamed(r TPMRole, kind TPMKeyKind) func(*TPMScenario) {
	return func(s *TPMScenario) {
		s.Edit.Key = func(named TPMRole, key crypto.PublicKey) crypto.PublicKey {
			if named != r {
				return key
			}
			return s.Vendor.Key("another key", kind).Public()
		}
	}
}

func tpmKeyFaults() []TPMFault {
	binding := []evidence.Check{evidence.KeyBinding, evidence.TPMRequest}
	certified := []evidence.Check{evidence.CertifiedKey, evidence.AttestNonce}
	return []TPMFault{
		{"key-unbound", "nothing binds the request key to the TPM", binding, nil, func(s *TPMScenario) { s.Binding = Unbound }},
		{"certify-unbound", "request_key says nothing of the certification", binding, useCertify, tpmAt(TPMRequestKey, replaced("tpm_certify", "tpm_certified"))},
		{"jwk-space", "a space is put into the jwk after the quote", one(evidence.AttestNonce), nil, tpmAt(TPMRequestKey, replaced(`"jwk":{`, `"jwk":{ `))},
		{"key-bound-by-other-hash", "the hash of the binding is not the one that request_key names", one(evidence.AttestNonce), nil, tpmAt(TPMRequestKey, replaced("sha-256", "sha-384"))},
		{"key-bound-by-sha1", "the binding names SHA-1", []evidence.Check{evidence.TPMRequest, evidence.KeyBinding, evidence.SHA1}, nil, tpmAt(TPMRequestKey, replaced("sha-256", "sha-1"))},
		{"certify-other-key", "the key that is certified is not the one in jwk", one(evidence.CertifiedKey), useOtherKey, otherKeyNamed(OtherKey+" 0", P256)},
		{"certify-other-area", "the public area is not the one that is certified", one(evidence.CertifiedKey), useCertify,
			tpmAt(TPMRequestKey, replaced(`"public":"AAEACwAE`, `"public":"AAEACwAG`))},
		{"certify-signature", "the certification is not signed by the AIK", []evidence.Check{evidence.AttestSignature, evidence.CertifiedKey}, useCertify, tpmSignedBy(OtherKey, TPMCertification)},
		{"certify-nonce", "the certification is of another challenge", certified, useCertify, tpmNonce(TPMCertification, flipLast)},
		{"certify-is-quote", "a quote stands for the certification", []evidence.Check{evidence.AttestType, evidence.AttestFormat, evidence.CertifiedKey}, useCertify, quoteForCertification},
		{"certify-area-longer", "bytes follow the public area", one(evidence.AttestFormat), useCertify, tpmAt(TPMPublicArea, appended("\x00"))},
	}
}

// quoteForCertification has the AIK sign a quote of nothing where a certification should be.
func quoteForCertification(s *TPMScenario) {
	quote, err := s.quoteOf(&TPMAttestation{Quoted: s.Current.Quoted, Log: s.Current.Log}, []byte("0123456789abcdef"))
	if err != nil {
		return // the fault is then missed by its tests
	}
	tpmAt(TPMCertification, func([]byte) []byte { return quote })(s)
}

func aikFaults() []TPMFault {
	chain, key := one(evidence.AIKCertificate), one(evidence.AIKKey)
	ekUsage := asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	return []TPMFault{
		{"aik-expired", "the AIK certificate has expired", chain, nil, aikCertificate(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(1, 0, 0) })},
		{"aik-not-yet-valid", "the AIK certificate is not valid yet", chain, nil, aikCertificate(func(c *x509.Certificate) { c.NotBefore = c.NotAfter.AddDate(-1, 0, 0) })},
		{"aik-other-vendor", "an unknown vendor issued the AIK certificate", chain, nil, func(s *TPMScenario) { s.Certifier = tpmStranger() }},
		{"aik-forged-issuer", "another key signed the AIK certificate in the vendor's name", chain, nil, func(s *TPMScenario) {
			s.Edit.Signer = func(p TPMPart, key crypto.Signer) crypto.Signer {
				if p != AIK.Certificate() {
					return key
				}
				return tpmStranger().Key(AIKRoot, P256)
			}
		}},
		{"aik-usage-ek", "the AIK certificate is one of an EK", chain, nil, aikCertificate(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{ekUsage} })},
		{"aik-no-usage", "the AIK certificate does not say that it is of an AIK", chain, nil, aikCertificate(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil })},
		{"aik-key-usage", "the AIK certificate is not for signatures", chain, nil, aikCertificate(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
		{"aik-critical-extension", "the AIK certificate has an unknown critical extension", chain, nil, aikCertificate(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}})
		})},
		{"aik-missing", "there is no AIK certificate", chain, nil, tpmAt(AIK.Certificate(), missing)},
		{"aik-malformed", "the AIK certificate is no certificate", chain, nil, tpmAt(AIK.Certificate(), becomes("certificate"))},
		{"aik-other-public", "aik_pub is another key than that of the certificate", key, nil, otherKeyNamed(AIK, RSA2048)},
		{"aik-v1-other-public", "aik_pub is another key than that of the certificate, in version 1", key, useVersion1, otherKeyNamed(AIK, RSA2048)},
	}
}
