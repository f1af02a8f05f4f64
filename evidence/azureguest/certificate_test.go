package azureguest_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const (
	confidential = "az-cpp-linux-snp"
	launched     = "az-cpp-linux-trustedlaunch"
)

// TestFormsOfCertificates: DER or PEM, perhaps padded with zeros as in an NV index (azure-guest.md sections 1 and 2).
func TestFormsOfCertificates(t *testing.T) {
	der := vectortest.Read(t, "tpm/azure-guest/ak-cert.der")
	block := func(kind string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	padding := make([]byte, 4096-len(der))
	for name, c := range map[string]struct {
		sent   []byte
		accept bool
	}{
		"DER":                 {der, true},
		"DER, padded":         {slices.Concat(der, padding), true},
		"PEM":                 {block("CERTIFICATE"), true},
		"PEM, padded":         {slices.Concat(block("CERTIFICATE"), padding), true},
		"DER and more":        {slices.Concat(der, []byte{1}), false},
		"PEM and more":        {slices.Concat(block("CERTIFICATE"), []byte("x")), false},
		"two in PEM":          {bytes.Repeat(block("CERTIFICATE"), 2), false},
		"another kind of PEM": {block("PUBLIC KEY"), false},
		"PEM without an end":  {[]byte("-----BEGIN CERTIFICATE-----\n"), false},
		"text":                {[]byte("akcert-der"), false},
		"cut short":           {der[:len(der)-1], false},
	} {
		for _, id := range []string{confidential, launched} {
			m, err := newLab(t, id).set("TpmInfo.AikCert", c.sent).machine(t, azureguest.Input{})
			switch {
			case !c.accept:
				refusedFor(t, err, evidence.AIKCertificate)
			case err != nil || !m.Certified():
				t.Errorf("not certified: %v", err)
			}
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestWithoutAChainOnlyHardwareVouches: without a certificate, with one whose time is over, or one that leads nowhere, a confidential guest goes on
// unless its provider wants a chain; trusted launch does not.
func TestWithoutAChainOnlyHardwareVouches(t *testing.T) {
	late := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, edit := range map[string]func(*lab) *lab{
		"none":         func(l *lab) *lab { return l.set("TpmInfo.AikCert", nil) },
		"empty":        func(l *lab) *lab { return l.set("TpmInfo.AikCert", "") },
		"an empty NV":  func(l *lab) *lab { return l.set("TpmInfo.AikCert", make([]byte, 4096)) },
		"expired":      func(l *lab) *lab { return l.atAnotherTime(late) },
		"without root": func(l *lab) *lab { l.Roots.VTPM = ""; return l },
	} {
		m, err := edit(newLab(t, confidential)).machine(t, azureguest.Input{})
		if err != nil || m.Certified() {
			t.Errorf("%s: %v", name, err)
		}
		_, err = edit(newLab(t, confidential)).machine(t, azureguest.Input{RequireChain: true})
		refusedFor(t, err, evidence.AIKCertificate)
		if !strings.Contains(fmt.Sprint(err), "azureguest_require_ak_chain") {
			t.Errorf("%s: the setting is not named: %v", name, err)
		}
		_, err = edit(newLab(t, launched)).machine(t, azureguest.Input{})
		refusedFor(t, err, evidence.AIKCertificate)
		if strings.Contains(fmt.Sprint(err), "azureguest_require_ak_chain") {
			t.Errorf("%s: a setting is named that would not help: %v", name, err)
		}
	}
}

// TestPinnedAndRevokedKeys: a key that a provider pinned needs no certificate, one that it revoked is refused whatever vouches for it.
func TestPinnedAndRevokedKeys(t *testing.T) {
	c := named(t, confidential)
	hash, err := tpm.HashKey(certificate(t, "ak-cert.der").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := c.input(t, azureguest.Input{}).Roots
	pinned := azureguest.Input{Roots: roots.With(tpm.Enrolled{Pinned: map[tpm.KeyHash]bool{hash: true}}), RequireChain: true}
	for _, id := range []string{confidential, launched} {
		if m, err := newLab(t, id).set("TpmInfo.AikCert", nil).machine(t, pinned); err != nil || !m.Certified() {
			t.Errorf("%s, pinned: %v", id, err)
		}
		_, err := newLab(t, "az-bad-ak-cert-key").machine(t, pinned)
		refusedFor(t, err, evidence.AIKKey)
		_, err = newLab(t, id).machine(t, azureguest.Input{Roots: roots.With(tpm.Enrolled{Revoked: map[tpm.KeyHash]string{hash: "00ff"}})})
		refusedFor(t, err, evidence.AIKCertificate)
		if !strings.Contains(fmt.Sprint(err), "00ff, enrolled here, was revoked") {
			t.Errorf("%s, revoked: %v", id, err)
		}
	}
}
