//go:build cgo

package azureguest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edgelesssys/go-azguestattestation/maa"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// bootLog is of a Linux with secure boot.
const bootLog = "tpm/eventlogs/keylime-secureboot-sha256.bin"

// noLog is a log without events, which the PCRs of a TPM that nobody booted agree with: its header names one bank, SHA-256.
func noLog() []byte {
	return append(append([]byte{0, 0, 0, 0, 3, 0, 0, 0}, make([]byte, 20)...),
		"\x21\x00\x00\x00Spec ID Event03\x00\x00\x00\x00\x00\x00\x02\x00\x02\x01\x00\x00\x00\x0b\x00\x20\x00\x00"...)
}

// site has two providers: one with Microsoft's default policy and the secure-boot keys of the machine that bootLog is of, and one that permits all.
type site struct{ byDefault, open *service }

func newSite(t *testing.T) site {
	t.Helper()
	assay := buildAssay(t)
	config := filepath.Join(t.TempDir(), "assay.yaml")
	must(t, os.WriteFile(config, secureBootKeys(t, vectortest.Read(t, bootLog)), 0o600))
	return site{
		byDefault: startService(t, assay, "--config", config),
		open:      startService(t, assay, "--policy", "AzureGuest="+vectortest.Path(t, "policies/any-minimal-oneline.txt")),
	}
}

// TestGuest has the client get, open and validate tokens, and be refused.
func TestGuest(t *testing.T) {
	s := newSite(t)
	for name, test := range map[string]func(*testing.T, site){
		"booted securely is permitted by the default policy":            securely,
		"that booted nothing is permitted where the policy permits all": nothing,
		"that booted nothing is denied by the default policy":           denied,
		"that quotes another nonce is refused":                          otherNonce,
		"with the hardware report of another machine is refused":        otherMachine,
		"cannot open its token when a PCR has changed":                  changedPCR,
		"refuses the token of another service":                          otherService,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// attest gets and opens a token.
func (g *guest) attest(t *testing.T, s *service, p maa.Parameters, nonce []byte) string {
	t.Helper()
	sealed, err := maa.GetEncryptedToken(t.Context(), p, nonce, s.URL, g.network)
	must(t, err)
	token, err := maa.DecryptToken(sealed, g.tpm)
	must(t, err)
	return token
}

// validate is the client's check of a token. It gives the claims.
func (g *guest) validate(t *testing.T, s *service, token string) map[string]any {
	t.Helper()
	keys, err := maa.GetKeySet(t.Context(), s.URL, g.network)
	must(t, err)
	claims, err := maa.ValidateToken(token, keys)
	must(t, err)
	return claims
}

func securely(t *testing.T, s site) {
	g := newGuest(t, s.byDefault, vectortest.Read(t, bootLog))
	nonce := []byte("nonce of this boot")
	p := g.parameters(t, nonce)
	claims := g.validate(t, s.byDefault, g.attest(t, s.byDefault, p, nonce))
	wantClaims(t, claims, map[string]any{
		"iss": s.byDefault.URL, "x-ms-attestation-type": "azurevm", "secureboot": true, "x-ms-azurevm-is-windows": false,
		"x-ms-azurevm-attestation-protocol-ver": "2.0", "x-ms-azurevm-ostype": maa.OSType, "x-ms-azurevm-dbvalidated": true,
		"x-ms-azurevm-dbxvalidated": true, "x-ms-azurevm-default-securebootkeysvalidated": true,
		"x-ms-azurevm-debuggersdisabled": true, "x-ms-azurevm-signingdisabled": true,
		"x-ms-azurevm-attested-pcrs": []any{0., 1., 2., 3., 4., 5., 6., 7.},
	})
	wantRuntime(t, claims, p, nonce)
	wantIsolation(t, claims, p)
}

// wantRuntime wants what the guest said itself: the nonce, as the client's own check has it, and the key that the token was encrypted to.
func wantRuntime(t *testing.T, claims map[string]any, p maa.Parameters, nonce []byte) {
	t.Helper()
	const modulus = 256 // bytes, the end of TPM2B_PUBLIC
	n := base64.RawURLEncoding.EncodeToString(p.EncKey[len(p.EncKey)-modulus:])
	wantClaims(t, claims, map[string]any{"x-ms-runtime": map[string]any{
		"client-payload": map[string]any{"nonce": base64.StdEncoding.EncodeToString(nonce)},
		"keys":           []any{map[string]any{"kid": "TpmEphemeralEncryptionKey", "key_ops": []any{"encrypt"}, "kty": "RSA", "e": "AQAB", "n": n}},
	}})
}

// wantIsolation wants what the hardware report says, read from its bytes (sev-snp.md section 1).
func wantIsolation(t *testing.T, claims map[string]any, p maa.Parameters) {
	t.Helper()
	var runtime any
	must(t, json.Unmarshal(p.RuntimeData, &runtime))
	tee, ok := claims["x-ms-isolation-tee"].(map[string]any)
	if !ok {
		t.Fatalf("x-ms-isolation-tee: %v", claims["x-ms-isolation-tee"])
	}
	wantClaims(t, tee, map[string]any{
		"x-ms-attestation-type": "sevsnpvm", "x-ms-sevsnpvm-vmpl": 0., "x-ms-runtime": runtime,
		"x-ms-sevsnpvm-launchmeasurement": hex.EncodeToString(p.SNPReport[0x90:0xC0]),
		"x-ms-sevsnpvm-reportdata":        hex.EncodeToString(p.SNPReport[0x50:0x90]),
	})
}

func wantClaims(t *testing.T, claims, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if !reflect.DeepEqual(claims[name], value) {
			t.Errorf("%s: got %v, want %v", name, claims[name], value)
		}
	}
}

func nothing(t *testing.T, s site) {
	g := newGuest(t, s.open, noLog())
	nonce := []byte("n")
	p := g.parameters(t, nonce)
	claims := g.validate(t, s.open, g.attest(t, s.open, p, nonce))
	wantClaims(t, claims, map[string]any{"secureboot": false, "x-ms-azurevm-dbvalidated": false})
	wantRuntime(t, claims, p, nonce)
}

func denied(t *testing.T, s site) {
	g := newGuest(t, s.byDefault, noLog())
	nonce := []byte("n")
	_, err := maa.GetEncryptedToken(t.Context(), g.parameters(t, nonce), nonce, s.byDefault.URL, g.network)
	wantRefusal(t, err, "PolicyEvaluationError")
}

func otherNonce(t *testing.T, s site) {
	g := newGuest(t, s.open, noLog())
	_, err := maa.GetEncryptedToken(t.Context(), g.parameters(t, []byte("old nonce")), []byte("new nonce"), s.open.URL, g.network)
	wantRefusal(t, err, "attest-nonce")
}

func otherMachine(t *testing.T, s site) {
	nonce := []byte("n")
	vouched := newGuest(t, s.open, noLog())
	of := vouched.parameters(t, nonce)
	vouched.turnOff(t)
	g := newGuest(t, s.open, noLog())
	p := g.parameters(t, nonce)
	p.SNPReport, p.RuntimeData = of.SNPReport, of.RuntimeData
	_, err := maa.GetEncryptedToken(t.Context(), p, nonce, s.open.URL, g.network)
	wantRefusal(t, err, "ak-binding")
}

// wantRefusal wants the service's refusal, which the client hands on, for a reason.
func wantRefusal(t *testing.T, err error, reason string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "400 Bad Request") || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %v, want a refusal for %s", err, reason)
	}
}

func changedPCR(t *testing.T, s site) {
	g := newGuest(t, s.open, noLog())
	nonce := []byte("n")
	sealed, err := maa.GetEncryptedToken(t.Context(), g.parameters(t, nonce), nonce, s.open.URL, g.network)
	must(t, err)
	g.extend(t, 4)
	if token, err := maa.DecryptToken(sealed, g.tpm); err == nil {
		t.Errorf("opened: %s", token)
	}
}

func otherService(t *testing.T, s site) {
	g := newGuest(t, s.open, noLog())
	nonce := []byte("n")
	token := g.attest(t, s.open, g.parameters(t, nonce), nonce)
	g.network.attestation = s.byDefault.client
	keys, err := maa.GetKeySet(t.Context(), s.byDefault.URL, g.network)
	must(t, err)
	if _, err := maa.ValidateToken(token, keys); err == nil {
		t.Error("accepted")
	}
}
