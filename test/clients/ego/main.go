// Command ego verifies attestation tokens with the function that EGo gives to relying parties. EGo's enclaves post
// their evidence themselves; here a plain request stands in for them.
//
//	SSL_CERT_FILE=ca.pem ego plan.json
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/edgelesssys/ego/attestation"

	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

func main() {
	p, err := plan.Read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var checks plan.Checks
	for _, c := range p.Cases {
		checks.Run(c.Name, check(p.Issuer, c))
	}
	checks.Run("token of another issuer is refused", otherIssuer(p))
	checks.Run("token with a bad signature is refused", badSignature(p))
	checks.Exit()
}

// check makes one call and compares what EGo reports of the token with what the case expects.
func check(issuer string, c plan.Case) error {
	token, err := attest(issuer, c)
	if c.Code != "" {
		return plan.WantRefusal(err, c.Code)
	}
	if err != nil {
		return err
	}
	report, err := attestation.VerifyAzureAttestationToken(token, issuer)
	if !c.Signed() {
		return plan.WantRefusal(err, "unexpected signature algorithm")
	}
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(report.UniqueID); got != c.MRENCLAVE {
		return fmt.Errorf("unique id: got %s, want %s", got, c.MRENCLAVE)
	}
	return checkHeldData(report, c)
}

// checkHeldData compares the runtime data, which the token carries as it is only where it was sent as Binary.
func checkHeldData(report attestation.Report, c plan.Case) error {
	if c.RuntimeType != "Binary" {
		return nil
	}
	want, err := os.ReadFile(c.RuntimeData)
	if err != nil {
		return err
	}
	if !bytes.Equal(report.Data, want) {
		return fmt.Errorf("enclave held data: got %x, want %x", report.Data, want)
	}
	return nil
}

// otherIssuer reaches the service by a URL that is not the token's issuer. Its keys are the right ones.
func otherIssuer(p *plan.Plan) error {
	token, err := attest(p.Issuer, p.Cases[0])
	if err != nil {
		return err
	}
	_, err = attestation.VerifyAzureAttestationToken(token, p.Tampering)
	return plan.WantRefusal(err, "invalid issuer claim (iss)")
}

func badSignature(p *plan.Plan) error {
	token, err := attest(p.Tampering, p.Cases[0])
	if err != nil {
		return err
	}
	_, err = attestation.VerifyAzureAttestationToken(token, p.Issuer)
	return plan.WantRefusal(err, "error in cryptographic primitive")
}

// attest posts the evidence of the case and returns the token. A refusal is an error with the code in it.
func attest(endpoint string, c plan.Case) (string, error) {
	body, err := request(c)
	if err != nil {
		return "", err
	}
	url := endpoint + "/attest/" + c.Type + "?api-version=2020-10-01"
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct{ Token string }
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(b)))
	}
	err = json.Unmarshal(b, &answer)
	return answer.Token, err
}

func request(c plan.Case) ([]byte, error) {
	evidence, err := os.ReadFile(c.Evidence)
	if err != nil {
		return nil, err
	}
	member := "quote"
	if c.Type == "OpenEnclave" {
		member = "report"
	}
	body := map[string]any{member: base64.RawURLEncoding.EncodeToString(evidence)}
	if c.RuntimeData != "" {
		data, err := os.ReadFile(c.RuntimeData)
		if err != nil {
			return nil, err
		}
		body["runtimeData"] = map[string]string{
			"data": base64.RawURLEncoding.EncodeToString(data), "dataType": c.RuntimeType,
		}
	}
	if c.Draft != "" {
		body["draftPolicyForAttestation"] = c.Draft
	}
	return json.Marshal(body)
}
