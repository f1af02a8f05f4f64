package attreq

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// customJSON is one element of custom_claims.
type customJSON struct {
	Name  *string        `json:"name"`
	Value jsontext.Value `json:"value"`
	Type  *string        `json:"value_type"`
}

// customClaims reads the claims of the client (tpm.md section 8.3).
func customClaims(sent []customJSON, l Limits) (claims []evidence.Claim, err error) {
	if len(sent) > l.CustomClaims {
		return nil, malformed("there are too many custom_claims").Want(strconv.Itoa(l.CustomClaims)+" or fewer (custom_claims)", len(sent))
	}
	for _, m := range sent {
		claim, err := m.claim(l.CustomClaimValue)
		if err != nil {
			return nil, err
		}
		claims = append(claims, claim)
	}
	return claims, nil
}

// claim reads a claim whose value has at most limit bytes, counted without quotes and escapes.
func (m *customJSON) claim(limit int) (c evidence.Claim, err error) {
	text, isText := string(m.Value), m.Value != nil && m.Value.Kind() == '"'
	if isText {
		if err := strictjson.Exact(m.Value, &text); err != nil {
			return c, malformed("the value of a client claim cannot be read").Because(err)
		}
	}
	switch c.Name = valueOf(m.Name); {
	case c.Name == "":
		return c, missing("custom_claims.name")
	case len(c.Name) > maxText:
		return c, tooLong("custom_claims.name", maxText)
	case len(text) > limit:
		return c, malformed("the client claim %s is too long", quoted(c.Name)).Want(strconv.Itoa(limit)+" bytes or fewer (custom_claim_value)", len(text))
	}
	var ok bool
	if c.Value, ok = m.read(text, isText); !ok {
		return c, malformed("the value of the client claim %s is not of its value_type", quoted(c.Name)).
			Want("value_type string, integer or boolean, and a value of that type, or text of it", "value_type "+quoted(valueOf(m.Type))+", value "+quoted(string(m.Value)))
	}
	return c, nil
}

// read gives the value of a text: a string, int64 or bool.
func (m *customJSON) read(text string, isText bool) (value any, ok bool) {
	switch strictjson.LowerASCII(valueOf(m.Type)) {
	case "", "string":
		return text, isText
	case "integer", "int":
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil && !strings.HasPrefix(text, "+")
	case "boolean", "bool":
		return text == "true", text == "true" || text == "false"
	}
	return nil, false
}
