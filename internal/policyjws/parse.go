package policyjws

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/policy"
)

// Operation is what a JWS asks for.
type Operation string

// The operations, told apart by the payload: a policy, nothing, a certificate.
const (
	SetPolicy     Operation = "set"
	ResetPolicy   Operation = "reset"
	ChangeSigners Operation = "signers" // add or remove: the route says which
)

// Options says what Parse accepts beyond the forms of 2020-10-01 and later. The zero value is the strict choice.
type Options struct {
	// PlainText accepts an AttestationPolicy that is the text itself, as clients of 2018-09-01-preview wrote it.
	PlainText bool
}

// content is what a JWS says, believed or not. It does not change and may be used concurrently.
type content struct {
	jws       string
	named     string         // alg as written
	algorithm jose.Algorithm // zero: none
	chain     []*x509.Certificate
	operation Operation
	text      []byte
	signer    *x509.Certificate // of ChangeSigners
}

// Parsed is a well-formed JWS of which nothing is believed: it may come from anyone. It serves to show a JWS to a
// person, to take an unsigned one where that is allowed, and to verify a signed one. The zero value is none.
type Parsed struct {
	content
	signature []byte
}

// Parse reads a JWS in compact serialisation (RFC 7515 section 7.1). White space around it, and the quotes of a JSON
// string, are transport and do not belong to it (api.md 8.1). The error is a *Refusal for Malformed or Algorithm.
func Parse(b []byte, opts Options) (*Parsed, error) {
	if len(b) > MaxSize {
		return nil, malformed("the JWS is too long").want("at most "+size(MaxSize), size(len(b)))
	}
	jws, err := unquote(bytes.TrimSpace(b))
	if err != nil {
		return nil, err
	}
	if !strings.Contains(jws, ".") { // the words of Microsoft's service (api.md 6.4)
		return nil, malformed("Malformed JWT: Could not find first period in the token").want("three parts divided by dots", quote(jws))
	}
	parts := strings.SplitN(jws, ".", 4)
	if len(parts) != 3 {
		return nil, malformed("not a compact JWS").want("three parts divided by dots", fmt.Sprintf("%d parts", strings.Count(jws, ".")+1)).
			do("give the JWS as it was made by assay policy sign; a policy text is none yet")
	}
	p := &Parsed{content: content{jws: jws}}
	if err := p.readHeader(parts[0]); err != nil {
		return nil, err
	}
	if err := p.readSignature(parts[2]); err != nil {
		return nil, err
	}
	if err := p.readPayload(parts[1], opts); err != nil {
		return nil, err
	}
	return p, nil
}

// unquote takes off the quotes that some clients send around the JWS.
func unquote(b []byte) (jws string, err error) {
	if !bytes.HasPrefix(b, []byte{'"'}) {
		return string(b), nil
	}
	if err := strictjson.Exact(b, &jws); err != nil {
		return "", malformed("the body begins like a JSON string and is none").because(err)
	}
	return jws, nil
}

func (p *Parsed) readSignature(part string) error {
	signature, err := decode("signature", part)
	switch signed := p.Signed(); {
	case err != nil:
		return err
	case signed && len(signature) == 0:
		return malformed("the signature is missing").want("one by "+p.algorithm.Name, "an empty third part")
	case !signed && len(signature) > 0:
		return malformed("there is a signature, and the header says that there is none").want("an empty third part with alg none", size(len(signature)))
	}
	p.signature = signature
	return nil
}

// decode reads base64url that what names. The message has the words of Microsoft's service (api.md 6.4).
func decode(what, text string) ([]byte, error) {
	b, err := b64.DecodeURL(text)
	if err == nil {
		return b, nil
	}
	r := malformed("%s", what).because(err)
	for _, c := range text {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c) {
			r.Problem = what + ": Unknown base64 character: " + character(c)
			break
		}
	}
	return nil, r
}

// Expect refuses, as malformed, a JWS that asks for another operation than the caller's.
func (c *content) Expect(op Operation) error {
	if c.operation == op {
		return nil
	}
	r := malformed("the JWS is for another operation").want(expected(op), expected(c.operation))
	if op == ChangeSigners { // the words of Microsoft's service (api.md 6.4)
		r.Problem = `Could not find "policyCertificate" claim in policy token`
	}
	return r
}

func expected(op Operation) string {
	switch op {
	case SetPolicy:
		return "a payload with AttestationPolicy, which sets a policy"
	case ResetPolicy:
		return "an empty payload, which resets a policy"
	}
	return "a payload with policyCertificate, which changes the signers"
}

// Operation says what the JWS asks for.
func (c *content) Operation() Operation { return c.operation }

// Signed reports whether there is a signature, genuine or not.
func (c *content) Signed() bool { return len(c.chain) > 0 }

// Algorithm is the JOSE name of the signature's algorithm: "RS256" also where the client wrote RSA256; "none" of an
// unsigned JWS.
func (c *content) Algorithm() string {
	if !c.Signed() {
		return algorithmNone
	}
	return c.algorithm.Name
}

// HeaderAlgorithm is the member alg as it was written.
func (c *content) HeaderAlgorithm() string { return c.named }

// Certificates returns the certificates of the header, that of the key first; none of an unsigned JWS.
func (c *content) Certificates() []*x509.Certificate {
	return append([]*x509.Certificate(nil), c.chain...)
}

// Text returns a copy of the policy text; ok is false if the JWS is for another operation.
func (c *content) Text() (text []byte, ok bool) {
	return bytes.Clone(c.text), c.operation == SetPolicy
}

// PolicyCertificate returns the certificate to add to the signers or to remove; ok is false for other operations.
func (c *content) PolicyCertificate() (cert *x509.Certificate, ok bool) {
	return c.signer, c.operation == ChangeSigners
}

// String returns the JWS byte for byte as it is to be stored: without the transport's quotes.
func (c *content) String() string { return c.jws }

// TokenHash is the x-ms-policy-token-hash: base64url of the SHA-256 of the whole JWS (policy.md 10.2).
func (c *content) TokenHash() string {
	digest := sha256.Sum256([]byte(c.jws))
	return b64.URL(digest[:])
}

// PolicyHash is the x-ms-policy-hash of the text; empty if the JWS is for another operation.
func (c *content) PolicyHash() string {
	if c.operation != SetPolicy {
		return ""
	}
	return policy.Hash(c.text)
}

// Thumbprint is the name of a certificate on the wire: SHA-1 of its DER in upper-case hex (api.md 14.4). It identifies
// among certificates that are trusted already, and proves nothing.
func Thumbprint(cert *x509.Certificate) string {
	digest := sha1.Sum(cert.Raw)
	return strings.ToUpper(hex.EncodeToString(digest[:]))
}
