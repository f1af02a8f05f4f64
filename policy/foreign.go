package policy

import (
	"encoding/base64"
	"strings"
)

// foreign says what the text is that does not begin as a policy does.
func (p *parser) foreign() string {
	text := strings.Trim(strings.TrimSpace(p.source), "\uFEFF\"")
	switch {
	case p.is(endOfText) && strings.Contains(text, "/"):
		return "the text has comments only"
	case p.is(endOfText):
		return "the text is empty"
	case isJWS(text):
		return "the text is a compact JWS: expecting the policy text, which is inside its payload"
	case startsWith(text, base64.RawStdEncoding.EncodeToString([]byte("version"))[:9]):
		return "the text is in base64: expecting the policy text itself"
	case startsWith(text, "{"):
		return "the text is JSON or has no version: a policy begins with its version, as in version=1.0;"
	case startsWith(text, "<"):
		return "the text is HTML or XML: a policy begins with its version, as in version=1.0;"
	case startsWith(text, "-----BEGIN"):
		return "the text is in PEM: a policy begins with its version, as in version=1.0;"
	}
	return "a policy begins with its version, as in version=1.0;"
}

// isJWS says whether the text has the form of a compact JWS: three parts in base64url, the first of which is JSON.
func isJWS(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2 &&
		strings.IndexFunc(text, func(r rune) bool { return !isDigit(byte(r)) && !isLetter(byte(r)) && r != '-' && r != '.' }) < 0
}

func isAction(t token) bool { return actionProduction(t.name) != "" }
