package kds_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/kds"
)

// TestOutageDoesNotTouchKnownChips, not even across a restart.
func TestOutageDoesNotTouchKnownChips(t *testing.T) {
	for _, p := range assaytest.AMDProducts() {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			c := l.client()
			r := report(t, scenario(p, 1, turinForm))
			chain, err := ask(c, r, usual)
			l.verified(r, chain, err)
			l.answers(status(http.StatusServiceUnavailable))
			unknown := report(t, scenario(p, 2, turinForm))
			for range 2 {
				_, err = ask(c, unknown, usual)
				away(t, err)
				chain, err = ask(c, r, 0) // out of time already
				l.verified(r, chain, err)
				c.Close()
				c = l.client()
			}
			c.Close()
			l.keptRate(3)
		})
	}
}

// turinForm gives chips of Turin ids of eight bytes.
func turinForm(s *assaytest.AMDScenario) {
	if s.Product == assaytest.Turin {
		clear(s.Chip[8:])
	}
}

// copies are the files of the cache.
func (l *lab) copies() []string {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(l.cfg.Dir, "*"))
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

func write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCopiesAreNotBelieved: what is wrong with one costs a question, no more.
func TestCopiesAreNotBelieved(t *testing.T) {
	foreign := scenario(assaytest.Milan, 1)
	foreign.Vendor = assaytest.WellKnownAMD()
	for name, content := range map[string][]byte{
		"other chip": vcek(t, scenario(assaytest.Milan, 2)), "other AMD": vcek(t, foreign), "damaged": []byte("damaged"), "empty": nil, "too long": make([]byte, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			r := report(t, scenario(assaytest.Milan, 1))
			c := l.client()
			_, err := ask(c, r, usual)
			c.Close()
			files := l.copies()
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, copies %v", err, files)
			}
			good, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			write(t, files[0], content)
			c = l.client()
			chain, err := ask(c, r, usual)
			l.verified(r, chain, err)
			c.Close()
			l.keptRate(2)
			if now, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(now, good) {
				t.Errorf("the copy was not made good: %v", err)
			}
		})
	}
}

// TestExpiredChainIsAskedForAgain, one in memory and one on disk.
func TestExpiredChainIsAskedForAgain(t *testing.T) {
	l := newLab(t)
	ends := began.AddDate(0, 1, 0)
	l.answers(func(w http.ResponseWriter, r *http.Request) bool {
		s := scenario(assaytest.Milan, 1)
		s.Edit = expires(ends)
		w.Write(vcek(t, s))
		return true
	})
	r := report(t, scenario(assaytest.Milan, 1))
	c := l.client()
	chain, err := ask(c, r, usual)
	l.verified(r, chain, err)
	l.shift, ends = 32*24*time.Hour, began.AddDate(0, 2, 0)
	chain, err = ask(c, r, usual)
	l.verified(r, chain, err)
	c.Close()
	l.shift, ends = 64*24*time.Hour, began.AddDate(0, 3, 0)
	c = l.client()
	chain, err = ask(c, r, usual)
	l.verified(r, chain, err)
	c.Close()
	l.keptRate(3)
}

// TestCacheIsBounded has a folder with one copy too many: the oldest goes. Other files stay.
func TestCacheIsBounded(t *testing.T) {
	l := newLab(t)
	name := func(n int) string { return filepath.Join(l.cfg.Dir, fmt.Sprintf("Milan-%0128x-0004010018db.der", n)) }
	other := filepath.Join(l.cfg.Dir, "notes.txt")
	write(t, other, nil)
	for n := range kds.MaxKnown + 1 {
		if err := os.Link(other, name(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(name(7)); err != nil {
		t.Fatal(err)
	}
	write(t, name(7), nil)
	if err := os.Chtimes(name(7), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	l.client().Close()
	if _, err := os.Stat(name(7)); err == nil {
		t.Error("the oldest copy is still there")
	}
	if files := l.copies(); len(files) != kds.MaxKnown+1 {
		t.Errorf("%d files, want %d copies and one other", len(files), kds.MaxKnown)
	}
}

// TestFolderThatCannotBeWritten: the service goes on, and says so.
func TestFolderThatCannotBeWritten(t *testing.T) {
	l := newLab(t)
	l.cfg.Dir = filepath.Join(l.cfg.Dir, "kds")
	c := l.client()
	defer c.Close()
	write(t, l.cfg.Dir, nil) // a file in its place
	r := report(t, scenario(assaytest.Milan, 1))
	for range 2 {
		chain, err := ask(c, r, usual)
		l.verified(r, chain, err)
	}
	c.Close()
	if !strings.Contains(l.log.String(), "certificate cannot be stored") {
		t.Errorf("the log does not say so: %s", l.log.String())
	}
	l.keptRate(1)
}

// TestAuthorityThatIsNotAtHandIsAskedForOnce trusts the ARK alone.
func TestAuthorityThatIsNotAtHandIsAskedForOnce(t *testing.T) {
	l := newLab(t)
	ark, err := amd().RootPEM(assaytest.Milan)
	if err != nil {
		t.Fatal(err)
	}
	l.cfg.Roots = l.roots(ark)
	c := l.client()
	for n := range byte(3) {
		r := report(t, scenario(assaytest.Milan, n%2))
		chain, err := ask(c, r, usual)
		l.verified(r, chain, err)
	}
	c.Close()
	came := l.came()
	if len(came) != 3 || came[1].uri != "https://kds.invalid/mirror/vcek/v1/Milan/cert_chain" {
		t.Errorf("asked %v, want a VCEK, the chain, a VCEK", came)
	}
	l.answers(status(500))
	c = l.client()
	defer c.Close()
	r := report(t, scenario(assaytest.Milan, 1))
	chain, err := ask(c, r, usual)
	l.verified(r, chain, err) // the ASK is in the copy
}

// stored is a lab that asks nobody and has files: a VCEK in DER, one in PEM with its chain, and a README that is hidden.
func stored(t *testing.T) *lab {
	l := newLab(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "one"), vcek(t, scenario(assaytest.Milan, 1)))
	chain, err := scenario(assaytest.Genoa, 2).ChainPEM()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "two.pem"), chain)
	write(t, filepath.Join(folder, ".hidden"), []byte("not a certificate"))
	file := filepath.Join(t.TempDir(), "three.crt")
	write(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vcek(t, scenario(assaytest.Turin, 3, turinForm))}))
	l.cfg.URL, l.cfg.Dir, l.cfg.Stored = "", "", []string{folder, file}
	return l
}

func TestStoredCertificatesNeedNoService(t *testing.T) {
	l := stored(t)
	c := l.client()
	defer c.Close()
	for n, p := range []assaytest.AMDProduct{assaytest.Milan, assaytest.Genoa, assaytest.Turin} {
		r := report(t, scenario(p, byte(n+1), turinForm))
		chain, err := ask(c, r, 0)
		l.verified(r, chain, err)
	}
	_, err := ask(c, report(t, scenario(assaytest.Milan, 9)), usual)
	refusedBy(t, err, evidence.SNPChain, "Milan", "amd_certificates", "VcekCertChain")
	l.keptRate(0)
}

// TestStoredCertificatesBringTheirAuthorities trusts ARKs alone.
func TestStoredCertificatesBringTheirAuthorities(t *testing.T) {
	l := stored(t)
	ark, err := amd().RootPEM(assaytest.Genoa)
	if err != nil {
		t.Fatal(err)
	}
	l.cfg.Roots = l.roots(ark)
	c := l.client()
	defer c.Close()
	r := report(t, scenario(assaytest.Genoa, 2))
	chain, err := ask(c, r, 0)
	l.verified(r, chain, err)
	if n := strings.Count(l.log.String(), "is not used"); n != 2 {
		t.Errorf("%d warnings, want one for each of the two that no root vouches for: %s", n, l.log.String())
	}
}

// TestCacheOfOneServiceIsWhatAnotherOneHasStored: the folder is taken to a service without a network.
func TestCacheOfOneServiceIsWhatAnotherOneHasStored(t *testing.T) {
	online := newLab(t)
	c := online.client()
	r := report(t, scenario(assaytest.Milan, 1))
	if _, err := ask(c, r, usual); err != nil {
		t.Fatal(err)
	}
	c.Close()
	l := newLab(t)
	l.cfg.URL, l.cfg.Stored = "", []string{online.cfg.Dir}
	c = l.client()
	defer c.Close()
	chain, err := ask(c, r, usual)
	l.verified(r, chain, err)
}

func TestWhatIsStoredMustBeCertificates(t *testing.T) {
	for name, content := range map[string]string{"README": "certificates of our machines", "empty": "", "long": strings.Repeat("x", 1<<20), "key.pem": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"} {
		l := newLab(t)
		file := filepath.Join(t.TempDir(), name)
		write(t, file, []byte(content))
		l.cfg.Stored = []string{filepath.Dir(file)}
		if _, err := kds.New(l.cfg); err == nil || !strings.Contains(err.Error(), "amd_certificates: "+file) {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
	}
	l := newLab(t)
	l.cfg.Stored = []string{filepath.Join(t.TempDir(), "nothing")}
	if _, err := kds.New(l.cfg); err == nil || !strings.Contains(err.Error(), "amd_certificates") {
		t.Errorf("nothing there: got %v", err)
	}
}

// TestExpiredStoredCertificateDoesNotKeepTheServiceFromStarting: it is passed over, and the log says so.
func TestExpiredStoredCertificateDoesNotKeepTheServiceFromStarting(t *testing.T) {
	l := newLab(t)
	s := scenario(assaytest.Milan, 1)
	s.Edit = expires(began.Add(-time.Hour))
	file := filepath.Join(t.TempDir(), "old.der")
	write(t, file, vcek(t, s))
	l.cfg.URL, l.cfg.Stored = "", []string{file}
	c := l.client()
	defer c.Close()
	if !strings.Contains(l.log.String(), "has expired") {
		t.Errorf("the log does not say so: %s", l.log.String())
	}
	_, err := ask(c, report(t, scenario(assaytest.Milan, 1)), usual)
	refusedBy(t, err, evidence.SNPChain)
}

// expires has VCEKs end at that time.
func expires(at time.Time) assaytest.AMDEdits {
	return assaytest.AMDEdits{Certificate: func(r assaytest.AMDRole, c *x509.Certificate) {
		if r == assaytest.VCEK {
			c.NotAfter = at
		}
	}}
}
