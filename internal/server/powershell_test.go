package server_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// The paths of Az PowerShell (api.md section 13).
const (
	previewQuery   = "?api-version=2018-09-01-preview"
	previewPrepare = "/operations/policy/updatepolicy" + previewQuery
	previewCurrent = "/operations/policy/current" + previewQuery
	previewSigners = "/operations/policy/certificates" + previewQuery
)

// resetJWS is what Reset-AzAttestationPolicy sends unless it is given a JWS.
const resetJWS = "eyJhbGciOiJub25lIn0.."

// powerShell makes the calls of Az.Attestation to one provider, as clients.md section 12 describes them.
type powerShell struct {
	*testService
	attestURI string // as the resource manager shows it
	bearer    string
}

func newPowerShell(t *testing.T, s *testService, role auth.Role) powerShell {
	t.Helper()
	return powerShell{s, s.URL + "/", s.token(t, role)}
}

// call sends a JWS in quotes as text/plain, as the generated client does. Any status from 400 on is tried once more.
func (p powerShell) call(t *testing.T, method, path, jws string) answer {
	t.Helper()
	body := ""
	if jws != "" {
		body = text(jws)
	}
	a := p.once(t, method, p.URL+path, body, "Content-Type", "text/plain", "Authorization", "Bearer "+p.bearer)
	if a.status < http.StatusBadRequest {
		return a
	}
	again := p.once(t, method, p.URL+path, body, "Content-Type", "text/plain", "Authorization", "Bearer "+p.bearer)
	if again.status != a.status {
		t.Errorf("%s %s: status %d, and %d when tried once more", method, path, a.status, again.status)
	}
	return again
}

// once sends a request as it is.
func (p powerShell) once(t *testing.T, method, address, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b}
}

// prepare is the first step of Set-AzAttestationPolicy, and the check of its answer, which is the second.
func (p powerShell) prepare(t *testing.T, tee, jws string) (prepared string) {
	t.Helper()
	a := p.call(t, http.MethodPost, previewPrepare+"&tee="+tee, jws)
	if a.status != http.StatusOK {
		t.Fatalf("prepare: status %d: %s", a.status, a.body)
	}
	decode(t, a.body, &prepared)
	p.validate(t, prepared)
	return prepared
}

// set is Set-AzAttestationPolicy.
func (p powerShell) set(t *testing.T, tee, jws string) {
	t.Helper()
	a := p.call(t, http.MethodPut, previewCurrent+"&tee="+tee, p.prepare(t, tee, jws))
	if a.status != http.StatusOK {
		t.Fatalf("set: status %d: %s", a.status, a.body)
	}
}

// get is Get-AzAttestationPolicy.
func (p powerShell) get(t *testing.T, tee string) string {
	t.Helper()
	a := p.call(t, http.MethodGet, previewCurrent+"&tee="+tee, "")
	var body map[string]string
	decode(t, a.body, &body)
	if a.status != http.StatusOK || len(body) != 1 {
		t.Fatalf("get: status %d: %s", a.status, a.body)
	}
	return body["Policy"]
}

// validate is what PowerShell's PolicyValidationHelper asks of a token of the service, done with the standard library alone.
func (p powerShell) validate(t *testing.T, token string) {
	t.Helper()
	var header struct{ Alg, Kid, JKU string }
	var claims struct{ Iss string }
	signature := readJWS(t, token, &header, &claims)
	a := p.once(t, http.MethodGet, header.JKU, "", "tenantName", "a-provider-with-a-name-of-24-or-more"[:24])
	var set struct {
		Keys []struct {
			Kid string
			X5c [][]byte
		}
	}
	decode(t, a.body, &set)
	for _, k := range set.Keys {
		if k.Kid != header.Kid {
			continue
		}
		cert, err := x509.ParseCertificate(k.X5c[0])
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
		if err := rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
			t.Errorf("signature: %v", err)
		}
		if got, want := cert.Issuer.String(), "CN="+claims.Iss; got != want {
			t.Errorf("issuer name of the signing certificate: got %q, want %q", got, want)
		}
		if want := strings.TrimSuffix(p.attestURI, "/"); !strings.EqualFold(claims.Iss, want) {
			t.Errorf("iss: got %q, want %q", claims.Iss, want)
		}
		return
	}
	t.Errorf("no key %q at %s: %s", header.Kid, header.JKU, a.body)
}

// readJWS opens a JWS without verifying it, and returns its signature.
func readJWS(t testing.TB, jws string, header, payload any) (signature []byte) {
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		t.Fatalf("a JWS of %d parts: %.80q", len(parts), jws)
	}
	var opened [3][]byte
	for i, part := range parts {
		var err error
		if opened[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	decode(t, opened[0], header)
	decode(t, opened[1], payload)
	return opened[2]
}

// unsignedPolicy is the JWS that clients make of a text.
func unsignedPolicy(policyText string) string {
	return b64url([]byte(`{"alg":"none"}`)) + "." + b64url([]byte(`{"AttestationPolicy":"`+b64url([]byte(policyText))+`"}`)) + "."
}

const (
	denyLines    = "version= 1.0;\r\nauthorizationrules { => deny(); };\r\nissuancerules { };\r\n "
	permitSpaced = " version= 1.0;authorizationrules{ => permit(); };issuancerules{ };\n"
)

func TestPowerShellSetsAPolicyAndTakesItBack(t *testing.T) {
	p := newPowerShell(t, start(t, config.Config{}), auth.Contributor)
	byDefault := string(vectortest.Read(t, "policies/sgx-v11-default-exact.txt"))
	if got := policyText(t, p.get(t, "SgxEnclave")); got != byDefault {
		t.Errorf("default policy: got %q", got)
	}
	jws := unsignedPolicy(denyLines)
	prepared := p.prepare(t, "SgxEnclave", jws)
	if got := policyText(t, p.get(t, "SgxEnclave")); got != byDefault {
		t.Errorf("a policy that is only prepared is in force: %q", got)
	}
	var claims map[string]any
	readJWS(t, prepared, &map[string]any{}, &claims)
	if claims["x-ms-policy"] != jws {
		t.Errorf("prepared policy: got %v, want %s", claims["x-ms-policy"], jws)
	}
	p.set(t, "SgxEnclave", jws)
	if got := p.get(t, "sgxenclave"); got != jws {
		t.Errorf("got %s, want %s", got, jws)
	}
	p.attest(t, p.scenario()).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "")

	if a := p.call(t, http.MethodPost, previewCurrent+"&tee=SgxEnclave", resetJWS); a.status != http.StatusOK || string(a.body) != "null" {
		t.Errorf("reset: status %d: %s", a.status, a.body)
	}
	if got := policyText(t, p.get(t, "SgxEnclave")); got != byDefault {
		t.Errorf("after the reset: got %q", got)
	}
	p.attest(t, p.scenario()).claims(t)

	if a := p.call(t, http.MethodPut, previewCurrent+"&tee=SgxEnclave", jws); a.status != http.StatusOK {
		t.Errorf("the policy itself, as samples send it: status %d: %s", a.status, a.body)
	}
	plain := b64url([]byte(`{"alg":"none"}`)) + "." + b64url([]byte(`{"AttestationPolicy":`+text(permitSpaced)+`}`)) + "."
	p.set(t, "OpenEnclave", plain)
	if got := p.get(t, "OpenEnclave"); got != plain {
		t.Errorf("policy in plain text: got %s, want %s", got, plain)
	}
}

// TestTeeNames covers the names of attestation types that only the routes of 2018 have.
func TestTeeNames(t *testing.T) {
	p := newPowerShell(t, start(t, config.Config{}), auth.Contributor)
	tpm := unsignedPolicy(permitSpaced)
	p.set(t, "VBSEnclave", tpm)
	for _, tee := range []string{"VBSEnclave", "VSMEnclave", "vsmenclave", "Tpm"} {
		if got := p.get(t, tee); got != tpm {
			t.Errorf("%s: got %s, want that of VBSEnclave", tee, got)
		}
	}
	for _, tee := range []string{"SgxEnclave", "OpenEnclave", "AzureGuest"} {
		if got := p.get(t, tee); got == tpm {
			t.Errorf("%s: has the policy of VBSEnclave", tee)
		}
	}
	for _, query := range []string{"&tee=CyResComponent", "&tee=", ""} {
		p.call(t, http.MethodGet, previewCurrent+query, "").refused(t, http.StatusBadRequest, "InvalidParameter", "")
	}
}

// TestPreparedPolicies are refused unless this very provider prepared them, for somebody who may set them.
func TestPreparedPolicies(t *testing.T) {
	p := newPowerShell(t, start(t, config.Config{}), auth.Contributor)
	other := newPowerShell(t, start(t, config.Config{}), auth.Contributor)
	jws := unsignedPolicy(denyLines)
	prepared := p.prepare(t, "SgxEnclave", jws)
	parts := strings.Split(prepared, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(payload), jws, unsignedPolicy(permitSpaced), 1)
	if changed == string(payload) {
		t.Fatalf("the prepared policy lacks %s: %s", jws, payload)
	}
	for name, token := range map[string]string{
		"of another provider":     other.prepare(t, "SgxEnclave", jws),
		"with another policy":     parts[0] + "." + b64url([]byte(changed)) + "." + parts[2],
		"without its signature":   parts[0] + "." + parts[1] + ".",
		"with alg none":           b64url([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"cut short":               prepared[:len(prepared)-8],
		"that is no token at all": "prepared",
	} {
		t.Run(name, func(t *testing.T) {
			p.call(t, http.MethodPut, previewCurrent+"&tee=SgxEnclave", token).refused(t, http.StatusBadRequest, "InvalidOperation", "")
			if got := p.get(t, "SgxEnclave"); got == jws {
				t.Error("the policy was set")
			}
		})
	}
	p.call(t, http.MethodPost, previewPrepare+"&tee=SgxEnclave", unsignedPolicy("version")).refused(t, http.StatusBadRequest, "PolicyParsingError", "")
}

// TestPreviewRoutesRefuseWithAString covers the one error of these routes that is not an object (api.md section 5).
func TestPreviewRoutesRefuseWithAString(t *testing.T) {
	s := start(t, config.Config{})
	reader, nobody := newPowerShell(t, s, auth.Reader), newPowerShell(t, s, auth.Reader)
	nobody.bearer = "nobody"
	reader.get(t, "SgxEnclave")
	for _, tt := range []struct {
		by           powerShell
		method, path string
	}{
		{nobody, "GET", previewCurrent + "&tee=SgxEnclave"},
		{nobody, "GET", previewSigners},
		{nobody, "POST", "/attest/SgxEnclave" + previewQuery},
		{nobody, "POST", "/attest/Tee/SgxEnclave" + previewQuery},
		{nobody, "POST", "/attest/Tee/OpenEnclave" + previewQuery},
		{reader, "POST", previewPrepare + "&tee=SgxEnclave"},
		{reader, "PUT", previewCurrent + "&tee=SgxEnclave"},
		{reader, "POST", previewCurrent + "&tee=SgxEnclave"},
		{reader, "PUT", previewSigners},
		{reader, "POST", previewSigners},
	} {
		a := tt.by.call(t, tt.method, tt.path, resetJWS)
		var message string
		if err := json.Unmarshal(a.body, &message); err != nil || a.status != http.StatusUnauthorized {
			t.Errorf("%s %s: status %d: %s", tt.method, tt.path, a.status, a.body)
		}
		path, _, _ := strings.Cut(tt.path, "?")
		if want := "Access to " + path + " requires a valid JWT bearer token"; !strings.HasPrefix(message, want) {
			t.Errorf("%s %s: got %q, want %q", tt.method, tt.path, message, want)
		}
		if form := `Bearer authorization_uri="`; !strings.HasPrefix(a.header.Get("WWW-Authenticate"), form) {
			t.Errorf("%s %s: WWW-Authenticate %q", tt.method, tt.path, a.header.Get("WWW-Authenticate"))
		}
	}
}

// TestPreviewAttest replays the request that is kept of 2020, of whose answer only the claims are kept. Those that name the
// collateral have other names now; the policy was another one, so its hash is compared in its form only.
func TestPreviewAttest(t *testing.T) {
	var verify map[string]struct {
		Verify struct{ Collateral, At, Expiry string }
	}
	vectortest.ReadJSON(t, "maa/index.json", &verify)
	const name = "exchanges/2020-preview-attest-openenclave"
	r := replay{Collateral: verify[name+".request.json"].Verify.Collateral, At: verify[name+".request.json"].Verify.At, Expiry: verify[name+".request.json"].Verify.Expiry, Instance: "any"}
	s := start(t, r.config(t, nil))
	p := newPowerShell(t, s, auth.Reader)
	request := string(vectortest.Read(t, "maa/"+name+".request.json"))
	a := p.once(t, "POST", s.URL+"/attest/Tee/OpenEnclave"+previewQuery, request, "Authorization", "Bearer "+p.bearer)
	var token string
	if decode(t, a.body, &token); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	p.validate(t, token)
	var got, want map[string]any
	readJWS(t, token, &map[string]any{}, &got)
	_, recorded, _ := strings.Cut(strings.ReplaceAll(string(vectortest.Read(t, "maa/"+name+".decoded-response.txt")), "\r", ""), "}\n")
	decode(t, []byte(recorded), &want)
	for _, claim := range []string{"is-debuggable", "maa-ehd", "product-id", "sgx-mrenclave", "sgx-mrsigner", "svn", "tee"} {
		if want[claim] == nil || !reflect.DeepEqual(got[claim], want[claim]) {
			t.Errorf("%s: got %v, want %v", claim, got[claim], want[claim])
		}
	}
	hash, err := base64.RawURLEncoding.DecodeString(got["x-ms-policy-hash"].(string))
	if err != nil || got["maa-policyHash"] != hex.EncodeToString(hash) {
		t.Errorf("maa-policyHash: got %v, want %x", got["maa-policyHash"], hash)
	}
}

// TestPreviewAttestOfSGX covers the two paths for quotes, and the draft policy.
func TestPreviewAttestOfSGX(t *testing.T) {
	p := newPowerShell(t, start(t, config.Config{}), auth.Reader)
	quote := p.evidence(t, p.scenario(binds("held")))["quote"]
	for _, path := range []string{"/attest/SgxEnclave", "/attest/Tee/SgxEnclave"} {
		send := func(b body) answer {
			return p.once(t, "POST", p.URL+path+previewQuery, text(b), "Authorization", "Bearer "+p.bearer, "Content-Type", "application/json")
		}
		var token string
		a := send(body{"Quote": quote, "EnclaveHeldData": b64url([]byte("held"))})
		if decode(t, a.body, &token); a.status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", path, a.status, a.body)
		}
		p.validate(t, token)
		var claims map[string]any
		if readJWS(t, token, &map[string]any{}, &claims); claims["maa-ehd"] != b64url([]byte("held")) {
			t.Errorf("%s: maa-ehd: got %v", path, claims["maa-ehd"])
		}
		send(body{"Quote": quote, "EnclaveHeldData": b64url([]byte("other"))}).refused(t, http.StatusBadRequest, "InvalidParameter", "", "RuntimeData")
		send(body{"Quote": quote, "DraftPolicyForAttestation": denyLines}).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "")
	}
}
