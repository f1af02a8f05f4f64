package policy

import (
	"slices"
	"strings"
)

// catalog is the catalogue of one attestation type, ready for looking up.
type catalog struct {
	kind     string // the attestation type; "" if it is not known
	names    []string
	claims   map[string]*ClaimInfo
	keys     []string          // what reference values may name
	folded   map[string]string // names by their form in lower case
	reserved map[string]bool   // names that only the service gives in tokens
	owners   map[string]string // by name: another attestation type that has the claim; nil until one is looked for
}

func newCatalog(attestationType string) catalog {
	c := catalog{claims: map[string]*ClaimInfo{}, folded: map[string]string{}, reserved: map[string]bool{}}
	list := Claims(attestationType)
	for i := range list {
		c.kind = attestationType
		c.names = append(c.names, list[i].Name)
		c.claims[list[i].Name] = &list[i]
		c.folded[strings.ToLower(list[i].Name)] = list[i].Name
	}
	shown := ReferenceClaims(attestationType)
	for i := range shown {
		c.keys = append(c.keys, strings.TrimPrefix(shown[i].Name, ReferencePrefix))
		c.claims[shown[i].Name] = &shown[i]
		c.folded[strings.ToLower(shown[i].Name)] = shown[i].Name
	}
	if c.known() {
		for _, name := range ServiceNames(attestationType) {
			c.reserved[name] = true
		}
	}
	return c
}

// known says whether the attestation type is.
func (c *catalog) known() bool { return c.kind != "" }

// clientClaims says whether requests of the attestation type can carry claims of the client (policy.md section 1).
func (c *catalog) clientClaims() bool { return c.kind == "Tpm" }

// service returns the claim of that name that the service makes, of evidence or of reference values, or nil.
func (c *catalog) service(name string) *ClaimInfo {
	if info := c.claims[name]; info != nil && info.Issuer != CustomClaim {
		return info
	}
	return nil
}

// owner returns another attestation type that has a claim of that name, or "".
func (c *catalog) owner(name string) string {
	if c.owners == nil {
		c.owners = map[string]string{}
		for _, other := range attestationTypes() {
			for _, info := range slices.Concat(claimsOfType(other), ReferenceClaims(other)) {
				if _, again := c.owners[info.Name]; !again && c.claims[info.Name] == nil {
					c.owners[info.Name] = other
				}
			}
		}
	}
	return c.owners[name]
}

// nearest returns the candidate that name was most likely meant to be, or "" if none is near enough. Of several that
// are as near it is the first.
func nearest(name string, candidates []string) string {
	const longest = 64 // names; nobody misspells a longer one
	limit := 1 + len(name)/8
	best := ""
	for _, candidate := range candidates {
		if len(name) > longest || len(candidate) > longest {
			continue
		}
		if d := distance(name, candidate, limit); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// distance returns how many bytes must be inserted, deleted or replaced to make b of a, or more than limit as soon as
// it is clear that it is more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal, least := row[0], i+1
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
			least = min(least, row[j+1])
		}
		if least > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
