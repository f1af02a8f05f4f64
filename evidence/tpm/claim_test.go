package tpm

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/assay-attestation/assay/evidence"
)

// labClaim writes an NCrypt platform claim (tpm.md section 6).
func labClaim(signature, quote []byte, b Bank) []byte {
	pcrs := bytes.Join(b.Values[:], nil)
	var c []byte
	for _, v := range []int{0x54504C41, 0, int(b.Alg), len(signature), len(quote), len(pcrs)} {
		c = binary.LittleEndian.AppendUint32(c, uint32(v))
	}
	return bytes.Join([][]byte{c, signature, quote, pcrs}, nil)
}

func allPCRs(alg Alg) Bank {
	var all []int
	for i := range PCRCount {
		all = append(all, i)
	}
	return bankOf(alg, all...)
}

func TestPlatformClaimVouchesForAllPCRs(t *testing.T) {
	for _, alg := range []Alg{SHA1, SHA256, SHA384, SHA512} {
		key, q := rsaKey(t), newQuote(allPCRs(alg))
		b := q.bytes()
		claim, err := ParsePlatformClaim(labClaim(signTPM(t, key, rsassa, SHA256, b), b, q.banks[0]))
		if err != nil {
			t.Fatal(err)
		}
		in := QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: []Bank{claim.PCRs}, Required: 1<<24 - 1, AllowSHA1: true}
		if _, err := claim.Attest.VerifyQuote(in); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		claim.PCRs.Values[23] = make([]byte, alg.Size())
		in.PCRs = []Bank{claim.PCRs}
		_, err = claim.Attest.VerifyQuote(in)
		expect(t, err, evidence.PCRDigest)
	}
}

func TestClaimsThatDoNotAddUpAreRefused(t *testing.T) {
	q := newQuote(allPCRs(SHA256))
	good := labClaim(goodSignature(), q.bytes(), q.banks[0])
	if _, err := ParsePlatformClaim(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at    int
		value uint32
	}{
		"magic": {0, 0x54504C42}, "version 1": {4, 1}, "unknown hash": {8, 0x12}, "hash above 16 bits": {8, 0x1000B},
		"hash of another length": {8, 0x0C}, "signature shorter": {12, 6}, "signature longer": {12, 8},
		"signature huge": {12, 0xFFFFFFFF}, "quote huge": {16, 0xFFFFFFFF}, "quote longer": {16, 200},
		"23 PCRs": {20, 23 * 32}, "25 PCRs": {20, 25 * 32}, "PCRs huge": {20, 0xFFFFFFFF},
	} {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[c.at:], c.value)
		if _, err := ParsePlatformClaim(b); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			expect(t, err, evidence.AttestFormat)
		}
	}
	for n := range good {
		_, err := ParsePlatformClaim(good[:n])
		expect(t, err, evidence.AttestFormat)
	}
	_, err := ParsePlatformClaim(append(bytes.Clone(good), 0))
	expect(t, err, evidence.AttestFormat)
}

func TestPartsOfClaimsAreBounded(t *testing.T) {
	bank := allPCRs(SHA256)
	for _, c := range []struct {
		signature, quote int
		good             bool
	}{{6 + 1024, 1024, true}, {6 + 1025, 1024, false}, {6 + 1024, 1025, false}} {
		q := newQuote(bank)
		q.kind = 0x8014
		q.tail = make([]byte, c.quote-len(q.bytes()))
		sig := append2B([]byte{0, 0x14, 0, 0x0B}, make([]byte, c.signature-6))
		if _, err := ParsePlatformClaim(labClaim(sig, q.bytes(), bank)); (err == nil) != c.good {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
