// Command kermit attests with the Go client that Terraform uses. That client validates nothing, so each token goes
// through package relyingparty before it is believed.
//
//	SSL_CERT_FILE=ca.pem kermit plan.json
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"

	kermit "github.com/jackofallops/kermit/sdk/attestation/2022-08-01/attestation"

	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

func main() {
	p, err := plan.Read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx := context.Background()
	var checks plan.Checks
	checks.Run("metadata names issuer and keys", metadata(ctx, p.Issuer))
	checks.Run("signers are listed", signers(ctx, p.Issuer))
	for _, c := range p.Cases {
		checks.Run(c.Name, check(ctx, p.Issuer, c))
	}
	checks.Run("token of another issuer is refused", otherIssuer(ctx, p))
	checks.Run("token with a bad signature is refused", badSignature(ctx, p))
	checks.Exit()
}

func metadata(ctx context.Context, issuer string) error {
	m, err := kermit.NewMetadataConfigurationClient().Get(ctx, issuer)
	if err != nil {
		return err
	}
	if m.Issuer == nil || *m.Issuer != issuer || m.JwksURI == nil || *m.JwksURI != issuer+"/certs" {
		return fmt.Errorf("got issuer %v, jwks_uri %v, want those of %s", m.Issuer, m.JwksURI, issuer)
	}
	return nil
}

func signers(ctx context.Context, issuer string) error {
	set, err := kermit.NewSigningCertificatesClient().Get(ctx, issuer)
	if err != nil {
		return err
	}
	if set.Keys == nil || len(*set.Keys) == 0 {
		return errors.New("no keys")
	}
	for _, k := range *set.Keys {
		if k.Kid == nil || k.X5c == nil || len(*k.X5c) == 0 {
			return fmt.Errorf("key without kid or certificate: %+v", k)
		}
	}
	return nil
}

// check makes one call and compares the verified token with what the case expects.
func check(ctx context.Context, issuer string, c plan.Case) error {
	token, err := attest(ctx, issuer, c)
	if c.Code != "" {
		return plan.WantRefusal(err, fmt.Sprintf("Status=400 Code=%q", c.Code))
	}
	if err != nil {
		return err
	}
	verified, err := verify(ctx, token, issuer)
	if !c.Signed() {
		return wantReason(err, result.Algorithm)
	}
	if err != nil {
		return err
	}
	claims, err := verified.SGX()
	if err != nil {
		return err
	}
	if got := claims.MRENCLAVE.String(); got != c.MRENCLAVE {
		return fmt.Errorf("MRENCLAVE: got %s, want %s", got, c.MRENCLAVE)
	}
	return nil
}

func otherIssuer(ctx context.Context, p *plan.Plan) error {
	token, err := attest(ctx, p.Issuer, p.Cases[0])
	if err != nil {
		return err
	}
	_, err = verify(ctx, token, p.Tampering)
	return wantReason(err, result.Issuer)
}

func badSignature(ctx context.Context, p *plan.Plan) error {
	token, err := attest(ctx, p.Tampering, p.Cases[0])
	if err != nil {
		return err
	}
	_, err = verify(ctx, token, p.Issuer)
	return wantReason(err, result.Signature)
}

// wantReason turns a refusal of package relyingparty for the given reason into success.
func wantReason(err error, reason result.Reason) error {
	return plan.WantRefusal(err, string(reason)+":")
}

// verify believes the token only if the keys of the issuer say so. The service under test is in development mode,
// whose tokens a relying party refuses unless it asks for them.
func verify(ctx context.Context, token, issuer string) (*relyingparty.Token, error) {
	verifier, err := relyingparty.New(relyingparty.Config{Issuer: issuer, AllowDevelopment: true})
	if err != nil {
		return nil, err
	}
	return verifier.Verify(ctx, token)
}

func attest(ctx context.Context, endpoint string, c plan.Case) (string, error) {
	evidence, err := readBase64(c.Evidence)
	if err != nil {
		return "", err
	}
	data, err := runtimeData(c)
	if err != nil {
		return "", err
	}
	client := kermit.NewClient()
	var answer kermit.Response
	if c.Type == "OpenEnclave" {
		answer, err = client.AttestOpenEnclave(ctx, endpoint, kermit.AttestOpenEnclaveRequest{
			Report: evidence, RuntimeData: data, DraftPolicyForAttestation: optional(c.Draft),
		})
	} else {
		answer, err = client.AttestSgxEnclave(ctx, endpoint, kermit.AttestSgxEnclaveRequest{
			Quote: evidence, RuntimeData: data, DraftPolicyForAttestation: optional(c.Draft),
		})
	}
	if err != nil {
		return "", err
	}
	if answer.Token == nil {
		return "", errors.New("answer without token")
	}
	return *answer.Token, nil
}

func runtimeData(c plan.Case) (*kermit.RuntimeData, error) {
	if c.RuntimeData == "" {
		return nil, nil
	}
	data, err := readBase64(c.RuntimeData)
	if err != nil {
		return nil, err
	}
	return &kermit.RuntimeData{Data: data, DataType: kermit.DataType(c.RuntimeType)}, nil
}

func readBase64(file string) (*string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return &s, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
