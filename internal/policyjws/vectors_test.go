package policyjws

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// vector is an entry of vectors/policies/index.json.
type vector struct {
	Kind, Operation, Alg, Signature string
	TokenHash                       string `json:"token_hash"`
	Thumbprint                      string `json:"signer_thumbprint"`
	PolicyHash                      string `json:"policy_hash"`
	PolicyFile                      string `json:"policy_file"`
	PlainText                       bool   `json:"plain_text"`
	Payload                         []string
	Result                          map[string]string
}

func jwsVectors(t testing.TB) map[string]vector {
	t.Helper()
	var index map[string]vector
	vectortest.ReadJSON(t, "policies/index.json", &index)
	maps.DeleteFunc(index, func(_ string, v vector) bool { return v.Kind != "jws" })
	if len(index) == 0 {
		vectortest.NoCase(t, "JWS")
	}
	return index
}

func TestVectorsSayWhatTheIndexHas(t *testing.T) {
	operations := map[string]Operation{"put": SetPolicy, "reset": ResetPolicy, "certificates:add": ChangeSigners}
	for file, v := range jwsVectors(t) {
		t.Run(file, func(t *testing.T) {
			b := vectortest.Read(t, "policies/"+file)
			p, err := Parse(b, Options{PlainText: v.PlainText})
			if err != nil {
				t.Fatal(err)
			}
			if p.Operation() != operations[v.Operation] || p.HeaderAlgorithm() != v.Alg || p.TokenHash() != v.TokenHash || p.String() != string(b) {
				t.Errorf("operation %s, alg %s, token hash %s", p.Operation(), p.HeaderAlgorithm(), p.TokenHash())
			}
			if v.PolicyHash != "" && p.PolicyHash() != v.PolicyHash {
				t.Errorf("policy hash %s, want %s", p.PolicyHash(), v.PolicyHash)
			}
			if members := payloadMembers(t, p.String()); !slices.Equal(members, v.Payload) {
				t.Errorf("the payload has the members %v, want %v", members, v.Payload)
			}
			v.compareText(t, p)
			v.compareSigner(t, p)
		})
	}
}

func (v vector) compareText(t *testing.T, p *Parsed) {
	text, ok := p.Text()
	if ok != slices.Contains(v.Payload, "AttestationPolicy") {
		t.Errorf("there is a text: %v", ok)
	}
	if v.PolicyFile != "" && string(text) != string(vectortest.Read(t, "policies/"+v.PolicyFile)) {
		t.Errorf("text %q, want that of %s", text, v.PolicyFile)
	}
	if cert, ok := p.PolicyCertificate(); ok != slices.Contains(v.Payload, "policyCertificate") || ok && cert.Subject.CommonName == "" {
		t.Errorf("there is a certificate to add: %v, %v", ok, cert)
	}
}

func (v vector) compareSigner(t *testing.T, p *Parsed) {
	if p.Signed() != (v.Thumbprint != "") {
		t.Fatalf("signed: %v", p.Signed())
	}
	if !p.Signed() {
		return
	}
	if got := Thumbprint(p.Certificates()[0]); got != v.Thumbprint {
		t.Errorf("thumbprint %s, want %s", got, v.Thumbprint)
	}
	if _, err := p.Verify(); (err == nil) != strings.HasPrefix(v.Signature, "verifies") {
		t.Errorf("the signature %s, got error %v", v.Signature, err)
	}
}

// payloadMembers reads the payload with another decoder.
func payloadMembers(t *testing.T, jws string) []string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &members); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(members))
}

func TestVectorsAreAcceptedByTheInstancesThatTheIndexNames(t *testing.T) {
	other := selfSigned(t, "another signer", ecKey(t, elliptic.P256()))
	for file, v := range jwsVectors(t) {
		for instance, want := range v.Result {
			if v.Operation == "certificates:add" && instance == "aad" {
				continue // such instances have no signers to change: that is for the route to say
			}
			got := "accept"
			if err := submit(vectortest.Read(t, "policies/"+file), instance, other.cert); err != nil {
				r, ok := errors.AsType[*Refusal](err)
				if !ok {
					t.Fatal(err)
				}
				got = r.Code()
			}
			if got != want {
				t.Errorf("%s on %s: %s, want %s", file, instance, got, want)
			}
		}
	}
}

// submit does what a store of that kind has to do with a JWS.
func submit(b []byte, instance string, other *x509.Certificate) error {
	p, err := Parse(b, Options{PlainText: strings.HasSuffix(instance, "2018-09-01-preview")})
	if err != nil {
		return err
	}
	isolated := strings.HasPrefix(instance, "isolated")
	if !p.Signed() && !isolated {
		return nil
	}
	v, err := p.Verify()
	if err != nil || !isolated {
		return err
	}
	signer := other
	if instance == "isolated-own-signer" {
		signer = p.Certificates()[0]
	}
	_, err = v.Trust([]*x509.Certificate{signer})
	return err
}

// exchange is a recorded request with its answer.
type exchange struct {
	Request  struct{ Body string }
	Response struct {
		Status int
		Body   any
	}
}

// answer is the payload of the token that the real service answered with.
func (e exchange) answer(t *testing.T) (claims struct {
	TokenHash  string `json:"x-ms-policy-token-hash"`
	Thumbprint string `json:"x-ms-certificate-thumbprint"`
	Signer     struct {
		Chain []string `json:"x5c"`
	} `json:"x-ms-policy-signer"`
}) {
	t.Helper()
	body, _ := e.Response.Body.(map[string]any)
	token, _ := body["token"].(string)
	if e.Response.Status != 200 {
		return claims
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(b, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestRecordedRequestsOpenAsTheRealServiceOpenedThem has what clients really sent, in quotes and without.
func TestRecordedRequestsOpenAsTheRealServiceOpenedThem(t *testing.T) {
	isolated := recordedSigners(t)
	for _, tt := range []struct {
		file      string
		operation Operation
		signed    bool
		trusted   bool // by the recorded isolated instance
	}{
		{"policy-sgx-unsigned-1-put", SetPolicy, false, false},
		{"policy-sgx-unsigned-3-reset", ResetPolicy, false, false},
		{"policy-oe-signed-1-put", SetPolicy, true, false},
		{"policy-oe-signed-3-reset", ResetPolicy, true, false},
		{"attest-tpm-policy-put", SetPolicy, false, false},
		{"attest-tpm-policy-reset", ResetPolicy, false, false},
		{"certificates-add-1", ChangeSigners, true, true},
		{"certificates-add-refused", ChangeSigners, true, false},
	} {
		t.Run(tt.file, func(t *testing.T) {
			var e exchange
			vectortest.ReadJSON(t, "maa/exchanges/"+tt.file+".json", &e)
			p := mustParse(t, e.Request.Body)
			if p.Operation() != tt.operation || p.Signed() != tt.signed {
				t.Errorf("operation %s, signed %v", p.Operation(), p.Signed())
			}
			answer := e.answer(t)
			if answer.TokenHash != "" && answer.TokenHash != p.TokenHash() {
				t.Errorf("token hash %s, the service's is %s", p.TokenHash(), answer.TokenHash)
			}
			if cert, ok := p.PolicyCertificate(); ok && answer.Thumbprint != "" && Thumbprint(cert) != answer.Thumbprint {
				t.Errorf("thumbprint %s, the service's is %s", Thumbprint(cert), answer.Thumbprint)
			}
			if !tt.signed {
				return
			}
			v := mustVerify(t, e.Request.Body)
			if c := answer.Signer.Chain; len(c) > 0 && c[0] != base64.StdEncoding.EncodeToString(v.Certificates()[0].Raw) {
				t.Error("the service saw another signer")
			}
			if _, err := v.Trust(isolated); (err == nil) != tt.trusted {
				t.Errorf("trusted by the isolated instance: %v, want %v", err, tt.trusted)
			}
		})
	}
}

func recordedSigners(t *testing.T) (signers []*x509.Certificate) {
	t.Helper()
	for _, file := range []string{"attestation-isolated-management.pem", "attestation-certificate-0.pem"} {
		block, _ := pem.Decode(vectortest.Read(t, "maa/signers/"+file))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, cert)
	}
	return signers
}

// TestHashesOfTheSpecification has the vector of api.md 14.3.
func TestHashesOfTheSpecification(t *testing.T) {
	const jws = "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ImRtVnljMmx2YmowZ01TNHdPMkYxZEdodmNtbDZZWFJwYjI1eWRXeGxjM3M5UGlCd1pYSnRhWFFvS1R0OU8ybHpjM1ZoYm1ObGNuVnNaWE43ZlRzIn0."
	p := mustParse(t, jws)
	if p.TokenHash() != "Q_RzsfWCvxQB7oSxw5izYL1OAWRPA1-zcvWK1BNiyrU" || p.PolicyHash() != "NV1ac05uHVG8H7jncd14tq1VD6ijcYY6Xsnf6cZ8ijU" {
		t.Errorf("token hash %s, policy hash %s", p.TokenHash(), p.PolicyHash())
	}
	if made, err := UnsignedPolicy([]byte("version= 1.0;authorizationrules{=> permit();};issuancerules{};")); made != jws || err != nil {
		t.Errorf("made %s, %v", made, err)
	}
}
