package tpm

import (
	"crypto"
	"crypto/subtle"
	"encoding/hex"
	"errors"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// Bounds of a TPMS_ATTEST. The largest quote that a TPM can make has about 800 bytes.
const (
	maxAttest     = 1024
	maxName       = 2 + 64 // TPM2B_NAME: a hash algorithm and a digest
	maxExtraData  = 2 + 64 // TPM2B_DATA
	maxDigest     = 64     // TPM2B_DIGEST
	maxSelections = 16     // HASH_COUNT of the largest TPMs
	minBitmap     = PCRCount / 8
	maxBitmap     = 32
)

// Clock is the TPM's time at the signature (TPMS_CLOCK_INFO). None of it proves freshness (tpm-evidence.md section 2 item 9).
type Clock struct {
	Clock        uint64 // milliseconds the TPM has been powered, since it was last cleared
	ResetCount   uint32 // obfuscated for keys outside the endorsement and platform hierarchies
	RestartCount uint32
	Safe         bool
}

// Attest is a TPMS_ATTEST with its signature, of any type. Nothing of it is believed.
type Attest struct {
	raw        []byte
	sig        signature
	magic      tpm2.TPMGenerated
	kind       tpm2.TPMST
	extraData  []byte
	clock      Clock
	selections []selection // of a quote
	selected   []byte      // of a quote: the selections as TPML_PCR_SELECTION
	digest     []byte      // of a quote
	name       []byte      // of a certification
}

// selection is a TPMS_PCR_SELECTION.
type selection struct {
	bank   Alg
	pcrs   uint32 // bit n: PCR n
	beyond bool   // a PCR that a PC does not have is selected, too
}

// ParseAttest reads a TPMS_ATTEST (without a size in front) and a TPMT_SIGNATURE, both big-endian, to their last byte
// (tpm-evidence.md section 1). Attestations that are neither quotes nor certifications are read up to what they attest. The
// result keeps both slices. The error is an [evidence.Refusal] of AttestFormat.
func ParseAttest(attest, signature []byte) (*Attest, error) {
	sig, err := readSignature(signature)
	if err != nil {
		return nil, malformed("the signature of the attestation", "TPMT_SIGNATURE", err)
	}
	return parseAttest(attest, sig)
}

// ParseAttestRaw is ParseAttest for a bare RSA signature, whose scheme the protocol fixes: RSASSA with SHA-256, big-endian
// (azure-guest.md).
func ParseAttestRaw(attest, signature []byte) (*Attest, error) {
	sig, err := rawSignature(signature)
	if err != nil {
		return nil, malformed("the signature of the attestation", "a bare RSA signature", err)
	}
	return parseAttest(attest, sig)
}

// ExtraData is the qualifying data, empty if there is none. Nothing says that a TPM put it there.
func (a *Attest) ExtraData() []byte { return a.extraData }

func malformed(what, structure string, err error) error {
	return evidence.Refuse(evidence.AttestFormat, "%s cannot be read as %s", what, structure).Because(err).
		Do("send the structure as the TPM gave it, without a size in front and with nothing behind it")
}

func parseAttest(b []byte, sig signature) (*Attest, error) {
	if len(b) > maxAttest {
		return nil, evidence.Refuse(evidence.AttestFormat, "the attestation is too long for a TPMS_ATTEST").
			Want(upTo(maxAttest), byteCount(len(b)))
	}
	a := &Attest{raw: b, sig: sig}
	c := binread.New(b)
	a.readHeader(c)
	if err := a.readAttested(c); err != nil {
		return nil, malformed("the attestation", "TPMS_ATTEST", err)
	}
	return a, nil
}

func (a *Attest) readHeader(c *binread.Cursor) {
	a.magic = tpm2.TPMGenerated(c.BE32("magic"))
	a.kind = tpm2.TPMST(c.BE16("type"))
	sized(c, "qualifiedSigner", maxName)
	a.extraData = sized(c, "extraData", maxExtraData)
	a.clock.Clock = c.BE64("clock")
	a.clock.ResetCount = c.BE32("resetCount")
	a.clock.RestartCount = c.BE32("restartCount")
	a.clock.Safe = yesNo(c, "safe")
	c.BE64("firmwareVersion")
}

// readAttested reads what a quote or a certification attests, to the last byte. What outside data that begins with another
// magic would attest is not even looked at.
func (a *Attest) readAttested(c *binread.Cursor) error {
	switch {
	case a.magic != tpm2.TPMGeneratedValue:
		return c.Err()
	case a.kind == tpm2.TPMSTAttestQuote:
		start := c.Offset()
		a.selections = readSelections(c)
		a.selected = a.raw[start:c.Offset()]
		a.digest = sized(c, "pcrDigest", maxDigest)
	case a.kind == tpm2.TPMSTAttestCertify:
		a.name = sized(c, "name", maxName)
		sized(c, "qualifiedName", maxName)
	default:
		return c.Err()
	}
	return c.Done("TPMS_ATTEST")
}

func readSelections(c *binread.Cursor) []selection {
	n := c.BE32("count of PCR selections")
	if n > maxSelections {
		c.Fail("%d PCR selections, at most %d", n, maxSelections)
	}
	var all []selection
	for i := uint32(0); i < n && c.Err() == nil; i++ {
		all = append(all, readSelection(c))
	}
	return all
}

func readSelection(c *binread.Cursor) selection {
	s := selection{bank: Alg(c.BE16("hash of a PCR selection"))}
	b := c.Bytes("sizeofSelect", 1)
	if b == nil {
		return s
	}
	if b[0] < minBitmap || b[0] > maxBitmap {
		c.Fail("sizeofSelect at offset %d is %d, not %d to %d", c.Offset()-1, b[0], minBitmap, maxBitmap)
	}
	for i, octet := range c.Bytes("pcrSelect", int(b[0])) {
		if i < minBitmap {
			s.pcrs |= uint32(octet) << (8 * i)
		} else if octet != 0 {
			s.beyond = true
		}
	}
	return s
}

// sized reads a TPM2B structure of at most limit bytes.
func sized(c *binread.Cursor, field string, limit int) []byte {
	n := int(c.BE16("size of " + field))
	if n > limit {
		c.Fail("size of %s at offset %d is %d, more than %d", field, c.Offset()-2, n, limit)
	}
	return c.Bytes(field, n)
}

// yesNo reads a TPMI_YES_NO.
func yesNo(c *binread.Cursor, field string) bool {
	b := c.Bytes(field, 1)
	if b != nil && b[0] > 1 {
		c.Fail("%s at offset %d is %d, neither 0 nor 1", field, c.Offset()-1, b[0])
	}
	return b != nil && b[0] == 1
}

// signedBy checks the signature over the attestation's bytes as they were received.
func (a *Attest) signedBy(key crypto.PublicKey) *evidence.Refusal {
	if err := CheckKey(key); err != nil {
		return refusal(err)
	}
	if r := a.sig.allowed(); r != nil {
		return r
	}
	return a.sig.verify(key, a.raw)
}

// is checks that a TPM made the attestation, and of what kind it is.
func (a *Attest) is(kind tpm2.TPMST, name string) *evidence.Refusal {
	if a.magic != tpm2.TPMGeneratedValue {
		return evidence.Refuse(evidence.AttestType, "the signed data does not begin as what a TPM makes itself").
			Want(hex32(uint32(tpm2.TPMGeneratedValue)), hex32(uint32(a.magic))).
			Do("use a restricted key, which signs nothing else")
	}
	if a.kind != kind {
		return evidence.Refuse(evidence.AttestType, "the attestation is not a %s", name).
			Want(hex16(uint16(kind)), hex16(uint16(a.kind))).
			Do("send in its place the " + name + " that the TPM made")
	}
	return nil
}

// answers checks the qualifying data, in full and in constant time.
func (a *Attest) answers(extraData []byte) *evidence.Refusal {
	if subtle.ConstantTimeCompare(a.extraData, extraData) == 1 {
		return nil
	}
	return evidence.Refuse(evidence.AttestNonce, "the attestation's qualifying data is not what was asked for").
		Want(bytesText(extraData), bytesText(a.extraData)).
		Do("ask for a new challenge and quote with it, in full")
}

// bytesText writes qualifying data for a person.
func bytesText(b []byte) string {
	if len(b) == 0 {
		return "none"
	}
	return hex.EncodeToString(b)
}

// refusal gives the refusal that an error of this package is.
func refusal(err error) *evidence.Refusal {
	var r *evidence.Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
