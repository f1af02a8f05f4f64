package main

import (
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const azureFolder = "tpm/azure-guest/"

// azureVector is a case of vectors/tpm/azure-guest/index.json.
type azureVector struct {
	ID, Request, Expect, Code string

	Roots struct {
		VTPM          string
		Intermediates []string `json:"vtpm_intermediates"`
		AMD           string
	}
	At time.Time
}

func azureVectors(t *testing.T) []azureVector {
	t.Helper()
	var index struct{ Cases []azureVector }
	vectortest.ReadJSON(t, azureFolder+"index.json", &index)
	if len(index.Cases) == 0 {
		vectortest.NoCase(t, "case of an Azure guest")
	}
	return index.Cases
}

func azureVectorOf(t *testing.T, id string) azureVector {
	t.Helper()
	all := azureVectors(t)
	i := slices.IndexFunc(all, func(c azureVector) bool { return c.ID == id })
	if i < 0 {
		vectortest.NoCase(t, id)
	}
	return all[i]
}

// azureChecks are the words that are right for a reason class of the index.
func azureChecks(code string) []evidence.Check {
	return map[string][]evidence.Check{
		"JSON": {evidence.GuestRequest}, "BASE64": {evidence.GuestRequest}, "PROTOCOL_VERSION": {evidence.GuestProtocol}, "ISOLATION_TYPE": {evidence.IsolationType},
		"KEY_MISMATCH": {evidence.AIKKey}, "NO_CHAIN": {evidence.AIKCertificate, evidence.SNPChain, evidence.UntrustedRoot}, "SIGNATURE": {evidence.AttestSignature},
		"NONCE": {evidence.AttestNonce}, "MAGIC": {evidence.AttestType}, "TYPE": {evidence.AttestType}, "SELECTION_EMPTY": {evidence.PCRSelection},
		"PCR_DIGEST": {evidence.PCRDigest}, "REPLAY": {evidence.EventLogReplay}, "CERTIFY_NAME": {evidence.CertifiedKey}, "ENCKEY_ATTRIBUTES": {evidence.SealingKey},
		"ENCKEY_POLICY": {evidence.SealingPolicy}, "REPORT_DATA": {evidence.RuntimeData}, "VMPL": {evidence.PrivilegeLevel}, "AK_BINDING": {evidence.AKBinding},
	}[code]
}

// inPEMFile writes a certificate of the vectors as PEM.
func inPEMFile(t *testing.T, names ...string) string {
	t.Helper()
	var text []byte
	for _, name := range names {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vectortest.Read(t, azureFolder+name)})...)
	}
	file := filepath.Join(t.TempDir(), "certificates.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// verify runs evidence verify on a file as the case says.
func (c *azureVector) verify(t *testing.T, file string, more ...string) (outcome, *verdict) {
	t.Helper()
	args := append([]string{"evidence", "verify", "--type", "azureguest", file, "--json"}, more...)
	if !c.At.IsZero() {
		args = append(args, "--at", c.At.Format(time.RFC3339))
	}
	if c.Roots.AMD != "" {
		args = append(args, "--trust-root", vectortest.Path(t, azureFolder+c.Roots.AMD))
	}
	if c.Roots.VTPM != "" {
		args = append(args, "--aik-root", inPEMFile(t, c.Roots.VTPM), "--aik-intermediates", inPEMFile(t, c.Roots.Intermediates...))
	}
	o := assay(t, args...)
	got := &verdict{}
	o.read(t, got)
	return o, got
}

func (c *azureVector) accepted() bool { // README.md section 10.2 for those that the index leaves open
	return strings.HasPrefix(c.Expect, "accept") || c.ID == "az-bad-ak-cert-root"
}

// information writes what the request has in AttestationInfo into a file; false: it cannot be decoded.
func (c *azureVector) information(t *testing.T) (string, bool) {
	t.Helper()
	var body struct{ AttestationInfo string }
	if err := json.Unmarshal(vectortest.Read(t, azureFolder+c.Request), &body); err != nil {
		t.Fatal(err)
	}
	b, err := b64.Decode(body.AttestationInfo)
	if err != nil {
		return "", false
	}
	file := filepath.Join(t.TempDir(), "info.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, true
}

// TestEvidenceOfAzureGuests verifies every case of the vectors, as the body of a request and as what the body holds.
func TestEvidenceOfAzureGuests(t *testing.T) {
	for _, c := range azureVectors(t) {
		files := []string{vectortest.Path(t, azureFolder+c.Request)}
		if file, ok := c.information(t); ok {
			files = append(files, file)
		}
		for _, file := range files {
			o, got := c.verify(t, file)
			if c.accepted() {
				if o.status != exitOK || !got.Verified || got.Claims["x-ms-attestation-type"] != "azurevm" {
					t.Errorf("%s: exit status %d, %+v", c.ID, o.status, got)
				}
				continue
			}
			if o.status != exitRefused || got.Verified || !slices.Contains(azureChecks(c.Code), evidence.Check(got.check())) {
				t.Errorf("%s: exit status %d, error %+v; want a refusal for one of %v", c.ID, o.status, got.Error, azureChecks(c.Code))
			} else if last := got.Checks[len(got.Checks)-1]; string(last.Name) != got.check() || last.Outcome != evidence.Fail {
				t.Errorf("%s: the last check is %+v, want the one that failed", c.ID, last)
			}
		}
	}
}

// TestChecksOfAnAzureGuestComeInOrder: the vTPM before the hardware report, and last the key that both name. Claims of the report are an object.
func TestChecksOfAnAzureGuestComeInOrder(t *testing.T) {
	c := azureVectorOf(t, "az-go-linux-snp")
	_, got := c.verify(t, vectortest.Path(t, azureFolder+c.Request))
	at := -1
	for _, want := range []evidence.Check{evidence.AIKCertificate, evidence.AttestSignature, evidence.PCRDigest, evidence.EventLogReplay, evidence.SNPSignature, evidence.PrivilegeLevel, evidence.AKBinding} {
		i := slices.IndexFunc(got.Checks, func(e evidence.Entry) bool { return e.Name == want && e.Outcome == evidence.Pass })
		if i <= at {
			t.Errorf("%s is check %d, after check %d: %v", want, i, at, got.Checks)
		}
		at = i
	}
	tee, _ := got.Claims["x-ms-isolation-tee"].(map[string]any)
	if tee["x-ms-attestation-type"] != "sevsnpvm" || len(got.TrustAnchor) != 64 || got.ReportVersion == 0 {
		t.Errorf("object %v, trust anchor %q, report version %v", tee, got.TrustAnchor, got.ReportVersion)
	}
}

// TestSecureBootKeysOfALog: what tpm secureboot-keys prints is the setting of a provider, and the machine of the log is validated by it, no other.
func TestSecureBootKeysOfALog(t *testing.T) {
	o := assay(t, "tpm", "secureboot-keys", vectortest.Path(t, azureFolder+"linux-log.bin"))
	if o.status != exitOK || !strings.Contains(o.stdout, "not authenticated") {
		t.Fatalf("exit status %d: %s%s", o.status, o.stdout, o.stderr)
	}
	sets, err := provider.ParseSecureBootKeys([]byte(o.stdout))
	if err != nil || len(sets) != 1 || len(sets[0].PK) != 1 || len(sets[0].DB) != 2 || len(sets[0].DBX) != 2 {
		t.Fatalf("got %v, %v", sets, err)
	}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(file, []byte(o.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"az-cpp-linux-snp": true, "az-cpp-windows-snp": false} {
		c := azureVectorOf(t, id)
		_, with := c.verify(t, vectortest.Path(t, azureFolder+c.Request), "--secureboot-keys", file)
		_, without := c.verify(t, vectortest.Path(t, azureFolder+c.Request))
		for _, name := range []string{"dbvalidated", "dbxvalidated", "default-securebootkeysvalidated"} {
			if with.Claims["x-ms-azurevm-"+name] != want || without.Claims["x-ms-azurevm-"+name] != false {
				t.Errorf("%s: %s is %v, without the setting %v", id, name, with.Claims["x-ms-azurevm-"+name], without.Claims["x-ms-azurevm-"+name])
			}
		}
	}
	var j struct {
		Verified *bool
		Keys     []provider.SecureBootKeys `json:"azureguest_secureboot_keys"`
	}
	assay(t, "tpm", "secureboot-keys", vectortest.Path(t, azureFolder+"linux-log.bin"), "--json").read(t, &j)
	if j.Verified == nil || *j.Verified || len(j.Keys) != 1 || len(j.Keys[0].DBX) != 2 {
		t.Errorf("got %+v", j)
	}
	if o := assay(t, "tpm", "secureboot-keys", vectortest.Path(t, "tpm/eventlogs/tpm2tools-sd-boot.bin")); o.status != exitRefused || !strings.Contains(o.stdout, "has no pk") {
		t.Errorf("a log without keys: exit status %d: %s%s", o.status, o.stdout, o.stderr)
	}
}

// TestInspectionOfAnAzureGuest tells what it says and that nothing is believed.
func TestInspectionOfAnAzureGuest(t *testing.T) {
	for id, want := range map[string]map[string]any{
		"az-go-linux-snp":            {"verified": false, "protocolVersion": "2.0", "isolation": "SevSnp", "vmpl": 0.0, "debuggable": false},
		"az-cpp-linux-trustedlaunch": {"verified": false, "protocolVersion": "2.0", "isolation": "TrustedLaunch", "vmpl": nil, "runtimeData": nil},
	} {
		c := azureVectorOf(t, id)
		var got map[string]any
		o := assay(t, "evidence", "inspect", "--type", "azureguest", vectortest.Path(t, azureFolder+c.Request), "--json")
		o.read(t, &got)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %v, want %v", id, name, got[name], value)
			}
		}
		if o.status != exitOK {
			t.Errorf("%s: exit status %d", id, o.status)
		}
	}
}

// TestFlagsOfAzureGuests: what means nothing to a type is refused.
func TestFlagsOfAzureGuests(t *testing.T) {
	request, root := vectortest.Path(t, azureFolder+"req-cpp-linux-snp.json"), inPEMFile(t, "vtpm-root.der")
	for line, fragment := range map[string]string{
		"--type azureguest " + request + " --runtime-data " + root:                                     "--runtime-data is for sgx, openenclave, snp and tdx",
		"--type snp " + request + " --aik-root " + root:                                                "--aik-root is for azureguest",
		"--type azureguest " + request + " --aik-root " + inPEMFile(t):                                 "found none",
		"--type azureguest " + request + " --aik-root " + inPEMFile(t, "vtpm-root.der", "vtpm-ca.der"): "expected one certificate, found 2",
		"--type azureguest " + request + " --secureboot-keys " + root:                                  "--secureboot-keys",
	} {
		o := assay(t, append([]string{"evidence", "verify"}, strings.Fields(line)...)...)
		if o.status != exitUsage || !strings.Contains(o.stderr, fragment) {
			t.Errorf("%s: exit status %d, %s; want %q", line, o.status, o.stderr, fragment)
		}
	}
}
