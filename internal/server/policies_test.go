package server_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

const sgxPolicy = "/policies/SgxEnclave?api-version=2022-08-01"

// set puts a policy for SgxEnclave, as a contributor may.
func (e *estate) set(t testing.TB, at, jws string) answer {
	t.Helper()
	return e.send(t, sending{at: at, method: "PUT", path: sgxPolicy, body: jws, contentType: "text/plain", token: e.token("All.owner")})
}

func (e *estate) reset(t testing.TB, at, jws string) answer {
	t.Helper()
	return e.send(t, sending{at: at, method: "POST", path: "/policies/SgxEnclave:reset?api-version=2022-08-01", body: jws, token: e.token("All.owner")})
}

// inForce is the JWS of the policy for SgxEnclave.
func (e *estate) inForce(t testing.TB, at string) string {
	t.Helper()
	claims := e.send(t, sending{at: at, method: "GET", path: sgxPolicy, token: e.token("All.owner")}).claims(t)
	return claims["x-ms-policy"].(string)
}

// ended checks that the change was made, or refused with a code and words.
func (a answer) ended(t *testing.T, code string, words ...string) {
	t.Helper()
	if code != "" {
		a.refused(t, http.StatusBadRequest, code, "", words...)
		return
	}
	if a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// TestPolicySigningRules covers policy.md section 10.1 and api.md section 8.2, on a provider of each trust model.
func TestPolicySigningRules(t *testing.T) {
	owner, stranger := root(t, "owner"), root(t, "stranger")
	leaf := certified(t, owner, "leaf", rsaKey(t), false)
	curve := certified(t, owner, "curve", ecKey(t), false)
	namesake := certified(t, root(t, "owner"), "leaf", rsaKey(t), false) // its issuer only has the name
	noCA := certified(t, nil, "no CA", rsaKey(t), false)
	broken := &signer{leaf.key, append(leaf.chain[:1:1], stranger.chain...)}
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{owner.der()}})
	payload := policyPayload(numbered(1))
	by := func(s *signer, alg, algorithm string) string { return s.jws(t, alg, algorithm, payload) }
	const operation, parameter, noIssuer = "InvalidOperation", "InvalidParameter", "Unable to find issuer certificate CN="
	for _, tt := range []struct {
		name, jws     string
		isolated, aad string // the code; empty: accepted
		words         string
	}{
		{"unsigned", unsigned(payload), operation, "", "not signed"},
		{"signed by the signer", owner.policy(t, numbered(1)), "", "", ""},
		{"signed by a stranger", stranger.policy(t, numbered(1)), operation, "", "trusted signer"},
		{"leaf of the signer", leaf.only().policy(t, numbered(1)), "", "", ""},
		{"leaf with its chain", leaf.policy(t, numbered(1)), "", "", ""},
		{"leaf of a namesake", namesake.only().policy(t, numbered(1)), operation, "", "trusted signer"},
		{"leaf of a namesake with its chain", namesake.policy(t, numbered(1)), operation, "", "trusted signer"},
		{"chain that does not hold", by(broken, "RS256", "RS256"), parameter, parameter, noIssuer + "owner"},
		{"its own certificate, no CA", noCA.policy(t, numbered(1)), parameter, parameter, noIssuer + "no CA"},
		{"another policy put in", tampered(owner.policy(t, numbered(1)), policyPayload(numbered(2))), operation, operation, "does not verify"},
		{"another certificate put in", b64url([]byte(`{"alg":"RS256","x5c":`+owner.x5c()+`}`)) + strings.TrimLeft(stranger.policy(t, numbered(1)), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), operation, operation, "does not verify"},
		{"RSA256", by(owner, "RSA256", "RS256"), "", "", ""},
		{"RSA256 in a jwk", owner.under(t, `{"alg": "RSA256", "jwk": {"x5c": `+owner.x5c()+`}}`, "RS256", payload), "", "", ""},
		{"PS512", by(owner, "PS512", "PS512"), "", "", ""},
		{"ES256", by(curve, "ES256", "ES256"), "", "", ""},
		{"ECDH256", by(curve, "ECDH256", "ES256"), "", "", ""},
		{"RS256 with a key on a curve", by(curve, "RS256", "ES256"), operation, operation, "Java SDK"},
		{"EC", by(curve, "EC", "ES256"), operation, operation, "C++ SDK"},
		{"HS256", by(owner, "HS256", "RS256"), operation, operation, "algorithm"},
		{"none with a signature", by(owner, "none", "RS256"), operation, operation, ""},
		{"text", numbered(1), operation, operation, "a policy text is none yet"},
		{"no first period", "e30", operation, operation, "Malformed JWT: Could not find first period in the token"},
		{"not base64url", "e30.A)A.", operation, operation, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.set(t, "isolated", tt.jws).ended(t, tt.isolated, tt.words)
			words := tt.words
			if tt.aad == "" {
				words = ""
			}
			e.set(t, "", tt.jws).ended(t, tt.aad, words)
			for at, code := range map[string]string{"isolated": tt.isolated, "": tt.aad} {
				if now := e.inForce(t, at); (now == tt.jws) != (code == "") {
					t.Errorf("at %q: the policy is in force: %t", at, now == tt.jws)
				}
				e.reset(t, at, owner.jws(t, "RS256", "RS256", "")).ended(t, "")
			}
		})
	}
}

// TestResetNeedsWhatSettingNeeds covers api.md section 8.5: the answer has the one claim, and the default comes back.
func TestResetNeedsWhatSettingNeeds(t *testing.T) {
	owner := root(t, "owner")
	e := startEstate(t, config.Config{}, store.Provider{Name: "isolated", Signers: [][]byte{owner.der()}})
	usual := e.inForce(t, "isolated")
	mine := owner.policy(t, numbered(1))
	e.set(t, "isolated", mine).ended(t, "")
	e.reset(t, "isolated", unsigned("")).ended(t, "InvalidOperation", "not signed")
	e.reset(t, "isolated", root(t, "stranger").jws(t, "RS256", "RS256", "")).ended(t, "InvalidOperation", "trusted signer")
	e.reset(t, "isolated", mine).ended(t, "InvalidOperation")
	e.set(t, "isolated", owner.jws(t, "RS256", "RS256", "")).ended(t, "InvalidOperation")
	if e.inForce(t, "isolated") != mine {
		t.Error("a refused reset took the policy back")
	}
	for _, jws := range []string{owner.jws(t, "RS256", "RS256", ""), owner.jws(t, "RS256", "RS256", "")} { // twice: nothing is set the second time
		claims := e.reset(t, "isolated", jws).claims(t)
		if len(claims) != 5 || claims["x-ms-policy-result"] != "Removed" || claims["iss"] != e.sites["isolated"].URL {
			t.Errorf("claims %v", claims)
		}
		if e.inForce(t, "isolated") != usual {
			t.Error("the default is not back")
		}
	}
}

// TestPolicyBodiesOfAllClients covers api.md section 8.1: four forms, whatever the content type says.
func TestPolicyBodiesOfAllClients(t *testing.T) {
	e := startEstate(t, config.Config{})
	for n, tt := range []struct{ contentType, before, after string }{
		{"text/plain", "", ""}, {"application/json", "", ""}, {"text/plain", `"`, `"`}, {"application/json", `"`, `"`},
		{"application/octet-stream", "\r\n ", "\n"}, {"", ` "`, "\" \n"}, {"application/x-www-form-urlencoded", "", "\n"},
	} {
		jws := unsigned(policyPayload(numbered(n)))
		q := sending{method: "PUT", path: sgxPolicy, body: tt.before + jws + tt.after, contentType: tt.contentType, token: e.token("default.contributor")}
		claims := e.send(t, q).claims(t)
		digest := sha256.Sum256([]byte(jws))
		if len(claims) != 6 || claims["x-ms-policy-result"] != "Updated" || claims["x-ms-policy-token-hash"] != b64url(digest[:]) {
			t.Errorf("form %d: %v", n, claims)
		}
		if got := e.inForce(t, ""); got != jws {
			t.Errorf("form %d: got %s, want %s", n, got, jws)
		}
		q.method, q.path, q.body = "POST", "/policies/SgxEnclave:reset?api-version=2022-08-01", tt.before+unsigned("")+tt.after
		if got := e.send(t, q).claims(t)["x-ms-policy-result"]; got != "Removed" {
			t.Errorf("form %d: reset: %v", n, got)
		}
	}
}

// TestPolicyBodyLimit holds policy_body to README.md section 7 of the specification, by default and as configured.
func TestPolicyBodyLimit(t *testing.T) {
	jws := unsigned(policyPayload(numbered(1)))
	for limit, cfg := range map[int]config.Config{2 << 20: {}, 4096: {PolicyBody: 4096}} {
		e := startEstate(t, cfg)
		blank := strings.Repeat(" ", limit-len(jws))
		e.set(t, "", jws+blank).ended(t, "")
		a := e.set(t, "", jws+blank+" ")
		a.refused(t, http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "", "policy_body")
		if e.inForce(t, "") != jws {
			t.Error("the policy did not come back as it was sent")
		}
	}
}

// TestSharedPoliciesCannotBeChanged covers management.md section 5.
func TestSharedPoliciesCannotBeChanged(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "shared-one", Shared: true})
	someone := root(t, "someone")
	for _, jws := range []string{unsigned(policyPayload(numbered(1))), someone.policy(t, numbered(1))} {
		e.set(t, "shared-one", jws).ended(t, "InvalidOperation", "shared")
	}
	e.reset(t, "shared-one", unsigned("")).ended(t, "InvalidOperation", "shared")
	e.changeSigner(t, "shared-one", "add", someone.change(t, someone)).ended(t, "InvalidOperation", "The operation is disallowed")
}
