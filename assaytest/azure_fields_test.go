package assaytest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/azureguest"
)

func TestEqualAzureScenariosGiveEqualBodies(t *testing.T) {
	for _, isolation := range assaytest.AzureIsolations() {
		first, second := ok[[]byte](t)(azureHost(isolation).Scenario().Body()), ok[[]byte](t)(azureHost(isolation).Scenario().Body())
		if !bytes.Equal(first, second) {
			t.Errorf("%s: two bodies", isolation)
		}
	}
}

// Each field shows where the specification has it (azure-guest.md sections 1 and 2).
func TestFieldsOfAnAzureScenarioShowInTheRequest(t *testing.T) {
	s := azureHost(assaytest.AzureSevSnp).Scenario()
	s.Version, s.Nonce, s.UserData, s.NoLog, s.Quoted = "3.0", []byte("ABC"), [64]byte{0xDE, 0xAD}, true, assaytest.PCRRange(0, 9)
	s.Host.VMID, s.Host.SecureBootOff = "11111111-0000-4000-8000-000000000000", true
	info := infoOf(t, ok[[]byte](t)(s.Body()))
	if info["AttestationProtocolVersion"] != "3.0" || info["TcgLogs"] != "" || member(info, "ClientPayload")["nonce"] != "QUJD" {
		t.Errorf("version %v, log %v, payload %v", info["AttestationProtocolVersion"], info["TcgLogs"], info["ClientPayload"])
	}
	if pcrs, _ := member(info, "TpmInfo")["PCRs"].([]any); len(pcrs) != 10 {
		t.Errorf("%d PCRs, want 10", len(pcrs))
	}
	runtime := document(t, decode(t, text1(member(member(info, "IsolationInfo"), "Evidence")["RunTimeData"])))
	vm := member(runtime, "vm-configuration")
	if !strings.HasPrefix(text1(runtime["user-data"]), "DEAD00") || len(text1(runtime["user-data"])) != 128 || vm["vmUniqueId"] != s.Host.VMID || vm["secure-boot"] != false {
		t.Errorf("user data %v, VM %v", runtime["user-data"], vm)
	}
	s.Payload = `{"a":{"b":1}}`
	if payload := member(infoOf(t, ok[[]byte](t)(s.Body())), "ClientPayload"); member(payload, "a")["b"] != 1.0 {
		t.Errorf("payload %v", payload)
	}
}

// What Azure's C++ client does not read is not opened either.
func TestAnswersThatClientsDoNotReadAreNotOpened(t *testing.T) {
	s := azureHost(assaytest.AzureTrustedLaunch).Scenario()
	sealed := ok[string](t)(azureguest.Seal(nonRandom{}, "a.b.c", &s.SealingKey().PublicKey))
	if token, err := s.Open(sealed); err != nil || token != "a.b.c" {
		t.Fatalf("opened %q (%v)", token, err)
	}
	for name, change := range map[string]func(envelope, parameters map[string]any){
		"no key size":   func(_, p map[string]any) { p["KeySizeInBits"] = 0 },
		"cipher":        func(_, p map[string]any) { p["Cipher"] = "DES" },
		"mode":          func(_, p map[string]any) { p["BlockMode"] = "ChainingModeCBC" },
		"no padding":    func(_, p map[string]any) { delete(p, "BlockPadding") },
		"short vector":  func(_, p map[string]any) { p["Iv"] = "AAAA" },
		"other vector":  func(_, p map[string]any) { p["Iv"] = "AAAAAAAAAAAAAAAA" },
		"no tag":        func(e, _ map[string]any) { delete(e, "AuthenticationData") },
		"other key":     func(e, _ map[string]any) { e["EncryptedInnerKey"] = "AAAA" },
		"no ciphertext": func(e, _ map[string]any) { e["Jwt"] = "" },
		"base64url":     func(e, _ map[string]any) { e["Jwt"] = "-_-_" },
	} {
		envelope := document(t, decode(t, sealed))
		change(envelope, member(envelope, "EncryptionParams"))
		changed := base64.RawURLEncoding.EncodeToString(ok[[]byte](t)(json.Marshal(envelope)))
		if token, err := s.Open(changed); err == nil {
			t.Errorf("%s: opened %q", name, token)
		}
	}
	for _, text := range []string{"", "%", "AAAA"} {
		if _, err := s.Open(text); err == nil {
			t.Errorf("opened %q", text)
		}
	}
}

func TestAMetadataServiceAnswersForAnAlteredHost(t *testing.T) {
	h := azureHost(assaytest.AzureSevSnp)
	m := assaytest.NewIMDS(h)
	before := answer(t, ask(m, "GET", certification, "", "Metadata"))
	m.Alter(func(h *assaytest.AzureHost) { h.SNP.TCB.Microcode++ }) // firmware was updated: another TCB and another certificate
	after := answer(t, ask(m, "GET", certification, "", "Metadata"))
	if before["tcbm"] == after["tcbm"] || before["vcekCert"] == after["vcekCert"] || before["certificateChain"] != after["certificateChain"] {
		t.Errorf("tcbm %s, then %s", before["tcbm"], after["tcbm"])
	}
	m.Alter(func(h *assaytest.AzureHost) { h.Isolation = assaytest.AzureTrustedLaunch })
	if r := ask(m, "GET", certification, "", "Metadata"); r.StatusCode != http.StatusNotFound {
		t.Errorf("trusted launch: %s, want 404", r.Status)
	}
	m.Recover()
	if answer(t, ask(m, "GET", certification, "", "Metadata"))["tcbm"] != before["tcbm"] || h.Isolation != assaytest.AzureSevSnp {
		t.Error("the host itself was changed")
	}
}

// The NV index has 2600 bytes, of which 1364 are for runtime data.
func TestRuntimeDataThatDoNotFitTheNVIndexMakeNoHCLReport(t *testing.T) {
	ak, _ := azureKeys(t)
	for size, fits := range map[int]bool{1364: true, 1365: false} {
		h := *azureHost(assaytest.AzureSevSnp)
		h.Edit.Bytes = func(p assaytest.AzurePart, b []byte) []byte {
			if p == assaytest.AzureRuntimeData {
				return bytes.Repeat([]byte{' '}, size)
			}
			return b
		}
		if b, err := h.HCLReport(ak, nil, [64]byte{}); (err == nil) != fits || fits && len(b) != 2600 {
			t.Errorf("%d bytes: %d bytes of report (%v)", size, len(b), err)
		}
	}
}
