package assaytest_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/assaytest"
)

// vendor gives one vendor to all tests, since its RSA keys take their time.
var vendor = sync.OnceValue(assaytest.NewTPMVendor)

var challenge = []byte("0123456789abcdef")

// machine is a sound scenario of a Windows.
func machine(t *testing.T) *assaytest.TPMScenario {
	t.Helper()
	s, err := vendor().BootScenario(assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unb64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type jwk struct {
	N string `json:"n"`
	E string `json:"e"`
}

type keyObject struct {
	JWK  jsontext.Value `json:"jwk"`
	Info struct {
		TPMQuote *struct {
			HashAlg string `json:"hash_alg"`
		} `json:"tpm_quote"`
		TPMCertify *struct {
			Public        string `json:"public"`
			Certification string `json:"certification"`
			Signature     string `json:"signature"`
		} `json:"tpm_certify"`
	} `json:"info"`
}

type evidenceObject struct {
	Challenge      string `json:"challenge"`
	ServiceContext string `json:"service_context"`
	RPData         string `json:"rp_data"`
	TPM            struct {
		Current struct {
			Logs []struct {
				Type string `json:"type"`
				Log  string `json:"log"`
			} `json:"logs"`
			AIKCert   string `json:"aik_cert"`
			AIKPub    jwk    `json:"aik_pub"`
			Quote     string `json:"quote"`
			Signature string `json:"signature"`
		} `json:"current_attestation"`
		CurrentClaim string `json:"current_claim"`
		SRTMBootLog  string `json:"srtm_boot_log"`
	} `json:"tpm_att_data"`
	RequestKey keyObject   `json:"request_key"`
	OtherKeys  []keyObject `json:"other_keys"`
}

// opened is a request taken apart, its signature verified.
func opened(t *testing.T, s *assaytest.TPMScenario) (header string, attType string, data jsontext.Value) {
	t.Helper()
	jws, err := s.Request(challenge, "context")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	key := s.Vendor.Key(assaytest.RequestKey, assaytest.RSA2048).Public().(*rsa.PublicKey)
	if err := rsa.VerifyPSS(key, crypto.SHA256, digest[:], unb64(t, parts[2]), &rsa.PSSOptions{SaltLength: 32}); err != nil {
		t.Error("signature of the request:", err)
	}
	var payload struct {
		Type string         `json:"att_type"`
		Data jsontext.Value `json:"att_data"`
	}
	if err := json.Unmarshal(unb64(t, parts[1]), &payload); err != nil {
		t.Fatal(err)
	}
	return string(unb64(t, parts[0])), payload.Type, payload.Data
}

func evidenceOf(t *testing.T, data jsontext.Value) evidenceObject {
	t.Helper()
	var e evidenceObject
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return e
}

func rsaKey(t *testing.T, k jwk) *rsa.PublicKey {
	t.Helper()
	return &rsa.PublicKey{N: new(big.Int).SetBytes(unb64(t, k.N)), E: int(new(big.Int).SetBytes(unb64(t, k.E)).Int64())}
}

func TestAQuoteCoversJWKAndChallenge(t *testing.T) {
	header, attType, data := opened(t, machine(t))
	if header != `{"alg":"PS256","typ":"attReqV2"}` || attType != "basic" {
		t.Errorf("header %s, type %q", header, attType)
	}
	e := evidenceOf(t, data)
	if !bytes.Equal(unb64(t, e.Challenge), challenge) || e.ServiceContext != "context" || len(e.TPM.Current.Logs) != 1 {
		t.Errorf("evidence %+v", e)
	}
	quote := unb64(t, e.TPM.Current.Quote)
	attest, err := tpm2.Unmarshal[tpm2.TPMSAttest](quote)
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(slices.Concat(e.RequestKey.JWK, []byte{0}, challenge))
	if !bytes.Equal(attest.ExtraData.Buffer, want[:]) {
		t.Errorf("qualifying data %x, want %x", attest.ExtraData.Buffer, want)
	}
	info, err := attest.Attested.Quote()
	if err != nil {
		t.Fatal(err)
	}
	if got := info.PCRSelect.PCRSelections[0].PCRSelect; !bytes.Equal(got, []byte{0xFF, 0xFF, 0xFF}) {
		t.Errorf("selection %x", got)
	}
	signature, err := tpm2.Unmarshal[tpm2.TPMTSignature](unb64(t, e.TPM.Current.Signature))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signature.Signature.RSASSA()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(quote)
	if err := rsa.VerifyPKCS1v15(rsaKey(t, e.TPM.Current.AIKPub), crypto.SHA256, digest[:], sig.Sig.Buffer); err != nil {
		t.Error("signature of the quote:", err)
	}
}

func TestAnEnclaveReportCoversTheEvidenceAsSent(t *testing.T) {
	for _, version := range []int{1, 2} {
		s := machine(t)
		s.VBS = true
		if version == 1 {
			s.UseVersion1()
		}
		_, attType, data := opened(t, s)
		if attType != "vbs" {
			t.Errorf("type %q", attType)
		}
		var vbs struct {
			Signed jsontext.Value `json:"report_signed"`
			Report jsontext.Value `json:"vsm_report"`
		}
		if err := json.Unmarshal(data, &vbs); err != nil {
			t.Fatal(err)
		}
		var text string
		if version == 1 {
			if err := json.Unmarshal(vbs.Report, &text); err != nil {
				t.Fatal(err)
			}
		} else {
			var v2 struct {
				Enclave struct {
					Report string `json:"report"`
				} `json:"enclave"`
			}
			if err := json.Unmarshal(vbs.Report, &v2); err != nil {
				t.Fatal(err)
			}
			text = v2.Enclave.Report
		}
		want := sha512.Sum512(vbs.Signed)
		if report := unb64(t, text); !bytes.Equal(report[32:96], want[:]) {
			t.Errorf("version %d: enclave data %x, want %x", version, report[32:96], want)
		}
	}
}

func TestEqualScenariosGiveEqualRequests(t *testing.T) {
	for name, change := range map[string]func(*assaytest.TPMScenario){
		"as is":     func(*assaytest.TPMScenario) {},
		"PSS":       func(s *assaytest.TPMScenario) { s.AIKScheme.PSS = true },
		"P-256":     func(s *assaytest.TPMScenario) { s.AIKKind = assaytest.P256 },
		"P-384":     func(s *assaytest.TPMScenario) { s.AIKKind, s.AIKScheme.Hash = assaytest.P384, crypto.SHA384 },
		"version 1": (*assaytest.TPMScenario).UseVersion1,
		"certified": func(s *assaytest.TPMScenario) {
			s.Binding = assaytest.BoundByCertify
			s.OtherKeys = []assaytest.TPMOtherKey{{Kind: assaytest.P256, Certified: true}, {Kind: assaytest.P384}}
		},
		"VBS": func(s *assaytest.TPMScenario) { s.VBS = true },
	} {
		t.Run(name, func(t *testing.T) {
			var texts [2]string
			for i := range texts {
				s := machine(t)
				change(s)
				var err error
				if texts[i], err = s.Request(challenge, "context"); err != nil {
					t.Fatal(err)
				}
			}
			if texts[0] != texts[1] {
				t.Error("two requests of one scenario differ")
			}
		})
	}
}
