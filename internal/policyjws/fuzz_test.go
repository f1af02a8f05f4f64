package policyjws

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// FuzzParse opens what it is given every way there is. Whatever that is, the errors are refusals on one line of limited
// length, and nothing comes out larger than what went in.
func FuzzParse(f *testing.F) {
	f.Add([]byte(UnsignedReset()))
	f.Add([]byte(`"` + UnsignedReset() + `"`))
	f.Add([]byte(signed(f, "ES256", selfSigned(f, "signer", ecKey(f, elliptic.P256())))))
	for name := range jwsVectors(f) {
		f.Add(vectortest.Read(f, "policies/"+name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := Text(b); err == nil && len(text) > len(b) {
			t.Errorf("%d bytes out of %d", len(text), len(b))
		}
		for _, opts := range []Options{{}, {PlainText: true}} {
			p, err := Parse(b, opts)
			if err != nil {
				sound(t, err)
				continue
			}
			quoted := bytes.HasPrefix(bytes.TrimSpace(b), []byte{'"'})
			if text, ok := p.Text(); ok != (p.Operation() == SetPolicy) || len(text) > len(b) || !quoted && !bytes.Contains(b, []byte(p.String())) {
				t.Errorf("%s with a text of %d bytes: %v", p.Operation(), len(text), ok)
			}
			v, err := p.Verify()
			if err != nil {
				sound(t, err)
				continue
			}
			if _, err := v.Trust(v.Certificates()[:1]); err != nil {
				t.Errorf("the signer does not trust himself: %v", err)
			}
		}
	})
}

func sound(t *testing.T, err error) {
	if _, ok := errors.AsType[*Refusal](err); !ok {
		t.Errorf("%T is no refusal: %v", err, err)
	}
	if text := err.Error(); len(text) > 2000 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%q", text)
	}
}
