package tpm

import (
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// The header of an NCrypt platform claim of a TPM 2.0 (tpm.md section 6).
const (
	claimMagic   = 0x54504C41
	claimVersion = 0
)

// PlatformClaim is what NCryptCreateClaim(NCRYPT_CLAIM_PLATFORM) makes (tpm.md section 6), parsed. Nothing of it is believed.
type PlatformClaim struct {
	Attest *Attest
	PCRs   Bank // all 24
}

// ParsePlatformClaim reads a claim, little-endian around the TPM's structures, to its last byte. The result keeps the slice.
// The error is an [evidence.Refusal] of AttestFormat.
func ParsePlatformClaim(b []byte) (*PlatformClaim, error) {
	c := binread.New(b)
	parts, err := readClaim(c)
	if err != nil {
		return nil, evidence.Refuse(evidence.AttestFormat, "the claim is not an NCrypt platform claim of a TPM 2.0").Because(err).
			Do("send what NCryptCreateClaim made with NCRYPT_CLAIM_PLATFORM")
	}
	a, err := ParseAttest(parts.quote, parts.signature)
	if err != nil {
		return nil, err
	}
	return &PlatformClaim{a, parts.pcrs}, nil
}

type claimParts struct {
	signature, quote []byte
	pcrs             Bank
}

func readClaim(c *binread.Cursor) (claimParts, error) {
	if magic, version := c.LE32("Magic"), c.LE32("Version"); magic != claimMagic || version != claimVersion {
		c.Fail("Magic %s and Version %d, not %s and %d", hex32(magic), version, hex32(claimMagic), claimVersion)
	}
	alg := c.LE32("pcrAlg")
	signature, quote, pcrs := c.LE32("cbSignature"), c.LE32("cbQuote"), c.LE32("cbPcrs")
	if signature > maxSignature || quote > maxAttest {
		c.Fail("cbSignature %d and cbQuote %d, at most %d and %d", signature, quote, maxSignature, maxAttest)
	}
	p := claimParts{pcrs: Bank{Alg: Alg(alg)}}
	size := p.pcrs.Alg.Size()
	if uint32(p.pcrs.Alg) != alg || size == 0 || pcrs != uint32(PCRCount*size) {
		c.Fail("cbPcrs %d for the hash %s: not 24 digests of a known one", pcrs, hex32(alg))
	}
	p.signature = c.Bytes("signature", int(signature))
	p.quote = c.Bytes("quote", int(quote))
	for i := range p.pcrs.Values {
		p.pcrs.Values[i] = c.Bytes(fmt.Sprint("PCR ", i), size)
	}
	return p, c.Done("platform claim")
}
