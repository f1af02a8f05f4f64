package azureguest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
)

// guest is a guest that a test makes: what was logged, which is what was extended, and what is quoted. The zero value says and logged nothing.
type guest struct {
	kind    string            // OSType
	payload string            // ClientPayload; empty: none
	runtime string            // of the paravisor; empty: trusted launch
	log     *assaytest.TPMLog // nil: none
	quoted  []int             // PCRs; nil: those that clients quote on Windows
	bank    tpm.Alg           // 0: SHA-256
	given   *eventlog.Log     // a log of a real machine in place of log
}

// verified has the log verified against a quote of a key in software.
func (g guest) verified(t testing.TB) *azureguest.Verified {
	t.Helper()
	p := azureguest.Parts{Kind: g.kind, Sealing: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}}
	if g.payload != "" {
		p.Payload = jsontext.Value(g.payload)
	}
	var err error
	if g.runtime != "" {
		if p.Runtime, err = hcl.ParseRuntimeData([]byte(g.runtime)); err != nil {
			t.Fatal(err)
		}
	}
	p.Quoted = quote(t, g.values(t))
	if logs := g.logs(t); logs != nil {
		options := measured.Options{Depth: 8, Limits: eventlog.DefaultLimits(), WithoutAuthority: true}
		if p.Boot, err = measured.Verify(logs, p.Quoted, options); err != nil {
			t.Fatal(err)
		}
	}
	return p.Verified()
}

func (g guest) logs(t testing.TB) []measured.Log {
	t.Helper()
	switch {
	case g.given != nil:
		return []measured.Log{{TCG: g.given}}
	case g.log == nil:
		return nil
	}
	log, err := eventlog.Parse(g.log.Bytes(), eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return []measured.Log{{TCG: log}}
}

// values are those of the PCRs that are quoted.
func (g guest) values(t testing.TB) tpm.Bank {
	t.Helper()
	all, out := [tpm.PCRCount][]byte{}, tpm.Bank{Alg: tpm.SHA256}
	switch {
	case g.given != nil:
		if g.bank != 0 {
			out.Alg = g.bank
		}
		b, err := eventlog.Replay(out.Alg, false, g.given)
		if err != nil {
			t.Fatal(err)
		}
		all = b.Values
	case g.log != nil:
		all = g.log.Replay(crypto.SHA256)
	default:
		for i := range all {
			all[i] = make([]byte, sha256.Size)
		}
	}
	quoted := g.quoted
	if quoted == nil {
		quoted = []int{0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14}
	}
	for _, pcr := range quoted {
		out.Values[pcr] = all[pcr]
	}
	return out
}

// quote has a key in software quote the bank, and verifies the quote.
func quote(t testing.TB, b tpm.Bank) *tpm.Quoted {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), slices.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, digest := make([]byte, 3), sha256.New()
	for pcr, v := range b.Values {
		if v != nil {
			bitmap[pcr/8] |= 1 << (pcr % 8)
			digest.Write(v)
		}
	}
	attest := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMIAlgHash(b.Alg), PCRSelect: bitmap}}},
			PCRDigest: tpm2.TPM2BDigest{Buffer: digest.Sum(nil)},
		}),
	})
	a, err := tpm.ParseAttest(attest, signed(t, key, attest))
	if err != nil {
		t.Fatal(err)
	}
	q, err := a.VerifyQuote(tpm.QuoteInput{Key: &key.PublicKey, PCRs: []tpm.Bank{b}, AllowSHA1: true})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// signed is a TPMT_SIGNATURE by ECDSA with SHA-256.
func signed(t testing.TB, key *ecdsa.PrivateKey, attest []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(attest)
	der, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		t.Fatal(err)
	}
	return tpm2.Marshal(tpm2.TPMTSignature{
		SigAlg: tpm2.TPMAlgECDSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: v.R.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: v.S.Bytes()},
		}),
	})
}

// Types of records (tpm.md section 7.3).
const (
	separatorType = 0x4
	tagType       = 0x6
	variableType  = 0x80000001
	authorityType = 0x800000E0
)

// firmware is what a machine logs before an operating system runs, with secure boot on, signed by the certificate.
func firmware(t testing.TB, certificate []byte) *assaytest.TPMLog {
	t.Helper()
	log, err := assaytest.TPMBoot{SecureBoot: true, Banks: []crypto.Hash{crypto.SHA256}}.Log(assaytest.WellKnownTPMVendor())
	if err != nil {
		t.Fatal(err)
	}
	log.Events = slices.DeleteFunc(log.Events, func(e assaytest.TPMEvent) bool { return e.PCR != 7 || e.Type == authorityType })
	owner := eventlog.GUID{}
	log.Add(assaytest.TPMEvent{PCR: 7, Type: authorityType, Data: assaytest.EFIVariable(efiImage(), "db", append(owner[:], certificate...))})
	return log
}

// windows is the log of a machine that runs Windows with these settings in PCR 12 and those in PCR 13, which ended its boot phase.
func windows(t testing.TB, in12, in13 [][]byte) *assaytest.TPMLog {
	t.Helper()
	log := firmware(t, named509(t, "some signer"))
	for i, elements := range [][][]byte{in12, in13} {
		pcr := uint32(12 + i)
		log.Add(assaytest.TPMEvent{PCR: pcr, Type: tagType, Data: assaytest.SIPAContainer(assaytest.SIPATrustBoundary, elements...)},
			assaytest.TPMEvent{PCR: pcr, Type: separatorType, Data: []byte("WBCL")})
	}
	return log
}

// named509 is a certificate with this subject, by itself.
func named509(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), slices.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(nil, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func efiGlobal() assaytest.EFIGUID { return assaytest.EFIGUID(eventlog.GlobalVariable()) }

func efiImage() assaytest.EFIGUID { return assaytest.EFIGUID(eventlog.ImageSecurity()) }

// claims are those of a guest by name.
func claims(v *azureguest.Verified, expected ...azureguest.SecureBootKeys) map[string]any {
	all := map[string]any{}
	for _, c := range v.Claims(expected) {
		all[c.Name] = c.Value
	}
	return all
}
