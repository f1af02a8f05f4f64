// Package jose holds what verifying a token and verifying a policy have in common: the certificates and keys in JSON
// documents (RFC 7517), and the signature algorithms of JSON Web Signature (RFC 7518 section 3). It knows neither
// tokens nor policies, and decides nothing about trust.
package jose

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Sizes of RSA keys that are used at all (README.md section 7 of the specification, RSA keys). Verifying with larger
// ones takes long.
const (
	MinRSABits  = 2048
	MaxRSABits  = 8192
	maxExponent = 1<<31 - 1
)

// ParseCertificate reads a member of x5c: standard base64 of DER (RFC 7517 section 4.7).
func ParseCertificate(text string) (*x509.Certificate, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line ends in base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// CheckRSA says why an RSA key cannot be used.
func CheckRSA(pub *rsa.PublicKey) error {
	switch bits := pub.N.BitLen(); {
	case bits < MinRSABits:
		return fmt.Errorf("RSA key of %d bits, at least %d are needed", bits, MinRSABits)
	case bits > MaxRSABits:
		return fmt.Errorf("RSA key of %d bits, at most %d are used", bits, MaxRSABits)
	case pub.N.Bit(0) == 0:
		return errors.New("RSA modulus is even")
	case pub.E < 3 || pub.E > maxExponent || pub.E%2 == 0:
		return fmt.Errorf("RSA exponent %d is not an odd number from 3 to %d", pub.E, maxExponent)
	}
	return nil
}
