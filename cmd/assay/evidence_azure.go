package main

import (
	"crypto/x509"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// vtpmOnly are the flags that mean something to Azure guests only.
const vtpmOnly = "aik-root aik-intermediates secureboot-keys"

// vtpmFlags are the flags about the vTPM of an Azure guest, as they were given.
type vtpmFlags struct {
	roots         []tpm.Root
	intermediates []*x509.Certificate
	keys          []azureguest.SecureBootKeys
}

func (f *vtpmFlags) declare(c *call) {
	c.Func("aik-root", "azureguest: trust the certificate in `FILE` (PEM) to certify attestation keys; may be repeated", func(file string) error {
		certs, err := c.aikCertificates(file)
		if err == nil && len(certs) != 1 {
			err = badFile(fmt.Errorf("%s: expected one certificate, found %d", file, len(certs)))
		}
		if err == nil {
			f.roots = append(f.roots, tpm.Root{Certificate: certs[0]})
		}
		return err
	})
	c.Func("aik-intermediates", "azureguest: certificates in `FILE` (PEM) between those and the attestation key's", func(file string) (err error) {
		f.intermediates, err = c.aikCertificates(file)
		return err
	})
	c.Func("secureboot-keys", "azureguest: the sets of secure-boot keys to expect, in `FILE`, as tpm secureboot-keys prints them", func(file string) error {
		b, err := c.read(file)
		if err == nil {
			f.keys, err = provider.ParseSecureBootKeys(b)
		}
		return err
	})
}

// aikCertificates reads a file of certificates above attestation keys.
func (c *call) aikCertificates(file string) ([]*x509.Certificate, error) {
	b, err := c.read(file)
	if err != nil {
		return nil, err
	}
	certs, err := provider.AIKCertificates(b)
	if err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", file, err))
	}
	return certs, nil
}

// readAzureGuest reads the body of a request to /attest/AzureGuest, or what its member AttestationInfo holds.
func readAzureGuest(b []byte) (*azureguest.Bundle, error) {
	var body struct {
		Info string `json:"attestationinfo"`
	}
	if err := strictjson.Folded(b, &body); err == nil && body.Info != "" {
		if b, err = b64.Decode(body.Info); err != nil {
			return nil, evidence.Refuse(evidence.GuestRequest, "the member AttestationInfo of the request cannot be decoded").Because(err).Do("send it in base64url")
		}
	}
	return azureguest.Parse(b, azureguest.Limits{Log: eventlog.DefaultLimits(), Depth: sipa.DefaultDepth})
}

// hardwareOf is the type of the hardware report of an Azure guest, empty if there is none.
func hardwareOf(b []byte) evidence.Type {
	bundle, err := readAzureGuest(b)
	switch {
	case err != nil:
		return ""
	case bundle.Isolation == azureguest.SevSnp:
		return evidence.SevSnpVM
	case bundle.Isolation == azureguest.Tdx:
		return evidence.TdxVM
	}
	return ""
}

// verifyAzureGuest verifies the evidence of an Azure guest.
func (in *appraisal) verifyAzureGuest(r *evidenceReport) (*verifier.Subject, error) {
	bundle, err := readAzureGuest(in.evidence)
	if err != nil {
		return nil, err
	}
	r.Isolation = bundle.Isolation
	machine, err := bundle.Verify(azureguest.Input{At: in.options.At, Roots: tpm.NewRoots(in.vtpm.roots, in.vtpm.intermediates), Journal: &r.journal})
	if err != nil {
		return nil, err
	}
	g, err := in.vouched(bundle, machine, r)
	if err != nil {
		return nil, err
	}
	s, err := verifier.OfAzureGuest(g, in.vtpm.keys)
	if err != nil {
		return nil, err
	}
	r.Claims = s.Claims()
	if g.TDX != nil {
		err = in.acceptable(g.TDX.Verified, &r.journal)
	}
	return s, err
}

// vouched verifies the hardware report, and holds it against the machine.
func (in *appraisal) vouched(b *azureguest.Bundle, m *azureguest.Machine, r *evidenceReport) (g verifier.VouchedGuest, err error) {
	switch b.Isolation {
	case azureguest.SevSnp:
		if g.SNP, err = in.proofOfSNP(b.Proof, r); err == nil {
			g.Guest, err = m.OnSNP(g.SNP)
		}
	case azureguest.Tdx:
		if g.TDX, err = in.proofOfTDX(b.Proof, r); err == nil {
			g.Guest, err = m.OnTDX(g.TDX)
		}
	default:
		g.Guest, err = m.OnTrustedLaunch()
	}
	return g, err
}

func (in *appraisal) proofOfSNP(proof []byte, r *evidenceReport) (*snp.Verified, error) {
	e, err := snp.Parse(proof)
	if err == nil && in.guest.chain != nil {
		e.Chain, err = readChain(in.guest.chain)
	}
	if err != nil {
		return nil, err
	}
	return in.guestFacts(e, r)
}

func (in *appraisal) proofOfTDX(proof []byte, r *evidenceReport) (*tdx.Verified, error) {
	e, err := tdx.Parse(proof)
	if err != nil {
		return nil, err
	}
	return in.domainFacts(e, r)
}

// azureSaid is what the evidence of an Azure guest says, with what its hardware report says.
func azureSaid(b []byte) ([]said, error) {
	bundle, err := readAzureGuest(b)
	if err != nil {
		return nil, err
	}
	list := []said{{"protocolVersion", "protocol version", bundle.Version}, {"isolation", "isolation", string(bundle.Isolation)}}
	if bundle.Payload != nil {
		list = append(list, said{"clientPayload", "client payload", bundle.Payload})
	}
	if bundle.RuntimeData != nil {
		list = append(list, said{"runtimeData", "runtime data", b64.URL(bundle.RuntimeData)})
	}
	switch bundle.Isolation {
	case azureguest.SevSnp:
		e, err := snp.Parse(bundle.Proof)
		if err != nil {
			return nil, err
		}
		list = append(list, guestSaid(&guestEvidence{Evidence: e})...)
	case azureguest.Tdx:
		e, err := tdx.Parse(bundle.Proof)
		if err != nil {
			return nil, err
		}
		list = append(list, domainSaid(e)...)
	}
	return list, nil
}
