package auth

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Claims that are read (RFC 7519 section 4.1, and the two versions of Entra's access tokens).
const (
	claimIssuer    = "iss"
	claimAudience  = "aud"
	claimExpires   = "exp"
	claimNotBefore = "nbf"
	claimIssuedAt  = "iat"
	claimSubject   = "sub"
	claimObjectID  = "oid"
	claimUPN       = "upn"                // v1
	claimUsername  = "preferred_username" // v2
	claimAppID     = "appid"              // v1
	claimParty     = "azp"                // v2
	claimScope     = "scp"
	claimElsewhere = "_claim_names" // of claims that are too long to be in the token
)

// claims are the payload of a token, unread.
type claims map[string]jsontext.Value

// text is a claim that is a string; empty if there is none.
func (c claims) text(name string) (s string, err error) {
	if v, ok := c[name]; ok && json.Unmarshal(v, &s) != nil {
		return "", malformed("the claim %s is not a string", name)
	}
	return s, nil
}

// firstText is the first of the claims that is there and not empty.
func (c claims) firstText(names ...string) (string, error) {
	for _, name := range names {
		if s, err := c.text(name); s != "" || err != nil {
			return s, err
		}
	}
	return "", nil
}

// list is a claim that is a string or an array of strings; nothing if it is none.
func (c claims) list(name string) (values []string, ok bool) {
	v := c[name]
	if v.Kind() == '"' {
		var one string
		err := json.Unmarshal(v, &one)
		return []string{one}, err == nil
	}
	if len(v) == 0 || json.Unmarshal(v, &values) != nil {
		return nil, false // also of an array that has strings among others
	}
	return values, true
}

// maxTime is the first second of the year 10000, where times stop being times.
const maxTime = 253402300800

// time is a claim that is a time (RFC 7519 section 2, NumericDate); the zero time if there is none.
func (c claims) time(name string) (t time.Time, err error) {
	v, ok := c[name]
	if !ok {
		return t, nil
	}
	var seconds float64
	if json.Unmarshal(v, &seconds) != nil || v.Kind() != '0' || seconds < 0 || seconds >= maxTime {
		return t, malformed("the claim %s is not a time: expected seconds since 1970", name)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}

// meets reports whether the claim that the rule looks at has its value. A claim of another type has none.
func (c claims) meets(r Rule) bool {
	values, _ := c.list(r.Claim)
	if r.Claim == claimScope {
		values = strings.Fields(strings.Join(values, " "))
	}
	return slices.Contains(values, r.Value)
}

// grantsBy are the grants of the rules that the claims meet.
func grantsBy(rules []Rule) func(claims) []Grant {
	return func(c claims) (grants []Grant) {
		for _, r := range rules {
			if c.meets(r) {
				grants = append(grants, r.grant())
			}
		}
		return grants
	}
}

// groupsElsewhere is the note for a caller whose groups are not in the token. They are not fetched, so no rule on groups
// applies.
const groupsElsewhere = "The token does not list the caller's groups because there are too many (_claim_names); " +
	"rules on groups do not apply: assign an application role instead, or limit the groups in the token to those assigned to the application."

func (c claims) note() string {
	var elsewhere map[string]jsontext.Value
	if v, ok := c[claimElsewhere]; ok && json.Unmarshal(v, &elsewhere) == nil && len(elsewhere["groups"]) > 0 {
		return groupsElsewhere
	}
	return ""
}

// caller says whom the claims are about. Without an id that can be told from all others it is nobody.
func (c claims) caller() (*Caller, error) {
	id, err := c.firstText(claimObjectID, claimSubject)
	switch {
	case err != nil:
		return nil, err
	case id == "":
		return nil, malformed("neither oid nor sub says whom the token is about")
	case clean(id) != id:
		return nil, malformed("oid or sub is longer than %d bytes or not printable", MaxText)
	}
	name, err := c.firstText(claimUPN, claimUsername, claimSubject)
	if err != nil {
		return nil, err
	}
	client, err := c.firstText(claimAppID, claimParty)
	if err != nil {
		return nil, err
	}
	issuer, err := c.text(claimIssuer)
	if err != nil {
		return nil, err
	}
	return &Caller{
		ID: id, Name: clean(name), ClientID: clean(client), Issuer: clean(issuer), Method: Bearer, Note: c.note(),
	}, nil
}
