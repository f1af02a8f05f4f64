package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"sync"
	"testing"
)

// The numbers of the specification, written anew (tpm-evidence.md section 1).
const (
	rsassa = 0x0014
	rsapss = 0x0016
	ecdsaS = 0x0018
)

// labQuote is a TPMS_ATTEST to be written, with everything that a test may want to break.
type labQuote struct {
	magic      uint32
	kind       uint16
	signer     []byte
	extra      []byte
	safe       byte
	count      int // of selections, if other than there are
	selections []labSelection
	digest     []byte // nil: the right one
	attested   []byte // nil: selections and digest
	tail       []byte
	hash       Alg // of the signature
	banks      []Bank
}

type labSelection struct {
	bank   uint16
	bitmap []byte
}

// newQuote is a good quote over the banks, to be signed with SHA-256.
func newQuote(banks ...Bank) *labQuote {
	q := &labQuote{magic: 0xFF544347, kind: 0x8018, signer: []byte{0, 0x0B, 1}, extra: []byte("the nonce"), safe: 1, hash: SHA256, banks: banks}
	for _, b := range banks {
		bitmap := make([]byte, 3)
		for i, v := range b.Values {
			if v != nil {
				bitmap[i/8] |= 1 << (i % 8)
			}
		}
		q.selections = append(q.selections, labSelection{uint16(b.Alg), bitmap})
	}
	return q
}

// bankOf has a value for each PCR that is named.
func bankOf(alg Alg, pcrs ...int) Bank {
	b := Bank{Alg: alg}
	for _, p := range pcrs {
		b.Values[p] = alg.Sum([]byte{byte(p)})
	}
	return b
}

func (q *labQuote) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, q.magic)
	b = binary.BigEndian.AppendUint16(b, q.kind)
	b = append2B(append2B(b, q.signer), q.extra)
	b = binary.BigEndian.AppendUint64(b, 123456)
	b = binary.BigEndian.AppendUint32(b, 7)
	b = binary.BigEndian.AppendUint32(b, 8)
	b = append(b, q.safe, 1, 2, 3, 4, 5, 6, 7, 8)
	if q.attested != nil {
		return append(append(b, q.attested...), q.tail...)
	}
	n := len(q.selections)
	if q.count != 0 {
		n = q.count
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for _, s := range q.selections {
		b = append(binary.BigEndian.AppendUint16(b, s.bank), byte(len(s.bitmap)))
		b = append(b, s.bitmap...)
	}
	return append(append2B(b, q.pcrDigest()), q.tail...)
}

func (q *labQuote) pcrDigest() []byte {
	if q.digest != nil {
		return q.digest
	}
	h := q.hash.Hash().New()
	for _, b := range q.banks {
		for _, v := range b.Values {
			h.Write(v)
		}
	}
	return h.Sum(nil)
}

func append2B(b, content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(content))), content...)
}

// signTPM makes a TPMT_SIGNATURE.
func signTPM(t testing.TB, key crypto.Signer, scheme uint16, hash Alg, message []byte) []byte {
	t.Helper()
	var opts crypto.SignerOpts = hash.Hash()
	if scheme == rsapss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: hash.Hash()}
	}
	sig, err := key.Sign(rand.Reader, hash.Sum(message), opts)
	if err != nil {
		t.Fatal(err)
	}
	b := binary.BigEndian.AppendUint16(nil, scheme)
	b = binary.BigEndian.AppendUint16(b, uint16(hash))
	if scheme != ecdsaS {
		return append2B(b, sig)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	return append2B(append2B(b, rs.R.Bytes()), rs.S.Bytes())
}

// parsed signs the quote with RSASSA and reads both.
func (q *labQuote) parsed(t testing.TB, key crypto.Signer) (*Attest, error) {
	t.Helper()
	scheme := uint16(rsassa)
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		scheme = ecdsaS
	}
	b := q.bytes()
	return ParseAttest(b, signTPM(t, key, scheme, q.hash, b))
}

// verified signs the quote with the key, and verifies it for the same key and nonce; edit changes what it is held against.
func (q *labQuote) verified(t testing.TB, edit func(*QuoteInput)) (*Quoted, error) {
	t.Helper()
	key := rsaKey(t)
	a, err := q.parsed(t, key)
	if err != nil {
		return nil, err
	}
	in := QuoteInput{Key: key.Public(), ExtraData: []byte("the nonce"), PCRs: q.banks}
	if edit != nil {
		edit(&in)
	}
	return a.VerifyQuote(in)
}

// rsaKey is one RSA key for all tests, since making one takes a while.
func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := sharedRSA()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var sharedRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
