package server_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/result"
)

const (
	azurePath   = "/attest/AzureGuest?api-version=2020-10-01"
	azureFolder = "tpm/azure-guest/"
)

// azureCase is a case of vectors/tpm/azure-guest/index.json.
type azureCase struct {
	ID, Request, Expect, Code string

	Roots struct {
		VTPM          string
		Intermediates []string `json:"vtpm_intermediates"`
		AMD           string
	}
	At    time.Time
	Facts struct {
		SecureBoot *bool `json:"secure_boot"`
		Isolation  string
		Modulus    string `json:"enc_key_pem_n"`
	}
}

func azureCases(t testing.TB) []azureCase {
	t.Helper()
	var index struct{ Cases []azureCase }
	vectortest.ReadJSON(t, azureFolder+"index.json", &index)
	if len(index.Cases) == 0 {
		vectortest.NoCase(t, "case of an Azure guest")
	}
	return index.Cases
}

func findAzure(t testing.TB, id string) azureCase {
	t.Helper()
	for _, c := range azureCases(t) {
		if c.ID == id {
			return c
		}
	}
	vectortest.NoCase(t, id)
	return azureCase{}
}

// azureCertificate is a certificate of the vectors in PEM, as settings and files have it.
func azureCertificate(t testing.TB, name string) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vectortest.Read(t, azureFolder+name)}))
}

// config is a service at the time of the case whose default provider trusts the roots of the case. Its policy permits every guest; an empty text: it is the
// default one.
func (c azureCase) config(t testing.TB, folder, text string, settings provider.Settings) config.Config {
	t.Helper()
	if c.Roots.VTPM != "" {
		settings.AIKRoots = []provider.AIKRoot{{Certificate: azureCertificate(t, c.Roots.VTPM)}}
	}
	for _, name := range c.Roots.Intermediates {
		settings.AIKIntermediates += azureCertificate(t, name)
	}
	cfg := config.Config{Data: folder, At: c.At, Settings: settings}
	if c.Roots.AMD != "" {
		cfg.AMDRoots = []string{vectortest.Path(t, azureFolder+c.Roots.AMD)}
	}
	if text != "" {
		cfg.Policies = map[string]string{"AzureGuest": tempFile(t, text)}
	}
	return cfg
}

// minimal permits everything and issues nothing.
func minimal(t testing.TB) string {
	t.Helper()
	return string(vectortest.Read(t, "policies/any-minimal-oneline.txt"))
}

// body is the request of the case.
func (c azureCase) body(t testing.TB) string {
	t.Helper()
	return string(vectortest.Read(t, azureFolder+c.Request))
}

// information is what the request has in AttestationInfo.
func (c azureCase) information(t testing.TB) map[string]any {
	t.Helper()
	var request struct{ AttestationInfo string }
	decode(t, []byte(c.body(t)), &request)
	var info map[string]any
	decode(t, decoded(t, request.AttestationInfo), &info)
	return info
}

// azureBody is a request with other evidence.
func azureBody(info map[string]any, members ...any) string {
	b := body{"AttestationInfo": b64url([]byte(text(info)))}
	for i := 0; i < len(members); i += 2 {
		b[members[i].(string)] = members[i+1]
	}
	return text(b)
}

// azure sends a request of an Azure guest.
func (s *testService) azure(t testing.TB, body string) answer {
	t.Helper()
	return s.do(t, http.MethodPost, azurePath, body)
}

// azureKey is the private key of the vectors to which tokens are sealed.
func azureKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(vectortest.Read(t, azureFolder+"enc-key.pem"))
	if block == nil {
		t.Fatal("enc-key.pem has no PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// sealedAnswer is what the member token holds (azure-guest.md section 4).
type sealedAnswer struct {
	EncryptedInnerKey, AuthenticationData, Jwt []byte

	EncryptionParams struct {
		BlockMode, BlockPadding, Cipher string
		KeySizeInBits                   json.Number
		Iv                              []byte
	}
}

// unsealed opens an answer with a key, as the specification says and not as the product does, and gives it as one in clear.
func (a answer) unsealed(t testing.TB, key *rsa.PrivateKey) answer {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var outer struct{ Token string }
	decode(t, a.body, &outer)
	content, err := base64.RawURLEncoding.DecodeString(outer.Token)
	if err != nil {
		t.Fatal(err)
	}
	var sealed sealedAnswer
	decode(t, content, &sealed)
	if p := sealed.EncryptionParams; p.BlockMode != "ChainingModeGCM" || p.BlockPadding != "PKCS7" || p.Cipher != "AES" || p.KeySizeInBits != "256" || len(p.Iv) != 12 {
		t.Errorf("parameters %+v", p)
	}
	//lint:ignore SA1019 what the clients of Azure guests open (azure-guest.md section 4)
	inner, err := rsa.DecryptPKCS1v15(rand.Reader, key, sealed.EncryptedInnerKey) //nolint:staticcheck // what clients do
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(inner)
	if err != nil || len(inner) != 32 {
		t.Fatalf("a key of %d bytes, %v", len(inner), err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	token, err := gcm.Open(nil, sealed.EncryptionParams.Iv, append(sealed.Jwt, sealed.AuthenticationData...), []byte("Transport Key"))
	if err != nil {
		t.Fatal(err)
	}
	return answer{a.status, a.header, []byte(text(map[string]string{"token": string(token)}))}
}

// relied verifies the token of an opened answer by /certs, as a relying party does, and gives its claims.
func (s *testService) relied(t testing.TB, a answer) map[string]any {
	t.Helper()
	set, err := result.ParseKeySet(s.do(t, http.MethodGet, "/certs", "").body)
	if err != nil {
		t.Fatal(err)
	}
	var opened struct{ Token string }
	decode(t, a.body, &opened)
	if _, err := result.Verify(opened.Token, set, result.Expect{Issuer: s.URL, At: time.Now(), AllowDevelopment: true}); err != nil {
		t.Fatal(err)
	}
	return a.claims(t)
}

// permitted gives the claims of the token that a request earns.
func (s *testService) permitted(t testing.TB, request string) map[string]any {
	t.Helper()
	return s.relied(t, s.azure(t, request).unsealed(t, azureKey(t)))
}

// azureRefusal gives what the message of a refusal begins with for a reason class of the index.
func azureRefusal(code string) []string {
	return map[string][]string{
		"JSON": {"guest-request: "}, "BASE64": {"The member \"AttestationInfo\" is not base64url"}, "PROTOCOL_VERSION": {"guest-protocol: "},
		"ISOLATION_TYPE": {"isolation-type: "}, "KEY_MISMATCH": {"aik-key: "}, "NO_CHAIN": {"aik-certificate: ", "snp-chain: ", "untrusted-root: "},
		"SIGNATURE": {"attest-signature: "}, "NONCE": {"attest-nonce: "}, "MAGIC": {"attest-type: "}, "TYPE": {"attest-type: "},
		"SELECTION_EMPTY": {"pcr-selection: "}, "PCR_DIGEST": {"pcr-digest: "}, "REPLAY": {"event-log-replay: "}, "CERTIFY_NAME": {"certified-key: "},
		"ENCKEY_ATTRIBUTES": {"sealing-key: "}, "ENCKEY_POLICY": {"sealing-policy: "}, "REPORT_DATA": {"runtime-data: "}, "VMPL": {"privilege-level: "},
		"AK_BINDING": {"ak-binding: "},
	}[code]
}

// accepted says whether the evidence of the case earns a token where the policy permits all (README.md section 10.2).
func (c azureCase) accepted() bool {
	if open, decided := map[string]bool{"az-cpp-empty-log": true, "az-bad-ak-cert-root": true}[c.ID]; decided {
		return open
	}
	return strings.HasPrefix(c.Expect, "accept")
}
