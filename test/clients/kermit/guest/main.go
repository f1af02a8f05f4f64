// Command guest attests SEV-SNP guests with the Go client that Terraform uses, which knows no TDs. Each token goes through package
// relyingparty before it is believed.
//
//	SSL_CERT_FILE=ca.pem guest plan.json
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	kermit "github.com/jackofallops/kermit/sdk/attestation/2022-08-01/attestation"

	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

// request is the body as the client has it.
type request = kermit.AttestSevSnpVMRequest

// nonce is beyond what a number in JSON can hold exactly.
const nonce = "18446744073709551616"

func main() {
	p, err := plan.ReadGuests(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var checks plan.Checks
	for _, g := range p.Cases {
		if g.Type == "SevSnpVm" {
			guest(&checks, p.Issuer, g)
		}
	}
	checks.Run("a request without a report is refused", refused(p.Issuer, request{}, "InvalidParameter", "is missing"))
	checks.Exit()
}

// guest makes the calls for one piece of evidence.
func guest(checks *plan.Checks, issuer string, g plan.Guest) {
	r, err := body(g)
	if err != nil {
		checks.Run(g.Name+" can be read", err)
		return
	}
	checks.Run(g.Name, accepted(issuer, *r, g.Claims))

	numbered := *r
	numbered.Nonce = pointer(nonce)
	checks.Run(g.Name+" with a nonce", accepted(issuer, numbered, map[string]any{"nonce": nonce}))

	draft := *r
	draft.DraftPolicyForAttestation = pointer("version= 1.0; authorizationrules { => permit(); }; issuancerules { };")
	checks.Run(g.Name+" under a draft policy gets an unsigned token", unsigned(issuer, draft))

	denied := *r
	denied.DraftPolicyForAttestation = pointer("version= 1.0; authorizationrules { => deny(); }; issuancerules { };")
	checks.Run(g.Name+" under a draft policy that denies is refused", refused(issuer, denied, "PolicyEvaluationError", ""))

	unbound := *r
	unbound.RuntimeData = &kermit.RuntimeData{Data: pointer("b3RoZXI"), DataType: kermit.DataTypeBinary}
	checks.Run(g.Name+" with other runtime data is refused", refused(issuer, unbound, "InvalidParameter", "runtime-data"))

	changed := *r
	changed.Report, err = changedReport(*r.Report)
	if err == nil {
		err = refused(issuer, changed, "InvalidParameter", "snp-signature")
	}
	checks.Run(g.Name+" with one bit of the measurement changed is refused", err)
}

// body is the request of the plan where there is one, else one around the report.
func body(g plan.Guest) (*request, error) {
	if g.Request != "" {
		b, err := os.ReadFile(g.Request)
		if err != nil {
			return nil, err
		}
		r := new(request)
		if err := json.Unmarshal(b, r); err != nil || r.Report == nil {
			return nil, fmt.Errorf("%s: no request with a report: %w", g.Request, err)
		}
		return r, nil
	}
	report, err := os.ReadFile(g.Evidence)
	if err != nil {
		return nil, err
	}
	chain, err := os.ReadFile(g.Chain)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(map[string]string{"SnpReport": encode(report), "VcekCertChain": encode(chain)})
	if err != nil {
		return nil, err
	}
	return &request{Report: pointer(encode(document))}, nil
}

// changedReport flips a bit of the launch measurement in the report inside the document.
func changedReport(document string) (*string, error) {
	var members map[string]string
	b, err := decode(document)
	if err == nil {
		err = json.Unmarshal(b, &members)
	}
	if err != nil {
		return nil, err
	}
	report, err := decode(members["SnpReport"])
	if err != nil {
		return nil, err
	}
	if len(report) != 1184 {
		return nil, fmt.Errorf("report of %d bytes", len(report))
	}
	report[0x90] ^= 1
	members["SnpReport"] = encode(report)
	if b, err = json.Marshal(members); err != nil {
		return nil, err
	}
	return pointer(encode(b)), nil
}

func accepted(issuer string, r request, claims map[string]any) error {
	token, err := attest(issuer, r)
	if err != nil {
		return err
	}
	verified, err := verify(issuer, token)
	if err != nil {
		return err
	}
	var found map[string]any
	if err := json.Unmarshal(verified.Payload(), &found); err != nil {
		return err
	}
	for name, want := range claims {
		// A status that only an endorsement earns is nothing for requests that cannot carry one.
		if name != "x-ms-compliance-status" && !reflect.DeepEqual(found[name], want) {
			return fmt.Errorf("%s: got %v, want %v", name, found[name], want)
		}
	}
	return nil
}

func unsigned(issuer string, r request) error {
	token, err := attest(issuer, r)
	if err != nil {
		return err
	}
	_, err = verify(issuer, token)
	return plan.WantRefusal(err, string(result.Algorithm)+":")
}

func refused(issuer string, r request, code, reason string) error {
	_, err := attest(issuer, r)
	if err := plan.WantRefusal(err, fmt.Sprintf("Status=400 Code=%q", code)); err != nil {
		return err
	}
	return plan.WantRefusal(err, reason)
}

func attest(issuer string, r request) (string, error) {
	answer, err := kermit.NewClient().AttestSevSnpVM(context.Background(), issuer, r)
	if err != nil {
		return "", err
	}
	if answer.Token == nil {
		return "", errors.New("answer without token")
	}
	return *answer.Token, nil
}

// verify believes the token only if the keys of the issuer say so. The service under test is in development mode.
func verify(issuer, token string) (*relyingparty.Token, error) {
	verifier, err := relyingparty.New(relyingparty.Config{Issuer: issuer, AllowDevelopment: true})
	if err != nil {
		return nil, err
	}
	return verifier.Verify(context.Background(), token)
}

func pointer(s string) *string { return &s }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode reads base64url, padded or not.
func decode(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}
