package server_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// azureCLI makes the calls of the Azure CLI extension "attestation" (management.md section 8.1).
type azureCLI struct {
	*testService
	bearer string
}

func newAzureCLI(t *testing.T, s *testService) azureCLI {
	t.Helper()
	return azureCLI{s, s.token(t, auth.Contributor)}
}

// call sends a JWS in quotes as application/json.
func (c azureCLI) call(t *testing.T, method, path, jws string) answer {
	t.Helper()
	body := ""
	if jws != "" {
		body = text(jws)
	}
	return c.do(t, method, path+"?api-version=2022-08-01", body, "Authorization", "Bearer "+c.bearer)
}

// shownPolicy is what `az attestation policy show` prints.
type shownPolicy struct {
	Jwt, Algorithm, Text  string
	JwtLength, TextLength int
}

// show decodes without verifying, as the extension does. The text may be base64url, or plain in old policies.
func (c azureCLI) show(t *testing.T, attestationType string) shownPolicy {
	t.Helper()
	claims := c.call(t, http.MethodGet, "/policies/"+attestationType, "").claims(t)
	jws, _ := claims["x-ms-policy"].(string)
	var header struct{ Alg string }
	var payload struct{ AttestationPolicy string }
	readJWS(t, jws, &header, &payload)
	decoded, err := base64.RawURLEncoding.DecodeString(payload.AttestationPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return shownPolicy{jws, header.Alg, string(decoded), len(jws), len(decoded)}
}

func (c azureCLI) wantPolicy(t *testing.T, attestationType, algorithm, policyText string) {
	t.Helper()
	got := c.show(t, attestationType)
	if got.Algorithm != algorithm || got.Text != policyText || got.TextLength != len(policyText) {
		t.Errorf("%s: got %s %q, want %s %q", attestationType, got.Algorithm, got.Text, algorithm, policyText)
	}
}

// cliPolicy is what the extension makes of a text.
func cliPolicy(policyText string) string {
	return b64url([]byte(`{"typ": "JWT", "alg": "none"}`)) + "." + b64url([]byte(`{"AttestationPolicy": "`+b64url([]byte(policyText))+`"}`)) + "."
}

// shownSigners are the certificates that `az attestation signer list` prints.
func (c azureCLI) shownSigners(t *testing.T) [][]byte {
	t.Helper()
	return certificatesIn(t, c.call(t, http.MethodGet, "/certificates", "").claims(t)["x-ms-policy-certificates"])
}

// certificatesIn takes the certificates out of a JWK set.
func certificatesIn(t *testing.T, set any) (found [][]byte) {
	t.Helper()
	var keys struct {
		Keys []struct {
			Alg, Kty, Use string
			X5c           [][]byte
		}
	}
	decode(t, []byte(text(set)), &keys)
	if keys.Keys == nil {
		t.Errorf("keys: got null, want an array: %s", text(set))
	}
	for _, k := range keys.Keys {
		if k.Alg != "RS256" || k.Kty != "RSA" || k.Use != "sig" || len(k.X5c) != 1 {
			t.Errorf("key: got %s", text(set))
		}
		found = append(found, k.X5c...)
	}
	return found
}

// policySigner is a throw-away key with its certificate.
type policySigner struct {
	key  *rsa.PrivateKey
	cert []byte
	file string // of the certificate, in PEM
}

func newPolicySigner(t *testing.T, name string) policySigner {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := policySigner{key, der, filepath.Join(t.TempDir(), name+".pem")}
	if err := os.WriteFile(s.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// sign makes a JWS with the standard library, as the tools do that the CLI and PowerShell get theirs from.
func (s policySigner) sign(t *testing.T, payload string) string {
	t.Helper()
	input := b64url([]byte(`{"alg":"RS256","x5c":["`+base64.StdEncoding.EncodeToString(s.cert)+`"]}`)) + "." + b64url([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64url(signature)
}

// change is the JWS that adds another signer, or removes it. The member has another name in each api version.
func (s policySigner) change(t *testing.T, member string, other policySigner) string {
	t.Helper()
	return s.sign(t, `{"`+member+`":{"kty":"RSA","use":"sig","alg":"RS256","x5c":["`+base64.StdEncoding.EncodeToString(other.cert)+`"]}}`)
}

func (s policySigner) policy(t *testing.T, policyText string) string {
	t.Helper()
	return s.sign(t, `{"AttestationPolicy":"`+b64url([]byte(policyText))+`"}`)
}

func TestAzureCLIManagesPolicies(t *testing.T) {
	c := newAzureCLI(t, start(t, config.Config{}))
	byDefault := string(vectortest.Read(t, "policies/sgx-v11-default-exact.txt"))
	c.wantPolicy(t, "SgxEnclave", "none", byDefault)

	jws := cliPolicy(denyLines)
	claims := c.call(t, http.MethodPut, "/policies/SgxEnclave", jws).claims(t)
	digest := sha256.Sum256([]byte(jws))
	if claims["x-ms-policy-result"] != "Updated" || claims["x-ms-policy-token-hash"] != b64url(digest[:]) || claims["x-ms-policy-signer"] != nil {
		t.Errorf("set: got %v", claims)
	}
	if got := c.show(t, "SgxEnclave"); got != (shownPolicy{jws, "none", denyLines, len(jws), len(denyLines)}) {
		t.Errorf("show: got %+v", got)
	}
	c.attest(t, c.scenario()).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "")

	signed := newPolicySigner(t, "anybody").policy(t, permitSpaced)
	if claims := c.call(t, http.MethodPut, "/policies/SgxEnclave", signed).claims(t); claims["x-ms-policy-signer"] == nil {
		t.Errorf("set signed: got %v", claims)
	}
	c.wantPolicy(t, "SgxEnclave", "RS256", permitSpaced)
	if claims := c.call(t, http.MethodPost, "/policies/SgxEnclave:reset", resetJWS).claims(t); claims["x-ms-policy-result"] != "Removed" {
		t.Errorf("reset: got %v", claims)
	}
	c.wantPolicy(t, "SgxEnclave", "none", byDefault)
	c.attest(t, c.scenario()).claims(t)

	for _, attestationType := range []string{"OpenEnclave", "SevSnpVm", "Tpm"} { // the rest of those that the extension has
		c.call(t, http.MethodPut, "/policies/"+attestationType, cliPolicy(permitSpaced)).claims(t)
		c.wantPolicy(t, attestationType, "none", permitSpaced)
	}
}

func TestAzureCLIManagesSigners(t *testing.T) {
	owner, second := newPolicySigner(t, "owner"), newPolicySigner(t, "second")
	c := newAzureCLI(t, start(t, config.Config{PolicySigners: []string{owner.file}}))
	wantSigners(t, "at first", c.shownSigners(t), owner)
	for _, jws := range []string{cliPolicy(denyLines), second.policy(t, denyLines)} {
		c.call(t, http.MethodPut, "/policies/SgxEnclave", jws).refused(t, http.StatusBadRequest, "InvalidOperation", "")
	}
	added := c.call(t, http.MethodPost, "/certificates:add", owner.change(t, "policyCertificate", second)).claims(t)
	if added["x-ms-policycertificates-result"] != "IsPresent" || added["x-ms-certificate-thumbprint"] != fmt.Sprintf("%X", sha1.Sum(second.cert)) {
		t.Errorf("add: got %v", added)
	}
	wantSigners(t, "after add", c.shownSigners(t), owner, second)
	c.call(t, http.MethodPut, "/policies/SgxEnclave", second.policy(t, denyLines)).claims(t)
	removed := c.call(t, http.MethodPost, "/certificates:remove", second.change(t, "policyCertificate", owner)).claims(t)
	if removed["x-ms-policycertificates-result"] != "IsAbsent" || removed["x-ms-certificate-thumbprint"] != fmt.Sprintf("%X", sha1.Sum(owner.cert)) {
		t.Errorf("remove: got %v", removed)
	}
	wantSigners(t, "after remove", c.shownSigners(t), second)
	c.call(t, http.MethodPut, "/policies/SgxEnclave", owner.policy(t, permitSpaced)).refused(t, http.StatusBadRequest, "InvalidOperation", "")
	c.call(t, http.MethodPost, "/certificates:remove", second.change(t, "policyCertificate", second)).refused(t, http.StatusBadRequest, "InvalidOperation", "")
}

func wantSigners(t *testing.T, when string, got [][]byte, want ...policySigner) {
	t.Helper()
	var certs [][]byte
	for _, s := range want {
		certs = append(certs, s.cert)
	}
	if !slices.EqualFunc(got, certs, bytes.Equal) {
		t.Errorf("signers %s: got %d certificates, want %d in order", when, len(got), len(certs))
	}
}

// signers is Get-, Add- or Remove-AzAttestationPolicySigner. Each answers with the resulting set, in two claims.
func (p powerShell) signers(t *testing.T, method, jws string) [][]byte {
	t.Helper()
	a := p.call(t, method, previewSigners, jws)
	var token string
	if decode(t, a.body, &token); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	p.validate(t, token)
	var claims map[string]any
	readJWS(t, token, &map[string]any{}, &claims)
	if text(claims["aas-policyCertificates"]) != text(claims["maa-policyCertificates"]) {
		t.Errorf("two sets that differ: %v", claims)
	}
	return certificatesIn(t, claims["aas-policyCertificates"])
}

func TestPowerShellManagesSigners(t *testing.T) {
	owner, second := newPolicySigner(t, "owner"), newPolicySigner(t, "second")
	p := newPowerShell(t, start(t, config.Config{PolicySigners: []string{owner.file}}), auth.Contributor)
	wantSigners(t, "at first", p.signers(t, http.MethodGet, ""), owner)
	const member = "maa-policyCertificate"
	wantSigners(t, "after add", p.signers(t, http.MethodPut, owner.change(t, member, second)), owner, second)
	wantSigners(t, "after adding twice", p.signers(t, http.MethodPut, owner.change(t, member, second)), owner, second)
	prepared := p.prepare(t, "SgxEnclave", owner.policy(t, permitSpaced))
	wantSigners(t, "after remove", p.signers(t, http.MethodPost, second.change(t, member, owner)), second)
	p.call(t, http.MethodPut, previewCurrent+"&tee=SgxEnclave", prepared).refused(t, http.StatusBadRequest, "InvalidOperation", "", "signer")
	wantSigners(t, "at last", p.signers(t, http.MethodGet, ""), second)
	p.call(t, http.MethodPost, previewSigners, second.change(t, member, second)).refused(t, http.StatusBadRequest, "InvalidOperation", "")

	p.set(t, "SgxEnclave", second.policy(t, denyLines))
	p.call(t, http.MethodPost, previewPrepare+"&tee=SgxEnclave", owner.policy(t, permitSpaced)).refused(t, http.StatusBadRequest, "InvalidOperation", "")
	p.call(t, http.MethodPost, previewPrepare+"&tee=SgxEnclave", unsignedPolicy(permitSpaced)).refused(t, http.StatusBadRequest, "InvalidOperation", "")
	p.call(t, http.MethodPost, previewCurrent+"&tee=SgxEnclave", resetJWS).refused(t, http.StatusBadRequest, "InvalidOperation", "")
	if a := p.call(t, http.MethodPost, previewCurrent+"&tee=SgxEnclave", second.sign(t, "")); string(a.body) != "null" {
		t.Errorf("signed reset: status %d: %s", a.status, a.body)
	}
	if got := p.get(t, "SgxEnclave"); strings.Contains(policyText(t, got), "deny") {
		t.Errorf("after the reset: %s", got)
	}
}

func TestSignersOfAProviderThatIsNotIsolated(t *testing.T) {
	s := start(t, config.Config{})
	p, c := newPowerShell(t, s, auth.Contributor), newAzureCLI(t, s)
	wantSigners(t, "by PowerShell", p.signers(t, http.MethodGet, ""))
	wantSigners(t, "by the CLI", c.shownSigners(t))
	anybody := newPolicySigner(t, "anybody")
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		p.call(t, method, previewSigners, anybody.change(t, "maa-policyCertificate", anybody)).
			refused(t, http.StatusBadRequest, "InvalidOperation", "", "The operation is disallowed")
	}
}
