package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
)

// bearer is whom a service in development mode with the data folder takes the bearer of the token for.
func bearer(t *testing.T, data, token string, now time.Time, side auth.Audience) (*auth.Caller, error) {
	t.Helper()
	key, err := auth.LoadOrCreateDevKey(data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Config{Development: key}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.Caller(r, side)
}

func TestDevTokenIsAcceptedInDevelopmentMode(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "data")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		args                              string
		readOne, writeOne, readAll, owner bool
	}{
		{"--role reader", true, false, true, false},
		{"--role reader --provider one", true, false, false, false},
		{"--role contributor --provider two --provider one", true, true, false, true},
		{"--role owner", true, true, true, true},
		{"--role owner --provider two", false, false, false, false},
	} {
		o := world{now: now}.assay(t, append([]string{"dev", "token", "--data", data}, strings.Fields(tt.args)...)...)
		o.want(t, exitOK, "", "")
		for _, side := range []auth.Audience{auth.DataPlane, auth.ControlPlane} {
			c, err := bearer(t, data, strings.TrimSuffix(o.stdout, "\n"), now, side)
			if err != nil || c.May("one", auth.Read) != tt.readOne || c.May("one", auth.Write) != tt.writeOne ||
				c.MayAll(auth.Read) != tt.readAll || c.May("one", auth.Manage) != tt.owner {
				t.Errorf("%s: side %d: %v, %v", tt.args, side, c, err)
			}
		}
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder: %v, %v, want it made 0700", info, err)
	}
}

func TestDevTokenTellsWhatItIsAsJSON(t *testing.T) {
	data := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var got struct {
		Token, Expires, Role string
		Providers            []string
	}
	o := world{now: now}.assay(t, "dev", "token", "--role", "reader", "--data", data, "--life", "30m", "--audience", "https://x.example", "--json")
	o.read(t, &got)
	if got.Expires != "2026-03-01T12:30:00Z" || got.Role != "reader" || !slices.Equal(got.Providers, []string{"*"}) {
		t.Errorf("got %+v", got)
	}
	if c, err := bearer(t, data, got.Token, now, auth.DataPlane); err == nil || !strings.Contains(err.Error(), "audience") {
		t.Errorf("token for another service: %v, %v", c, err)
	}
}

func TestDevTokenIsGoodForItsLife(t *testing.T) {
	data := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	token := strings.TrimSuffix(world{now: now}.assay(t, "dev", "token", "--role", "reader", "--data", data).stdout, "\n")
	for after, good := range map[time.Duration]bool{time.Hour - time.Second: true, time.Hour: false} {
		if _, err := bearer(t, data, token, now.Add(after), auth.DataPlane); (err == nil) != good {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

func TestDevTokenRefusesAKeyThatOthersCanRead(t *testing.T) {
	data := t.TempDir()
	assay(t, "dev", "token", "--role", "reader", "--data", data).want(t, exitOK, "", "")
	if err := os.Chmod(filepath.Join(data, "dev-issuer-key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	assay(t, "dev", "token", "--role", "reader", "--data", data).want(t, exitUsage, "", "permissions 0644")
}
