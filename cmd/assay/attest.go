package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/relyingparty"
)

// attestation is one run of attest: its flags, and what they name.
type attestation struct {
	kind      evidence.Type
	evidence  []byte
	from      collection
	collected *collectedReport // nil: the evidence is from a file
	chain     []byte           // file with the certificates of a report of SEV-SNP; nil: none
	service   remote
	runtime   runtimeData
	nonce     string
	draft     []byte // nil: none
	raw       bool
}

func (a *attestation) declare(c *call) {
	c.remoteVar(&a.service)
	c.runtimeVar(&a.runtime)
	c.chainVar(&a.chain)
	a.from.declare(c)
	c.StringVar(&a.nonce, "nonce", "", "`TEXT` that the token must repeat")
	c.fileVar(&a.draft, "draft-policy", "try the policy in `FILE`; the answer is not signed")
	c.BoolVar(&a.raw, "raw", false, "print the token alone, as it came")
}

// attestBody is the body of an attest request (api.md sections 4 and 7).
type attestBody struct {
	Quote       string    `json:"quote,omitzero"`
	Report      string    `json:"report,omitzero"`
	RuntimeData *dataBody `json:"runtimeData,omitzero"`
	Nonce       string    `json:"nonce,omitzero"`
	Draft       string    `json:"draftPolicyForAttestation,omitzero"`
}

type dataBody struct {
	Data     string `json:"data"`
	DataType string `json:"dataType"`
}

// attestBodyFor makes the body for evidence of a type, which decides how the member is called.
func attestBodyFor(t evidence.Type, b []byte, runtime *runtimeData) *attestBody {
	body := &attestBody{}
	if t == evidence.OpenEnclave || t == evidence.SevSnpVM {
		body.Report = b64.URL(b)
	} else {
		body.Quote = b64.URL(b)
	}
	if runtime.bytes != nil {
		body.RuntimeData = &dataBody{b64.URL(runtime.bytes), "Binary"}
		if runtime.json {
			body.RuntimeData.DataType = "JSON"
		}
	}
	return body
}

// runAttest sends evidence to a service and verifies the answer as a relying party (native.md section 1.4).
func runAttest(ctx context.Context, c *call) error {
	a := &attestation{}
	a.declare(c)
	pos, err := c.parse("TYPE", "[FILE]")
	if err != nil {
		return err
	}
	file, err := a.arguments(c, pos)
	if err != nil {
		return err
	}
	if err := a.sendable(); err != nil {
		return err
	}
	if file == "" {
		err = a.collect(c)
	} else {
		err = a.load(c, file)
	}
	switch {
	case err != nil:
		return err
	case !c.isSet("endpoint"):
		return c.tell(&collectedOnly{a.collected}, nil)
	}
	return a.send(ctx, c)
}

// send sends the evidence to the service, and tells what it answers.
func (a *attestation) send(ctx context.Context, c *call) error {
	if err := a.service.ready(c); err != nil {
		return err
	}
	m, err := a.message()
	if err != nil {
		return err
	}
	token, err := a.service.token(ctx, m)
	if err != nil {
		return c.tellService(err)
	}
	report, err := a.judge(ctx, token)
	report.Token = token
	switch {
	case a.raw && err == nil:
		return c.printRaw(report)
	case a.collected == nil:
		return c.tellToken(report, err)
	}
	c.warnDevelopment(report)
	if err != nil {
		report.Error = problemOf(err)
	}
	return c.tell(&attestReport{*report, a.collected}, err)
}

// sendable refuses what a service would take for absent, so that the answer would not be about it, and what no request
// can hold.
func (a *attestation) sendable() error {
	switch {
	case a.runtime.bytes != nil && len(a.runtime.bytes) == 0:
		return badFile(errors.New("--runtime-data: the file is empty, which is no data to the service: nothing would be bound"))
	case a.draft != nil && len(a.draft) == 0:
		return badFile(errors.New("--draft-policy: the file is empty, which is no policy to the service: none would be tried"))
	case !utf8.Valid(a.draft):
		return badFile(errors.New("--draft-policy: the file is no text in UTF-8"))
	case !utf8.ValidString(a.nonce):
		return usage("--nonce %q: expected text in UTF-8", a.nonce)
	}
	return nil
}

// judge verifies the answer. A draft's answer is not signed and is not verified; any other one must be.
func (a *attestation) judge(ctx context.Context, token string) (*tokenReport, error) {
	report, err := unverified(token)
	if err != nil || a.draft != nil && !report.Signed {
		return report, err
	}
	var requirements []relyingparty.Requirement
	if a.nonce != "" {
		requirements = append(requirements, relyingparty.Claim{Name: "nonce", Value: a.nonce})
	}
	return verified(ctx, a.service.verifier, token, requirements)
}

func (c *call) printRaw(r *tokenReport) error {
	if !r.Signed {
		fmt.Fprintln(c.stderr, "assay: warning: UNSIGNED: the answer to a draft policy proves nothing")
	}
	_, err := fmt.Fprintln(c.stdout, r.Token)
	return err
}

// message makes the request to the service.
func (a *attestation) message() (message, error) {
	body := attestBodyFor(a.kind, a.evidence, &a.runtime)
	body.Nonce, body.Draft = a.nonce, string(a.draft)
	return attestMessage(a.kind, body)
}

func attestMessage(t evidence.Type, body *attestBody) (message, error) {
	m, err := jsonMessage(http.MethodPost, "/attest/"+string(t), body)
	return m.with(apiVersion), err
}
