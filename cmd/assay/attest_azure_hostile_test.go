package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// keyOfRequest is the key to which the answer of the last request has to be encrypted.
func (s *fakeService) keyOfRequest(t *testing.T) *rsa.PublicKey {
	t.Helper()
	var info struct{ TpmInfo struct{ EncKeyPub []byte } }
	if err := json.Unmarshal(unb64url(t, s.body["AttestationInfo"].(string)), &info); err != nil {
		t.Error(err)
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](info.TpmInfo.EncKeyPub[2:])
	if err != nil {
		t.Error(err)
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		t.Error(err)
	}
	return key.(*rsa.PublicKey)
}

// guestClaims are those of a token for a key, with a nonce as JSON.
func (s *fakeService) guestClaims(nonce string, key *rsa.PublicKey) map[string]any {
	return s.claims(map[string]any{"x-ms-runtime": map[string]any{
		"client-payload": map[string]any{"nonce": json.RawMessage(nonce)},
		"keys": []any{map[string]any{
			"kid": "TpmEphemeralEncryptionKey", "kty": "RSA", "n": b64url(key.N.Bytes()), "e": b64url(big.NewInt(int64(key.E)).Bytes()),
		}},
	}})
}

func sealedTo(t *testing.T, token string, key *rsa.PublicKey) string {
	t.Helper()
	text, err := azureguest.Seal(rand.Reader, token, key)
	if err != nil {
		t.Error(err)
	}
	return text
}

// TestAnAzureGuestBelievesNoServiceThatAnswersSomethingElse: the token must come sealed, to the key of the request, and say that it answers the request.
func TestAnAzureGuestBelievesNoServiceThatAnswersSomethingElse(t *testing.T) {
	const nonce = `"+/8="`
	tpm, s := swtpmtest.Start(t), newFakeService(t)
	keyed := func(edit func(key map[string]any)) func(*rsa.PublicKey) string {
		return func(key *rsa.PublicKey) string {
			claims := s.guestClaims(nonce, key)
			edit(claims["x-ms-runtime"].(map[string]any)["keys"].([]any)[0].(map[string]any))
			return sealedTo(t, s.sign(claims), key)
		}
	}
	for name, test := range map[string]struct {
		answer func(key *rsa.PublicKey) string
		status int
		want   string
	}{
		"right":                 {keyed(func(map[string]any) {}), exitOK, "VERIFIED"},
		"a nonce with escapes":  {func(k *rsa.PublicKey) string { return sealedTo(t, s.sign(s.guestClaims(`"\u002B\/8="`, k)), k) }, exitOK, "VERIFIED"},
		"not sealed":            {func(k *rsa.PublicKey) string { return s.sign(s.guestClaims(nonce, k)) }, exitService, "sealed"},
		"sealed to another key": {func(k *rsa.PublicKey) string { return sealedTo(t, s.sign(s.guestClaims(nonce, k)), another(t)) }, exitService, "not encrypted to the key"},
		"no token":              {func(k *rsa.PublicKey) string { return sealedTo(t, "text", k) }, exitRefused, "malformed"},
		"another nonce":         {func(k *rsa.PublicKey) string { return sealedTo(t, s.sign(s.guestClaims(`"AAAA"`, k)), k) }, exitRefused, "client-payload.nonce"},
		"a nonce that is none":  {func(k *rsa.PublicKey) string { return sealedTo(t, s.sign(s.guestClaims(`null`, k)), k) }, exitRefused, "client-payload.nonce"},
		"another key":           {func(k *rsa.PublicKey) string { return sealedTo(t, s.sign(s.guestClaims(nonce, another(t))), k) }, exitRefused, "x-ms-runtime.keys"},
		"no runtime":            {func(k *rsa.PublicKey) string { return sealedTo(t, s.sign(s.claims(nil)), k) }, exitRefused, "client-payload.nonce"},
		"another name":          {keyed(func(k map[string]any) { k["kid"] = "HCLAkPub" }), exitRefused, "x-ms-runtime.keys"},
		"another kind of key":   {keyed(func(k map[string]any) { k["kty"] = "EC" }), exitRefused, "x-ms-runtime.keys"},
		"another exponent":      {keyed(func(k map[string]any) { k["e"] = "Aw" }), exitRefused, "x-ms-runtime.keys"},
		"another issuer": {func(k *rsa.PublicKey) string {
			claims := s.guestClaims(nonce, k)
			claims["iss"] = "https://elsewhere.example"
			return sealedTo(t, s.sign(claims), k)
		}, exitRefused, "issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			s.answer = func(w http.ResponseWriter, r *http.Request) { says200(test.answer(s.keyOfRequest(t)))(w, r) }
			o := assay(t, "attest", "azureguest", "--emulate", "--swtpm", tpm.Socket, "--nonce", "fbff", "--endpoint", s.URL, "--ca", s.ca)
			if o.status != test.status || !strings.Contains(o.stdout+o.stderr, test.want) {
				t.Errorf("status %d, want %d and %q:\n%s%s", o.status, test.status, test.want, o.stdout, o.stderr)
			}
			if kind := s.request.Header.Get("Content-Type"); kind != "application/json" {
				t.Errorf("Content-Type %q", kind)
			}
		})
	}
}

// TestAnEmulatedLogIsBounded: what is read in the place of a machine's log may have no end.
func TestAnEmulatedLogIsBounded(t *testing.T) {
	log := tempFile(t, "log", strings.Repeat("\x00", maxInput+1))
	s := swtpmtest.Start(t)
	assay(t, "attest", "azureguest", "--emulate", "--swtpm", s.Socket, "--event-log", log, "--endpoint", "https://localhost:1").want(t, exitUsage, "", "is longer than")
}

// TestAnEmptyLogIsWarnedOf: it is sent, and nothing explains the PCRs.
func TestAnEmptyLogIsWarnedOf(t *testing.T) {
	tpm, out := swtpmtest.Start(t), filepath.Join(t.TempDir(), "body")
	guest := []string{"attest", "azureguest", "--swtpm", tpm.Socket, "--collect", "--out", out}
	assay(t, append(guest, "--emulate", "--isolation", "trustedlaunch")...).want(t, exitOK, "COLLECTED", "EMULATED")
	o := assay(t, append(guest, "--event-log", tempFile(t, "log", ""), "--json")...)
	o.want(t, exitOK, "", "the event log is empty")
	var got guestCollected
	if o.read(t, &got); len(got.Collected.Warnings) != 1 || got.Collected.Isolation != "TrustedLaunch" || got.Collected.Emulated {
		t.Errorf("%+v", got.Collected)
	}
}
