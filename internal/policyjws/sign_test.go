package policyjws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func keySigner(t testing.TB, algorithm string, chain ...*authority) *KeySigner {
	t.Helper()
	var certs []*x509.Certificate
	for _, a := range chain {
		certs = append(certs, a.cert)
	}
	s, err := NewKeySigner(chain[0].key, certs, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSignedOpensAgain(t *testing.T) {
	long := selfSigned(t, "RSA", rsaKey(t, 2048))
	p256, p384, p521 := selfSigned(t, "P-256", ecKey(t, elliptic.P256())), selfSigned(t, "P-384", ecKey(t, elliptic.P384())), selfSigned(t, "P-521", ecKey(t, elliptic.P521()))
	for _, tt := range []struct {
		by              *authority
		algorithm, want string
	}{
		{long, "", "RS256"}, {long, "RS256", "RS256"}, {long, "RS384", "RS384"}, {long, "RS512", "RS512"},
		{long, "PS256", "PS256"}, {long, "PS384", "PS384"}, {long, "PS512", "PS512"},
		{p256, "", "ES256"}, {p256, "ES256", "ES256"}, {p384, "", "ES384"}, {p521, "", "ES512"},
	} {
		s := keySigner(t, tt.algorithm, tt.by)
		for _, text := range []string{minimal, "", "\uFEFFversion= 1.0;\r\n// ü \"\\\r\n"} {
			jws, err := s.Policy([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			v := mustVerify(t, jws)
			got, ok := v.Text()
			if !ok || string(got) != text || v.Algorithm() != tt.want || v.HeaderAlgorithm() != tt.want || !v.Certificates()[0].Equal(tt.by.cert) {
				t.Errorf("%s: algorithm %s, text %q, want %s, %q", tt.algorithm, v.Algorithm(), got, tt.want, text)
			}
		}
		jws, err := s.Reset()
		if err != nil {
			t.Fatal(err)
		}
		if v := mustVerify(t, jws); v.Operation() != ResetPolicy || v.PolicyHash() != "" {
			t.Errorf("reset: operation %s", v.Operation())
		}
		for _, added := range []*authority{long, p384} {
			jws, err := s.PolicyCertificate(added.cert)
			if err != nil {
				t.Fatal(err)
			}
			if cert, ok := mustVerify(t, jws).PolicyCertificate(); !ok || !cert.Equal(added.cert) {
				t.Errorf("change of signers: %v", ok)
			}
		}
	}
}

// TestWhatIsSignedHasTheFormThatClientsWrite takes a JWS apart with other code (policy.md section 10, api.md 9.2).
func TestWhatIsSignedHasTheFormThatClientsWrite(t *testing.T) {
	h := changes{}.make(t)
	s := keySigner(t, "", h.leaf, h.ca)
	policy, err := s.Policy([]byte(minimal))
	change, err2 := s.PolicyCertificate(h.root.cert)
	reset, err3 := s.Reset()
	if err != nil || err2 != nil || err3 != nil {
		t.Fatal(err, err2, err3)
	}
	std := base64.StdEncoding.EncodeToString
	header := `{"alg":"ES256","x5c":["` + std(h.leaf.cert.Raw) + `","` + std(h.ca.cert.Raw) + `"]}`
	for jws, payload := range map[string]string{
		policy: payloadOf(minimal),
		change: `{"policyCertificate":{"kty":"EC","x5c":["` + std(h.root.cert.Raw) + `"]}}`,
		reset:  "",
	} {
		parts := strings.Split(jws, ".")
		gotHeader, err := base64.RawURLEncoding.DecodeString(parts[0])
		gotPayload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
		if len(parts) != 3 || err != nil || err2 != nil || string(gotHeader) != header || string(gotPayload) != payload {
			t.Errorf("header %s\npayload %s\nwant %s\n%s", gotHeader, gotPayload, header, payload)
		}
	}
}

func TestUnsignedFormsAreThoseOfTheSDKs(t *testing.T) {
	if got := UnsignedReset(); got != "eyJhbGciOiJub25lIn0.." { // clients.md section 3.1
		t.Errorf("reset: %s", got)
	}
	jws, err := UnsignedPolicy([]byte(minimal))
	if err != nil || jws != "eyJhbGciOiJub25lIn0."+b64.URL([]byte(payloadOf(minimal)))+"." {
		t.Errorf("policy: %s, %v", jws, err)
	}
	for _, make := range []func([]byte) (string, error){UnsignedPolicy, keySigner(t, "", selfSigned(t, "s", ecKey(t, elliptic.P256()))).Policy} {
		_, err := make([]byte("version=1.0; // \xff"))
		wantRefusal(t, err, Malformed, "not UTF-8")
	}
}

func TestKeysAndCertificatesThatDoNotGoTogetherAreRefused(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	own, other := selfSigned(t, "own", key), selfSigned(t, "other", ecKey(t, elliptic.P256()))
	for _, tt := range []struct {
		name, algorithm string
		key             crypto.Signer
		chain           []*x509.Certificate
		want            string
	}{
		{"no certificate", "", key, nil, "expected 1 to 8 certificates, found 0"},
		{"another key's certificate", "", key, []*x509.Certificate{other.cert}, `"CN=other", is of another key`},
		{"another key's certificate first", "", key, []*x509.Certificate{other.cert, own.cert}, "expected that of the signing key first"},
		{"too many", "", key, make([]*x509.Certificate, 9), "found 9"},
		{"algorithm of another kind of key", "RS256", key, []*x509.Certificate{own.cert}, "RS256 needs an RSA key"},
		{"algorithm of another curve", "ES384", key, []*x509.Certificate{own.cert}, "ES384 needs an ECDSA key on P-384"},
		{"no algorithm of JOSE", "RSA256", key, []*x509.Certificate{own.cert}, `unknown algorithm "RSA256"`},
		{"none", "none", key, []*x509.Certificate{own.cert}, `unknown algorithm "none", expected one of RS256`},
		{"curve without an algorithm", "", ecKey(t, elliptic.P224()), nil, "found 0"},
	} {
		if _, err := NewKeySigner(tt.key, tt.chain, tt.algorithm); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestCertificatesOutOfRuleAreUsed: whether a service takes them is the service's affair.
func TestCertificatesOutOfRuleAreUsed(t *testing.T) {
	s := keySigner(t, "", (*authority)(nil).issue(t, "no CA", ecKey(t, elliptic.P256()), notCA))
	jws, err := s.Policy([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	_, err = mustParse(t, jws).Verify()
	wantRefusal(t, err, Chain, "CA=true")
}

// stuck is a key that always answers with the same signature.
type stuck struct {
	crypto.Signer
	answer []byte
}

func (s stuck) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return s.answer, nil }

func TestAKeyThatSignsWronglyIsFoundOut(t *testing.T) {
	a := selfSigned(t, "broken module", rsaKey(t, 2048))
	a.key = stuck{a.key, make([]byte, 256)}
	_, err := keySigner(t, "", a).Reset()
	wantRefusal(t, err, Signature, "does not verify")
}

// TestOpenSSLVerifiesWhatIsSigned asks another implementation.
func TestOpenSSLVerifiesWhatIsSigned(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		vectortest.Missing(t, "openssl")
	}
	for name, key := range map[string]crypto.Signer{"RS256": rsaKey(t, 2048), "PS256": rsaKey(t, 2048), "ES256": ecKey(t, elliptic.P256())} {
		jws, err := keySigner(t, name, selfSigned(t, name, key)).Policy([]byte(minimal))
		if err != nil {
			t.Fatal(err)
		}
		cut := strings.LastIndexByte(jws, '.')
		signature, _ := b64.DecodeURL(jws[cut+1:])
		if name == "ES256" {
			signature = derSignature(signature)
		}
		dir := t.TempDir()
		files := map[string][]byte{"input": []byte(jws[:cut]), "signature": signature, "key": spki(t, key)}
		for file, b := range files {
			if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"dgst", "-sha256", "-keyform", "DER", "-verify", "key", "-signature", "signature"}
		if name == "PS256" {
			args = append(args, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
		}
		cmd := exec.Command("openssl", append(args, "input")...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Verified OK")) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func spki(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// derSignature writes r and s as OpenSSL wants them.
func derSignature(raw []byte) []byte {
	var der []byte
	for _, half := range [][]byte{raw[:len(raw)/2], raw[len(raw)/2:]} {
		n := append([]byte{0}, new(big.Int).SetBytes(half).Bytes()...)
		if n[1] < 0x80 {
			n = n[1:]
		}
		der = append(append(der, 2, byte(len(n))), n...)
	}
	return append([]byte{0x30, byte(len(der))}, der...)
}

// TestOtherImplementationsSignaturesVerify has a JWS made with nothing of this package.
func TestOtherImplementationsSignaturesVerify(t *testing.T) {
	for alg, key := range map[string]crypto.Signer{"RSA256": rsaKey(t, 2048), "ECDH256": ecKey(t, elliptic.P256())} {
		a := selfSigned(t, alg, key)
		header, _ := json.Marshal(map[string]any{"alg": alg, "x5c": []string{base64.StdEncoding.EncodeToString(a.cert.Raw)}})
		payload, _ := json.Marshal(map[string]string{"AttestationPolicy": base64.RawURLEncoding.EncodeToString([]byte(minimal))})
		input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
		digest := sha256.Sum256([]byte(input))
		var signature []byte
		var err error
		switch key := key.(type) {
		case *rsa.PrivateKey:
			signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		case *ecdsa.PrivateKey:
			r, s, err2 := ecdsa.Sign(rand.Reader, key, digest[:])
			signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), err2
		}
		if err != nil {
			t.Fatal(err)
		}
		mustVerify(t, input+"."+base64.RawURLEncoding.EncodeToString(signature))
	}
}
