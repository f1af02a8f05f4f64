package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
)

// runDevToken makes a bearer token of the built-in issuer, which a service in development mode with the same data folder
// accepts (native.md section 2). The key is made if it is not there, so that the order of the two does not matter.
func runDevToken(_ context.Context, c *call) error {
	t := devToken{from: c.now(), life: time.Hour}
	c.Func("role", "`ROLE` of the bearer: reader, contributor or owner", func(s string) (err error) {
		t.Role, err = auth.ParseRole(s)
		return err
	})
	data := c.String("data", "", "`DIR` of the service's keys and caches (default assay-data)")
	c.Func("provider", "`NAME` of a provider on which the bearer has the role; may be repeated (default all)", func(s string) error {
		t.Providers = append(t.Providers, s)
		return nil
	})
	c.Func("audience", "`URL` that the token is for; may be repeated (default those of the service and of the resource manager)", func(s string) error {
		t.audiences = append(t.audiences, s)
		return nil
	})
	c.Func("life", "`TIME` for which the token is good, such as 30m; at most 24h (default 1h)", func(s string) (err error) {
		if t.life, err = time.ParseDuration(s); err != nil {
			err = errors.New("expected a duration such as 30m")
		}
		return err
	})
	if _, err := c.parse("--role"); err != nil {
		return err
	}
	if len(t.Providers) == 0 {
		t.Providers = []string{auth.AllProviders}
	}
	cfg := config.Config{Dev: true, Data: *data}
	if err := cfg.Complete(); err != nil {
		return usage("%w", err)
	}
	if err := t.make(cfg.Data); err != nil {
		return err
	}
	return c.tell(&t, nil)
}

// devToken is one run of dev token, and its result.
type devToken struct {
	Token     string    `json:"token"`
	Expires   string    `json:"expires"` // RFC 3339
	Role      auth.Role `json:"role"`
	Providers []string  `json:"providers"`
	audiences []string
	from      time.Time
	life      time.Duration
}

// make signs the token with the key in the folder of data.
func (t *devToken) make(data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return badFile(err)
	}
	key, err := auth.LoadOrCreateDevKey(data)
	if err != nil {
		return badFile(err)
	}
	if t.Token, err = key.Token(t.Role, t.Providers, t.audiences, t.from, t.life); err != nil {
		return usage("%w", err)
	}
	t.Expires = stamp(t.from.Add(t.life))
	return nil
}

// print prints the token and no more, for whoever puts it into a variable.
func (t *devToken) print(s sheet, _ error) { fmt.Fprintln(s.w, t.Token) }
