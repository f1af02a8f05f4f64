package assaytest

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"slices"

	"github.com/assay-attestation/assay/evidence"
)

// Fault is a change that breaks exactly one thing in a scenario as [Intel.Scenario] returns it.
type Fault struct {
	Name   string           // words joined by hyphens; unique among Faults
	What   string           // what is wrong, for a person
	Checks []evidence.Check // the check that must refuse; more than one where any of them is right
	Apply  func(*Scenario)
}

// Faults returns all ready-made faults. For every check that the verification of an SGX quote has there is at least one.
func Faults() []Fault {
	return slices.Concat(quoteFaults(), chainFaults(), crlFaults(), documentFaults(), tcbInfoFaults(), qeFaults())
}

// stranger is an Intel that nobody trusts.
func stranger() *Intel { return newIntel("assay: an Intel that nobody trusts") }

// one makes the list of checks of a fault that only one check may refuse.
func one(c evidence.Check) []evidence.Check { return []evidence.Check{c} }

// all makes several changes that are one fault together.
func all(changes ...func(*Scenario)) func(*Scenario) {
	return func(s *Scenario) {
		for _, change := range changes {
			change(s)
		}
	}
}

// version sets the version of the quote.
func version(v uint16) func(*Scenario) { return func(s *Scenario) { s.QuoteVersion = v } }

// at changes the bytes of one part.
func at(target Part, change func([]byte) []byte) func(*Scenario) {
	return func(s *Scenario) {
		s.Edit.Bytes = func(p Part, b []byte) []byte {
			if p != target {
				return b
			}
			return change(b)
		}
	}
}

// signedBy has the parts signed by the same role of another Intel. For an issuer chain: made of its certificates.
func signedBy(other *Intel, parts ...Part) func(*Scenario) {
	return func(s *Scenario) {
		s.Edit.Signer = func(p Part, signer Signer) Signer {
			if slices.Contains(parts, p) {
				signer.By = other
			}
			return signer
		}
	}
}

// signedAs has the parts signed by another role of the same Intel. For an issuer chain: beginning with its certificate.
func signedAs(role Role, parts ...Part) func(*Scenario) {
	return func(s *Scenario) {
		s.Edit.Signer = func(p Part, signer Signer) Signer {
			if slices.Contains(parts, p) {
				signer.Role = role
			}
			return signer
		}
	}
}

// certificate changes the certificate of one role before it is signed.
func certificate(role Role, change func(*Scenario, *x509.Certificate)) func(*Scenario) {
	return func(s *Scenario) {
		s.Edit.Certificate = func(r Role, c *x509.Certificate) {
			if r == role {
				change(s, c)
			}
		}
	}
}

func expired(s *Scenario, c *x509.Certificate)     { c.NotAfter = s.At.AddDate(0, 0, -2) }
func notYetValid(s *Scenario, c *x509.Certificate) { c.NotBefore = s.At.AddDate(0, 0, 2) }

func named(commonName string) func(*Scenario, *x509.Certificate) {
	return func(_ *Scenario, c *x509.Certificate) { c.Subject = intelName(commonName) }
}

// Changes to bytes. Each is made in place where the length stays.

func flip(offset int, mask byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[offset] ^= mask
		return b
	}
}

func flipLast(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

func put16(offset int, v uint16) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[offset:], v)
		return b
	}
}

func put32(offset int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[offset:], v)
		return b
	}
}

func fill(offset, n int, v byte) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b[offset:], bytes.Repeat([]byte{v}, n))
		return b
	}
}

func cut(n int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:n] }
}

func appended(tail string) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, tail...) }
}

// replaced replaces the first old.
func replaced(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}

func becomes(text string) func([]byte) []byte {
	return func([]byte) []byte { return []byte(text) }
}

func missing([]byte) []byte { return nil }
