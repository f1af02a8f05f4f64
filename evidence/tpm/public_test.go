package tpm

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

type certifyVector struct {
	AK        []byte `json:"ak_tpm2b_public"`
	EncKey    []byte `json:"enc_key_tpm2b_public"`
	Certify   []byte `json:"certify_info"`
	Signature []byte `json:"certify_signature_tpmt"`
	PolicyPCR struct {
		Digest string `json:"policy_digest"`
	} `json:"policy_pcr"`
	Attributes, Name string
}

func readCertify(t testing.TB) certifyVector {
	t.Helper()
	var v certifyVector
	vectortest.ReadJSON(t, "tpm/quotes/certify-enckey.json", &v)
	return v
}

func parsePublic(t testing.TB, sized []byte) *Public {
	t.Helper()
	p, err := ParsePublic(cut2B(t, sized))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCertificationOfTheVectorsHolds(t *testing.T) {
	v := readCertify(t)
	a, err := ParseAttest(v.Certify, v.Signature)
	if err != nil {
		t.Fatal(err)
	}
	ak, key := parsePublic(t, v.AK), parsePublic(t, v.EncKey)
	if got := hex.EncodeToString(key.Name); got != v.Name {
		t.Errorf("Name %s, want %s", got, v.Name)
	}
	if got := hex.EncodeToString(key.AuthPolicy); got != v.PolicyPCR.Digest {
		t.Errorf("policy %s, want %s", got, v.PolicyPCR.Digest)
	}
	if want, err := strconv.ParseUint(v.Attributes, 0, 32); err != nil || key.Attributes != uint32(want) {
		t.Errorf("attributes %x, want %s", key.Attributes, v.Attributes)
	}
	if err := a.VerifyCertify(ak.Key, nil, key); err != nil {
		t.Error(err)
	}
	expect(t, a.VerifyCertify(ak.Key, []byte("asked for"), key), evidence.AttestNonce)
	expect(t, a.VerifyCertify(key.Key, nil, key), evidence.AttestSignature)
	expect(t, a.VerifyCertify(ak.Key, nil, ak), evidence.CertifiedKey)
	expect(t, a.VerifyCertify(ak.Key, nil, &Public{}), evidence.SHA1)
	expect(t, a.VerifyCertify(ak.Key, nil, &Public{NameAlg: SHA1, Name: key.Name}), evidence.SHA1)
	if err := ak.CheckAIK(); err != nil {
		t.Error(err)
	}
	expect(t, key.CheckAIK(), evidence.AIKKey)
}

func TestNameOfTheCredentialVectorIsOneOfSHA256(t *testing.T) {
	var v struct {
		Name string `json:"aik_name"`
	}
	vectortest.ReadJSON(t, "tpm/quotes/credential.json", &v)
	if name := unhex(t, v.Name); len(name) != 2+SHA256.Size() || !bytes.HasPrefix(name, []byte{0, 0x0B}) {
		t.Errorf("name %x", name)
	}
}

// go-tpm reads every public area of the vectors to the same key and Name.
func TestPublicAreasAreReadAsGoTPMReadsThem(t *testing.T) {
	seen := 0
	for _, c := range quoteCases(t) {
		area := c.AKTPMT
		if len(c.AKTPM2B) > 0 {
			area = cut2B(t, c.AKTPM2B)
		}
		if area == nil {
			continue
		}
		seen++
		sameAsGoTPM(t, area, c.public(t))
	}
	if seen == 0 {
		vectortest.NoCase(t, "public area")
	}
}

func sameAsGoTPM(t *testing.T, area []byte, p *Public) {
	t.Helper()
	theirs, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
	if err != nil {
		t.Fatalf("%x: go-tpm: %v", area, err)
	}
	if again := tpm2.Marshal(theirs); !bytes.Equal(again, area) {
		t.Errorf("go-tpm writes %x of %x", again, area)
	}
	key, err := tpm2.Pub(*theirs)
	if err != nil || !sameKey(p.Key, key) {
		t.Errorf("key %v, go-tpm %v (%v)", p.Key, key, err)
	}
	if name, err := tpm2.ObjectName(theirs); err != nil || !bytes.Equal(name.Buffer, p.Name) {
		t.Errorf("Name %x, go-tpm %x (%v)", p.Name, name.Buffer, err)
	}
	if alg := Alg(theirs.NameAlg); alg != p.NameAlg || !bytes.Equal(theirs.AuthPolicy.Buffer, p.AuthPolicy) {
		t.Errorf("nameAlg %s, policy %x", p.NameAlg, p.AuthPolicy)
	}
	if theirs.ObjectAttributes.FixedTPM != (p.Attributes&fixedTPM != 0) || theirs.ObjectAttributes.FixedParent != (p.Attributes&fixedParent != 0) ||
		theirs.ObjectAttributes.SensitiveDataOrigin != (p.Attributes&sensitiveDataOrigin != 0) ||
		theirs.ObjectAttributes.Restricted != (p.Attributes&restricted != 0) ||
		theirs.ObjectAttributes.Decrypt != (p.Attributes&decrypt != 0) || theirs.ObjectAttributes.SignEncrypt != (p.Attributes&sign != 0) {
		t.Errorf("attributes %x, go-tpm %+v", p.Attributes, theirs.ObjectAttributes)
	}
}
