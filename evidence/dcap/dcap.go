// Package dcap verifies Intel ECDSA quotes ("DCAP"), the evidence of SGX enclaves and TDX guests: the quote and its
// signatures, the PCK certificate chain, and Intel's signed collateral (TCB info, QE identity, revocation lists).
//
// Verification climbs a ladder whose rungs are types. [ParseQuote] gives a [Quote], of which nothing is believed.
// [Verifier.Trace] follows its certificates to a trusted root and gives the [Origin], which names the platform and so
// the collateral needed. Each document of collateral becomes a value of its own type only by having its signature
// checked. [Verifier.Verify] takes the origin and the collateral and gives [Verified]: facts, among them the TCB
// status. Whether a status is good enough is not decided here.
//
// The package is pure: no network, no clock, no files; time is an argument. Specification: sgx-tdx.md.
package dcap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// ClockSkew is how far in the future the issue date of collateral may lie (limit clock_skew).
const ClockSkew = 5 * time.Minute

// maxDocument bounds each document of collateral and each certificate chain, before anything of it is read. The
// largest real TCB info has 20 KB, the largest CRL 4 KB.
const maxDocument = 1 << 20

// FMSPC names a family of platforms that share TCB levels.
type FMSPC [6]byte

// String gives the FMSPC as Intel writes it, in upper-case hex.
func (f FMSPC) String() string { return strings.ToUpper(hex.EncodeToString(f[:])) }

// Anchor names a root of trust by the SHA-256 of its key's SubjectPublicKeyInfo, so that a root certificate may be
// reissued with the same key.
type Anchor [sha256.Size]byte

// String gives the anchor in lower-case hex.
func (a Anchor) String() string { return hex.EncodeToString(a[:]) }

// Roots are the keys that certificate chains may end in. The zero value trusts nothing.
type Roots struct {
	keys map[Anchor]*ecdsa.PublicKey
}

// intelRootPoint is the public key of the Intel SGX Root CA, the same in both its certificates (sgx-tdx.md section 4.2).
const intelRootPoint = "040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5" +
	"67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"

// IntelRoots trusts Intel's production root key and nothing else.
func IntelRoots() Roots {
	point, _ := hex.DecodeString(intelRootPoint)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		panic("dcap: the pinned Intel root key is not on P-256: " + err.Error())
	}
	return Roots{}.With(key)
}

// NewRoots trusts the keys of the given certificates, each one PEM or DER. It is for test and pre-production PKI.
func NewRoots(certificates ...[]byte) (Roots, error) {
	var roots Roots
	for _, b := range certificates {
		if block, _ := pem.Decode(b); block != nil {
			b = block.Bytes
		}
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			return Roots{}, fmt.Errorf("trusted root: %w", err)
		}
		key, ok := p256(cert)
		if !ok {
			return Roots{}, errors.New("trusted root: not a P-256 key")
		}
		roots = roots.With(key)
	}
	return roots, nil
}

// With returns the roots r and key.
func (r Roots) With(key *ecdsa.PublicKey) Roots {
	keys := map[Anchor]*ecdsa.PublicKey{anchorOf(key): key}
	for a, k := range r.keys {
		keys[a] = k
	}
	return Roots{keys}
}

// And returns the roots of both r and other.
func (r Roots) And(other Roots) Roots {
	for _, k := range other.keys {
		r = r.With(k)
	}
	return r
}

// Trusts reports whether a is among the roots.
func (r Roots) Trusts(a Anchor) bool {
	_, ok := r.keys[a]
	return ok
}

// anchorOf hashes the SubjectPublicKeyInfo of key.
func anchorOf(key *ecdsa.PublicKey) Anchor {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic("dcap: a P-256 key that cannot be marshalled: " + err.Error())
	}
	return sha256.Sum256(spki)
}

// p256 returns the certificate's key if it is one on P-256.
func p256(cert *x509.Certificate) (*ecdsa.PublicKey, bool) {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	return key, ok && key.Curve == elliptic.P256()
}

// rawSignature is r ‖ s, 32 bytes each, big-endian: the form of signatures in quotes and collateral.
type rawSignature [64]byte

// inRange reports whether r and s are both in 1…n−1.
func (s *rawSignature) inRange() bool {
	n := elliptic.P256().Params().N
	r, t := s.values()
	return r.Sign() > 0 && t.Sign() > 0 && r.Cmp(n) < 0 && t.Cmp(n) < 0
}

func (s *rawSignature) values() (r, t *big.Int) {
	return new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])
}

// verifies reports whether s is key's signature over message with SHA-256.
func (s *rawSignature) verifies(key *ecdsa.PublicKey, message []byte) bool {
	digest := sha256.Sum256(message)
	r, t := s.values()
	return ecdsa.Verify(key, digest[:], r, t)
}
