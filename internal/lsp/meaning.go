package lsp

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assay-attestation/assay/policy"
)

// keywordMeaning says in a sentence what a reserved word or a mark does in a section, or nothing for other words.
func keywordMeaning(word, section string) string {
	switch strings.ToLower(word) {
	case "version":
		return "The version of the language: 1.0, 1.1 with configurationrules, 1.2 with functions and negation too."
	case "configurationrules":
		return "Rules that run before the evidence is verified and set properties of the verification."
	case "authorizationrules":
		return "Rules that decide: any deny refuses, and without a permit nothing is accepted."
	case "issuancerules":
		return "Rules that make the claims of the token, once the evidence is accepted."
	case "true", "false":
		return "A Boolean value."
	case "=>":
		return "What follows is done if all conditions before it hold; a rule without conditions always fires."
	case "&&":
		return "Both conditions must hold. Different claims may satisfy them."
	case "!":
		return "The condition holds if no claim satisfies it (version 1.2)."
	}
	return verbMeaning(word, section) + propertyMeaning(word)
}

// verbMeaning says what an action does.
func verbMeaning(verb, section string) string {
	switch verb {
	case "permit":
		return "Remembers a permit; later rules run, and any deny counts more."
	case "deny":
		return "Remembers a deny, which refuses whatever other rules say; later rules run."
	case "add":
		return "Adds a claim that later rules see; it does not reach the token."
	case "issue":
		if section == "authorizationrules" {
			return "The same as add here: nothing of this section reaches the token."
		}
		return "Adds a claim that later rules see, and puts it into the token."
	case "issueproperty":
		if section == "configurationrules" {
			return "Sets a property of the verification."
		}
		return "Sets a property of the token; only those of type Tpm have some."
	}
	return ""
}

// propertyMeaning says what a property of a claim is.
func propertyMeaning(word string) string {
	switch strings.ToLower(word) {
	case "type":
		return "The name of a claim."
	case "value":
		return "The value of a claim: a String, an Integer of 64 bits or a Boolean."
	case "valuetype":
		return `The type of a claim's value: "String", "Integer" or "Boolean".`
	case "issuer":
		return `Who made a claim: "AttestationService", "AttestationPolicy", "CustomClaim" or "ReferenceValue".`
	case "claim":
		return "Copies all claims of a label, with their issuer."
	}
	return ""
}

// propertyName returns the spelling of a property.
func propertyName(word string) string {
	if word == "valuetype" {
		return "valueType"
	}
	return word
}

// issuerMeaning says who an issuer is.
func issuerMeaning(name string) string {
	switch policy.Issuer(name) {
	case policy.AttestationService:
		return "The service made the claim, from evidence that it verified."
	case policy.AttestationPolicy:
		return "A rule of the policy made the claim."
	case policy.CustomClaim:
		return "The client sent the claim; nothing vouches for it."
	case policy.ReferenceValue:
		return "The claim says what the provider's reference values are, or which the evidence matches; it cannot be issued."
	}
	return ""
}

func claimNamed(attestationType, name string) (policy.ClaimInfo, bool) {
	for _, c := range slices.Concat(policy.Claims(attestationType), policy.ReferenceClaims(attestationType)) {
		if c.Name == name {
			return c, true
		}
	}
	return policy.ClaimInfo{}, false
}

func propertyNamed(attestationType, name string) (policy.PropertyInfo, bool) {
	for _, p := range policy.Properties(attestationType) {
		if p.Name == name {
			return p, true
		}
	}
	return policy.PropertyInfo{}, false
}

// sentence gives a text a capital letter and a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(s[size:], ".") + "."
}

// lineOf is the number of an offset's line, as people count.
func (d *document) lineOf(offset int) string {
	return strconv.Itoa(int(d.position(offset).Line) + 1)
}
