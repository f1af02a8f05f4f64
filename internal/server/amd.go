package server

import (
	"fmt"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/verifier"
)

// amdRoots are what all providers trust to certify keys of SEV-SNP: AMD's roots, those that the configuration names, and in development
// mode those of the simulated AMD.
func amdRoots(cfg config.Config, simulated *Simulated) (snp.Roots, error) {
	var certificates [][]byte
	for _, file := range cfg.AMDRoots {
		b, err := config.ReadFile(file, maxAIKFile)
		if err != nil {
			return snp.Roots{}, fmt.Errorf("amd_roots: %w", err)
		}
		certificates = append(certificates, b)
	}
	if simulated != nil {
		certificates = append(certificates, simulated.AMDRoots...)
	}
	roots := snp.AMDRoots()
	if len(certificates) == 0 {
		return roots, nil
	}
	more, err := snp.NewRoots(certificates...)
	if err != nil {
		return snp.Roots{}, fmt.Errorf("amd_roots: %w", err)
	}
	return roots.And(more), nil
}

// guests is what a provider's verifier holds SEV-SNP evidence against.
func (s *Server) guests(d verifier.SNPDemands) (verifier.SNP, error) {
	out := verifier.SNP{Roots: s.amd}
	for _, der := range d.Revocations {
		crl, err := s.amd.CRL(der)
		if err != nil {
			return out, fmt.Errorf("snp_crls: %w", err)
		}
		out.Revocations = append(out.Revocations, crl)
	}
	return out, nil
}
