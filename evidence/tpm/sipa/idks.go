package sipa

import (
	"crypto/rsa"
	"math"
	"math/big"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// The bounds of an IDKS key: what is read of its modulus and of its exponent.
const (
	minKeyBits   = 2048
	maxKeyBits   = 8192
	maxExpLength = 8
	minExponent  = 3
	maxExponent  = math.MaxInt32 // package crypto/rsa takes no larger ones
)

// IDKS is the public key that signs the reports of VBS enclaves, as the secure kernel measured it (VSM_IDKS_INFO).
type IDKS struct {
	Modulus  []byte // big-endian
	Exponent uint32
}

// PublicKey is the key for package crypto/rsa.
func (k IDKS) PublicKey() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: int(k.Exponent)}
}

// ParseIDKS reads the value of VSM_IDKS_INFO to its last byte (tpm.md section 10.4): an RSA key of 2048 to 8192 bits with an odd
// exponent of at least 3. Any number of an algorithm is accepted, since the numbers are not public. The Modulus aliases payload.
// The error is an [evidence.Refusal] of WindowsEvents.
func ParseIDKS(payload []byte) (IDKS, error) {
	c := binread.New(payload)
	c.LE32("algorithm")
	bits, expLen, modLen := c.LE32("bit length"), c.LE32("exponent length"), c.LE32("modulus length")
	if c.Err() == nil {
		checkLengths(c, bits, expLen, modLen)
	}
	exponent := c.Bytes("exponent", int(expLen))
	modulus := c.Bytes("modulus", int(modLen))
	if c.Err() == nil {
		checkNumbers(c, exponent, modulus)
	}
	if err := c.Done("VSM_IDKS_INFO"); err != nil {
		return IDKS{}, evidence.Refuse(evidence.WindowsEvents, "the key for enclave reports (VSM_IDKS_INFO) is malformed").
			Because(err).Do(remedy)
	}
	return IDKS{Modulus: modulus, Exponent: uint32(number(exponent))}, nil
}

func checkLengths(c *binread.Cursor, bits, expLen, modLen uint32) {
	switch {
	case bits < minKeyBits || bits > maxKeyBits || bits%8 != 0:
		c.Fail("bit length: expected %d to %d, full bytes, found %d", minKeyBits, maxKeyBits, bits)
	case modLen != bits/8:
		c.Fail("modulus length: expected %d, found %d", bits/8, modLen)
	case expLen == 0 || expLen > maxExpLength:
		c.Fail("exponent length: expected 1 to %d, found %d", maxExpLength, expLen)
	}
}

func checkNumbers(c *binread.Cursor, exponent, modulus []byte) {
	e := number(exponent)
	switch {
	case e < minExponent || e > maxExponent || e%2 == 0:
		c.Fail("exponent: expected an odd number from %d to %d, found %d", minExponent, maxExponent, e)
	case modulus[0]&0x80 == 0:
		c.Fail("modulus: has fewer bits than the bit length says")
	case modulus[len(modulus)-1]&1 == 0:
		c.Fail("modulus: is even, so it is none of RSA")
	}
}

// number reads a big-endian integer of at most 8 bytes.
func number(b []byte) uint64 {
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}
