package verifier

import (
	"crypto/sha256"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/assay-attestation/assay/evidence/snp"
)

// rememberedSigners is how many keys of SEV-SNP are remembered: one per chip and TCB, or per cloud provider.
const rememberedSigners = 4096

// Signers follows certificate chains of SEV-SNP to trusted roots. It remembers the keys whose chains it has checked: signatures and
// names, never a date or a revocation, which are judged anew for each report. It is safe for concurrent use.
type Signers struct {
	roots snp.Roots
	known *lru.Cache[[sha256.Size]byte, *snp.Signer]
}

// NewSigners makes one that trusts roots.
func NewSigners(roots snp.Roots) *Signers {
	known, err := lru.New[[sha256.Size]byte, *snp.Signer](rememberedSigners)
	if err != nil {
		panic("verifier: " + err.Error()) // of a size below one only
	}
	return &Signers{roots, known}
}

// Trace gives the key that the chain is of, from memory if the same certificates were checked before; see [snp.Roots.Trace]. Chains that
// are not in their usual form are not remembered: anybody can add certificates to a good one, in as many ways as it takes to push
// out what is in the memory.
func (s *Signers) Trace(c *snp.Chain, opt snp.Options) (*snp.Signer, error) {
	key := chainKey(c)
	if signer, ok := s.known.Get(key); ok {
		return signer, nil
	}
	signer, err := s.roots.Trace(c, opt)
	if err == nil && signer.Usual(c) {
		s.known.Add(key, signer)
	}
	return signer, err
}

// chainKey is the hash of the certificates, as they are encoded and in their order.
func chainKey(c *snp.Chain) (key [sha256.Size]byte) {
	h := sha256.New()
	h.Write(c.Leaf.Raw)
	for _, cert := range c.Others {
		h.Write(cert.Raw)
	}
	h.Sum(key[:0])
	return key
}
