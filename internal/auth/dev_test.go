package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
)

func devKey(t testing.TB, dir string) *auth.DevKey {
	t.Helper()
	k, err := auth.LoadOrCreateDevKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func devToken(t testing.TB, k *auth.DevKey, role auth.Role, providers ...string) string {
	t.Helper()
	token, err := k.Token(role, providers, nil, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// development knows the built-in issuer beside another.
func development(t *testing.T, k *auth.DevKey) subject {
	t.Helper()
	return newSubject(t, func(c *auth.Config) { c.Development = k })
}

func TestDevelopmentRolesOnProviders(t *testing.T) {
	k := devKey(t, t.TempDir())
	s := development(t, k)
	for _, tt := range []struct {
		role      auth.Role
		providers []string
		want      string
	}{
		{auth.Reader, []string{"one"}, "r|||"},
		{auth.Reader, []string{"*"}, "r|r|r|r"},
		{auth.Contributor, []string{"ONE", "two"}, "rwm|rwm||"}, // stands for Azure's Contributor, who manages providers
		{auth.Contributor, []string{"*"}, "rwm|rwm|rwm|rwm"},
		{auth.Owner, []string{"three"}, "||rwm|"},
	} {
		token := devToken(t, k, tt.role, tt.providers...)
		c := caller(t, s.Authenticator, token)
		if got := powers(c); got != tt.want || c.Issuer != "urn:assay:development" || c.ID != "development-"+string(tt.role) {
			t.Errorf("%s on %q: got %s, want %s (%+v)", tt.role, tt.providers, got, tt.want, *c)
		}
		if _, err := s.Caller(request("Bearer "+token), auth.ControlPlane); err != nil {
			t.Errorf("%s on the side of the resource manager: %v", tt.role, err)
		}
	}
}

func TestDevelopmentTokenIsRefused(t *testing.T) {
	k := devKey(t, t.TempDir())
	token := devToken(t, k, auth.Owner, "*")
	if got := newSubject(t, nil).verdict(token); got != "issuer" {
		t.Errorf("outside of development mode: got %q, want issuer", got)
	}
	s := development(t, k)
	if got := s.verdict(devToken(t, devKey(t, t.TempDir()), auth.Owner, "*")); got != "unknown-key" {
		t.Errorf("another folder's key: got %q, want unknown-key", got)
	}
	parts := strings.Split(token, ".")
	forged := parts[0] + "." + strings.Split(devToken(t, k, auth.Owner, "one"), ".")[1] + "." + parts[2]
	if got := s.verdict(forged); got != "signature" {
		t.Errorf("claims of another token: got %q, want signature", got)
	}
	elsewhere, err := k.Token(auth.Owner, []string{"*"}, []string{"https://graph.example"}, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.verdict(elsewhere); got != "audience" {
		t.Errorf("another audience: got %q, want audience", got)
	}
	s.clock.pass(time.Hour)
	if got := s.verdict(token); got != "expired" {
		t.Errorf("after its life: got %q, want expired", got)
	}
	s.clock.set(start.Add(-5*time.Minute - time.Second))
	if got := s.verdict(token); got != "not-yet-valid" {
		t.Errorf("before its time: got %q, want not-yet-valid", got)
	}
	if n := s.issuer.Requests(); n != 0 {
		t.Errorf("%d requests to another issuer", n)
	}
}

func TestDevelopmentTokensAreMarkedAndBounded(t *testing.T) {
	k := devKey(t, t.TempDir())
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(devToken(t, k, auth.Reader, "one"), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil || claims["ext-development"] != true {
		t.Errorf("claims %s, %v", b, err)
	}
	for _, tt := range []struct {
		name      string
		role      auth.Role
		providers []string
		life      time.Duration
		ok        bool
	}{
		{"longest", auth.Reader, []string{"*"}, 24 * time.Hour, true},
		{"too long", auth.Reader, []string{"*"}, 24*time.Hour + 1, false},
		{"shortest", auth.Reader, []string{"*"}, time.Second, true},
		{"too short", auth.Reader, []string{"*"}, time.Second - 1, false},
		{"no role", "", []string{"*"}, time.Hour, false},
		{"no providers", auth.Reader, nil, time.Hour, false},
		{"provider that is none", auth.Reader, []string{"a b c"}, time.Hour, false},
	} {
		if _, err := k.Token(tt.role, tt.providers, nil, start, tt.life); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	future, err := k.Token(auth.Reader, []string{"*"}, nil, start.Add(time.Minute), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := development(t, k).verdict(future); got != "malformed" {
		t.Errorf("good for more than a day from now on: got %q, want malformed", got)
	}
}

func TestProcessesThatStartAtOnceHaveOneDevelopmentKey(t *testing.T) {
	dir := t.TempDir()
	var keys [8]*auth.DevKey
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i] = devKey(t, dir) })
	}
	wg.Wait()
	s := development(t, devKey(t, dir))
	for i, k := range keys {
		if got := s.verdict(devToken(t, k, auth.Reader, "*")); got != "" {
			t.Errorf("key %d: %s", i, got)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "dev-issuer-key.pem" {
		t.Errorf("in the folder: %v, %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "dev-issuer-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestDevelopmentKeyFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	devKey(t, dir)
	file := filepath.Join(dir, "dev-issuer-key.pem")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"readable by others", string(good), 0o644, "permissions 0644"},
		{"empty", "", 0o600, "one PEM block"},
		{"half", string(good[:len(good)/2]), 0o600, "one PEM block"},
		{"something behind", string(good) + "x", 0o600, "one PEM block"},
		{"too long", string(good) + strings.Repeat("\n", 4<<10), 0o600, "at most 4096"},
		{"another kind of key", rsaKeyPEM(t), 0o600, "ECDSA"},
	} {
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := auth.LoadOrCreateDevKey(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := auth.LoadOrCreateDevKey(filepath.Join(dir, "absent")); err == nil {
		t.Error("a key was made in a folder that is not there")
	}
}

// TestMayAnyIsOfSomeProvider, whether or not there is one of the name.
func TestMayAnyIsOfSomeProvider(t *testing.T) {
	k := devKey(t, t.TempDir())
	s := development(t, k)
	for _, tt := range []struct {
		role         auth.Role
		provider     string
		read, manage bool
	}{{auth.Reader, "one", true, false}, {auth.Reader, "*", true, false}, {auth.Owner, "one", true, true}} {
		c := caller(t, s.Authenticator, devToken(t, k, tt.role, tt.provider))
		if c.MayAny(auth.Read) != tt.read || c.MayAny(auth.Manage) != tt.manage {
			t.Errorf("%s of %s: %t, %t", tt.role, tt.provider, c.MayAny(auth.Read), c.MayAny(auth.Manage))
		}
	}
	var nobody *auth.Caller
	if nobody.MayAny(auth.Read) || caller(t, s.Authenticator, s.issuer.Token(s.claims("groups", []string{"unknown"}))).MayAny(auth.Read) {
		t.Error("a caller without grants may read")
	}
}
