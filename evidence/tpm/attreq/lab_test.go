package attreq

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/evidence"
)

// keys are made once: making RSA keys is slow.
type keys struct{ request, aik, other *rsa.PrivateKey }

var labKeys = sync.OnceValues(func() (k keys, err error) {
	for _, to := range []**rsa.PrivateKey{&k.request, &k.aik, &k.other} {
		if *to, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return k, err
		}
	}
	return k, nil
})

func someKeys(t testing.TB) keys {
	t.Helper()
	k, err := labKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func b64u(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf writes a public key with a space, which must be kept.
func jwkOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf(`{"kty":"RSA", "n":%q,"e":%q}`, b64u(key.N.Bytes()), b64u(big.NewInt(int64(key.E)).Bytes()))
	case *ecdsa.PublicKey:
		b, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		size := len(b) / 2
		return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`, key.Curve.Params().Name, b64u(b[1:1+size]), b64u(b[1+size:]))
	}
	panic("no such key")
}

func ecJWK(t testing.TB, c elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jwkOf(key.Public())
}

// members are the members of a JSON object in their order, each with its text.
type members [][2]string

func (m members) String() string {
	var list []string
	for _, one := range m {
		list = append(list, fmt.Sprintf("%q:%s", one[0], one[1]))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// with sets members; an empty text takes one out.
func (m members) with(pairs ...string) members {
	out := append(members{}, m...)
	for i := 0; i < len(pairs); i += 2 {
		found := false
		for j := range out {
			if out[j][0] == pairs[i] {
				out[j][1], found = pairs[i+1], true
			}
		}
		if !found {
			out = append(out, [2]string{pairs[i], pairs[i+1]})
		}
	}
	var left members
	for _, one := range out {
		if one[1] != "" {
			left = append(left, one)
		}
	}
	return left
}

var challengeBytes = []byte("0123456789abcdef")

func common() members {
	return members{
		{"rp_id", `"https://rp.example"`}, {"rp_data", `"cnA"`}, {"challenge", `"` + b64u(challengeBytes) + `"`}, {"service_context", `"ctx"`},
	}
}

// platform1Of and platform2Of are tpm_att_data of sound form; nothing in them verifies.
func platform1Of(t testing.TB) members {
	return members{{"srtm_boot_log", `"Ym9vdA"`}, {"aik_cert", `"Y2VydA=="`}, {"aik_pub", jwkOf(someKeys(t).aik.Public())}, {"current_claim", `"Y2xhaW0"`}}
}

func attestationOf(t testing.TB) members {
	return members{
		{"logs", `[{"type":"TCG","log":"bG9n"},{"type":"IMA","log":"aW1h"}]`}, {"aik_cert", `"Y2VydA"`}, {"aik_pub", jwkOf(someKeys(t).aik.Public())},
		{"pcrs", fmt.Sprintf(`[{"algorithm":11,"values":[{"index":2,"digest":%q},{"index":1,"digest":%q}]}]`, b64u(make([]byte, 32)), base64.StdEncoding.EncodeToString(make([]byte, 32)))},
		{"quote", `"cXVvdGU"`}, {"signature", `"c2ln"`},
	}
}

func platform2Of(t testing.TB) members {
	return members{{"current_attestation", attestationOf(t).String()}}
}

func evidence1Of(t testing.TB) members {
	return common().with("tpm_att_data", platform1Of(t).String(), "attest_key", jwkOf(someKeys(t).request.Public()))
}

const quoteInfo = `{"tpm_quote":{"hash_alg":"sha-256"}}`

func keyObjectOf(jwk, info string) string {
	return members{{"jwk", jwk}}.with("info", info).String()
}

func evidence2Of(t testing.TB) members {
	return common().with("tpm_att_data", platform2Of(t).String(), "request_key", keyObjectOf(jwkOf(someKeys(t).request.Public()), quoteInfo))
}

func basic(evidence fmt.Stringer) string {
	return members{{"att_type", `"basic"`}, {"att_data", evidence.String()}}.String()
}

const (
	header1 = `{"alg":"PS256","typ":"attReq"}`
	header2 = `{"alg":"PS256","typ":"attReqV2"}`
)

// sign makes a JWS by the request key.
func sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := b64u([]byte(header)) + "." + b64u([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	s, err := rsa.SignPSS(rand.Reader, someKeys(t).request, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64u(s)
}

// refused checks that an error is a refusal of the check with the fragments.
func refused(t testing.TB, err error, check evidence.Check, fragments ...string) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || r.Check != check {
		t.Errorf("got %v, want a refusal of %s", err, check)
		return
	}
	for _, f := range fragments {
		if !strings.Contains(err.Error(), f) {
			t.Errorf("%q lacks %q", err, f)
		}
	}
}

func curve521() elliptic.Curve { return elliptic.P521() }
