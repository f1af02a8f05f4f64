package policy

import "github.com/assay-attestation/assay/internal/jmespath"

// WarningCode is a kind of warning.
type WarningCode struct {
	Code    string
	Meaning string // one sentence
}

// The codes of warnings. They are part of the command line's output and do not change.
const (
	unknownClaim     = "unknown-claim"
	claimCase        = "claim-case"
	foreignClaim     = "foreign-claim"
	lateClaim        = "late-claim"
	needsVersion     = "needs-version"
	unverified       = "unverified-claim"
	oldName          = "deprecated-claim"
	missableClaim    = "missable-claim"
	unknownIssuer    = "unknown-issuer"
	untestedIssuer   = "untested-issuer"
	untypedCondition = "untyped-condition"
	wrongType        = "wrong-type"
	wrongFormat      = "wrong-format"
	upperCaseHex     = "upper-case-hex"
	impossibleValue  = "impossible-value"
	jsonValue        = "json-text"
	hexDigest        = jmespath.HexDigest
	badArgument      = "bad-argument"
	contradiction    = "contradiction"
	alwaysTrue       = "always-true"
	permitAlways     = "permit-always"
	noPermit         = "no-permit"
	denyAlways       = "deny-always"
	denyAfterPermit  = "deny-after-permit"
	issueToAdd       = "issue-in-authorization"
	noEffect         = "no-effect"
	issuesReadOnly   = "read-only-claim"
	reservedName     = "reserved-name"
	severalValues    = "several-values"
	unknownProperty  = "unknown-property"
	propertyValue    = "property-value"
	duplicateRule    = "duplicate-rule"
	unusedLabel      = "unused-label"
)

// WarningCodes returns every code of warnings with what it means, in the order of documentation.
func WarningCodes() []WarningCode {
	return []WarningCode{
		{unknownClaim, "A condition asks for a claim that this attestation type never has and no rule before makes."},
		{claimCase, "A condition writes the name of a claim with other upper and lower case letters."},
		{foreignClaim, "A condition asks for a claim that only another attestation type has."},
		{lateClaim, "A condition asks for a claim that only its own rule or later rules make."},
		{needsVersion, "A condition asks for a claim that is there only in later versions of the language."},
		{unverified, "A configuration rule asks for a claim that is known only after the evidence was verified."},
		{oldName, "A condition uses an old name of a claim."},
		{missableClaim, "A deny, or a permit by negation, rests on a claim that may be missing."},
		{unknownIssuer, "A condition asks for an issuer that does not exist, or that makes no claims for this attestation type."},
		{untestedIssuer, "A condition on a claim of the service or of a rule accepts a claim of the client of the same name."},
		{untypedCondition, "A condition without a test of the type stands beside one that has one."},
		{wrongType, "A value is compared with one of another type, or ordered although it is no integer."},
		{wrongFormat, "A claim is compared with a string that does not have the form of its values."},
		{upperCaseHex, "A claim in lower-case hexadecimal digits is compared with upper-case ones."},
		{impossibleValue, "A property is compared with a word that is not in the closed list of its values."},
		{jsonValue, "JSON text, such as JmesPath makes, is compared with something that is none."},
		{hexDigest, "Digests of pcrs, which are base64url, are compared with hexadecimal digits."},
		{jmespath.NumberAsString, "A JMESPath query compares a number with a string."},
		{jmespath.ListNotNull, "A JMESPath query compares a list with null, which no list is."},
		{jmespath.BareWord, "A JMESPath query takes the name of a member for null, true or false."},
		{jmespath.SmallEvents, "A JMESPath query asks for events, where the member is called Events."},
		{jmespath.NotStandard, "A JMESPath query uses what standard JMESPath does not have."},
		{badArgument, "A function gets an argument that it does not take."},
		{contradiction, "Tests or conditions contradict each other."},
		{alwaysTrue, "A test or a condition says nothing, since it always holds."},
		{permitAlways, "The policy permits everything that verifies; a remark rather than a warning."},
		{noPermit, "No rule can permit."},
		{denyAlways, "A deny always fires."},
		{denyAfterPermit, "A deny stands after a permit that always fires."},
		{issueToAdd, "An authorization rule issues a claim, which does not reach the token."},
		{noEffect, "A rule adds a copy of claims that are there."},
		{issuesReadOnly, "A rule issues a claim that must not be issued."},
		{reservedName, "A rule issues a claim under a name that the service gives in the token."},
		{severalValues, "A claim of the token becomes an array, which some relying parties cannot read."},
		{unknownProperty, "A rule sets a property of the token that does not exist."},
		{propertyValue, "A property is set to a value that it cannot have."},
		{duplicateRule, "A rule stands twice."},
		{unusedLabel, "A label is bound and not used."},
	}
}
