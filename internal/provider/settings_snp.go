package provider

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence/uvm"
	"github.com/assay-attestation/assay/internal/verifier"
)

// SNPSettings are the switches about SEV-SNP.
type SNPSettings struct {
	// AllowMaskedChipID accepts reports whose chip id is zero, under a VCEK.
	AllowMaskedChipID bool `yaml:"snp_allow_masked_chip_id"`
	// FetchChains asks AMD's key service for certificates that a request lacks.
	FetchChains bool `yaml:"snp_kds"`
	// CRLs are AMD's revocation lists to apply, each in PEM. An ASK or ASVK on them is refused, and so is evidence of its product once
	// the list is past its date.
	CRLs []string `yaml:"snp_crls"`
	// UVMIssuers say whose endorsements of utility VMs count.
	UVMIssuers []UVMIssuer `yaml:"snp_uvm_issuers"`
}

// UVMIssuer says whose endorsements count, and what they earn.
type UVMIssuer struct {
	// DID is the issuer: did:x509:0:sha256:…::eku:….
	DID string `yaml:"did"`
	// Feed is the endorsed product.
	Feed string `yaml:"feed"`
	// MinSVN is the least security version that counts.
	MinSVN uint64 `yaml:"min_svn"`
	// ComplianceStatus is the value of x-ms-compliance-status in the token, such as azure-compliant-uvm; empty: the claim is left out.
	ComplianceStatus string `yaml:"compliance_status"`
}

// Bounds of the settings.
const (
	maxCRLs       = 16
	maxUVMIssuers = 16
	maxStatus     = 64 // bytes
)

// demands turns the settings into the verifier's terms.
func (s *SNPSettings) demands() (d verifier.SNPDemands, err error) {
	d = verifier.SNPDemands{AllowMaskedChipID: s.AllowMaskedChipID, FetchChains: s.FetchChains}
	if len(s.CRLs) > maxCRLs || len(s.UVMIssuers) > maxUVMIssuers {
		return d, fmt.Errorf("expected at most %d snp_crls and %d snp_uvm_issuers, found %d and %d", maxCRLs, maxUVMIssuers, len(s.CRLs), len(s.UVMIssuers))
	}
	for _, text := range s.CRLs {
		der, err := readCRL([]byte(text))
		if err != nil {
			return d, fmt.Errorf("snp_crls: %w", err)
		}
		d.Revocations = append(d.Revocations, der)
	}
	for _, i := range s.UVMIssuers {
		if err := i.check(); err != nil {
			return d, fmt.Errorf("snp_uvm_issuers: %w", err)
		}
		d.UVM = append(d.UVM, verifier.UVMIssuer{Issuer: uvm.Issuer{DID: i.DID, Feed: i.Feed, MinSVN: i.MinSVN}, ComplianceStatus: i.ComplianceStatus})
	}
	return d, nil
}

// readCRL gives the DER of one list in PEM.
func readCRL(text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "X509 CRL" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("expected one X509 CRL in PEM in each")
	}
	_, err := x509.ParseRevocationList(block.Bytes)
	return block.Bytes, err
}

func (i *UVMIssuer) check() error {
	switch {
	case i.Feed == "":
		return errors.New("feed: expected the name of a product, found none")
	case !utf8.ValidString(i.ComplianceStatus):
		return fmt.Errorf("compliance_status: expected UTF-8, found %q", i.ComplianceStatus)
	case len(i.ComplianceStatus) > maxStatus:
		return fmt.Errorf("compliance_status: expected at most %d bytes, found %d", maxStatus, len(i.ComplianceStatus))
	}
	return uvm.CheckDID(i.DID)
}
