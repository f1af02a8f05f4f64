package azureguest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// answer is the sealed answer of the vectors, with the key that opens it.
type answer struct {
	token string // as in the answer
	want  string // the token inside
	key   *rsa.PrivateKey
}

func vectorAnswer(t testing.TB) answer {
	t.Helper()
	var index struct {
		Response struct {
			File string
			Key  string `json:"decrypt_key"`
			Want string `json:"expect_jwt"`
		}
	}
	vectortest.ReadJSON(t, "tpm/azure-guest/index.json", &index)
	var response struct{ Token string }
	vectortest.ReadJSON(t, "tpm/azure-guest/"+index.Response.File, &response)
	block, _ := pem.Decode(vectortest.Read(t, "tpm/azure-guest/"+index.Response.Key))
	if block == nil {
		t.Fatal("no PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	return answer{response.Token, index.Response.Want, key.(*rsa.PrivateKey)}
}

// unwrap does what a vTPM does.
func (a answer) unwrap(t testing.TB, wrapped []byte) []byte {
	t.Helper()
	//lint:ignore SA1019 what a vTPM does
	key, err := rsa.DecryptPKCS1v15(nil, a.key, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open does what a client does.
func (a answer) open(t testing.TB, text string) (string, error) {
	t.Helper()
	e, err := azureguest.ParseEnvelope(text)
	if err != nil {
		return "", err
	}
	return e.Open(a.unwrap(t, e.WrappedKey))
}

// members decodes an envelope without checks.
func members(t testing.TB, text string) (m map[string]any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err := errors.Join(err, json.Unmarshal(b, &m)); err != nil {
		t.Fatal(err)
	}
	return m
}

func encoded(t testing.TB, m map[string]any) string {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestTheAnswerOfTheVectorsIsOpened(t *testing.T) {
	a := vectorAnswer(t)
	if got, err := a.open(t, a.token); err != nil || got != a.want {
		t.Errorf("got %q (%v), want %q", got, err, a.want)
	}
}

// TestASealedTokenHasTheFormOfTheVectors compares all members but the random ones with those of the vector, and opens it.
func TestASealedTokenHasTheFormOfTheVectors(t *testing.T) {
	a := vectorAnswer(t)
	text, err := azureguest.Seal(rand.Reader, a.want, &a.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.open(t, text); err != nil || got != a.want {
		t.Errorf("got %q (%v), want %q", got, err, a.want)
	}
	if got, want := shape(members(t, text)), shape(members(t, a.token)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// shape puts the length of padded base64 in place of it.
func shape(m map[string]any) map[string]any {
	for name, v := range m {
		switch v := v.(type) {
		case map[string]any:
			m[name] = shape(v)
		case string:
			if b, err := base64.StdEncoding.DecodeString(v); err == nil && name != "BlockMode" {
				m[name] = len(b)
			}
		}
	}
	return m
}

func TestEachSealHasAKeyAndANonceOfItsOwn(t *testing.T) {
	a := vectorAnswer(t)
	seen := map[string]bool{}
	for range 3 {
		text, err := azureguest.Seal(rand.Reader, a.want, &a.key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		e, err := azureguest.ParseEnvelope(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{string(a.unwrap(t, e.WrappedKey)), fmt.Sprint(members(t, text)["EncryptionParams"].(map[string]any)["Iv"])} {
			if seen[secret] {
				t.Errorf("used twice: %x", secret)
			}
			seen[secret] = true
		}
	}
}

func TestWhatCannotBeSealed(t *testing.T) {
	good := &vectorAnswer(t).key.PublicKey
	short := &rsa.PublicKey{N: new(big.Int).Rsh(good.N, 1), E: good.E}
	for _, c := range []struct {
		name, token, says string
		to                *rsa.PublicKey
		random            int
	}{
		{"no token", "", "0 bytes", good, 44},
		{"token of 8 MiB and a byte", strings.Repeat("t", 8<<20+1), "8388609 bytes", good, 44},
		{"no key", "t", "no modulus", nil, 44},
		{"key of 2047 bits", "t", "2047 bits", short, 44},
		{"too little randomness", "t", "random", good, 43},
	} {
		text, err := azureguest.Seal(bytes.NewReader(make([]byte, c.random)), c.token, c.to)
		if err == nil || text != "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %d bytes, %v, want an error that says %q", c.name, len(text), err, c.says)
		}
	}
}

func TestATokenOf8MiBIsSealedAndOpened(t *testing.T) {
	a := vectorAnswer(t)
	token := strings.Repeat("t", 8<<20)
	text, err := azureguest.Seal(rand.Reader, token, &a.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.open(t, text); err != nil || got != token {
		t.Errorf("got %d bytes (%v)", len(got), err)
	}
}

func TestBase64OfAnyDialectIsRead(t *testing.T) {
	a := vectorAnswer(t)
	document, err := base64.RawURLEncoding.DecodeString(a.token)
	if err != nil {
		t.Fatal(err)
	}
	inner := members(t, a.token)
	for _, name := range []string{"EncryptedInnerKey", "AuthenticationData", "Jwt"} {
		inner[name] = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(inner[name].(string)), "=")
	}
	inner["Unknown"] = 1
	for name, text := range map[string]string{
		"standard, padded": base64.StdEncoding.EncodeToString(document), "standard": base64.RawStdEncoding.EncodeToString(document),
		"URL, padded": base64.URLEncoding.EncodeToString(document), "URL inside, and an unknown member": encoded(t, inner),
	} {
		if got, err := a.open(t, text); err != nil || got != a.want {
			t.Errorf("%s: got %q (%v)", name, got, err)
		}
	}
}

// TestEachChangedMemberIsRefused changes one member at a time.
func TestEachChangedMemberIsRefused(t *testing.T) {
	a := vectorAnswer(t)
	flip := func(v any) any {
		b, err := base64.StdEncoding.DecodeString(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		return base64.StdEncoding.EncodeToString(b)
	}
	size := func(n int) func(any) any {
		return func(any) any { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	}
	to := func(v any) func(any) any { return func(any) any { return v } }
	for _, c := range []struct {
		params bool // the member stands in EncryptionParams
		member string
		change func(any) any
		says   string
	}{
		{true, "BlockMode", to("ChainingModeCBC"), "BlockMode"}, {true, "BlockMode", to(nil), "BlockMode"},
		{true, "BlockPadding", to("None"), "BlockPadding"}, {true, "Cipher", to("DES"), "Cipher"},
		{true, "KeySizeInBits", to(128), "KeySizeInBits"}, {true, "KeySizeInBits", to("256"), "KeySizeInBits"},
		{true, "Iv", flip, "was changed"}, {true, "Iv", size(11), "11 bytes"}, {true, "Iv", size(13), "13 bytes"},
		{false, "Jwt", flip, "was changed"}, {false, "Jwt", to(""), "0 bytes"}, {false, "Jwt", to("*"), "Jwt"}, {false, "Jwt", to(7), "Jwt"},
		{false, "AuthenticationData", flip, "was changed"}, {false, "AuthenticationData", size(15), "15 bytes"}, {false, "AuthenticationData", size(17), "17 bytes"},
		{false, "EncryptedInnerKey", size(255), "255 bytes"}, {false, "EncryptedInnerKey", size(1025), "1025 bytes"},
		{false, "EncryptionParams", to(nil), "BlockMode"},
	} {
		m := members(t, a.token)
		place := m
		if c.params {
			place = m["EncryptionParams"].(map[string]any)
		}
		if place[c.member] == nil {
			t.Fatalf("the answer has no %s", c.member)
		}
		place[c.member] = c.change(place[c.member])
		if got, err := a.open(t, encoded(t, m)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %q, %v, want an error that says %q", c.member, got, err, c.says)
		}
	}
}

func TestWhatIsNoEnvelope(t *testing.T) {
	for text, says := range map[string]string{
		"": "empty", "*": "base64", base64.RawURLEncoding.EncodeToString([]byte(`{"Jwt":"","Jwt":""}`)): "duplicate",
		base64.RawURLEncoding.EncodeToString([]byte(`[]`)): "wrong type", strings.Repeat("A", 16<<20+1): "16777217 bytes",
	} {
		if _, err := azureguest.ParseEnvelope(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40s: got %v, want an error that says %q", text, err, says)
		}
	}
}

func TestOpenNeedsTheRightKeyOf32Bytes(t *testing.T) {
	a := vectorAnswer(t)
	e, err := azureguest.ParseEnvelope(a.token)
	if err != nil {
		t.Fatal(err)
	}
	for size, says := range map[int]string{0: "0 bytes", 16: "16 bytes", 31: "31 bytes", 33: "33 bytes", 32: "another key"} {
		if got, err := e.Open(make([]byte, size)); err == nil || got != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("key of %d bytes: got %q, %v", size, got, err)
		}
	}
	if _, err := new(azureguest.Envelope).Open(make([]byte, 32)); err == nil {
		t.Error("an envelope that nobody parsed was opened")
	}
}

// Whatever is changed in an answer, it opens to the token that was sealed or not at all.
func FuzzEnvelope(f *testing.F) {
	a := vectorAnswer(f)
	e, err := azureguest.ParseEnvelope(a.token)
	if err != nil {
		f.Fatal(err)
	}
	key := a.unwrap(f, e.WrappedKey)
	f.Add(a.token)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := azureguest.ParseEnvelope(text)
		if err != nil {
			return
		}
		if got, err := e.Open(key); err == nil && got != a.want {
			t.Fatalf("opened to %q", got)
		}
	})
}
