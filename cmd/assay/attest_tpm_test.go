package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const rigLog = "tpm/eventlogs/ubuntu-2104-no-dbx.bin" // has a SHA-256 and a SHA-384 bank

// machinePolicy admits machines with a certified AIK that quote what firmware measures.
const machinePolicy = `version=1.2;
configurationrules { => issueproperty(type="required_pcr_mask", value=255); };
authorizationrules { [type=="aikValidated", value==true, issuer=="AttestationService"] => permit(); };
issuancerules { c:[type=="x-ms-tpm-request-key", issuer=="AttestationService"] => issue(claim=c); };
`

// tpmRig is a machine with a real client and a real service that trusts a CA of the test.
type tpmRig struct {
	tpm     *swtpmtest.TPM
	ca      *swtpmtest.CA
	service []string // flags
	issuer  []string // flags of token verify
	log     string
}

func newRig(t *testing.T) *tpmRig {
	t.Helper()
	r := &tpmRig{tpm: swtpmtest.Start(t), ca: swtpmtest.NewCA(t), log: vectortest.Path(t, rigLog)}
	r.tpm.Boot(t, vectortest.Read(t, rigLog))
	root := tempFile(t, "root.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Certificate.Raw})))
	config := tempFile(t, "config.yaml", "aik_roots:\n  - {file: "+root+"}\n")
	data := t.TempDir()
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", data, "--policy", "Tpm="+tempFile(t, "policy.txt", machinePolicy), "--config", config)
	token := assay(t, "dev", "token", "--role", "reader", "--data", data)
	r.service = []string{"--endpoint", s.URL, "--ca", s.CA, "--token-file", tempFile(t, "token", token.stdout)}
	r.issuer = []string{"--issuer", s.URL, "--ca", s.CA}
	return r
}

// certificate has the CA certify the AIK of a scheme.
func (r *tpmRig) certificate(t *testing.T, scheme string) string {
	t.Helper()
	c, err := attester.OpenSocket(r.tpm.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := attester.ParseScheme(scheme)
	if err != nil {
		t.Fatal(err)
	}
	aik, err := c.AIK(s)
	if err != nil {
		t.Fatal(err)
	}
	return tempFile(t, "aik.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Certify(t, aik)})))
}

func (r *tpmRig) attest(t *testing.T, flags ...string) outcome {
	t.Helper()
	return assay(t, slices.Concat([]string{"attest", "tpm", "--swtpm", r.tpm.Socket, "--event-log", r.log}, r.service, flags)...)
}

func TestAReportIsPrintedForPeople(t *testing.T) {
	r := newRig(t)
	certificate := r.certificate(t, "rsassa")
	o := r.attest(t, "--aik-cert", certificate, "--pcrs", "0-7")
	o.want(t, exitOK, "VERIFIED", "")
	o.want(t, exitOK, "0-7 (SHA256, SHA384)", "")
	raw := r.attest(t, "--aik-cert", certificate, "--raw")
	raw.want(t, exitOK, "eyJ", "")
	assay(t, slices.Concat([]string{"token", "verify", strings.TrimSpace(raw.stdout)}, r.issuer)...).want(t, exitOK, "VERIFIED", "")
}

func TestTheSoftwareKeyOfAReportIsKeptForItsOwner(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "key.pem")
	var got machineReport
	r.attest(t, "--aik-cert", r.certificate(t, "rsassa"), "--key-out", file, "--json").read(t, &got)
	block, _ := pem.Decode([]byte(readFile(t, file)))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok || !strings.Contains(string(got.Claims), base64.RawURLEncoding.EncodeToString(private.N.Bytes())) {
		t.Errorf("the key is not that of the report: %s", got.Claims)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, %v", info.Mode(), err)
	}
}

func TestAMachineThatIsRefusedIsToldWhy(t *testing.T) {
	r := newRig(t)
	r.attest(t).want(t, exitRefused, "certificate", "")                                                         // the policy wants a certified AIK
	r.attest(t, "--aik-cert", r.certificate(t, "rsapss")).want(t, exitUsage, "", "another key than this TPM's") // before anything is asked
	r.attest(t, "--aik-cert", r.certificate(t, "rsassa"), "--pcrs", "0-6").want(t, exitRefused, "pcr-selection", "")
	r.attest(t, "--enroll").want(t, exitRefused, "REFUSED", "")
}

func TestTheCallerIsNamedInEachWay(t *testing.T) {
	r := newRig(t)
	endpoint, ca, file := r.service[:2], r.service[2:4], r.service[5]
	token := strings.TrimSpace(readFile(t, file))
	for _, test := range []struct {
		flags  []string
		status int
		stdout string
	}{
		{slices.Concat(ca, []string{"--token", token}), exitOK, "VERIFIED"},
		{slices.Concat(ca, []string{"--token-command", "cat " + file}), exitOK, "VERIFIED"},
		{slices.Concat(ca, []string{"--token-file", file}), exitOK, "VERIFIED"},
		{ca, exitRefused, "401"},
		{[]string{"--token", token}, exitService, ""},
	} {
		args := slices.Concat([]string{"attest", "tpm", "--swtpm", r.tpm.Socket, "--event-log", r.log, "--aik-cert", r.certificate(t, "rsassa")}, endpoint, test.flags)
		assay(t, args...).want(t, test.status, test.stdout, "")
	}
}

func TestAttestTPMNamesWhatIsMissing(t *testing.T) {
	here := []string{"attest", "tpm", "--endpoint", "https://localhost:1"}
	socket := filepath.Join(t.TempDir(), "none")
	for flags, want := range map[string]string{
		"--device " + socket:                   "turn the TPM on",
		"--device " + tempFile(t, "file", "x"): "is no device",
		"--swtpm " + socket:                    "start it: swtpm socket",
		"--swtpm " + tempFile(t, "file", "x"):  "is no unix socket",
		"--swtpm a --device b":                 "exclude each other",
		"--pcrs 24":                            "expected PCRs from 0 to 23",
		"--pcrs 7-0":                           "expected PCRs from 0 to 23",
		"--pcrs -1":                            "expected PCRs from 0 to 23",
		"--key paper":                          "expected one of software, tpm, certified",
		"--aik dsa":                            "expected one of rsassa",
		"--key tpm --key-out key.pem":          "--key-out is for --key software",
		"--renew f --nonce aa":                 "exclude each other",
		"--renew f --raw":                      "exclude each other",
		"--root . --event-log f":               "exclude each other",
		"--root . --ima-log f":                 "exclude each other",
		"--root " + socket:                     "no such file",
		"--nonce xyz":                          "--nonce",
		"--aik-cert " + filepath.Join(t.TempDir(), "none"):  "no such file",
		"--aik-cert " + tempFile(t, "empty.pem", "nothing"): "",
	} {
		assay(t, append(slices.Clone(here), strings.Fields(flags)...)...).want(t, exitUsage, "", want)
	}
	assay(t, append(slices.Clone(here), "--nonce", "")...).want(t, exitUsage, "", "empty nonce")
}
