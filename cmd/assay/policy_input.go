package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/policytest"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
)

// policyInput is a policy and what it is evaluated over, as the commands take them that show what a policy does.
type policyInput struct {
	file   string         // the policy's
	text   []byte         // of the policy, out of its JWS
	jws    bool           // it came in one
	kind   string         // the attestation type; "" if nothing says it
	over   string         // the file of the claims or of the evidence
	claims []policy.Claim // made of the evidence once it is verified
	// evidence is what the claims are to be made of; nil if they were given.
	evidence *appraisal
	// verification is the report of the evidence with its journal of checks; nil until claims have been asked for.
	verification *evidenceReport
}

// policyFlags are the values of the flags that name a policy and what it is evaluated over.
type policyFlags struct {
	policy, claims, evidence, collateral *string
	kind                                 string
	appraisal                            *appraisal
}

// readPolicyInput reads --policy FILE and either --claims FILE or --evidence FILE, the latter with --type and the flags of
// evidence verify, and the files they name. Without --type, claims say it: x-ms-attestation-type of the service. The
// arguments are parsed; a command declares its own flags before.
func readPolicyInput(c *call) (*policyInput, error) {
	f := &policyFlags{appraisal: &appraisal{}}
	f.policy = c.String("policy", "", "`FILE` of the policy, as text or JWS")
	f.claims = c.String("claims", "", "`FILE` of the claims to evaluate over: a JSON array of {type, value, issuer?}")
	f.evidence = c.String("evidence", "", "`FILE` of the evidence to verify and evaluate over, as evidence verify does")
	f.collateral = f.appraisal.flags(c)
	c.Func("type", "attestation type `T`; of claims, default is what x-ms-attestation-type among them says", func(s string) (err error) {
		f.kind, err = policyType(s)
		return err
	})
	if _, err := c.parse("--policy"); err != nil {
		return nil, err
	}
	if err := f.check(c); err != nil {
		return nil, err
	}
	return f.read(c)
}

// check refuses flags that do not go together.
func (f *policyFlags) check(c *call) error {
	if err := c.exclusive("claims", "evidence"); err != nil {
		return err
	}
	switch {
	case *f.claims == "" && *f.evidence == "":
		return usage("--claims or --evidence is missing")
	case *f.evidence != "" && f.kind == "":
		return usage("--type is missing: evidence does not say it")
	case *f.evidence != "":
		var err error
		if f.appraisal.kind, err = evidenceType(f.kind); err != nil {
			return usage("--type %q: of evidence, %w", f.kind, err)
		}
		return f.appraisal.consistent(c)
	}
	for _, name := range append(strings.Fields(quoteOnly+" "+guestOnly+" "+vtpmOnly), "at", "trust-root", "runtime-data", "runtime-type") {
		if c.isSet(name) {
			return usage("--%s goes with --evidence", name)
		}
	}
	return nil
}

// read reads the files.
func (f *policyFlags) read(c *call) (*policyInput, error) {
	in := &policyInput{file: *f.policy, kind: f.kind, over: *f.claims}
	b, err := c.read(in.file)
	if err != nil {
		return nil, err
	}
	if in.text, err = policyjws.Text(b); err != nil {
		return nil, fmt.Errorf("%s: %w", in.file, err)
	}
	in.jws = !bytes.Equal(in.text, b)
	if *f.evidence == "" {
		return in, in.readClaims(c)
	}
	in.evidence, in.over = f.appraisal, *f.evidence
	return in, in.evidence.read(c, in.over, *f.collateral)
}

func (in *policyInput) readClaims(c *call) error {
	b, err := c.read(in.over)
	if err != nil {
		return err
	}
	if in.claims, err = policy.ParseClaims(b); err != nil {
		return badFile(fmt.Errorf("%s: %w", in.over, err))
	}
	if in.kind == "" {
		in.kind = typeOfClaims(in.claims)
	}
	return nil
}

// typeOfClaims is the attestation type that claims of the service say, "" if they say none or several.
func typeOfClaims(claims []policy.Claim) string {
	found := ""
	for _, c := range claims {
		if c.Type != policy.AttestationType || c.Issuer != policy.AttestationService {
			continue
		}
		kind, ok := policy.TypeOf(c.Value)
		if !ok || found != "" && found != kind {
			return ""
		}
		found = kind
	}
	return found
}

// judge evaluates the policy as the service would.
func (in *policyInput) judge() (*policytest.Outcome, error) {
	o, err := policytest.Subject{Policy: in.text, Type: in.kind, Claims: in.incoming}.Judge()
	if errors.Is(err, policytest.ErrNoType) {
		return nil, usage("--type is missing: %w", err)
	}
	return o, err
}

// incoming returns the claims that the policy sees. Evidence is verified for them, and the verification kept.
func (in *policyInput) incoming(p *policy.Policy, configuration *policy.Configuration) ([]policy.Claim, error) {
	if in.evidence == nil {
		return in.claims, nil
	}
	in.verification = &evidenceReport{Type: in.evidence.kind}
	var err error
	in.claims, err = in.evidence.incoming(in.verification, p, configuration)
	return in.claims, err
}

// incoming verifies the evidence, notes in r what it learns, and returns the claims that the policy would see of it in
// the service. The error is the refusal.
func (in *appraisal) incoming(r *evidenceReport, p *policy.Policy, configuration *policy.Configuration) ([]policy.Claim, error) {
	claims, err := in.appraise(r, p, configuration)
	r.finish(err)
	return claims, err
}

func (in *appraisal) appraise(r *evidenceReport, p *policy.Policy, configuration *policy.Configuration) ([]policy.Claim, error) {
	subject, err := in.verify(r)
	if err != nil {
		return nil, err
	}
	var data *verifier.Data
	if in.runtime.bytes != nil {
		data = &verifier.Data{Bytes: in.runtime.bytes, JSON: in.runtime.json}
	}
	return verifier.Incoming(p, configuration, subject, data)
}

// notes says where the command cannot know what the service would do.
func (in *policyInput) notes(o *policytest.Outcome) []string {
	notes := []string{}
	if in.kind == "" {
		notes = append(notes, "nothing says the attestation type; the policy has no configuration rules that depend on it")
	}
	for _, g := range o.Configuration {
		asked, _ := g.Values[0].Text()
		if in.verification == nil || in.verification.Evaluation == 0 || g.Type != policy.TCBIdentifier {
			continue
		}
		if number := strconv.FormatUint(uint64(in.verification.Evaluation), 10); asked != number && asked != "azuredefault" {
			notes = append(notes, fmt.Sprintf("the policy selects the TCB baseline %s; the evidence was judged by the collateral given, of evaluation %s", asked, number))
		}
	}
	return notes
}
