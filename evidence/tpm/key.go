package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
)

// Bounds of RSA keys (README.md section 7). Real TPMs have at most 4096 bits; the upper one bounds the time of a verification.
const (
	minRSABits  = 2048
	maxRSABits  = 8192
	minExponent = 3
	maxExponent = 1<<31 - 1 // crypto/rsa does nothing with greater ones
)

// CheckKey says why a public key cannot be an AIK's or one certified by it: RSA under 2048 or over 8192 bits or with an even
// exponent or one under 3 or over 2³¹ − 1, or of another kind than RSA and ECDSA on P-256, P-384 and P-521, or not a point of its curve. The
// error is an [evidence.Refusal] of AIKKey.
func CheckKey(key crypto.PublicKey) error {
	var r *evidence.Refusal
	switch k := key.(type) {
	case *rsa.PublicKey:
		r = checkRSA(k)
	case *ecdsa.PublicKey:
		r = checkECDSA(k)
	default:
		r = weak("the key is neither RSA nor ECDSA").Want("RSA or ECDSA", fmt.Sprintf("%T", key))
	}
	if r != nil {
		return r.Do("use an RSA key of 2048 bits or more, or one on P-256, P-384 or P-521")
	}
	return nil
}

// curveName names the curve of a key, or says what it is instead.
func curveName(key crypto.PublicKey) string {
	if k, ok := key.(*ecdsa.PublicKey); ok {
		return k.Curve.Params().Name
	}
	return fmt.Sprintf("%T", key)
}

func weak(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.AIKKey, "%s", problem)
}

func checkRSA(k *rsa.PublicKey) *evidence.Refusal {
	if k == nil || k.N == nil {
		return weak("the RSA key has no modulus")
	}
	if n := k.N.BitLen(); n < minRSABits || n > maxRSABits || k.N.Sign() < 0 {
		return weak("the RSA key is too short or too long").
			Want(fmt.Sprintf("%d to %d bits", minRSABits, maxRSABits), fmt.Sprintf("%d bits", n))
	}
	if k.E < minExponent || k.E > maxExponent || k.E%2 == 0 || k.N.Bit(0) == 0 {
		return weak("the RSA key's modulus or exponent is no good").
			Want("an odd modulus and an odd exponent from 3 to 2147483647", fmt.Sprintf("exponent %d", k.E))
	}
	return nil
}

func checkECDSA(k *ecdsa.PublicKey) *evidence.Refusal {
	//lint:ignore SA1019 a key that was made by hand may have none, and Bytes would not bear it
	if k == nil || k.Curve == nil || k.X == nil || k.Y == nil {
		return weak("the ECDSA key has no curve or no point")
	}
	switch k.Curve {
	case elliptic.P256(), elliptic.P384(), elliptic.P521():
	default:
		return weak("the curve of the key is not accepted").Want("P-256, P-384 or P-521", k.Curve.Params().Name)
	}
	if _, err := k.Bytes(); err != nil {
		return weak("the key is not a point of its curve").Because(err)
	}
	return nil
}
