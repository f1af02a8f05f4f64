package server

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/verifier"
)

// aikTrust is what all providers trust to certify keys of TPMs of one kind.
type aikTrust struct {
	roots         []tpm.Root
	intermediates []*x509.Certificate
}

// openTPMTrust reads the certificates that the configuration names for attestation and endorsement keys. There are no others, but in
// development mode those of the simulated maker of TPMs.
func (s *Server) openTPMTrust() (err error) {
	if s.aiks, err = readTrust("aik", s.cfg.AIKRoots, s.cfg.AIKIntermediates); err != nil {
		return err
	}
	eks, err := readTrust("ek", s.cfg.EKRoots, s.cfg.EKIntermediates)
	if err != nil {
		return err
	}
	if simulated := s.opt.Simulated; simulated != nil {
		if err := errors.Join(s.aiks.simulate(simulated.AIKRoots), eks.simulate(simulated.EKRoot)); err != nil {
			return err
		}
	}
	s.eks = eks.with(verifier.TPMDemands{})
	return nil
}

// simulate adds the authorities of a simulated maker, PEM, if there are some: those that sign themselves are its roots.
func (t *aikTrust) simulate(authorities []byte) error {
	if authorities == nil {
		return nil
	}
	certs, err := provider.AIKCertificates(authorities)
	if err != nil {
		return fmt.Errorf("simulated authorities of TPMs: %w", err)
	}
	for _, c := range certs {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			t.roots = append(t.roots, tpm.Root{Certificate: c})
		} else {
			t.intermediates = append(t.intermediates, c)
		}
	}
	return nil
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
