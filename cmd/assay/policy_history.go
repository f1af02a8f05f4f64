package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/assay-attestation/assay/internal/policyjws"
)

// maxVersions is how many versions are asked for at once.
const maxVersions = 1000

// policyVersion is a version of a policy (docs/api.md).
type policyVersion struct {
	Version   int64     `json:"version"`
	Action    string    `json:"action"`      // set, reset or rollback
	Of        int64     `json:"of,omitzero"` // of a rollback: the version that is in force again
	Hash      string    `json:"policyHash,omitzero"`
	TokenHash string    `json:"policyTokenHash,omitzero"`
	Signer    string    `json:"signer,omitzero"` // thumbprint
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	RequestID string    `json:"requestId,omitzero"`
	JWS       string    `json:"policy,omitzero"` // of policy rollback
}

// policyHistory is the result of policy history: versions, newest first.
type policyHistory struct {
	Type     string          `json:"type"`
	Current  int64           `json:"current"` // 0: no policy was ever set
	Versions []policyVersion `json:"versions"`
}

func (h *policyHistory) print(s sheet, _ error) {
	s.heading(green, "HISTORY", fmt.Sprintf("%s, version %d is in force", h.Type, h.Current))
	lines := [][]string{{"VERSION", "ACTION", "AT", "BY", "POLICY HASH", "SIGNER"}}
	for _, v := range h.Versions {
		lines = append(lines, []string{strconv.FormatInt(v.Version, 10), v.action(), stamp(v.At), v.By, v.Hash, v.Signer})
	}
	s.table(lines)
}

func (v *policyVersion) action() string {
	if v.Of > 0 {
		return fmt.Sprintf("%s to %d", v.Action, v.Of)
	}
	return v.Action
}

// runPolicyHistory lists the versions of a policy.
func runPolicyHistory(ctx context.Context, c *call) error {
	var p remotePolicy
	limit := c.Int("limit", 100, "list the newest `N` versions")
	if _, err := p.parse(c); err != nil {
		return err
	}
	if *limit < 1 {
		return usage("--limit %d: expected 1 or more", *limit)
	}
	history, err := p.history(ctx, *limit)
	if err != nil {
		return c.tellService(err)
	}
	return c.tell(history, nil)
}

// history asks for versions, page by page.
func (p *remotePolicy) history(ctx context.Context, limit int) (*policyHistory, error) {
	h := &policyHistory{Type: p.kind, Versions: []policyVersion{}}
	below := ""
	for {
		top := min(limit-len(h.Versions), maxVersions)
		m := message{method: http.MethodGet, path: "/policies/" + p.kind + "/versions", query: url.Values{"top": {strconv.Itoa(top)}}}
		if below != "" {
			m.query.Set("below", below)
		}
		var page struct {
			Current  int64           `json:"current"`
			Versions []policyVersion `json:"versions"`
		}
		if err := p.native(ctx, m, &page); err != nil {
			return nil, err
		}
		h.Current = page.Current
		h.Versions = append(h.Versions, page.Versions...)
		if len(page.Versions) < top || len(h.Versions) >= limit {
			return h, nil
		}
		below = strconv.FormatInt(page.Versions[top-1].Version, 10)
	}
}

// rolledBack is the result of policy rollback.
type rolledBack struct {
	Type string `json:"type"`
	policyVersion
}

func (r *rolledBack) print(s sheet, _ error) {
	s.heading(green, "ROLLED BACK", fmt.Sprintf("%s: version %d is in force, with the policy of version %d", r.Type, r.Version, r.Of))
	s.rows(row{"policy hash", r.Hash}, row{"token hash", r.TokenHash}, row{"signer", r.Signer})
}

// runPolicyRollback puts an older version in force again, as a new one.
func runPolicyRollback(ctx context.Context, c *call) error {
	var p remotePolicy
	to := c.Int64("to", 0, "number `N` of the version to go back to")
	if _, err := p.parse(c, "--to"); err != nil {
		return err
	}
	if *to < 1 {
		return usage("--to %d: expected the number of a version; the default comes back with assay policy reset", *to)
	}
	m, err := jsonMessage(http.MethodPost, "/policies/"+p.kind+":rollback", map[string]int64{"version": *to})
	if err != nil {
		return err
	}
	now := rolledBack{Type: p.kind}
	if err := p.native(ctx, m, &now.policyVersion); err != nil {
		return c.tellService(err)
	}
	if now.Of != *to {
		return fmt.Errorf("the service answered that it has done something else: it went back to version %d, not to %d", now.Of, *to)
	}
	return c.tell(&now, nil)
}

// policyDiff is the result of policy diff.
type policyDiff struct {
	Type string `json:"type"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Diff string `json:"diff"` // empty: the texts are equal
}

func (d *policyDiff) print(s sheet, _ error) {
	if d.Diff == "" {
		s.heading(green, "EQUAL", fmt.Sprintf("%s: versions %d and %d", d.Type, d.From, d.To))
	}
	printLines(s, d.Diff, "")
}

// runPolicyDiff shows in what the texts of two versions differ.
func runPolicyDiff(ctx context.Context, c *call) error {
	var p remotePolicy
	from := c.Int64("from", -1, "number `N` of the older version; 0 stands for none (default the one before --to)")
	to := c.Int64("to", -1, "number `M` of the newer version (default the one in force)")
	c.Lookup("from").DefValue, c.Lookup("to").DefValue = "", ""
	if _, err := p.parse(c); err != nil {
		return err
	}
	for _, name := range []string{"from", "to"} {
		if n := map[string]int64{"from": *from, "to": *to}[name]; c.isSet(name) && n < 0 {
			return usage("--%s %d: expected the number of a version", name, n)
		}
	}
	d, err := p.diff(ctx, *from, *to)
	if err != nil {
		return c.tellService(err)
	}
	return c.tell(d, nil)
}

// diff compares two versions; negative numbers stand for the usual ones.
func (p *remotePolicy) diff(ctx context.Context, from, to int64) (*policyDiff, error) {
	if to < 0 {
		h, err := p.history(ctx, 1)
		if err != nil {
			return nil, err
		}
		to = h.Current
	}
	if from < 0 {
		from = max(0, to-1)
	}
	old, err := p.text(ctx, from)
	if err != nil {
		return nil, err
	}
	text, err := p.text(ctx, to)
	if err != nil {
		return nil, err
	}
	name := func(n int64) string { return fmt.Sprintf("%s version %d", p.kind, n) }
	return &policyDiff{p.kind, from, to, unifiedDiff(side{name(from), old}, side{name(to), text})}, nil
}

// text gives the text of a version. That of a reset, and of version 0, is empty: the default is not in the history.
func (p *remotePolicy) text(ctx context.Context, version int64) (string, error) {
	if version == 0 {
		return "", nil
	}
	var v policyVersion
	m := message{method: http.MethodGet, path: fmt.Sprintf("/policies/%s/versions/%d", p.kind, version)}
	if err := p.native(ctx, m, &v); err != nil || v.JWS == "" {
		return "", err
	}
	jws, err := policyjws.Parse([]byte(v.JWS), policyjws.Options{PlainText: true})
	if err != nil {
		return "", fmt.Errorf("version %d: %w", version, err)
	}
	text, _ := jws.Text()
	return string(text), nil
}

// table prints lines in columns. The first line is that of the headings; an empty cell is a dash.
func (s sheet) table(lines [][]string) {
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(plain(cmp.Or(cell, "-")))))
		}
	}
	for _, line := range lines {
		text := ""
		for i, cell := range line {
			cell = plain(cmp.Or(cell, "-"))
			if i < len(line)-1 {
				cell = fmt.Sprintf("%-*s  ", widths[i], cell)
			}
			text += cell
		}
		fmt.Fprintln(s.w, "  "+text)
	}
}
