package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/relyingparty"
)

func verifiedToken(t *testing.T, service []string, text string) *relyingparty.Token {
	t.Helper()
	pool := x509.NewCertPool()
	block, _ := pem.Decode([]byte(readFile(t, service[3])))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(ca)
	v, err := relyingparty.New(relyingparty.Config{
		Issuer: service[1], AllowDevelopment: true, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := v.Verify(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func hexToBase64(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// ephemeralIn reads the key of the request out of the claims.
func ephemeralIn(t *testing.T, claims []byte) *rsa.PublicKey {
	t.Helper()
	var c struct {
		Runtime struct {
			Keys []struct{ KID, N string } `json:"keys"`
		} `json:"x-ms-runtime"`
	}
	if err := json.Unmarshal(claims, &c); err != nil || len(c.Runtime.Keys) != 1 || c.Runtime.Keys[0].KID != "TpmEphemeralEncryptionKey" {
		t.Fatalf("%v, %+v", err, c)
	}
	n, err := base64.RawURLEncoding.DecodeString(c.Runtime.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
}

func another(t *testing.T) *rsa.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// forgery is a request whose key for the answer is another one, made in the same TPM.
type forgery struct {
	tpm    transport.TPM
	info   map[string]any
	policy []byte // the right one
	nonce  []byte
}

func newForgery(t *testing.T, s *swtpmtest.TPM) *forgery {
	t.Helper()
	var outer struct{ AttestationInfo string }
	if err := json.Unmarshal([]byte(readFile(t, collectedBody(t, s))), &outer); err != nil {
		t.Fatal(err)
	}
	inner, err := base64.RawURLEncoding.DecodeString(outer.AttestationInfo)
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{tpm: s.Open(t), nonce: []byte{0, 0xC0, 0xFF, 0xEE}}
	if err := json.Unmarshal(inner, &f.info); err != nil {
		t.Fatal(err)
	}
	public, err := base64.StdEncoding.DecodeString(f.vtpm()["EncKeyPub"].(string))
	if err != nil {
		t.Fatal(err)
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public[2:])
	if err != nil {
		t.Fatal(err)
	}
	f.policy = area.AuthPolicy.Buffer
	return f
}

func (f *forgery) vtpm() map[string]any { return f.info["TpmInfo"].(map[string]any) }

// key puts another key for the answer into the request, of the right template but for an edit, certified by the key of a handle.
func (f *forgery) key(t *testing.T, signer tpm2.TPMHandle, edit func(*tpm2.TPMTPublic)) {
	t.Helper()
	template := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: tpm2.TPM2BDigest{Buffer: f.policy},
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: 2048}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{}),
	}
	edit(&template)
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHNull, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(template),
	}.Execute(f.tpm)
	if err != nil {
		t.Fatal(err)
	}
	defer tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(f.tpm)
	ak, err := tpm2.ReadPublic{ObjectHandle: signer}.Execute(f.tpm)
	if err != nil {
		t.Fatal(err)
	}
	certified, err := tpm2.Certify{
		ObjectHandle:   tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: tpm2.PasswordAuth(nil)},
		SignHandle:     tpm2.AuthHandle{Handle: signer, Name: ak.Name, Auth: tpm2.PasswordAuth(nil)},
		QualifyingData: tpm2.TPM2BData{Buffer: f.nonce}, InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
	}.Execute(f.tpm)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := certified.Signature.Signature.RSASSA()
	if err != nil {
		t.Fatal(err)
	}
	f.vtpm()["EncKeyPub"] = tpm2.Marshal(made.OutPublic)
	f.vtpm()["EncKeyCertifyInfo"] = certified.CertifyInfo.Bytes()
	f.vtpm()["EncKeyCertifyInfoSignature"] = signature.Sig.Buffer
}

func (f *forgery) send(t *testing.T, service []string) outcome {
	t.Helper()
	inner, err := json.Marshal(f.info)
	if err != nil {
		t.Fatal(err)
	}
	body := tempFile(t, "body.json", `{"AttestationInfo":"`+base64.RawURLEncoding.EncodeToString(inner)+`"}`)
	return assay(t, append([]string{"attest", "azureguest", body}, service...)...)
}

// TestAKeyThatOthersCanUseIsRefused: a token encrypted to it would not prove what the guest is (azure-guest.md section 3 step 5). The first one is right, and
// passes: what refuses the others is what they change.
func TestAKeyThatOthersCanUseIsRefused(t *testing.T) {
	const ak, otherAK = tpm2.TPMHandle(0x81000003), tpm2.TPMHandle(0x81000004)
	s, service := swtpmtest.Start(t), azureService(t)
	f := newForgery(t, s)
	right := func(*tpm2.TPMTPublic) {}
	persistAnotherAK(t, f.tpm, ak, otherAK)
	for _, test := range []struct {
		name   string
		signer tpm2.TPMHandle
		edit   func(*tpm2.TPMTPublic)
		want   string // empty: it passes
	}{
		{"right", ak, right, ""},
		{"with a password", ak, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.UserWithAuth = true }, "not userWithAuth"},
		{"without a policy", ak, func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = nil; p.ObjectAttributes.UserWithAuth = true }, "not userWithAuth"},
		{"with no policy but no password", ak, func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = nil }, "not bound to the quoted PCRs"},
		{"with a policy of other PCRs", ak, func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = make([]byte, 32) }, "not bound to the quoted PCRs"},
		{"that can leave the TPM", ak, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM, p.ObjectAttributes.FixedParent = false, false }, "fixedTPM"},
		{"that another key certifies", otherAK, right, "signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.key(t, test.signer, test.edit)
			if o := f.send(t, service); test.want == "" {
				o.want(t, exitOK, "SEALED", "")
			} else {
				o.want(t, exitRefused, test.want, "")
				o.want(t, exitRefused, "REFUSED", "")
			}
		})
	}
}

// persistAnotherAK makes a key like the attestation key, and leaves it in the TPM.
func persistAnotherAK(t *testing.T, c transport.TPM, like, at tpm2.TPMHandle) {
	t.Helper()
	read, err := tpm2.ReadPublic{ObjectHandle: like}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	area, err := read.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: []byte(strings.Repeat("x", 32))})
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	made, err := tpm2.CreatePrimary{PrimaryHandle: owner, InPublic: tpm2.New2B(*area)}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	object := tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}
	if _, err := (tpm2.EvictControl{Auth: owner, ObjectHandle: &object, PersistentHandle: at}).Execute(c); err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: made.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
}
