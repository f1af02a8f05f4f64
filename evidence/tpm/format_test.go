package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
)

// goodSignature is one that can be read.
func goodSignature() []byte { return []byte{0, 0x14, 0, 0x0B, 0, 1, 0xAA} }

func TestAttestationsAreReadToTheirLastByteWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*labQuote)
		good bool
	}{
		"as it is":              {func(*labQuote) {}, true},
		"a byte behind":         {func(q *labQuote) { q.tail = []byte{0} }, false},
		"signer of 66":          {func(q *labQuote) { q.signer = make([]byte, 66) }, true},
		"signer of 67":          {func(q *labQuote) { q.signer = make([]byte, 67) }, false},
		"extra data of 66":      {func(q *labQuote) { q.extra = make([]byte, 66) }, true},
		"extra data of 67":      {func(q *labQuote) { q.extra = make([]byte, 67) }, false},
		"safe is 2":             {func(q *labQuote) { q.safe = 2 }, false},
		"digest of 64":          {func(q *labQuote) { q.digest = make([]byte, 64) }, true},
		"digest of 65":          {func(q *labQuote) { q.digest = make([]byte, 65) }, false},
		"16 selections":         {func(q *labQuote) { q.selections = make16(q.selections[0]) }, true},
		"17 selections":         {func(q *labQuote) { q.selections = append(make16(q.selections[0]), q.selections[0]) }, false},
		"4294967295 selections": {func(q *labQuote) { q.count = 0xFFFFFFFF }, false},
		"a selection too many":  {func(q *labQuote) { q.count = 2 }, false},
		"bitmap of 2":           {func(q *labQuote) { q.selections[0].bitmap = make([]byte, 2) }, false},
		"bitmap of 3":           {func(q *labQuote) { q.selections[0].bitmap = make([]byte, 3) }, true},
		"bitmap of 32":          {func(q *labQuote) { q.selections[0].bitmap = make([]byte, 32) }, true},
		"bitmap of 33":          {func(q *labQuote) { q.selections[0].bitmap = make([]byte, 33) }, false},
		"certification":         {func(q *labQuote) { q.kind, q.attested = 0x8017, make([]byte, 4) }, true},
		"certification, longer": {func(q *labQuote) { q.kind, q.attested = 0x8017, make([]byte, 5) }, false},
		"certification, name of 67": {func(q *labQuote) {
			q.kind, q.attested = 0x8017, append2B(append2B(nil, make([]byte, 67)), nil)
		}, false},
		"1024 bytes": {func(q *labQuote) { q.kind, q.attested = 0x8014, nil; q.tail = make([]byte, 1024-len(q.bytes())) }, true},
		"1025 bytes": {func(q *labQuote) { q.kind, q.attested = 0x8014, nil; q.tail = make([]byte, 1025-len(q.bytes())) }, false},
	} {
		q := newQuote(bankOf(SHA256, 0))
		c.edit(q)
		_, err := ParseAttest(q.bytes(), goodSignature())
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			expect(t, err, evidence.AttestFormat)
		}
	}
}

func make16(s labSelection) []labSelection {
	all := make([]labSelection, 16)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestTruncatedStructuresAreRefused(t *testing.T) {
	quote := newQuote(bankOf(SHA256, 0)).bytes()
	for n := range quote {
		_, err := ParseAttest(quote[:n], goodSignature())
		expect(t, err, evidence.AttestFormat)
	}
	for _, sig := range [][]byte{goodSignature(), signTPM(t, ecKey(t, elliptic.P521()), ecdsaS, SHA512, quote)} {
		for n := range sig {
			_, err := ParseAttest(quote, sig[:n])
			expect(t, err, evidence.AttestFormat)
		}
	}
	area := cut2B(t, readCertify(t).EncKey)
	for n := range area {
		if _, err := ParsePublic(area[:n]); err == nil {
			t.Errorf("%d bytes of a public area are accepted", n)
		}
	}
}

func TestSignaturesAreReadToTheirLastByteWithinBounds(t *testing.T) {
	rsaSig := func(n int) []byte { return append2B([]byte{0, 0x16, 0, 0x0B}, make([]byte, n)) }
	ecSig := func(r, s int) []byte {
		return append2B(append2B([]byte{0, 0x18, 0, 0x0B}, make([]byte, r)), make([]byte, s))
	}
	for name, c := range map[string]struct {
		sig  []byte
		good bool
	}{
		"RSA of 1024":    {rsaSig(1024), true},
		"RSA of 1025":    {rsaSig(1025), false},
		"ECDSA of 66":    {ecSig(66, 66), true},
		"ECDSA r of 67":  {ecSig(67, 66), false},
		"ECDSA s of 67":  {ecSig(66, 67), false},
		"a byte behind":  {append(rsaSig(256), 0), false},
		"far too long":   {make([]byte, 1<<20), false},
		"NULL":           {[]byte{0, 0x10}, false},
		"HMAC":           {append2B([]byte{0, 5, 0, 0x0B}, make([]byte, 32)), false},
		"ECDAA":          {append([]byte{0, 0x1A}, ecSig(32, 32)[2:]...), false},
		"nothing at all": {nil, false},
	} {
		_, err := ParseAttest(newQuote(bankOf(SHA256, 0)).bytes(), c.sig)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			expect(t, err, evidence.AttestFormat)
		}
	}
}

// A signature of zeros, and one whose numbers are longer than the curve, are none.
func TestOutlandishECDSASignaturesAreRefused(t *testing.T) {
	key, q := ecKey(t, elliptic.P256()), newQuote(bankOf(SHA256, 0))
	for _, n := range []int{0, 1, 32, 66} {
		for _, fill := range []byte{0, 0xFF} {
			number := make([]byte, n)
			for i := range number {
				number[i] = fill
			}
			a, err := ParseAttest(q.bytes(), append2B(append2B([]byte{0, 0x18, 0, 0x0B}, number), number))
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.VerifyQuote(QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: q.banks})
			expect(t, err, evidence.AttestSignature)
		}
	}
}

func TestKeysThatAreNoGoodAreRefused(t *testing.T) {
	good := rsaKey(t)
	modulus := func(bits int) *big.Int {
		return new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), bits-1, 1), 0, 1)
	}
	point := ecKey(t, elliptic.P256())
	for name, c := range map[string]struct {
		key  crypto.PublicKey
		good bool
	}{
		"RSA":              {good.Public(), true},
		"RSA 2048":         {&rsa.PublicKey{N: modulus(2048), E: 3}, true},
		"RSA 2047":         {&rsa.PublicKey{N: modulus(2047), E: 65537}, false},
		"RSA 8192":         {&rsa.PublicKey{N: modulus(8192), E: 65537}, true},
		"RSA 8193":         {&rsa.PublicKey{N: modulus(8193), E: 65537}, false},
		"negative modulus": {&rsa.PublicKey{N: new(big.Int).Neg(modulus(2048)), E: 65537}, false},
		"even modulus":     {&rsa.PublicKey{N: new(big.Int).SetBit(modulus(2048), 0, 0), E: 65537}, false},
		"exponent 1":       {&rsa.PublicKey{N: modulus(2048), E: 1}, false},
		"long exponent":    {&rsa.PublicKey{N: modulus(2048), E: 1<<31 - 1}, true},
		"longer exponent":  {&rsa.PublicKey{N: modulus(2048), E: 1<<31 + 1}, false},
		"even exponent":    {&rsa.PublicKey{N: modulus(2048), E: 4}, false},
		"no modulus":       {&rsa.PublicKey{}, false},
		"RSA nil":          {(*rsa.PublicKey)(nil), false},
		"P-521":            {ecKey(t, elliptic.P521()).Public(), true},
		"P-224":            {ecKey(t, elliptic.P224()).Public(), false},
		//lint:ignore SA1019 the keys that ecdsa would not make
		"not on the curve": {&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, false},
		//lint:ignore SA1019 likewise
		"on another curve":    {&ecdsa.PublicKey{Curve: elliptic.P384(), X: point.X, Y: point.Y}, false},
		"no point":            {&ecdsa.PublicKey{Curve: elliptic.P256()}, false},
		"ECDSA nil":           {(*ecdsa.PublicKey)(nil), false},
		"another kind of key": {ed25519.PublicKey{}, false},
		"none":                {nil, false},
	} {
		err := CheckKey(c.key)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			expect(t, err, evidence.AIKKey)
		}
	}
}

// rsaArea is a TPMT_PUBLIC of an RSA key with no symmetric algorithm and no scheme.
func rsaArea(nameAlg uint16, attributes uint32, policy []byte, bits uint16, modulus []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1}, nameAlg)
	b = append2B(binary.BigEndian.AppendUint32(b, attributes), policy)
	b = binary.BigEndian.AppendUint16(append(b, 0, 0x10, 0, 0x10), bits)
	return append2B(append(b, 0, 0, 0, 0), modulus)
}

func TestPublicAreasAreReadWithinBounds(t *testing.T) {
	n := rsaKey(t).N.Bytes()
	ec := ecKey(t, elliptic.P521())
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	ecArea := func(curve byte, x, y []byte) []byte {
		return append2B(append2B([]byte{0, 0x23, 0, 0x0B, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0C, 0, curve, 0, 0x10}, x), y)
	}
	edited := func(at int, value byte) []byte {
		b := rsaArea(11, 0, nil, 2048, n)
		b[at] = value
		return b
	}
	for name, c := range map[string]struct {
		area  []byte
		check evidence.Check
	}{
		"RSA":                       {rsaArea(11, 0, nil, 2048, n), ""},
		"policy":                    {rsaArea(11, 0, make([]byte, 32), 2048, n), ""},
		"policy of another length":  {rsaArea(11, 0, make([]byte, 20), 2048, n), evidence.AttestFormat},
		"policy of 65":              {rsaArea(11, 0, make([]byte, 65), 2048, n), evidence.AttestFormat},
		"unknown nameAlg":           {rsaArea(0x10, 0, nil, 2048, n), evidence.AttestFormat},
		"bits and modulus disagree": {rsaArea(11, 0, nil, 3072, n), evidence.AttestFormat},
		"no modulus":                {rsaArea(11, 0, nil, 2048, nil), evidence.AttestFormat},
		"modulus of 1025 bytes":     {rsaArea(11, 0, nil, 8200, append(make([]byte, 769), n...)), evidence.AttestFormat},
		"a byte behind":             {append(rsaArea(11, 0, nil, 2048, n), 0), evidence.AttestFormat},
		"weak":                      {rsaArea(11, 0, nil, 1024, n[:128]), evidence.AIKKey},
		"keyed hash":                {edited(1, 8), evidence.AIKKey},
		"unknown symmetric":         {edited(11, 0x0A), evidence.AttestFormat},
		"unknown scheme":            {edited(13, 0x1A), evidence.AttestFormat},
		"P-521":                     {ecArea(5, point[1:67], point[67:]), ""},
		"P-521 said to be P-256":    {ecArea(3, point[1:67], point[67:]), evidence.AttestFormat},
		"not on the curve":          {ecArea(5, point[1:67], point[1:67]), evidence.AttestFormat},
		"coordinate of 67":          {ecArea(5, append([]byte{0}, point[1:67]...), point[67:]), evidence.AttestFormat},
		"curve BN P256":             {ecArea(0x10, point[1:33], point[1:33]), evidence.AIKKey},
		"2048 bytes":                {make([]byte, 2048), evidence.AttestFormat},
		"2049 bytes":                {append(rsaArea(11, 0, nil, 2048, n), make([]byte, 2048)...), evidence.AttestFormat},
	} {
		p, err := ParsePublic(c.area)
		if c.check != "" {
			expect(t, err, c.check)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameAsGoTPM(t, c.area, p)
	}
}

func TestAttestationKeysNeedTheirAttributes(t *testing.T) {
	const good = 1<<1 | 1<<4 | 1<<5 | 1<<16 | 1<<18
	n := rsaKey(t).N.Bytes()
	check := func(nameAlg uint16, attributes uint32) error {
		p, err := ParsePublic(rsaArea(nameAlg, attributes, nil, 2048, n))
		if err != nil {
			t.Fatal(err)
		}
		return p.CheckAIK()
	}
	for _, alg := range []uint16{11, 12, 13} {
		if err := check(alg, good|1<<6|1<<10); err != nil {
			t.Error(err)
		}
	}
	expect(t, check(4, good), evidence.AIKKey)
	for bit, name := range map[int]string{1: "fixedTPM", 4: "fixedParent", 5: "sensitiveDataOrigin", 16: "restricted", 17: "not decrypt", 18: "sign"} {
		err := check(11, good^1<<bit)
		if expect(t, err, evidence.AIKKey); !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
	expect(t, (&Public{}).CheckAIK(), evidence.AIKKey)
}
