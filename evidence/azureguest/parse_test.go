package azureguest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
)

// encodedMembers are the members in base64, with their bounds in bytes.
func encodedMembers() map[string]int {
	return map[string]int{
		"OSType": 256, "OSDistro": 256, "OSBuild": 256, "TcgLogs": 2 << 20,
		"TpmInfo.AikCert": 16 << 10, "TpmInfo.AikPub": 2050, "TpmInfo.PcrQuote": 1024, "TpmInfo.PcrSignature": 1024, "TpmInfo.EncKeyPub": 2050,
		"TpmInfo.EncKeyCertifyInfo": 1024, "TpmInfo.EncKeyCertifyInfoSignature": 1024,
		"IsolationInfo.Evidence.Proof": 1 << 20, "IsolationInfo.Evidence.RunTimeData": 64 << 10,
	}
}

func TestEachMemberHasABound(t *testing.T) {
	for member, limit := range encodedMembers() {
		l := newLab(t, "az-cpp-linux-snp")
		if _, err := l.set(member, make([]byte, limit)).parse(t); err != nil {
			t.Errorf("%s of %d bytes: %v", member, limit, err)
		}
		_, err := l.set(member, make([]byte, limit+1)).parse(t)
		refusedFor(t, err, evidence.GuestRequest)
		if !strings.Contains(fmt.Sprint(err), member+" is too long") || strings.Contains(fmt.Sprint(err), "tcg_log") != (member == "TcgLogs") {
			t.Errorf("%s of %d bytes: %v", member, limit+1, err)
		}
	}
}

func TestEveryMemberMayBeInAnyBase64(t *testing.T) {
	want, err := newLab(t, "az-cpp-linux-snp").parse(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		l := newLab(t, "az-cpp-linux-snp")
		for member := range encodedMembers() {
			l.set(member, form.EncodeToString(l.bytes(t, member)))
		}
		for _, p := range l.doc["TpmInfo"].(map[string]any)["PCRs"].([]any) {
			pcr := p.(map[string]any)
			b, err := base64.StdEncoding.DecodeString(pcr["Digest"].(string))
			if err != nil {
				t.Fatal(err)
			}
			pcr["Digest"] = form.EncodeToString(b)
		}
		if got, err := l.parse(t); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got another bundle (%v)", form, err)
		}
	}
}

func TestAMemberThatIsNotBase64IsRefused(t *testing.T) {
	for member := range encodedMembers() {
		_, err := newLab(t, "az-cpp-linux-snp").set(member, "AAA*").parse(t)
		refusedFor(t, err, evidence.GuestRequest)
	}
	for _, member := range []string{"OSType", "OSDistro", "OSBuild"} {
		_, err := newLab(t, "az-cpp-linux-snp").set(member, []byte{'L', 0xFF}).parse(t)
		refusedFor(t, err, evidence.GuestRequest)
	}
}

func TestMembersOfTheTPMAreNeeded(t *testing.T) {
	for _, member := range []string{"AikPub", "PcrQuote", "PcrSignature", "EncKeyPub", "EncKeyCertifyInfo", "EncKeyCertifyInfoSignature"} {
		for _, value := range []any{nil, "", json.RawMessage("null")} {
			_, err := newLab(t, "az-cpp-linux-snp").set("TpmInfo."+member, value).parse(t)
			refusedFor(t, err, evidence.GuestRequest)
		}
	}
	_, err := newLab(t, "az-cpp-linux-snp").set("TpmInfo", nil).parse(t)
	refusedFor(t, err, evidence.GuestRequest)
}

// TestNamesAreMatchedWithoutRegardToCase: but what ClientPayload holds is left as it is.
func TestNamesAreMatchedWithoutRegardToCase(t *testing.T) {
	want, err := newLab(t, "az-cpp-linux-snp").set("ClientPayload", json.RawMessage(`{"Name":{"A":1,"a":2}}`)).parse(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(string) string{strings.ToLower, strings.ToUpper} {
		l := newLab(t, "az-cpp-linux-snp")
		payload := json.RawMessage(`{"Name":{"A":1,"a":2}}`)
		delete(l.doc, "ClientPayload")
		l.doc = renamed(l.doc, change).(map[string]any)
		l.doc[change("ClientPayload")] = payload
		if got, err := l.parse(t); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got another bundle (%v)", change("Names"), err)
		}
	}
}

// renamed changes the names of all members.
func renamed(v any, change func(string) string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[change(name)] = renamed(value, change)
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i := range out {
			out[i] = renamed(out[i], change)
		}
		return out
	}
	return v
}

func TestDuplicatesAreRefused(t *testing.T) {
	for name, edit := range map[string][2]string{
		"at the top":           {`{"`, `{"osbuild":"","`},
		"in TpmInfo":           {`"AikPub"`, `"aikpub":"","AikPub"`},
		"in a PCR":             {`"Index":0`, `"INDEX":0,"Index":0`},
		"in Evidence":          {`"Proof"`, `"proof":"","Proof"`},
		"in ClientPayload":     {`"nonce"`, `"nonce":"","nonce"`},
		"of ClientPayload":     {`"ClientPayload"`, `"clientpayload":{},"ClientPayload"`},
		"behind the document":  {`"TrustedLaunch`, ``},
		"of an unknown member": {`"TpmInfo"`, `"X":1,"x":2,"TpmInfo"`},
	} {
		text := string(newLab(t, "az-cpp-linux-snp").json(t))
		bad := strings.Replace(text, edit[0], edit[1], 1)
		if bad == text {
			bad += "{}"
		}
		_, err := azureguest.Parse([]byte(bad), limits())
		if r := fmt.Sprint(err); !strings.Contains(r, "duplicate") && !strings.Contains(r, "after top-level value") {
			t.Errorf("%s: got %v", name, err)
		}
		refusedFor(t, err, evidence.GuestRequest)
	}
}

func TestVersionsOfTheProtocol(t *testing.T) {
	for version, accept := range map[string]bool{"2.0": true, "3.0": true, "1.0": false, "2": false, "2.00": false, "": false, "4.0": false} {
		b, err := newLab(t, "az-cpp-linux-snp").set("AttestationProtocolVersion", version).parse(t)
		if !accept {
			refusedFor(t, err, evidence.GuestProtocol)
		} else if err != nil || b.Version != version {
			t.Errorf("%s: %v", version, err)
		}
	}
	_, err := newLab(t, "az-cpp-linux-snp").set("AttestationProtocolVersion", 2).parse(t)
	refusedFor(t, err, evidence.GuestRequest)
	_, err = newLab(t, "az-cpp-linux-snp").set("AttestationProtocolVersion", nil).parse(t)
	refusedFor(t, err, evidence.GuestProtocol)
}

func TestVersionsOfSystems(t *testing.T) {
	for text, want := range map[string]int64{
		`24`: 24, `0`: 0, `"24"`: 24, `"04"`: 4, `"00000000000000000000000000000004"`: 4, `"2.0"`: 2, `2147483647`: 1<<31 - 1, `"2147483647"`: 1<<31 - 1, `null`: 0,
		`2147483648`: -1, `"2147483648"`: -1, `-1`: -1, `"-1"`: -1, `4.5`: -1, `1e1`: -1, `""`: -1, `"x"`: -1, `".5"`: -1, `" 4"`: -1, `"+4"`: -1, `"4_0"`: -1, `true`: -1, `[4]`: -1,
		`"000000000000000000000000000000004"`: -1,
	} {
		l := newLab(t, "az-cpp-linux-snp").set("OSVersionMajor", json.RawMessage(text)).set("OSVersionMinor", json.RawMessage(text))
		b, err := l.parse(t)
		if want < 0 {
			refusedFor(t, err, evidence.GuestRequest)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, _, _, major, minor := b.System(); major != want || minor != want {
			t.Errorf("%s: got %d and %d", text, major, minor)
		}
	}
}

func TestWhatTheGuestSaysOfItsSystem(t *testing.T) {
	type system struct {
		kind, distro, build string
		major, minor        int64
	}
	for id, want := range map[string]system{
		"az-cpp-linux-snp":    {"Linux", "Ubuntu", "NotApplication", 24, 4},
		"az-cpp-windows-snp":  {"Windows", "Microsoft", "NotApplication", 10, 0},
		"az-go-linux-snp":     {"Linux", "Ubuntu", "NotApplicable", 22, 4},
		"az-python-linux-snp": {"Linux", "Ubuntu", "NotApplication", 24, 4},
	} {
		b, err := newLab(t, id).parse(t)
		if err != nil {
			t.Fatal(err)
		}
		var got system
		if got.kind, got.distro, got.build, got.major, got.minor = b.System(); got != want {
			t.Errorf("%s: got %+v, want %+v", id, got, want)
		}
	}
	l := newLab(t, "az-cpp-linux-snp")
	for _, member := range []string{"OSType", "OSDistro", "OSBuild", "OSVersionMajor", "OSVersionMinor"} {
		l.set(member, nil)
	}
	if _, err := l.parse(t); err != nil {
		t.Errorf("nothing said: %v", err)
	}
}

func TestClientPayloadIsKeptAsSent(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	long := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	for payload, want := range map[string]string{
		`{"nonce":"MTIzNA=="}`: `{"nonce":"MTIzNA=="}`, `{}`: `{}`, `"text"`: `"text"`, `{"B":1.50,"a":"\u0041"}`: `{"B":1.50,"a":"\u0041"}`,
		`""`: ``, `null`: ``, nested(30): nested(30), long(64 << 10): long(64 << 10),
		nested(31): "refused", long(64<<10 + 1): "refused", `[1]`: "refused", `1`: "refused", `true`: "refused",
	} {
		text := strings.Replace(string(newLab(t, "az-cpp-linux-snp").json(t)), `{"nonce":"MTIzNA=="}`, payload, 1)
		b, err := azureguest.Parse([]byte(text), limits())
		if want == "refused" {
			refusedFor(t, err, evidence.GuestRequest)
		} else if err != nil || string(b.Payload) != want || (want == "") != (b.Payload == nil) {
			t.Errorf("%.40s: got %v", payload, err)
		}
	}
	if b, err := newLab(t, "az-cpp-linux-snp").set("ClientPayload", nil).parse(t); err != nil || b.Payload != nil {
		t.Errorf("none: %v", err)
	}
}

func TestIsolationAndItsEvidence(t *testing.T) {
	full := map[string]any{"Proof": "AAAA", "RunTimeData": "AAAA"}
	for name, c := range map[string]struct {
		isolation any
		accept    bool
	}{
		"SevSnp":                            {map[string]any{"Type": "SevSnp", "Evidence": full}, true},
		"Tdx":                               {map[string]any{"Type": "Tdx", "Evidence": full}, true},
		"TrustedLaunch":                     {map[string]any{"Type": "TrustedLaunch"}, true},
		"TrustedLaunch with no evidence":    {map[string]any{"Type": "TrustedLaunch", "Evidence": nil}, true},
		"TrustedLaunch with empty evidence": {map[string]any{"Type": "TrustedLaunch", "Evidence": map[string]any{"Proof": ""}}, true},
		"TrustedLaunch with evidence":       {map[string]any{"Type": "TrustedLaunch", "Evidence": full}, false},
		"TrustedLaunch with a proof":        {map[string]any{"Type": "TrustedLaunch", "Evidence": map[string]any{"Proof": "AAAA"}}, false},
		"TrustedLaunch with runtime data":   {map[string]any{"Type": "TrustedLaunch", "Evidence": map[string]any{"RunTimeData": "AAAA"}}, false},
		"SevSnp without evidence":           {map[string]any{"Type": "SevSnp"}, false},
		"SevSnp without runtime data":       {map[string]any{"Type": "SevSnp", "Evidence": map[string]any{"Proof": "AAAA"}}, false},
		"Tdx without proof":                 {map[string]any{"Type": "Tdx", "Evidence": map[string]any{"RunTimeData": "AAAA"}}, false},
		"another case":                      {map[string]any{"Type": "sevsnp", "Evidence": full}, false},
		"VBS":                               {map[string]any{"Type": "Vbs", "Evidence": full}, false},
		"no type":                           {map[string]any{"Evidence": full}, false},
		"nothing":                           {nil, false},
	} {
		b, err := newLab(t, "az-cpp-linux-snp").set("IsolationInfo", c.isolation).parse(t)
		switch {
		case !c.accept:
			refusedFor(t, err, evidence.IsolationType)
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case (b.Isolation == azureguest.TrustedLaunch) != (b.Proof == nil && b.RuntimeData == nil):
			t.Errorf("%s: proof %x, runtime data %x", name, b.Proof, b.RuntimeData)
		}
	}
}

// pcr is an element of PCRs.
func pcr(index any, digest []byte) map[string]any {
	return map[string]any{"Index": index, "Digest": base64.StdEncoding.EncodeToString(digest)}
}

func TestPCRsAndPcrSetMustAgree(t *testing.T) {
	value := make([]byte, 32)
	many := make([]any, 25)
	for i := range many {
		many[i] = pcr(i%24, value)
	}
	for name, c := range map[string]struct {
		set    []int
		pcrs   []any
		accept bool
	}{
		"any order":            {[]int{1, 0}, []any{pcr(0, value), pcr(1, value)}, true},
		"0 and 23":             {[]int{0, 23}, []any{pcr(23, value), pcr(0, value)}, true},
		"none":                 {[]int{}, []any{}, true}, // whoever verifies the quote wants more
		"a value too few":      {[]int{0, 1}, []any{pcr(0, value)}, false},
		"a value too many":     {[]int{0}, []any{pcr(0, value), pcr(1, value)}, false},
		"no set":               {nil, []any{pcr(0, value)}, false},
		"a value twice":        {[]int{0}, []any{pcr(0, value), pcr(0, value)}, false},
		"a number twice":       {[]int{0, 0}, []any{pcr(0, value)}, false},
		"PCR 24":               {[]int{0}, []any{pcr(0, value), pcr(24, value)}, false},
		"PCR -1":               {[]int{0}, []any{pcr(0, value), pcr(-1, value)}, false},
		"24 in the set":        {[]int{0, 24}, []any{pcr(0, value)}, false},
		"-1 in the set":        {[]int{0, -1}, []any{pcr(0, value)}, false},
		"no index":             {[]int{0}, []any{pcr(nil, value)}, false},
		"31 bytes":             {[]int{0}, []any{pcr(0, value[1:])}, false},
		"no byte":              {[]int{0}, []any{pcr(0, nil)}, false},
		"25 values":            {[]int{0}, many, false},
		"25 numbers":           {make([]int, 25), []any{pcr(0, value)}, false},
		"all the PCRs of a PC": {[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}, many[:24], true},
	} {
		_, err := newLab(t, "az-cpp-linux-snp").set("TpmInfo.PcrSet", c.set).set("TpmInfo.PCRs", c.pcrs).parse(t)
		if !c.accept {
			refusedFor(t, err, evidence.PCRSelection)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := newLab(t, "az-cpp-linux-snp").set("TpmInfo.PCRs", []any{pcr(0, make([]byte, 33))}).parse(t)
	refusedFor(t, err, evidence.GuestRequest)
}

// TestTheBundleKeepsNothingOfItsInput: a request's buffer may be used again.
func TestTheBundleKeepsNothingOfItsInput(t *testing.T) {
	b := newLab(t, "az-cpp-linux-snp").json(t)
	got, err := azureguest.Parse(b, limits())
	if err != nil {
		t.Fatal(err)
	}
	want, err := azureguest.Parse(slices.Clone(b), limits())
	clear(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Error("the bundle changed with its input")
	}
}
