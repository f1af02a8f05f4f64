package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDocumentedSigningDoesWhatItSays runs docs/policy-signing.md from top to bottom in an empty folder: a fence policy
// becomes the file policy.txt, a fence console is a row of commands with what they print. Where the document has …, anything
// may stand.
func TestDocumentedSigningDoesWhatItSays(t *testing.T) {
	doc, err := os.ReadFile("../../docs/policy-signing.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	run := 0
	for _, fence := range regexp.MustCompile("(?ms)^```(policy|console)\n(.*?)^```$").FindAllStringSubmatch(string(doc), -1) {
		if fence[1] == "policy" {
			writeFile(t, "policy.txt", []byte(fence[2]), 0o644)
			continue
		}
		for _, step := range strings.Split("\n"+fence[2], "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, typed(t, command), want)
			run++
		}
	}
	if run < 10 {
		t.Errorf("only %d commands found", run)
	}
}

func compareOutput(t *testing.T, command, got, want string) {
	t.Helper()
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", ".*")
	if !regexp.MustCompile("(?s)^" + pattern + "$").MatchString(strings.TrimSpace(got)) {
		t.Errorf("$ %s\n%s\nThe document has:\n%s", command, got, want)
	}
}

// typed runs a command as a shell does, and returns what it prints.
func typed(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	if words[0] == "assay" {
		o := assay(t, words[1:]...)
		return o.stdout + o.stderr
	}
	if _, err := exec.LookPath(words[0]); err != nil && words[0] == "openssl" {
		certifyInstead(t, words)
		return ""
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Stderr = new(bytes.Buffer) // the dots of openssl
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, cmd.Stderr)
	}
	return string(out)
}

// certifyInstead does what openssl req -x509 does, where there is no openssl.
func certifyInstead(t *testing.T, words []string) {
	t.Helper()
	value := func(flag string) string {
		if i := slices.Index(words, flag); i >= 0 {
			return words[i+1]
		}
		return ""
	}
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.TrimPrefix(value("-subj"), "/CN=")},
		NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0), BasicConstraintsValid: true, IsCA: true,
	}
	issuer, issuerKey := template, crypto.Signer(key)
	if file := value("-CA"); file != "" {
		certs, err := inPEM(&call{env: &env{}}, file, pemCertificates)
		if err != nil {
			t.Fatal(err)
		}
		if issuerKey, err = inPEM(&call{env: &env{}}, value("-CAkey"), pemKey); err != nil {
			t.Fatal(err)
		}
		issuer = certs[0]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, value("-out"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	writeFile(t, value("-keyout"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

func writeFile(t *testing.T, name string, b []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, b, mode); err != nil {
		t.Fatal(err)
	}
}
