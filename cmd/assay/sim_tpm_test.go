package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// machineService is a service that admits machines, and the flags that name it and a caller.
func machineService(t *testing.T, args ...string) []string {
	t.Helper()
	data := t.TempDir()
	policy := tempFile(t, "tpm.txt", demoTPMPolicy)
	s := serve(t, append([]string{"--dev", "--listen", "127.0.0.1:0", "--data", data, "--policy", "Tpm=" + policy}, args...)...)
	token := assay(t, "dev", "token", "--role", "reader", "--data", data)
	return []string{"--endpoint", s.URL, "--ca", s.CA, "--token-file", tempFile(t, "token", token.stdout)}
}

func TestSimulatedMachinesAttestToAService(t *testing.T) {
	service := machineService(t)
	for _, test := range []struct {
		flags  string
		status int
		want   string
	}{
		{"", exitOK, "secureBootEnabled      true"},
		{"--certify", exitOK, "VERIFIED"},
		{"--vbs", exitOK, "VERIFIED"},
		{"--protocol 1", exitOK, "VERIFIED"},
		{"--protocol 1 --vbs", exitOK, "VERIFIED"},
		{"--linux", exitOK, "VERIFIED"},
		{"--debugging", exitOK, "bootDebuggingDisabled  false"},
		{"--secure-boot off", exitRefused, "secureBootEnabled = false"},
		{"--linux --secure-boot off", exitRefused, "secureBootEnabled = false"},
	} {
		t.Run(test.flags, func(t *testing.T) {
			args := append([]string{"sim", "tpm"}, strings.Fields(test.flags)...)
			assay(t, append(args, service...)...).want(t, test.status, test.want, "")
		})
	}
}

func TestARealLogIsQuotedAsItIs(t *testing.T) {
	service := machineService(t)
	log := vectortest.Path(t, "tpm/eventlogs/keylime-secureboot-sha256.bin")
	assay(t, append([]string{"sim", "tpm", "--log", log}, service...)...).want(t, exitOK, "secureBootEnabled      true", "")
	legacy := vectortest.Path(t, "tpm/windows/windows_gcp_shielded_vm.wbcl")
	assay(t, append([]string{"sim", "tpm", "--log", legacy}, service...)...).want(t, exitRefused, "tpm_allow_sha1", "")
}

func TestTheMessagesOfASimulatedMachineCanBeCarriedByOthers(t *testing.T) {
	var first tpmBody
	assay(t, "sim", "tpm").read(t, &first)
	if got, err := base64.RawURLEncoding.DecodeString(first.Data); err != nil || string(got) != `{"payload":{"type":"aikcert"}}` {
		t.Errorf("first message %s, %v", got, err)
	}
	challenge := `{"payload":{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","service_context":"context"}}`
	answer := tempFile(t, "answer.json", `{"data":"`+base64.RawURLEncoding.EncodeToString([]byte(challenge))+`"}`)
	var second tpmBody
	assay(t, "sim", "tpm", "--answer", answer).read(t, &second)
	inner, err := base64.RawURLEncoding.DecodeString(second.Data)
	if err != nil {
		t.Fatal(err)
	}
	m, err := attreq.ParseMessage(inner)
	if err != nil {
		t.Fatal(err)
	}
	request, err := attreq.Parse(m.Request, attreq.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := request.VerifySignature()
	if err != nil || signed.Context() != "context" {
		t.Fatalf("context of %+v: %v", signed, err)
	}
	if _, err := signed.Answer([]byte("0123456789abcdef")); err != nil {
		t.Error(err)
	}
}

func TestAMachineIsWrittenToAFolder(t *testing.T) {
	var got struct {
		Dir   string
		Files []string
		Data  string
	}
	dir := filepath.Join(t.TempDir(), "new")
	o := assay(t, "sim", "tpm", "--linux", "--out", dir, "--json")
	if err := json.Unmarshal([]byte(strings.ToLower(o.stdout)), &got); err != nil || got.Data == "" {
		t.Fatalf("%v in %s", err, o.stdout)
	}
	for _, name := range []string{"root.pem", "aik.pem", "tcg.log", "ima.log"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) == 0 || !strings.Contains(o.stdout, name) {
			t.Errorf("%s: %d bytes, %v; printed %s", name, len(b), err, o.stdout)
		}
	}
}

func TestAnAnswerThatIsNoChallengeIsNotAnswered(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON":      "challenge",
		"no data":      `{}`,
		"no message":   `{"data":"AAAA"}`,
		"no challenge": `{"data":"e30"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if o := assay(t, "sim", "tpm", "--answer", tempFile(t, "answer.json", answer)); o.status == exitOK || o.stdout != "" {
				t.Errorf("status %d, printed %q", o.status, o.stdout)
			}
		})
	}
}

// TestFlagsThatSayNothingTogetherAreRefused: a log tells how the machine booted, and version 1 knows Windows only.
func TestFlagsThatSayNothingTogetherAreRefused(t *testing.T) {
	log := vectortest.Path(t, "tpm/windows/windows_gcp_shielded_vm.wbcl")
	for _, flags := range []string{
		"--linux --vbs", "--linux --debugging", "--linux --protocol 1", "--certify --protocol 1",
		"--linux --log " + log, "--secure-boot off --log " + log, "--debugging --log " + log, "--endpoint https://x --answer " + log,
	} {
		if o := assay(t, append([]string{"sim", "tpm"}, strings.Fields(flags)...)...); o.status != exitUsage || o.stdout != "" {
			t.Errorf("%s: status %d, %s%.40s", flags, o.status, o.stderr, o.stdout)
		}
	}
}
