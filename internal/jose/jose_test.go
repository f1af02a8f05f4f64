package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/b64"
)

// The examples of RFC 7515, appendix A.2 to A.4: made by others, with keys of others.
const (
	rfcInput     = ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rfcModulus   = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
	rfcRS256     = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	rfcES256     = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	rfcP256X     = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	rfcP256Y     = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	rfcES512     = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
	rfcP521X     = "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk"
	rfcP521Y     = "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"
	rfcES512Data = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA"
)

func number(t *testing.T, text string) *big.Int {
	t.Helper()
	b, err := b64.DecodeURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return new(big.Int).SetBytes(b)
}

// point makes a key of the coordinates that a JWK has.
func point(t *testing.T, c elliptic.Curve, x, y string) *ecdsa.PublicKey {
	t.Helper()
	size := (c.Params().BitSize + 7) / 8
	b := append([]byte{4}, number(t, x).FillBytes(make([]byte, size))...)
	key, err := ecdsa.ParseUncompressedPublicKey(c, append(b, number(t, y).FillBytes(make([]byte, size))...))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestExamplesOfRFC7515Verify(t *testing.T) {
	for _, tt := range []struct {
		name, input, signature string
		key                    crypto.PublicKey
	}{
		{"RS256", "eyJhbGciOiJSUzI1NiJ9" + rfcInput, rfcRS256, &rsa.PublicKey{N: number(t, rfcModulus), E: 65537}},
		{"ES256", "eyJhbGciOiJFUzI1NiJ9" + rfcInput, rfcES256, point(t, elliptic.P256(), rfcP256X, rfcP256Y)},
		{"ES512", rfcES512Data, rfcES512, point(t, elliptic.P521(), rfcP521X, rfcP521Y)},
	} {
		a, ok := Find(tt.name)
		signature, err := b64.DecodeURL(tt.signature)
		if !ok || err != nil {
			t.Fatalf("%s: %v, %v", tt.name, ok, err)
		}
		if err := a.Verify(tt.key, []byte(tt.input), signature); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := a.Verify(tt.key, []byte(tt.input+"x"), signature); err == nil {
			t.Errorf("%s: verifies over another input", tt.name)
		}
		if err := a.Verify(tt.key, []byte(tt.input), append(signature, 0)); err == nil {
			t.Errorf("%s: verifies with a byte more", tt.name)
		}
	}
}

func ecKey(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSignaturesAreTheOnesThatRFC7518Names verifies with the standard library, from parameters written out here.
func TestSignaturesAreTheOnesThatRFC7518Names(t *testing.T) {
	input := []byte("header.payload")
	d256, d384, d512 := sha256.Sum256(input), sha512.Sum384(input), sha512.Sum512(input)
	key := rsaKey(t, MinRSABits)
	pkcs1 := func(h crypto.Hash, digest []byte) func([]byte) bool {
		return func(s []byte) bool { return rsa.VerifyPKCS1v15(&key.PublicKey, h, digest, s) == nil }
	}
	pss := func(h crypto.Hash, digest []byte, salt int) func([]byte) bool {
		return func(s []byte) bool {
			return rsa.VerifyPSS(&key.PublicKey, h, digest, s, &rsa.PSSOptions{SaltLength: salt}) == nil
		}
	}
	p256, p384, p521 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())
	ec := func(key *ecdsa.PrivateKey, digest []byte, size int) func([]byte) bool {
		return func(s []byte) bool {
			return len(s) == 2*size &&
				ecdsa.Verify(&key.PublicKey, digest, new(big.Int).SetBytes(s[:size]), new(big.Int).SetBytes(s[size:]))
		}
	}
	for _, tt := range []struct {
		name  string
		key   crypto.Signer
		holds func([]byte) bool
	}{
		{"RS256", key, pkcs1(crypto.SHA256, d256[:])}, {"RS384", key, pkcs1(crypto.SHA384, d384[:])}, {"RS512", key, pkcs1(crypto.SHA512, d512[:])},
		{"PS256", key, pss(crypto.SHA256, d256[:], 32)}, {"PS384", key, pss(crypto.SHA384, d384[:], 48)}, {"PS512", key, pss(crypto.SHA512, d512[:], 64)},
		{"ES256", p256, ec(p256, d256[:], 32)}, {"ES384", p384, ec(p384, d384[:], 48)}, {"ES512", p521, ec(p521, d512[:], 66)},
	} {
		a, ok := Find(tt.name)
		signature, err := a.Sign(tt.key, input)
		if !ok || err != nil || !tt.holds(signature) {
			t.Errorf("%s: found %v, signed with error %v, but not as the RFC has it", tt.name, ok, err)
		}
		if err := a.Verify(tt.key.Public(), input, signature); err != nil {
			t.Errorf("%s: own signature: %v", tt.name, err)
		}
	}
}

func TestNoAlgorithmVerifiesTheSignatureOfAnother(t *testing.T) {
	key, input := rsaKey(t, MinRSABits), []byte("input")
	for _, a := range Algorithms() {
		if a.Fits(key.Public()) != nil {
			continue
		}
		signature, err := a.Sign(key, input)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range Algorithms() {
			if err := other.Verify(key.Public(), input, signature); (err == nil) != (other.Name == a.Name) {
				t.Errorf("%s as %s: %v", a.Name, other.Name, err)
			}
		}
	}
}

func TestSaltOfAnotherLengthIsRefused(t *testing.T) {
	key, digest := rsaKey(t, MinRSABits), sha256.Sum256([]byte("input"))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 20})
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := Find("PS256"); a.Verify(key.Public(), []byte("input"), signature) == nil {
		t.Error("a salt of 20 bytes was accepted")
	}
}

func TestUsualAlgorithmOfAKey(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key        crypto.PublicKey
		want, fail string
	}{
		{rsaKey(t, MinRSABits).Public(), "RS256", ""},
		{ecKey(t, elliptic.P256()).Public(), "ES256", ""},
		{ecKey(t, elliptic.P384()).Public(), "ES384", ""},
		{ecKey(t, elliptic.P521()).Public(), "ES512", ""},
		{ecKey(t, elliptic.P224()).Public(), "", "ECDSA on P-224"},
		{ed, "", "ed25519.PublicKey"},
		{&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}, "", "RSA key of 1024 bits, at least 2048"},
	} {
		a, err := For(tt.key)
		if a.Name != tt.want || (err == nil) != (tt.fail == "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
			t.Errorf("%s: %q, %v; want %q, %q", Describe(tt.key), a.Name, err, tt.want, tt.fail)
		}
	}
}

func TestRSAKeysOutsideTheBoundsAreRefused(t *testing.T) {
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for _, tt := range []struct {
		key  rsa.PublicKey
		want string
	}{
		{rsa.PublicKey{N: odd(MinRSABits), E: 65537}, ""},
		{rsa.PublicKey{N: odd(MinRSABits - 1), E: 65537}, "2047 bits"},
		{rsa.PublicKey{N: odd(MaxRSABits), E: 3}, ""},
		{rsa.PublicKey{N: odd(MaxRSABits + 1), E: 65537}, "8193 bits"},
		{rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), MinRSABits-1), E: 65537}, "even"},
		{rsa.PublicKey{N: odd(MinRSABits), E: 1}, "exponent 1"},
		{rsa.PublicKey{N: odd(MinRSABits), E: 65536}, "exponent 65536"},
	} {
		if err := CheckRSA(&tt.key); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bits, exponent %d: %v, want %q", tt.key.N.BitLen(), tt.key.E, err, tt.want)
		}
	}
}

// badSigner is a key in a module that answers nonsense.
type badSigner struct {
	crypto.Signer
	answer []byte
}

func (b badSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.answer, nil }

func TestSignersThatAnswerNonsenseAreFoundOut(t *testing.T) {
	a, _ := Find("ES256")
	for _, der := range []string{"", "MAA", "MAYCAQECAQE", "MAYCAf8CAQE", "MAYCAQECAQEA", "MCYCIQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQIBAQ"} {
		answer, err := base64.RawURLEncoding.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := a.Sign(badSigner{ecKey(t, elliptic.P256()), answer}, nil)
		sound := der == "MAYCAQECAQE" // SEQUENCE { 1, 1 }
		if (err == nil) != sound || sound && (len(signature) != 64 || signature[31] != 1 || signature[63] != 1) {
			t.Errorf("%q: %x, %v", der, signature, err)
		}
	}
}

func TestCertificatesAreStandardBase64OfDER(t *testing.T) {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)},
		&x509.Certificate{}, ecKey(t, elliptic.P256()).Public(), ecKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	if c, err := ParseCertificate(text); err != nil || string(c.Raw) != string(der) {
		t.Error(err)
	}
	for _, damaged := range []string{"", text[:8], text[:64] + "\n" + text[64:], strings.TrimRight(text, "=") + "*",
		base64.StdEncoding.EncodeToString(append(der, 0))} {
		if _, err := ParseCertificate(damaged); err == nil {
			t.Errorf("%.40q… was accepted", damaged)
		}
	}
}
