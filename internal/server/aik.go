package server

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/verifier"
)

// aikTrust is what all providers trust to certify attestation keys of TPMs.
type aikTrust struct {
	roots         []tpm.Root
	intermediates []*x509.Certificate
}

// newAIKTrust reads the certificates that the configuration names. There are no others, but in development mode that of the simulated
// maker of TPMs.
func newAIKTrust(cfg config.Config, simulated *Simulated) (*aikTrust, error) {
	t, err := readTrust("aik", cfg.AIKRoots, cfg.AIKIntermediates)
	if err != nil || simulated == nil || simulated.AIKRoot == nil {
		return t, err
	}
	certs, err := provider.AIKCertificates(simulated.AIKRoot)
	if err != nil {
		return nil, fmt.Errorf("simulated AIK root: %w", err)
	}
	t.roots = append(t.roots, tpm.Root{Certificate: certs[0]})
	return t, nil
}

// readTrust reads roots, one in each file, and the certificates below them, for keys of a kind: aik or ek.
func readTrust(kind string, roots []config.AIKRoot, intermediates []string) (*aikTrust, error) {
	t := &aikTrust{}
	for _, r := range roots {
		certs, err := readAIKCertificates(r.File)
		if err == nil && len(certs) != 1 {
			err = fmt.Errorf("%s: expected one certificate, found %d", r.File, len(certs))
		}
		if err != nil {
			return nil, fmt.Errorf("%s_roots: %w", kind, err)
		}
		t.roots = append(t.roots, tpm.Root{Certificate: certs[0], AllowMissingEKU: r.AllowMissingEKU})
	}
	for _, file := range intermediates {
		certs, err := readAIKCertificates(file)
		if err != nil {
			return nil, fmt.Errorf("%s_intermediates: %w", kind, err)
		}
		t.intermediates = append(t.intermediates, certs...)
	}
	return t, nil
}

// maxAIKFile bounds a file of certificates in bytes.
const maxAIKFile = 1 << 20

func readAIKCertificates(file string) ([]*x509.Certificate, error) {
	b, err := config.ReadFile(file, maxAIKFile)
	if err != nil {
		return nil, err
	}
	certs, err := provider.AIKCertificates(b)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return certs, err
}

// with adds what one provider trusts.
func (t *aikTrust) with(d verifier.TPMDemands) *tpm.Roots {
	return tpm.NewRoots(slices.Concat(t.roots, d.Roots), slices.Concat(t.intermediates, d.Intermediates))
}

// aikRoots are the roots of a provider for attestation keys. What was revoked counts also while enrolment is off; the CA of the
// provider and its pins do not then.
func (s *Server) aikRoots(i *provider.Instance, d verifier.TPMDemands) (*tpm.Roots, error) {
	known := tpm.Enrolled{Revoked: i.RevokedAIKs}
	if i.Settings.Enrols() {
		ca, err := s.enroller.Authority(i.ID)
		if err != nil {
			return nil, err
		}
		known.Issuer, known.Pinned = ca.Certificate, i.PinnedAIKs
	}
	return s.aiks.with(d).With(known), nil
}
