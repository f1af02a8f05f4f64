package snp_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

// decode reads base64 of any dialect.
func decode(t testing.TB, text string) []byte {
	t.Helper()
	text = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(text)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
