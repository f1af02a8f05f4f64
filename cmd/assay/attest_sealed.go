package main

import (
	"crypto/rsa"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// sealedFor requires a token of an Azure guest to be the answer to a request (tokens.md section 9): with its payload, the nonce in it, and for its key.
type sealedFor struct {
	key     *rsa.PublicKey
	payload map[string]string // base64 with padding
}

// ephemeralKey names the key of the request in x-ms-runtime.keys.
const ephemeralKey = "TpmEphemeralEncryptionKey"

// guestRuntime is the claim x-ms-runtime.
type guestRuntime struct {
	Payload map[string]jsontext.Value `json:"client-payload"`
	Keys    []struct {
		KeyID    string `json:"kid"`
		Type     string `json:"kty"`
		Modulus  string `json:"n"`
		Exponent string `json:"e"`
	} `json:"keys"`
}

// Check implements [relyingparty.Requirement].
func (s sealedFor) Check(t *relyingparty.Token) error {
	var claims struct {
		Runtime guestRuntime `json:"x-ms-runtime"`
	}
	if err := json.Unmarshal(t.Payload(), &claims); err != nil {
		return notTheAnswer("the claim x-ms-runtime", "an object with client-payload and keys", err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(s.payload)) {
		var text string // may be written with escapes, as + is by some
		found := claims.Runtime.Payload[name]
		if err := json.Unmarshal(found, &text); err != nil || found.Kind() != '"' || text != s.payload[name] {
			return notTheAnswer("x-ms-runtime.client-payload."+name, strconv.Quote(s.payload[name]), shorten(string(found)))
		}
	}
	for _, key := range claims.Runtime.Keys {
		if key.KeyID == ephemeralKey && key.Type == "RSA" && isNumber(key.Modulus, s.key.N) && isNumber(key.Exponent, big.NewInt(int64(s.key.E))) {
			return nil
		}
	}
	return notTheAnswer("x-ms-runtime.keys", "the key of this request, "+ephemeralKey, fmt.Sprintf("%d keys, and not this one", len(claims.Runtime.Keys)))
}

func notTheAnswer(what, expected, found string) error {
	return &result.Refusal{
		Reason: relyingparty.Unmet, Problem: "the token is not the answer to this request: " + what + " is another", Expected: expected, Found: found,
		Remedy: "ask again; if that does not help, what answers at --endpoint gives tokens of other requests",
	}
}
