package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// azureClaims are claims of an Azure guest.
type azureClaims struct {
	Type     string `json:"x-ms-attestation-type"`
	Protocol string `json:"x-ms-azurevm-attestation-protocol-ver"`
	Distro   string `json:"x-ms-azurevm-osdistro"`
	PCRs     []int  `json:"x-ms-azurevm-attested-pcrs"`
	Hardware *struct {
		Type    string `json:"x-ms-attestation-type"`
		Runtime struct {
			UserData string `json:"user-data"`
		} `json:"x-ms-runtime"`
	} `json:"x-ms-isolation-tee"`
	Runtime struct {
		Payload map[string]string `json:"client-payload"`
	} `json:"x-ms-runtime"`
}

// azureService is a service in development mode, and the flags for it.
func azureService(t *testing.T, flags ...string) []string {
	t.Helper()
	s := serve(t, append([]string{"--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, flags...)...)
	return []string{"--endpoint", s.URL, "--ca", s.CA}
}

// TestAnEmulatedGuestOfEachKindAttests: from the vTPM on swtpm to the token that only it opens, under the built-in policy.
func TestAnEmulatedGuestOfEachKindAttests(t *testing.T) {
	s, service := swtpmtest.Start(t), azureService(t)
	for isolation, want := range map[string][2]string{"SevSnp": {"SevSnp", "sevsnpvm"}, "tdx": {"Tdx", "tdxvm"}, "trustedlaunch": {"TrustedLaunch", ""}} {
		args := []string{"attest", "azureguest", "--emulate", "--swtpm", s.Socket, "--isolation", isolation, "--nonce", "00c0ffee", "--payload", "release=42", "--json"}
		if isolation != "trustedlaunch" {
			args = append(args, "--user-data", "0102")
		}
		o := assay(t, append(args, service...)...)
		o.want(t, exitOK, "", "EMULATED")
		var got guestReport
		o.read(t, &got)
		var claims azureClaims
		if err := json.Unmarshal(got.Claims, &claims); err != nil {
			t.Fatal(err)
		}
		if !got.Verified || !got.Development || got.Machine.Isolation != want[0] || !got.Machine.Emulated || got.Machine.Nonce != "00c0ffee" {
			t.Errorf("%s: %+v", isolation, got)
		}
		if claims.Type != "azurevm" || claims.Protocol != "2.0" || claims.Distro != "Emulated Linux" || !slices.Equal(claims.PCRs, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("%s: %+v", isolation, claims)
		}
		if payload := map[string]string{"nonce": "AMD/7g==", "release": "NDI="}; !reflect.DeepEqual(claims.Runtime.Payload, payload) {
			t.Errorf("%s: payload %v", isolation, claims.Runtime.Payload)
		}
		switch {
		case want[1] == "" && claims.Hardware != nil:
			t.Errorf("%s: a report of hardware: %+v", isolation, claims.Hardware)
		case want[1] != "" && (claims.Hardware == nil || claims.Hardware.Type != want[1] || claims.Hardware.Runtime.UserData != "0102"+strings.Repeat("0", 124)):
			t.Errorf("%s: hardware %+v", isolation, claims.Hardware)
		}
	}
}

func TestAnEmulatedGuestHasATPMOfItsOwn(t *testing.T) {
	swtpmtest.Start(t) // there is one
	t.Setenv("TMPDIR", t.TempDir())
	o := assay(t, append([]string{"attest", "azureguest", "--emulate", "--protocol", "3.0", "--pcrs", "0-9"}, azureService(t)...)...)
	o.want(t, exitOK, "VERIFIED", "nothing of this evidence is real")
	for _, want := range []string{"PCRs quoted  0-9", "protocol-ver         3.0", "emulated     yes"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("want %q in\n%s", want, o.stdout)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "assay-azure*")); err != nil || left != nil {
		t.Errorf("%q is left, %v", left, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), os.TempDir()) {
			t.Errorf("%s still runs: %q", file, line)
		}
	}
	t.Setenv("PATH", t.TempDir())
	assay(t, "attest", "azureguest", "--emulate", "--endpoint", "https://localhost:1").want(t, exitUsage, "", "apt-get install swtpm")
}

func TestTheTokenOfAnAzureGuestVerifiesAlone(t *testing.T) {
	s, service := swtpmtest.Start(t), azureService(t)
	raw := assay(t, append([]string{"attest", "azureguest", "--emulate", "--swtpm", s.Socket, "--raw"}, service...)...)
	raw.want(t, exitOK, "eyJ", "")
	assay(t, "token", "verify", strings.TrimSpace(raw.stdout), "--issuer", service[1], "--ca", service[3], "--require", "secureboot=true").want(t, exitOK, "VERIFIED", "")
}

// TestABodyIsCollectedAndSentApart: what comes back is sealed, and stays so.
func TestABodyIsCollectedAndSentApart(t *testing.T) {
	s, service := swtpmtest.Start(t), azureService(t)
	body := collectedBody(t, s)
	sent := assay(t, append([]string{"attest", "azureguest", body}, service...)...)
	sent.want(t, exitOK, "SEALED", "")
	sent.want(t, exitOK, "only the TPM of the request can open", "")
	raw := assay(t, append([]string{"attest", "azureguest", body, "--raw"}, service...)...)
	if e, err := azureguest.ParseEnvelope(strings.TrimSpace(raw.stdout)); err != nil || len(e.WrappedKey) != 256 {
		t.Errorf("%+v, %v of %s", e, err, raw.stdout)
	}
	var report sealedReport
	assay(t, append([]string{"attest", "azureguest", body, "--json"}, service...)...).read(t, &report)
	if _, err := azureguest.ParseEnvelope(report.Sealed); err != nil {
		t.Error(err)
	}
	assay(t, append([]string{"attest", "azureguest", tempFile(t, "b.json", "{}")}, service...)...).want(t, exitRefused, "REFUSED", "")
}

// collectedBody has an emulated guest of SEV-SNP write the body of a request.
func collectedBody(t *testing.T, s *swtpmtest.TPM) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "body.json")
	o := assay(t, "attest", "azureguest", "--emulate", "--swtpm", s.Socket, "--nonce", "00c0ffee", "--collect", "--out", file, "--json")
	o.want(t, exitOK, "", "EMULATED")
	var got guestCollected
	if o.read(t, &got); got.Collected.File != file || got.Collected.Isolation != "SevSnp" {
		t.Errorf("%+v", got.Collected)
	}
	return file
}

// TestTheLogOfARealMachineIsBootedInItsPlace: its keys of secure boot are not those that development mode knows, and it has read none of its own.
func TestTheLogOfARealMachineIsBootedInItsPlace(t *testing.T) {
	s := swtpmtest.Start(t)
	args := []string{"attest", "azureguest", "--emulate", "--swtpm", s.Socket, "--event-log", vectortest.Path(t, rigLog)}
	assay(t, append(args, azureService(t)...)...).want(t, exitRefused, "default-securebootkeysvalidated", "")
	policy := tempFile(t, "policy", "version=1.0;authorizationrules{=>permit();};issuancerules{};")
	assay(t, append(args, azureService(t, "--policy", "AzureGuest="+policy)...)...).want(t, exitOK, "VERIFIED", "")
}

func TestATPMThatIsNoneOfAzureIsNamed(t *testing.T) {
	s := swtpmtest.Start(t)
	o := assay(t, "attest", "azureguest", "--swtpm", s.Socket, "--event-log", vectortest.Path(t, rigLog), "--endpoint", "https://localhost:1")
	o.want(t, exitUsage, "", "no attestation key at 81000003")
	o.want(t, exitUsage, "", "--emulate")
}

func TestAttestAzureGuestNamesWhatIsWrongWithItsFlags(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	file := tempFile(t, "file", "x")
	for flags, want := range map[string]string{
		"":                                                "--endpoint is missing",
		"--collect":                                       "--out is missing",
		"--collect --out f --endpoint https://e":          "exclude each other",
		"--collect --out f --raw":                         "exclude each other",
		"--collect --out f --token t":                     "exclude each other",
		"--collect --out f --token-command c":             "exclude each other",
		"--collect --out f --token-file " + file:          "exclude each other",
		"--endpoint https://e --swtpm a --device b":       "exclude each other",
		"--endpoint https://e --root . --event-log f":     "exclude each other",
		"--endpoint https://e --emulate --device b":       "exclude each other",
		"--endpoint https://e --emulate --root .":         "exclude each other",
		"--endpoint https://e --emulate --metadata m":     "exclude each other",
		"--endpoint https://e --isolation tdx":            "--isolation is for --emulate",
		"--endpoint https://e --isolation sgx":            "expected one of SevSnp, Tdx, TrustedLaunch",
		"--endpoint https://e --protocol 1.0":             "expected one of 2.0, 3.0",
		"--endpoint https://e --pcrs 24":                  "expected PCRs from 0 to 23",
		"--endpoint https://e --nonce xyz":                "--nonce",
		"--endpoint https://e --user-data xyz":            "--user-data",
		"--endpoint https://e --payload name":             "expected NAME=VALUE",
		"--endpoint https://e --payload =x":               "expected NAME=VALUE",
		"--endpoint https://e --payload a=1 --payload a=": "each name once",
		"--endpoint https://e --device " + none:           "turn the TPM on",
		"--endpoint https://e --device " + file:           "is no device",
		"--endpoint https://e --swtpm " + none:            "start it: swtpm socket",
		"--endpoint https://e --emulate --swtpm " + none:  "start it: swtpm socket",
		"--endpoint https://e " + file + " --pcrs 0-7":    "--pcrs is for a machine",
		"--endpoint https://e " + file + " --emulate":     "--emulate is for a machine",
		"--endpoint https://e " + none:                    "no such file",
	} {
		assay(t, append([]string{"attest", "azureguest"}, strings.Fields(flags)...)...).want(t, exitUsage, "", want)
	}
	assay(t, "attest", "azureguest", "--endpoint", "https://e", "--nonce", "").want(t, exitUsage, "", "expected bytes")
}

// TestTheAnswerToAnotherRequestIsRefused: the service answers with a token that is genuine, and for this key, but says another payload or another key.
func TestTheAnswerToAnotherRequestIsRefused(t *testing.T) {
	s, service := swtpmtest.Start(t), azureService(t)
	args := append([]string{"attest", "azureguest", "--emulate", "--swtpm", s.Socket, "--json"}, service...)
	var got guestReport
	assay(t, append(args, "--payload", "release=42")...).read(t, &got)
	token := verifiedToken(t, service, got.Token)
	nonce, key := hexToBase64(t, got.Machine.Nonce), ephemeralIn(t, got.Claims)
	for name, want := range map[string]sealedFor{
		"":                                    {key, map[string]string{"nonce": nonce, "release": "NDI="}},
		"x-ms-runtime.client-payload.nonce":   {key, map[string]string{"nonce": base64.StdEncoding.EncodeToString([]byte("another"))}},
		"x-ms-runtime.client-payload.release": {key, map[string]string{"nonce": nonce, "release": "NDM="}},
		"x-ms-runtime.client-payload.absent":  {key, map[string]string{"nonce": nonce, "absent": ""}},
		"x-ms-runtime.keys":                   {another(t), map[string]string{"nonce": nonce}},
	} {
		err := token.Require(want)
		if (name == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
