package policy

import (
	"fmt"
	"strings"
)

// AttestationType is the claim that names the kind of the attested environment, the only one that configuration
// rules can see (policy.md section 5).
const AttestationType = "x-ms-attestation-type"

// TCBIdentifier is the configuration property of SGX and Open Enclave policies that selects the TCB baseline.
const TCBIdentifier = "x-ms-sgx-tcbidentifier"

// profile is what the language knows of an attestation type.
type profile struct {
	claim      string          // the value of the claim AttestationType (tokens.md section 5.1)
	properties map[string]Kind // that configurationrules may set (policy.md section 6)
}

// profileOf returns the profile of an attestation type under its name in the service's URLs.
func profileOf(attestationType string) (profile, error) {
	known := profile{attestationWord(attestationType), map[string]Kind{}}
	if known.claim == "" {
		return known, fmt.Errorf("unknown attestation type %q", shorten(attestationType, 40))
	}
	for _, p := range Properties(attestationType) {
		if p.Section == configSection.keyword() {
			known.properties[p.Name] = p.Kind
		}
	}
	return known, nil
}

// ParseType finds the attestation type that s names in any case, as the service's URLs spell it; "sgx", "oe", "snp", "tdx"
// and "vbs" are short names. There are more types with policies than with evidence that this version verifies.
func ParseType(s string) (attestationType string, ok bool) {
	switch strings.ToLower(s) {
	case "sgxenclave", "sgx":
		return "SgxEnclave", true
	case "openenclave", "oe":
		return "OpenEnclave", true
	case "sevsnpvm", "snp":
		return "SevSnpVm", true
	case "tdxvm", "tdx":
		return "TdxVm", true
	case "azureguest":
		return "AzureGuest", true
	case "tpm", "vbs":
		return "Tpm", true
	}
	return "", false
}

// TypeNames lists, for a message, the names by which people know the attestation types.
const TypeNames = "sgx, openenclave, snp, tdx, azureguest or tpm"

// TypeOf returns the attestation type, under its name in the service's URLs, whose evidence yields a claim
// AttestationType of the given value, and false for a value that none has. SgxEnclave stands for OpenEnclave too:
// their policies have the same rules (tokens.md section 5.1).
func TypeOf(value Value) (attestationType string, ok bool) {
	for _, name := range []string{"SgxEnclave", "SevSnpVm", "TdxVm", "AzureGuest", "Tpm"} {
		if known, err := profileOf(name); err == nil && StringValue(known.claim) == value {
			return name, true
		}
	}
	return "", false
}

// Configuration is what a policy's configuration rules set for the verification of evidence.
type Configuration struct{ properties []Group }

// Properties returns the properties that were set, in the order of their rules, with one value each. A property that
// is not among them has its default (policy.md section 6).
func (c *Configuration) Properties() []Group { return c.properties }

// TCBBaseline returns the TCB baseline that the policy selects, "azuredefault" if it selects none.
func (c *Configuration) TCBBaseline() string {
	return c.property(TCBIdentifier, StringValue("azuredefault")).text
}

// RequiresAIKCertificate reports whether the attestation key of a TPM needs a valid certificate, as it does unless the policy
// says otherwise.
func (c *Configuration) RequiresAIKCertificate() bool {
	valid, _ := c.property(requireValidAIK, BooleanValue(true)).Bool()
	return valid
}

// RequiredPCRs returns which PCRs must be quoted, bit n for PCR n: all 24 unless the policy says otherwise. The error is an
// *EvaluationError, of bits that stand for no PCR.
func (c *Configuration) RequiredPCRs() (uint32, error) {
	mask, _ := c.property(requiredPCRs, IntegerValue(allPCRs)).Int()
	if mask < 0 || mask > allPCRs {
		return 0, &EvaluationError{Err: fmt.Errorf("the configuration property %s is %d: bits 0 to 23 stand for the PCRs of a TPM", requiredPCRs, mask)}
	}
	return uint32(mask), nil
}

// property returns what a property was set to, its default if it was not.
func (c *Configuration) property(name string, otherwise Value) Value {
	for _, g := range c.properties {
		if g.Type == name {
			return g.Values[0]
		}
	}
	return otherwise
}

// Configures reports whether the policy has configuration rules, whose meaning depends on the attestation type.
func (p *Policy) Configures() bool { return len(p.program.rules[configSection]) > 0 }

// Configure runs the configuration rules, which happens before evidence is verified, and so on a set that holds the
// claim AttestationType only. attestationType is the name of the service's URLs: "SgxEnclave". A property that this
// attestation type does not have, of another type, or with two values is an *EvaluationError. The budget is one for these
// rules alone.
func (p *Policy) Configure(attestationType string, budget Budget) (*Configuration, error) {
	return p.configure(attestationType, budget, nil)
}

func (p *Policy) configure(attestationType string, budget Budget, t *tracer) (*Configuration, error) {
	known, err := profileOf(attestationType)
	if err != nil {
		return nil, err
	}
	m := newMachine(&p.program, []Claim{{Type: AttestationType, Value: StringValue(known.claim), Issuer: AttestationService}}, budget)
	m.trace = t
	rules := p.program.rules[configSection]
	chosen := settings{properties: known.properties}
	for i := range rules {
		before := len(m.property.members)
		if _, err := m.run(&rules[i]); err != nil {
			return nil, err
		}
		for _, c := range m.property.members[before:] {
			if err := chosen.set(c.Type, c.Value); err != nil {
				return nil, &EvaluationError{Rule: rules[i].at, Err: err}
			}
		}
	}
	return &Configuration{group(m.property.members)}, nil
}

// settings checks configuration properties as they are set.
type settings struct {
	properties map[string]Kind
	values     map[string]Value
}

// set checks one property against the attestation type and against what was set before.
func (s *settings) set(name string, v Value) error {
	if err := s.allowed(name, v); err != nil {
		return err
	}
	if s.values == nil {
		s.values = map[string]Value{}
	}
	if other, ok := s.values[name]; ok && other != v {
		return fmt.Errorf("the configuration property %s is set to %s and to %s", name, other.short(), v.short())
	}
	s.values[name] = v
	return nil
}

func (s *settings) allowed(name string, v Value) error {
	kind, ok := s.properties[name]
	switch {
	case !ok && len(s.properties) == 0:
		return fmt.Errorf("unknown configuration property %q: this attestation type has none", shorten(name, 80))
	case !ok:
		return fmt.Errorf("unknown configuration property %q for this attestation type", shorten(name, 80))
	case kind != v.kind:
		return fmt.Errorf("the configuration property %s must be %v, found the %v %s", name, kind, v.kind, v.short())
	}
	return nil
}

// CheckFor checks the policy for use with an attestation type, as a policy is checked when it is stored: what
// Configure would find wrong in any case is found here. The error is of type Errors.
func (p *Policy) CheckFor(attestationType string) error {
	known, err := profileOf(attestationType)
	if err != nil {
		return err
	}
	c := configChecker{
		reporter: reporter{source: p.text, path: []string{
			"policy", "configSection", "configRule", "propertyAction", "claimArg", "assign", "expr"}},
		settings: settings{properties: known.properties},
	}
	for _, s := range p.tree.sections {
		for i := range s.rules {
			if s.kind == configSection {
				c.rule(&s.rules[i])
			}
		}
	}
	return c.err()
}

// configChecker checks configuration rules as far as literals tell what they will do.
type configChecker struct {
	reporter
	settings // of the rules without conditions
}

// rule checks the property that a rule sets. Values of rules with conditions may exclude each other, so that they are
// not compared.
func (c *configChecker) rule(r *ruleNode) {
	var name, value literalNode
	for _, a := range r.action.assigns {
		switch l, _ := a.right.(literalNode); a.property.name {
		case "type":
			name = l
		case "value":
			value = l
		}
	}
	switch _, known := c.properties[name.value.text]; {
	case name.start.raw == "":
	case !known:
		c.reportError(name.start, c.allowed(name.value.text, value.value))
	case value.start.raw == "":
	case len(r.conditions) > 0:
		c.reportError(value.start, c.allowed(name.value.text, value.value))
	default:
		c.reportError(value.start, c.set(name.value.text, value.value))
	}
}

func (c *configChecker) reportError(at token, err error) {
	if err != nil {
		c.report(at, "%v", err)
	}
}
