package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// The claims of result tokens (api.md sections 8 and 9).
const (
	claimPolicy             = "x-ms-policy"
	claimPolicyResult       = "x-ms-policy-result"
	claimPolicyTokenHash    = "x-ms-policy-token-hash"
	claimPolicyCertificates = "x-ms-policy-certificates"
	claimThumbprint         = "x-ms-certificate-thumbprint"
	claimCertificatesResult = "x-ms-policycertificates-result"
)

// remotePolicy is the policy of a service for one attestation type.
type remotePolicy struct {
	remote
	kind string
}

// managedVar declares the flags of a service that is to be managed. What it answers may be older or younger than the clock here
// says by the most that is ever allowed: a change that is made is not undone by a clock.
func (c *call) managedVar(r *remote) {
	c.remoteVar(r)
	r.leeway = result.MaxLeeway
}

// parse reads the arguments of a command about a policy of a service.
func (p *remotePolicy) parse(c *call, names ...string) ([]string, error) {
	c.managedVar(&p.remote)
	c.policyTypeVar(&p.kind)
	pos, err := c.parse(append(names, "--endpoint", "--type")...)
	if err != nil {
		return nil, err
	}
	return pos, p.ready(c)
}

// storedPolicy is the result of policy get.
type storedPolicy struct {
	Type       string             `json:"type"`
	Policy     *string            `json:"policy,omitzero"` // the text; none: no policy is set, and there is no default
	JWS        string             `json:"jws"`             // byte for byte as uploaded
	PolicyHash string             `json:"policyHash,omitzero"`
	TokenHash  string             `json:"policyTokenHash"`
	Signer     *certificateReport `json:"signer,omitzero"`
	Verified   bool               `json:"verified,omitzero"` // its signature and chain; whose key it is, the service judges
	Default    bool               `json:"default,omitzero"`  // it is the built-in default, word for word
}

// runPolicyGet fetches a policy and prints it.
func runPolicyGet(ctx context.Context, c *call) error {
	var p remotePolicy
	asJWS := c.Bool("jws", false, "print the JWS as it was uploaded, byte for byte, instead of the text in it")
	if _, err := p.parse(c); err != nil {
		return err
	}
	if *asJWS && c.json {
		return usage("--jws and --json exclude each other: the JSON has the JWS too")
	}
	token, err := p.result(ctx, message{method: http.MethodGet, path: "/policies/" + p.kind}.with(apiVersion))
	if err != nil {
		return c.tellService(err)
	}
	jws, ok := token.String(claimPolicy)
	if !ok {
		return &serviceError{err: fmt.Errorf("the service answered without the claim %s", claimPolicy)}
	}
	if *asJWS {
		_, err := fmt.Fprint(c.stdout, jws)
		return err
	}
	stored, err := p.describe(jws)
	if err != nil {
		return fmt.Errorf("the policy cannot be read (--jws prints it as it is): %w", err)
	}
	return c.tellStored(stored)
}

// describe opens a stored JWS. Clients of 2018-09-01-preview have put plain text into some.
func (p *remotePolicy) describe(jws string) (*storedPolicy, error) {
	parsed, err := policyjws.Parse([]byte(jws), policyjws.Options{PlainText: true})
	if err != nil {
		return nil, err
	}
	s := &storedPolicy{Type: p.kind, JWS: jws, PolicyHash: parsed.PolicyHash(), TokenHash: parsed.TokenHash()}
	if parsed.Signed() {
		_, err := parsed.Verify()
		s.Signer, s.Verified = reportCertificate(parsed.Certificates()[0]), err == nil
	}
	if text, ok := parsed.Text(); ok {
		whole := string(text)
		s.Policy, s.Default = &whole, bytes.Equal(text, policy.Default(p.kind))
	}
	return s, nil
}

// tellStored prints the text on standard output and the rest on standard error, so that the text can go to a file.
func (c *call) tellStored(s *storedPolicy) error {
	if c.json {
		return c.tell(s, nil)
	}
	s.print(sheet{w: c.stderr}, nil)
	switch {
	case s.Policy == nil:
		return nil
	case c.terminal:
		printLines(c.sheet(), *s.Policy, "")
		return nil
	}
	_, err := fmt.Fprint(c.stdout, *s.Policy)
	return err
}

func (s *storedPolicy) print(out sheet, _ error) {
	switch {
	case s.Policy == nil:
		out.heading(yellow, "NOT SET", s.Type+": there is no policy and no default: the service attests none")
		return
	case s.Default:
		out.heading(green, "DEFAULT", s.Type+": the built-in policy")
	default:
		out.heading(green, "SET", s.Type)
	}
	signature := ""
	switch {
	case s.Verified:
		signature = "verifies; whose key it is, the service judges"
	case s.Signer != nil:
		signature = "does not verify here"
	}
	rows := []row{{"policy hash", s.PolicyHash}, {"token hash", s.TokenHash}, {"signature", signature}}
	out.rows(append(rows, s.Signer.rows("signer", 1)...)...)
}

// policyChange is the result of policy set and policy reset.
type policyChange struct {
	Type       string             `json:"type"`
	Result     string             `json:"result"` // Updated or Removed, as the service says
	PolicyHash string             `json:"policyHash,omitzero"`
	TokenHash  string             `json:"policyTokenHash,omitzero"` // of what was sent, which the service confirms
	Signer     *certificateReport `json:"signer,omitzero"`
	Warnings   []policyWarning    `json:"warnings,omitzero"`
}

func (p *policyChange) print(s sheet, _ error) {
	if p.Result == "Removed" {
		s.heading(green, "RESET", p.Type+": the default is in force")
		return
	}
	s.heading(green, "SET", p.Type)
	s.rows(append([]row{{"policy hash", p.PolicyHash}, {"token hash", p.TokenHash}}, p.Signer.rows("signer", 1)...)...)
}

// runPolicySet puts a policy in force, after checking it as the service does.
func runPolicySet(ctx context.Context, c *call) error {
	var p remotePolicy
	var s signing
	s.declareKey(c)
	pos, err := p.parse(c, "FILE")
	if err == nil {
		err = s.pair()
	}
	if err != nil {
		return err
	}
	s.kind, s.file = p.kind, pos[0]
	jws, report, err := s.prepare(c)
	if err != nil {
		return err
	}
	m := message{method: http.MethodPut, path: "/policies/" + p.kind, kind: textBody, body: []byte(jws.String())}
	token, err := p.result(ctx, m.with(apiVersion))
	if err == nil {
		err = claim(token, claimPolicyResult, "Updated")
	}
	if err == nil {
		err = claim(token, claimPolicyTokenHash, jws.TokenHash())
	}
	if err != nil {
		return c.tellService(err)
	}
	change := &policyChange{Type: p.kind, Result: "Updated", PolicyHash: jws.PolicyHash(), TokenHash: jws.TokenHash(), Warnings: report.Warnings}
	if jws.Signed() {
		change.Signer = reportCertificate(jws.Certificates()[0])
	}
	return c.tell(change, nil)
}

// prepare reads the file, which holds a policy or a JWS that is to be sent as it is, and makes what to send. What the service
// would refuse is told here, and not sent.
func (s *signing) prepare(c *call) (*policyjws.Parsed, *policyReport, error) {
	b, err := c.read(s.file)
	if err != nil {
		return nil, nil, err
	}
	text, err := policyjws.Text(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.file, err)
	}
	isJWS := !bytes.Equal(text, b)
	if isJWS && !s.unsigned {
		return nil, nil, fmt.Errorf("%s is a JWS already: send it without --key and --cert, or take the policy out of it with assay policy unsign", s.file)
	}
	report, err := checkPolicy(text, s.kind)
	report.file, report.JWS = s.file, isJWS
	if err != nil {
		return nil, nil, c.tell(report, err)
	}
	for _, w := range report.Warnings {
		c.warn("%s:%d:%d: %s [%s]", s.file, w.Line, w.Column, w.Message, w.Code)
	}
	if !isJWS {
		if b, err = s.make(text); err != nil {
			return nil, nil, err
		}
	}
	jws, err := policyjws.Parse(b, policyjws.Options{})
	return jws, report, err
}

// make makes the JWS of a policy, or without a text of a reset.
func (s *signing) make(text []byte) ([]byte, error) {
	signer, err := s.signer()
	if err != nil {
		return nil, badFile(err)
	}
	jws, err := s.jws(signer, text)
	return []byte(jws), err
}

// runPolicyReset brings the default policy back.
func runPolicyReset(ctx context.Context, c *call) error {
	var p remotePolicy
	s := signing{reset: true}
	s.declareKey(c)
	_, err := p.parse(c)
	if err == nil {
		err = s.pair()
	}
	if err != nil {
		return err
	}
	body, err := s.make(nil)
	if err != nil {
		return err
	}
	m := message{method: http.MethodPost, path: "/policies/" + p.kind + ":reset", kind: textBody, body: body}
	token, err := p.result(ctx, m.with(apiVersion))
	if err == nil {
		err = claim(token, claimPolicyResult, "Removed")
	}
	if err != nil {
		return c.tellService(err)
	}
	change := &policyChange{Type: p.kind, Result: "Removed"}
	if len(s.chain) > 0 {
		change.Signer = reportCertificate(s.chain[0])
	}
	return c.tell(change, nil)
}
