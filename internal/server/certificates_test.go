package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

// changeSigner adds or removes a policy management certificate.
func (e *estate) changeSigner(t testing.TB, at, verb, body string) answer {
	t.Helper()
	return e.send(t, sending{at: at, method: "POST", path: "/certificates:" + verb + "?api-version=2022-08-01", body: body, contentType: "application/json", token: e.token("All.owner")})
}

// signers are the policy management certificates as the service lists them.
func (e *estate) signers(t testing.TB, at string) (list []string) {
	t.Helper()
	claims := e.send(t, sending{at: at, method: "GET", path: "/certificates?api-version=2022-08-01", token: e.token("All.owner")}).claims(t)
	for _, key := range claims["x-ms-policy-certificates"].(map[string]any)["keys"].([]any) {
		list = append(list, text(key))
	}
	return list
}

// listed is a certificate as the service lists it (api.md section 9.1).
func listed(of *signer) string {
	return fmt.Sprintf(`{"alg":"RS256","kty":"RSA","use":"sig","x5c":["%s"]}`, base64.StdEncoding.EncodeToString(of.der()))
}

func (e *estate) wantSigners(t *testing.T, at string, want ...*signer) {
	t.Helper()
	var list []string
	for _, s := range want {
		list = append(list, listed(s))
	}
	if got := e.signers(t, at); fmt.Sprint(got) != fmt.Sprint(list) {
		t.Errorf("signers %.300s, want %.300s", got, list)
	}
}

// changed checks the answer of a change of signers (api.md section 9.2).
func (a answer) changed(t *testing.T, of *signer, result string) {
	t.Helper()
	claims := a.claims(t)
	delete(claims, "ext-development") // of development mode
	if len(claims) != 6 || claims["x-ms-certificate-thumbprint"] != of.thumbprint() || claims["x-ms-policycertificates-result"] != result {
		t.Errorf("claims %v, want %s %s", claims, of.thumbprint(), result)
	}
}

// TestSignersComeAndGo: in the order of their coming, each change as often as one likes, and never none.
func TestSignersComeAndGo(t *testing.T) {
	first, second, third := root(t, "first"), root(t, "second"), root(t, "third")
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{first.der()}})
	e.wantSigners(t, "isolated", first)
	e.changeSigner(t, "isolated", "remove", first.change(t, first)).ended(t, "InvalidOperation", "last")
	e.changeSigner(t, "isolated", "remove", first.change(t, second)).changed(t, second, "IsAbsent")
	for range 2 {
		e.changeSigner(t, "isolated", "add", first.change(t, second)).changed(t, second, "IsPresent")
	}
	e.changeSigner(t, "isolated", "add", second.change(t, third)).changed(t, third, "IsPresent")
	e.wantSigners(t, "isolated", first, second, third)
	for range 2 {
		e.changeSigner(t, "isolated", "remove", third.change(t, first)).changed(t, first, "IsAbsent")
	}
	e.wantSigners(t, "isolated", second, third)
	e.changeSigner(t, "isolated", "add", first.change(t, first)).ended(t, "InvalidOperation", "trusted signer")
	e.set(t, "isolated", first.policy(t, numbered(1))).ended(t, "InvalidOperation", "trusted signer")
	e.set(t, "isolated", third.policy(t, numbered(1))).ended(t, "")
	e.changeSigner(t, "isolated", "remove", third.change(t, third)).changed(t, third, "IsAbsent") // by himself
	e.wantSigners(t, "isolated", second)
}

// TestSignerRequests covers the forms of api.md section 9.2 and the refusals of section 6.4.
func TestSignerRequests(t *testing.T) {
	owner, next := root(t, "owner"), root(t, "next")
	leaf := certified(t, owner, "leaf", rsaKey(t), false)
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{owner.der()}})
	sign := func(payload string) string { return owner.jws(t, "RS256", "RS256", payload) }
	good := owner.change(t, next)
	two := func(a, b string) string {
		first, second := certificatePayload(a, next), certificatePayload(b, next)
		return sign(first[:len(first)-1] + "," + second[1:])
	}
	const operation, parameter = "InvalidOperation", "InvalidParameter"
	for _, tt := range []struct{ name, body, code, words string }{
		{"bare", good, "", ""},
		{"a string", text(good), "", ""},
		{"a string with blanks around it", " \n" + text(good) + "\n", "", ""},
		{"an object", text(body{"policyCertificateToAdd": good}), "", ""},
		{"an object in another case", text(body{"PolicyCertificateToADD": good, "other": 1}), "", ""},
		{"maa-policyCertificate", sign(certificatePayload("maa-policyCertificate", next)), "", ""},
		{"x-ms-policyCertificate", sign(certificatePayload("x-ms-policyCertificate", next)), "", ""},
		{"a leaf of the signer", leaf.change(t, next), operation, "is none itself"},
		{"RSA256", owner.jws(t, "RSA256", "RS256", certificatePayload("policyCertificate", next)), "", ""},
		{"an object for removal", text(body{"policyCertificateToRemove": good}), parameter, "policycertificatetoadd"},
		{"an object with a number", `{"policyCertificateToAdd":1}`, parameter, "policycertificatetoadd"},
		{"an object with two of it", `{"policyCertificateToAdd":` + text(good) + `,"PolicyCertificateToAdd":` + text(good) + `}`, parameter, "duplicate"},
		{"two names", two("policyCertificate", "maa-policyCertificate"), operation, ""},
		{"two other names", two("maa-policyCertificate", "x-ms-policyCertificate"), operation, ""},
		{"one name twice", two("policyCertificate", "policyCertificate"), operation, "duplicate"},
		{"a policy", owner.policy(t, numbered(1)), operation, `Could not find "policyCertificate" claim in policy token`},
		{"nothing in it", sign("{}"), operation, `Could not find "policyCertificate" claim in policy token`},
		{"empty", sign(""), operation, `Could not find "policyCertificate" claim in policy token`},
		{"unsigned", unsigned(certificatePayload("policyCertificate", next)), operation, "not signed"},
		{"by a stranger", next.change(t, next), operation, "trusted signer"},
		{"tampered", tampered(good, certificatePayload("policyCertificate", leaf)), operation, "does not verify"},
		{"no JWS", "hello", operation, "Malformed JWT: Could not find first period in the token"},
		{"an empty body", "", operation, "Malformed JWT"},
		{"no certificate", sign(`{"policyCertificate":{"kty":"RSA","x5c":["AAAA"]}}`), operation, ""},
		{"no x5c", sign(`{"policyCertificate":{"kty":"RSA","n":"AA","e":"AQAB"}}`), operation, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := e.changeSigner(t, "isolated", "add", tt.body)
			if tt.code != "" {
				a.ended(t, tt.code, tt.words)
				e.wantSigners(t, "isolated", owner)
				return
			}
			a.changed(t, next, "IsPresent")
			e.wantSigners(t, "isolated", owner, next)
			e.changeSigner(t, "isolated", "remove", text(body{"policyCertificateToRemove": good})).changed(t, next, "IsAbsent")
		})
	}
}

// TestSignersAreOfIsolatedProvidersOnly: elsewhere there are none, and none can be added (W).
func TestSignersAreOfIsolatedProvidersOnly(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "shared-one", Shared: true})
	someone := root(t, "someone")
	for _, at := range []string{"", "shared-one"} {
		e.wantSigners(t, at)
		for _, verb := range []string{"add", "remove"} {
			e.changeSigner(t, at, verb, someone.change(t, someone)).ended(t, "InvalidOperation", "GetPolicyRootCertificates().empty()", "The operation is disallowed")
		}
	}
}

// TestSignersAreBounded: a provider has no more than 64.
func TestSignersAreBounded(t *testing.T) {
	first := root(t, "first")
	ders := [][]byte{first.der()}
	for n := range 62 {
		ders = append(ders, certified(t, nil, fmt.Sprint("signer ", n), ecKey(t), true).der())
	}
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: ders})
	last, oneMore := root(t, "last"), root(t, "one more")
	e.changeSigner(t, "isolated", "add", first.change(t, last)).changed(t, last, "IsPresent")
	e.changeSigner(t, "isolated", "add", first.change(t, oneMore)).ended(t, "InvalidOperation", "64")
	e.changeSigner(t, "isolated", "add", first.change(t, last)).changed(t, last, "IsPresent")
	if n := len(e.signers(t, "isolated")); n != 64 {
		t.Errorf("%d signers, want 64", n)
	}
}

// TestSignerWithAKeyThatSignsNoPolicyIsNotAdded: there are such certificates, but no JWK set that the service could list them in.
func TestSignerWithAKeyThatSignsNoPolicyIsNotAdded(t *testing.T) {
	first := root(t, "first")
	curve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{first.der()}})
	odd := certified(t, nil, "odd", curve, true)
	a := e.changeSigner(t, "isolated", "add", first.change(t, odd))
	a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "P-256")
	e.wantSigners(t, "isolated", first)
	e.changeSigner(t, "isolated", "remove", first.change(t, odd)).changed(t, odd, "IsAbsent")
}
