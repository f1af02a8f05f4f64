package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// newCA makes a CA of that name, below another one if there is one.
func newCA(t *testing.T, name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca, key
}

func inPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// intermediate gives a root and a CA below it, in PEM, and an edit that has the latter certify the AIK.
func intermediate(t *testing.T) (root, ca string, edit func(*assaytest.TPMScenario)) {
	t.Helper()
	top, topKey := newCA(t, "AIK root", nil, nil)
	issuer, key := newCA(t, "AIK issuing CA", top, topKey)
	edit = func(s *assaytest.TPMScenario) {
		s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			if p != assaytest.AIK.Certificate() {
				return b
			}
			c, err := x509.ParseCertificate(b)
			if err != nil {
				t.Fatal(err)
			}
			again, err := x509.CreateCertificate(rand.Reader, reissued(c), issuer, c.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			return again
		}
	}
	return inPEM(top), inPEM(issuer), edit
}

// reissued is the template of a certificate that says the same, its critical subjectAltName of directory names included.
func reissued(c *x509.Certificate) *x509.Certificate {
	for _, x := range c.Extensions {
		if x.Id.String() == "2.5.29.17" {
			c.ExtraExtensions = append(c.ExtraExtensions, x)
		}
	}
	c.AuthorityKeyId = nil
	return c
}

// TestAIKIntermediates: clients send the certificate of the AIK alone, so that those between it and the root are the operator's to give,
// for all providers or for one. They are no roots.
func TestAIKIntermediates(t *testing.T) {
	root, ca, edit := intermediate(t)
	of := func(roots []provider.AIKRoot, intermediates string) config.Config {
		return config.Config{Settings: provider.Settings{TPMSettings: provider.TPMSettings{AIKRoots: roots, AIKIntermediates: intermediates}}}
	}
	roots := []provider.AIKRoot{{Certificate: root}}
	files := config.Config{AIKRoots: []config.AIKRoot{{File: tempFile(t, root)}}, AIKIntermediates: []string{tempFile(t, ca)}}
	mixed := of(roots, "")
	mixed.AIKIntermediates = files.AIKIntermediates
	for name, tt := range map[string]struct {
		cfg  config.Config
		want bool
	}{
		"the root alone":                    {of(roots, ""), false},
		"the intermediate alone":            {of(nil, ca), false},
		"both of the provider":              {of(roots, ca), true},
		"both of the service":               {files, true},
		"root of the provider, the other's": {mixed, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := startTPM(t, tt.cfg, permitTPM()).attestTPM(t, windows(t, edit))
			if tt.want {
				a.report(t, false)
			} else {
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
			}
		})
	}
}
