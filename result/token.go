package result

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// MaxTokenSize bounds a token. The largest that the service can be made to sign comes from an attest_body of 4 MiB
// that is all binary runtime data: three copies of it as claims, and base64url of these, 16 MiB (tokens.md section 6).
// The rest is room for what a policy adds.
const MaxTokenSize = 32 << 20

// MaxHeaderSize bounds the first part of a token; an x5c chain with three certificates takes 10 KiB.
const MaxHeaderSize = 64 << 10

// Unverified is a well-formed token of which nothing is believed: it may come from anyone. It serves to show a token
// to a person, never to decide.
type Unverified struct {
	header  Header
	payload []byte
	signed  bool
}

// ParseToken reads a token in JWS compact serialisation (RFC 7515 section 7.1): three parts in unpadded base64url,
// header and payload JSON objects without duplicate members. The error is a *Refusal with reason malformed.
func ParseToken(token string) (*Unverified, error) {
	p, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(p.header)
	if err != nil {
		return nil, err
	}
	if _, err := parsePayload(p.payload); err != nil {
		return nil, err
	}
	return &Unverified{header: h, payload: p.payload, signed: len(p.signature) > 0}, nil
}

// Header returns what the header claims.
func (u *Unverified) Header() Header { return u.header }

// Payload returns the payload's JSON as it was sent.
func (u *Unverified) Payload() jsontext.Value { return jsontext.Value(u.payload).Clone() }

// HasSignature reports whether there is a signature, genuine or not. A draft has none.
func (u *Unverified) HasSignature() bool { return u.signed }

// parts are the decoded parts of a token.
type parts struct {
	input                      string // what the signature covers: the first two parts as sent, with the dot
	header, payload, signature []byte
}

func split(token string) (p parts, err error) {
	if len(token) > MaxTokenSize {
		return p, malformed("the token has %d bytes, at most %d are read", len(token), MaxTokenSize)
	}
	if n := strings.Count(token, "."); n != 2 {
		return p, malformed("a token has three parts divided by dots, this has %d", n+1)
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if len(header) > MaxHeaderSize {
		return p, malformed("the header has %d bytes, at most %d are read", len(header), MaxHeaderSize)
	}
	p.input = token[:len(header)+1+len(payload)]
	for _, part := range []struct {
		name, text string
		to         *[]byte
	}{{"header", header, &p.header}, {"payload", payload, &p.payload}, {"signature", signature, &p.signature}} {
		if *part.to, err = b64.DecodeURL(part.text); err != nil {
			return p, &Refusal{Reason: Malformed, Problem: "the " + part.name + " is not unpadded base64url", Err: err}
		}
	}
	return p, nil
}

// parseHeader reads a JOSE header. The members that would change how the signature is computed are refused:
// extensions marked critical (RFC 7515 section 4.1.11) and the unencoded payload (RFC 7797).
func parseHeader(b []byte) (Header, error) {
	var h struct {
		Header
		Critical jsontext.Value `json:"crit"`
		Encoded  jsontext.Value `json:"b64"`
	}
	if err := strictjson.Exact(b, &h); err != nil {
		return Header{}, &Refusal{Reason: Malformed, Problem: "the header is not a JSON object as expected", Err: err}
	}
	switch {
	case !isObject(b):
		return Header{}, malformed("the header is not a JSON object")
	case h.Critical != nil:
		return Header{}, malformed("the header marks extensions as critical, and none is supported: %s", quote(string(h.Critical)))
	case h.Encoded != nil:
		return Header{}, malformed("the header has the member b64, which is not supported")
	case h.Type != "" && h.Type != tokenType:
		r := malformed("the header says that this is another kind of token")
		r.Expected, r.Found = "typ "+tokenType, quote(h.Type)
		return Header{}, r
	}
	return h.Header, nil
}

// parsePayload reads a payload into its members.
func parsePayload(b []byte) (map[string]jsontext.Value, error) {
	var members map[string]jsontext.Value
	if err := strictjson.Exact(b, &members); err != nil {
		return nil, &Refusal{Reason: Malformed, Problem: "the payload is not a JSON object as expected", Err: err}
	}
	if members == nil {
		return nil, malformed("the payload is not a JSON object")
	}
	return members, nil
}

// isObject tells an object from null, which Go reads into any struct.
func isObject(b []byte) bool { return jsontext.Value(b).Kind() == '{' }
