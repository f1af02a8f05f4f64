package sgx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/binread"
)

// Numbers and formats of Open Enclave's envelopes (sgx-tdx.md sections 3.1 and 3.2).
const (
	reportVersion   = 1
	reportRemote    = 2
	evidenceVersion = 3
	formatECDSA     = "a3a21e871b4d4014b70aa125d2fbcd8c"
	formatLegacy    = "c8303454d9234c2ca691df7def460a76"
	formatQuote     = "1923d91e12d24c72b22025cd8dace871"
)

// ParseOpenEnclave reads an Open Enclave report (oe_get_report: a 16-byte header and the quote) or Open Enclave
// evidence (oe_get_evidence: a header that names one of three SGX formats). The size in a header must be exact, and
// envelopes do not nest but as the format says. The error is an [evidence.Refusal].
func ParseOpenEnclave(b []byte) (*Evidence, error) {
	c := binread.New(b)
	if version := c.LE32("Open Enclave header version"); c.Err() == nil && version == evidenceVersion {
		return parseEvidence(b)
	}
	quote, err := openReport(b)
	if err != nil {
		return nil, badEnvelope(err)
	}
	return parseExact(quote, b)
}

func badEnvelope(err error) error {
	return evidence.Refuse(evidence.QuoteFormat, "the Open Enclave envelope cannot be parsed").Because(err).
		Do("send the report of oe_get_report, or send a bare quote to /attest/SgxEnclave")
}

// openReport takes the quote out of an Open Enclave report.
func openReport(b []byte) ([]byte, error) {
	c := binread.New(b)
	version, kind := c.LE32("Open Enclave report version"), c.LE32("Open Enclave report type")
	size := c.LE64("Open Enclave report size")
	switch {
	case c.Err() != nil:
		return nil, c.Err()
	case version != reportVersion:
		return nil, fmt.Errorf("report version: expected %d, found %d", reportVersion, version)
	case kind != reportRemote:
		return nil, fmt.Errorf("report type: expected %d (remote), found %d", reportRemote, kind)
	case size != uint64(c.Left()):
		return nil, fmt.Errorf("report size: the header says %d, %d bytes follow", size, c.Left())
	}
	return c.Bytes("quote", c.Left()), nil
}

// parseEvidence reads the header of oe_get_evidence and what its format promises:
//
//	u32 version ‖ format (16) ‖ 4 bytes of alignment ‖ u64 size ‖ data
func parseEvidence(b []byte) (*Evidence, error) {
	c := binread.New(b)
	c.LE32("version")
	format := hex.EncodeToString(c.Bytes("format", 16))
	c.Bytes("alignment", 4)
	size := c.LE64("data size")
	if c.Err() == nil && size != uint64(c.Left()) {
		c.Fail("data size: the header says %d, %d bytes follow", size, c.Left())
	}
	data := c.Bytes("data", c.Left())
	if c.Err() != nil {
		return nil, badEnvelope(c.Err())
	}
	switch format {
	case formatQuote:
		return parseExact(data, b)
	case formatLegacy:
		quote, err := openReport(data)
		if err != nil {
			return nil, badEnvelope(err)
		}
		return parseExact(quote, b)
	case formatECDSA:
		return parseWithClaims(data, b)
	}
	return nil, badEnvelope(fmt.Errorf("evidence format %s is not one of remote SGX evidence", format))
}

// parseExact reads a quote that must end where its envelope ends.
func parseExact(quote, raw []byte) (*Evidence, error) {
	q, err := dcap.ParseQuote(quote)
	if err != nil {
		return nil, err
	}
	if q.Trailing > 0 {
		return nil, badEnvelope(fmt.Errorf("%d bytes follow the quote inside the envelope", q.Trailing))
	}
	return fromQuote(q, raw)
}

// parseWithClaims reads a quote with the custom-claims buffer behind it, to whose SHA-256 the report data is bound. The
// buffer is the enclave's own: Open Enclave offers a layout for it but takes any bytes, and nothing in it becomes a
// claim, so it is not looked into.
func parseWithClaims(data, raw []byte) (*Evidence, error) {
	q, err := dcap.ParseQuote(data)
	if err != nil {
		return nil, err
	}
	e, err := fromQuote(q, raw)
	if err != nil {
		return nil, err
	}
	want := sha256.Sum256(data[len(data)-q.Trailing:])
	if found := e.Report.ReportData[:sha256.Size]; [sha256.Size]byte(found) != want {
		return nil, evidence.Refuse(evidence.QuoteFormat, "the custom claims of the evidence are not bound to the quote").
			Want("report data "+hex.EncodeToString(want[:]), hex.EncodeToString(found))
	}
	return e, nil
}
