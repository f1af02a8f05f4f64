package tpm

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
)

func TestQuotesOfEverySchemeHold(t *testing.T) {
	keys := map[uint16][]crypto.Signer{
		rsassa: {rsaKey(t)}, rsapss: {rsaKey(t)},
		ecdsaS: {ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())},
	}
	for scheme, signers := range keys {
		for _, key := range signers {
			for _, hash := range []Alg{SHA256, SHA384, SHA512} {
				q := newQuote(bankOf(SHA256, 0, 7), bankOf(SHA512, 1))
				q.hash = hash
				b := q.bytes()
				a, err := ParseAttest(b, signTPM(t, key, scheme, hash, b))
				if err != nil {
					t.Fatal(err)
				}
				quoted, err := a.VerifyQuote(QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: q.banks, Required: 1<<0 | 1<<7})
				if err != nil {
					t.Errorf("%x %s %T: %v", scheme, hash, key, err)
					continue
				}
				if banks := quoted.Banks(); banks[0].Alg != SHA512 || banks[1].Alg != SHA256 || !quoted.Covers(1) || !quoted.Covers(7) || quoted.Covers(2) || quoted.Covers(-1) || quoted.Covers(24) {
					t.Errorf("banks %v", banks)
				}
				if want := (Clock{123456, 7, 8, true}); quoted.Clock() != want {
					t.Errorf("clock %+v", quoted.Clock())
				}
			}
		}
	}
}

func TestBareSignaturesAreRSASSAWithSHA256(t *testing.T) {
	q, key := newQuote(bankOf(SHA256, 0)), rsaKey(t)
	for scheme, good := range map[uint16]bool{rsassa: true, rsapss: false} {
		b := q.bytes()
		a, err := ParseAttestRaw(b, signTPM(t, key, scheme, SHA256, b)[6:])
		if err != nil {
			t.Fatal(err)
		}
		if _, err = a.VerifyQuote(QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: q.banks}); (err == nil) != good {
			t.Errorf("scheme %x: %v", scheme, err)
		}
	}
	for n, good := range map[int]bool{0: false, 1: true, 1024: true, 1025: false} {
		if _, err := ParseAttestRaw(q.bytes(), make([]byte, n)); (err == nil) != good {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// Every refusal of a quote, each for one reason only: what is edited is the only thing wrong.
func TestQuotesAreRefused(t *testing.T) {
	other := ecKey(t, elliptic.P256())
	for _, c := range []struct {
		name  string
		check evidence.Check
		words string
		quote func(*labQuote)
		input func(*QuoteInput)
	}{
		{"key of another kind", evidence.AttestSignature, "another kind", nil, func(in *QuoteInput) { in.Key = other.Public() }},
		{"no key", evidence.AIKKey, "neither RSA nor ECDSA", nil, func(in *QuoteInput) { in.Key = nil }},
		{"a private key", evidence.AIKKey, "neither RSA nor ECDSA", nil, func(in *QuoteInput) { in.Key = other }},
		{"magic", evidence.AttestType, "does not begin", func(q *labQuote) { q.magic++ }, nil},
		{"magic over outside data", evidence.AttestType, "does not begin", func(q *labQuote) { q.magic, q.attested = 1, []byte("anything") }, nil},
		{"certification", evidence.AttestType, "not a quote", func(q *labQuote) { q.kind, q.attested = 0x8017, make([]byte, 4) }, nil},
		{"creation", evidence.AttestType, "not a quote", func(q *labQuote) { q.kind = 0x801A }, nil},
		{"other nonce", evidence.AttestNonce, "qualifying data", func(q *labQuote) { q.extra = []byte("The nonce") }, nil},
		{"start of the nonce", evidence.AttestNonce, "qualifying data", func(q *labQuote) { q.extra = []byte("the") }, nil},
		{"nonce and more", evidence.AttestNonce, "qualifying data", func(q *labQuote) { q.extra = []byte("the nonce.") }, nil},
		{"no nonce", evidence.AttestNonce, "qualifying data", func(q *labQuote) { q.extra = nil }, nil},
		{"nonce where none is expected", evidence.AttestNonce, "qualifying data", nil, func(in *QuoteInput) { in.ExtraData = nil }},
		{"no selection", evidence.PCRSelection, "no PCR at all", func(q *labQuote) { q.selections = nil }, func(in *QuoteInput) { in.PCRs = nil }},
		{"empty selection", evidence.PCRSelection, "no PCR at all", func(q *labQuote) { q.selections[0].bitmap = make([]byte, 3) }, nil},
		{"bank twice", evidence.PCRSelection, "a bank twice", func(q *labQuote) { q.selections = append(q.selections, q.selections[0]) },
			func(in *QuoteInput) { in.PCRs = append(in.PCRs, in.PCRs[0]) }},
		{"unknown bank", evidence.PCRSelection, "not known", func(q *labQuote) { q.selections[0].bank = 0x12 }, nil},
		{"PCR 24", evidence.PCRSelection, "does not have", func(q *labQuote) { q.selections[0].bitmap = append(q.selections[0].bitmap, 1) }, nil},
		{"PCR 255", evidence.PCRSelection, "does not have", func(q *labQuote) {
			q.selections[0].bitmap = append(q.selections[0].bitmap, append(make([]byte, 28), 0x80)...)
		}, nil},
		{"no values", evidence.PCRSelection, "banks that came along", nil, func(in *QuoteInput) { in.PCRs = nil }},
		{"a bank more", evidence.PCRSelection, "banks that came along", nil, func(in *QuoteInput) { in.PCRs = append(in.PCRs, bankOf(SHA384, 1)) }},
		{"another bank", evidence.PCRSelection, "of another bank", nil, func(in *QuoteInput) { in.PCRs[0].Alg = SHA384 }},
		{"value missing", evidence.PCRSelection, "without its value", nil, func(in *QuoteInput) { in.PCRs[0].Values[7] = nil }},
		{"value not quoted", evidence.PCRSelection, "not quoted", nil, func(in *QuoteInput) { in.PCRs[0].Values[8] = make([]byte, 32) }},
		{"empty value not quoted", evidence.PCRSelection, "not quoted", nil, func(in *QuoteInput) { in.PCRs[0].Values[8] = []byte{} }},
		{"value too short", evidence.PCRSelection, "not a digest", nil, func(in *QuoteInput) { in.PCRs[0].Values[7] = in.PCRs[0].Values[7][:31] }},
		{"value too long", evidence.PCRSelection, "not a digest", nil, func(in *QuoteInput) { in.PCRs[0].Values[7] = make([]byte, 33) }},
		{"required PCR", evidence.PCRSelection, "required", nil, func(in *QuoteInput) { in.Required = 1<<7 | 1<<8 }},
		{"required PCR that nobody has", evidence.PCRSelection, "required", nil, func(in *QuoteInput) { in.Required = 1 << 24 }},
		{"changed value", evidence.PCRDigest, "not the quoted ones", nil, func(in *QuoteInput) { in.PCRs[0].Values[7] = make([]byte, 32) }},
		{"short digest", evidence.PCRDigest, "not the quoted ones", func(q *labQuote) { q.digest = q.pcrDigest()[:16] }, nil},
		{"empty digest", evidence.PCRDigest, "not the quoted ones", func(q *labQuote) { q.digest = []byte{} }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQuote(bankOf(SHA256, 0, 7))
			if c.quote != nil {
				c.quote(q)
			}
			_, err := q.verified(t, c.input)
			if expect(t, err, c.check); !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %q", err, c.words)
			}
		})
	}
}

// Every flipped bit of the signed bytes is seen, and before they are interpreted.
func TestFlippedBitsBreakTheSignature(t *testing.T) {
	q, key := newQuote(bankOf(SHA256, 0)), rsaKey(t)
	b := q.bytes()
	sig := signTPM(t, key, rsassa, SHA256, b)
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		a, err := ParseAttest(changed, sig)
		if err == nil {
			_, err = a.VerifyQuote(QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: q.banks})
		}
		expect(t, err, evidence.AttestSignature, evidence.AttestFormat)
	}
}

func TestRequiredPCRsMustBeInOneBankThatCounts(t *testing.T) {
	for _, c := range []struct {
		banks []Bank
		sha1  bool
		good  bool
	}{
		{[]Bank{bankOf(SHA256, 0, 7)}, false, true},
		{[]Bank{bankOf(SHA384, 0), bankOf(SHA256, 0, 7)}, false, true},
		{[]Bank{bankOf(SHA256, 0), bankOf(SHA384, 7)}, false, false},
		{[]Bank{bankOf(SHA1, 0, 7), bankOf(SHA256, 0)}, false, false},
		{[]Bank{bankOf(SHA1, 0, 7), bankOf(SHA256, 0)}, true, true},
	} {
		_, err := newQuote(c.banks...).verified(t, func(in *QuoteInput) { in.Required, in.AllowSHA1 = 1<<0|1<<7, c.sha1 })
		if (err == nil) != c.good {
			t.Errorf("%v, SHA-1 %v: %v", c.banks, c.sha1, err)
		}
		if err != nil {
			expect(t, err, evidence.PCRSelection)
		}
	}
}

func TestSHA1BankIsCheckedButDoesNotCount(t *testing.T) {
	both := []Bank{bankOf(SHA1, 0, 1), bankOf(SHA256, 0)}
	for sha1, want := range map[bool][]Alg{false: {SHA256}, true: {SHA256, SHA1}} {
		quoted, err := newQuote(both...).verified(t, func(in *QuoteInput) { in.AllowSHA1 = sha1 })
		if err != nil {
			t.Fatal(err)
		}
		var got []Alg
		for _, b := range quoted.Banks() {
			got = append(got, b.Alg)
		}
		if !slices.Equal(got, want) || quoted.Covers(1) != sha1 {
			t.Errorf("SHA-1 %v: banks %v, PCR 1 covered %v", sha1, got, quoted.Covers(1))
		}
	}
	_, err := newQuote(both...).verified(t, func(in *QuoteInput) {
		in.PCRs = []Bank{bankOf(SHA1, 0, 1), both[1]}
		in.PCRs[0].Values[1] = make([]byte, 20)
	})
	expect(t, err, evidence.PCRDigest)
}

func TestSHA1AloneIsRefusedNamingTheSetting(t *testing.T) {
	q := newQuote(bankOf(SHA1, 0))
	_, err := q.verified(t, nil)
	if expect(t, err, evidence.SHA1); !strings.Contains(err.Error(), "tpm_allow_sha1") {
		t.Errorf("the setting is not named: %v", err)
	}
	if _, err := q.verified(t, func(in *QuoteInput) { in.AllowSHA1 = true }); err != nil {
		t.Error(err)
	}
	// An empty selection of a better bank does not help.
	q = newQuote(bankOf(SHA1, 0), Bank{Alg: SHA256})
	_, err = q.verified(t, nil)
	expect(t, err, evidence.SHA1)
}

func TestSHA1AndUnknownSignatureHashesAreRefused(t *testing.T) {
	for hash, check := range map[Alg]evidence.Check{SHA1: evidence.SHA1, 0x12: evidence.AttestSignature, 0x27: evidence.AttestSignature, 0: evidence.AttestSignature} {
		q, key := newQuote(bankOf(SHA256, 0)), rsaKey(t)
		q.hash = SHA1
		b := q.bytes()
		sig := signTPM(t, key, rsassa, SHA1, b)
		sig[2], sig[3] = byte(hash>>8), byte(hash)
		a, err := ParseAttest(b, sig)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.VerifyQuote(QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: q.banks, AllowSHA1: true})
		expect(t, err, check)
	}
}

func TestUnboundQuoteNeedsNoNonce(t *testing.T) {
	j := &evidence.Journal{}
	if _, err := newQuote(bankOf(SHA256, 0)).verified(t, func(in *QuoteInput) { in.ExtraData, in.Unbound, in.Journal = nil, true, j }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range j.Entries {
		got = append(got, fmt.Sprint(e.Name, " ", e.Outcome))
	}
	want := []string{"attest-signature pass", "attest-type pass", "attest-nonce skipped", "pcr-selection pass", "sha1 pass", "pcr-digest pass"}
	if !slices.Equal(got, want) {
		t.Errorf("journal %v, want %v", got, want)
	}
}

func TestLongBitmapIsReadIfNoBitIsAbove23(t *testing.T) {
	q := newQuote(bankOf(SHA256, 0, 23))
	q.selections[0].bitmap = append(q.selections[0].bitmap, make([]byte, 29)...)
	if _, err := q.verified(t, nil); err != nil {
		t.Error(err)
	}
}
