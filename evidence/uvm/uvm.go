// Package uvm verifies endorsements of utility VMs, the machines in which confidential containers run: a COSE_Sign1 by which their maker
// vouches for a launch measurement (README.md section 6 of the specification, below its table; tokens.md section 3.3).
//
// [Parse] gives an [Endorsement] that somebody signed, [Endorsement.Endorses] says whether it counts. The package is pure.
package uvm

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Bounds of an endorsement. A real one has 11 KB, of which 8 are a time stamp that is not looked at, and three certificates.
const (
	MaxSize    = 64 << 10 // bytes
	maxChain   = 8        // certificates
	minKey     = 2048     // bits of an RSA key
	maxKey     = 8192
	maxNesting = 8
)

// Values of the message (RFC 9052, RFC 8230), and major types (RFC 8949 section 3.1).
const (
	tagSign1   = 18
	ps384      = -38
	majorArray = 4
	majorMap   = 5
)

// Endorsement is an endorsement that carries the signature of the first certificate of its own chain. Anybody can make one: it is worth
// something only by [Endorsement.Endorses].
type Endorsement struct {
	Issuer      string    // the did:x509 that it names
	Feed        string    // the product, such as ContainerPlat-AMD-UVM
	Measurement [48]byte  // of the launch
	SVN         uint64    // the endorsed security version
	SignedAt    time.Time // as it says itself

	chain []*x509.Certificate // leaf first
}

// protected is the protected header, as far as it is read.
type protected struct {
	Algorithm   int64           `cbor:"1,keyasint"`
	Critical    cbor.RawMessage `cbor:"2,keyasint"`
	Chain       [][]byte        `cbor:"33,keyasint"`
	Issuer      string          `cbor:"iss"`
	Feed        string          `cbor:"feed"`
	SigningTime time.Time       `cbor:"signingtime"`
}

// sign1 is the COSE_Sign1 without its tag (RFC 9052 section 4.2).
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

// Parse reads an endorsement, a COSE_Sign1 with PS384 and x5chain, and checks its signature. The error is an [evidence.Refusal] for
// uvm-endorsement.
func Parse(b []byte) (*Endorsement, error) {
	if len(b) > MaxSize {
		return nil, malformed("it is too long").Want(fmt.Sprintf("at most %d bytes", MaxSize), len(b))
	}
	m, p, err := decode(b)
	if err != nil {
		return nil, malformed("it is no COSE_Sign1 of the form that is read").Because(err)
	}
	e := &Endorsement{Issuer: p.Issuer, Feed: p.Feed, SignedAt: p.SigningTime.UTC()}
	if e.chain, err = parseChain(p.Chain); err != nil {
		return nil, malformed("its x5chain cannot be used").Because(err)
	}
	if !m.verifies(e.chain[0].PublicKey.(*rsa.PublicKey)) {
		return nil, malformed("its signature does not verify").Want("a PS384 signature by the first certificate of x5chain", "another")
	}
	if err := e.readPayload(m.Payload); err != nil {
		return nil, malformed("its payload cannot be read").Because(err)
	}
	return e, nil
}

func malformed(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.UVMEndorsement, "an endorsement of the utility VM cannot be used: %s", problem).
		Do("send the endorsement as the host gives it, or leave Endorsements out")
}

// decode reads message and protected header, with all that CBOR leaves open decided: no duplicate keys, no text that is not UTF-8, definite lengths,
// names letter by letter.
func decode(b []byte) (m sign1, p protected, err error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: maxNesting,
		MaxArrayElements: 64, MaxMapPairs: 64, TimeTag: cbor.DecTagRequired, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		return m, p, err
	}
	var outer cbor.RawTag
	if err := mode.Unmarshal(b, &outer); err != nil {
		return m, p, err
	}
	if outer.Number != tagSign1 {
		return m, p, fmt.Errorf("expected tag %d, found %d", tagSign1, outer.Number)
	}
	if outer.Content[0]>>5 != majorArray { // the library passes over further tags
		return m, p, fmt.Errorf("expected an array behind the tag, found %#x", outer.Content[0])
	}
	if err := mode.Unmarshal(outer.Content, &m); err != nil {
		return m, p, err
	}
	if m.Unprotected[0]>>5 != majorMap {
		return m, p, fmt.Errorf("unprotected header: expected a map, found %#x", m.Unprotected[0])
	}
	if err := mode.Unmarshal(m.Protected, &p); err != nil {
		return m, p, fmt.Errorf("protected header: %w", err)
	}
	switch {
	case p.Algorithm != ps384:
		err = fmt.Errorf("alg: expected %d (PS384), found %d", ps384, p.Algorithm)
	case p.Critical != nil:
		err = errors.New("crit: expected none, found some")
	case p.SigningTime.IsZero():
		err = errors.New("signingtime is missing")
	}
	return m, p, err
}

// verifies reports whether the signature over the Sig_structure (RFC 9052 section 4.4) is that of key.
func (m *sign1) verifies(key *rsa.PublicKey) bool {
	signed, err := cbor.Marshal([]any{"Signature1", m.Protected, []byte{}, m.Payload})
	if err != nil {
		return false
	}
	sum := sha512.Sum384(signed)
	return rsa.VerifyPSS(key, crypto.SHA384, sum[:], m.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// parseChain reads the certificates, all of RSA keys of a size that can be worked with.
func parseChain(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) < 2 || len(ders) > maxChain {
		return nil, fmt.Errorf("expected 2 to %d certificates, found %d", maxChain, len(ders))
	}
	chain := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		key, ok := cert.PublicKey.(*rsa.PublicKey)
		if !ok || key.N.BitLen() < minKey || key.N.BitLen() > maxKey {
			return nil, fmt.Errorf("certificate %d: expected an RSA key of %d to %d bits", i, minKey, maxKey)
		}
		chain[i] = cert
	}
	return chain, nil
}

// readPayload reads what is endorsed. The security version stands there as text.
func (e *Endorsement) readPayload(b []byte) error {
	var w struct {
		SVN         jsontext.Value `json:"x-ms-sevsnpvm-guestsvn"`
		Measurement string         `json:"x-ms-sevsnpvm-launchmeasurement"`
	}
	if err := strictjson.Exact(b, &w); err != nil {
		return err
	}
	measurement, err := hex.DecodeString(w.Measurement)
	if err != nil || len(measurement) != len(e.Measurement) {
		return errors.New("x-ms-sevsnpvm-launchmeasurement: expected 96 hexadecimal digits")
	}
	copy(e.Measurement[:], measurement)
	if e.SVN, err = strconv.ParseUint(strings.Trim(string(w.SVN), `"`), 10, 64); err != nil {
		return errors.New("x-ms-sevsnpvm-guestsvn: expected a whole number")
	}
	return nil
}
