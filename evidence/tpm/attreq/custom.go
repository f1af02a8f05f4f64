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
		name := valueOf(m.Name)
		switch {
		case name == "":
			return nil, missing("custom_claims.name")
		case len(name) > maxText:
			return nil, tooLong("custom_claims.name", maxText)
		case len(m.Value) > l.CustomClaimValue+2: // with its quotes
			return nil, malformed("the client claim %s is too long", quoted(name)).Want(strconv.Itoa(l.CustomClaimValue)+" bytes or fewer (custom_claim_value)", len(m.Value))
		}
		value, ok := m.read()
		if !ok {
			return nil, malformed("the value of the client claim %s is not of its value_type", quoted(name)).
				Want("value_type string, integer or boolean, and a value of that type, or text of it", "value_type "+quoted(valueOf(m.Type))+", value "+quoted(string(m.Value)))
		}
		claims = append(claims, evidence.Claim{Name: name, Value: value})
	}
	return claims, nil
}

// read gives the value: a string, int64 or bool.
func (m *customJSON) read() (value any, ok bool) {
	text, isText := string(m.Value), m.Value != nil && m.Value.Kind() == '"'
	if isText && strictjson.Exact(m.Value, &text) != nil {
		return nil, false
	}
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
