package tpm

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// quoteCase is a case of vectors/tpm/quotes.
type quoteCase struct {
	ID, Stage, Nonce, Expect, Code string
	AKTPM2B                        []byte `json:"ak_tpm2b_public"`
	AKTPMT                         []byte `json:"ak_tpmt_public"`
	AKPEM                          string `json:"ak_pem"`
	AKCert                         string `json:"ak_cert"`
	AKCertExpect                   string `json:"ak_cert_expect"`
	Quote, Signature               []byte
	SignatureFormat                string                       `json:"signature_format"`
	PCRs                           map[string]map[string]string // nil: not published
	RequirePCRs                    struct{ Index []int }        `json:"require_pcrs"`
	Weak                           []string
	Decoded                        json.RawMessage
}

// The cases where the index allows two results, and ours is to refuse (README.md section 10.2 of the specification).
func refusedByChoice() map[string]string {
	return map[string]string{
		"syn-two-selections-same-bank":    "SELECTION_COUNT",
		"syn-duplicate-pcr-in-selections": "SELECTION_COUNT",
	}
}

// checksOf maps the reason classes of the index to the checks that are right for them.
func checksOf() map[string][]evidence.Check {
	return map[string][]evidence.Check{
		"NONCE":              {evidence.AttestNonce},
		"SIGNATURE":          {evidence.AttestSignature},
		"SIG_ALG":            {evidence.AttestFormat, evidence.AttestSignature},
		"SIG_PARSE":          {evidence.AttestFormat},
		"SIG_TRAILING":       {evidence.AttestFormat},
		"MAGIC":              {evidence.AttestType},
		"TYPE":               {evidence.AttestType},
		"SELECTION_EMPTY":    {evidence.PCRSelection},
		"SELECTION_COUNT":    {evidence.PCRSelection},
		"PCR_NOT_COVERED":    {evidence.PCRSelection, evidence.SHA1},
		"PCR_UNQUOTED_VALUE": {evidence.PCRSelection},
		"PCR_VALUE_MISSING":  {evidence.PCRSelection},
		"PCR_DIGEST":         {evidence.PCRDigest},
		"TRAILING":           {evidence.AttestFormat},
		"PARSE":              {evidence.AttestFormat},
		"WEAK_HASH":          {evidence.SHA1},
		"AK_ATTRIBUTES":      {evidence.AIKKey},
		"NO_CHAIN":           {evidence.AIKCertificate, evidence.EKCertificate},
		"EKU":                {evidence.AIKCertificate, evidence.EKCertificate},
		"EXPIRED":            {evidence.AIKCertificate, evidence.EKCertificate},
		"NOT_YET_VALID":      {evidence.AIKCertificate, evidence.EKCertificate},
		"CRITICAL_EXT":       {evidence.AIKCertificate, evidence.EKCertificate},
		"PATHLEN":            {evidence.AIKCertificate, evidence.EKCertificate},
		"WEAK_KEY":           {evidence.AIKKey},
	}
}

func quoteCases(t testing.TB) []quoteCase {
	t.Helper()
	var all []quoteCase
	for _, name := range []string{"real", "synthetic"} {
		var cases []quoteCase
		vectortest.ReadJSON(t, "tpm/quotes/"+name+".json", &cases)
		all = append(all, cases...)
	}
	return all
}

func TestQuotesHaveTheOutcomeOfTheIndex(t *testing.T) {
	for _, c := range quoteCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			a, err := c.parse()
			if err == nil {
				c.compareDecoded(t, a)
			}
			switch choice := refusedByChoice()[c.ID]; {
			case choice != "":
				c.expectRefusal(t, c.verify(t, a, err, false), choice)
			case c.Stage == "enrolment":
				c.isRefusedAtEnrolment(t, a, err)
			case c.Expect == "reject":
				c.expectRefusal(t, c.verify(t, a, err, false), c.Code)
			case c.Expect != "accept":
				t.Fatalf("expectation %q is not known", c.Expect)
			case len(c.Weak) > 0:
				c.isWeak(t, a, err)
			case c.PCRs == nil:
				c.holdsButForPCRs(t, a, err)
			default:
				if err := c.verify(t, a, err, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func (c *quoteCase) parse() (*Attest, error) {
	if c.SignatureFormat == "raw-rsassa-sha256" {
		return ParseAttestRaw(c.Quote, c.Signature)
	}
	return ParseAttest(c.Quote, c.Signature)
}

// verify gives the error of parsing or else of verifying.
func (c *quoteCase) verify(t *testing.T, a *Attest, err error, sha1 bool) error {
	t.Helper()
	if err != nil {
		return err
	}
	in := c.input(t, a)
	in.AllowSHA1 = sha1
	q, err := a.VerifyQuote(in)
	if (q == nil) == (err == nil) {
		t.Errorf("result %v with error %v", q, err)
	}
	return err
}

func (c *quoteCase) input(t testing.TB, a *Attest) QuoteInput {
	t.Helper()
	in := QuoteInput{Key: c.key(t), ExtraData: unhex(t, c.Nonce), PCRs: c.banks(t, a)}
	for _, i := range c.RequirePCRs.Index {
		in.Required |= 1 << i
	}
	return in
}

func (c *quoteCase) public(t testing.TB) *Public {
	t.Helper()
	b := c.AKTPMT
	if len(c.AKTPM2B) > 0 {
		b = cut2B(t, c.AKTPM2B)
	}
	p, err := ParsePublic(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *quoteCase) key(t testing.TB) crypto.PublicKey {
	t.Helper()
	if c.AKPEM == "" {
		return c.public(t).Key
	}
	block, _ := pem.Decode([]byte(c.AKPEM))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func bankNames() map[string]Alg {
	return map[string]Alg{"sha1": SHA1, "sha256": SHA256, "sha384": SHA384, "sha512": SHA512}
}

// banks puts the values that came along in the order of the quote's selections, as a request has them; those of banks that
// the quote does not select come last.
func (c *quoteCase) banks(t testing.TB, a *Attest) []Bank {
	t.Helper()
	var all []Bank
	for name, values := range c.PCRs {
		b := Bank{Alg: bankNames()[name]}
		for index, digest := range values {
			i, err := strconv.Atoi(index)
			if err != nil {
				t.Fatal(err)
			}
			b.Values[i] = unhex(t, digest)
		}
		all = append(all, b)
	}
	place := func(b Bank) int {
		i := slices.IndexFunc(a.selections, func(s selection) bool { return s.bank == b.Alg })
		return (i + 100) % 100
	}
	slices.SortFunc(all, func(x, y Bank) int { return place(x) - place(y) })
	return all
}

func (c *quoteCase) expectRefusal(t *testing.T, err error, code string) {
	t.Helper()
	want, known := checksOf()[code]
	if !known {
		t.Fatalf("reason class %q has no check", code)
	}
	expect(t, err, want...)
}

// isRefusedAtEnrolment checks a case whose quote verifies, but whose key must not become an AIK.
func (c *quoteCase) isRefusedAtEnrolment(t *testing.T, a *Attest, err error) {
	t.Helper()
	if err := c.verify(t, a, err, false); err != nil {
		t.Errorf("the quote itself: %v", err)
	}
	c.expectRefusal(t, c.public(t).CheckAIK(), c.Code)
}

// isWeak checks a case whose cryptography is right and which is refused for SHA-1. A setting helps for banks only. The index
// does not list every SHA-1 signature: that of the Windows machine is one, too.
func (c *quoteCase) isWeak(t *testing.T, a *Attest, err error) {
	t.Helper()
	expect(t, c.verify(t, a, err, false), evidence.SHA1)
	if slices.Contains(c.Weak, "signature hash SHA-1") && a.sig.hash != SHA1 {
		t.Errorf("signature by %s", &a.sig)
	}
	if a.sig.hash != SHA1 {
		if err := c.verify(t, a, err, true); err != nil {
			t.Errorf("with SHA-1 banks allowed: %v", err)
		}
		return
	}
	expect(t, c.verify(t, a, err, true), evidence.SHA1)
	if r := a.sig.verify(c.key(t), a.raw); r != nil {
		t.Errorf("the SHA-1 signature is not right: %v", r)
	}
	in := c.input(t, a)
	in.AllowSHA1 = true
	if _, err := a.quoted(&in); err != nil {
		t.Errorf("all but the signature's hash: %v", err)
	}
}

// holdsButForPCRs checks a case of which no PCR values are known.
func (c *quoteCase) holdsButForPCRs(t *testing.T, a *Attest, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	j := &evidence.Journal{}
	in := c.input(t, a)
	in.Journal = j
	_, err = a.VerifyQuote(in)
	expect(t, err, evidence.PCRSelection)
	var passed []evidence.Check
	for _, e := range j.Entries {
		if e.Outcome == evidence.Pass {
			passed = append(passed, e.Name)
		}
	}
	if want := []evidence.Check{evidence.AttestSignature, evidence.AttestType, evidence.AttestNonce}; !slices.Equal(passed, want) {
		t.Errorf("passed %v, want %v", passed, want)
	}
}

// compareDecoded compares what was parsed with what the index says that the quote has.
func (c *quoteCase) compareDecoded(t *testing.T, a *Attest) {
	t.Helper()
	var d struct {
		Magic, Type, Extra, Digest string
		Clock                      uint64
		Reset, Restart             uint32
		Safe                       int
		Select                     [][2]json.RawMessage
	}
	if err := json.Unmarshal(c.Decoded, &d); err != nil {
		t.Fatalf("decoded: %v", err)
	}
	if got := [...]string{strings.ToLower(hex32(uint32(a.magic))), strings.ToLower(hex16(uint16(a.kind))), hex.EncodeToString(a.extraData)}; got != [...]string{d.Magic, d.Type, d.Extra} {
		t.Errorf("got %v, want %s %s %s", got, d.Magic, d.Type, d.Extra)
	}
	if want := (Clock{d.Clock, d.Reset, d.Restart, d.Safe == 1}); a.clock != want {
		t.Errorf("clock %+v, want %+v", a.clock, want)
	}
	if d.Select == nil || a.magic != 0xFF544347 {
		return
	}
	if got := hex.EncodeToString(a.digest); got != d.Digest {
		t.Errorf("digest %s, want %s", got, d.Digest)
	}
	if got, want := a.selections, decodedSelections(t, d.Select); !reflect.DeepEqual(got, want) {
		t.Errorf("selections %v, want %v", got, want)
	}
}

func decodedSelections(t *testing.T, in [][2]json.RawMessage) []selection {
	t.Helper()
	var all []selection
	for _, pair := range in {
		var name string
		var pcrs []int
		if err := errors.Join(json.Unmarshal(pair[0], &name), json.Unmarshal(pair[1], &pcrs)); err != nil {
			t.Fatal(err)
		}
		s := selection{bank: bankNames()[name]}
		for _, p := range pcrs {
			s.pcrs |= 1 << p
		}
		all = append(all, s)
	}
	return all
}

// A certificate of another key does not vouch for the quote's, as good as it is.
func TestCertificateOfAnotherKeyIsSeen(t *testing.T) {
	seen := 0
	for _, c := range quoteCases(t) {
		if c.AKCert == "" {
			continue
		}
		seen++
		cert, err := ParseCertificate(vectortest.Read(t, "tpm/"+c.AKCert))
		if err != nil {
			t.Fatal(err)
		}
		if same := sameKey(cert.PublicKey, c.key(t)); same != (c.AKCertExpect != "KEY_MISMATCH") {
			t.Errorf("%s: same key %v, want %s", c.ID, same, c.AKCertExpect)
		}
	}
	if seen == 0 {
		vectortest.NoCase(t, "quote with a certificate")
	}
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// expect checks that err is a refusal by one of the checks.
func expect(t *testing.T, err error, checks ...evidence.Check) {
	t.Helper()
	var r *evidence.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got %v, want a refusal of %v", err, checks)
	}
	if !slices.Contains(checks, r.Check) {
		t.Errorf("refused by %s, want %v: %v", r.Check, checks, err)
	}
}

func cut2B(t testing.TB, b []byte) []byte {
	t.Helper()
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		t.Fatalf("not a sized structure: %x", b)
	}
	return bytes.Clone(b[2:])
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
