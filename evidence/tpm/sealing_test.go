package tpm

import (
	"bytes"
	"crypto/elliptic"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

// labSealing is the public area of a sealing key to be written, with everything that a test may want to break.
type labSealing struct {
	nameAlg           Alg
	attributes        uint32
	policy            []byte
	symmetric, scheme []byte
	curve             bool
}

// policyOfTest is a digest like one of a policy.
func policyOfTest() []byte { return bytes.Repeat([]byte{7}, 32) }

// newSealing is a good one, as Azure's clients make it (azure-guest.md section 3 step 5).
func newSealing() *labSealing {
	return &labSealing{nameAlg: SHA256, attributes: 0x00020432, policy: policyOfTest(), symmetric: []byte{0, 0x10}, scheme: []byte{0, 0x10}}
}

func (l *labSealing) parsed(t *testing.T) *Public {
	t.Helper()
	kind := byte(1)
	if l.curve {
		kind = 0x23
	}
	b := binary.BigEndian.AppendUint32([]byte{0, kind, 0, byte(l.nameAlg)}, l.attributes)
	b = slices.Concat(append2B(b, l.policy), l.symmetric, l.scheme)
	if l.curve {
		point, err := ecKey(t, elliptic.P256()).PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		b = append2B(append2B(append(b, 0, 3, 0, 0x10), point[1:33]), point[33:])
	} else {
		b = append2B(append(b, 8, 0, 0, 0, 0, 0), rsaKey(t).N.Bytes())
	}
	p, err := ParsePublic(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSealingKeys(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*labSealing)
		check evidence.Check
		named string // in the refusal
	}{
		"as clients make it":    {func(*labSealing) {}, "", ""},
		"without noDA":          {func(l *labSealing) { l.attributes &^= 1 << 10 }, "", ""},
		"scheme RSAES":          {func(l *labSealing) { l.scheme = []byte{0, 0x15} }, "", ""},
		"not fixedTPM":          {func(l *labSealing) { l.attributes &^= 1 << 1 }, evidence.SealingKey, "fixedTPM"},
		"not fixedParent":       {func(l *labSealing) { l.attributes &^= 1 << 4 }, evidence.SealingKey, "fixedParent"},
		"made elsewhere":        {func(l *labSealing) { l.attributes &^= 1 << 5 }, evidence.SealingKey, "sensitiveDataOrigin"},
		"not decrypt":           {func(l *labSealing) { l.attributes &^= 1 << 17 }, evidence.SealingKey, "decrypt"},
		"userWithAuth":          {func(l *labSealing) { l.attributes |= 1 << 6 }, evidence.SealingKey, "not userWithAuth"},
		"restricted":            {func(l *labSealing) { l.attributes |= 1 << 16 }, evidence.SealingKey, "not restricted"},
		"sign":                  {func(l *labSealing) { l.attributes |= 1 << 18 }, evidence.SealingKey, "not sign"},
		"a Name by SHA-384":     {func(l *labSealing) { l.nameAlg, l.policy = SHA384, make([]byte, 48) }, evidence.SealingKey, "nameAlg"},
		"a Name by SHA-1":       {func(l *labSealing) { l.nameAlg, l.policy = SHA1, make([]byte, 20) }, evidence.SealingKey, "nameAlg"},
		"a symmetric algorithm": {func(l *labSealing) { l.symmetric = []byte{0, 6, 0, 128, 0, 0x43} }, evidence.SealingKey, "symmetric"},
		"scheme OAEP":           {func(l *labSealing) { l.scheme = []byte{0, 0x17, 0, 0x0B} }, evidence.SealingKey, "scheme"},
		"P-256":                 {func(l *labSealing) { l.curve = true }, evidence.SealingKey, "RSA"},
		"another policy":        {func(l *labSealing) { l.policy = bytes.Repeat([]byte{8}, 32) }, evidence.SealingPolicy, "07"},
		"no policy":             {func(l *labSealing) { l.policy = nil }, evidence.SealingPolicy, "07"},
	} {
		l := newSealing()
		c.edit(l)
		err := l.parsed(t).CheckSealing(policyOfTest())
		if c.check == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if r := refusal(err); r == nil || r.Check != c.check || !strings.Contains(r.Error(), c.named) {
			t.Errorf("%s: got %v, want a refusal for %s that names %s", name, err, c.check, c.named)
		}
	}
}

// TestNoPolicyIsNoneThatHolds: neither a quote without a policy nor a key without one can be the reason to seal.
func TestNoPolicyIsNoneThatHolds(t *testing.T) {
	l := newSealing()
	l.policy = nil
	if r := refusal(l.parsed(t).CheckSealing(nil)); r == nil || r.Check != evidence.SealingPolicy {
		t.Errorf("got %v", r)
	}
}

// TestThePolicyIsThatOfTheQuote: the digest is what go-tpm computes for TPM2_PolicyPCR of the same selection and digest.
func TestThePolicyIsThatOfTheQuote(t *testing.T) {
	for name, q := range map[string]*labQuote{
		"PCR 0 to 7":      newQuote(bankOf(SHA256, 0, 1, 2, 3, 4, 5, 6, 7)),
		"PCR 0 and 23":    newQuote(bankOf(SHA256, 0, 23)),
		"a longer bitmap": {magic: 0xFF544347, kind: 0x8018, extra: []byte("the nonce"), hash: SHA256, banks: []Bank{bankOf(SHA256, 5)}, selections: []labSelection{{0x000B, []byte{0x20, 0, 0, 0}}}},
		"two banks":       newQuote(bankOf(SHA256, 7), bankOf(SHA384, 7)),
	} {
		quoted, err := q.verified(t, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		command := tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: q.pcrDigest()}}
		for _, s := range q.selections {
			command.Pcrs.PCRSelections = append(command.Pcrs.PCRSelections, tpm2.TPMSPCRSelection{Hash: tpm2.TPMIAlgHash(s.bank), PCRSelect: s.bitmap})
		}
		calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Update(calculator); err != nil {
			t.Fatal(err)
		}
		if want := calculator.Hash().Digest; !bytes.Equal(quoted.PCRPolicy(), want) {
			t.Errorf("%s: got %x, want %x", name, quoted.PCRPolicy(), want)
		}
	}
	q := newQuote(bankOf(SHA256, 0))
	q.hash = SHA384
	if quoted, err := q.verified(t, nil); err != nil || quoted.PCRPolicy() != nil {
		t.Errorf("a quote signed with SHA-384 has a policy by SHA-256 (%v)", err)
	}
}

// TestTheSealingKeyOfTheVectorsSeals: made by a TPM, with a policy that it computed.
func TestTheSealingKeyOfTheVectorsSeals(t *testing.T) {
	v := readCertify(t)
	policy, err := hex.DecodeString(v.PolicyPCR.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsePublic(t, v.EncKey).CheckSealing(policy); err != nil {
		t.Error(err)
	}
}

func TestQualifyingDataCanBeRead(t *testing.T) {
	q := newQuote(bankOf(SHA256, 0))
	for _, extra := range []string{"", "a nonce"} {
		q.extra = []byte(extra)
		if a, err := q.parsed(t, rsaKey(t)); err != nil || string(a.ExtraData()) != extra {
			t.Errorf("got %v", err)
		}
	}
}
