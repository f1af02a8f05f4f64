package relyingparty

import (
	"encoding/hex"
	"fmt"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
)

// Claims of SGX and Open Enclave tokens (tokens.md sections 5 and 6).
const (
	claimType       = "x-ms-attestation-type"
	claimMRENCLAVE  = "x-ms-sgx-mrenclave"
	claimMRSIGNER   = "x-ms-sgx-mrsigner"
	claimProductID  = "x-ms-sgx-product-id"
	claimSVN        = "x-ms-sgx-svn"
	claimDebuggable = "x-ms-sgx-is-debuggable"
	claimReportData = "x-ms-sgx-report-data"
	claimHeldData   = "x-ms-sgx-ehd"
	claimRuntime    = "x-ms-runtime"
)

// typeSGX is the attestation type of both routes for SGX evidence (tokens.md section 5.1).
const typeSGX = "sgx"

// Measurement is an MRENCLAVE or MRSIGNER: a SHA-256 digest.
type Measurement [32]byte

// String gives the 64 lower-case hex digits that tokens use.
func (m Measurement) String() string { return hex.EncodeToString(m[:]) }

// ParseMeasurement reads 64 hex digits in any case.
func ParseMeasurement(s string) (m Measurement, err error) {
	err = parseHex(m[:], s)
	return m, err
}

// SGXClaims are the facts of a token about an SGX enclave.
type SGXClaims struct {
	MRENCLAVE  Measurement
	MRSIGNER   Measurement
	ProductID  uint16 // ISVPRODID
	SVN        uint16 // ISVSVN
	Debuggable bool
	// ReportData is what the enclave put into its report. Where one of the next two is set, its first half is their
	// SHA-256; the issuer has checked that.
	ReportData [64]byte
	// HeldData is the runtime data of a client that sent it as binary, else nil.
	HeldData []byte
	// Runtime is the runtime data of a client that sent it as JSON, else nil: the issuer's writing of the document,
	// whose bytes may differ from those hashed.
	Runtime jsontext.Value
}

// SGX reads the token as one about an SGX enclave. A token of another attestation type, or without one of the claims
// that every SGX token has, is refused as Unmet.
func (t *Token) SGX() (*SGXClaims, error) {
	if kind, _ := t.String(claimType); kind != typeSGX {
		return nil, unmet(claimType, typeSGX, orNone(kind))
	}
	r := claimReader{token: t}
	c := &SGXClaims{ProductID: r.uint16(claimProductID), SVN: r.uint16(claimSVN), Debuggable: r.bool(claimDebuggable)}
	r.hex(claimMRENCLAVE, c.MRENCLAVE[:])
	r.hex(claimMRSIGNER, c.MRSIGNER[:])
	r.hex(claimReportData, c.ReportData[:])
	c.HeldData = r.optionalBytes(claimHeldData)
	c.Runtime, _ = t.JSON(claimRuntime)
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

// claimReader reads claims and keeps the first error.
type claimReader struct {
	token *Token
	err   error
}

func (r *claimReader) fail(name, form string) {
	if r.err == nil {
		found, _ := r.token.JSON(name)
		r.err = unmet(name, form, orNone(string(found)))
	}
}

func (r *claimReader) uint16(name string) uint16 {
	n, ok := r.token.Int(name)
	if !ok || n < 0 || n > math.MaxUint16 {
		r.fail(name, "an integer of 16 bits")
		return 0
	}
	return uint16(n)
}

func (r *claimReader) bool(name string) bool {
	b, ok := r.token.Bool(name)
	if !ok {
		r.fail(name, "true or false")
	}
	return b
}

func (r *claimReader) hex(name string, to []byte) {
	s, ok := r.token.String(name)
	if !ok || parseHex(to, s) != nil {
		r.fail(name, fmt.Sprintf("%d hex digits", 2*len(to)))
	}
}

func (r *claimReader) optionalBytes(name string) []byte {
	if _, there := r.token.JSON(name); !there {
		return nil
	}
	s, ok := r.token.String(name)
	b, err := b64.DecodeURL(s)
	if !ok || err != nil {
		r.fail(name, "unpadded base64url")
	}
	return b
}

// parseHex fills to from exactly as many digits.
func parseHex(to []byte, s string) error {
	if len(s) != 2*len(to) {
		return fmt.Errorf("expected %d hex digits, found %d characters", 2*len(to), len(s))
	}
	_, err := hex.Decode(to, []byte(s))
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
