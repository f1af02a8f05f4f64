// Package b64 reads the base64 dialects that real attestation clients send (api.md section 4) and nothing looser:
// either alphabet, padded or not, but never mixed, with white space, or with stray bits.
package b64

import (
	"encoding/base64"
	"errors"
	"strings"
)

var (
	errDialect = errors.New("not base64url (RFC 4648 section 5), nor base64 (section 4), padded or not")
	errURL     = errors.New("not base64url (RFC 4648 section 5) without padding")
)

// Decode reads s in the URL or the standard alphabet, with correct padding or none.
func Decode(s string) ([]byte, error) {
	enc := base64.RawURLEncoding
	if strings.IndexByte(s, '+') >= 0 || strings.IndexByte(s, '/') >= 0 { // faster than ContainsAny on megabytes
		enc = base64.RawStdEncoding
	}
	if pad := len(s) - len(strings.TrimRight(s, "=")); pad > 0 {
		if pad > 2 || len(s)%4 != 0 {
			return nil, errDialect
		}
		s = s[:len(s)-pad]
	}
	return decode(enc, s)
}

// DecodeURL reads s as unpadded base64url, the form inside a JWS (RFC 7515 section 2).
func DecodeURL(s string) ([]byte, error) {
	b, err := decode(base64.RawURLEncoding, s)
	if err != nil {
		return nil, errURL
	}
	return b, nil
}

func decode(enc *base64.Encoding, s string) ([]byte, error) {
	if strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return nil, errDialect
	}
	b, err := enc.Strict().DecodeString(s)
	if err != nil {
		return nil, errDialect
	}
	return b, nil
}

// URL writes b as unpadded base64url.
func URL(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(b)
}
