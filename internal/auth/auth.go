// Package auth says who is calling and what they may do (api.md section 5, management.md section 7). Callers come with a
// bearer token of a configured OpenID Connect issuer, such as Entra, or with a client certificate; rules of the
// configuration turn what is proven about them into roles on providers. In development mode there is a built-in issuer,
// too (native.md section 2).
package auth

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// Permission is what an operation asks for. The zero value is granted to nobody.
type Permission int

// The permissions: three of the data plane, one of the resource manager.
const (
	Read   Permission = iota + 1 // policies, certificates and explanations; attesting where a token is required
	Write                        // setting policies, adding certificates
	Delete                       // resetting policies, removing certificates
	Manage                       // creating, changing and deleting providers
)

// String is the name of the permission in Azure.
func (p Permission) String() string {
	const provider = "Microsoft.Attestation/attestationProviders/"
	switch p {
	case Read:
		return provider + "attestation/read"
	case Write:
		return provider + "attestation/write"
	case Delete:
		return provider + "attestation/delete"
	case Manage:
		return provider + "*"
	}
	return fmt.Sprintf("permission %d", int(p))
}

// Role is a set of permissions. The zero value has none.
type Role string

// The roles: Azure's Attestation Reader and Attestation Contributor, and one that may also manage the provider itself.
const (
	Reader      Role = "reader"      // Read
	Contributor Role = "contributor" // Read, Write, Delete
	Owner       Role = "owner"       // all
)

// ParseRole reads the name of a role, letter by letter.
func ParseRole(name string) (Role, error) {
	switch r := Role(name); r {
	case Reader, Contributor, Owner:
		return r, nil
	}
	return "", fmt.Errorf("expected a role (%s, %s or %s), found %q", Reader, Contributor, Owner, name)
}

// May reports whether the role has the permission.
func (r Role) May(p Permission) bool {
	switch r {
	case Reader:
		return p == Read
	case Contributor:
		return p == Read || p == Write || p == Delete
	case Owner:
		return p >= Read && p <= Manage
	}
	return false
}

// AllProviders stands in a Grant for every provider, also those to come.
const AllProviders = "*"

// Grant is a role on providers.
type Grant struct {
	Role      Role
	Providers []string // names, compared without case, or AllProviders; none: nothing is granted
}

func (g Grant) covers(provider string) bool {
	provider = strictjson.LowerASCII(provider)
	return slices.ContainsFunc(g.Providers, func(name string) bool { return strictjson.LowerASCII(name) == provider })
}

// check reports what keeps the grant from being one.
func (g Grant) check() error {
	if _, err := ParseRole(string(g.Role)); err != nil {
		return err
	}
	if len(g.Providers) == 0 {
		return fmt.Errorf("no providers: name them, or %q for all", AllProviders)
	}
	for _, name := range g.Providers {
		if name != AllProviders && !isProviderName(name) {
			return fmt.Errorf("provider %q: expected %d to %d of A-Z, a-z, 0-9 and -, or %q for all",
				name, minProviderName, maxProviderName, AllProviders)
		}
	}
	return nil
}

// Lengths of a provider's name (management.md section 3).
const (
	minProviderName = 3
	maxProviderName = 24
)

func isProviderName(s string) bool {
	other := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
	}
	return len(s) >= minProviderName && len(s) <= maxProviderName && !strings.ContainsFunc(s, other)
}

// Method is how a caller proved who it is.
type Method string

// The methods.
const (
	Bearer      Method = "bearer"
	Certificate Method = "certificate"
)

// Caller is somebody who proved who it is, and what it may do. Only an Authenticator makes one. Nil is the anonymous
// caller, who may do nothing that needs a permission.
//
// Every text is valid UTF-8 of at most MaxText bytes, all of them printable.
type Caller struct {
	ID       string // oid, or else sub, of the token; SHA-256 of the certificate in hex
	Name     string // upn, preferred_username or sub; the subject of the certificate. For people only: others may choose it
	ClientID string // appid or azp: the application that calls; empty for a certificate
	Issuer   string // iss of the token; the issuer of the certificate
	Method   Method
	// Note says why the caller may have less than expected: a sentence for the message of a refusal. It is mostly empty.
	Note string

	grants []Grant
}

// May reports whether the caller has the permission on the provider of that name, which is compared without case.
func (c *Caller) May(provider string, p Permission) bool {
	if c == nil || provider == "" {
		return false
	}
	return slices.ContainsFunc(c.grants, func(g Grant) bool {
		return g.Role.May(p) && (g.covers(AllProviders) || g.covers(provider))
	})
}

// MayAll reports whether the caller has the permission on every provider, also those to come.
func (c *Caller) MayAll(p Permission) bool { return c.May(AllProviders, p) }

// MayAny reports whether the caller has the permission on some provider, which need not be there: it is what asking which ones
// there are needs.
func (c *Caller) MayAny(p Permission) bool {
	return c != nil && slices.ContainsFunc(c.grants, func(g Grant) bool { return g.Role.May(p) && len(g.Providers) > 0 })
}

// MaxText is the most bytes that a text of a Caller has.
const MaxText = 256

// String names the caller in a log, in at most MaxText bytes.
func (c *Caller) String() string {
	if c == nil {
		return "anonymous"
	}
	s := string(c.Method) + " " + c.ID
	if c.Name != "" && c.Name != c.ID {
		s += " (" + c.Name + ")"
	}
	return clean(s)
}

// clean cuts s to MaxText bytes, and replaces everything that is not printable.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "") // what the cut has halved
	}
	return s
}
