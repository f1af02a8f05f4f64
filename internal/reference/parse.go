package reference

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/policy"
)

// Parse reads the body of a PUT (native.md section 5): one JSON object, without members that are not known. Names have small letters,
// digits, dots, hyphens and underscores, and begin with a letter or digit. An entry needs a value or a minimum, since without one it would
// match everything; what no evidence can ever have is refused. The error says what was expected and what was found.
func Parse(name string, body []byte) (*Entry, error) { return new(Parser).Parse(name, body) }

// Parser reads bodies one after another: it keeps what is known of the claims, which takes longer to put together than a body to read. The
// zero value is ready. It is not for concurrent use.
type Parser struct {
	catalogs map[evidence.Type]*policy.ReferenceCatalog
}

// catalog gives the claims of an attestation type.
func (p *Parser) catalog(t evidence.Type) *policy.ReferenceCatalog {
	if p.catalogs == nil {
		p.catalogs = map[evidence.Type]*policy.ReferenceCatalog{}
	}
	if p.catalogs[t] == nil {
		p.catalogs[t] = policy.NewReferenceCatalog(string(t))
	}
	return p.catalogs[t]
}

// Parse is as [Parse].
func (p *Parser) Parse(name string, body []byte) (*Entry, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("expected at most %d bytes, found %d", MaxBody, len(body))
	}
	var members map[string]jsontext.Value
	if err := strictjson.Exact(body, &members); err != nil {
		return nil, err
	}
	r := &reader{entry: &Entry{Name: name}, parser: p}
	for _, m := range r.members() {
		raw, ok := members[m.name]
		delete(members, m.name)
		if !ok {
			continue
		}
		if err := m.read(raw); err != nil {
			return nil, fmt.Errorf("member %s: %w", m.name, err)
		}
	}
	if err := unknown(members, r.members()); err != nil {
		return nil, err
	}
	return r.entry, r.entry.whole()
}

// CheckName says why a text cannot be the name of an entry; nil: it can.
func CheckName(name string) error {
	plain := func(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }
	other := func(r rune) bool { return !plain(r) && !strings.ContainsRune("._-", r) }
	if name == "" || len(name) > MaxName || !plain(rune(name[0])) || strings.ContainsFunc(name, other) {
		return fmt.Errorf("expected a name of 1 to %d characters a to z, 0 to 9, '.', '_' and '-', the first a letter or digit, found %q",
			MaxName, cut(name))
	}
	return nil
}

// member is a member of the body and what reads it.
type member struct {
	name string
	read func(jsontext.Value) error
}

// reader fills an entry.
type reader struct {
	entry  *Entry
	parser *Parser
}

// members are those of the body in the order in which they are read: the type decides what the others may say.
func (r *reader) members() []member {
	e := r.entry
	return []member{
		{"type", r.readType},
		{"values", r.readValues},
		{"minimums", r.readMinimums},
		{"complianceStatus", r.readStatus},
		{"notBefore", func(raw jsontext.Value) error { return readTime(raw, &e.NotBefore) }},
		{"notAfter", func(raw jsontext.Value) error { return readTime(raw, &e.NotAfter) }},
		{"owner", func(raw jsontext.Value) error { return readText(raw, MaxText, &e.Owner) }},
		{"provenance", r.readProvenance},
	}
}

// unknown refuses what is left of the members.
func unknown(left map[string]jsontext.Value, members []member) error {
	if len(left) == 0 {
		return nil
	}
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.name
	}
	return fmt.Errorf("unknown member %q, expected some of %s", cut(slices.Min(slices.Collect(maps.Keys(left)))), strings.Join(names, ", "))
}

// whole checks what no member shows by itself.
func (e *Entry) whole() error {
	switch {
	case e.Type == "":
		return fmt.Errorf("member type: expected an attestation type, such as %s, found none", evidence.SevSnpVM)
	case len(e.Values)+len(e.Minimums) == 0:
		return fmt.Errorf("expected a claim under values or minimums, found none: the entry would match all evidence")
	case len(e.Values)+len(e.Minimums) > MaxKeys:
		return fmt.Errorf("expected at most %d claims under values and minimums, found %d", MaxKeys, len(e.Values)+len(e.Minimums))
	case !e.NotBefore.IsZero() && !e.NotAfter.IsZero() && !e.NotBefore.Before(e.NotAfter):
		return fmt.Errorf("expected notBefore before notAfter, found %s and %s", stamp(e.NotBefore), stamp(e.NotAfter))
	}
	for _, claim := range slices.Sorted(maps.Keys(e.Minimums)) {
		for _, v := range e.Values[claim] {
			if n, ok := v.Int(); ok && n < e.Minimums[claim] {
				return fmt.Errorf("expected values of %s of at least its minimum %d, found %d, which never matches", claim, e.Minimums[claim], n)
			}
		}
	}
	return nil
}

func (r *reader) readType(raw jsontext.Value) error {
	var name string
	if err := readText(raw, MaxText, &name); err != nil {
		return err
	}
	t, ok := evidence.ParseType(name)
	if !ok {
		return fmt.Errorf("expected SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest or Tpm, found %q", name)
	}
	r.entry.Type = t
	return nil
}

// readKeys reads an object whose members are claims of the type, and has read look at each.
func (r *reader) readKeys(raw jsontext.Value, read func(claim *policy.ClaimInfo, raw jsontext.Value) error) error {
	var claims map[string]jsontext.Value
	if err := readJSON(raw, '{', &claims); err != nil || r.entry.Type == "" {
		return err // whole refuses an entry without a type
	}
	if len(claims) > MaxKeys {
		return fmt.Errorf("expected at most %d claims, found %d", MaxKeys, len(claims))
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		claim, err := r.parser.catalog(r.entry.Type).Key(name)
		if err != nil {
			return err
		}
		if err := read(&claim, claims[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *reader) readValues(raw jsontext.Value) error {
	return r.readKeys(raw, func(claim *policy.ClaimInfo, raw jsontext.Value) error {
		values, err := readValues(claim, raw)
		if r.entry.Values == nil {
			r.entry.Values = map[string][]policy.Value{}
		}
		r.entry.Values[claim.Name] = values
		return err
	})
}

// readValues reads the values that are trusted for one claim.
func readValues(claim *policy.ClaimInfo, raw jsontext.Value) ([]policy.Value, error) {
	var list []jsontext.Value
	if err := readJSON(raw, '[', &list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > MaxValues {
		return nil, fmt.Errorf("expected 1 to %d values, found %d", MaxValues, len(list))
	}
	values := make([]policy.Value, 0, len(list))
	seen := make(map[policy.Value]bool, len(list))
	for _, element := range list {
		v, err := readValue(claim, element)
		if err != nil {
			return nil, err
		}
		if seen[v] {
			return nil, fmt.Errorf("expected each value once, found %s twice", v)
		}
		seen[v] = true
		values = append(values, v)
	}
	return values, nil
}

func readValue(claim *policy.ClaimInfo, raw jsontext.Value) (v policy.Value, err error) {
	if err := v.UnmarshalJSON(raw); err != nil {
		return v, err
	}
	if text, ok := v.Text(); ok && len(text) > MaxText {
		return v, fmt.Errorf("expected a string of at most %d bytes, found %d", MaxText, len(text))
	}
	return v, claim.Accepts(v)
}

func (r *reader) readMinimums(raw jsontext.Value) error {
	return r.readKeys(raw, func(claim *policy.ClaimInfo, raw jsontext.Value) error {
		var v policy.Value
		if err := v.UnmarshalJSON(raw); err != nil {
			return err
		}
		n, ok := v.Int()
		switch {
		case claim.Kind != policy.Integer:
			return fmt.Errorf("expected a claim of type %v, found one of type %v: only integers have an order", policy.Integer, claim.Kind)
		case !ok || n < 0:
			return fmt.Errorf("expected an integer of 0 or more, found %.40s", raw)
		}
		if r.entry.Minimums == nil {
			r.entry.Minimums = map[string]int64{}
		}
		r.entry.Minimums[claim.Name] = n
		return nil
	})
}

// readStatus reads the compliance status, which only tokens of virtual machines have (tokens.md section 5.3).
func (r *reader) readStatus(raw jsontext.Value) error {
	switch r.entry.Type {
	case evidence.SevSnpVM, evidence.TdxVM, evidence.AzureGuest, "":
	default:
		return fmt.Errorf("expected none, since tokens of %s have no x-ms-compliance-status", r.entry.Type)
	}
	status := &r.entry.ComplianceStatus
	if err := readText(raw, MaxStatus, status); err != nil {
		return err
	}
	if strings.ContainsFunc(*status, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf("expected characters of ASCII, found %q", *status)
	}
	return nil
}

func (r *reader) readProvenance(raw jsontext.Value) error {
	var members map[string]jsontext.Value
	if err := readJSON(raw, '{', &members); err != nil {
		return err
	}
	p := &r.entry.Provenance
	known := []member{
		{"source", func(raw jsontext.Value) error { return readText(raw, MaxSource, &p.Source) }},
		{"sha256", func(raw jsontext.Value) error { return readDigest(raw, &p.SHA256) }},
	}
	for _, m := range known {
		raw, ok := members[m.name]
		delete(members, m.name)
		if !ok {
			continue
		}
		if err := m.read(raw); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return unknown(members, known)
}

func readDigest(raw jsontext.Value, to *string) error {
	const digits = 64
	if err := readText(raw, MaxText, to); err != nil {
		return err
	}
	if len(*to) != digits || strings.Trim(*to, "0123456789abcdef") != "" {
		return fmt.Errorf("expected %d lower-case hexadecimal digits, found %q", digits, *to)
	}
	return nil
}

// readText reads a string of 1 to most bytes that a person can see.
func readText(raw jsontext.Value, most int, to *string) error {
	if err := readJSON(raw, '"', to); err != nil {
		return err
	}
	if *to == "" || len(*to) > most || strings.ContainsFunc(*to, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("expected 1 to %d bytes of printable text, found %q", most, cut(*to))
	}
	return nil
}

// readTime reads a time, within the years for which there are dates of RFC 3339 and none is that of no bound.
func readTime(raw jsontext.Value, to *time.Time) error {
	const first, last = 1970, 9999
	var text string
	if err := readText(raw, MaxText, &text); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UTC().Year() < first || t.UTC().Year() > last {
		return fmt.Errorf("expected a time of RFC 3339 such as 2026-01-31T00:00:00Z, of the years %d to %d, found %q", first, last, cut(text))
	}
	*to = t.UTC()
	return nil
}

// readJSON reads a JSON value of one kind; null is none of them.
func readJSON(raw jsontext.Value, kind jsontext.Kind, to any) error {
	if raw.Kind() == kind {
		return strictjson.Exact(raw, to)
	}
	expected := map[jsontext.Kind]string{'{': "an object", '[': "an array", '"': "a string"}[kind]
	return fmt.Errorf("expected %s, found %s", expected, cut(string(raw)))
}

// cut shortens a text for a message.
func cut(s string) string {
	const longest = 80
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
