package assaytest_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// decode reads base64 in any form.
func decode(t *testing.T, s string) []byte {
	t.Helper()
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return ok[[]byte](t)(base64.RawStdEncoding.DecodeString(s))
}

// infoOf reads a body as far as AttestationInfo.
func infoOf(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var outer map[string]string
	if err := json.Unmarshal(body, &outer); err != nil || len(outer) != 1 {
		t.Fatalf("%d members (%v)", len(outer), err)
	}
	return document(t, decode(t, outer["AttestationInfo"]))
}

func document(t *testing.T, b []byte) (info map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &info); err != nil {
		t.Fatal(err)
	}
	return info
}

// form is what a document is made of: the path of each member with its JSON type, and for a text the alphabet and padding that it shows. What stands in
// ClientPayload is the caller's.
func form(v any, path string) map[string]string {
	all := make(map[string]string)
	switch v := v.(type) {
	case map[string]any:
		all[path] = "object"
		for name, value := range v {
			if path != "/ClientPayload" {
				maps.Copy(all, form(value, path+"/"+name))
			}
		}
	case []any:
		all[path] = "array"
		for _, e := range v {
			maps.Copy(all, form(e, path+"[]"))
		}
	default:
		all[path] = fmt.Sprintf("%T", v)
	}
	return all
}

// Real clients' forms are the model: member names and JSON types of each dialect, kind of guest and operating system.
func TestBodiesHaveTheFormOfTheVectorsOfTheirDialect(t *testing.T) {
	const dir = "tpm/azure-guest/"
	for _, c := range []struct {
		file      string
		dialect   assaytest.AzureDialect
		isolation assaytest.AzureIsolation
		windows   bool
	}{
		{"req-cpp-linux-snp.json", assaytest.AzureCpp, assaytest.AzureSevSnp, false},
		{"req-cpp-windows-snp.json", assaytest.AzureCpp, assaytest.AzureSevSnp, true},
		{"req-cpp-linux-trustedlaunch.json", assaytest.AzureCpp, assaytest.AzureTrustedLaunch, false},
		{"req-go-linux-snp.json", assaytest.AzureGo, assaytest.AzureSevSnp, false},
		{"req-python-linux-snp.json", assaytest.AzurePython, assaytest.AzureSevSnp, false},
	} {
		s := azureHost(c.isolation).Scenario()
		boot := assaytest.SoundAzureBoot(c.windows)
		s.Dialect, s.Boot = c.dialect, &boot
		got, want := infoOf(t, ok[[]byte](t)(s.Body())), infoOf(t, vectortest.Read(t, dir+c.file))
		sameForm(t, c.file, got, want)
		for _, name := range []string{"AttestationProtocolVersion", "OSType", "OSDistro", "OSBuild", "OSVersionMinor"} {
			if got[name] != want[name] {
				t.Errorf("%s: %s is %v, want %v", c.file, name, got[name], want[name])
			}
		}
		gotTPM, wantTPM := member(got, "TpmInfo"), member(want, "TpmInfo")
		if fmt.Sprint(gotTPM["PcrSet"]) != fmt.Sprint(wantTPM["PcrSet"]) {
			t.Errorf("%s: PcrSet %v, want %v", c.file, gotTPM["PcrSet"], wantTPM["PcrSet"])
		}
		for _, name := range []string{"AikPub", "EncKeyPub", "PcrQuote", "EncKeyCertifyInfo", "PcrSignature"} {
			sameLayout(t, c.file+" "+name, decode(t, text1(gotTPM[name])), decode(t, text1(wantTPM[name])))
		}
	}
	s := azureHost(assaytest.AzureSevSnp).Scenario()
	s.Dialect = assaytest.AzureGo
	sameForm(t, "the Go client", infoOf(t, ok[[]byte](t)(s.Body())), document(t, vectortest.Read(t, "maa/azureguest/goclient-simulated.attestationinfo.json")))
}

func member(v map[string]any, name string) map[string]any {
	m, _ := v[name].(map[string]any)
	return m
}

func text1(v any) string { s, _ := v.(string); return s }

func sameForm(t *testing.T, name string, got, want map[string]any) {
	t.Helper()
	if g, w := form(got, ""), form(want, ""); !maps.Equal(g, w) {
		t.Errorf("%s: form\n%v\nwant\n%v", name, g, w)
	}
	g, w := encoding(got), encoding(want)
	if !bytes.ContainsAny(w, "+/=") && bytes.ContainsAny(g, "+/=") || bytes.ContainsAny(w, "+/=") && bytes.ContainsAny(g, "-_") {
		t.Errorf("%s: another base64 than %s", name, w)
	}
}

// encoding are the characters in the texts of a document that tell forms of base64 apart.
func encoding(info map[string]any) []byte {
	var all []byte
	for _, v := range []map[string]any{member(info, "TpmInfo"), member(member(info, "IsolationInfo"), "Evidence")} {
		for _, value := range v {
			all = append(all, text1(value)...)
		}
	}
	return bytes.Map(func(r rune) rune {
		if strings.ContainsRune("+/=-_", r) {
			return r
		}
		return -1
	}, all)
}

// sameLayout compares TPM structures but for hashes, keys, signatures and the nonce: the length, and what stands in front of the first of these.
func sameLayout(t *testing.T, name string, got, want []byte) {
	t.Helper()
	const head = 10 // type, algorithm and attributes; magic, type and length of the signer
	if strings.HasSuffix(name, "PcrSignature") {
		got, want = got[:0:len(got)], want[:0:len(want)]
	}
	nonce := 0
	if strings.Contains(name, "req-go") && strings.HasSuffix(name, "PcrQuote") {
		nonce = len("simulated nonce") - len("challenge-0001")
	}
	if len(got) != len(want)+nonce || !bytes.Equal(got[:min(head, len(got))], want[:min(head, len(want))]) {
		t.Errorf("%s: %d bytes %x, want %d bytes %x", name, len(got), got[:min(head, len(got))], len(want), want[:min(head, len(want))])
	}
}

// The policy is computed by other software, from the quote as sent.
func TestTheSealingKeyHasThePolicyOfTheQuotedPCRs(t *testing.T) {
	for _, windows := range []bool{false, true} {
		s, boot := azureHost(assaytest.AzureTrustedLaunch).Scenario(), assaytest.SoundAzureBoot(windows)
		s.Boot = &boot
		tpm := member(infoOf(t, ok[[]byte](t)(s.Body())), "TpmInfo")
		attest := ok[*tpm2.TPMSAttest](t)(tpm2.Unmarshal[tpm2.TPMSAttest](decode(t, text1(tpm["PcrQuote"]))))
		quote := ok[*tpm2.TPMSQuoteInfo](t)(attest.Attested.Quote())
		policy := ok[*tpm2.PolicyCalculator](t)(tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256))
		if err := (tpm2.PolicyPCR{PcrDigest: quote.PCRDigest, Pcrs: quote.PCRSelect}).Update(policy); err != nil {
			t.Fatal(err)
		}
		public := ok[*tpm2.TPM2BPublic](t)(tpm2.Unmarshal[tpm2.TPM2BPublic](decode(t, text1(tpm["EncKeyPub"]))))
		area := ok[*tpm2.TPMTPublic](t)(public.Contents())
		if got, want := area.AuthPolicy.Buffer, policy.Hash().Digest; !bytes.Equal(got, want) {
			t.Errorf("policy %x, want %x", got, want)
		}
	}
}

// The answer of the vectors was sealed by other software.
func TestTheKnownAnswerIsOpenedAsAzuresClientsDo(t *testing.T) {
	var answer struct{ Token, Jwt string }
	if err := json.Unmarshal(vectortest.Read(t, "tpm/azure-guest/response.json"), &answer); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(vectortest.Read(t, "tpm/azure-guest/enc-key.pem"))
	key, isRSA := ok[any](t)(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
	if !isRSA {
		t.Fatal("not an RSA key")
	}
	token, err := assaytest.OpenAzure(key, answer.Token)
	if err != nil || strings.Count(token, ".") != 2 || !strings.HasPrefix(token, "eyJ") {
		t.Errorf("opened as %q (%v)", token, err)
	}
	if _, err := azureHost(assaytest.AzureSevSnp).Scenario().Open(answer.Token); err == nil {
		t.Error("another key opened it")
	}
}

func TestRequestsCarryWhatTheHCLReportHolds(t *testing.T) {
	s := azureHost(assaytest.AzureSevSnp).Scenario()
	s.UserData = [64]byte{1, 2, 3}
	evidence := member(member(infoOf(t, ok[[]byte](t)(s.Body())), "IsolationInfo"), "Evidence")
	ek, _ := s.Host.TPM.Key(assaytest.EK, assaytest.RSA2048).Public().(*rsa.PublicKey)
	c := ok[*hcl.Container](t)(hcl.Parse(ok[[]byte](t)(s.Host.HCLReport(&s.AK().PublicKey, ek, s.UserData))))
	proof := document(t, decode(t, text1(evidence["Proof"])))
	if !bytes.Equal(decode(t, text1(evidence["RunTimeData"])), c.RuntimeData) || !bytes.Equal(decode(t, text1(proof["SnpReport"])), c.Hardware) {
		t.Error("other runtime data or another report than in the HCL report")
	}
}

func TestEveryAzureFaultHasANameOfItsOwn(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range assaytest.AzureFaults() {
		if seen[f.Name] || f.What == "" || len(f.Checks) == 0 {
			t.Errorf("name seen before, or no words: %+v", f)
		}
		seen[f.Name] = true
	}
	for _, s := range assaytest.AzureStates() {
		if seen[s.Name] || s.What == "" {
			t.Errorf("name seen before, or no words: %+v", s)
		}
		seen[s.Name] = true
	}
}

func TestEveryCheckOfAnAzureGuestHasAFaultOfItsOwn(t *testing.T) {
	var covered []evidence.Check
	for _, f := range assaytest.AzureFaults() {
		covered = append(covered, f.Checks[0])
	}
	for _, c := range []evidence.Check{
		evidence.GuestRequest, evidence.GuestProtocol, evidence.IsolationType, evidence.SealingKey, evidence.SealingPolicy, evidence.PrivilegeLevel,
		evidence.HCLRuntime, evidence.AKBinding, evidence.RuntimeData, evidence.AIKCertificate, evidence.AIKKey, evidence.AttestFormat,
		evidence.AttestSignature, evidence.AttestType, evidence.AttestNonce, evidence.PCRSelection, evidence.PCRDigest, evidence.CertifiedKey,
		evidence.EventLogFormat, evidence.EventLogReplay, evidence.SHA1, evidence.UntrustedRoot,
	} {
		if !slices.Contains(covered, c) {
			t.Errorf("no fault for %s", c)
		}
	}
}
