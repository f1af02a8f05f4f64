package dcap

import (
	"crypto/sha256"
	"crypto/x509"
)

// MaxDocument is the bound of each document, for tests at its edge.
const MaxDocument = maxDocument

// MaxPCKChain is the bound of the certificate chain in a quote.
const MaxPCKChain = maxPCKChain

// Remembered is how many chains and authorities the verifier has in memory.
func (v *Verifier) Remembered() (chains, cas int) { return v.chains.Len(), v.cas.Len() }

// Leaf is the PCK certificate.
func (o *Origin) Leaf() *x509.Certificate { return o.chain.leaf }

// QEReport is the report of the quoting enclave.
func (q *Quote) QEReport() (EnclaveReport, error) { return ParseEnclaveReport(q.qeReport) }

// QEAuthSize is the size of the authentication data.
func (q *Quote) QEAuthSize() int { return len(q.qeAuth) }

// Header is the header of the quote.
func (q *Quote) Header() []byte { return q.signed[:headerSize] }

// PEMHash is the hash of the list in the collateral claims.
func (c *CRL) PEMHash() [sha256.Size]byte { return c.pemHash }
