package dcap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// TEE is the kind of environment a quote speaks for.
type TEE uint32

// The TEE types of a quote header.
const (
	SGX TEE = 0x00
	TDX TEE = 0x81
)

// String gives the name that TCB info uses for the TEE.
func (t TEE) String() string {
	switch t {
	case SGX:
		return "SGX"
	case TDX:
		return "TDX"
	}
	return fmt.Sprintf("TEE type %#x", uint32(t))
}

// BodyType numbers the report bodies as the descriptor of a version 5 quote does.
type BodyType uint16

// The report bodies (sgx-tdx.md section 2.2).
const (
	SGXReport    BodyType = 1
	TDReport10   BodyType = 2
	TDReport15   BodyType = 3
	TDReport15Ex BodyType = 4
)

// Sizes and fixed values of the quote format (sgx-tdx.md section 2).
const (
	headerSize     = 48
	descriptorSize = 6
	ecdsaP256      = 2
	vendorID       = "939a7233f79c4ca9940a0db3957f0607"
	certPCKChain   = 5
	certQEReport   = 6
)

// Quote is a well-formed ECDSA quote of which nothing is believed yet.
//
//	header (48) ‖ [version 5: body type u16, body size u32] ‖ body ‖ u32 length ‖ signature data ‖ trailing bytes
type Quote struct {
	Version  uint16
	TEE      TEE
	BodyType BodyType
	Body     []byte // the report body: 384 bytes for SGX
	Trailing int    // bytes after the signature data, which no signature covers

	signed         []byte // header, descriptor and body
	body           []byte // the end of signed; unlike Body it cannot have been replaced
	signature      rawSignature
	attestationKey *ecdsa.PublicKey
	rawKey         []byte // X ‖ Y
	qeReport       []byte
	qeSignature    rawSignature
	qeAuth         []byte
	pckChain       []byte // PEM
}

// ParseQuote reads a version 3, 4 or 5 quote with certification data of type 5. Bytes after the signature data are
// counted, not refused (sgx-tdx.md section 2.7). The quote keeps parts of b. The error is an [evidence.Refusal] for
// quote-format or cert-data-type.
func ParseQuote(b []byte) (*Quote, error) {
	c := binread.New(b)
	q := new(Quote)
	q.readHeader(c)
	size := q.readBodySize(c)
	q.Body = c.Bytes("report body", size)
	q.signed, q.body = b[:c.Offset()], q.Body
	length := c.LE32("signature data length")
	s := c.Sub("signature data", uint64(length))
	q.Trailing = c.Left()
	certType, err := q.readSignatureData(s)
	if err != nil {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the quote cannot be parsed").Because(err).
			Do("send the ECDSA quote exactly as the quote provider returned it")
	}
	if certType != "" {
		return nil, evidence.Refuse(evidence.CertDataType, "the quote carries no PCK certificate chain").
			Want("certification data of type 5 (PCK certificate chain)", certType).
			Do("configure the quote provider so that it embeds the PCK certificate chain (OE_MISSING_CERTIFICATE_CHAIN)")
	}
	if err := q.checkValues(); err != nil {
		return nil, err
	}
	return q, nil
}

// readHeader reads the 48 bytes of the header, and fails c where a value is not one that is supported.
func (q *Quote) readHeader(c *binread.Cursor) {
	q.Version = c.LE16("version")
	keyType := c.LE16("attestation key type")
	q.TEE = TEE(c.LE32("TEE type"))
	c.Bytes("QE SVN and PCE SVN", 4)
	vendor := c.Bytes("QE vendor id", 16)
	c.Bytes("user data", 20)
	switch {
	case c.Err() != nil:
	case q.Version < 3 || q.Version > 5:
		c.Fail("version: expected 3, 4 or 5, found %d", q.Version)
	case keyType != ecdsaP256:
		c.Fail("attestation key type: expected 2 (ECDSA P-256), found %d", keyType)
	case q.TEE != SGX && (q.TEE != TDX || q.Version == 3):
		c.Fail("TEE type: expected 0 (SGX) or, from version 4 on, 0x81 (TDX), found %#x", uint32(q.TEE))
	case hex.EncodeToString(vendor) != vendorID:
		c.Fail("QE vendor id: expected %s, found %x", vendorID, vendor)
	}
}

// readBodySize finds the size of the body: from the TEE type, or in version 5 from the descriptor, whose type, size
// and TEE type must fit each other.
func (q *Quote) readBodySize(c *binread.Cursor) int {
	q.BodyType = SGXReport
	if q.TEE == TDX {
		q.BodyType = TDReport10
	}
	if q.Version < 5 {
		return q.BodyType.size()
	}
	q.BodyType = BodyType(c.LE16("body type"))
	size := c.LE32("body size")
	switch want := q.BodyType.size(); {
	case c.Err() != nil:
	case want == 0:
		c.Fail("body type: expected 1 to 4, found %d", q.BodyType)
	case size != uint32(want):
		c.Fail("body size: expected %d for body type %d, found %d", want, q.BodyType, size)
	case (q.BodyType == SGXReport) != (q.TEE == SGX):
		c.Fail("body type: %d does not fit TEE type %#x", q.BodyType, uint32(q.TEE))
	}
	return q.BodyType.size()
}

func (t BodyType) size() int {
	switch t {
	case SGXReport:
		return reportSize
	case TDReport10:
		return 584
	case TDReport15:
		return 648
	case TDReport15Ex:
		return 885
	}
	return 0
}

// readSignatureData reads the signature data, in which all lengths must add up. It returns a description of the
// certification data if that is of another type than needed, else "".
func (q *Quote) readSignatureData(s *binread.Cursor) (badType string, err error) {
	copy(q.signature[:], s.Bytes("quote signature", 64))
	q.rawKey = s.Bytes("attestation key", 64)
	if q.Version == 3 {
		return q.readCertification(s)
	}
	kind := s.LE16("outer certification data type")
	inner := s.Sub("outer certification data", uint64(s.LE32("outer certification data size")))
	if err := s.Done("signature data"); err != nil || kind != certQEReport {
		return fmt.Sprintf("outer type %d instead of 6", kind), err
	}
	return q.readCertification(inner)
}

// readCertification reads the QE report with its signature and authentication data, and the certification data.
func (q *Quote) readCertification(s *binread.Cursor) (badType string, err error) {
	q.qeReport = s.Bytes("QE report", reportSize)
	copy(q.qeSignature[:], s.Bytes("QE report signature", 64))
	q.qeAuth = s.Bytes("QE authentication data", int(s.LE16("QE authentication data size")))
	kind := s.LE16("certification data type")
	q.pckChain = s.Bytes("certification data", int(s.LE32("certification data size")))
	if kind != certPCKChain {
		badType = fmt.Sprintf("type %d", kind)
	}
	return badType, s.Done("signature data")
}

// checkValues makes the checks that need more than lengths: the key is a point of the curve, the signatures are in
// range.
func (q *Quote) checkValues() error {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.rawKey...))
	if err != nil {
		return evidence.Refuse(evidence.QuoteFormat, "the attestation key is not a point on P-256").Because(err)
	}
	q.attestationKey = key
	if !q.signature.inRange() || !q.qeSignature.inRange() {
		return evidence.Refuse(evidence.QuoteFormat, "a signature of the quote is out of range").
			Want("r and s in 1…n−1", "0 or at least n")
	}
	return nil
}

// keyBinding is the report data of a QE report that vouches for the attestation key:
// SHA-256(attestation key ‖ authentication data) and 32 zeros.
func (q *Quote) keyBinding() (want [64]byte) {
	h := sha256.New()
	h.Write(q.rawKey)
	h.Write(q.qeAuth)
	h.Sum(want[:0])
	return want
}
