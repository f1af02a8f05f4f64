package gosevguest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// mutations is how many there are of each case that both accept: 2,016 of the 24.
const mutations = 84

// base is a case that both accept, and how to sign a changed report: nil where nobody has the key.
type base struct {
	input
	key *ecdsa.PrivateKey
}

// bases are the accepted cases. The synthetic ones have one key, which is in the vectors.
func bases(t *testing.T) []base {
	t.Helper()
	block, _ := pem.Decode(read(t, "synthetic/vcek-key.pem"))
	key := parseKey(t, block.Bytes)
	var out []base
	for _, c := range vectors(t) {
		in := c.input(t)
		v, err := in.ours()
		if _, err2 := in.theirs(); !strings.HasPrefix(c.Expect, "accept") || err != nil || err2 != nil {
			continue
		}
		b := base{input: *in}
		leaf, _ := pem.Decode(in.chain)
		if cert, err := x509.ParseCertificate(leaf.Bytes); err == nil && key.PublicKey.Equal(cert.PublicKey) && v != nil {
			b.key = key
		}
		out = append(out, b)
	}
	if !slices.ContainsFunc(out, func(b base) bool { return b.key != nil }) {
		vectortest.NoCase(t, "accepted case whose key is known")
	}
	return out
}

func parseKey(t *testing.T, der []byte) *ecdsa.PrivateKey {
	t.Helper()
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

// TestMutationsAreVerifiedAlike changes bytes of reports and chains, fields of reports that are then signed anew, and certificates that are
// then issued anew: what a signature keeps from anybody is worth no comparison.
func TestMutationsAreVerifiedAlike(t *testing.T) {
	tally, issuer := compare.NewTally(classes()), newAuthorities(t)
	for _, original := range bases(t) {
		r := compare.Random(original.name, 1)
		for i := range mutations {
			b := original
			how := b.mutate(t, r, issuer)
			tally.Add(t, fmt.Sprintf("mutation %d of %s: %s", i, b.name, how), b.diff())
		}
	}
	tally.EachOccurs(t)
}

func (b *base) mutate(t *testing.T, r *mrand.Rand, issuer *authorities) (how string) {
	t.Helper()
	switch kind := r.IntN(8); {
	case kind < 1:
		b.report, how = damage(r, b.report), "report"
	case kind < 3 || kind < 5 && b.key == nil:
		b.chain, how = damageText(r, b.chain), "chain"
	case b.key == nil || kind < 4:
		how = issuer.reissue(r, &b.input)
	default:
		b.report, how = b.sign(t, r)
	}
	return how
}

// damage changes bytes, cuts, or adds.
func damage(r *mrand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	switch at := r.IntN(len(b)); r.IntN(6) {
	case 0:
		return b[:at]
	case 1:
		return append(b, make([]byte, 1+r.IntN(8))...)
	default:
		b[at] ^= 1 << r.IntN(8)
	}
	return b
}

// damageText changes a character, or a whole certificate of a chain.
func damageText(r *mrand.Rand, text []byte) []byte {
	blocks := bytes.SplitAfter(bytes.TrimSpace(text), []byte("-----END CERTIFICATE-----"))
	blocks = slices.DeleteFunc(blocks, func(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 })
	i, j := r.IntN(len(blocks)), r.IntN(len(blocks))
	switch r.IntN(8) {
	case 0: // one less
		blocks = slices.Delete(blocks, i, i+1)
	case 1: // one twice
		blocks = append(blocks, slices.Concat([]byte("\n"), bytes.TrimSpace(blocks[i])))
	case 2: // the authorities changed over
		if i > 0 && j > 0 {
			blocks[i], blocks[j] = blocks[j], blocks[i]
		}
	case 3: // text between them
		blocks[i] = slices.Concat([]byte("\nsubject=CN = SEV-VCEK\n"), blocks[i])
	case 4: // a bit of the DER
		blocks[i] = damageDER(r, blocks[i])
	default:
		blocks[i] = damage(r, blocks[i])
	}
	return bytes.TrimSpace(slices.Concat(blocks...))
}

func damageDER(r *mrand.Rand, text []byte) []byte {
	block, _ := pem.Decode(text)
	if block == nil {
		return text
	}
	der := slices.Clone(block.Bytes)
	der[r.IntN(len(der))] ^= 1 << r.IntN(8)
	return slices.Concat([]byte("\n"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// field is a part of a report.
type field struct {
	name         string
	offset, size int
}

// fieldsOfReports are those that mean something to a verifier, and reserved ones (sev-snp.md section 1).
func fieldsOfReports() []field {
	return []field{
		{"version", 0, 4}, {"guest SVN", 4, 4}, {"policy", 8, 8}, {"family id", 0x10, 16}, {"VMPL", 0x30, 4}, {"signature algorithm", 0x34, 4},
		{"current TCB", 0x38, 8}, {"platform info", 0x40, 8}, {"key flags", 0x48, 4}, {"reserved 4C", 0x4C, 4}, {"report data", 0x50, 64},
		{"measurement", 0x90, 48}, {"id key", 0xE0, 48}, {"author key", 0x110, 48}, {"reported TCB", 0x180, 8}, {"CPUID", 0x188, 3}, {"stepping", 0x18A, 1}, {"reserved 18B", 0x18B, 21},
		{"chip id", 0x1A0, 64}, {"committed TCB", 0x1E0, 8}, {"current build", 0x1E8, 4}, {"committed build", 0x1EC, 4}, {"launch TCB", 0x1F0, 8},
		{"mitigation vectors", 0x1F8, 16}, {"reserved 208", 0x208, 152},
	}
}

// sign changes one or two fields of the report and signs it.
func (b *base) sign(t *testing.T, r *mrand.Rand) (report []byte, how string) {
	t.Helper()
	report = slices.Clone(b.report)
	for range 1 + r.IntN(2) {
		all := fieldsOfReports()
		f := all[r.IntN(len(all))]
		change(r, report[f.offset:f.offset+f.size])
		how += f.name + ", signed; "
	}
	digest := sha512.Sum384(report[:0x2A0])
	s1, s2, err := ecdsa.Sign(rand.Reader, b.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []*big.Int{s1, s2} {
		number := n.FillBytes(make([]byte, 72))
		slices.Reverse(number)
		copy(report[0x2A0+72*i:], number)
	}
	return report, how
}

// change gives a field another value: a near one, a bit, zeros or ones.
func change(r *mrand.Rand, field []byte) {
	at := r.IntN(len(field))
	switch r.IntN(6) {
	case 0:
		clear(field)
	case 1:
		for i := range field {
			field[i] = 0xFF
		}
	case 2:
		field[at]++
	case 3:
		field[at]--
	case 4:
		clear(field)
		field[0] = byte(r.IntN(8))
	default:
		field[at] ^= 1 << r.IntN(8)
	}
}

// numbers of a TCB as the library has it.
func number(t snp.TCB) uint64 { return binary.LittleEndian.Uint64(t[:]) }
