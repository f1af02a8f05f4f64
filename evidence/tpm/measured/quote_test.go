package measured_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// quote has a key in software quote the banks, and verifies the quote as the service does; SHA-1 banks count. The same banks give
// the same bytes.
func quote(t testing.TB, banks ...tpm.Bank) *tpm.Quoted {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	nonce := []byte("a nonce of the test")
	attest := attestation(nonce, banks)
	a, err := tpm.ParseAttest(attest, signature(t, key, attest))
	if err != nil {
		t.Fatal(err)
	}
	q, err := a.VerifyQuote(tpm.QuoteInput{Key: &key.PublicKey, ExtraData: nonce, PCRs: banks, AllowSHA1: true})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// attestation is a TPMS_ATTEST of a quote of the banks.
func attestation(nonce []byte, banks []tpm.Bank) []byte {
	var selections []tpm2.TPMSPCRSelection
	digest := sha256.New()
	for _, b := range banks {
		bitmap := make([]byte, 3)
		for pcr, v := range b.Values {
			if v != nil {
				bitmap[pcr/8] |= 1 << (pcr % 8)
				digest.Write(v)
			}
		}
		selections = append(selections, tpm2.TPMSPCRSelection{Hash: tpm2.TPMIAlgHash(b.Alg), PCRSelect: bitmap})
	}
	return tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote, ExtraData: tpm2.TPM2BData{Buffer: nonce},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: selections}, PCRDigest: tpm2.TPM2BDigest{Buffer: digest.Sum(nil)},
		}),
	})
}

// signature is a TPMT_SIGNATURE by ECDSA with SHA-256 (RFC 6979).
func signature(t testing.TB, key *ecdsa.PrivateKey, attest []byte) []byte {
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
			Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: v.R.Bytes()},
			SignatureS: tpm2.TPM2BECCParameter{Buffer: v.S.Bytes()},
		}),
	})
}
