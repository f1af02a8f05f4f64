package azureguest_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// recordedTokens gives the claims of the real service's tokens about Azure guests, by the name of the file.
func recordedTokens(t testing.TB) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectortest.Path(t, "maa/tokens"), "azureguest-*"))
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]map[string]any{}
	for _, file := range files {
		name := filepath.Base(file)
		body := vectortest.Read(t, "maa/tokens/"+name)
		if strings.HasSuffix(name, ".jwt") {
			parts := strings.Split(string(body), ".")
			if body, err = b64.DecodeURL(parts[1]); err != nil {
				t.Fatal(err)
			}
		}
		var claims map[string]any
		if err := json.Unmarshal(body, &claims); err != nil {
			t.Fatal(err)
		}
		tokens[name] = claims
	}
	if len(tokens) == 0 {
		vectortest.NoCase(t, "token about an Azure guest")
	}
	return tokens
}

// shapeOf names the JSON type of a claim, with those of its members and elements: names and structure without values.
func shapeOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, name+":"+shapeOf(v[name]))
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + shapeOf(v[0]) + "]"
	case string:
		return "string"
	case bool:
		return "bool"
	}
	return "number"
}

// decoded puts what JSON makes of them in place of Go's types.
func decoded(t testing.TB, claims map[string]any) (out map[string]any) {
	t.Helper()
	plain := map[string]any{}
	for name, v := range claims {
		if raw, ok := v.(jsontext.Value); ok {
			v = json.RawMessage(raw)
		}
		plain[name] = v
	}
	b, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNamesAndTypesOfClaimsAreThoseOfRecordedTokens holds all claims of a guest against each recorded token, both ways.
func TestNamesAndTypesOfClaimsAreThoseOfRecordedTokens(t *testing.T) {
	// What the service adds to the claims of the evidence, and the hardware report's object.
	elsewhere := []string{"exp", "iat", "iss", "jti", "nbf", "x-ms-policy-hash", "x-ms-ver", "x-ms-isolation-tee"}
	runtime := `{"keys":[` + attestationKey() + `],"vm-configuration":{"vmUniqueId":"26F8BC30-774E-4290-8E7A-535F3B672AEE"}}`
	for file, token := range recordedTokens(t) {
		g := guest{kind: "Windows", runtime: runtime, log: windows(t, sound(), nil)}
		if payload, ok := token["x-ms-runtime"].(map[string]any)["client-payload"]; ok {
			b, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			g.payload = string(b)
		}
		ours := decoded(t, claims(g.verified(t)))
		for _, name := range elsewhere {
			delete(token, name)
		}
		for _, name := range slices.Sorted(maps.Keys(ours)) {
			if got, want := shapeOf(ours[name]), shapeOf(token[name]); token[name] == nil || got != want {
				t.Errorf("%s: %s is %s here and %s there", file, name, got, want)
			}
		}
		for name := range token {
			if _, ok := ours[name]; !ok {
				t.Errorf("%s: no claim %s here", file, name)
			}
		}
	}
}

// TestClaimsOfRealLogs has logs of real machines quoted in software. Every real Windows among them was healthy.
func TestClaimsOfRealLogs(t *testing.T) {
	for _, c := range []struct {
		file                      string
		bank                      tpm.Alg
		windows, secureBoot, elam bool
	}{
		{"windows/windows_gcp_shielded_vm.wbcl", tpm.SHA1, true, true, true},
		{"eventlogs/goattest-option-rom-windows-sha1.bin", tpm.SHA1, true, true, true},
		{"eventlogs/debian-10.bin", tpm.SHA1, false, true, false},
		{"eventlogs/ubuntu-2104-no-dbx.bin", tpm.SHA1, false, false, false},
	} {
		log, err := eventlog.Parse(vectortest.Read(t, "tpm/"+c.file), eventlog.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		v := guest{given: log, bank: c.bank}.verified(t)
		got := claims(v, azureguest.KeysOf(azureguest.Boot(v).SecureBoot()))
		for claim, want := range map[string]any{
			azure + "is-windows": c.windows, "secureboot": c.secureBoot, azure + "elam-enabled": c.elam,
			azure + "debuggersdisabled": true, azure + "signingdisabled": true, azure + "hypervisordebug-enabled": false,
		} {
			if got[claim] != want {
				t.Errorf("%s: %s is %v, want %v", c.file, claim, got[claim], want)
			}
		}
	}
}

// TestClaimsOfTheVectors walks the requests that are accepted, each expected to have the keys of its own log.
func TestClaimsOfTheVectors(t *testing.T) {
	for _, c := range vectors(t) {
		v, err := c.verify(t, azureguest.Input{})
		if err != nil || azureguest.Boot(v) == nil {
			continue // TestVectors says whether a refusal is right, TestWithoutALogNothingIsTold what is told without a log
		}
		keys := azureguest.KeysOf(azureguest.Boot(v).SecureBoot())
		got := claims(v, keys)
		if c.Facts.SecureBoot != nil && got["secureboot"] != *c.Facts.SecureBoot {
			t.Errorf("%s: secureboot is %v", c.ID, got["secureboot"])
		}
		for claim, want := range map[string]bool{
			"dbvalidated": len(keys.DB) > 0, "dbxvalidated": len(keys.DBX) > 0, "default-securebootkeysvalidated": len(keys.PK) > 0 && len(keys.KEK) > 0,
		} {
			if got[azure+claim] != want {
				t.Errorf("%s: %s is %v, want %v", c.ID, claim, got[azure+claim], want)
			}
		}
	}
}

// The logs of these two requests are known: vectors/tpm/README.md, and the settings that the log of Windows has.
func TestClaimsOfAWindowsAndALinuxOfTheVectors(t *testing.T) {
	for id, isWindows := range map[string]bool{"az-cpp-windows-snp": true, "az-cpp-linux-snp": false} {
		v, err := named(t, id).verify(t, azureguest.Input{})
		if err != nil {
			t.Fatal(err)
		}
		hvci := int64(0)
		if isWindows {
			hvci = 1
		}
		got := claims(v)
		for claim, want := range map[string]any{
			"is-windows": isWindows, "elam-enabled": isWindows, "hvci-policy": hvci, "debuggersdisabled": true, "signingdisabled": true,
			"vmid": "00000000-0000-4000-8000-0000000000AA",
		} {
			if got[azure+claim] != want {
				t.Errorf("%s: %s is %v, want %v", id, claim, got[azure+claim], want)
			}
		}
	}
}
