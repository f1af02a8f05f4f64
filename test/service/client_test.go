package service_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
)

const (
	attestPath = "/attest/SgxEnclave?api-version=2022-08-01"
	policyPath = "/policies/SgxEnclave?api-version=2022-08-01"
)

// permitting is a policy that puts a text into its tokens, by which it is told from others.
func permitting(text string) string {
	return `version= 1.0;authorizationrules{=> permit();};issuancerules{=> issue(type="marked", value="` + text + `");};`
}

const denying = "version= 1.0;authorizationrules{=> deny();};issuancerules{};"

// unsignedJWS is a policy as a client sends it (api.md section 8.4).
func unsignedJWS(text string) string {
	payload := `{"AttestationPolicy":"` + b64([]byte(text)) + `"}`
	return b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(payload)) + "."
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// attestBody is a request with evidence of a simulated enclave.
func attestBody(t testing.TB) []byte {
	t.Helper()
	quote, err := assaytest.WellKnownIntel().Scenario(time.Now()).Quote()
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"quote":"` + b64(quote) + `"}`)
}

// answer is what a request got.
type answer struct {
	status int
	body   []byte
}

// do sends a request to the replica.
func (r *replica) do(method, path string, body []byte, contentType string) (answer, error) {
	return r.doAt(externalHost, method, path, body, contentType)
}

// doAt sends a request to the provider that is served under a host name.
func (r *replica) doAt(host, method, path string, body []byte, contentType string) (answer, error) {
	req, err := http.NewRequest(method, externalURL+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Host = host
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if (!strings.HasPrefix(path, "/attest/") || path == tpmPath) && path != "/certs" {
		req.Header.Set("Authorization", "Bearer "+r.site.owner)
	}
	return send(r.client, req)
}

func send(c *http.Client, req *http.Request) (answer, error) {
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, b}, err
}

// attest sends evidence.
func (r *replica) attest(body []byte) (answer, error) {
	return r.do(http.MethodPost, attestPath, body, "application/json")
}

// setPolicy sets the policy for SgxEnclave. Without an error it was answered 200.
func (r *replica) setPolicy(text string) error {
	a, err := r.do(http.MethodPut, policyPath, []byte(unsignedJWS(text)), "text/plain")
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("setting a policy: status %d: %s", a.status, a.body)
	}
	return err
}

// get asks the replica for a document and decodes it into v.
func (r *replica) get(path string, v any) error {
	a, err := r.do(http.MethodGet, path, nil, "")
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", path, a.status, a.body)
	}
	return json.Unmarshal(a.body, v)
}

// opsStatus asks the listener for operators.
func (r *replica) opsStatus(path string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, r.ops+path, nil)
	if err != nil {
		return answer{}, err
	}
	return send(&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, req)
}

// keySet are the keys of a provider by id.
type keySet map[string]*rsa.PublicKey

// keys fetches the key set.
func (r *replica) keys() (keySet, error) {
	var document struct {
		Keys []struct {
			KID string
			X5C [][]byte
		}
	}
	if err := r.get("/certs", &document); err != nil {
		return nil, err
	}
	set := keySet{}
	for _, k := range document.Keys {
		cert, err := x509.ParseCertificate(k.X5C[0])
		if err != nil {
			return nil, err
		}
		set[k.KID] = cert.PublicKey.(*rsa.PublicKey)
	}
	return set, nil
}

// token is a token of the service, taken apart.
type token struct {
	kid       string
	claims    map[string]any
	digest    [sha256.Size]byte
	signature []byte
}

// tokenIn reads the token of an answer.
func tokenIn(a answer) (token, error) {
	var body struct{ Token string }
	if err := json.Unmarshal(a.body, &body); err != nil || a.status != http.StatusOK {
		return token{}, fmt.Errorf("status %d, %w: %s", a.status, err, a.body)
	}
	parts := strings.Split(body.Token, ".")
	if len(parts) != 3 {
		return token{}, fmt.Errorf("not a token: %s", body.Token)
	}
	var header struct{ KID, Alg string }
	k := token{digest: sha256.Sum256([]byte(parts[0] + "." + parts[1]))}
	for i, v := range []any{&header, &k.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return k, err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return k, err
		}
	}
	if header.Alg != "RS256" {
		return k, fmt.Errorf("algorithm %q", header.Alg)
	}
	k.kid = header.KID
	var err error
	k.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	return k, err
}

// verify checks the signature with the keys of a set, and nothing else.
func (k token) verify(set keySet) error {
	key := set[k.kid]
	if key == nil {
		return fmt.Errorf("the key %s is not listed", k.kid)
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, k.digest[:], k.signature)
}
