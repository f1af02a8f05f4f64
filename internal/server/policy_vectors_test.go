package server_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// vector is a JWS of vectors/policies/index.json.
type vector struct{ jws, operation, tokenHash, signer string }

// signerOf is the DER of the certificate in the header, nil of an unsigned JWS.
func signerOf(t *testing.T, jws string) []byte {
	t.Helper()
	head, _, _ := strings.Cut(jws, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ X5c [][]byte }
	decode(t, b, &header)
	if len(header.X5c) == 0 {
		return nil
	}
	return header.X5c[0]
}

// TestPolicyVectors sends the JWS of real clients to providers of each trust model. The index says what they are answered; what
// is stored comes back byte for byte.
func TestPolicyVectors(t *testing.T) {
	var index map[string]struct {
		Kind, Operation string
		TokenHash       string            `json:"token_hash"`
		Signer          string            `json:"signer_thumbprint"`
		Result          map[string]string `json:"result"`
	}
	vectortest.ReadJSON(t, "policies/index.json", &index)
	ran := 0
	for name, v := range index {
		if v.Kind != "jws" || len(v.Result) == 0 {
			continue
		}
		ran++
		jws := strings.TrimSpace(string(vectortest.Read(t, "policies/"+name)))
		own := store.Provider{Name: "isolated-own"}
		if der := signerOf(t, jws); der != nil {
			own.Signers = [][]byte{der}
		}
		t.Run(name, func(t *testing.T) {
			e := startEstate(t, config.Config{}, own, store.Provider{Name: "isolated-other", Signers: [][]byte{root(t, "other").der()}})
			for model, result := range v.Result {
				e.checkVector(t, vector{jws, v.Operation, v.TokenHash, v.Signer}, model, result)
			}
		})
	}
	if ran == 0 {
		vectortest.NoCase(t, "JWS with expected results")
	}
}

// checkVector sends a vector to the provider of a model.
func (e *estate) checkVector(t *testing.T, v vector, model, result string) {
	t.Helper()
	at := strings.TrimSuffix(model, "-signer")
	if strings.HasPrefix(model, "aad") {
		at = ""
	}
	q := map[string]sending{
		"put":              {method: "PUT", path: sgxPolicy},
		"reset":            {method: "POST", path: "/policies/SgxEnclave:reset?api-version=2022-08-01"},
		"certificates:add": {method: "POST", path: "/certificates:add?api-version=2022-08-01"},
	}[v.operation]
	if strings.HasSuffix(model, preview) {
		q.path = "/operations/policy/current?tee=SgxEnclave&api-version=" + preview
	}
	q.at, q.body, q.token = at, v.jws, e.token("All.owner")
	a := e.send(t, q)
	if result != "accept" {
		a.ended(t, result)
		return
	}
	if a.ended(t, ""); v.operation != "put" {
		return
	}
	if got := e.inForce(t, at); got != v.jws {
		t.Errorf("%s: the policy came back changed: %s", model, got)
	}
	if strings.HasSuffix(model, preview) {
		return
	}
	claims := a.claims(t)
	signer, _ := claims["x-ms-policy-signer"].(map[string]any)
	if claims["x-ms-policy-token-hash"] != v.tokenHash || (signer != nil) != (v.signer != "") {
		t.Errorf("%s: %v", model, claims)
	}
	want := map[string]any{"alg": "RS256", "kty": "RSA", "use": "sig", "x5c": []any{base64.StdEncoding.EncodeToString(signerOf(t, v.jws))}}
	if signer != nil && text(signer) != text(want) {
		t.Errorf("%s: signer %v, want %v", model, signer, want)
	}
}
