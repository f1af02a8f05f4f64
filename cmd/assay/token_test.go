package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// oneOrMany is a word or a list of words in an index.
type oneOrMany []string

func (l *oneOrMany) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(l))
	}
	*l = make([]string, 1)
	return json.Unmarshal(b, &(*l)[0])
}

// tokenCheck is the member check of an entry of vectors/maa/index.json.
type tokenCheck struct {
	Member, JWKS, Issuer, Verdict, Reason string
	At                                    time.Time
}

func TestTokenVerifyGivesTheOutcomeOfEveryRecording(t *testing.T) {
	var index map[string]struct {
		Check      *tokenCheck
		MoreChecks []tokenCheck `json:"more_checks"`
	}
	vectortest.ReadJSON(t, "maa/index.json", &index)
	for name, entry := range index {
		checks := entry.MoreChecks
		if entry.Check != nil {
			checks = append(checks, *entry.Check)
		}
		for _, check := range checks {
			t.Run(name+"/"+check.Verdict+check.Reason, func(t *testing.T) { check.run(t, "maa/"+name) })
		}
	}
}

func (c *tokenCheck) run(t *testing.T, file string) {
	token := strings.TrimSpace(string(vectortest.Read(t, file)))
	if c.Member != "" {
		token = member(t, file, c.Member)
	}
	args := []string{"token", "verify", tempFile(t, "token.jwt", token+"\n"), "--issuer", c.Issuer,
		"--jwks", vectortest.Path(t, c.JWKS), "--at", c.At.Format(time.RFC3339)}
	o := assay(t, append(args, "--json")...)
	var got struct {
		Verified bool
		Issuer   string
		Claims   map[string]any
		Error    struct{ Check, Message string }
	}
	o.read(t, &got)
	if c.Verdict == "accept" {
		if o.status != exitOK || !got.Verified || got.Issuer != c.Issuer || got.Claims["iss"] != c.Issuer {
			t.Errorf("exit status %d, %+v; want the token accepted", o.status, got)
		}
		assay(t, args...).want(t, exitOK, "VERIFIED  token of "+c.Issuer, "")
		return
	}
	reason := c.Reason
	if c.Verdict == "unknown-key" {
		reason = "unknown-key"
	}
	if o.status != exitRefused || got.Verified || got.Error.Check != reason || got.Claims != nil {
		t.Errorf("exit status %d, %+v; want a refusal by %q and no claims", o.status, got, reason)
	}
	assay(t, args...).want(t, exitRefused, reason, "")
}

// member takes a text out of a JSON vector by its JSON pointer.
func member(t *testing.T, file, pointer string) string {
	t.Helper()
	var doc any
	vectortest.ReadJSON(t, file, &doc)
	for _, name := range strings.Split(pointer, "/")[1:] {
		object, _ := doc.(map[string]any)
		doc = object[name]
		if text, ok := doc.(string); ok && strings.HasPrefix(text, "{") {
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, ok := doc.(string)
	if !ok {
		t.Fatalf("%s: no text at %s", file, pointer)
	}
	return text
}

func TestTokenComesFromFileArgumentOrStandardInput(t *testing.T) {
	s := newFakeService(t)
	token := s.sign(s.claims(nil))
	file := tempFile(t, "token", " "+token+"\n")
	for _, source := range []string{file, token, "-"} {
		world{stdin: token}.assay(t, "token", "inspect", source).want(t, exitOK, "UNVERIFIED", "")
		world{stdin: token}.assay(t, "token", "verify", source, "--issuer", s.URL, "--ca", s.ca).want(t, exitOK, "VERIFIED", "")
	}
	for _, garbage := range []string{tempFile(t, "garbage", "ey.no.token"), "ey.no.token", "a.b.c", "a..", "a/b.c.+="} {
		assay(t, "token", "inspect", garbage).want(t, exitRefused, "malformed", "")
		assay(t, "token", "verify", garbage, "--issuer", s.URL).want(t, exitRefused, "malformed", "")
	}
	assay(t, "token", "verify", "", "--issuer", s.URL).want(t, exitUsage, "", "neither a file nor a token")
}

// TestTokenOfAnotherIssuerIsRefusedOffline has an issuer that nobody could reach.
func TestTokenOfAnotherIssuerIsRefusedOffline(t *testing.T) {
	s := newFakeService(t)
	o := assay(t, "token", "verify", s.sign(s.claims(nil)), "--issuer", "https://other.invalid", "--json")
	var got struct {
		Error struct{ Check, Message string }
	}
	if o.read(t, &got); o.status != exitRefused || got.Error.Check != "issuer" || !strings.Contains(got.Error.Message, s.URL) {
		t.Errorf("exit status %d, %+v; want a refusal by issuer that names both", o.status, got.Error)
	}
}

func TestRequirementsDecide(t *testing.T) {
	s := newFakeService(t)
	token := s.sign(s.claims(map[string]any{"debuggable": false, "svn": 7, "text": "a=b", "list": []int{1}}))
	for _, test := range []struct {
		require []string
		status  int
	}{
		{[]string{"debuggable=false", "svn=7", "text=a=b"}, exitOK},
		{[]string{"debuggable=false", "svn=8"}, exitRefused},
		{[]string{"debuggable=true"}, exitRefused},
		{[]string{"absent="}, exitRefused},
		{[]string{"list=1"}, exitRefused},
	} {
		args := []string{"token", "verify", token, "--issuer", s.URL, "--ca", s.ca}
		for _, r := range test.require {
			args = append(args, "--require", r)
		}
		found := "VERIFIED"
		if test.status != exitOK {
			found = "requirement"
		}
		assay(t, args...).want(t, test.status, found, "")
	}
}

func TestKeySetProblems(t *testing.T) {
	s := newFakeService(t)
	token := s.sign(s.claims(nil))
	args := []string{"token", "verify", token, "--issuer", s.URL}
	assay(t, append(args, "--jwks", tempFile(t, "jwks", "{}"))...).want(t, exitRefused, "", "key set")
	assay(t, append(args, "--jwks", tempFile(t, "jwks", `{"keys":[]}`))...).want(t, exitRefused, "unknown-key", "")
	assay(t, args...).want(t, exitMissing, "REFUSED", "")
	s.Close()
	assay(t, append(args, "--ca", s.ca)...).want(t, exitMissing, "is not available", "")
}

func TestDevelopmentTokensPassWithAWarning(t *testing.T) {
	s := newFakeService(t)
	token := s.sign(s.claims(map[string]any{"ext-development": true}))
	assay(t, "token", "verify", token, "--issuer", s.URL, "--ca", s.ca).want(t, exitOK, "VERIFIED", "development mode")
}
