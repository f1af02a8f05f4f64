package azureguest

import "github.com/assay-attestation/assay/evidence/tpm"

// SentPCRs are the values of PCRs as they were sent, in the SHA-256 bank. They are believed only after the bundle was verified, whose quote
// covers all of them.
func (b *Bundle) SentPCRs() tpm.Bank { return b.vtpm.pcrs }
