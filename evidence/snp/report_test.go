package snp_test

import (
	"bytes"
	"crypto/elliptic"
	"math/big"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// refusedSaying fails unless err is a refusal for check whose text has part.
func refusedSaying(t *testing.T, err error, check evidence.Check, part string) {
	t.Helper()
	refusedFor(t, err, check)
	if err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want a text with %q", err, part)
	}
}

func TestReportHasItsExactLength(t *testing.T) {
	l := newLab(t, "Milan")
	for _, n := range []int{0, 1, snp.ReportSize - 1, snp.ReportSize + 1, 4096} {
		b := append(l.raw(), make([]byte, 4096)...)[:n]
		_, err := snp.ParseReport(b)
		refusedSaying(t, err, evidence.SNPFormat, "expected 1184 bytes")
	}
}

// TestReservedFieldsAreZero sets the first and the last byte of each.
func TestReservedFieldsAreZero(t *testing.T) {
	l := newLab(t, "Milan")
	for _, offset := range []int{0x4C, 0x4F, 0x18B, 0x19F, 0x1EB, 0x1EF, 0x208, 0x29F, 0x330, 0x49F} {
		b := l.raw()
		b[offset] = 0x80
		_, err := snp.ParseReport(b)
		refusedSaying(t, err, evidence.SNPFormat, "the reserved byte at offset 0x")
	}
}

func TestFieldsThatAReportCannotHave(t *testing.T) {
	l := newLab(t, "Milan")
	v2 := set(0, 2)
	for name, c := range map[string]struct {
		edits []func([]byte)
		part  string
	}{
		"algorithm 0":                        {[]func([]byte){set(0x34, 0)}, "SIGNATURE_ALGO is 0"},
		"algorithm 2":                        {[]func([]byte){set(0x34, 2)}, "SIGNATURE_ALGO is 2"},
		"key flag 5":                         {[]func([]byte){set(0x48, 0x20)}, "bits from 5 on"},
		"key flag 31":                        {[]func([]byte){set(0x4B, 0x80)}, "bits from 5 on"},
		"signing key 2":                      {[]func([]byte){set(0x48, 2<<2)}, "found 2"},
		"signing key 6":                      {[]func([]byte){set(0x48, 6<<2)}, "found 6"},
		"policy without bit 17":              {[]func([]byte){set(8, 0x1F, 0, 1)}, "found 0x1001f"},
		"policy with bit 26":                 {[]func([]byte){set(8, 0x1F, 0, 2, 4)}, "found 0x402001f"},
		"policy with bit 63":                 {[]func([]byte){set(15, 0x80)}, "bits 26 to 63 zero"},
		"VMPL 4":                             {[]func([]byte){set(0x30, 4)}, "no such VMPL"},
		"VMPL FFFFFFFE":                      {[]func([]byte){set(0x30, 0xFE, 0xFF, 0xFF, 0xFF)}, "found FFFFFFFE"},
		"version 2 with CPUID family":        {[]func([]byte){v2, set(0x188, 0x19, 0, 0)}, "has a CPUID"},
		"version 2 with CPUID stepping":      {[]func([]byte){v2, set(0x188, 0, 0, 1)}, "has a CPUID"},
		"version 4 with launch mitigation":   {[]func([]byte){set(0, 4), set(0x1F8, 1)}, "has mitigation vectors"},
		"version 4 with current mitigation":  {[]func([]byte){set(0, 4), set(0x207, 1)}, "has mitigation vectors"},
		"version 5 with what is behind them": {[]func([]byte){set(0, 5), set(0x208, 1)}, "offset 0x208"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snp.ParseReport(l.raw(c.edits...))
			refusedSaying(t, err, evidence.SNPFormat, c.part)
		})
	}
}

func TestFieldsThatAReportMayHave(t *testing.T) {
	l := newLab(t, "Milan")
	for name, edits := range map[string][]func([]byte){
		"all known policy bits":          {set(8, 0xFF, 0xFF, 0xFF, 0x03)},
		"VMPL 3":                         {set(0x30, 3)},
		"a request by the host":          {set(0x30, 0xFF, 0xFF, 0xFF, 0xFF)},
		"author key and masked chip key": {set(0x48, 3)},
		"nobody signed":                  {set(0x48, 7<<2)},
		"platform bits yet unknown":      {set(0x40, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)},
		"version 2 without CPUID":        {set(0, 2), set(0x188, 0, 0, 0)},
		"version 5 with mitigations":     {set(0, 5), set(0x1F8, bytes.Repeat([]byte{0xFF}, 16)...)},
		"builds":                         {set(0x1E8, 1, 2, 3, 0, 4, 5, 6)},
	} {
		if _, err := snp.ParseReport(l.raw(edits...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignatureNumbersAreInRange(t *testing.T) {
	l := newLab(t, "Milan")
	n := elliptic.P384().Params().N
	add := func(d int64) *big.Int { return new(big.Int).Add(n, big.NewInt(d)) }
	high := new(big.Int).Lsh(big.NewInt(1), 8*48)
	for _, offset := range []int{0x2A0, 0x2E8} {
		for _, number := range []*big.Int{big.NewInt(0), n, add(1), high, new(big.Int).Lsh(high, 8*23)} {
			b := l.raw()
			putNumber(b[offset:], number)
			_, err := snp.ParseReport(b)
			refusedSaying(t, err, evidence.SNPSignature, "from 1 to n-1")
		}
		for _, number := range []*big.Int{big.NewInt(1), add(-1)} {
			b := l.raw()
			putNumber(b[offset:], number)
			if _, err := snp.ParseReport(b); err != nil {
				t.Errorf("%x: %v", number, err)
			}
		}
	}
}

func TestReportNobodySignedNeedsNoSignature(t *testing.T) {
	b := newLab(t, "Milan").raw(set(0x48, 7<<2))
	clear(b[0x2A0:0x330])
	if _, err := snp.ParseReport(b); err != nil {
		t.Error(err)
	}
}

// TestProcessorByCPUID walks the edges of the ranges of sev-snp.md section 1.
func TestProcessorByCPUID(t *testing.T) {
	l := newLab(t, "Milan")
	for _, c := range []struct {
		family, model byte
		want          snp.Product
	}{
		{0x19, 0x00, snp.Milan}, {0x19, 0x0F, snp.Milan}, {0x19, 0x10, snp.Genoa}, {0x19, 0x1F, snp.Genoa}, {0x19, 0x20, ""}, {0x19, 0x9F, ""},
		{0x19, 0xA0, snp.Genoa}, {0x19, 0xAF, snp.Genoa}, {0x19, 0xB0, ""}, {0x1A, 0x00, snp.Turin}, {0x1A, 0x11, snp.Turin}, {0x1A, 0x12, ""},
		{0x1A, 0x4F, ""}, {0x1A, 0x50, snp.Venice}, {0x1A, 0x57, snp.Venice}, {0x1A, 0x58, ""}, {0x1A, 0x8F, ""}, {0x1A, 0x90, snp.Venice},
		{0x1A, 0xAF, snp.Venice}, {0x1A, 0xB0, ""}, {0x1A, 0xBF, ""}, {0x1A, 0xC0, snp.Venice}, {0x1A, 0xC7, snp.Venice}, {0x1A, 0xC8, ""},
		{0x18, 0x01, ""}, {0x1B, 0x01, ""}, {0x00, 0x00, ""},
	} {
		got, err := l.report(set(0x188, c.family, c.model)).Product()
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("family %#x, model %#x: got %q (%v), want %q", c.family, c.model, got, err, c.want)
		}
	}
}

func TestComponentsByProduct(t *testing.T) {
	tcb := snp.TCB{1, 2, 3, 4, 5, 6, 7, 8}
	milan := snp.Components{BootLoader: 1, TEE: 2, SNP: 7, Microcode: 8}
	turin := snp.Components{FMC: 1, BootLoader: 2, TEE: 3, SNP: 4, Microcode: 8}
	for p, want := range map[snp.Product]snp.Components{snp.Milan: milan, snp.Genoa: milan, snp.Turin: turin, snp.Venice: turin, "Rome": {}, "": {}} {
		if got := p.Components(tcb); got != want {
			t.Errorf("%q: got %v, want %v", p, got, want)
		}
	}
}
