// Command admin manages policies with the Go client that Terraform uses. That client neither makes nor reads what the
// service stores: package policyjws makes it here, as `assay policy sign` does, and relyingparty opens the answers.
//
//	SSL_CERT_FILE=ca.pem admin plan.json
package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/Azure/go-autorest/autorest"
	kermit "github.com/jackofallops/kermit/sdk/attestation/2022-08-01/attestation"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

func main() {
	p, err := plan.ReadAdmin(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	a := admin{p, context.Background()}
	var checks plan.Checks
	for _, s := range p.Steps {
		err := a.do(s)
		if s.Code != "" {
			err = wantRefusal(err, s)
		}
		checks.Run(s.Name, err)
	}
	checks.Run("without a token the policy cannot be read", a.noToken())
	checks.Exit()
}

// wantRefusal wants the status, the code and the message of the step in the error that the client shows.
func wantRefusal(err error, s plan.Step) error {
	code := fmt.Sprintf("Status=%d Code=%q Message=", s.Status, s.Code)
	if err != nil && strings.Contains(err.Error(), code+`""`) {
		return fmt.Errorf("refused without a message: %w", err)
	}
	return errors.Join(plan.WantRefusal(err, code), plan.WantRefusal(err, s.Message))
}

type admin struct {
	plan *plan.Admin
	ctx  context.Context
}

func (a admin) do(s plan.Step) error {
	switch s.Do {
	case "get":
		return a.get(s)
	case "set":
		return a.set(s)
	case "reset":
		return a.reset(s)
	case "list":
		return a.list(s)
	case "add", "remove":
		return a.change(s)
	case "attest":
		return a.attest(s)
	}
	return fmt.Errorf("unknown step %q", s.Do)
}

// authorize gives the client the bearer token of the step.
func (a admin) authorize(c *kermit.BaseClient, s plan.Step) {
	c.Authorizer = autorest.NewBearerAuthorizer(token(a.plan.Tokens[s.Token]))
}

type token string

// OAuthToken gives the bearer token to the client.
func (t token) OAuthToken() string { return string(t) }

func (a admin) policies(s plan.Step) kermit.PolicyClient {
	c := kermit.NewPolicyClient()
	a.authorize(&c.BaseClient, s)
	return c
}

func (a admin) certificates(s plan.Step) kermit.PolicyCertificatesClient {
	c := kermit.NewPolicyCertificatesClient()
	a.authorize(&c.BaseClient, s)
	return c
}

func (a admin) get(s plan.Step) error {
	answer, err := a.policies(s).Get(a.ctx, a.plan.Issuer, kermit.Type(s.Type))
	claims, err := a.open(answer.Token, err)
	if err != nil {
		return err
	}
	jws, _ := claims.String("x-ms-policy")
	text, err := policyjws.Text([]byte(jws))
	if err != nil {
		return err
	}
	return equal("policy", string(text), s.Policy)
}

func (a admin) set(s plan.Step) error {
	jws, err := a.sign(s.Key, []byte(s.Policy))
	if err != nil {
		return err
	}
	answer, err := a.policies(s).Set(a.ctx, a.plan.Issuer, kermit.Type(s.Type), jws)
	claims, err := a.open(answer.Token, err)
	if err != nil {
		return err
	}
	outcome, _ := claims.String("x-ms-policy-result")
	hash, _ := claims.String("x-ms-policy-token-hash")
	digest := sha256.Sum256([]byte(jws))
	return errors.Join(equal("result", outcome, "Updated"),
		equal("token hash", hash, base64.RawURLEncoding.EncodeToString(digest[:])), a.checkSigner(claims, s.Key))
}

// checkSigner wants the certificate of the key in the answer, and none if nobody signed.
func (a admin) checkSigner(claims *relyingparty.Token, key string) error {
	var signer struct{ X5c [][]byte }
	found, err := claim(claims, "x-ms-policy-signer", &signer)
	switch {
	case err != nil:
		return err
	case key == "":
		return equal("signer is there", found, false)
	}
	return a.checkCertificates(signer.X5c, key)
}

// checkCertificates compares certificates with those of the keys.
func (a admin) checkCertificates(got [][]byte, keys ...string) error {
	var want [][]byte
	for _, name := range keys {
		_, cert, err := a.plan.Keys[name].Read()
		if err != nil {
			return err
		}
		want = append(want, cert.Raw)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		return fmt.Errorf("%d certificates, want those of %q", len(got), keys)
	}
	return nil
}

func (a admin) reset(s plan.Step) error {
	jws := policyjws.UnsignedReset()
	if s.Key != "" {
		signer, err := a.signer(s.Key)
		if err != nil {
			return err
		}
		if jws, err = signer.Reset(); err != nil {
			return err
		}
	}
	answer, err := a.policies(s).Reset(a.ctx, a.plan.Issuer, kermit.Type(s.Type), jws)
	claims, err := a.open(answer.Token, err)
	if err != nil {
		return err
	}
	outcome, _ := claims.String("x-ms-policy-result")
	return equal("result", outcome, "Removed")
}

func (a admin) list(s plan.Step) error {
	answer, err := a.certificates(s).Get(a.ctx, a.plan.Issuer)
	claims, err := a.open(answer.Token, err)
	if err != nil {
		return err
	}
	var set struct{ Keys []struct{ X5c [][]byte } }
	if _, err := claim(claims, "x-ms-policy-certificates", &set); err != nil {
		return err
	}
	var got [][]byte
	for _, k := range set.Keys {
		got = append(got, k.X5c...)
	}
	return a.checkCertificates(got, s.Signers...)
}

func (a admin) change(s plan.Step) error {
	_, cert, err := a.plan.Keys[s.Certificate].Read()
	if err != nil {
		return err
	}
	signer, err := a.signer(s.Key)
	if err != nil {
		return err
	}
	jws, err := signer.PolicyCertificate(cert)
	if err != nil {
		return err
	}
	call, want := a.certificates(s).Add, "IsPresent"
	if s.Do == "remove" {
		call, want = a.certificates(s).Remove, "IsAbsent"
	}
	answer, err := call(a.ctx, a.plan.Issuer, jws)
	claims, err := a.open(answer.Token, err)
	if err != nil {
		return err
	}
	outcome, _ := claims.String("x-ms-policycertificates-result")
	thumbprint, _ := claims.String("x-ms-certificate-thumbprint")
	return errors.Join(equal("result", outcome, want),
		equal("thumbprint", thumbprint, fmt.Sprintf("%X", sha1.Sum(cert.Raw))))
}

func (a admin) attest(s plan.Step) error {
	b, err := os.ReadFile(a.plan.Evidence[s.Type])
	if err != nil {
		return err
	}
	evidence := base64.RawURLEncoding.EncodeToString(b)
	answer, err := kermit.NewClient().AttestSgxEnclave(a.ctx, a.plan.Issuer, kermit.AttestSgxEnclaveRequest{Quote: &evidence})
	_, err = a.open(answer.Token, err)
	return err
}

// noToken asks as somebody whom no token was given.
func (a admin) noToken() error {
	_, err := kermit.NewPolicyClient().Get(a.ctx, a.plan.Issuer, kermit.TypeSgxEnclave)
	return plan.WantRefusal(err, `Status=401 Code="Unauthorized"`)
}

// open verifies a token of the service before it is believed.
func (a admin) open(token *string, err error) (*relyingparty.Token, error) {
	if err != nil {
		return nil, err
	}
	if token == nil {
		return nil, errors.New("answer without token")
	}
	verifier, err := relyingparty.New(relyingparty.Config{Issuer: a.plan.Issuer, AllowDevelopment: true})
	if err != nil {
		return nil, err
	}
	return verifier.Verify(a.ctx, *token)
}

func (a admin) signer(name string) (*policyjws.KeySigner, error) {
	key, cert, err := a.plan.Keys[name].Read()
	if err != nil {
		return nil, err
	}
	return policyjws.NewKeySigner(key, []*x509.Certificate{cert}, "")
}

// sign makes the JWS of a policy, unsigned without a key.
func (a admin) sign(key string, text []byte) (string, error) {
	if key == "" {
		return policyjws.UnsignedPolicy(text)
	}
	signer, err := a.signer(key)
	if err != nil {
		return "", err
	}
	return signer.Policy(text)
}

func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}

// claim reads a claim that is an object, if it is there.
func claim(token *relyingparty.Token, name string, to any) (bool, error) {
	value, ok := token.JSON(name)
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(value, to)
}
