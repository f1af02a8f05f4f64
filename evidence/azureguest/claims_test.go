package azureguest_test

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/b64"
)

// Further ids of Windows' settings (tpm.md section 10.3).
const (
	elamAggregation = 0x40010002
	elamKeyName     = 0x00090001
)

// sound are the settings of a Windows without debuggers, test signers and anything else that a claim tells.
func sound(without ...uint32) (elements [][]byte) {
	for _, id := range []uint32{
		assaytest.SIPABootDebugging, assaytest.SIPAOSKernelDebug, assaytest.SIPAHypervisorDebug, assaytest.SIPATestSigning, assaytest.SIPAFlightSigning,
	} {
		if !slices.Contains(without, id) {
			elements = append(elements, assaytest.SIPABool(id, false))
		}
	}
	return elements
}

// differences gives the claims of got that base does not have, or has with another value, and as nil those that got lacks.
func differences(got, base map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range got {
		if !reflect.DeepEqual(base[name], value) {
			out[name] = value
		}
	}
	for name := range base {
		if _, ok := got[name]; !ok {
			out[name] = nil
		}
	}
	return out
}

// plus adds elements to those of a sound Windows.
func plus(elements ...[]byte) [][]byte { return append(sound(), elements...) }

const azure = "x-ms-azurevm-"

func TestASoundWindows(t *testing.T) {
	got := claims(guest{kind: "Windows", log: windows(t, sound(), nil)}.verified(t))
	want := map[string]any{
		"x-ms-attestation-type": "azurevm", "secureboot": true, azure + "attestation-protocol-ver": "2.0",
		azure + "attested-pcrs":     []int64{0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14},
		azure + "bootdebug-enabled": false, azure + "kerneldebug-enabled": false, azure + "hypervisordebug-enabled": false, azure + "debuggersdisabled": true,
		azure + "testsigning-enabled": false, azure + "flightsigning-enabled": false, azure + "signingdisabled": true,
		azure + "elam-enabled": false, azure + "hvci-policy": int64(0), azure + "is-windows": true,
		azure + "dbvalidated": false, azure + "dbxvalidated": false, azure + "default-securebootkeysvalidated": false,
		azure + "ostype": "Windows", azure + "osdistro": "a distro", azure + "osbuild": "a build",
		azure + "osversion-major": int64(22), azure + "osversion-minor": int64(4),
	}
	delete(got, "x-ms-runtime")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestEachSettingOfWindowsIsToldByItsClaim changes one setting of a sound Windows at a time: the claims that differ are these and no others.
func TestEachSettingOfWindowsIsToldByItsClaim(t *testing.T) {
	on := func(id uint32) []byte { return assaytest.SIPABool(id, true) }
	elam := assaytest.SIPAContainer(elamAggregation, assaytest.SIPAText(elamKeyName, "a driver"))
	hvci := func(n uint64) []byte { return assaytest.SIPA64(assaytest.SIPAHVCIPolicy, n) }
	type facts = map[string]any
	debugging := func(claim string) facts { return facts{azure + claim: true, azure + "debuggersdisabled": false} }
	signing := func(claim string) facts { return facts{azure + claim: true, azure + "signingdisabled": false} }
	noDebug, noSign := facts{azure + "debuggersdisabled": false}, facts{azure + "signingdisabled": false}
	base := claims(guest{log: windows(t, sound(), nil)}.verified(t))
	for _, c := range []struct {
		name       string
		in12, in13 [][]byte
		want       facts
	}{
		{"boot debugging", plus(on(assaytest.SIPABootDebugging)), nil, debugging("bootdebug-enabled")},
		{"kernel debugging", plus(on(assaytest.SIPAOSKernelDebug)), nil, debugging("kerneldebug-enabled")},
		{"hypervisor debugging", plus(on(assaytest.SIPAHypervisorDebug)), nil, debugging("hypervisordebug-enabled")},
		{"test signing", plus(on(assaytest.SIPATestSigning)), nil, signing("testsigning-enabled")},
		{"flight signing", plus(on(assaytest.SIPAFlightSigning)), nil, signing("flightsigning-enabled")},
		{"on, then off", append([][]byte{on(assaytest.SIPABootDebugging)}, sound()...), nil, debugging("bootdebug-enabled")},
		{"off in PCR 12, on in PCR 13", sound(), [][]byte{on(assaytest.SIPATestSigning)}, signing("testsigning-enabled")},
		{"all off in PCR 13 alone", nil, sound(), facts{}},
		{"antimalware driver", plus(elam), nil, facts{azure + "elam-enabled": true}},
		{"HVCI", plus(hvci(1)), nil, facts{azure + "hvci-policy": int64(1)}},
		{"HVCI of the greatest value", plus(hvci(1<<64 - 1)), nil, facts{azure + "hvci-policy": int64(1<<63 - 1)}},
		{"HVCI twice", plus(hvci(2), hvci(1)), nil, facts{azure + "hvci-policy": int64(1)}},
		{"HVCI, then none", plus(hvci(1)), [][]byte{hvci(0)}, facts{}},
		{"no hypervisor", sound(assaytest.SIPAHypervisorDebug), nil, facts{}},
		{"flight signing untold", sound(assaytest.SIPAFlightSigning), nil, facts{}},
		{"boot debugging untold", sound(assaytest.SIPABootDebugging), nil, noDebug},
		{"kernel debugging untold", sound(assaytest.SIPAOSKernelDebug), nil, noDebug},
		{"test signing untold", sound(assaytest.SIPATestSigning), nil, noSign},
	} {
		got := differences(claims(guest{log: windows(t, c.in12, c.in13)}.verified(t)), base)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: other claims than those of a sound Windows are %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSettingsAfterTheStartOfWindowsSayNothing(t *testing.T) {
	base := claims(guest{log: windows(t, sound(), nil)}.verified(t))
	log := windows(t, sound(), nil)
	late := assaytest.SIPAContainer(assaytest.SIPATrustBoundary, assaytest.SIPABool(assaytest.SIPABootDebugging, true))
	log.Add(assaytest.TPMEvent{PCR: 12, Type: tagType, Data: late})
	if got := differences(claims(guest{log: log}.verified(t)), base); len(got) > 0 {
		t.Errorf("other claims are %v", got)
	}
}

// TestAWindowsWhoseSettingsAreNotQuotedIsNotCalledSound: the guest chooses what it quotes.
func TestAWindowsWhoseSettingsAreNotQuotedIsNotCalledSound(t *testing.T) {
	for _, c := range []struct {
		quoted []int
		sound  bool
	}{
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 12, 13}, true}, {[]int{0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13}, true},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 12}, false}, {[]int{0, 1, 2, 3, 4, 5, 6, 7, 13}, false}, {[]int{0, 1, 2, 3, 4, 5, 6, 7}, false},
	} {
		got := claims(guest{kind: "windows", log: windows(t, sound(), sound()), quoted: c.quoted}.verified(t))
		if got[azure+"debuggersdisabled"] != c.sound || got[azure+"signingdisabled"] != c.sound || got[azure+"is-windows"] != true {
			t.Errorf("quoted %v: debuggersdisabled %v, signingdisabled %v, is-windows %v", c.quoted,
				got[azure+"debuggersdisabled"], got[azure+"signingdisabled"], got[azure+"is-windows"])
		}
		if want := fmt.Sprint(c.quoted); fmt.Sprint(got[azure+"attested-pcrs"]) != want {
			t.Errorf("attested PCRs %v, want %v", got[azure+"attested-pcrs"], want)
		}
	}
}

// TestWhatIsWindows lets a guest say that it is Linux and quote no settings: its log and who signed what it started tell otherwise.
func TestWhatIsWindows(t *testing.T) {
	firmwareOnly := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for _, c := range []struct {
		name    string
		guest   guest
		windows bool
	}{
		{"says so", guest{kind: "Windows"}, true},
		{"says so in another case", guest{kind: "WINDOWS"}, true},
		{"says Linux, no log", guest{kind: "Linux"}, false},
		{"says nothing, no log", guest{}, false},
		{"settings in PCR 12 and 13", guest{kind: "Linux", log: windows(t, sound(), sound())}, true},
		{"settings, PCR 13 quoted", guest{kind: "Linux", log: windows(t, sound(), nil), quoted: append(firmwareOnly, 13)}, true},
		{"settings in PCRs that are not quoted", guest{kind: "Linux", log: windows(t, sound(), sound()), quoted: firmwareOnly}, false},
		{"signed by Windows' first signer", guest{kind: "Linux", log: firmware(t, named509(t, "Microsoft Windows Production PCA 2011")), quoted: firmwareOnly}, true},
		{"signed by Windows' second signer", guest{kind: "Linux", log: firmware(t, named509(t, "Windows UEFI CA 2023")), quoted: firmwareOnly}, true},
		{"signed by the signer of shim", guest{kind: "Linux", log: firmware(t, named509(t, "Microsoft Corporation UEFI CA 2011")), quoted: firmwareOnly}, false},
		{"signed by what is no certificate", guest{kind: "Linux", log: firmware(t, []byte("\x30\x03\x02\x01\x05")), quoted: firmwareOnly}, false},
	} {
		got := claims(c.guest.verified(t))
		if got[azure+"is-windows"] != c.windows {
			t.Errorf("%s: is-windows is %v", c.name, got[azure+"is-windows"])
		}
		if c.guest.log != nil && len(c.guest.quoted) == len(firmwareOnly) && got[azure+"debuggersdisabled"] == c.windows {
			t.Errorf("%s: debuggersdisabled is %v", c.name, got[azure+"debuggersdisabled"])
		}
	}
}

func TestALinuxHasNoDebuggersAndNoTestSignersOfWindows(t *testing.T) {
	got := claims(guest{kind: "Linux", log: firmware(t, named509(t, "some signer"))}.verified(t))
	for claim, want := range map[string]any{
		"secureboot": true, azure + "is-windows": false, azure + "debuggersdisabled": true, azure + "signingdisabled": true,
		azure + "bootdebug-enabled": false, azure + "elam-enabled": false, azure + "hvci-policy": int64(0),
	} {
		if got[claim] != want {
			t.Errorf("%s is %v, want %v", claim, got[claim], want)
		}
	}
}

// TestWithoutALogNothingIsTold: left out, the booleans would slip past a policy that denies on false.
func TestWithoutALogNothingIsTold(t *testing.T) {
	for name, value := range claims(guest{kind: "Linux"}.verified(t)) {
		if value == true || name == azure+"hvci-policy" && value != int64(0) {
			t.Errorf("%s is %v", name, value)
		}
	}
	got := claims(guest{kind: "Linux"}.verified(t))
	for _, claim := range []string{"dbvalidated", "dbxvalidated", "default-securebootkeysvalidated", "debuggersdisabled", "signingdisabled"} {
		if got[azure+claim] != false {
			t.Errorf("%s is %v, want false", claim, got[azure+claim])
		}
	}
	if got["secureboot"] != false {
		t.Errorf("secureboot is %v, want false", got["secureboot"])
	}
}

func TestSecureBootThatIsOff(t *testing.T) {
	log := windows(t, sound(), nil)
	for i, e := range log.Events {
		if e.Type == variableType && slices.Equal(e.Data, assaytest.EFIVariable(efiGlobal(), "SecureBoot", []byte{1})) {
			log.Events[i].Data = assaytest.EFIVariable(efiGlobal(), "SecureBoot", []byte{0})
		}
	}
	base := claims(guest{log: windows(t, sound(), nil)}.verified(t))
	if got, want := differences(claims(guest{log: log}.verified(t)), base), map[string]any{"secureboot": false}; !reflect.DeepEqual(got, want) {
		t.Errorf("other claims are %v, want %v", got, want)
	}
}

func TestWhatIsNotSaidIsLeftOut(t *testing.T) {
	with := claims(guest{kind: "Linux", runtime: `{"keys":[` + attestationKey() + `],"vm-configuration":{"vmUniqueId":"26f8bc30-774e-4290-8e7a-535f3b672aee"}}`}.verified(t))
	if with[azure+"vmid"] != "26F8BC30-774E-4290-8E7A-535F3B672AEE" {
		t.Errorf("vmid is %v", with[azure+"vmid"])
	}
	for name, g := range map[string]guest{"trusted launch": {}, "runtime data without one": {runtime: `{"keys":[` + attestationKey() + `]}`}} {
		got := claims(g.verified(t))
		for _, claim := range []string{"vmid", "ostype"} {
			if value, there := got[azure+claim]; there {
				t.Errorf("%s: %s is %v", name, claim, value)
			}
		}
	}
}

// attestationKey is HCLAkPub of runtime data.
func attestationKey() string {
	n := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1))
	return `{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"` + b64.URL(n.Bytes()) + `"}`
}

func TestTheRuntimeClaimHasThePayloadAsSentAndTheSealingKey(t *testing.T) {
	type key struct {
		Kid, Kty, E, N string
		Ops            []string `json:"key_ops"`
	}
	n := b64.URL(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes())
	want := []key{{"TpmEphemeralEncryptionKey", "RSA", "AQAB", n, []string{"encrypt"}}}
	for _, payload := range []string{"", `{"nonce":"MTIz","b":{"z":1.50,"a":null}}`, `"text"`} {
		value := claims(guest{payload: payload}.verified(t))["x-ms-runtime"].(jsontext.Value)
		var got struct {
			Payload json.RawMessage `json:"client-payload"`
			Keys    []key
		}
		if err := json.Unmarshal(value, &got); err != nil || string(got.Payload) != payload || !reflect.DeepEqual(got.Keys, want) {
			t.Errorf("payload %s: got %s (%v)", payload, value, err)
		}
	}
}

// TestTheRuntimeClaimHasTheExponentOfTheKey: most keys have another one than this.
func TestTheRuntimeClaimHasTheExponentOfTheKey(t *testing.T) {
	p := azureguest.Parts{Sealing: &rsa.PublicKey{N: big.NewInt(1), E: 3}, Quoted: quote(t, guest{}.values(t))}
	if value, _ := claims(p.Verified())["x-ms-runtime"].(jsontext.Value); !strings.Contains(string(value), `"e":"Aw"`) {
		t.Errorf("got %s", value)
	}
}
