package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// tokenReport is the result of the token commands and of attest.
type tokenReport struct {
	Verified    bool           `json:"verified"`
	Signed      bool           `json:"signed"` // there is a signature, genuine or not
	Header      result.Header  `json:"header,omitzero"`
	Issuer      string         `json:"issuer,omitzero"` // this and what follows to development: of a verified token
	IssuedAt    string         `json:"issuedAt,omitzero"`
	NotBefore   string         `json:"notBefore,omitzero"`
	Expires     string         `json:"expires,omitzero"`
	Development bool           `json:"development,omitzero"`
	Claims      jsontext.Value `json:"claims,omitzero"`
	Token       string         `json:"token,omitzero"` // of attest
	Error       *problem       `json:"error,omitzero"`
}

// runTokenInspect shows what a token says.
func runTokenInspect(_ context.Context, c *call) error {
	pos, err := c.parse("TOKEN")
	if err != nil {
		return err
	}
	text, err := c.readToken(pos[0])
	if err != nil {
		return err
	}
	report, err := unverified(text)
	return c.tellToken(report, err)
}

// unverified reads a token of which nothing is believed.
func unverified(text string) (*tokenReport, error) {
	u, err := result.ParseToken(text)
	if err != nil {
		return &tokenReport{}, err
	}
	return &tokenReport{Signed: u.HasSignature(), Header: u.Header(), Claims: u.Payload()}, nil
}

// runTokenVerify verifies a token as a relying party does (native.md section 1.5).
func runTokenVerify(ctx context.Context, c *call) error {
	var p party
	var requirements []relyingparty.Requirement
	c.StringVar(&p.issuer, "issuer", "", "`URL` of the issuer to trust; never taken from the token")
	c.fileVar(&p.jwks, "jwks", "take the issuer's keys from `FILE` instead of its URL")
	c.clientVar(&p.client, "ca")
	c.timeVar(&p.at)
	c.Func("require", "`NAME=VALUE` that a claim must have; repeatable", func(s string) error {
		claim, err := relyingparty.ParseClaim(s)
		requirements = append(requirements, claim)
		return err
	})
	pos, err := c.parse("TOKEN", "--issuer")
	if err != nil {
		return err
	}
	verifier, err := c.relyingParty(p)
	if err != nil {
		return err
	}
	text, err := c.readToken(pos[0])
	if err != nil {
		return err
	}
	report, err := verified(ctx, verifier, text, requirements)
	return c.tellToken(report, err)
}

// party is what a relying party knows.
type party struct {
	issuer string
	jwks   []byte // the issuer's keys; nil: fetch them
	client *http.Client
	at     time.Time // zero: now
	leeway time.Duration
}

// relyingParty makes a verifier for the tokens of the issuer. Tokens of development mode pass, and are marked as such.
func (c *call) relyingParty(p party) (*relyingparty.Verifier, error) {
	cfg := relyingparty.Config{
		Issuer: p.issuer, AllowLoopbackHTTP: true, AllowDevelopment: true, HTTPClient: p.client, Clock: c.now, Leeway: p.leeway,
	}
	if !p.at.IsZero() {
		cfg.Clock = func() time.Time { return p.at }
	}
	if p.jwks != nil {
		keys, err := result.ParseKeySet(p.jwks)
		if err != nil {
			return nil, err
		}
		cfg.Keys = keys
	}
	v, err := relyingparty.New(cfg)
	if err != nil {
		return nil, usage("%w", err)
	}
	return v, nil
}

// verified verifies a token and holds it against requirements. A report comes with every error, too.
func verified(ctx context.Context, v *relyingparty.Verifier, text string, requirements []relyingparty.Requirement) (*tokenReport, error) {
	report, err := unverified(text)
	if err != nil {
		return report, err
	}
	token, err := v.Verify(ctx, text)
	if err != nil {
		report.Claims = nil // not to be taken for claims that hold
		return report, err
	}
	report.Claims = token.Payload()
	report.Issuer, report.Development = token.Issuer(), token.Development()
	report.IssuedAt, report.NotBefore, report.Expires = stamp(token.IssuedAt()), stamp(token.NotBefore()), stamp(token.Expires())
	if len(requirements) > 0 {
		err = token.Require(requirements...)
	}
	report.Verified = err == nil
	return report, err
}

// tellToken shows the report as the result of a command that ends in err.
func (c *call) tellToken(r *tokenReport, err error) error {
	c.warnDevelopment(r)
	if err != nil {
		r.Error = problemOf(err)
	}
	return c.tell(r, err)
}

func (c *call) warnDevelopment(r *tokenReport) {
	if r.Development {
		fmt.Fprintln(c.stderr, "assay: warning: a token of development mode: it vouches for simulated hardware")
	}
}

func (r *tokenReport) print(s sheet, err error) {
	switch {
	case err != nil:
		s.heading(red, "REFUSED", "token")
		s.refusal(err)
	case r.Verified:
		s.heading(green, "VERIFIED", "token of "+r.Issuer)
	case !r.Signed:
		s.heading(yellow, "UNSIGNED", "token: it proves nothing to anybody")
	default:
		s.heading(yellow, "UNVERIFIED", "token: anybody can have written this")
	}
	s.rows(row{"algorithm", r.Header.Algorithm}, row{"key", r.Header.KeyID}, row{"key set", r.Header.KeySetURL},
		row{"issued", r.IssuedAt}, row{"expires", r.Expires})
	if len(r.Claims) > 0 {
		s.section("Claims")
		s.rows(memberRows(r.Claims)...)
	}
}

// memberRows makes a row of each member of a JSON object. Objects and arrays stay JSON.
func memberRows(object jsontext.Value) []row {
	d := jsontext.NewDecoder(bytes.NewReader(object))
	var rows []row
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return rows
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return rows
		}
		text := string(value)
		if value.Kind() == '"' {
			unquoted, _ := jsontext.AppendUnquote(nil, value)
			text = string(unquoted)
		}
		rows = append(rows, row{key, shorten(text)})
	}
	return rows
}

// readToken reads a token from the file arg, from standard input for "-", or takes arg for the token itself if it has
// its two dots and there is no such file.
func (c *call) readToken(arg string) (string, error) {
	if arg != "-" {
		if _, err := os.Stat(arg); err != nil && strings.Count(arg, ".") == 2 {
			return arg, nil
		} else if err != nil {
			return "", badFile(fmt.Errorf("TOKEN is neither a file nor a token, which has two dots: %w", err))
		}
	}
	b, err := c.read(arg)
	return strings.TrimSpace(string(b)), err
}
