package dcap_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// allVersions are sound quotes, by version.
func (l lab) allVersions() map[uint16][]byte {
	l.Helper()
	quotes := map[uint16][]byte{}
	for _, version := range []uint16{3, 4, 5} {
		b, err := l.scenario(func(s *assaytest.Scenario) { s.QuoteVersion = version }).Quote()
		if err != nil {
			l.Fatal(err)
		}
		quotes[version] = b
	}
	return quotes
}

func TestEveryTruncationIsRefused(t *testing.T) {
	quotes := map[string][]byte{}
	for version, b := range newLab(t).allVersions() {
		quotes[fmt.Sprintf("version %d", version)] = b
	}
	for _, r := range realQuotes(t) {
		quotes[r.name] = r.bytes[:len(r.bytes)-r.facts.Trailing]
	}
	for name, b := range quotes {
		for n := range b {
			if _, err := dcap.ParseQuote(b[:n:n]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", name, n, len(b))
			}
		}
		_, err := dcap.ParseQuote(b[:len(b)-1])
		dcaptest.Expect(t, name, err, evidence.QuoteFormat)
	}
}

// sizeField is where a quote states a length.
type sizeField struct{ offset, width int }

// sizeFields are those of a quote with 32 bytes of authentication data (sgx-tdx.md section 2.5).
func sizeFields(version uint16) map[string]sizeField {
	at := 432
	if version == 5 {
		at += 6
	}
	fields := map[string]sizeField{"signature data": {at, 4}}
	at += 4 + 64 + 64
	if version > 3 {
		fields["outer certification data"] = sizeField{at + 2, 4}
		at += 6
	}
	at += 384 + 64
	fields["authentication data"] = sizeField{at, 2}
	fields["certification data"] = sizeField{at + 2 + 32 + 2, 4}
	return fields
}

func TestEveryWrongLengthIsRefusedAtNoCost(t *testing.T) {
	for version, b := range newLab(t).allVersions() {
		for name, f := range sizeFields(version) {
			le := binary.LittleEndian
			read := func(b []byte) uint32 { return uint32(le.Uint16(b)) }
			write := func(b []byte, v uint32) { le.PutUint16(b, uint16(v)) }
			if f.width == 4 {
				read, write = le.Uint32, le.PutUint32
			}
			right := read(b[f.offset:])
			for _, wrong := range []uint32{0, 1, right - 1, right + 1, right + 2, 0x7FFF, 0xFFFF, 1 << 31, 1<<31 - 1, 1<<32 - 1} {
				bad := bytes.Clone(b)
				if write(bad[f.offset:], wrong); read(bad[f.offset:]) == right {
					continue
				}
				_, err := dcap.ParseQuote(bad)
				dcaptest.Expect(t, fmt.Sprintf("version %d, %s %d for %d", version, name, wrong, right), err, evidence.QuoteFormat)
				if n := allocated(func() { _, _ = dcap.ParseQuote(bad) }); n > 1<<16 {
					t.Errorf("version %d, %s %d: %d bytes allocated", version, name, wrong, n)
				}
			}
		}
	}
}

func TestSizesOfAuthenticationData(t *testing.T) {
	l := newLab(t)
	for _, n := range []int{0, 1, 31, 33, 65535} {
		for _, version := range []uint16{3, 4, 5} {
			_, err := l.verify(l.scenario(func(s *assaytest.Scenario) {
				s.QuoteVersion, s.AuthData = version, bytes.Repeat([]byte{7}, n)
			}))
			dcaptest.Expect(t, fmt.Sprintf("%d bytes in version %d", n, version), err)
		}
	}
}

func TestTrailingBytesAreCountedAndChangeNothing(t *testing.T) {
	l := newLab(t)
	for _, tail := range [][]byte{{0}, make([]byte, 70), make([]byte, 3065), []byte("not zero")} {
		s := l.scenario(dcaptest.Edit(assaytest.Evidence, func(b []byte) []byte { return append(b, tail...) }))
		v, err := l.verify(s)
		if err != nil {
			t.Errorf("%d bytes behind the quote: %v", len(tail), err)
			continue
		}
		if got := v.Origin.Quote().Trailing; got != len(tail) {
			t.Errorf("trailing bytes: got %d, want %d", got, len(tail))
		}
	}
}

func TestHeaderValues(t *testing.T) {
	le := binary.LittleEndian
	put := func(offset int, v uint16) func([]byte) { return func(b []byte) { le.PutUint16(b[offset:], v) } }
	quotes := newLab(t).allVersions()
	for _, tt := range []struct {
		what    string
		version uint16
		change  func([]byte)
	}{
		{"version 0", 3, put(0, 0)},
		{"version 2", 3, put(0, 2)},
		{"version 6", 5, put(0, 6)},
		{"version in the other byte order", 3, put(0, 0x0300)},
		{"EPID", 3, put(2, 1)},
		{"P-384", 3, put(2, 3)},
		{"P-384 in version 5", 5, put(2, 3)},
		{"TDX in version 3", 3, put(4, 0x81)},
		{"something in the reserved bytes of version 3", 3, put(4, 1)},
		{"TDX type, SGX body in version 5", 5, put(4, 0x81)},
		{"unknown TEE in version 4", 4, put(4, 0x80)},
		{"high half of the TEE type", 4, put(6, 1)},
		{"vendor", 3, put(12, 0)},
		{"vendor's last byte", 4, func(b []byte) { b[27]++ }},
		{"body type 0", 5, put(48, 0)},
		{"body type 2", 5, put(48, 2)},
		{"body type 5", 5, put(48, 5)},
		{"body size", 5, put(50, 383)},
		{"high half of the body size", 5, put(52, 1)},
	} {
		b := bytes.Clone(quotes[tt.version])
		tt.change(b)
		_, err := dcap.ParseQuote(b)
		dcaptest.Expect(t, tt.what, err, evidence.QuoteFormat)
	}
}

// The order of P-256, from SEC 2 section 2.4.2.
const orderP256 = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

func TestSignaturesOutOfRange(t *testing.T) {
	n, err := hex.DecodeString(orderP256)
	if err != nil {
		t.Fatal(err)
	}
	zero := make([]byte, 32)
	l := newLab(t)
	for _, part := range []assaytest.Part{assaytest.QuoteSignature, assaytest.QEReportSignature} {
		for what, half := range map[string][]byte{"zero": zero, "the group order": n, "all ones": bytes.Repeat([]byte{0xFF}, 32)} {
			for i, name := range []string{"r", "s"} {
				put := func(b []byte) []byte { copy(b[32*i:], half); return b }
				_, err := l.verify(l.scenario(dcaptest.Edit(part, put)))
				dcaptest.Expect(t, fmt.Sprintf("%s: %s is %s", part, name, what), err, evidence.QuoteFormat)
			}
		}
	}
}

func TestAttestationKeysThatAreNoPoints(t *testing.T) {
	l := newLab(t)
	for what, key := range map[string][]byte{"zero": make([]byte, 64), "all ones": bytes.Repeat([]byte{0xFF}, 64), "one off": nil} {
		_, err := l.verify(l.scenario(dcaptest.Edit(assaytest.AttestationKey, func(b []byte) []byte {
			if key == nil {
				b[63] ^= 1
				return b
			}
			return bytes.Clone(key)
		})))
		dcaptest.Expect(t, what, err, evidence.QuoteFormat)
	}
}

// No quote with one bit changed in what the signatures cover is accepted. Every byte is tried, one bit of each.
func TestOneBitAnywhere(t *testing.T) {
	l := newLab(t)
	s := l.scenario()
	o, c := l.endorsed(s)
	b, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	masks := make([]byte, len(b))
	if _, err := rand.Read(masks); err != nil {
		t.Fatal(err)
	}
	chain := bytes.Index(b, []byte("-----BEGIN"))
	for i := range b[:chain] {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (masks[i] & 7)
		q, err := dcap.ParseQuote(bad)
		if err == nil {
			o, err = l.verifier.Trace(q, today(), nil)
		}
		if err == nil {
			_, err = l.verifier.Verify(o, c, dcap.Options{At: today()}, nil)
		}
		if err == nil {
			t.Errorf("accepted with byte %d of %d changed from %#x to %#x", i, len(b), b[i], bad[i])
		}
	}
}

// A quote of the other TEE does not hold against the collateral of this one.
func TestCollateralOfSGXDoesNotJudgeTDX(t *testing.T) {
	l := newLab(t)
	s := l.scenario()
	s.QuoteVersion = 4
	b, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	td := slices.Concat(b[:4], []byte{0x81, 0, 0, 0}, b[8:432], make([]byte, 200), b[432:])
	q, err := dcap.ParseQuote(td)
	if err != nil || q.TEE != dcap.TDX || len(q.Body) != 584 {
		t.Fatalf("TDX quote: got %+v (%v)", q, err)
	}
	o, err := l.verifier.Trace(q, today(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.collateral(o, s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.verifier.Verify(o, c, dcap.Options{At: today()}, nil)
	dcaptest.Expect(t, "TDX quote", err, evidence.TCBInfoMismatch)
}
