package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/internal/policyjws"
)

// signing is a call of policy sign.
type signing struct {
	file            string // of the policy; empty with reset
	kind            string // attestation type; empty: any
	key             crypto.Signer
	chain           []*x509.Certificate
	algorithm, out  string
	reset, unsigned bool
}

// runPolicySign makes the JWS of a policy that parses (policy.md section 10).
func runPolicySign(_ context.Context, c *call) error {
	var s signing
	s.declare(c)
	pos, err := c.parse("[FILE]")
	if err == nil {
		err = s.complete(c, pos)
	}
	if err != nil {
		return err
	}
	signer, err := s.signer()
	if err != nil {
		return badFile(err)
	}
	text, err := s.policy(c)
	if err != nil {
		return err
	}
	jws, err := s.jws(signer, text)
	if err != nil {
		return err
	}
	return s.tell(c, jws)
}

func (s *signing) declare(c *call) {
	c.policyTypeVar(&s.kind)
	s.declareKey(c)
	c.BoolVar(&s.unsigned, "unsigned", false, "make an unsigned JWS")
	c.BoolVar(&s.reset, "reset", false, "take the policy back instead of setting one")
	c.StringVar(&s.out, "out", "", "write to `FILE`")
}

// declareKey declares the flags of the key to sign with.
func (s *signing) declareKey(c *call) {
	c.keyVar(&s.key, "key", "private key in `FILE`: PEM of PKCS #8, PKCS #1 or SEC 1")
	c.certificatesVar(&s.chain, "cert", "certificate of the key in `FILE`, and behind it those above it: PEM")
	c.StringVar(&s.algorithm, "alg", "", "sign with `ALG`: RS256, PS256, ES256, … (default: what the key is made for)")
}

// pair checks that the flags of the key go together. Without any of them nothing is signed.
func (s *signing) pair() error {
	s.unsigned = s.key == nil && s.chain == nil
	switch {
	case s.unsigned && s.algorithm != "":
		return usage("--alg goes with --key")
	case s.unsigned || s.key != nil && s.chain != nil:
		return nil
	case s.key == nil:
		return usage("--key is missing: --cert goes with it")
	}
	return usage("--cert is missing: --key goes with it")
}

// complete checks that the flags go together.
func (s *signing) complete(c *call, pos []string) error {
	for _, with := range []string{"key", "cert", "alg"} {
		if err := c.exclusive("unsigned", with); s.unsigned && err != nil {
			return err
		}
	}
	if err := c.exclusive("reset", "type"); s.reset && err != nil {
		return err
	}
	switch {
	case s.reset && len(pos) > 0:
		return usage("--reset takes no policy, found %q", pos[0])
	case !s.reset && len(pos) == 0:
		return usage("FILE is missing")
	case !s.unsigned && s.key == nil:
		return usage("--key is missing; without a signature: --unsigned")
	case !s.unsigned && s.chain == nil:
		return usage("--cert is missing")
	}
	if len(pos) > 0 {
		s.file = pos[0]
	}
	return nil
}

// signer checks that key, certificates and algorithm go together. There is none for an unsigned JWS.
func (s *signing) signer() (*policyjws.KeySigner, error) {
	if s.unsigned {
		return nil, nil
	}
	signer, err := policyjws.NewKeySigner(s.key, s.chain, s.algorithm)
	if err != nil {
		return nil, fmt.Errorf("--key, --cert, --alg: %w", err)
	}
	return signer, nil
}

// policy reads the policy and refuses one that a service would. Its errors are told on standard error, since standard
// output is for the JWS.
func (s *signing) policy(c *call) ([]byte, error) {
	if s.reset {
		return nil, nil
	}
	text, err := c.read(s.file)
	if err != nil {
		return nil, err
	}
	if _, err := policyjws.Parse(text, policyjws.Options{PlainText: true}); err == nil {
		return nil, fmt.Errorf("%s is a JWS already: take the policy out of it with assay policy unsign", s.file)
	}
	report, err := checkPolicy(text, s.kind)
	if err == nil {
		return text, nil
	}
	report.file = s.file
	if c.json {
		return nil, c.tell(report, err)
	}
	report.print(sheet{w: c.stderr}, err)
	return nil, told{err}
}

// jws makes the JWS.
func (s *signing) jws(signer *policyjws.KeySigner, text []byte) (string, error) {
	switch {
	case s.unsigned && s.reset:
		return policyjws.UnsignedReset(), nil
	case s.unsigned:
		return policyjws.UnsignedPolicy(text)
	case s.reset:
		return signer.Reset()
	}
	return signer.Policy(text)
}

// tell writes the JWS where it is wanted. To a file goes nothing but the JWS, so that it can be sent as it is.
func (s *signing) tell(c *call, jws string) error {
	report, err := openJWS([]byte(jws), nil)
	if refusal, ok := errors.AsType[*policyjws.Refusal](err); ok && refusal.Reason == policyjws.Chain {
		c.warn("a service may refuse the certificate: %v", err)
	} else if err != nil {
		return err
	} else if cert := s.chain; len(cert) == 1 && string(cert[0].RawIssuer) != string(cert[0].RawSubject) {
		c.warn("the certificate's issuer %s is not in --cert: Microsoft's service wants the chain up to a CA", cert[0].Issuer)
	}
	report.JWS, report.Out, report.Error, report.file = jws, s.out, nil, s.out
	if s.out != "" {
		if err := c.write(s.out, []byte(jws)); err != nil {
			return err
		}
	}
	if c.json || s.out != "" {
		return c.tell(report, nil)
	}
	_, err = fmt.Fprintln(c.stdout, jws)
	return err
}
