package policy

// The limits of a policy and of its evaluation. Those above MaxSteps are limits of the specification under the names in
// parentheses; policy.md section 13 says what breaking one of them is.
const (
	// MaxText is how many bytes a policy text may have (policy_text).
	MaxText = 1 << 20
	// MaxRules is how many rules a policy may have in all its sections (policy_rules).
	MaxRules = 4096
	// MaxConditions is how many conditions a rule may have (rule_conditions).
	MaxConditions = 64
	// MaxNesting is how deep expressions may nest (policy_expr_nesting).
	MaxNesting = 32
	// MaxClaims is how many claims the incoming set may have, those that rules add included (incoming_claims).
	MaxClaims = 100_000

	// MaxStrings is how many bytes all strings that functions make in one evaluation may have (function_string_bytes).
	MaxStrings = 64 << 20

	// MaxSteps is how many steps an evaluation may take. A comparison of a claim's property with a literal is one
	// step, with a label's property up to stepsPerMember more; a member of a label's property and a claim that a rule
	// makes or copies are stepsPerMember each, twice for one that is issued; a string costs one more step for each
	// bytesPerStep bytes, and that for each member of a small set in which it is looked for. Functions pay for what they
	// look at and make, JMESPath queries about two steps for each part of the query that meets a value. The figure
	// allows hundreds of conditions on each of MaxClaims claims, and all published policies of version 1.2 together on a list
	// of 100,000 measurements. It bounds the time, and a policy written
	// to be slow stops at the same place on every machine.
	MaxSteps = 60_000_000
	// MaxValues is how many bytes of memory the values may take that functions read from JSON and that queries make on
	// their way, all counted that ever were, and those of the labels of the rule at hand. A list of 100,000 measurements takes half of it.
	MaxValues = 192 << 20
	// MaxIssued is how many bytes the names and values of all issued claims may have, each claim counted once and for
	// bytesPerClaim more; a token of the real service has a few hundred. It keeps a small policy from making a large
	// token.
	MaxIssued = 1 << 20
	// MaxErrors is how many errors Parse reports before it gives up.
	MaxErrors = 32
)

// The prices of MaxSteps.
const (
	stepsPerMember = 16
	bytesPerStep   = 64
)

// bytesPerMember is what a member of a set of values costs of MaxValues.
const bytesPerMember = 144

// bytesPerClaim is what an issued claim costs of MaxIssued beside its name and its string: a number is not free.
const bytesPerClaim = 128

// Budget limits one evaluation. A field that is zero or less stands for the limit that its comment names.
type Budget struct {
	Claims  int             // claims in the incoming set; MaxClaims
	Steps   int             // evaluation steps; MaxSteps
	Strings int             // bytes of strings made by functions; MaxStrings
	Values  int             // bytes of values read and made by functions; MaxValues
	Done    <-chan struct{} // the evaluation ends with an error when it is closed; nil: never
}

func (b Budget) withDefaults() Budget {
	if b.Claims <= 0 {
		b.Claims = MaxClaims
	}
	if b.Strings <= 0 {
		b.Strings = MaxStrings
	}
	if b.Values <= 0 {
		b.Values = MaxValues
	}
	if b.Steps <= 0 {
		b.Steps = MaxSteps
	}
	return b
}
