package result

import (
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Verified is a token whose signature, issuer and times Verify found in order. Only Verify fills one; the zero value
// has no claims. It does not change and may be used concurrently.
type Verified struct {
	header                       Header
	payload                      []byte
	claims                       map[string]jsontext.Value
	issuer                       string
	issuedAt, notBefore, expires time.Time
}

// readVerified reads the payload, and from it the claims that every token has (tokens.md section 4).
func readVerified(h Header, payload []byte) (*Verified, error) {
	claims, err := parsePayload(payload)
	if err != nil {
		return nil, err
	}
	v := &Verified{header: h, payload: payload, claims: claims}
	if v.issuer, err = required(v.String, ClaimIssuer, "a string"); err != nil {
		return nil, err
	}
	for _, date := range []struct {
		name string
		to   *time.Time
	}{{ClaimIssuedAt, &v.issuedAt}, {ClaimNotBefore, &v.notBefore}, {ClaimExpires, &v.expires}} {
		if *date.to, err = required(v.date, date.name, "whole seconds since 1970"); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// required reads a claim that must be there.
func required[T any](read func(string) (T, bool), name, form string) (T, error) {
	found, ok := read(name)
	if !ok {
		return found, malformed("the claim %s is missing or not %s", name, form)
	}
	return found, nil
}

// maxDate is the last second of the year 9999, the end of RFC 3339. Far later dates would overflow time.Time.
const maxDate = 253402300799

// date reads a NumericDate (RFC 7519 section 2) that is an integer, as all tokens of the service have it.
func (v *Verified) date(name string) (time.Time, bool) {
	n, ok := v.Int(name)
	if !ok || n < 0 || n > maxDate {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

// Header returns the token's JOSE header.
func (v *Verified) Header() Header { return v.header }

// Issuer returns the claim iss.
func (v *Verified) Issuer() string { return v.issuer }

// IssuedAt returns the claim iat, in UTC.
func (v *Verified) IssuedAt() time.Time { return v.issuedAt }

// NotBefore returns the claim nbf, in UTC.
func (v *Verified) NotBefore() time.Time { return v.notBefore }

// Expires returns the claim exp, in UTC: the first second at which the token no longer holds.
func (v *Verified) Expires() time.Time { return v.expires }

// Development reports whether the token carries the mark of development mode, with whatever value.
func (v *Verified) Development() bool {
	_, marked := v.claims[ClaimDevelopment]
	return marked
}

// Names returns the names of all claims in order.
func (v *Verified) Names() []string { return slices.Sorted(maps.Keys(v.claims)) }

// String returns a claim that is a string; ok is false if it is missing or of another type.
func (v *Verified) String(name string) (s string, ok bool) {
	ok = v.read(name, '"', &s)
	return s, ok
}

// Int returns a claim that is an integer; ok is false if it is missing, of another type, or out of range.
func (v *Verified) Int(name string) (n int64, ok bool) {
	ok = v.read(name, '0', &n)
	return n, ok
}

// Bool returns a claim that is true or false; ok is false if it is missing or of another type.
func (v *Verified) Bool(name string) (b, ok bool) {
	kind := v.claims[name].Kind()
	return kind == 't', kind == 't' || kind == 'f'
}

// JSON returns a claim of any type as it stands in the token.
func (v *Verified) JSON(name string) (jsontext.Value, bool) {
	raw, ok := v.claims[name]
	return raw.Clone(), ok
}

// Text returns a claim that is a string, number or boolean as text, the way in which key release policies compare
// claims (tokens.md section 12); ok is false if it is missing or of another type.
func (v *Verified) Text(name string) (text string, ok bool) {
	switch raw := v.claims[name]; raw.Kind() {
	case '"':
		return v.String(name)
	case '0', 't', 'f':
		return string(raw), true
	}
	return "", false
}

// Payload returns the payload's JSON as it was signed.
func (v *Verified) Payload() jsontext.Value { return jsontext.Value(v.payload).Clone() }

// read puts the claim into to if it is there with the kind of JSON value.
func (v *Verified) read(name string, kind jsontext.Kind, to any) bool {
	raw := v.claims[name]
	return raw.Kind() == kind && json.Unmarshal(raw, to) == nil
}
