package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/policy"
)

// referenceRoute is the path of the reference values of a provider (native.md section 5).
const referenceRoute = "/references"

// referencePage is how many of them are asked for at once: as many as fit into an answer, whatever they hold.
const referencePage = 100

// referenceValue is a reference value as the service answers with it (docs/api.md).
type referenceValue struct {
	Result           string                    `json:"result,omitzero"` // of add: created or replaced; not of the service
	Name             string                    `json:"name"`
	Type             string                    `json:"type,omitzero"` // none if the service cannot read what it has
	Values           map[string][]policy.Value `json:"values,omitzero"`
	Minimums         map[string]int64          `json:"minimums,omitzero"`
	ComplianceStatus string                    `json:"complianceStatus,omitzero"`
	NotBefore        time.Time                 `json:"notBefore,omitzero"`
	NotAfter         time.Time                 `json:"notAfter,omitzero"`
	Owner            string                    `json:"owner,omitzero"`
	Provenance       provenance                `json:"provenance,omitzero"`
	Version          int64                     `json:"version"`
	State            string                    `json:"state"` // in-force, not-yet, expires-soon, expired or unreadable
	Changed          change                    `json:"changed"`
}

// provenance says where a reference value is from.
type provenance struct {
	Source string `json:"source,omitzero"`
	SHA256 string `json:"sha256,omitzero"` // of a file, hex
}

// inForce reports whether evidence can match the reference value now.
func (r *referenceValue) inForce() bool { return r.State == "in-force" || r.State == "expires-soon" }

// colour is that of its state.
func (r *referenceValue) colour() string {
	switch {
	case r.State == "in-force":
		return green
	case r.inForce() || r.State == "not-yet":
		return yellow
	}
	return red
}

func (r *referenceValue) print(s sheet, _ error) {
	verdict := strings.ToUpper(r.Result)
	if verdict == "" {
		verdict = "REFERENCE"
	}
	s.heading(r.colour(), verdict, r.Name)
	rows := []row{{"type", r.Type}, {"state", r.State}}
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		for _, v := range r.Values[name] {
			rows = append(rows, row{name, fmt.Sprint(v.Any())})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Minimums)) {
		rows = append(rows, row{name, fmt.Sprintf("at least %d", r.Minimums[name])})
	}
	s.rows(append(rows, row{"compliance status", r.ComplianceStatus}, row{"from", bound(r.NotBefore)}, row{"until", bound(r.NotAfter)}, row{"owner", r.Owner},
		row{"source", r.Provenance.Source}, row{"sha256", r.Provenance.SHA256}, row{"version", strconv.FormatInt(r.Version, 10)}, row{"changed", r.Changed.text()})...)
}

// bound is a bound of time, nothing where there is none.
func bound(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

// referenceList is the result of reference list.
type referenceList struct {
	References []*referenceValue `json:"references"`
}

func (l *referenceList) print(s sheet, _ error) {
	s.heading(green, "REFERENCES", fmt.Sprint(len(l.References)))
	lines := [][]string{{"NAME", "TYPE", "STATE", "UNTIL", "OWNER", "CHANGED", "BY"}}
	for _, r := range l.References {
		lines = append(lines, []string{r.Name, r.Type, r.State, bound(r.NotAfter), r.Owner, stamp(r.Changed.At), r.Changed.By})
	}
	s.table(lines)
}

// runReferenceList lists the reference values of a provider.
func runReferenceList(ctx context.Context, c *call) error {
	var r remote
	if err := r.parse(c); err != nil {
		return err
	}
	list := &referenceList{References: []*referenceValue{}}
	err := inPages("reference values", referencePage, func(query url.Values) (names []string, err error) {
		var page referenceList
		err = r.native(ctx, message{method: http.MethodGet, path: referenceRoute, query: query}, &page)
		for _, one := range page.References {
			if one == nil {
				one = &referenceValue{}
			}
			names = append(names, one.Name)
		}
		list.References = append(list.References, page.References...)
		return names, err
	})
	if err != nil {
		return c.tellService(err)
	}
	return c.tell(list, nil)
}

// referencePath is the path of the reference value of a name.
func referencePath(name string) string { return referenceRoute + "/" + url.PathEscape(name) }

// runReferenceShow shows one reference value.
func runReferenceShow(ctx context.Context, c *call) error {
	var r remote
	c.managedVar(&r)
	pos, err := c.parse("NAME", "--endpoint")
	if err == nil {
		err = r.ready(c)
	}
	if err != nil {
		return err
	}
	return r.tellReference(ctx, c, pos[0], message{method: http.MethodGet, path: referencePath(pos[0])})
}

// tellReference sends a message about a reference value, and tells the one that the service answers with.
func (r *remote) tellReference(ctx context.Context, c *call, name string, m message) error {
	m.path = nativeRoutes + m.path
	a, err := r.send(ctx, m)
	if err != nil {
		return c.tellService(ownOperation(err))
	}
	got := &referenceValue{}
	if err := a.read(got); err != nil {
		return err
	}
	if !strings.EqualFold(got.Name, name) {
		return &serviceError{err: fmt.Errorf("the service answered about the reference value %q, not about %q", got.Name, name)}
	}
	if m.method == http.MethodPut {
		got.Result = "replaced"
		if a.status == http.StatusCreated {
			got.Result = "created"
		}
	}
	return c.tell(got, nil)
}

// removedReference is the result of reference remove.
type removedReference struct {
	Name   string `json:"name"`
	Result string `json:"result"` // removed
}

func (r *removedReference) print(s sheet, _ error) { s.heading(green, "REMOVED", r.Name) }

// runReferenceRemove takes a reference value away.
func runReferenceRemove(ctx context.Context, c *call) error {
	var r remote
	c.managedVar(&r)
	m := message{method: http.MethodDelete}
	c.ifMatchVar(&m.header)
	pos, err := c.parse("NAME", "--endpoint")
	if err == nil {
		err = r.ready(c)
	}
	if err != nil {
		return err
	}
	m.path = nativeRoutes + referencePath(pos[0])
	if _, err := r.send(ctx, m); err != nil {
		return c.tellService(ownOperation(err))
	}
	return c.tell(&removedReference{pos[0], "removed"}, nil)
}

// ifMatchVar declares the flag for the version that a change is meant for.
func (c *call) ifMatchVar(header *http.Header) {
	c.Func("if-match", "change it only if its version is `VERSION`, as show tells it, or an ETag", func(s string) error {
		n, err := strconv.ParseInt(strings.Trim(s, `"`), 10, 64)
		if err != nil || n < 1 {
			return fmt.Errorf("expected a version such as 7")
		}
		*header = http.Header{"If-Match": {fmt.Sprintf("%q", strconv.FormatInt(n, 10))}}
		return nil
	})
}
