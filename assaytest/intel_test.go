package assaytest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// wellKnownRootKey was computed from the published seed by another implementation. A client may have stored the root,
// so it must never change from one release to the next.
const wellKnownRootKey = "c504fb23ccea889390d3385c7a35577e0642bbb61bc766cf26277dd783320819"

func TestWellKnownIntelNeverChanges(t *testing.T) {
	root, err := assaytest.WellKnownIntel().RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	spki := sha256.Sum256(certificates(t, root)[0].RawSubjectPublicKeyInfo)
	if got := hex.EncodeToString(spki[:]); got != wellKnownRootKey {
		t.Errorf("SHA-256 of the root's SubjectPublicKeyInfo %s, want %s", got, wellKnownRootKey)
	}
}

func TestEqualScenariosGiveEqualBytes(t *testing.T) {
	a := pieces(t, assaytest.WellKnownIntel().Scenario(now))
	b := pieces(t, assaytest.WellKnownIntel().Scenario(now))
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s: made twice, differs", name)
		}
	}
}

func TestNewIntelsDiffer(t *testing.T) {
	a, err := assaytest.NewIntel().RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	b, err := assaytest.NewIntel().RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("two new Intels have one root")
	}
}

func TestWhatNoQuoteCanHoldIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*assaytest.Scenario)
		fits   bool
	}{
		"version 0":           {change: func(s *assaytest.Scenario) { s.QuoteVersion = 0 }},
		"version 2":           {change: func(s *assaytest.Scenario) { s.QuoteVersion = 2 }},
		"version 6":           {change: func(s *assaytest.Scenario) { s.QuoteVersion = 6 }},
		"empty chain":         {change: func(s *assaytest.Scenario) { s.PCKChain = nil }},
		"auth data too long":  {change: func(s *assaytest.Scenario) { s.AuthData = make([]byte, 65536) }},
		"longest auth data":   {change: func(s *assaytest.Scenario) { s.AuthData = make([]byte, 65535) }, fits: true},
		"no auth data at all": {change: func(s *assaytest.Scenario) { s.AuthData = nil }, fits: true},
	} {
		intel := assaytest.NewIntel()
		s := intel.Scenario(now)
		c.change(s)
		if _, err := judge(intel, s); (err == nil) != c.fits {
			t.Errorf("%s: got error %v, want none: %t", name, err, c.fits)
		}
	}
}

func TestWriteDirUsesTheLayoutOfTheVectors(t *testing.T) {
	c, err := assaytest.NewIntel().Collateral(now)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	if err := c.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	var index struct{ Collateral []struct{ Dir string } }
	vectortest.ReadJSON(t, "dcap/index.json", &index)
	for _, file := range []string{
		"tcb_info.json", "tcb_info_issuer_chain.pem", "qe_identity.json", "qe_identity_issuer_chain.pem", "pck_crl.der", "root_ca_crl.der",
	} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
		for _, set := range index.Collateral {
			vectortest.Path(t, "dcap/"+set.Dir+"/"+file)
		}
	}
}

func TestWriteDirLeavesOutWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if err := (assaytest.Collateral{RootCRL: []byte{1}}).WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Name() != "root_ca_crl.der" {
		t.Errorf("wrote %v, want root_ca_crl.der alone", files)
	}
}

func TestWriteDirReportsWhatItCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (assaytest.Collateral{}).WriteDir(file); err == nil {
		t.Error("a file in the place of the folder: no error")
	}
}
