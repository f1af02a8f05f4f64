package main

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// signingKey is a signing key of a provider (docs/api.md).
type signingKey struct {
	KeyID       string    `json:"kid"`
	ReportKeyID string    `json:"reportKid,omitzero"` // its kid in TPM reports; older services have none
	From        time.Time `json:"signsFrom"`
	Until       time.Time `json:"signsUntil,omitzero"`
	NotAfter    time.Time `json:"notAfter"` // of its certificates
}

// keyList is the result of key list and of key rotate.
type keyList struct {
	Current string       `json:"current"` // the kid of the one that signs
	Keys    []signingKey `json:"keys"`
	done    string
}

func (l *keyList) print(s sheet, _ error) {
	s.heading(green, l.done, "*: it signs now")
	lines := [][]string{{" ", "KID", "SIGNS FROM", "SIGNS UNTIL", "CERTIFICATE UNTIL"}}
	for _, k := range l.Keys {
		current, until := " ", ""
		if k.KeyID == l.Current {
			current = "*"
		}
		if !k.Until.IsZero() {
			until = stamp(k.Until)
		}
		lines = append(lines, []string{current, k.KeyID, stamp(k.From), until, stamp(k.NotAfter)})
	}
	s.table(lines)
}

// runKeyList lists the signing keys that the service publishes.
func runKeyList(ctx context.Context, c *call) error {
	var r remote
	if err := r.parse(c); err != nil {
		return err
	}
	return r.tellKeys(ctx, c, message{method: http.MethodGet, path: "/keys"}, "KEYS")
}

// runKeyRotate makes the next signing key.
func runKeyRotate(ctx context.Context, c *call) error {
	var r remote
	emergency := c.Bool("emergency", false, "let the new key sign at once: clients that keep the old key set refuse tokens until they fetch it anew")
	withdraw := c.Bool("withdraw", false, "let the new key sign at once and take all others away, as somebody else may have them: all tokens issued before stop verifying")
	if err := r.parse(c); err != nil {
		return err
	}
	m := message{method: http.MethodPost, path: "/keys:rotate"}
	switch {
	case *withdraw:
		m.query = url.Values{"withdraw": {"true"}}
	case *emergency:
		m.query = url.Values{"emergency": {"true"}}
	}
	return r.tellKeys(ctx, c, m, "ROTATED")
}

// parse reads the arguments of a command that has none but flags.
func (r *remote) parse(c *call) error {
	c.managedVar(r)
	if _, err := c.parse("--endpoint"); err != nil {
		return err
	}
	return r.ready(c)
}

func (r *remote) tellKeys(ctx context.Context, c *call, m message, done string) error {
	list := keyList{done: done}
	if err := r.native(ctx, m, &list); err != nil {
		return c.tellService(err)
	}
	return c.tell(&list, nil)
}
