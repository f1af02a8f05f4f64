package assaytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"sync"
)

// TPMRole names a holder of a key in the simulated TPM vendor and in the machine that has its TPM.
type TPMRole string

// The holders of keys. The authorities have P-256 keys.
const (
	EKRoot     TPMRole = "EK root CA"
	EKIssuer   TPMRole = "EK issuing CA"
	AIKRoot    TPMRole = "AIK root CA"  // issues the certificates of AIKs itself
	VTPMRoot   TPMRole = "vTPM root CA" // of Azure's virtual TPMs
	VTPMIssuer TPMRole = "vTPM issuing CA"
	EK         TPMRole = "EK" // the endorsement key
	AIK        TPMRole = "AIK"
	RequestKey TPMRole = "request key" // RSA, for PS256
	OtherKey   TPMRole = "other key"
	IDKS       TPMRole = "IDKS" // the secure kernel's signing key, RSA
	IDK        TPMRole = "IDK"  // its encryption key, RSA
)

// Certificate is the part of a scenario that is the DER certificate of r.
func (r TPMRole) Certificate() TPMPart { return TPMPart(r + " certificate") }

// TPMKeyKind is the kind of a key of a TPM.
type TPMKeyKind int

// The kinds.
const (
	RSA2048 TPMKeyKind = iota
	P256
	P384
)

// TPMVendor is a simulated maker of TPMs with the certification authorities for its endorsement and attestation keys, and one
// machine with such a TPM. It never changes and is safe for concurrent use. RSA keys are made when they are first needed, which takes
// a part of a second each.
type TPMVendor struct {
	seed  string
	mutex sync.Mutex
	keys  map[string]crypto.Signer
}

// wellKnownTPMSeed is published on purpose; see the package comment.
const wellKnownTPMSeed = "assay: simulated TPM vendor, keys known to everybody, for development only"

// WellKnownTPMVendor returns the simulated vendor that development mode trusts. It is the same in every process and its private
// keys are PUBLIC: trusting it outside development mode is trusting everybody.
func WellKnownTPMVendor() *TPMVendor { return newTPMVendor(wellKnownTPMSeed) }

// NewTPMVendor returns a simulated vendor with keys of its own that no other process has.
func NewTPMVendor() *TPMVendor { return newTPMVendor(rand.Text()) }

func newTPMVendor(seed string) *TPMVendor {
	return &TPMVendor{seed: seed, keys: make(map[string]crypto.Signer)}
}

// Key returns the private key of r of that kind: an *rsa.PrivateKey or an *ecdsa.PrivateKey.
func (v *TPMVendor) Key(r TPMRole, kind TPMKeyKind) crypto.Signer {
	label := fmt.Sprintf("%s/%s/%d", v.seed, r, kind)
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if key, ok := v.keys[label]; ok {
		return key
	}
	key := makeKey(label, kind)
	v.keys[label] = key
	return key
}

func makeKey(label string, kind TPMKeyKind) crypto.Signer {
	switch kind {
	case P256:
		return deriveKey(label).private
	case P384:
		return deriveP384(label)
	}
	return deriveRSA(label)
}

// deriveP384 takes as private scalar the first 48 bytes of the stream that are in range.
func deriveP384(label string) *ecdsa.PrivateKey {
	for s := newStream(label); ; {
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), s.bytes(48)); err == nil {
			return key
		}
	}
}

// rsaExponent is 65537, as of all keys of TPMs.
const rsaExponent = 65537

// deriveRSA takes as primes the first two of 1024 bits in the stream that fit the exponent.
func deriveRSA(label string) *rsa.PrivateKey {
	for s := newStream(label); ; {
		if key := rsaKey(s.prime(), s.prime()); key != nil {
			return key
		}
	}
}

// rsaKey makes the key of two primes; nil if they do not fit the exponent or each other.
func rsaKey(p, q *big.Int) *rsa.PrivateKey {
	one, e := big.NewInt(1), big.NewInt(rsaExponent)
	n := new(big.Int).Mul(p, q)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	if d == nil || p.Cmp(q) == 0 {
		return nil
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: rsaExponent}, D: d, Primes: []*big.Int{p, q}}
	key.Precompute()
	if key.Validate() != nil {
		return nil
	}
	return key
}

// stream is an endless sequence of bytes that a label determines: SHA-256(label ‖ 0), SHA-256(label ‖ 1), …, numbers of eight bytes.
type stream struct {
	label   string
	counter uint64
	rest    []byte
}

func newStream(label string) *stream { return &stream{label: label} }

// Read fills b.
func (s *stream) Read(b []byte) (int, error) {
	for i := range b {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.label), s.counter))
			s.counter++
			s.rest = sum[:]
		}
		b[i], s.rest = s.rest[0], s.rest[1:]
	}
	return len(b), nil
}

func (s *stream) bytes(n int) []byte {
	b := make([]byte, n)
	s.Read(b) // never fails
	return b
}

// prime gives the first prime of 1024 bits whose two highest bits are set, so that the product of two has 2048.
func (s *stream) prime() *big.Int {
	const certainty = 20
	for {
		b := s.bytes(128)
		b[0] |= 0xC0
		b[127] |= 1
		if p := new(big.Int).SetBytes(b); p.ProbablyPrime(certainty) {
			return p
		}
	}
}

// pssSalt gives the salt of a signature: like all that is random in a scenario it follows from what is signed.
func pssSalt(message []byte) *stream { return newStream("salt of " + string(bytes.Clone(message))) }

// signPSS signs with RSASSA-PSS as PS256 and Windows' secure kernel do: SHA-256, a salt of 32 bytes.
func signPSS(key crypto.Signer, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	opt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	return key.Sign(pssSalt(message), digest[:], opt)
}
