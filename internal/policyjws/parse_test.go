package policyjws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/policy"
)

func TestPlainTextIsItsOwnText(t *testing.T) {
	for _, text := range []string{minimal, "", "version=1.0; // a.b.c", "a.b"} {
		if got, err := Text([]byte(text)); err != nil || string(got) != text {
			t.Errorf("Text(%q) = %q, %v", text, got, err)
		}
	}
}

func TestTextOfAJWSIsThePolicyInIt(t *testing.T) {
	jws, err := UnsignedPolicy([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{jws, " " + jws + "\n", `"` + jws + `"`} {
		if got, err := Text([]byte(body)); err != nil || string(got) != minimal {
			t.Errorf("Text(%q) = %q, %v", body, got, err)
		}
	}
	// The signature of a draft is ignored (policy.md section 11): this one is of a key that cannot have made it.
	key := selfSigned(t, "signer", ecKey(t, elliptic.P256()))
	forged := unsigned(`{"alg":"RS256","x5c":`+x5c(key)+`}`, payloadOf(minimal)) + "AAAA"
	if got, err := Text([]byte(forged)); err != nil || string(got) != minimal {
		t.Errorf("Text of a JWS that does not verify = %q, %v", got, err)
	}
	_, err = Text([]byte(UnsignedReset()))
	wantRefusal(t, err, Malformed, "there is no policy in it")
	_, err = Text([]byte("%%%.e30."))
	wantRefusal(t, err, Malformed, "header")
}

// TestHeadersOfRealClientsOpen has the headers of policy.md section 10 letter by letter.
func TestHeadersOfRealClientsOpen(t *testing.T) {
	rsa, ec := selfSigned(t, "RSA", rsaKey(t, 2048)), selfSigned(t, "EC", ecKey(t, elliptic.P256()))
	for _, tt := range []struct {
		client, header string // CERT stands for the base64 of the certificate
		payload        string
		by             *authority
		want           string
	}{
		{"JS", `{"alg":"RS256","x5c":["CERT"]}`, payloadOf(minimal), rsa, "RS256"},
		{"JS, EC", `{"alg":"ES256","x5c":["CERT"]}`, payloadOf(minimal), ec, "ES256"},
		{"Python", `{"alg": "RSA256", "jwk": {"x5c": ["CERT"]}}`, `{"AttestationPolicy": "` + b64.URL([]byte(minimal)) + `"}`, rsa, "RS256"},
		{".NET", `{"alg":"RSA256","x5c":["CERT"]}`, payloadOf(minimal), rsa, "RS256"},
		{".NET, EC", `{"alg":"ECDH256","x5c":["CERT"]}`, payloadOf(minimal), ec, "ES256"},
		{"signing tool", `{ "alg":"RS256", "x5c": ["CERT"]}`, payloadOf(minimal), rsa, "RS256"},
		{"key with all its members", `{"alg":"RS256","jwk":` + fullJWK(t, rsa) + `}`, payloadOf(minimal), rsa, "RS256"},
		{"EC key with all its members", `{"alg":"ES256","jwk":` + fullJWK(t, ec) + `}`, payloadOf(minimal), ec, "ES256"},
	} {
		header := strings.ReplaceAll(tt.header, "CERT", base64.StdEncoding.EncodeToString(tt.by.cert.Raw))
		v := mustVerify(t, signWith(t, header, tt.payload, tt.want, tt.by.key))
		if text, ok := v.Text(); v.Algorithm() != tt.want || !ok || string(text) != minimal || !v.Signed() {
			t.Errorf("%s: algorithm %s, signed %v, text %q", tt.client, v.Algorithm(), v.Signed(), text)
		}
	}
	for _, header := range []string{`{"alg":"none"}`, `{"typ":"JWT","alg":"none"}`, `{"alg":"none","kid":"x","jku":"https://elsewhere.example"}`} {
		if p := mustParse(t, unsigned(header, payloadOf(minimal))); p.Signed() || p.Algorithm() != "none" {
			t.Errorf("%s: signed %v, algorithm %s", header, p.Signed(), p.Algorithm())
		}
	}
}

// fullJWK writes every member that RFC 7518 section 6 has for the key.
func fullJWK(t *testing.T, a *authority) string {
	t.Helper()
	k, err := describe(a.cert)
	if err != nil {
		t.Fatal(err)
	}
	if k.Type == "RSA" {
		return fmt.Sprintf(`{"kty":"RSA","alg":"RS256","use":"sig","n":"%s","e":"AQAB","x5c":%s}`, k.Modulus, x5c(a))
	}
	point, err := a.cert.PublicKey.(*ecdsa.PublicKey).Bytes() // 04 ‖ x ‖ y
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":"%s","y":"%s","x5c":%s}`, b64.URL(point[1:33]), b64.URL(point[33:]), x5c(a))
}

func TestWhatIsNoJWSIsRefused(t *testing.T) {
	cert := `"x5c":` + x5c(selfSigned(t, "signer", ecKey(t, elliptic.P256())))
	good := payloadOf(minimal)
	for _, tt := range []struct{ name, jws, want string }{
		{"nothing", "", "Could not find first period"},
		{"policy text", minimal, "three parts divided by dots, found 2"},
		{"two parts", "e30.e30", "expected three parts divided by dots, found 2"},
		{"four parts", "e30.e30..", "expected three parts divided by dots, found 4"},
		{"unfinished quotes", `"e30.e30.`, "begins like a JSON string"},
		{"header in plain JSON", `{"alg":"none"}.` + b64.URL([]byte(good)) + ".", `header: Unknown base64 character: 123 ('{')`},
		{"header with padding", "e30=..", "Unknown base64 character: 61 ('=')"},
		{"header with stray bits", "e31..", "not base64url"},
		{"header with a control character", "e30\x00..", "Unknown base64 character: 0"},
		{"header is not JSON", unsigned(`alg`, good), "header"},
		{"header is an array", unsigned(`[]`, good), "expected an object"},
		{"header with alg twice", unsigned(`{"alg":"none","alg":"none"}`, good), "duplicate"},
		{"header nested too deep", unsigned(`{"alg":"none","x":`+strings.Repeat("[", 33)+strings.Repeat("]", 33)+`}`, good), "nested deeper"},
		{"critical extension", unsigned(`{"alg":"none","crit":["b64"]}`, good), "critical"},
		{"unencoded payload", unsigned(`{"alg":"none","b64":true}`, good), "b64"},
		{"alg none with certificates", unsigned(`{"alg":"none",`+cert+`}`, good), "neither x5c nor jwk"},
		{"alg none with a key", unsigned(`{"alg":"none","jwk":{}}`, good), "neither x5c nor jwk"},
		{"alg none with a signature", unsigned(`{"alg":"none"}`, good) + "AAAA", "there is a signature"},
		{"no signature", unsigned(`{"alg":"ES256",`+cert+`}`, good), "the signature is missing"},
		{"signature is not base64url", unsigned(`{"alg":"ES256",`+cert+`}`, good) + "A+A", `signature: Unknown base64 character: 43 ('+')`},
		{"no key", unsigned(`{"alg":"ES256","kid":"1","x5t":"AA","x5u":"https://elsewhere.example"}`, good) + "AAAA", "the header has no key"},
		{"x5c is null", unsigned(`{"alg":"ES256","x5c":null}`, good) + "AAAA", "the header has no key"},
		{"two keys", unsigned(`{"alg":"ES256",`+cert+`,"jwk":{`+cert+`}}`, good) + "AAAA", "x5c and jwk"},
		{"x5c is text", unsigned(`{"alg":"ES256","x5c":"AA"}`, good) + "AAAA", `member "x5c"`},
		{"x5c is empty", unsigned(`{"alg":"ES256","x5c":[]}`, good) + "AAAA", "expected 1 to 8 certificates, found 0"},
		{"x5c is base64url", unsigned(`{"alg":"ES256","x5c":["-_"]}`, good) + "AAAA", "certificate 1"},
		{"x5c is no certificate", unsigned(`{"alg":"ES256","x5c":["MAA="]}`, good) + "AAAA", "certificate 1"},
		{"jwk without a certificate", unsigned(`{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`, good) + "AAAA", "x5c is missing"},
		{"jwk of another kind", unsigned(`{"alg":"ES256","jwk":{"kty":"RSA",`+cert+`}}`, good) + "AAAA", `kty: expected "EC" as in the certificate`},
		{"jwk of another key", unsigned(`{"alg":"ES256","jwk":{"x":"AAAA",`+cert+`}}`, good) + "AAAA", `x: expected`},
		{"payload is not base64url", unsigned(`{"alg":"none"}`, good)[:24] + "*.", `payload: Unknown base64 character: 42 ('*')`},
		{"payload is an array", unsigned(`{"alg":"none"}`, `[]`), "payload: JSON"},
		{"payload is null", unsigned(`{"alg":"none"}`, `null`), "one of the members AttestationPolicy and policyCertificate, found neither"},
		{"payload without the member", unsigned(`{"alg":"none"}`, `{}`), "found neither"},
		{"member in another case", unsigned(`{"alg":"none"}`, `{"attestationpolicy":""}`), "found neither"},
		{"member twice", unsigned(`{"alg":"none"}`, `{"AttestationPolicy":"","AttestationPolicy":""}`), "duplicate"},
		{"member is a number", unsigned(`{"alg":"none"}`, `{"AttestationPolicy":1}`), "expected a string, found a number"},
		{"policy and certificate", unsigned(`{"alg":"none"}`, `{"AttestationPolicy":"","policyCertificate":{}}`), "found both"},
		{"certificate under two names", unsigned(`{"alg":"none"}`, `{"policyCertificate":{`+cert+`},"maa-policyCertificate":{`+cert+`}}`), "several certificates"},
		{"certificate as text", unsigned(`{"alg":"none"}`, `{"policyCertificate":"MIIB"}`), "payload: policyCertificate"},
		{"certificate missing in its key", unsigned(`{"alg":"none"}`, `{"policyCertificate":{"kty":"EC"}}`), "x5c is missing"},
		{"text in padded base64url", unsigned(`{"alg":"none"}`, `{"AttestationPolicy":"dmVyc2lvbj0xLg=="}`), "without padding"},
		{"plain text", unsigned(`{"alg":"none"}`, `{"AttestationPolicy":"version=1.0;"}`), "AttestationPolicy: Unknown base64 character: 61 ('=')"},
		{"text is not UTF-8", unsigned(`{"alg":"none"}`, payloadOf("\xff")), "not UTF-8"},
		{"signing tool in its current mode", unsigned(`{"alg":"none"}`, `{"AttestationPolicy":`+b64.URL([]byte(`"version=1.0;"`))+`}`), "signing tool leaves out the quotes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.jws), Options{})
			wantRefusal(t, err, Malformed, tt.want)
		})
	}
}

func TestAlgorithmsThatPoliciesDoNotHaveAreRefused(t *testing.T) {
	for header, want := range map[string]string{
		`{}`:               "found none",
		`{"alg":"HS256"}`:  `found "HS256"`,
		`{"alg":"None"}`:   `found "None"`,
		`{"alg":"rs256"}`:  `one of none, RS256,`,
		`{"alg":"RSA384"}`: `found "RSA384"`,
		`{"alg":"EC"}`:     "the C++ SDK",
		`{"alg":"` + strings.Repeat("x", 1000) + `"}`: "(1000 bytes)",
	} {
		_, err := Parse([]byte(unsigned(header, payloadOf(minimal))+"AAAA"), Options{})
		wantRefusal(t, err, Algorithm, want)
	}
}

func TestPlainTextIsAcceptedWhereTheCallerSaysSo(t *testing.T) {
	for _, payload := range []string{`{"AttestationPolicy":"` + minimal + `"}`, payloadOf(minimal)} {
		p, err := Parse([]byte(unsigned(`{"alg":"none"}`, payload)), Options{PlainText: true})
		if err != nil {
			t.Error(err)
			continue
		}
		if text, ok := p.Text(); !ok || string(text) != minimal {
			t.Errorf("text %q", text)
		}
	}
}

// TestKeyTypeOfASignerChangeIsNotBelieved covers clients: the Java one writes X.509, the Python one RSA, whatever the key is. What
// else describes the key must agree.
func TestKeyTypeOfASignerChangeIsNotBelieved(t *testing.T) {
	signer := selfSigned(t, "new signer", ecKey(t, elliptic.P256()))
	for _, kind := range []string{"EC", "RSA", "X.509"} {
		p := mustParse(t, unsigned(`{"alg":"none"}`, fmt.Sprintf(`{"policyCertificate":{"kty":"%s","x5c":%s}}`, kind, x5c(signer))))
		if cert, ok := p.PolicyCertificate(); !ok || !cert.Equal(signer.cert) {
			t.Errorf("%s: %v", kind, ok)
		}
	}
	_, err := Parse([]byte(unsigned(`{"alg":"none"}`, fmt.Sprintf(`{"policyCertificate":{"kty":"EC","crv":"P-384","x5c":%s}}`, x5c(signer)))), Options{})
	wantRefusal(t, err, Malformed, `crv: expected "P-256" as in the certificate`)
}

func TestCertificateOfASignerChangeHasThreeNames(t *testing.T) {
	signer := selfSigned(t, "new signer", ecKey(t, elliptic.P384()))
	for _, member := range []string{"policyCertificate", "maa-policyCertificate", "x-ms-policyCertificate"} {
		p := mustParse(t, unsigned(`{"alg":"none"}`, fmt.Sprintf(`{"%s":{"kty":"EC","x5c":%s}}`, member, x5c(signer))))
		if cert, ok := p.PolicyCertificate(); !ok || !cert.Equal(signer.cert) || p.Operation() != ChangeSigners || p.PolicyHash() != "" {
			t.Errorf("%s: %v, operation %s", member, ok, p.Operation())
		}
		if _, ok := p.Text(); ok {
			t.Errorf("%s: there is a policy", member)
		}
	}
}

func TestSizesAreBounded(t *testing.T) {
	head := b64.URL([]byte(`{"alg":"none"}`)) + "."
	fill := func(n int) string { return head + strings.Repeat("A", n-len(head)-1) + "." }
	_, err := Parse([]byte(fill(MaxSize)), Options{})
	if wantRefusal(t, err, Malformed, "payload"); strings.Contains(err.Error(), "too long") {
		t.Errorf("%d bytes are too long: %v", MaxSize, err)
	}
	_, err = Parse([]byte(fill(MaxSize+1)), Options{})
	wantRefusal(t, err, Malformed, "at most")

	signer := selfSigned(t, "signer", ecKey(t, elliptic.P256()))
	for n, words := range map[int]string{MaxCertificates: "", MaxCertificates + 1: "expected 1 to 8 certificates, found 9"} {
		header := `{"alg":"ES256","x5c":` + x5c(repeat(signer, n)...) + `}`
		_, err := Parse([]byte(unsigned(header, payloadOf(minimal))+"AAAA"), Options{})
		if words == "" && err != nil {
			t.Errorf("%d certificates: %v", n, err)
		} else if words != "" {
			wantRefusal(t, err, Malformed, words)
		}
	}
}

func repeat(a *authority, n int) (chain []*authority) {
	for range n {
		chain = append(chain, a)
	}
	return chain
}

// certificateOf makes a certificate of exactly so many bytes.
func certificateOf(t *testing.T, n int) *authority {
	t.Helper()
	key := rsaKey(t, 2048) // its signatures all have one length
	padded := func(pad int) *authority {
		return (*authority)(nil).issue(t, "signer", key, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, pad)}}
		})
	}
	pad := n - 1000
	a := padded(pad + n - len(padded(pad).cert.Raw))
	if len(a.cert.Raw) != n {
		t.Fatalf("made a certificate of %d bytes, want %d", len(a.cert.Raw), n)
	}
	return a
}

func TestCertificatesAreBounded(t *testing.T) {
	for n, words := range map[int]string{MaxCertificate: "", MaxCertificate + 1: "at most 8192 bytes are read, found 8193 bytes",
		MaxCertificate + 2: "at most 10924 characters are read, found 10928"} {
		a := certificateOf(t, n)
		header := `{"alg":"RS256","x5c":` + x5c(a) + `}`
		_, err := Parse([]byte(unsigned(header, payloadOf(minimal))+"AAAA"), Options{})
		if words == "" && err != nil {
			t.Errorf("%d bytes: %v", n, err)
		} else if words != "" {
			wantRefusal(t, err, Malformed, words)
		}
		_, err = NewKeySigner(a.key, []*x509.Certificate{a.cert}, "")
		if (err == nil) != (words == "") {
			t.Errorf("signing with a certificate of %d bytes: %v", n, err)
		}
	}
}

// TestTheLongestPolicyFitsBesideTheLongestChain shows that the bounds go together.
func TestTheLongestPolicyFitsBesideTheLongestChain(t *testing.T) {
	a := certificateOf(t, MaxCertificate)
	chain := make([]*x509.Certificate, MaxCertificates)
	for i := range chain {
		chain[i] = a.cert
	}
	s, err := NewKeySigner(a.key, chain, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Policy(bytes.Repeat([]byte(" "), policy.MaxText)); err != nil {
		t.Error(err)
	}
	_, err = s.Policy(bytes.Repeat([]byte(" "), policy.MaxText+1))
	wantRefusal(t, err, Malformed, "too long")
	_, err = UnsignedPolicy(bytes.Repeat([]byte(" "), policy.MaxText+1))
	wantRefusal(t, err, Malformed, "too long")
}
