// Package policy is the attestation policy language of the service, versions 1.0 to 1.2: it reads policy texts,
// checks them, and evaluates them over the claims that verified evidence yielded. The language is specified in
// policy.md, sections 2 to 7; docs/policy.md is the reference for people who write policies.
//
// The way of a policy is text, tokens (lex.go), syntax tree (parse.go), static checks (check.go), program
// (compile.go), evaluation (machine.go), with its functions (functions.go). Evaluation is a pure function of the program, the claims and a budget of
// steps: it reads no clock, performs no input or output, and never depends on the order of a map. A Policy is
// immutable and may be used by any number of goroutines.
//
// The package knows nothing of evidence, of HTTP, or of how a policy is signed and stored.
package policy

import (
	"crypto/sha256"
	"encoding/base64"
)

// Policy is a policy text that parsed and passed the static checks, compiled for evaluation.
type Policy struct {
	text    string
	tree    *policyNode
	program program
}

// Parse reads a policy: UTF-8 text of at most MaxText bytes, with or without a byte-order mark. The error is of type
// Errors: every independent error of the text in the order of its position, MaxErrors at most. Versions other than
// 1.0, 1.1 and 1.2 are refused (policy.md sections 2 and 3).
func Parse(text []byte) (*Policy, error) {
	if len(text) > MaxText {
		return nil, tooLong(len(text))
	}
	source := string(text)
	p := newParser(source)
	tree := p.policy()
	check(&p.reporter, tree)
	if err := p.err(); err != nil {
		return nil, err
	}
	return &Policy{text: source, tree: tree, program: compile(source, tree)}, nil
}

// Version returns the version that the policy's first line declares.
func (p *Policy) Version() (major, minor int) { return p.tree.version.major, p.tree.version.minor }

// Text returns a copy of the text that the policy was parsed from, byte for byte.
func (p *Policy) Text() []byte { return []byte(p.text) }

// Size returns how many bytes the text has.
func (p *Policy) Size() int { return len(p.text) }

// Hash returns the policy's hash as tokens carry it; see the function Hash.
func (p *Policy) Hash() string { return Hash([]byte(p.text)) }

// Hash returns the claim x-ms-policy-hash of a policy text, which need not parse: the SHA-256 of the text's
// base64url form, itself in base64url, both without padding (policy.md section 10.2).
func Hash(text []byte) string {
	encoded := base64.RawURLEncoding.AppendEncode(nil, text)
	sum := sha256.Sum256(encoded)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
