package policytest

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/assay-attestation/assay/policy"
)

// claimSet is claims as a test file gives them.
type claimSet struct {
	given  bool
	claims []policy.Claim
	types  map[string]bool // all that are named, with claims or without
}

// with returns the claims of s and then those of own, which replace those of their types.
func (s *claimSet) with(own *claimSet) []policy.Claim {
	claims := slices.DeleteFunc(slices.Clone(s.claims), func(c policy.Claim) bool { return own.types[c.Type] })
	return append(claims, own.claims...)
}

func (s *claimSet) add(c policy.Claim) {
	s.claims = append(s.claims, c)
	s.name(c.Type)
}

// name notes that a type is named.
func (s *claimSet) name(claimType string) {
	if s.types == nil {
		s.types = map[string]bool{}
	}
	s.types[claimType] = true
}

// claimsVar makes a reader of claims in one of three forms: the name of a claims file, a list of claims as in such a
// file, or a mapping of types to values.
func (f *testFile) claimsVar(s *claimSet) func(ast.Node) error {
	return func(n ast.Node) error {
		s.given = true
		switch n := n.(type) {
		case *ast.StringNode:
			return f.readClaimsFile(n, s)
		case *ast.SequenceNode:
			return s.readList(n)
		case *ast.MappingNode:
			return s.readMapping(n)
		}
		return wrong(n, "claims: expected a file's name, a list of claims or a mapping of types to values, found %s", describe(n))
	}
}

func (f *testFile) readClaimsFile(n ast.Node, s *claimSet) error {
	path, err := f.path(n)
	if err != nil {
		return err
	}
	b, err := readRegular(path, MaxClaimsFile)
	if err != nil {
		return wrong(n, "claims: %w", err)
	}
	claims, err := policy.ParseClaims(b)
	if err != nil {
		return wrong(n, "claims: %s: %w", path, err)
	}
	for _, c := range claims {
		s.add(c)
	}
	return nil
}

func (s *claimSet) readList(n *ast.SequenceNode) error {
	for _, element := range n.Values {
		c := policy.Claim{Issuer: policy.AttestationService}
		hasValue := false
		if err := (readers{
			"type": textVar(&c.Type), "issuer": issuerVar(&c.Issuer),
			"value": func(n ast.Node) (err error) { c.Value, err = valueOf(n); hasValue = true; return err },
		}).read(element); err != nil {
			return err
		}
		if c.Type == "" || !hasValue {
			return wrong(element, "expected a claim with the members type and value")
		}
		s.add(c)
	}
	return nil
}

func issuerVar(i *policy.Issuer) func(ast.Node) error {
	known := []policy.Issuer{policy.AttestationService, policy.AttestationPolicy, policy.CustomClaim, policy.ReferenceValue}
	return func(n ast.Node) error {
		text, err := textOf(n)
		if *i = policy.Issuer(text); err == nil && !slices.Contains(known, *i) {
			err = wrong(n, "expected one of %v, found %.40q", known, text)
		}
		return err
	}
}

// readMapping reads claims of the service as types with a value or a list of values each. An empty list names a type
// without a claim of it.
func (s *claimSet) readMapping(n ast.Node) error {
	return eachMember(n, "claims", func(key *ast.StringNode, value ast.Node) error {
		s.name(key.Value)
		elements, _ := elementsOf(value)
		for _, element := range elements {
			v, err := valueOf(element)
			if err != nil {
				return err
			}
			s.add(policy.Claim{Type: key.Value, Value: v, Issuer: policy.AttestationService})
		}
		return nil
	})
}
