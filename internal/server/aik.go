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
	t := &aikTrust{}
	for _, r := range cfg.AIKRoots {
		certs, err := readAIKCertificates(r.File)
		if err == nil && len(certs) != 1 {
			err = fmt.Errorf("%s: expected one certificate, found %d", r.File, len(certs))
		}
		if err != nil {
			return nil, fmt.Errorf("aik_roots: %w", err)
		}
		t.roots = append(t.roots, tpm.Root{Certificate: certs[0], AllowMissingEKU: r.AllowMissingEKU})
	}
	for _, file := range cfg.AIKIntermediates {
		certs, err := readAIKCertificates(file)
		if err != nil {
			return nil, fmt.Errorf("aik_intermediates: %w", err)
		}
		t.intermediates = append(t.intermediates, certs...)
	}
	if simulated == nil || simulated.AIKRoot == nil {
		return t, nil
	}
	certs, err := provider.AIKCertificates(simulated.AIKRoot)
	if err != nil {
		return nil, fmt.Errorf("simulated AIK root: %w", err)
	}
	t.roots = append(t.roots, tpm.Root{Certificate: certs[0]})
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
