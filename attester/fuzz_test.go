package attester

import (
	"errors"
	"testing"
)

// FuzzAnswer: an answer is read, or is a bad one.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"data":"eyJwYXlsb2FkIjp7InJlcG9ydCI6InIifX0"}`, `{"data":"e30"}`, `{"Data":"bnVsbA=="}`, `{"data":1}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := readAnswer(b); err != nil && !errors.As(err, new(*BadAnswer)) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzCertificates: what a TPM has as a chain is read up to its zeros, and never more than fits.
func FuzzCertificates(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 20))
	f.Add([]byte{0x30, 0x03, 1, 2, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, err := certificates(b)
		size := 0
		for _, c := range chain {
			size += len(c.Raw)
		}
		if err != nil && chain != nil || len(chain) > maxChain || size > len(b) {
			t.Errorf("%d certificates of %d bytes, %v", len(chain), size, err)
		}
	})
}

// FuzzSized: a TPM2B is exactly as long as it says.
func FuzzSized(f *testing.F) {
	for _, seed := range []string{"AAA", "AAEA", "AAEAAA", "", "!", "__8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := sized(text); err == nil && len(b) > len(text) {
			t.Errorf("%d bytes of %q", len(b), text)
		}
	})
}
