package server_test

import (
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
)

// BenchmarkGuestOverHTTPS is BenchmarkAttestOverHTTPS for confidential VMs. Cold is a chain that is not remembered: it is followed to
// its root in each request. The collateral of TDs is verified before in both cases, as it is in a service; package tdx measures
// verification without it.
func BenchmarkGuestOverHTTPS(b *testing.B) {
	guest := assaytest.WellKnownAMD().Scenario(assaytest.Milan, time.Now())
	root, err := guest.Vendor.RootPEM(guest.Product)
	if err != nil {
		b.Fatal(err)
	}
	s := start(b, config.Config{AMDRoots: []string{tempFile(b, string(root))}})
	domain := s.intel.TDXScenario(s.now().UTC().Truncate(24 * time.Hour))
	for _, tt := range []struct {
		name, path string
		evidence   body
		needed     verifications
	}{
		{"snp/warm", snpPath, guestBody(b, guest, 0, 1, 2), verifications{p384: 1}},
		{"snp/cold", snpPath, guestBody(b, guest, 0, 2, 1), verifications{p384: 1, rsa4096: 2}},
		{"tdx/warm", tdxPath, s.evidence(b, domain), verifications{p256: 2}},
		{"tdx/cold", tdxPath, s.evidence(b, spaced(domain)), verifications{p256: 3}},
	} {
		b.Run(tt.name, func(b *testing.B) { connect(b, s, tt.path, tt.evidence).measure(b, tt.needed.bare(b)) })
	}
}

// guestBody is the request of a guest, with its VCEK, ASK and ARK in an order. No service remembers a chain in another one than this.
func guestBody(b *testing.B, sc *assaytest.AMDScenario, order ...int) body {
	b.Helper()
	report, err := sc.Report()
	if err != nil {
		b.Fatal(err)
	}
	rest, err := sc.ChainPEM()
	if err != nil {
		b.Fatal(err)
	}
	var certificates [][]byte
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		certificates = append(certificates, pem.EncodeToMemory(block))
	}
	var chain []byte
	for _, i := range order {
		chain = append(chain, certificates[i]...)
	}
	return body{"report": wrapped(report, chain, nil)}
}

// spaced is the TD with a blank line behind its PCK chain: no verifier remembers that chain.
func spaced(sc *assaytest.Scenario) *assaytest.Scenario {
	changed := *sc
	changed.Edit.Bytes = func(p assaytest.Part, part []byte) []byte {
		if p == assaytest.PCKChainPEM {
			return append(slices.Clone(part[:len(part)-1]), '\n')
		}
		return part
	}
	return &changed
}
