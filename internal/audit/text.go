package audit

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the texts of a record in bytes, before JSON writes some characters as two.
const (
	maxWord    = 128  // names of operations, codes, ids, addresses
	maxName    = 512  // ARM ids, user names, user agents
	maxDetails = 1024 // messages
	maxURI     = 1024
)

// cut ends a text that was too long.
const cut = "…"

// bounded makes a text of strangers fit for a record: valid UTF-8 of at most limit bytes without control characters.
func bounded(text string, limit int) string {
	return shortened(strings.Map(printable, shortened(text, limit)), limit) // the map can lengthen what is no UTF-8
}

func shortened(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len(cut)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cut
}

func printable(r rune) rune {
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
		return utf8.RuneError
	}
	return r
}

// maxParameter is how long the name of an unknown query parameter may be to be repeated.
const maxParameter = 32

// cleanURI is the URL as requested, with its port. Of the query remain the names of parameters, and the values of those
// that are known to be harmless: others may be tokens. So may be a name that is none.
func cleanURI(u *url.URL) string {
	if u == nil {
		return ""
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; u.Port() == "" && u.Host != "" {
		clean.Host += port
	}
	text := clean.String()
	if u.RawQuery != "" {
		text += "?" + cleanQuery(u.RawQuery)
	}
	return bounded(text, maxURI)
}

func cleanQuery(raw string) string {
	if len(raw) > maxURI {
		raw = raw[:maxURI]
	}
	var out []string
	for parameter := range strings.SplitSeq(raw, "&") {
		name, value, hasValue := strings.Cut(parameter, "=")
		if !harmlessName(name) {
			name = "_"
		}
		if !harmlessValue(name, value) {
			value = ""
		}
		if hasValue {
			name += "="
		}
		out = append(out, name+value)
	}
	return strings.Join(out, "&")
}

// harmlessName admits what is written like the name of a parameter.
func harmlessName(name string) bool {
	return len(name) <= maxParameter && strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '$')
	}) < 0
}

// harmlessValue admits values of the parameters that the service has (api.md sections 1 and 13).
func harmlessValue(name, value string) bool {
	switch strings.ToLower(name) {
	case "api-version", "tee":
		return harmlessName(value)
	}
	return false
}
