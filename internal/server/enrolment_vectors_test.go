package server_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// certCase is a case of vectors/tpm/certs.
type certCase struct {
	ID, Purpose, Leaf, Expect, Code string
	Intermediates, Roots            []string
	At                              time.Time
}

// der reads a certificate of the vectors, which is DER or PEM.
func (c certCase) der(t testing.TB, name string) []byte {
	t.Helper()
	b := vectortest.Read(t, "tpm/certs/"+name)
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes
	}
	return b
}

// service trusts the roots of the case, at its time. Google's CA writes no usage into certificates (tpm-evidence.md section 3), so that its root
// excuses that; no other does.
func (c certCase) service(t *testing.T) *timeMachine {
	t.Helper()
	cfg := config.Config{At: c.At, Settings: provider.Settings{TPMSettings: provider.TPMSettings{AIKEnrolment: "vendor"}}}
	for _, name := range c.Roots {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.der(t, name)})
		cfg.EKRoots = append(cfg.EKRoots, config.AIKRoot{File: tempFile(t, string(text)), AllowMissingEKU: strings.HasPrefix(name, "gce/")})
	}
	return newTimeMachine(t, cfg)
}

// reasons are the words of a refusal for the reason classes of the index.
func reasons(code string) string {
	return map[string]string{
		"NO_CHAIN": "does not lead to a trusted root", "PATHLEN": "does not lead to a trusted root", "EKU": "does not say that it is of one",
		"EXPIRED": "has expired", "NOT_YET_VALID": "is not yet valid", "CRITICAL_EXT": "has a critical extension", "WEAK_KEY": "aik-key: ",
	}[code]
}

// ekOf is the public area of an endorsement key (templates L-1 and L-2 of the TCG's profile).
func ekOf(t testing.TB, key any) []byte {
	t.Helper()
	switch k := key.(type) {
	case *rsa.PublicKey:
		area, parms := tpm2.RSAEKTemplate, tpm2.TPMSRSAParms{Symmetric: aes128(), KeyBits: tpm2.TPMKeyBits(k.N.BitLen())}
		area.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &parms)
		area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: k.N.Bytes()})
		return tpm2.Marshal(area)
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		area, half := tpm2.ECCEKTemplate, len(point)/2
		area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1 : 1+half]}, Y: tpm2.TPM2BECCParameter{Buffer: point[1+half:]},
		})
		return tpm2.Marshal(area)
	}
	t.Fatalf("key %T", key)
	return nil
}

func aes128() tpm2.TPMTSymDefObject {
	return tpm2.TPMTSymDefObject{
		Algorithm: tpm2.TPMAlgAES, KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)), Mode: tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
	}
}

// challenge asks for a challenge of a TPM whose endorsement key is that of the leaf, which brings the rest of its chain along or not.
func (c certCase) challenge(t *testing.T, m *timeMachine, withChain bool) answer {
	t.Helper()
	leaf := c.der(t, c.Leaf)
	cert, err := tpm.ParseCertificate(leaf)
	if err != nil {
		t.Fatal(err)
	}
	body := enrolBody(t, windows(t), func(e *assaytest.TPMEnrolment) {
		e.EKCertificate, e.EKChain, e.EKPublic = leaf, nil, ekOf(t, cert.PublicKey)
		for _, name := range c.Intermediates {
			if withChain {
				e.EKChain = append(e.EKChain, c.der(t, name))
			}
		}
	})
	return m.do(t, http.MethodPost, aikChallenges, text(body), "Content-Type", "application/json", "Authorization", "Bearer "+m.token(t, "reader"))
}

// TestCertificatesOfTheIndexEnrolAsItSays: those of endorsement keys have its outcome, and lead nowhere without their intermediates; those of
// attestation keys are none of endorsement keys, whatever they are otherwise.
func TestCertificatesOfTheIndexEnrolAsItSays(t *testing.T) {
	var cases []certCase
	vectortest.ReadJSON(t, "tpm/certs/index.json", &cases)
	services, enrolled := map[string]*timeMachine{}, 0
	for _, c := range cases {
		of := strings.Join(c.Roots, " ") + c.At.String()
		if services[of] == nil {
			services[of] = c.service(t)
		}
		t.Run(c.ID, func(t *testing.T) {
			a := c.challenge(t, services[of], true)
			switch {
			case c.Purpose != "ek":
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "")
				if !strings.Contains(string(a.body), "ek-certificate: ") && !strings.Contains(string(a.body), "aik-key: ") {
					t.Errorf("%s", a.body)
				}
			case !strings.HasPrefix(c.Expect, "accept"):
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", reasons(c.Code))
			default:
				enrolled++
				a.challenge(t)
				if len(c.Intermediates) > 0 {
					c.challenge(t, services[of], false).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate: ", "does not lead to a trusted root")
				}
			}
		})
	}
	if enrolled == 0 {
		vectortest.NoCase(t, "certificate of an endorsement key that is accepted")
	}
}

// TestTheEndorsementKeyOfTheVectorsEnrols: its owner pins it, and what is made for it opens with the recorded private key. A recorded
// credential answers no challenge.
func TestTheEndorsementKeyOfTheVectorsEnrols(t *testing.T) {
	var v struct {
		EK     string `json:"ek_private_pem"`
		Name   string `json:"aik_name"`
		Blob   string `json:"credential_blob_tpm2b"`
		Sealed string `json:"encrypted_secret_tpm2b"`
		Secret string
	}
	vectortest.ReadJSON(t, "tpm/quotes/credential.json", &v)
	block, _ := pem.Decode([]byte(v.EK))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	recorded, err := assaytest.OpenCredential(key, bytesOf(v.Name), bytesOf(v.Blob), bytesOf(v.Sealed))
	if err != nil || hex.EncodeToString(recorded) != v.Secret {
		t.Fatalf("the recorded secret is %x, %v", recorded, err)
	}

	e := enrolling(t)
	sc, public := windows(t), &key.(*rsa.PrivateKey).PublicKey
	body := enrolBody(t, sc, withoutCertificate, func(m *assaytest.TPMEnrolment) { m.EKPublic = ekOf(t, public) })
	e.post(t, "pinned", aikChallenges, body).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate: ", "not pinned")
	e.pin(t, "pinned", http.MethodPut, "/assay/v1/ek/"+spkiHash(t, public), http.StatusCreated)
	c := e.post(t, "pinned", aikChallenges, body).challenge(t)
	e.post(t, "pinned", aikCertificates, map[string]any{"context": c.Context, "secret": b64url(recorded)}).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", "not the one of the challenge")
	m, err := sc.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	aik, err := tpm.ParsePublic(m.AIKPublic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := assaytest.OpenCredential(key, bytesOf(v.Name), unb64(t, c.CredentialBlob), unb64(t, c.EncryptedSecret)); err == nil {
		t.Error("the credential is for the recorded attestation key, too")
	}
	secret, err := assaytest.OpenCredential(key, aik.Name, unb64(t, c.CredentialBlob), unb64(t, c.EncryptedSecret))
	if err != nil {
		t.Fatal(err)
	}
	got := e.post(t, "pinned", aikCertificates, map[string]any{"context": c.Context, "secret": b64url(secret)}).certificate(t)
	sc.Enrolled(unb64(t, got.Certificate))
	e.attestTPM(t, "pinned", sc).report(t, false)
}
