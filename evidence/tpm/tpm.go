// Package tpm verifies what a TPM 2.0 signs: quotes of PCRs and certifications of keys, the certificates of attestation
// keys (AIK) and endorsement keys (EK), and the claims of Windows' NCrypt. The layouts are those of the TCG's TPM 2.0
// Library, Part 2 (tpm-evidence.md sections 1 to 3). What the quoted PCRs mean is the matter of the packages below it.
package tpm

import (
	"crypto"
	_ "crypto/sha1"   //nolint:gosec // banks of old machines, where the provider allows them
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384 and SHA-512
	"fmt"
)

// PCRCount is how many PCRs a bank has on a PC.
const PCRCount = 24

// Alg is the TPM_ALG_ID of a hash: the name of a PCR bank.
type Alg uint16

// The hashes that are known (tpm-evidence.md section 1).
const (
	SHA1   Alg = 0x0004
	SHA256 Alg = 0x000B
	SHA384 Alg = 0x000C
	SHA512 Alg = 0x000D
)

// Hash gives the hash function, 0 for one that is not known.
func (a Alg) Hash() crypto.Hash {
	switch a {
	case SHA1:
		return crypto.SHA1
	case SHA256:
		return crypto.SHA256
	case SHA384:
		return crypto.SHA384
	case SHA512:
		return crypto.SHA512
	}
	return 0
}

// Size is the length of a digest in bytes, 0 for a hash that is not known.
func (a Alg) Size() int {
	if h := a.Hash(); h != 0 {
		return h.Size()
	}
	return 0
}

// String names the bank as the claim pcrs does (tpm.md section 9.3): SHA1, SHA256, SHA384, SHA512; another one by its number.
func (a Alg) String() string {
	switch a {
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA384:
		return "SHA384"
	case SHA512:
		return "SHA512"
	}
	return "hash " + hex16(uint16(a))
}

// Sum hashes the parts one after the other. The hash must be a known one.
func (a Alg) Sum(parts ...[]byte) []byte {
	h := a.Hash().New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func hex16(v uint16) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{'0', 'x', digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15]})
}

func hex32(v uint32) string { return fmt.Sprintf("0x%08X", v) }

func byteCount(n int) string { return fmt.Sprintf("%d bytes", n) }

func upTo(n int) string { return "at most " + byteCount(n) }

// Bank is one bank of PCR values, by index; nil: the PCR is not there.
type Bank struct {
	Alg    Alg
	Values [PCRCount][]byte
}
