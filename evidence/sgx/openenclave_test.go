package sgx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// Formats of Open Enclave evidence (sgx-tdx.md section 3.2).
const (
	formatECDSA  = "a3a21e871b4d4014b70aa125d2fbcd8c"
	formatLegacy = "c8303454d9234c2ca691df7def460a76"
	formatQuote  = "1923d91e12d24c72b22025cd8dace871"
	formatLocal  = "09268c336e0b45e58a2715644d0ef89a"
	formatTDX    = "8ba70286c1cf11edafa10242ac120002"
)

// openEvidence puts the header of oe_get_evidence in front of data.
func openEvidence(t testing.TB, format string, data []byte) []byte {
	t.Helper()
	uuid, err := hex.DecodeString(format)
	if err != nil {
		t.Fatal(err)
	}
	b := binary.LittleEndian.AppendUint32(nil, 3)
	b = append(append(b, uuid...), 0, 0, 0, 0)
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(data))), data...)
}

// customClaims encodes one custom claim (sgx-tdx.md section 3.2).
func customClaims(name, value string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(le.AppendUint64(nil, 1), 1)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(name)+1)), uint64(len(value)))
	return append(append(append(b, name...), 0), value...)
}

// quoteOver is a quote whose report data is the SHA-256 of data, with its scenario.
func (l *lab) quoteOver(data []byte) (*assaytest.Scenario, []byte) {
	l.Helper()
	s := l.scenario(func(s *assaytest.Scenario) {
		sum := sha256.Sum256(data)
		copy(s.Enclave.ReportData[:], sum[:])
	})
	b, err := s.Quote()
	if err != nil {
		l.Fatal(err)
	}
	return s, b
}

func TestOpenEnclaveEvidence(t *testing.T) {
	l := newLab(t)
	claims := customClaims("name", "value")
	s, quote := l.quoteOver(claims)
	report := assaytest.OpenEnclaveReport(quote)
	size := func(b []byte, by int) []byte {
		b = bytes.Clone(b)
		b[24] += byte(by)
		return b
	}
	ecdsa := openEvidence(t, formatECDSA, slices.Concat(quote, claims))
	for _, tt := range []struct {
		what   string
		b      []byte
		accept bool
	}{
		{"report", report, true},
		{"quote", openEvidence(t, formatQuote, quote), true},
		{"legacy report", openEvidence(t, formatLegacy, report), true},
		{"quote with custom claims", ecdsa, true},
		{"nothing", nil, false},
		{"bare quote", quote, false},
		{"half a header", report[:15], false},
		{"half a header of evidence", ecdsa[:31], false},
		{"only a header", openEvidence(t, formatQuote, nil), false},
		{"size too small", size(ecdsa, -1), false},
		{"size too great", size(ecdsa, +1), false},
		{"size of 2^63", func() []byte { b := bytes.Clone(ecdsa); b[31] = 0x80; return b }(), false},
		{"a byte behind", append(bytes.Clone(ecdsa), 0), false},
		{"a byte behind the quote", openEvidence(t, formatQuote, append(bytes.Clone(quote), 0)), false},
		{"legacy report of a wrong size", openEvidence(t, formatLegacy, append(bytes.Clone(report), 0)), false},
		{"report in the format of a quote", openEvidence(t, formatQuote, report), false},
		{"quote in the format of a legacy report", openEvidence(t, formatLegacy, quote), false},
		{"evidence in evidence", openEvidence(t, formatQuote, openEvidence(t, formatQuote, quote)), false},
		{"evidence in a report", assaytest.OpenEnclaveReport(openEvidence(t, formatQuote, quote)), false},
		{"report in a report", assaytest.OpenEnclaveReport(report), false},
		{"legacy evidence in legacy evidence", openEvidence(t, formatLegacy, openEvidence(t, formatLegacy, report)), false},
		{"local attestation", openEvidence(t, formatLocal, quote), false},
		{"TDX", openEvidence(t, formatTDX, quote), false},
		{"unknown format", openEvidence(t, "00000000000000000000000000000000", quote), false},
	} {
		_, err := l.judgeEvidence(s, tt.b, sgx.ParseOpenEnclave)
		var want []evidence.Check
		if !tt.accept {
			want = []evidence.Check{evidence.QuoteFormat}
		}
		dcaptest.Expect(t, tt.what, err, want...)
	}
}

func TestEveryTruncatedEnvelopeIsRefused(t *testing.T) {
	l := newLab(t)
	_, quote := l.quoteOver(nil)
	for what, b := range map[string][]byte{
		"report": assaytest.OpenEnclaveReport(quote), "evidence": openEvidence(t, formatECDSA, quote),
		"legacy": openEvidence(t, formatLegacy, assaytest.OpenEnclaveReport(quote)),
	} {
		if _, err := sgx.ParseOpenEnclave(b); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for n := range b {
			if _, err := sgx.ParseOpenEnclave(b[:n:n]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", what, n, len(b))
			}
		}
	}
}

// The quote vouches for the bytes of the custom claims and nothing else. What they say is not read.
func customClaimsAreBoundExactly(t *testing.T, l *lab) {
	for _, claims := range [][]byte{nil, []byte("no structure"), customClaims("a", "b"), make([]byte, 1<<16)} {
		s, quote := l.quoteOver(claims)
		_, err := l.judgeEvidence(s, openEvidence(t, formatECDSA, slices.Concat(quote, claims)), sgx.ParseOpenEnclave)
		dcaptest.Expect(t, "as quoted", err)
		for what, other := range map[string][]byte{
			"a NUL byte more": append(bytes.Clone(claims), 0), "others": []byte("others"),
			"the hash": s.Enclave.ReportData[:32], "hex": []byte(hex.EncodeToString(claims) + "00"),
		} {
			_, err := l.judgeEvidence(s, openEvidence(t, formatECDSA, slices.Concat(quote, other)), sgx.ParseOpenEnclave)
			dcaptest.Expect(t, what, err, evidence.QuoteFormat)
		}
	}
}

// The hash in the claims is over what was submitted, envelope included.
func TestQuoteHashCoversTheEnvelope(t *testing.T) {
	l := newLab(t)
	s, quote := l.quoteOver(nil)
	for _, b := range [][]byte{
		assaytest.OpenEnclaveReport(quote), openEvidence(t, formatQuote, quote), openEvidence(t, formatECDSA, quote),
	} {
		v, err := l.judgeEvidence(s, b, sgx.ParseOpenEnclave)
		if err != nil {
			t.Fatal(err)
		}
		if want := sha256.Sum256(b); v.QuoteHash != want {
			t.Errorf("quote hash %x, want %x", v.QuoteHash, want)
		}
	}
	padded := append(bytes.Clone(quote), 0, 0)
	v, err := l.judgeEvidence(s, padded, sgx.Parse)
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(padded); v.QuoteHash != want {
		t.Errorf("quote hash of a padded quote %x, want %x", v.QuoteHash, want)
	}
}

// Either form is refused where the other is due, and TDX quotes in both.
func TestFormsAreNotMixedUp(t *testing.T) {
	for _, c := range vectortest.DCAPCases(t, "sgx", "openenclave", "tdx") {
		if !c.Accept {
			continue
		}
		if c.Type != "sgx" {
			_, err := sgx.Parse(c.Quote)
			dcaptest.Expect(t, c.Name+" as a bare SGX quote", err, evidence.QuoteFormat)
		}
		if c.Type != "openenclave" {
			_, err := sgx.ParseOpenEnclave(c.Quote)
			dcaptest.Expect(t, c.Name+" as Open Enclave evidence", err, evidence.QuoteFormat)
		}
		if c.Type == "tdx" {
			_, err := sgx.ParseOpenEnclave(assaytest.OpenEnclaveReport(c.Quote))
			dcaptest.Expect(t, c.Name+" in an Open Enclave report", err, evidence.QuoteFormat)
		}
	}
}

func TestOriginOfAnotherQuoteIsRefused(t *testing.T) {
	l := newLab(t)
	s, b := l.quoteOver(nil)
	_, other := l.quoteOver([]byte("other"))
	mine, err := sgx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := sgx.Parse(other)
	if err != nil {
		t.Fatal(err)
	}
	o, err := l.verifier.Trace(theirs.Quote, today(), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.Collateral()
	if err != nil {
		t.Fatal(err)
	}
	c, err := dcaptest.Load(l.verifier, o, dcaptest.Files(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, err = sgx.Verify(l.verifier, o, mine, dcap.Input{Collateral: c, Options: dcap.Options{At: today()}})
	dcaptest.Expect(t, "origin of another quote", err, evidence.QuoteFormat)
}
