package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// maxPublic bounds a TPMT_PUBLIC: an RSA key of 8192 bits with a policy has about 1130 bytes.
const maxPublic = 2048

// defaultExponent is what an RSA exponent of 0 means.
const defaultExponent = 65537

// TPMA_OBJECT (tpm-evidence.md section 1).
const (
	fixedTPM            = 1 << 1
	fixedParent         = 1 << 4
	sensitiveDataOrigin = 1 << 5
	userWithAuth        = 1 << 6
	restricted          = 1 << 16
	decrypt             = 1 << 17
	sign                = 1 << 18
)

// Public is a TPMT_PUBLIC: the public area of a key, parsed. Nothing says that a TPM has it.
type Public struct {
	Key        crypto.PublicKey // RSA or ECDSA
	NameAlg    Alg
	Attributes uint32 // TPMA_OBJECT
	AuthPolicy []byte // empty: none
	Name       []byte // nameAlg and hash of the area

	area              []byte // all of it
	symmetric, scheme tpm2.TPMAlgID
}

// ParsePublic reads a TPMT_PUBLIC (without a size in front), big-endian, to its last byte, and computes its Name
// (tpm-evidence.md section 1). The result keeps the slice. The error is an [evidence.Refusal] of AttestFormat or, for a key
// that is too weak or of a kind that is not accepted, of AIKKey.
func ParsePublic(b []byte) (*Public, error) {
	if len(b) > maxPublic {
		return nil, evidence.Refuse(evidence.AttestFormat, "the public area is too long for a TPMT_PUBLIC").
			Want(upTo(maxPublic), byteCount(len(b)))
	}
	p, err := readPublic(b)
	if err != nil {
		return nil, malformed("the public area", "TPMT_PUBLIC", err)
	}
	if err := CheckKey(p.Key); err != nil {
		return nil, err
	}
	p.area = b
	p.Name = append([]byte{byte(p.NameAlg >> 8), byte(p.NameAlg)}, p.NameAlg.Sum(b)...)
	return p, nil
}

// Area is the TPMT_PUBLIC, as it was parsed.
func (p *Public) Area() []byte { return p.area }

// readPublic reads the area. The key is nil if its kind is not accepted; then the rest is not read.
func readPublic(b []byte) (*Public, error) {
	c := binread.New(b)
	kind := tpm2.TPMAlgID(c.BE16("type"))
	p := &Public{NameAlg: Alg(c.BE16("nameAlg")), Attributes: c.BE32("objectAttributes")}
	if p.NameAlg.Size() == 0 {
		c.Fail("nameAlg is %s, which is not known", p.NameAlg)
	}
	p.AuthPolicy = sized(c, "authPolicy", maxDigest)
	if n := len(p.AuthPolicy); n != 0 && n != p.NameAlg.Size() {
		c.Fail("authPolicy has %s, a digest by nameAlg has %d", byteCount(n), p.NameAlg.Size())
	}
	switch kind {
	case tpm2.TPMAlgRSA:
		p.symmetric, p.scheme = readSymmetric(c), readScheme(c)
		p.Key = readRSA(c)
	case tpm2.TPMAlgECC:
		p.symmetric, p.scheme = readSymmetric(c), readScheme(c)
		p.Key = readECC(c)
	}
	if p.Key == nil {
		return p, c.Err()
	}
	return p, c.Done("TPMT_PUBLIC")
}

// readRSA reads what follows the scheme.
func readRSA(c *binread.Cursor) crypto.PublicKey {
	bits, exponent := int(c.BE16("keyBits")), int(c.BE32("exponent"))
	if exponent == 0 {
		exponent = defaultExponent
	}
	modulus := new(big.Int).SetBytes(sized(c, "unique", maxRSABits/8))
	if modulus.BitLen() != bits {
		c.Fail("the modulus has %d bits, keyBits says %d", modulus.BitLen(), bits)
	}
	return &rsa.PublicKey{N: modulus, E: exponent}
}

// readECC reads what follows the scheme. It gives nil for a curve that is not accepted, and after an error.
func readECC(c *binread.Cursor) crypto.PublicKey {
	curve := curveOf(tpm2.TPMECCCurve(c.BE16("curveID")))
	if curve == nil || c.Err() != nil {
		return nil
	}
	if kdf := tpm2.TPMAlgID(c.BE16("kdf")); kdf != tpm2.TPMAlgNull {
		c.BE16("hash of kdf")
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := sized(c, "unique.x", size), sized(c, "unique.y", size)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, uncompressed(x, y, size))
	if err != nil {
		c.Fail("unique: %w", err)
		return nil
	}
	return key
}

func curveOf(id tpm2.TPMECCCurve) elliptic.Curve {
	switch id {
	case tpm2.TPMECCNistP256:
		return elliptic.P256()
	case tpm2.TPMECCNistP384:
		return elliptic.P384()
	case tpm2.TPMECCNistP521:
		return elliptic.P521()
	}
	return nil
}

// uncompressed writes a point as SEC 1 does; coordinates of a TPM may lack zeros in front.
func uncompressed(x, y []byte, size int) []byte {
	b := make([]byte, 1+2*size)
	b[0] = 4
	copy(b[1+size-len(x):], x)
	copy(b[1+2*size-len(y):], y)
	return b
}

// readSymmetric reads a TPMT_SYM_DEF_OBJECT and gives its algorithm.
func readSymmetric(c *binread.Cursor) tpm2.TPMAlgID {
	alg := tpm2.TPMAlgID(c.BE16("symmetric"))
	switch alg {
	case tpm2.TPMAlgNull:
	case tpm2.TPMAlgAES, tpm2.TPMAlgCamellia, tpm2.TPMAlgTDES, sm4:
		c.BE16("symmetric.keyBits")
		c.BE16("symmetric.mode")
	default:
		c.Fail("symmetric algorithm %s is not known", hex16(uint16(alg)))
	}
	return alg
}

// sm4 is TPM_ALG_SM4.
const sm4 tpm2.TPMAlgID = 0x0013

// readScheme reads a TPMT_RSA_SCHEME or a TPMT_ECC_SCHEME and gives its algorithm.
func readScheme(c *binread.Cursor) tpm2.TPMAlgID {
	alg := tpm2.TPMAlgID(c.BE16("scheme"))
	switch alg {
	case tpm2.TPMAlgNull, tpm2.TPMAlgRSAES:
	case tpm2.TPMAlgRSASSA, tpm2.TPMAlgRSAPSS, tpm2.TPMAlgOAEP, tpm2.TPMAlgECDSA, tpm2.TPMAlgECDH:
		c.BE16("hash of scheme")
	default:
		c.Fail("scheme %s is not known", hex16(uint16(alg)))
	}
	return alg
}

// CheckAIK checks the attributes that an attestation key must have (tpm-evidence.md section 3): fixedTPM, fixedParent,
// sensitiveDataOrigin, restricted and sign, not decrypt, and a name by SHA-256 or better. The error is an [evidence.Refusal]
// of AIKKey.
func (p *Public) CheckAIK() error {
	if err := CheckKey(p.Key); err != nil {
		return err
	}
	if missing := p.lacks(); len(missing) > 0 {
		return weak("the key's attributes are not those of an attestation key").
			Want(strings.Join(missing, ", "), hex32(p.Attributes)).
			Do("make the attestation key in the TPM, as a restricted signing key")
	}
	if p.NameAlg == SHA1 || p.NameAlg.Size() == 0 {
		return weak("the key's Name is by a hash that is too weak").Want("SHA-256, SHA-384 or SHA-512", p.NameAlg)
	}
	return nil
}

// attribute is a bit of TPMA_OBJECT.
type attribute struct {
	bit  uint32
	name string
}

// without names those of the attributes that the key does not have.
func (p *Public) without(all ...attribute) (missing []string) {
	for _, a := range all {
		if p.Attributes&a.bit == 0 {
			missing = append(missing, a.name)
		}
	}
	return missing
}

// lacks names the attributes of an AIK that the key does not have.
func (p *Public) lacks() []string {
	missing := p.without(attribute{fixedTPM, "fixedTPM"}, attribute{fixedParent, "fixedParent"}, attribute{sensitiveDataOrigin, "sensitiveDataOrigin"},
		attribute{restricted, "restricted"}, attribute{sign, "sign"})
	if p.Attributes&decrypt != 0 {
		missing = append(missing, "not decrypt")
	}
	return missing
}
