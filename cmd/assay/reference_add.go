package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/policy"
)

// referenceContent are the flags that say what a reference value holds, which a file says alone.
const referenceContent = "type value minimum compliance-status not-before not-after owner from-evidence claim pcrs runtime-data runtime-type chain"

// referenceAdd is one run of reference add.
type referenceAdd struct {
	remote
	entry    reference.Entry
	given    []namedValue // values and minimums, whose claims are read when the type is known
	document []byte       // of --file; nil: none
	from     referenceSource
	header   http.Header
	replace  bool
}

// namedValue is a claim and what is trusted of it.
type namedValue struct {
	name, text string
	least      bool
}

func (a *referenceAdd) declare(c *call) {
	c.managedVar(&a.remote)
	c.Func("type", "attestation type `T`: sgx, openenclave, snp, tdx, azureguest or tpm", func(s string) (err error) {
		var ok bool
		if a.entry.Type, ok = evidence.ParseType(s); !ok {
			err = errors.New("expected sgx, openenclave, snp, tdx, azureguest or tpm")
		}
		return err
	})
	c.Func("value", "trust `CLAIM=VALUE`; may be repeated, also for one claim", a.named(false))
	c.Func("minimum", "trust values of at least N: `CLAIM=N`; may be repeated", a.named(true))
	c.StringVar(&a.entry.ComplianceStatus, "compliance-status", "", "`TEXT` that x-ms-compliance-status is in tokens of what matches")
	c.dateVar(&a.entry.NotBefore, "not-before", "trust it from `TIME` (RFC 3339) on")
	c.dateVar(&a.entry.NotAfter, "not-after", "trust it until `TIME` (RFC 3339); the service warns 14 days before")
	c.StringVar(&a.entry.Owner, "owner", "", "`TEXT` that says who answers for it")
	c.fileVar(&a.document, "file", "the whole reference value as JSON `FILE` (docs/api.md), instead of flags")
	a.from.declare(c)
	c.ifMatchVar(&a.header)
	c.BoolVar(&a.replace, "replace", false, "replace the one of that name, if there is one")
}

// dateVar declares a flag that is a time.
func (c *call) dateVar(t *time.Time, name, help string) {
	c.Func(name, help, func(s string) (err error) {
		*t, err = c.time(s)
		return err
	})
}

// named reads CLAIM=VALUE.
func (a *referenceAdd) named(least bool) func(string) error {
	return func(s string) error {
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("expected CLAIM=VALUE")
		}
		a.given = append(a.given, namedValue{name, text, least})
		return nil
	}
}

// runReferenceAdd makes a reference value: of flags, a file or evidence.
func runReferenceAdd(ctx context.Context, c *call) error {
	a := &referenceAdd{}
	a.declare(c)
	pos, err := c.parse("NAME", "--endpoint")
	if err != nil {
		return err
	}
	name := strictjson.LowerASCII(pos[0])
	if err := a.check(c, name); err != nil {
		return err
	}
	body, err := a.body(ctx, c, name)
	if err != nil {
		return err
	}
	m := message{method: http.MethodPut, path: referencePath(name), kind: jsonBody, body: body, header: a.header}
	if m.header == nil && !a.replace {
		m.header = http.Header{"If-None-Match": {"*"}}
	}
	return a.tellReference(ctx, c, name, m)
}

// check refuses flags that do not go together, and a name that no reference value has.
func (a *referenceAdd) check(c *call, name string) error {
	if err := reference.CheckName(name); err != nil {
		return usage("NAME: %w", err)
	}
	if a.document == nil && a.entry.Type == "" {
		return usage("--type is missing")
	}
	for _, flag := range strings.Fields(referenceContent) {
		if err := c.exclusive("file", flag); err != nil {
			return err
		}
	}
	if err := a.from.check(c, a.entry.Type); err != nil {
		return err
	}
	return a.ready(c)
}

// body is the document that is sent. What the service would refuse in it is refused before.
func (a *referenceAdd) body(ctx context.Context, c *call, name string) ([]byte, error) {
	if a.document != nil {
		if _, err := reference.Parse(name, a.document); err != nil {
			return nil, badFile(fmt.Errorf("--file: %w", err))
		}
		return a.document, nil
	}
	a.entry.Name = name
	if a.from.file != "" {
		values, err := a.from.values(ctx, c, &a.remote, a.entry.Type)
		if err != nil {
			return nil, err
		}
		a.given = slices.Concat(values, a.given)
		a.entry.Provenance = a.from.provenance
	}
	if err := a.fill(); err != nil {
		return nil, err
	}
	body, err := a.entry.Body()
	if err == nil {
		_, err = reference.Parse(name, body)
	}
	if err != nil {
		return nil, usage("the reference value: %w", err)
	}
	return body, nil
}

// fill puts what is trusted into the entry.
func (a *referenceAdd) fill() error {
	a.entry.Values, a.entry.Minimums = map[string][]policy.Value{}, map[string]int64{}
	catalog := policy.NewReferenceCatalog(string(a.entry.Type))
	for _, g := range a.given {
		claim, err := catalog.Key(g.name)
		if err != nil {
			return usage("%w", err)
		}
		v, err := valueOf(claim.Kind, g.text)
		if err != nil {
			return usage("%s=%s: %w", g.name, g.text, err)
		}
		n, isInteger := v.Int()
		switch _, again := a.entry.Minimums[g.name]; {
		case g.least && !isInteger:
			return usage("--minimum %s: only integers have an order", g.name)
		case g.least && again:
			return usage("--minimum %s is given twice", g.name)
		case g.least:
			a.entry.Minimums[g.name] = n
		default:
			a.entry.Values[g.name] = append(a.entry.Values[g.name], v)
		}
	}
	return nil
}

// valueOf reads a value of a kind.
func valueOf(kind policy.Kind, text string) (policy.Value, error) {
	switch kind {
	case policy.Integer:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return policy.Value{}, errors.New("expected an integer")
		}
		return policy.IntegerValue(n), nil
	case policy.Boolean:
		if text != "true" && text != "false" {
			return policy.Value{}, errors.New("expected true or false")
		}
		return policy.BooleanValue(text == "true"), nil
	}
	return policy.StringValue(text), nil
}
