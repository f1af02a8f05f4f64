package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/vectortest"
)

type importedRoots struct {
	Kind, Intermediates, Configuration string
	Roots                              []string
	Certificates                       []struct {
		File, Use, Reason, Detail, Subject, Issuer, Key, NotBefore, NotAfter, SHA256 string
		Orphan                                                                       bool
	}
}

const at2026 = "2026-06-01T12:00:00Z"

func TestRootsImportShowsAndWritesTheCAsOfMakers(t *testing.T) {
	dir := vectortest.Path(t, "tpm/certs/ek-vendor-cas")
	o := assay(t, "roots", "import", dir, "--at", at2026)
	o.want(t, exitOK, "SORTED  11 roots, 22 intermediates, 18 left out", "")
	for _, want := range []string{"Nothing was written", "duplicate       RSA 2048", "CN=www.intel.com,OU=TPM EK root cert signing", "of IFX1.pem"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("want %q in\n%s", want, o.stdout)
		}
	}
	out := filepath.Join(t.TempDir(), "new", "ek")
	o = assay(t, "roots", "import", dir, "--at", at2026, "--out", out)
	o.want(t, exitOK, "Nothing is trusted yet", "")
	if !strings.Contains(o.stdout, "\nek_roots:\n  - {file: \""+out+"/root-") || !strings.Contains(o.stdout, "\nek_intermediates: [\""+out+"/intermediates.pem\"]\n") {
		t.Error(o.stdout)
	}
	if written, err := os.ReadDir(out); err != nil || len(written) != 12 {
		t.Errorf("%d files written, want 11 roots and the intermediates: %v", len(written), err)
	}
	assay(t, "roots", "import", out, "--at", at2026).want(t, exitOK, "SORTED  11 roots, 22 intermediates, 0 left out", "")
}

// The configuration that the command prints is one that a service starts with.
func TestRootsImportPrintsWhatAServiceReads(t *testing.T) {
	var got importedRoots
	out := t.TempDir()
	assay(t, "roots", "import", vectortest.Path(t, "tpm/certs/azure"), "--kind", "aik", "--at", at2026, "--out", out, "--json").read(t, &got)
	if got.Kind != "aik" || len(got.Roots) != 1 || got.Intermediates != filepath.Join(out, "intermediates.pem") || len(got.Certificates) != 3 {
		t.Fatalf("%+v", got)
	}
	for _, c := range got.Certificates {
		b, err := os.ReadFile(filepath.Join(vectortest.Path(t, "tpm/certs/azure"), c.File))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); c.File == "akcert_0x01C101D0.der" && (c.SHA256 != hex.EncodeToString(sum[:]) || c.Reason != "not-ca" || c.Use != "none") {
			t.Errorf("%+v", c)
		}
	}
	file := tempFile(t, "assay.yaml", got.Configuration)
	cfg, err := config.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.AIKRoots) != 1 || cfg.AIKRoots[0].File != got.Roots[0] || len(cfg.AIKIntermediates) != 1 {
		t.Errorf("the configuration reads as %+v %v", cfg.AIKRoots, cfg.AIKIntermediates)
	}
	serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--config", file)
}

func TestRootsImportNamesWhatItCannotReadAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "maker")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{"README": "about", "root.pem": string(vectortest.Read(t, "tpm/certs/ek-vendor-cas/INTEL_RT.pem"))})
	writeFiles(t, sub, map[string]string{"huge": strings.Repeat("x", 1<<20+1)})
	for link, target := range map[string]string{"again.pem": "root.pem", "gone.pem": "nowhere", "folder": "maker"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	o := assay(t, "roots", "import", dir, "--at", at2026)
	o.want(t, exitOK, "SORTED  1 roots, 0 intermediates, 4 left out", "")
	for _, want := range []string{"README", "no certificate in PEM or DER", "maker/huge", "at most 1048576 are read", "gone.pem", "of again.pem"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("want %q in\n%s", want, o.stdout)
		}
	}
}

func TestRootsImportRefusesAFolderWithoutCAs(t *testing.T) {
	dir := t.TempDir()
	assay(t, "roots", "import", dir).want(t, exitUsage, "", "is empty, or not a folder")
	assay(t, "roots", "import", filepath.Join(dir, "gone")).want(t, exitUsage, "", "no such file")
	assay(t, "roots", "import", tempFile(t, "file", "x"), "--kind", "ek").want(t, exitUsage, "", "not a folder")
	assay(t, "roots", "import", dir, "--kind", "tpm").want(t, exitUsage, "", "expected ek or aik")
	writeFiles(t, dir, map[string]string{"README": "about"})
	out := filepath.Join(t.TempDir(), "out")
	assay(t, "roots", "import", dir, "--out", out).want(t, exitRefused, "no certificate of a CA that is of use", "")
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}

func TestRootsImportJudgesAtTheTimeGiven(t *testing.T) {
	root := vectortest.Read(t, "tpm/certs/ek-vendor-cas/INTEL_RT.pem")
	block, _ := pem.Decode(root)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"root.pem": string(root)})
	for at, status := range map[time.Time]int{cert.NotAfter: exitOK, cert.NotAfter.Add(time.Second): exitRefused} {
		assay(t, "roots", "import", dir, "--at", at.Format(time.RFC3339)).want(t, status, "", "")
	}
}

func TestRootsImportDoesNotReadWithoutEnd(t *testing.T) {
	root := string(vectortest.Read(t, "tpm/certs/ek-vendor-cas/INTEL_RT.pem"))
	for depth, status := range map[int]int{maxRootDepth: exitOK, maxRootDepth + 1: exitUsage} {
		top := t.TempDir()
		deep := filepath.Join(top, strings.Repeat("d/", depth))
		if err := os.MkdirAll(deep, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFiles(t, deep, map[string]string{"root.pem": root})
		assay(t, "roots", "import", top, "--at", at2026).want(t, status, "", "")
	}
	wide := t.TempDir()
	writeFiles(t, wide, map[string]string{"root.pem": root})
	for i := range maxRootFiles - 1 { // the folder itself counts
		if i == maxRootFiles-2 {
			assay(t, "roots", "import", wide, "--at", at2026).want(t, exitOK, "SORTED  1 roots", "")
		}
		if err := os.Symlink("nowhere", filepath.Join(wide, hex.EncodeToString([]byte{byte(i >> 8), byte(i)}))); err != nil {
			t.Fatal(err)
		}
	}
	assay(t, "roots", "import", wide, "--at", at2026).want(t, exitUsage, "", "holds more than 4096 files")
}

// The names in certificates are anybody's: they make no lines of a configuration and reach no terminal.
func TestRootsImportPrintsNoNamesThatDoSomething(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	name := "a\n  - {file: /tmp/evil.pem}\x1b[2J"
	key := p256Key(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{"root\x1b[2J.der": string(der)})
	o := assay(t, "roots", "import", dir, "--out", out)
	o.want(t, exitOK, "SORTED  1 roots", "")
	if strings.Contains(o.stdout, "\x1b") || strings.Contains(o.stdout, "\n  - {file: /tmp/evil.pem}") {
		t.Errorf("%q", o.stdout)
	}
	var got importedRoots
	assay(t, "roots", "import", dir, "--out", out, "--json").read(t, &got)
	if lines := strings.Count(got.Configuration, "\n"); lines != 2 || strings.Contains(got.Configuration, "\x1b") {
		t.Errorf("%q", got.Configuration)
	}
}

// TestAFileWhoseNameMeansStandardInputIsReadAsAFile: in the folder of the process it has no other name.
func TestAFileWhoseNameMeansStandardInputIsReadAsAFile(t *testing.T) {
	root := vectortest.Read(t, "tpm/certs/ek-vendor-cas/GS_TPM_RT.pem")
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("-", root, 0o600); err != nil {
		t.Fatal(err)
	}
	o := world{stdin: "from standard input"}.assay(t, "roots", "import", ".", "--at", at2026)
	o.want(t, exitOK, "1 roots, 0 intermediates, 0 left out", "")
}
