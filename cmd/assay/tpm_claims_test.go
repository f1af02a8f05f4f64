package main

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// realLogs are the files of all real logs of the vectors.
func realLogs(t *testing.T) (files []string) {
	t.Helper()
	var cases []struct{ File string }
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &cases)
	for _, c := range cases {
		files = append(files, vectortest.Path(t, "tpm/"+c.File))
	}
	windows, err := filepath.Glob(vectortest.Path(t, "tpm/windows") + "/*.wbcl")
	if err != nil || len(windows)*len(files) == 0 {
		vectortest.NoCase(t, "event log")
	}
	return append(files, windows...)
}

// attested is a machine that sends a log to the service, and the quote that it sends with it.
type attested struct {
	claims map[string]string // that the service makes for the policy
	flags  []string          // of the quote
}

// attest has a machine with a log, and perhaps a list, quote all PCRs in all banks but SHA-1, or in that one if there is no other, and
// verifies its request as the service does.
func attest(t *testing.T, log []byte, list assaytest.IMAList) attested {
	t.Helper()
	l, err := assaytest.ReadTPMLog(log)
	if err != nil {
		t.Fatal(err)
	}
	s := assaytest.WellKnownTPMVendor().Scenario()
	s.Current.Log, s.Current.IMA, s.Current.Quoted = l, list, nil
	s.Current.Raw = []assaytest.TPMLogFile{{Type: "TCG", Bytes: log}}
	if list != nil {
		s.Current.Raw = append(s.Current.Raw, assaytest.TPMLogFile{Type: "IMA", Bytes: list.Bytes()})
	}
	for _, bank := range l.Banks {
		if bank != crypto.SHA1 || len(l.Banks) == 1 {
			s.Current.Quoted = append(s.Current.Quoted, assaytest.TPMSelection{Bank: bank, PCRs: assaytest.AllPCRs()})
		}
	}
	parts := map[assaytest.TPMPart][]byte{}
	var nonce []byte
	s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte { parts[p] = b; return b }
	s.Edit.ExtraData = func(_ assaytest.TPMPart, b []byte) []byte { nonce = b; return b }
	const challenge = "0123456789abcdef"
	jws, err := s.Request([]byte(challenge), "context")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKIXPublicKey(s.Vendor.Key(assaytest.AIK, assaytest.RSA2048).Public())
	if err != nil {
		t.Fatal(err)
	}
	return attested{claimsOf(t, jws, challenge), []string{
		"--quote", tempFile(t, "quote", string(parts[assaytest.TPMQuote])), "--signature", tempFile(t, "signature", string(parts[assaytest.TPMQuoteSignature])),
		"--public", tempFile(t, "public", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key}))), "--nonce", hex.EncodeToString(nonce), "--allow-sha1",
	}}
}

// claimsOf verifies a request, and gives the claims that are JSON.
func claimsOf(t *testing.T, jws, challenge string) map[string]string {
	t.Helper()
	r, err := attreq.Parse(jws, attreq.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := r.VerifySignature()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := signed.Answer([]byte(challenge))
	if err != nil {
		t.Fatal(err)
	}
	v, err := fresh.Verify(attreq.Input{At: time.Unix(0, 0), Roots: tpm.NewRoots(nil, nil), WithoutCertificate: true, AllowSHA1: true})
	if err != nil {
		t.Fatal(err)
	}
	made, err := v.Claims(attreq.ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]string{}
	for _, c := range made {
		if text, ok := c.Value.(jsontext.Value); ok {
			claims[c.Name] = string(text)
		}
	}
	return claims
}

// compareClaims runs tpm eventlog with and without the quote, and compares its claims with those of the service.
func compareClaims(t *testing.T, a attested, args ...string) {
	t.Helper()
	for _, flags := range [][]string{nil, a.flags} {
		var got struct {
			Verified bool
			Events   json.RawMessage
			Claim    json.RawMessage `json:"pcrsClaim"`
		}
		o := assay(t, append(append([]string{"tpm", "eventlog", "--json"}, args...), flags...)...)
		o.read(t, &got)
		if o.status != exitOK || got.Verified != (flags != nil) {
			t.Fatalf("status %d: %.300s", o.status, o.stdout)
		}
		for name, value := range map[string]json.RawMessage{"events": got.Events, "pcrs": got.Claim} {
			if want := a.claims[name]; want == "" || string(value) != want {
				t.Errorf("%s: got %.200s, want %.200s", name, value, want)
			}
		}
	}
}

// TestEventlogGivesTheClaimsOfTheServiceForEveryRealLog has the service verify each log with a quote.
func TestEventlogGivesTheClaimsOfTheServiceForEveryRealLog(t *testing.T) {
	for _, file := range realLogs(t) {
		t.Run(filepath.Base(file), func(t *testing.T) { compareClaims(t, attest(t, []byte(readFile(t, file)), nil), file) })
	}
}

// linuxWithIMA is a real log and a list that begins where the log ends.
func linuxWithIMA(t *testing.T) (log []byte, file string, list assaytest.IMAList) {
	t.Helper()
	file = realLog(t, "ubuntu-2104-no-dbx.bin")
	log = []byte(readFile(t, file))
	l, err := assaytest.ReadTPMLog(log)
	if err != nil {
		t.Fatal(err)
	}
	return log, file, assaytest.SimulatedIMA(l.Replay(crypto.SHA256))
}

func TestEventlogWithAnIMAListGivesTheClaimsOfTheService(t *testing.T) {
	log, file, list := linuxWithIMA(t)
	a := attest(t, log, list)
	compareClaims(t, a, file, "--ima-log", tempFile(t, "ima", string(list.Bytes())))
	if !strings.Contains(a.claims["events"], "6.1.0-simulated") {
		t.Errorf("the claim has no entry of the list: %.300s", a.claims["events"])
	}
}

func TestEventlogReadsAnIMAListThatGrewAfterTheQuote(t *testing.T) {
	log, file, list := linuxWithIMA(t)
	a := attest(t, log, list[:3])
	grown := tempFile(t, "ima", string(list.Bytes()))
	values := valuesFile(t, file, list[:3])
	var got logJSON
	o := assay(t, append([]string{"tpm", "eventlog", "--json", file, "--ima-log", grown, "--pcrs-file", values}, a.flags...)...)
	o.read(t, &got)
	if n := len(got.Words); o.status != exitOK || !got.Verified || got.Words[n-1].Covers != "nothing" || got.Words[n-2].Covers != "data" {
		t.Errorf("status %d: %.300s", o.status, o.stdout)
	}
	for _, want := range []string{"FITS the event log: it is the hash of PCR 0 to 9", "1 entry that PCR 10 as quoted does not cover",
		"3 entries in PCR 10: 1 file, of which 0 have a signature"} {
		assay(t, append([]string{"tpm", "eventlog", file, "--ima-log", grown, "--pcrs-file", values}, a.flags...)...).want(t, exitOK, want, "")
	}
	quote := append([]string{"tpm", "quote", "verify", "--event-log", file, "--pcrs-file", values}, a.flags...)
	assay(t, append(quote, "--ima-log", grown)...).want(t, exitOK, "VERIFIED", "")
	assay(t, append([]string{"tpm", "eventlog", file, "--ima-log", grown}, a.flags...)...).want(t, exitRefused, "an IMA list may have grown since", "")
	assay(t, quote...).want(t, exitRefused, "give the IMA list of the machine with --ima-log", "")
	assay(t, append(quote, "--ima-log", tempFile(t, "ima", string(list[1:].Bytes())))...).want(t, exitRefused, "ima-replay", "")
	assay(t, append(quote, "--ima-log", tempFile(t, "ima", "no list"))...).want(t, exitRefused, "ima-format", "")
	assay(t, append([]string{"tpm", "quote", "verify", "--ima-log", grown, "--pcrs-file", values}, a.flags...)...).want(t, exitUsage, "", "--event-log is missing")
}

// valuesFile writes the PCR values of a log and a list, all in SHA-256 and SHA-384.
func valuesFile(t *testing.T, file string, list assaytest.IMAList) string {
	t.Helper()
	var got struct{ PCRs json.RawMessage }
	assay(t, "tpm", "eventlog", "--json", file, "--ima-log", tempFile(t, "ima", string(list.Bytes()))).read(t, &got)
	return tempFile(t, "values", string(got.PCRs))
}

func TestValuesThatAListDoesNotLeadToAreRefused(t *testing.T) {
	_, file, list := linuxWithIMA(t)
	values, whole := valuesFile(t, file, list), tempFile(t, "ima", string(list.Bytes()))
	assay(t, "tpm", "eventlog", file, "--pcrs-file", values, "--ima-log", whole).want(t, exitOK, "UNVERIFIED", "")
	assay(t, "tpm", "eventlog", file, "--pcrs-file", values).want(t, exitRefused, "give the IMA list of the machine with --ima-log", "")
	short := tempFile(t, "ima", string(list[:2].Bytes()))
	assay(t, "tpm", "eventlog", file, "--pcrs-file", values, "--ima-log", short).want(t, exitRefused, "ima-replay", "")
}

func TestEventlogReadsEveryRealIMAList(t *testing.T) {
	log := realLog(t, "ubuntu-2104-no-dbx.bin")
	for file, want := range map[string]string{
		"ubuntu-ima-ng.bin": "826 entries in PCR 10: 825 files", "ubuntu-ima-ng.ascii": "826 entries in PCR 10: 825 files",
		"keylime-ima-sig.bin": "4 files, of which 2 have a signature", "keylime-ima-buf-keyring.ascii": `a key came into the kernel's keyring ".ima"`,
		"synthetic-all-templates.sha256file.bin": "VIOLATIONS: 1 entry", "synthetic-all-templates.sha256file.ascii": "VIOLATIONS: 1 entry",
	} {
		assay(t, "tpm", "eventlog", log, "--ima-log", vectortest.Path(t, "tpm/ima/"+file)).want(t, exitOK, want, "")
	}
}

func TestARemedyIsOneThatTheCommandHas(t *testing.T) {
	for pcr, want := range map[int]string{3: "one boot", 10: "--ima-log", 12: "hibernation", 17: "DRTM", 22: "DRTM", 15: "running system"} {
		if got := remedyOf(pcr, false); !strings.Contains(got, want) {
			t.Errorf("PCR %d: %q, want %q in it", pcr, got, want)
		}
	}
	if got := remedyOf(10, true); strings.Contains(got, "--ima-log") {
		t.Errorf("PCR 10 with a list: %q", got)
	}
}
