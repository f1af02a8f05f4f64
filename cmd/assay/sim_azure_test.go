package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/b64"
)

// sealingKey reads the key of the answer that sim wrote.
func sealingKey(t *testing.T, dir string) *rsa.PrivateKey {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "sealing-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := key.(*rsa.PrivateKey)
	if err != nil || !ok {
		t.Fatalf("a %T (%v)", key, err)
	}
	return private
}

// attestedGuest sends the request of a folder to the service, opens the answer with the key of the folder, and returns the payload of the token; or the refusal.
func (s *service) attestedGuest(t *testing.T, dir string) (status int, payload string) {
	t.Helper()
	status, body := s.posted(t, "/attest/AzureGuest?api-version=2025-06-01", filepath.Join(dir, "body.json"))
	if status != http.StatusOK {
		return status, body
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	token, err := assaytest.OpenAzure(sealingKey(t, dir), answer.Token)
	if err != nil {
		t.Fatal(err)
	}
	assay(t, "token", "verify", token, "--issuer", s.URL, "--ca", s.CA).want(t, exitOK, "VERIFIED", "")
	decoded, err := b64.Decode(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return status, string(decoded)
}

func TestSimulatedAzureGuestsAttestToAServiceInDevelopment(t *testing.T) {
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--policy", "AzureGuest="+tempFile(t, "guest.txt", "version=1.0;authorizationrules{=>permit();};"))
	for flags, want := range map[string][]string{
		"":                                       {`"azurevm"`, `"sevsnpvm"`, `"secureboot":true`, `"x-ms-sevsnpvm-is-debuggable":false`},
		"--debug":                                {`"x-ms-sevsnpvm-is-debuggable":true`},
		"--secure-boot off":                      {`"secureboot":false`},
		"--isolation Tdx --windows":              {`"tdxvm"`, `"Windows"`, `"dbgstat":"disabled"`},
		"--isolation Tdx --dialect go --debug":   {`"NotApplicable"`, `"dbgstat":"enabled"`},
		"--isolation TrustedLaunch --dialect go": {`"azurevm"`},
		"--isolation TrustedLaunch --windows":    {`"Windows"`},
		"--isolation SevSnp --dialect python":    {`"user-claims"`},
	} {
		t.Run(flags, func(t *testing.T) {
			dir := t.TempDir()
			assay(t, append([]string{"sim", "azureguest", "--out", dir}, strings.Fields(flags)...)...).want(t, exitOK, "WRITTEN", "")
			status, shown := s.attestedGuest(t, dir)
			if status != http.StatusOK {
				t.Fatal(status, shown)
			}
			for _, part := range want {
				if !strings.Contains(shown, part) {
					t.Errorf("the token does not say %q:\n%s", part, shown)
				}
			}
		})
	}
}

func TestFilesOfSimulatedAzureGuests(t *testing.T) {
	always := []string{"body.json", "sealing-key.pem", "vtpm-intermediate.pem", "vtpm-root.pem"}
	for isolation, more := range map[string][]string{"SevSnp": {"root.pem"}, "Tdx": {"collateral", "root.pem"}, "TrustedLaunch": nil} {
		var got azureSimulation
		assay(t, "sim", "azureguest", "--isolation", isolation, "--out", t.TempDir(), "--json").read(t, &got)
		slices.Sort(got.Files)
		want := slices.Sorted(slices.Values(slices.Concat(always, more)))
		if !slices.Equal(got.Files, want) || string(got.Isolation) != isolation {
			t.Errorf("%s: %q, want %q", got.Isolation, got.Files, want)
		}
	}
}

func TestFlagsOfOtherSimulationsAreRefusedForAzureGuests(t *testing.T) {
	out := t.TempDir()
	for _, flags := range []string{
		"azureguest", "azureguest --out " + out + " --linux", "azureguest --out " + out + " --vlek", "azureguest --out " + out + " --protocol 2",
		"azureguest --out " + out + " --isolation Cca", "azureguest --out " + out + " --dialect rust",
		"azureguest --out " + out + " --isolation TrustedLaunch --debug",
		"snp --out " + out + " --windows", "tdx --out " + out + " --isolation Tdx", "tpm --dialect go", "tdx --out " + out + " --secure-boot off",
	} {
		if o := assay(t, append([]string{"sim"}, strings.Fields(flags)...)...); o.status != exitUsage {
			t.Errorf("%s: status %d, want %d", flags, o.status, exitUsage)
		}
	}
}
