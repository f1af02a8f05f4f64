package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
)

// keysOfLinux are the secure-boot keys of the Linux machine of vectors/tpm/azure-guest: SHA-256s of the certificates in PK, KEK and db, and the two entries of
// dbx, as openssl and tpm2_eventlog show them.
func keysOfLinux() provider.SecureBootKeys {
	const platform = "d24e3d033c642c79c313b7d6de69444a428a80ea02ab54ef24a4131bb746e964"
	return provider.SecureBootKeys{
		PK: []string{platform}, KEK: []string{platform},
		DB:  []string{"de1d84a8ecb7d3d4b14cb4d026854cc589567882f0eb637f3965847483b207e3", "4f0fcc438e6425313f78d60c6662f60d2415d643c2a6c0c1c2745ba14c11fc55"},
		DBX: []string{"b93bddf1e30eb9dcb73b86652bdfca26d72450211b9158c75ce9c5dd92afd7a2", "cac0249e4de74ca49977bfe3ef16c18c41fc62e41d8c35c86aa1084f1d99d552"},
	}
}

// TestSettingsOfAzureGuests covers the switches about Azure guests of README.md section 6 of the specification, each at both values, alone and under strict;
// azureguest_secureboot_keys is in TestDefaultPolicyOfAzureGuests too. The switches of SEV-SNP and TPMs count for them as well.
func TestSettingsOfAzureGuests(t *testing.T) {
	folder := t.TempDir()
	silent, fresh, foreign, debug := findAzure(t, "az-cpp-linux-snp"), findAzure(t, "az-go-linux-snp"), findAzure(t, "az-bad-ak-cert-root"), findAzure(t, "az-snp-debug")
	azure := func(s provider.AzureSettings) provider.Settings { return provider.Settings{AzureSettings: s} }
	strict := func(s provider.Settings) provider.Settings { s.Strict = true; return s }
	nonce, chain := azure(provider.AzureSettings{RequireNonce: true}), azure(provider.AzureSettings{RequireChain: true})
	for _, tt := range []struct {
		name     string
		settings provider.Settings
		c        azureCase
		refusal  []string // fragments; nil: a token
	}{
		{"azureguest_require_nonce off", provider.Settings{}, silent, nil},
		{"azureguest_require_nonce on", nonce, silent, []string{"attest-nonce: ", "azureguest_require_nonce"}},
		{"azureguest_require_nonce by strict", strict(provider.Settings{}), silent, []string{"attest-nonce: ", "azureguest_require_nonce", "strict"}},
		{"azureguest_require_nonce on, with a nonce", nonce, fresh, nil},

		{"azureguest_require_ak_chain off", provider.Settings{}, foreign, nil},
		{"azureguest_require_ak_chain on", chain, foreign, []string{"aik-certificate: ", "azureguest_require_ak_chain"}},
		{"azureguest_require_ak_chain by strict", strict(provider.Settings{}), foreign, []string{"aik-certificate: ", "azureguest_require_ak_chain", "strict"}},
		{"azureguest_require_ak_chain on, with a chain", chain, silent, nil},

		{"sound under strict", strict(provider.Settings{}), fresh, nil},
		{"refuse_debuggable off", provider.Settings{}, debug, nil},
		{"refuse_debuggable on", provider.Settings{RefuseDebuggable: true}, debug, []string{"debuggable: ", "refuse_debuggable forbids"}},
		{"refuse_debuggable on, not debuggable", provider.Settings{RefuseDebuggable: true}, silent, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.c.config(t, folder, minimal(t), tt.settings))
			defer s.stop()
			if tt.refusal != nil {
				s.azure(t, tt.c.body(t)).refused(t, http.StatusBadRequest, "InvalidParameter", "", tt.refusal...)
				return
			}
			tee := s.permitted(t, tt.c.body(t))["x-ms-isolation-tee"].(map[string]any)
			compare(t, tee, map[string]any{"x-ms-sevsnpvm-is-debuggable": tt.c.ID == debug.ID})
		})
	}
}

// TestDefaultPolicyOfAzureGuests: it permits a machine with the keys that azureguest_secureboot_keys expects, and names the rule that denied every other.
func TestDefaultPolicyOfAzureGuests(t *testing.T) {
	folder := t.TempDir()
	linux, windows, unlogged := findAzure(t, "az-cpp-linux-snp"), findAzure(t, "az-cpp-windows-snp"), findAzure(t, "az-cpp-empty-log")
	other := keysOfLinux()
	other.DBX = append([]string{strings.Repeat("00", 32)}, other.DBX...)
	for _, tt := range []struct {
		name string
		sets []provider.SecureBootKeys
		c    azureCase
		rule string // of the default policy; empty: it permits
	}{
		{"unset", nil, linux, "x-ms-azurevm-default-securebootkeysvalidated"},
		{"set", []provider.SecureBootKeys{keysOfLinux()}, linux, ""},
		{"the second set", []provider.SecureBootKeys{other, keysOfLinux()}, linux, ""},
		{"another dbx", []provider.SecureBootKeys{other}, linux, "x-ms-azurevm-dbxvalidated"},
		{"another machine", []provider.SecureBootKeys{keysOfLinux()}, windows, "x-ms-azurevm-default-securebootkeysvalidated"},
		{"no log", []provider.SecureBootKeys{keysOfLinux()}, unlogged, "x-ms-azurevm-default-securebootkeysvalidated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.c.config(t, folder, "", provider.Settings{AzureSettings: provider.AzureSettings{SecureBootKeys: tt.sets}}))
			defer s.stop()
			if tt.rule != "" {
				s.azure(t, tt.c.body(t)).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", tt.rule, "false")
				return
			}
			claims := s.permitted(t, tt.c.body(t))
			for _, name := range []string{"secureboot", "x-ms-azurevm-default-securebootkeysvalidated", "x-ms-azurevm-dbvalidated", "x-ms-azurevm-dbxvalidated"} {
				compare(t, claims, map[string]any{name: true})
			}
		})
	}
}

// TestProvidersExpectSecureBootKeysOfTheirOwn: the settings of stored providers, as JSON.
func TestProvidersExpectSecureBootKeysOfTheirOwn(t *testing.T) {
	c := findAzure(t, "az-cpp-linux-snp")
	trust := c.config(t, "", "", provider.Settings{})
	keys := keysOfLinux()
	settings := map[string]any{
		"tpm_aik_roots": []any{map[string]any{"certificate": trust.Settings.AIKRoots[0].Certificate}}, "tpm_aik_intermediates": trust.Settings.AIKIntermediates,
	}
	without := []byte(text(settings))
	settings["azureguest_secureboot_keys"] = []any{map[string]any{"pk": keys.PK, "kek": keys.KEK, "db": keys.DB, "dbx": keys.DBX}}
	e := startEstate(t, config.Config{Dev: true, At: c.At, AMDRoots: trust.AMDRoots}, store.Provider{Name: "expects", Settings: []byte(text(settings))}, store.Provider{Name: "none", Settings: without})
	for name, denied := range map[string]bool{"expects": false, "none": true} {
		a := e.send(t, sending{at: name, method: http.MethodPost, path: azurePath, body: c.body(t)})
		if denied {
			a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "x-ms-azurevm-default-securebootkeysvalidated")
		} else {
			compare(t, a.unsealed(t, azureKey(t)).claims(t), map[string]any{"x-ms-azurevm-default-securebootkeysvalidated": true})
		}
	}
}

// TestSealedAnswersAreReadByTheProductToo: the envelope that the service makes is the one that package azureguest reads.
func TestSealedAnswersAreReadByTheProductToo(t *testing.T) {
	c := findAzure(t, "az-go-linux-snp")
	var outer struct{ Token string }
	decode(t, start(t, c.config(t, "", minimal(t), provider.Settings{})).azure(t, c.body(t)).body, &outer)
	if e, err := azureguest.ParseEnvelope(outer.Token); err != nil || len(e.WrappedKey) != 256 {
		t.Errorf("got %v, %v", e, err)
	}
}
