package tpm

import (
	"cmp"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestPinnedKeysNeedNoCertificateAndRevokedOnesHaveNone(t *testing.T) {
	pinned, revoked, both := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), rsaKey(t)
	hash := func(key any) KeyHash {
		h, err := HashKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	spki, err := x509.MarshalPKIXPublicKey(&pinned.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if h := hash(&pinned.PublicKey); h != KeyHash(SHA256.Sum(spki)) || h.String() != strings.ToLower(h.String()) || len(h.String()) != 64 {
		t.Errorf("hash %s", h)
	}
	roots := NewRoots(nil, nil).With(Enrolled{
		Pinned:  map[KeyHash]bool{hash(&pinned.PublicKey): true, hash(&both.PublicKey): true},
		Revoked: map[KeyHash]string{hash(&revoked.PublicKey): "0102", hash(&both.PublicKey): "0304"},
	})
	if ok, err := roots.PinnedAIK(&pinned.PublicKey); !ok || err != nil {
		t.Errorf("pinned: %t, %v", ok, err)
	}
	other := ecKey(t, elliptic.P521())
	for name, r := range map[string]*Roots{"these": roots, "none": nil, "zero": {}} {
		if ok, err := r.PinnedAIK(&other.PublicKey); ok || err != nil {
			t.Errorf("%s: another key: %t, %v", name, ok, err)
		}
	}
	for id, key := range map[string]any{"0102": &revoked.PublicKey, "0304": &both.PublicKey} {
		ok, err := roots.PinnedAIK(key)
		expect(t, err, evidence.AIKCertificate)
		if ok || !strings.Contains(err.Error(), "certificate "+id+", enrolled here, was revoked") {
			t.Errorf("%s: %t, %v", id, ok, err)
		}
	}
	_, err = roots.PinnedAIK(&rsa.PublicKey{})
	expect(t, err, evidence.AIKKey)
}

// TestTheCAOfAProviderIsTrustedThereOnly, and not by the roots that it was added to.
func TestTheCAOfAProviderIsTrustedThereOnly(t *testing.T) {
	root, leaf := labLeaf(t, func(*x509.Certificate) {})
	common := NewRoots(nil, nil)
	with := common.With(Enrolled{Issuer: root})
	if _, err := with.VerifyAIK(leaf, labTime()); err != nil {
		t.Error(err)
	}
	_, err := common.VerifyAIK(leaf, labTime())
	expect(t, err, evidence.AIKCertificate)
	_, err = common.With(Enrolled{}).VerifyAIK(leaf, labTime())
	expect(t, err, evidence.AIKCertificate)
}

// TestEKCertificatesComeWithTheirChain: the outcomes of the index hold when the client sends the intermediates.
func TestEKCertificatesComeWithTheirChain(t *testing.T) {
	seen := 0
	for _, c := range certCases(t) {
		if c.Purpose != "ek" {
			continue
		}
		seen++
		configured := c
		configured.Intermediates = nil
		var chain [][]byte
		for _, i := range readCerts(t, c.Intermediates) {
			chain = append(chain, i.Raw)
		}
		with, err := configured.rootsOf(t).WithIntermediates(chain)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := c.verify(t, with)
		if accept := strings.HasPrefix(c.Expect, "accept"); accept != (err == nil) {
			t.Errorf("%s: %v, want %s", c.ID, err, c.Expect)
		}
		if len(chain) > 0 && err == nil {
			if _, err := configured.verify(t, configured.rootsOf(t)); err == nil {
				t.Errorf("%s: holds without its chain", c.ID)
			}
		}
		if err == nil {
			c.namesItsDevice(t, cert)
		}
	}
	if seen == 0 {
		vectortest.NoCase(t, "certificate of an endorsement key")
	}
}

// namesItsDevice compares the TPM's name with what the index has of the alternative name.
func (c *certCase) namesItsDevice(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	var f certFacts
	if err := json.Unmarshal(c.Facts, &f); err != nil {
		t.Fatal(err)
	}
	var want [3]string
	for i := range want {
		for _, name := range f.SAN {
			want[i] = cmp.Or(want[i], name["2.23.133.2."+strconv.Itoa(i+1)])
		}
	}
	if got := DeviceName(cert); got != want {
		t.Errorf("%s: names its TPM %q, want %q", c.ID, got, want)
	}
}

func TestChainsThatAreSentAreBounded(t *testing.T) {
	root, _ := labLeaf(t, func(*x509.Certificate) {})
	r := NewRoots(nil, nil)
	chain := slices.Repeat([][]byte{root.Raw}, MaxSentCertificates)
	if _, err := r.WithIntermediates(chain); err != nil {
		t.Error(err)
	}
	_, err := r.WithIntermediates(append(chain, root.Raw))
	expect(t, err, evidence.EKCertificate)
	_, err = r.WithIntermediates([][]byte{{1}})
	expect(t, err, evidence.EKCertificate)
}

// TestChainsThatAreSentHaveKeysThatAreChecked: eight certificates with RSA keys of 120,000 bits kept a core busy for 8 seconds.
func TestChainsThatAreSentHaveKeysThatAreChecked(t *testing.T) {
	ca := labRoot(t, "maker")
	for bits, holds := range map[uint]bool{maxRSABits: true, maxRSABits + 8: false, 120_000: false} {
		modulus := new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1)
		der, err := x509.CreateCertificate(rand.Reader, ca, ca, &rsa.PublicKey{N: modulus, E: 65537}, rsaKey(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = NewRoots(nil, nil).WithIntermediates([][]byte{der}); holds {
			if err != nil {
				t.Errorf("%d bits: %v", bits, err)
			}
			continue
		}
		expect(t, err, evidence.EKCertificate)
	}
}
