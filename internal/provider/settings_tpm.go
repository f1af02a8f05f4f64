package provider

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/verifier"
)

// TPMSettings are the switches about TPMs.
type TPMSettings struct {
	// AllowSHA1 accepts PCR banks and logs of SHA-1, never signatures.
	AllowSHA1 bool `yaml:"tpm_allow_sha1"`
	// AllowV1Basic is on by default: accept basic requests of version 1, whose key nothing binds to the TPM.
	AllowV1Basic *bool `yaml:"tpm_allow_v1_basic"`
	// RequireAuthority is on by default: secure boot counts only with a record of what was verified before the OS started.
	RequireAuthority *bool `yaml:"tpm_secureboot_require_authority"`
	// ClaimPrefix stands before the names of the claims of clients.
	ClaimPrefix string `yaml:"tpm_custom_claim_prefix"`
	// PCRDigestText is b64url or hex, the form of digests in the claim pcrs; empty: b64url.
	PCRDigestText string `yaml:"tpm_pcr_digest_text"`
	// EventDigests puts digests into the claim events.
	EventDigests bool `yaml:"tpm_event_digests"`
	// DRTMSigningKey is the public key, in PEM, that signs the state of dynamic launches.
	DRTMSigningKey string `yaml:"tpm_drtm_signing_key"`
	// EmitAttestationType puts x-ms-attestation-type into reports.
	EmitAttestationType bool `yaml:"tpm_emit_attestation_type"`
	// AIKRoots are trusted to certify attestation keys, beside those of the whole service.
	AIKRoots []AIKRoot `yaml:"tpm_aik_roots"`
	// AIKIntermediates are certificates in PEM between AIKRoots and those of attestation keys: clients do not send any.
	AIKIntermediates string `yaml:"tpm_aik_intermediates"`
	// AIKEnrolment says whose attestation keys are enrolled, and whether those that were count: EnrolmentOff, EnrolPinned, EnrolVendor;
	// empty: EnrolmentOff.
	AIKEnrolment string `yaml:"aik_enrolment"`
}

// The values of the switch aik_enrolment.
const (
	EnrolmentOff = "off"
	EnrolPinned  = "pinned" // TPMs whose endorsement keys are pinned
	EnrolVendor  = "vendor" // those, and TPMs with a certificate of a configured vendor
)

// Enrols reports whether attestation keys are enrolled.
func (s *TPMSettings) Enrols() bool {
	return s.AIKEnrolment == EnrolPinned || s.AIKEnrolment == EnrolVendor
}

// AIKRoot is a certificate that is trusted to certify attestation keys.
type AIKRoot struct {
	// Certificate is one certificate in PEM.
	Certificate string `yaml:"certificate"`
	// AllowMissingEKU accepts certificates below it that do not say that they are of an attestation key.
	AllowMissingEKU bool `yaml:"allow_missing_eku"`
}

// Bounds of what settings hold.
const (
	maxClaimPrefix = 256 // bytes
	// MaxAIKCertificates is how many roots, and how many intermediates, there may be.
	MaxAIKCertificates = 64
)

// demands turns the settings into the verifier's terms.
func (s *TPMSettings) demands() (d verifier.TPMDemands, err error) {
	d = verifier.TPMDemands{
		AllowSHA1: s.AllowSHA1, RefuseV1Basic: s.AllowV1Basic != nil && !*s.AllowV1Basic, WithoutAuthority: s.RequireAuthority != nil && !*s.RequireAuthority,
		ClaimPrefix: s.ClaimPrefix, PCRsInHex: s.PCRDigestText == "hex", EventDigests: s.EventDigests, EmitAttestationType: s.EmitAttestationType,
	}
	if len(s.ClaimPrefix) > maxClaimPrefix {
		return d, fmt.Errorf("tpm_custom_claim_prefix: expected at most %d bytes, found %d", maxClaimPrefix, len(s.ClaimPrefix))
	}
	if s.PCRDigestText != "" && s.PCRDigestText != "b64url" && s.PCRDigestText != "hex" {
		return d, fmt.Errorf("tpm_pcr_digest_text: expected b64url or hex, found %.40q", s.PCRDigestText)
	}
	if s.AIKEnrolment != "" && s.AIKEnrolment != EnrolmentOff && !s.Enrols() {
		return d, fmt.Errorf("aik_enrolment: expected off, pinned or vendor, found %.40q", s.AIKEnrolment)
	}
	if d.DRTMKey, err = publicKey(s.DRTMSigningKey); err != nil {
		return d, fmt.Errorf("tpm_drtm_signing_key: %w", err)
	}
	if d.Roots, err = s.roots(); err != nil {
		return d, fmt.Errorf("tpm_aik_roots: %w", err)
	}
	if s.AIKIntermediates == "" {
		return d, nil
	}
	if d.Intermediates, err = AIKCertificates([]byte(s.AIKIntermediates)); err != nil {
		return d, fmt.Errorf("tpm_aik_intermediates: %w", err)
	}
	return d, nil
}

func (s *TPMSettings) roots() (roots []tpm.Root, err error) {
	if len(s.AIKRoots) > MaxAIKCertificates {
		return nil, fmt.Errorf("expected at most %d, found %d", MaxAIKCertificates, len(s.AIKRoots))
	}
	for _, r := range s.AIKRoots {
		certs, err := AIKCertificates([]byte(r.Certificate))
		if err != nil {
			return nil, err
		}
		if len(certs) != 1 {
			return nil, fmt.Errorf("expected one certificate in each certificate, found %d", len(certs))
		}
		roots = append(roots, tpm.Root{Certificate: certs[0], AllowMissingEKU: r.AllowMissingEKU})
	}
	return roots, nil
}

// AIKCertificates reads certificates in PEM, at least one. A damaged one among them is an error: it would be passed over.
func AIKCertificates(text []byte) (certs []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("expected CERTIFICATE in PEM, found %.40q", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if certs = append(certs, cert); len(certs) > MaxAIKCertificates {
			return nil, fmt.Errorf("expected at most %d certificates", MaxAIKCertificates)
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("expected a certificate in PEM, found none")
	}
	if begun := bytes.Count(text, []byte("-----BEGIN ")); begun != len(certs) {
		return nil, fmt.Errorf("expected %d certificates, as many as begin in the PEM, found %d: the others are damaged", begun, len(certs))
	}
	return certs, nil
}

// publicKey reads a public key in PEM, nil for no text.
func publicKey(text string) (crypto.PublicKey, error) {
	if text == "" {
		return nil, nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("expected PUBLIC KEY in PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key, tpm.CheckKey(key)
}
