package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/relyingparty"
)

// tellingPolicy issues little of each kind of evidence, with the given properties.
func tellingPolicy(properties string) string {
	return tpmPolicy(pcrs0to14, "=> permit();", `
	c:[type=="aikValidated", issuer=="AttestationService"] => issue(claim=c);
	c:[type=="secureBootEnabled", issuer=="AttestationService"] => issue(claim=c);
	c:[type=="vbsReportPresent", issuer=="AttestationService"] => issue(claim=c);
	c:[type=="vsmReportPresent", issuer=="AttestationService"] => issue(claim=c);
	c:[type=="enclaveSvn", issuer=="AttestationService"] => issue(claim=c);
	[type=="bootEvents", issuer=="AttestationService"] => issue(type="hibernated", value=true);
	c:[type=="events", issuer=="AttestationService"] => add(type="files", value=JmesPath(c.value, "length(Events[?EventTypeString=='IMA_MEASUREMENT_EVENT'])"));
	c:[type=="files"] => issue(type="files", value=JsonToClaimValue(c.value));
	c:[issuer=="CustomClaim"] => issue(claim=c);`+properties)
}

// publicJWK is the JWK of a key (tokens.md section 10: kty, n, e; for EC kty, crv, x, y).
func publicJWK(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, b64url(key.N.Bytes()))
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := 1 + len(point)/2
		return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`, key.Params().Name, b64url(point[1:half]), b64url(point[half:]))
	}
	t.Fatalf("a key of %T", key)
	return ""
}

// reportCase is a request and what its report says of it.
type reportCase struct {
	name       string
	machine    *assaytest.TPMScenario
	properties string // of the policy
	info       string // of the request key
	others     string // x-ms-tpm-other-keys
	issued     string // members after those of the service
	seconds    int64  // of validity; 0: the default
	omitChain  bool
}

// certifiedInfo is the info of a key that the simulated TPM certifies: its Name is by SHA-256 (11), its attributes are fixedTPM,
// fixedParent, sensitiveDataOrigin, userWithAuth and sign (tpm-evidence.md section 1).
const certifiedInfo = `"info":{"tpm_certify":{"name_alg":11,"obj_attr":262258}}`

func quotedInfo(alg string) string { return `"info":{"tpm_quote":{"hash_alg":"` + alg + `"}}` }

func reportCases(t *testing.T) []reportCase {
	const basic = `"aikValidated":true,"secureBootEnabled":true,"vbsReportPresent":false,"vsmReportPresent":false`
	const noFiles, quoted = `,"files":0`, "sha-256"
	bare := func(s *assaytest.TPMScenario) { s.Bare = true }
	certify := func(s *assaytest.TPMScenario) { s.Binding = assaytest.BoundByCertify }
	others := func(s *assaytest.TPMScenario) {
		s.OtherKeys = []assaytest.TPMOtherKey{{Certified: true}, {Kind: assaytest.P256}}
	}
	client := func(s *assaytest.TPMScenario) {
		s.CustomClaims = []assaytest.TPMCustomClaim{{Name: "text", Value: `"ä \"b\""`}, {Name: "number", Value: "7", Type: "Integer"}, {Name: "truth", Value: `"true"`, Type: "bool"}}
	}
	enclave := `"aikValidated":true,"secureBootEnabled":true,"vbsReportPresent":true,"vsmReportPresent":true,"enclaveSvn":` + fmt.Sprint(assaytest.SimulatedVBSEnclave().SVN) + noFiles
	linux := machine(t, assaytest.TPMBoot{SecureBoot: true})
	jwk := func(r assaytest.TPMRole, kind assaytest.TPMKeyKind) string {
		return publicJWK(t, tpmVendor().Key(r, kind).Public())
	}
	return []reportCase{
		{name: "v2 quote", machine: windows(t), info: quotedInfo(quoted), issued: basic + noFiles},
		{name: "v2 quote, bare", machine: windows(t, bare), info: quotedInfo(quoted), issued: basic + noFiles},
		{name: "v2 quote, SHA-384", machine: windows(t, func(s *assaytest.TPMScenario) { s.HashAlg = "sha-384" }), info: quotedInfo("sha-384"), issued: basic + noFiles},
		{name: "v2 quote, SHA-512", machine: windows(t, func(s *assaytest.TPMScenario) { s.HashAlg = "sha-512" }), info: quotedInfo("sha-512"), issued: basic + noFiles},
		{name: "v2, P-256", machine: windows(t, func(s *assaytest.TPMScenario) { s.AIKKind = assaytest.P256 }), info: quotedInfo(quoted), issued: basic + noFiles},
		{name: "v2 certify, P-384", machine: windows(t, certify, func(s *assaytest.TPMScenario) { s.AIKKind = assaytest.P384 }), info: certifiedInfo, issued: basic + noFiles},
		{name: "v1, PSS", machine: windows(t, version1, func(s *assaytest.TPMScenario) { s.AIKScheme.PSS = true }), issued: basic + noFiles},
		{name: "v2 certify", machine: windows(t, certify), info: certifiedInfo, issued: basic + noFiles},
		{
			name: "v2 other keys", machine: windows(t, others), info: quotedInfo(quoted), issued: basic + noFiles,
			others: `[{"jwk":` + jwk(assaytest.OtherKey+" 0", assaytest.RSA2048) + `,` + certifiedInfo + `},{"jwk":` + jwk(assaytest.OtherKey+" 1", assaytest.P256) + `}]`,
		},
		{name: "v2 enclave", machine: windows(t, vbsRequest), info: quotedInfo(quoted), issued: enclave},
		{name: "v2 enclave, certify, bare", machine: windows(t, vbsRequest, certify, bare), info: certifiedInfo, issued: enclave},
		{name: "v2 custom claims", machine: windows(t, client), info: quotedInfo(quoted), issued: basic + noFiles + `,"text":"ä \"b\"","number":7,"truth":true`},
		{name: "v2 hibernated", machine: windows(t, hibernate(t)), info: quotedInfo(quoted), issued: basic + `,"hibernated":true` + noFiles},
		{name: "v2 Linux", machine: linux, info: quotedInfo(quoted), issued: basic + fmt.Sprintf(`,"files":%d`, len(linux.Current.IMA))},
		{name: "v2 no nonce", machine: windows(t, func(s *assaytest.TPMScenario) { s.RPData = "" }), info: quotedInfo(quoted), issued: basic + noFiles},
		{name: "v1", machine: windows(t, version1), issued: basic + noFiles},
		{name: "v1, bare, custom claims", machine: windows(t, version1, bare, client), issued: basic + noFiles + `,"text":"ä \"b\"","number":7,"truth":true`},
		{name: "v1 enclave", machine: windows(t, version1, vbsRequest), issued: enclave},
		{name: "v1 hibernated", machine: windows(t, hibernate(t), version1), issued: basic + `,"hibernated":true` + noFiles},
		{
			name: "ten minutes without chain", machine: windows(t), info: quotedInfo(quoted), issued: basic + noFiles, seconds: 600, omitChain: true,
			properties: `=> issueproperty(type="report_validity_in_minutes", value=10); => issueproperty(type="omit_x5c", value=true);`,
		},
		{
			name: "longer than a year", machine: windows(t), info: quotedInfo(quoted), issued: basic + noFiles, seconds: 525600 * 60,
			properties: `=> issueproperty(type="report_validity_in_minutes", value=525601); => issueproperty(type="omit_x5c", value=false);`,
		},
	}
}

// hibernate has a machine resume from hibernation.
func hibernate(t testing.TB) func(*assaytest.TPMScenario) {
	t.Helper()
	log, err := assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7}.Log(tpmVendor())
	if err != nil {
		t.Fatal(err)
	}
	return func(s *assaytest.TPMScenario) { s.Hibernate(log) }
}

// TestWhatReportsHold compares header and payload of reports, byte by byte but for time, jti and key id, with what tokens.md section 10
// and tpm.md sections 3, 4, 8 and 14 say, and has relying parties verify them: with the keys of the service, and by the chain.
func TestWhatReportsHold(t *testing.T) {
	services := map[string]*testService{}
	for _, c := range reportCases(t) {
		s := services[c.properties]
		if s == nil {
			s = startTPM(t, config.Config{}, tellingPolicy(c.properties))
			services[c.properties] = s
		}
		t.Run(c.name, func(t *testing.T) {
			before := time.Now().Unix()
			var m struct{ Report string }
			s.attestTPM(t, c.machine).inner(t, c.machine.Bare, &m)
			after := time.Now().Unix()
			token := s.relyOn(t, m.Report)
			header, payload := jwsParts(t, m.Report)
			iat := c.checkPayload(t, s, payload)
			if iat < before || iat > after {
				t.Errorf("iat %d, asked for between %d and %d", iat, before, after)
			}
			chain := s.signingChain(t, header, c.omitChain)
			checkReportChain(t, chain, m.Report)
			if enabled, ok := token.Bool("secureBootEnabled"); !enabled || !ok {
				t.Error("the relying party does not see secureBootEnabled")
			}
		})
	}
}

// relyOn verifies a report as a relying party that knows no more than the URL.
func (s *testService) relyOn(t testing.TB, report string) *relyingparty.Token {
	t.Helper()
	cfg := relyingparty.Config{Issuer: s.URL, HTTPClient: s.Client(), AllowDevelopment: true}
	v, err := relyingparty.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	token, err := v.Verify(t.Context(), report)
	if err != nil {
		t.Fatalf("the relying party: %v", err)
	}
	return token
}

// jwsParts are the texts of header and payload.
func jwsParts(t testing.TB, jws string) (header, payload string) {
	t.Helper()
	parts := strings.Split(jws, ".")
	var texts []string
	for _, part := range parts[:2] {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	return texts[0], texts[1]
}

// checkPayload compares the payload with what it must be, and returns its iat.
func (c reportCase) checkPayload(t *testing.T, s *testService, payload string) (iat int64) {
	t.Helper()
	found := regexp.MustCompile(`^\{"nbf":\d+,"exp":\d+,"iat":(\d+),.*?"jti":"([0-9a-f]{40})".*?"x-ms-policy-hash":"([\w-]{43})"`).FindStringSubmatch(payload)
	if found == nil {
		t.Fatalf("got %s", payload)
	}
	if _, err := fmt.Sscan(found[1], &iat); err != nil {
		t.Fatal(err)
	}
	seconds := c.seconds
	if seconds == 0 {
		seconds = 1440 * 60
	}
	want := fmt.Sprintf(`{"nbf":%d,"exp":%d,"iat":%d,"iss":%q,"jti":%q,"ver":"1.0","x-ms-ver":"1.0","ext-development":true`, iat-300, iat+seconds, iat, s.URL, found[2])
	if c.machine.RPData != "" {
		want += fmt.Sprintf(`,"rp_data":%q,"nonce":%q`, c.machine.RPData, c.machine.RPData)
	}
	key := publicJWK(t, tpmVendor().Key(assaytest.RequestKey, assaytest.RSA2048).Public())
	want += `,"cnf":{"jwk":` + key + `},"x-ms-policy-hash":"` + policyHash(tellingPolicy(c.properties)) + `"`
	if c.info != "" {
		want += `,"x-ms-tpm-request-key":{"jwk":` + key + `,` + c.info + `}`
	}
	if c.others != "" {
		want += `,"x-ms-tpm-other-keys":` + c.others
	}
	if want += "," + c.issued + "}"; payload != want {
		t.Errorf("got  %s\nwant %s", payload, want)
	}
	return iat
}

// signingChain checks the header of a report and returns the certificates of its signer: those of its header, or the ones that the
// service lists.
func (s *testService) signingChain(t *testing.T, header string, omitted bool) (chain []*x509.Certificate) {
	t.Helper()
	var h struct {
		Kid, X5t string
		X5c      [][]byte
	}
	decode(t, []byte(header), &h)
	var set struct {
		Keys []struct {
			Kid string
			X5c [][]byte
		}
	}
	decode(t, s.do(t, "GET", "/certs", "").body, &set)
	var listed [][]byte
	for _, k := range set.Keys {
		if k.Kid == h.Kid {
			listed = k.X5c
		}
	}
	if len(listed) != 3 {
		t.Fatalf("the key %q is listed with %d certificates, want 3", h.Kid, len(listed))
	}
	thumbprint := sha1.Sum(listed[0])
	var texts []string
	for _, der := range listed {
		texts = append(texts, `"`+base64.StdEncoding.EncodeToString(der)+`"`)
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	kid := b64url(thumbprint[:])
	members := []string{`"typ":"JWT"`, `"alg":"RS256"`, `"x5c":[` + strings.Join(texts, ",") + `]`, `"kid":"` + kid + `"`}
	if omitted {
		members[2] = `"x5t":"` + kid + `"`
	}
	if want := "{" + strings.Join(members, ",") + "}"; header != want {
		t.Errorf("header %s\nwant %s", header, want)
	}
	return chain
}

// checkReportChain verifies the chain, leaf first, with the standard library, and the signature with its leaf (tokens.md section 3.1).
func checkReportChain(t *testing.T, chain []*x509.Certificate, report string) {
	t.Helper()
	leaf := chain[0]
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	intermediates.AddCert(chain[1])
	roots.AddCert(chain[2])
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || len(paths) != 1 || len(paths[0]) != 3 {
		t.Errorf("%v: %d paths", err, len(paths))
	}
	// No extended key usage: the recorded one is Microsoft's (docs/maa-divergences.md).
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA || len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) != 0 {
		t.Errorf("key usage %v, CA %t, purposes %v", leaf.KeyUsage, leaf.IsCA, leaf.UnknownExtKeyUsage)
	}
	if !chain[1].IsCA || !chain[2].IsCA {
		t.Error("a certificate above the leaf is no CA's")
	}
	if err := chain[2].CheckSignatureFrom(chain[2]); err != nil {
		t.Errorf("the root does not sign itself: %v", err)
	}
	end := strings.LastIndexByte(report, '.')
	signature, err := base64.RawURLEncoding.DecodeString(report[end+1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.CheckSignature(x509.SHA256WithRSA, []byte(report[:end]), signature); err != nil {
		t.Error(err)
	}
	if size := leaf.PublicKey.(*rsa.PublicKey).Size(); size != 256 {
		t.Errorf("a key of %d bytes", size)
	}
}

// policyHash is the claim x-ms-policy-hash of a policy: the hash of its encoded text (policy.md section 10.2).
func policyHash(policy string) string {
	sum := sha256.Sum256([]byte(b64url([]byte(policy))))
	return b64url(sum[:])
}
