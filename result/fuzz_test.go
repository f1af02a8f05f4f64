package result_test

import (
	"errors"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/result"
)

func FuzzParseToken(f *testing.F) {
	f.Add(forge(f, testKey(), header, payload))
	f.Add(unsigned(header, payload))
	checks(f, func(file string, c tokenCheck) { f.Add(readToken(f, file, c.Member)) })
	keys := keySet(f, member(&testKey().PublicKey, nil))
	f.Fuzz(func(t *testing.T, token string) {
		u, err := result.ParseToken(token)
		if refusal, ok := errors.AsType[*result.Refusal](err); err != nil && (!ok || refusal.Reason != result.Malformed) {
			t.Fatalf("ParseToken(%q): %v is not the refusal malformed", token, err)
		}
		v, verr := result.Verify(token, keys, result.Expect{Issuer: issuer, At: inTime})
		if verr == nil && (err != nil || string(v.Payload()) != string(u.Payload())) {
			t.Fatalf("Verify accepts %q, ParseToken says %v", token, err)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add(keySetJSON(f, member(&testKey().PublicKey, nil)))
	checks(f, func(_ string, c tokenCheck) { f.Add(vectortest.Read(f, c.JWKS)) })
	token := forge(f, testKey(), header, payload)
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := result.ParseKeySet(b)
		if err != nil {
			return
		}
		_, err = result.Verify(token, set, result.Expect{Issuer: issuer, At: inTime})
		if _, verdict := errors.AsType[*result.Refusal](err); err != nil && !verdict {
			t.Fatalf("set %q: %v is no verdict", b, err)
		}
	})
}
