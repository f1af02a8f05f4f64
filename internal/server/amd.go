package server

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/kds"
	"github.com/assay-attestation/assay/internal/provider"
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

// openKeyService makes the client of AMD's key service. It asks nobody before a provider wants that.
func (s *Server) openKeyService() (err error) {
	url := cmp.Or(s.cfg.AMDKeyService, kds.AMD)
	if s.cfg.AMDKeyService == "" && len(s.cfg.AMDCertificates) > 0 {
		url = ""
	}
	cfg := kds.Config{
		URL: url, Roots: s.amd, Stored: s.cfg.AMDCertificates, Dir: filepath.Join(s.cfg.Data, certificatesFolder), Clock: s.judgedAt,
		Logger: s.opt.Logger, Observe: s.metrics.keyService,
	}
	if s.opt.Simulated != nil {
		cfg.Client = s.opt.Simulated.KeyService
	}
	s.kds, err = kds.New(cfg)
	return err
}

// certificatesFolder is the folder of the certificates of AMD's key service in the data folder.
const certificatesFolder = "kds"

// guests is what a provider's verifier holds SEV-SNP evidence against. A list that was good when it was set, and is not any more since
// the trusted roots are others, is no reason to leave the provider's other evidence without a verifier.
func (s *Server) guests(d verifier.SNPDemands) verifier.SNP {
	out := verifier.SNP{
		Signers: s.signers, Chains: s.kds.Chain, MinVersion: s.cfg.SNPReportVersions.Least, MaxVersion: s.cfg.SNPReportVersions.Most,
	}
	out.Revocations, out.Unusable = s.revocations(d)
	return out
}

// revocations verifies the lists of the demands.
func (s *Server) revocations(d verifier.SNPDemands) (lists []*snp.CRL, err error) {
	for _, der := range d.Revocations {
		crl, err := s.amd.CRL(der)
		if err != nil {
			return nil, err
		}
		lists = append(lists, crl)
	}
	return lists, nil
}

// checkSettings reports what settings ask for that the trusted roots do not bear out.
func (s *Server) checkSettings(settings provider.Settings) error {
	b, err := settings.Baseline()
	if err != nil {
		return err
	}
	if _, err := s.revocations(b.SNP); err != nil {
		return errors.New("snp_crls: " + err.Error()) // whoever sets the list is refused, not evidence by reason of it
	}
	return nil
}
