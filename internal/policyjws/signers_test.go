package policyjws

import (
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestSignersReadsWhatClientsSend holds JWK sets to management.md section 4.2: the CLI's, Terraform's, and that of templates in
// mixed case.
func TestSignersReadsWhatClientsSend(t *testing.T) {
	var none *authority
	one, two := none.issue(t, "one", ecKey(t, elliptic.P256()), nil), none.issue(t, "two", ecKey(t, elliptic.P256()), nil)
	x5c := func(a *authority) string { return base64.StdEncoding.EncodeToString(a.cert.Raw) }
	key := func(a *authority) string { return fmt.Sprintf(`{"kty":"RSA","x5c":[%q]}`, x5c(a)) }
	for _, tt := range []struct {
		name, set string
		want      []string // common names
	}{
		{"none", `{"keys":[]}`, nil},
		{"null", `{"keys":null}`, nil},
		{"nothing", `{}`, nil},
		{"CLI", fmt.Sprintf(`{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","x5c":[%q]}]}`, x5c(one)), []string{"one"}},
		{"template", fmt.Sprintf(`{"Keys":[{"Kty":"RSA","X5C":[%q]}]}`, x5c(one)), []string{"one"}},
		{"two", `{"keys":[` + key(two) + `,` + key(one) + `]}`, []string{"two", "one"}},
		{"one twice", `{"keys":[` + key(one) + `,` + key(one) + `]}`, []string{"one"}},
		{"chain", fmt.Sprintf(`{"keys":[{"x5c":[%q,%q],"n":"AA","k":7}]}`, x5c(one), x5c(two)), []string{"one"}},
	} {
		certs, err := Signers([]byte(tt.set), 2)
		var got []string
		for _, c := range certs {
			got = append(got, c.Subject.CommonName)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
	for name, tt := range map[string]struct{ set, want string }{
		"three of two":         {`{"keys":[` + key(one) + `,` + key(one) + `,` + key(one) + `]}`, "at most 2 keys, found 3"},
		"no certificate":       {`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`, "key 1: x5c"},
		"not a set":            {`[]`, "expected an object"},
		"not a certificate":    {`{"keys":[{"x5c":["AAAA"]}]}`, "key 1: x5c: certificate 1"},
		"a large certificate":  {`{"keys":[{"x5c":["` + strings.Repeat("A", base64.StdEncoding.EncodedLen(MaxCertificate)+4) + `"]}]}`, "characters"},
		"a second that is bad": {`{"keys":[` + key(one) + `,{"x5c":[""]}]}`, "key 2"},
	} {
		if _, err := Signers([]byte(tt.set), 2); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
