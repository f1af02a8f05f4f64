package issuer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// appraisedGuest is a verifier that trusts a simulated vTPM, a request of an Azure guest of trusted launch, and the private key that its token is for.
func appraisedGuest(t *testing.T, text string) (*verifier.Verifier, verifier.Request, *rsa.PrivateKey) {
	t.Helper()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	host := assaytest.WellKnownAzureHost(assaytest.AzureTrustedLaunch, at)
	sc := host.Scenario()
	info, err := sc.AttestationInfo()
	if err != nil {
		t.Fatal(err)
	}
	var certs []*x509.Certificate
	for _, give := range []func() ([]byte, error){host.AKRoot, host.AKIntermediate} {
		pemText, err := give()
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(pemText)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
	}
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	seats := verifier.NewSeats(0)
	v := verifier.New(verifier.Config{
		Baseline: verifier.Baseline{AllowDraftPolicy: true}, Policies: map[evidence.Type]verifier.Policy{evidence.AzureGuest: {Policy: p}}, Seats: seats, Share: seats.NewShare(),
		TPM: verifier.TPM{Roots: tpm.NewRoots([]tpm.Root{{Certificate: certs[0]}}, certs[1:]), Limits: attreq.DefaultLimits()},
	})
	return v, verifier.Request{Type: evidence.AzureGuest, Evidence: info, At: at}, sc.SealingKey()
}

// opens opens an answer as clients do (azure-guest.md section 4); false: the key is not the one.
func opens(t *testing.T, answer string, key *rsa.PrivateKey) (string, bool) {
	t.Helper()
	content, err := base64.RawURLEncoding.DecodeString(answer)
	if err != nil {
		t.Fatalf("%v: %.80s", err, answer)
	}
	var sealed struct {
		EncryptedInnerKey, AuthenticationData, Jwt []byte
		EncryptionParams                           struct{ Iv []byte }
	}
	if err := json.Unmarshal(content, &sealed); err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 what the clients of Azure guests open (azure-guest.md section 4)
	inner, err := rsa.DecryptPKCS1v15(rand.Reader, key, sealed.EncryptedInnerKey) //nolint:staticcheck // what clients do
	if err != nil || len(inner) != 32 {
		return "", false
	}
	block, err := aes.NewCipher(inner)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	token, err := gcm.Open(nil, sealed.EncryptionParams.Iv, append(sealed.Jwt, sealed.AuthenticationData...), []byte("Transport Key"))
	return string(token), err == nil
}

// TestTokensOfPermitsWithARecipientAreSealed: signed ones and drafts are read by nobody else, and are tokens as any other inside. No two answers share a key.
func TestTokensOfPermitsWithARecipientAreSealed(t *testing.T) {
	const text = `version= 1.0;authorizationrules{=> permit();};issuancerules{=> issue(type="secret", value="in the clear");};`
	v, request, key := appraisedGuest(t, text)
	k := open(t)
	permit, err := v.Appraise(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	rehearsal, err := v.Rehearse(t.Context(), request, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name, mint := range map[string]func() (string, error){
		"token": func() (string, error) { return k.Mint(permit, start) }, "draft": func() (string, error) { return k.MintDraft(rehearsal, start) },
		"another token": func() (string, error) { return k.Mint(permit, start) },
	} {
		answer, err := mint()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := opens(t, answer, stranger); ok || seen[answer] || strings.Count(answer, ".") > 0 {
			t.Errorf("%s: readable by others, made twice, or in clear: %.80s", name, answer)
		}
		seen[answer] = true
		token, ok := opens(t, answer, key)
		if !ok {
			t.Fatalf("%s: its recipient cannot open it", name)
		}
		verified, err := result.Verify(token, k.KeySet(), result.Expect{Issuer: testIssuer, At: start})
		if signed := name != "draft"; signed != (err == nil) {
			t.Errorf("%s: %v", name, err)
		} else if signed && verified == nil {
			t.Errorf("%s: nothing verified", name)
		}
		parts := strings.Split(token, ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || !strings.Contains(string(payload), "in the clear") {
			t.Errorf("%s: payload %s, %v", name, payload, err)
		}
	}
}

// TestTokensForEverybodyAreNotSealed: a permit without a recipient.
func TestTokensForEverybodyAreNotSealed(t *testing.T) {
	if token, err := sealed("a.b.c", nil); token != "a.b.c" || err != nil {
		t.Errorf("got %s, %v", token, err)
	}
	if token, err := sealed("a.b.c", &rsa.PublicKey{}); token != "" || err == nil {
		t.Errorf("for a key that is none: got %q, %v", token, err)
	}
}
