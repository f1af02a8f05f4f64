package hcl_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// documents gives the runtime data of paravisors in the vectors by the file that holds it: files of their own, and those inside of containers.
func documents(t testing.TB) map[string][]byte {
	t.Helper()
	files := []string{"maa/azureguest/tdx-hcl-runtime-data.json", "tpm/azure-guest/runtime.json"}
	containers := []string{"maa/azureguest/tdx-hcl-report.bin"}
	for _, index := range []string{"snp/real.json", "snp/hcl-synthetic/index.json", "snp/hcl-tdx/index.json"} {
		var cases []struct {
			Expect, File, HCL string
			RuntimeData       string `json:"runtime_data"`
		}
		vectortest.ReadJSON(t, index, &cases)
		for _, c := range cases {
			if c.RuntimeData != "" {
				files = append(files, "snp/"+c.RuntimeData)
			}
			switch {
			case c.HCL != "":
				containers = append(containers, "snp/"+c.HCL)
			case index == "snp/hcl-synthetic/index.json" && c.Expect == "accept":
				containers = append(containers, "snp/hcl-synthetic/"+c.File)
			case index == "snp/hcl-tdx/index.json":
				containers = append(containers, "snp/"+c.File)
			}
		}
	}
	all := map[string][]byte{}
	for _, file := range files {
		all[file] = vectortest.Read(t, file)
	}
	for _, file := range containers {
		c, err := hcl.Parse(vectortest.Read(t, file))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = c.RuntimeData
	}
	return all
}

// read reads a document with the standard library.
func read(t testing.TB, b []byte) (document any, n *big.Int, vmID string) {
	t.Helper()
	var in struct {
		Keys []struct{ Kid, N string }
		VM   struct{ VMUniqueID string } `json:"vm-configuration"`
	}
	if err := errors.Join(json.Unmarshal(b, &document), json.Unmarshal(b, &in)); err != nil {
		t.Fatal(err)
	}
	for _, k := range in.Keys {
		if k.Kid == "HCLAkPub" {
			modulus, err := base64.RawURLEncoding.DecodeString(k.N)
			if err != nil {
				t.Fatal(err)
			}
			n = new(big.Int).SetBytes(modulus)
		}
	}
	return document, n, in.VM.VMUniqueID
}

func TestRuntimeDataOfTheVectors(t *testing.T) {
	for file, b := range documents(t) {
		got, err := hcl.ParseRuntimeData(b)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		document, n, vmID := read(t, b)
		if got.AK.N.Cmp(n) != 0 || got.AK.E != 65537 || got.VMID != vmID {
			t.Errorf("%s: got the key %v, %d and VM %q, want %v, 65537 and %q", file, got.AK.N, got.AK.E, got.VMID, n, vmID)
		}
		shown, _, _ := read(t, got.JSON)
		if !reflect.DeepEqual(shown, document) || bytes.ContainsAny(got.JSON, " \n") {
			t.Errorf("%s: shown as %s", file, got.JSON)
		}
	}
}

const sampleID = "26f8bc30-774e-4290-8E7A-535F3B672AEE"

// sample is a document with an attestation key of 2048 bits, as paravisors write it.
func sample() string {
	n := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xC1}, 256))
	return `{"keys":[{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"` + n + `"}],"vm-configuration":{"vmUniqueId":"` + sampleID + `"}}`
}

// changed is the sample with one part replaced, which it must have.
func changed(t *testing.T, old, new string) string {
	t.Helper()
	s := sample()
	if !strings.Contains(s, old) {
		t.Fatalf("the sample has no %s", old)
	}
	return strings.Replace(s, old, new, 1)
}

// modulus is the member n of the sample with a modulus of so many bits.
func modulus(t *testing.T, bits int, low uint) string {
	t.Helper()
	n := new(big.Int).SetBit(big.NewInt(int64(low)), bits-1, 1)
	return regexp.MustCompile(`"n":"[^"]*"`).ReplaceAllString(sample(), `"n":"`+base64.RawURLEncoding.EncodeToString(n.Bytes())+`"`)
}

// deep is the sample with a member whose value has so many arrays in each other.
func deep(t *testing.T, levels int) string {
	t.Helper()
	return changed(t, `{"keys"`, `{"x":`+strings.Repeat("[", levels)+strings.Repeat("]", levels)+`,"keys"`)
}

// keys gives the sample n keys, the attestation key among them.
func keys(t *testing.T, n int) string {
	t.Helper()
	others := ""
	for i := range n - 1 {
		others += fmt.Sprintf(`{"kid":"k%d"},`, i)
	}
	return changed(t, `"keys":[`, `"keys":[`+others)
}

// padded is the sample with white space up to a size.
func padded(size int) string { return sample() + strings.Repeat(" ", size-len(sample())) }

func TestRuntimeDataThatIsAccepted(t *testing.T) {
	for name, text := range map[string]string{
		"sample":                      sample(),
		"older use of the key":        changed(t, `"sign"`, `"encrypt"`),
		"no configuration":            changed(t, `,"vm-configuration":{"vmUniqueId":"`+sampleID+`"}`, ``),
		"unknown members":             changed(t, `{"keys"`, `{"Keys":7,"user-data":"00","keys"`),
		"another key of another kind": changed(t, `"keys":[`, `"keys":[{"kid":"HCLTransferKey","kty":"EC"},`),
		"a key of 8192 bits":          modulus(t, 8192, 1),
		"16 keys":                     keys(t, 16),
		"nests 30 deep, 32 in tokens": deep(t, 29),
		"65536 bytes":                 padded(hcl.MaxSize),
	} {
		if got, err := hcl.ParseRuntimeData([]byte(text)); err != nil || got.AK == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRuntimeDataThatIsRefused(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"65537 bytes", padded(hcl.MaxSize + 1), "too long"},
		{"a NUL behind it", sample() + "\x00", "after top-level value"},
		{"another document behind it", sample() + "{}", "after top-level value"},
		{"an array", "[" + sample() + "]", "wrong type"},
		{"null", "null", "HCLAkPub"},
		{"not UTF-8", changed(t, sampleID, "\xFF"), "invalid UTF-8"},
		{"a member twice", changed(t, `{"keys"`, `{"a":1,"a":2,"keys"`), "duplicate"},
		{"a member twice inside of what is not read", changed(t, `{"keys"`, `{"x":[{"a":1,"a":1}],"keys"`), "duplicate"},
		{"a member of the key twice", changed(t, `"kty":"RSA"`, `"kty":"RSA","kty":"RSA"`), "duplicate"},
		{"name of the keys in another case", changed(t, `"keys"`, `"Keys"`), "HCLAkPub"},
		{"kid in another case", changed(t, `HCLAkPub`, `HclAkPub`), "HCLAkPub"},
		{"two attestation keys", changed(t, `"keys":[`, `"keys":[{"kid":"HCLAkPub"},`), "two keys"},
		{"two other keys of one kid", changed(t, `"keys":[`, `"keys":[{"kid":"a"},{"kid":"a"},`), "two keys"},
		{"two keys whose kid is one, differently written", changed(t, `"keys":[`, `"keys":[{"kid":"\u0048CLAkPub"},`), "two keys"},
		{"17 keys", keys(t, 17), "too many keys"},
		{"not RSA", changed(t, `"kty":"RSA"`, `"kty":"EC"`), "not RSA"},
		{"for no use", changed(t, `["sign"]`, `[]`), "another use"},
		{"for another use", changed(t, `"sign"`, `"wrapKey"`), "another use"},
		{"no exponent", changed(t, `"e":"AQAB",`, ``), "exponent 0"},
		{"exponent even", changed(t, `AQAB`, `AQAC`), "exponent 65538"},
		{"exponent 1", changed(t, `AQAB`, `AQ`), "exponent 1"},
		{"exponent 2³² − 1", changed(t, `AQAB`, `_____w`), "too large"},
		{"exponent of 5 bytes", changed(t, `AQAB`, `AAAAAQE`), "too long"},
		{"exponent padded", changed(t, `AQAB`, `AQE=`), "base64url"},
		{"no modulus", changed(t, `"n":`, `"m":`), "0 bits"},
		{"modulus of 2047 bits", modulus(t, 2047, 1), "2047 bits"},
		{"modulus of 8193 bits", modulus(t, 8193, 1), "8193 bits"},
		{"modulus of 8201 bits", modulus(t, 8201, 1), "too long"},
		{"modulus even", modulus(t, 2048, 0), "even"},
		{"modulus not base64url", changed(t, `"n":"w`, `"n":"+`), "base64url"},
		{"vmUniqueId a number", changed(t, `"`+sampleID+`"`, `7`), "vmUniqueId"},
		{"configuration an array", changed(t, `{"vmUniqueId":"`+sampleID+`"}`, `[]`), "vm-configuration"},
		{"nests 31 deep, 33 in tokens", deep(t, 30), "deeper than 32"},
	} {
		_, err := hcl.ParseRuntimeData([]byte(c.text))
		r, ok := errors.AsType[*evidence.Refusal](err)
		if !ok || r.Check != evidence.HCLRuntime || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want a refusal for hcl-runtime that says %q", c.name, err, c.says)
		}
	}
}

func TestVMUniqueID(t *testing.T) {
	for text, want := range map[string]string{
		sampleID:                                 strings.ToUpper(sampleID),
		"":                                       "",
		"26f8bc30-774e-4290-8e7a-535f3b672ae":    "",
		"26f8bc30-774e-4290-8e7a-535f3b672aeeA":  "",
		"26f8bc30-774e-4290-8e7a-535f3b672aeg":   "",
		"26f8bc30774e-4290--8e7a-535f3b672aee":   "",
		"{26f8bc30-774e-4290-8e7a-535f3b672aee}": "",
	} {
		got, err := hcl.ParseRuntimeData([]byte(changed(t, sampleID, text)))
		if err != nil || got.VMID != want {
			t.Errorf("%q: got %+v (%v), want %q", text, got, err, want)
		}
	}
}

// A refusal does not repeat megabytes of what it refuses.
func TestRefusalsOfRuntimeDataAreShort(t *testing.T) {
	long := strings.Repeat("k", 10_000)
	for _, text := range []string{
		changed(t, `"kty":"RSA"`, `"kty":"`+long+`"`), changed(t, `"sign"`, `"`+long+`"`),
		changed(t, `"keys":[`, `"keys":[{"kid":"`+long+`"},{"kid":"`+long+`"},`), changed(t, `{"keys"`, `{"`+long+`":1,"`+long+`":1,"keys"`),
	} {
		if _, err := hcl.ParseRuntimeData([]byte(text)); err == nil || len(err.Error()) > 600 {
			t.Errorf("a refusal of %d bytes: %.600v", len(fmt.Sprint(err)), err)
		}
	}
}

// What is accepted is accepted again as it is shown, with the same key.
func FuzzRuntimeData(f *testing.F) {
	for _, b := range documents(f) {
		f.Add(b)
	}
	f.Add([]byte(sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := hcl.ParseRuntimeData(b)
		if err != nil {
			if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Check != evidence.HCLRuntime {
				t.Fatalf("got %v, want a refusal for hcl-runtime", err)
			}
			return
		}
		again, err := hcl.ParseRuntimeData(d.JSON)
		if err != nil || !again.AK.Equal(d.AK) || again.VMID != d.VMID || !bytes.Equal(again.JSON, d.JSON) {
			t.Fatalf("%s: again %+v (%v)", d.JSON, again, err)
		}
		if bits := d.AK.N.BitLen(); bits < 2048 || bits > 8192 || d.AK.E < 3 || d.AK.E%2 == 0 {
			t.Fatalf("a key of %d bits with exponent %d", bits, d.AK.E)
		}
	})
}
