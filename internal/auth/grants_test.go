package auth_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/auth/authtest"
)

// TestRolesHaveTheirPermissions is the table of management.md section 7, and the role of those who manage providers.
func TestRolesHaveTheirPermissions(t *testing.T) {
	for _, tt := range []struct {
		role auth.Role
		may  []auth.Permission
	}{
		{auth.Reader, []auth.Permission{auth.Read}},
		{auth.Contributor, []auth.Permission{auth.Read, auth.Write, auth.Delete}},
		{auth.Owner, []auth.Permission{auth.Read, auth.Write, auth.Delete, auth.Manage}},
		{"", nil}, {"Reader", nil}, {"admin", nil},
	} {
		may := map[auth.Permission]bool{}
		for _, p := range tt.may {
			may[p] = true
		}
		for p := auth.Permission(-1); p < 7; p++ {
			if got := tt.role.May(p); got != may[p] {
				t.Errorf("role %q, %v: got %v", tt.role, p, got)
			}
		}
		if _, err := auth.ParseRole(string(tt.role)); (err == nil) != (tt.may != nil) {
			t.Errorf("ParseRole(%q): %v", tt.role, err)
		}
	}
}

func TestPermissionsHaveAzuresNames(t *testing.T) {
	for p, want := range map[auth.Permission]string{
		auth.Read: "attestation/read", auth.Write: "attestation/write", auth.Delete: "attestation/delete",
	} {
		if want = "Microsoft.Attestation/attestationProviders/" + want; p.String() != want {
			t.Errorf("got %s, want %s", p, want)
		}
	}
}

// TestRulesGrantByClaims has a caller of each kind ask for reading, writing and managing on three providers.
func TestRulesGrantByClaims(t *testing.T) {
	issuer := authtest.Start(t, "")
	c := &clock{now: start}
	rule := func(claim, value string, role auth.Role, providers ...string) auth.Rule {
		return auth.Rule{Claim: claim, Value: value, Role: role, Providers: providers}
	}
	a := authenticator(t, auth.Config{Issuers: []auth.Issuer{issuer.Config(
		rule("roles", "Reader.One", auth.Reader, "One"),
		rule("roles", "Owner.Two", auth.Owner, "two"),
		rule("groups", "g1", auth.Contributor, "one", "two"),
		rule("scp", "attest.read", auth.Reader, "*"),
		rule("oid", "root", auth.Owner, "*"),
		rule("sub", "s", auth.Reader, "one"),
		rule("appid", "a1", auth.Reader, "one"),
		rule("azp", "a2", auth.Reader, "one"),
	)}}, c.Now)
	for _, tt := range []struct {
		name, claim string
		value       any
		want        string // permissions on one, two, three, and on all: r, w, m
	}{
		{"no claim", "x", "y", "|||"},
		{"role", "roles", []string{"Other", "Reader.One"}, "r|||"},
		{"role as text", "roles", "Reader.One", "r|||"},
		{"role in another case", "roles", "reader.one", "|||"},
		{"role among words", "roles", "Other Reader.One", "|||"},
		{"part of a role", "roles", "Reader", "|||"},
		{"owner of two", "roles", []string{"Owner.Two"}, "|rwm||"},
		{"both", "roles", []string{"Owner.Two", "Reader.One"}, "r|rwm||"},
		{"group", "groups", []string{"g0", "g1"}, "rw|rw||"},
		{"group that is no text", "groups", []any{1, "g1"}, "|||"},
		{"group before what is no text", "groups", []any{"g1", 1}, "|||"},
		{"groups that are an object", "groups", map[string]any{"g1": "g1"}, "|||"},
		{"scope", "scp", "openid attest.read", "r|r|r|r"},
		{"scope that begins alike", "scp", "attest.read.all", "|||"},
		{"owner of all", "oid", "root", "rwm|rwm|rwm|rwm"},
		{"subject", "sub", "s", "r|||"},
		{"application of v1", "appid", "a1", "r|||"},
		{"application of v2", "azp", "a2", "r|||"},
		{"application of v2 in the claim of v1", "appid", "a2", "|||"},
	} {
		claims := issuer.ClaimsV1(start)
		claims["scp"] = nil
		claims[tt.claim] = tt.value
		if got := powers(caller(t, a, issuer.Token(claims))); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// powers writes what a caller may on the providers one (asked for in another case), two and three, and on all.
func powers(c *auth.Caller) string {
	var b strings.Builder
	may := func(granted bool, letter string) {
		if granted {
			b.WriteString(letter)
		}
	}
	for _, p := range []string{"oNe", "two", "three"} {
		may(c.May(p, auth.Read), "r")
		may(c.May(p, auth.Write) && c.May(p, auth.Delete), "w")
		may(c.May(p, auth.Manage), "m")
		b.WriteString("|")
	}
	may(c.MayAll(auth.Read), "r")
	may(c.MayAll(auth.Write), "w")
	may(c.MayAll(auth.Manage), "m")
	return b.String()
}

func TestProviderNamesDifferInMoreThanCase(t *testing.T) {
	s := newSubject(t, nil)
	c := caller(t, s.Authenticator, s.issuer.Token(s.claims("roles", "Admin")))
	for _, name := range []string{"", "on", "one1", "*", "one ", "ſne"} {
		if c.May(name, auth.Read) {
			t.Errorf("the contributor of one may read %q", name)
		}
	}
	if c.May("one", 0) || c.May("one", auth.Manage) {
		t.Error("a contributor may do what nobody granted")
	}
}

// TestGroupsThatAreElsewhere is the overage of Entra: more groups than the token has room for.
func TestGroupsThatAreElsewhere(t *testing.T) {
	issuer := authtest.Start(t, "")
	c := &clock{now: start}
	a := authenticator(t, auth.Config{Issuers: []auth.Issuer{issuer.Config(
		auth.Rule{Claim: "groups", Value: "src1", Role: auth.Owner, Providers: []string{"*"}},
	)}}, c.Now)
	claims := issuer.ClaimsV1(start)
	claims["_claim_names"] = map[string]any{"groups": "src1"}
	claims["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": "https://graph.example/getMemberObjects"}}
	got := caller(t, a, issuer.Token(claims))
	if got.May("one", auth.Read) || !strings.Contains(got.Note, "groups") {
		t.Errorf("may read: %v; note %q", got.May("one", auth.Read), got.Note)
	}
	if note := caller(t, a, issuer.Token(issuer.ClaimsV1(start))).Note; note != "" {
		t.Errorf("note %q without a cause", note)
	}
}

// TestEntraTokensSayWhoIsCalling has the access tokens of both versions: v1 is of another issuer than the host where it
// is discovered, v2 is for an application.
func TestEntraTokensSayWhoIsCalling(t *testing.T) {
	const tenant, application = "https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/", "00000003-0000-0000-c000-000000000000"
	v1, v2 := authtest.Start(t, tenant), authtest.Start(t, "")
	c := &clock{now: start}
	second := v2.Config()
	second.Audiences = []string{application}
	a := authenticator(t, auth.Config{Issuers: []auth.Issuer{v1.Config(), second}}, c.Now)
	for name, tt := range map[string]struct{ token, issuer string }{
		"v1": {v1.Token(v1.ClaimsV1(start)), tenant},
		"v2": {v2.Token(v2.ClaimsV2(start, application)), v2.Name},
	} {
		got := caller(t, a, tt.token)
		if got.ID != "7a1c1b3e-0f5d-4c0e-9a55-3f8f2d7b6c10" || got.Name != "ada@contoso.example" || got.Issuer != tt.issuer ||
			got.ClientID != "1950a258-227b-4e31-a9cf-717495945fc2" || got.Method != auth.Bearer {
			t.Errorf("%s: got %+v", name, *got)
		}
	}
	crossed := v1.ClaimsV1(start)
	crossed["iss"] = v2.Name
	if _, err := a.Caller(request("Bearer "+v1.Token(crossed)), auth.DataPlane); verdictOf(t, err) != "audience" {
		t.Errorf("audience of the other issuer: %v", err)
	}
	crossed["aud"] = application
	if _, err := a.Caller(request("Bearer "+v1.Token(crossed)), auth.DataPlane); verdictOf(t, err) != "signature" {
		t.Errorf("key of the other issuer, under the same kid: %v", err)
	}
}

func TestSubjectIsTheIDOfOtherIssuers(t *testing.T) {
	s := newSubject(t, nil)
	got := caller(t, s.Authenticator, s.issuer.Token(s.claims("oid", nil, "upn", nil, "appid", nil)))
	if got.ID != "pairwise-subject" || got.Name != "pairwise-subject" || got.ClientID != "" {
		t.Errorf("got %+v", *got)
	}
	if got.String() != "bearer pairwise-subject" {
		t.Errorf("in the log: %s", got)
	}
}

func TestNamesInLogsAreHarmless(t *testing.T) {
	s := newSubject(t, nil)
	for _, name := range []string{
		"line\nend", "\x1b[2Jgone", "\u202egnitirw", strings.Repeat("ü", auth.MaxText), strings.Repeat("\u202e", auth.MaxText), "漢" + strings.Repeat("x", auth.MaxText),
	} {
		got := caller(t, s.Authenticator, s.issuer.Token(s.claims("upn", name, "appid", name)))
		for what, text := range map[string]string{"name": got.Name, "client": got.ClientID, "log": got.String()} {
			if len(text) > auth.MaxText || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s of %.20q: %d bytes, %q", what, name, len(text), text)
			}
			if text == "" {
				t.Errorf("%s of %.20q is empty", what, name)
			}
		}
	}
}
