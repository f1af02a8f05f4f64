package reference_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/policy"
)

var at = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

// entry parses an entry of type SevSnpVm, or of the type that the members name.
func entry(t testing.TB, name, members string) reference.Entry {
	t.Helper()
	if !strings.Contains(members, `"type"`) {
		members = `"type":"SevSnpVm",` + members
	}
	e, err := reference.Parse(name, []byte("{"+members+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return *e
}

// matches are the names of the entries that match, in the order of the claims.
func matches(f reference.Found) []string {
	names := []string{}
	for _, c := range f.Claims {
		if text, ok := c.Value.Text(); ok && c.Type == "assay-reference" {
			names = append(names, text)
		}
	}
	return names
}

func facts(pairs ...any) (claims []evidence.Claim) {
	for i := 0; i < len(pairs); i += 2 {
		claims = append(claims, evidence.Claim{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return claims
}

const (
	vmpl  = "x-ms-sevsnpvm-vmpl"
	svn   = "x-ms-sevsnpvm-guestsvn"
	debug = "x-ms-sevsnpvm-is-debuggable"
)

func TestAnEntryMatchesIfAllItsKeysHold(t *testing.T) {
	one := `"values":{"` + vmpl + `":[0,1]}`
	two := `"values":{"` + vmpl + `":[0],"` + debug + `":[false]}`
	least := `"minimums":{"` + svn + `":12}`
	both := `"values":{"` + vmpl + `":[0]},` + least
	for _, c := range []struct {
		members string
		facts   []evidence.Claim
		want    bool
	}{
		{one, facts(vmpl, int64(0)), true},
		{one, facts(vmpl, int64(1), svn, int64(9)), true},
		{one, facts(vmpl, int64(2)), false},
		{one, facts(vmpl, "0"), false},
		{one, facts(vmpl, false), false},
		{one, facts(svn, int64(0)), false}, // no claim of the name
		{one, facts(strings.ToUpper(vmpl), int64(0)), false},
		{one, nil, false},
		{one, facts(vmpl, int64(0), vmpl, int64(1)), true},
		{one, facts(vmpl, int64(0), vmpl, int64(2)), false}, // each of several claims counts
		{one, facts(vmpl, int64(2), vmpl, int64(0)), false},
		{one, facts(vmpl, jsontext.Value("0")), false},
		{one, facts(vmpl, int64(0), vmpl, jsontext.Value("0")), false},
		{one, facts(vmpl, []int64{0, 1}), true},
		{one, facts(vmpl, []int64{0, 2}), false},
		{one, facts(vmpl, []int64{2, 1}), false},
		{one, facts(vmpl, []int64{}), false}, // no claim
		{one, facts(vmpl, 0), false},         // no value of a claim
		{two, facts(vmpl, int64(0), debug, false), true},
		{two, facts(vmpl, int64(0), debug, true), false},
		{two, facts(vmpl, int64(1), debug, false), false},
		{two, facts(vmpl, int64(0)), false},
		{least, facts(svn, int64(12)), true},
		{least, facts(svn, int64(13)), true},
		{least, facts(svn, int64(11)), false},
		{least, facts(svn, int64(12), svn, int64(11)), false},
		{least, facts(svn, "13"), false},
		{least, facts(svn, true), false},
		{least, nil, false},
		{both, facts(vmpl, int64(0), svn, int64(12)), true},
		{both, facts(vmpl, int64(0), svn, int64(11)), false},
		{both, facts(vmpl, int64(1), svn, int64(12)), false},
	} {
		s := reference.NewSet([]reference.Entry{entry(t, "n", c.members)})
		if got := len(matches(s.Match(evidence.SevSnpVM, c.facts, at))) == 1; got != c.want {
			t.Errorf("%s of %v: %t, want %t", c.members, c.facts, got, c.want)
		}
	}
}

func TestKeysOfTwoEntriesDoNotMix(t *testing.T) {
	s := reference.NewSet([]reference.Entry{
		entry(t, "b", `"values":{"`+vmpl+`":[1],"`+debug+`":[true]}`),
		entry(t, "a", `"values":{"`+vmpl+`":[0],"`+debug+`":[false]}`),
		entry(t, "c", `"minimums":{"`+vmpl+`":0}`),
	})
	for _, c := range []struct {
		vmpl  int64
		debug bool
		want  string
	}{{0, false, "[a c]"}, {1, true, "[b c]"}, {0, true, "[c]"}, {1, false, "[c]"}} {
		if got := fmt.Sprint(matches(s.Match(evidence.SevSnpVM, facts(vmpl, c.vmpl, debug, c.debug), at))); got != c.want {
			t.Errorf("%d and %t: %s, want %s", c.vmpl, c.debug, got, c.want)
		}
	}
}

func TestEntriesCountWhileTheyAreInDate(t *testing.T) {
	from, until := at, at.Add(time.Hour)
	stamps := func(members ...string) string {
		r := strings.NewReplacer("FROM", from.Format(time.RFC3339), "UNTIL", until.Format(time.RFC3339))
		return `"values":{"` + vmpl + `":[0]}` + r.Replace(strings.Join(members, ""))
	}
	const notBefore, notAfter = `,"notBefore":"FROM"`, `,"notAfter":"UNTIL"`
	for _, c := range []struct {
		members string
		at      time.Time
		want    bool
	}{
		{stamps(), time.Time{}, true},
		{stamps(notBefore), from.Add(-1), false},
		{stamps(notBefore), from, true},
		{stamps(notBefore), until.AddDate(100, 0, 0), true},
		{stamps(notAfter), from.AddDate(-100, 0, 0), true},
		{stamps(notAfter), until.Add(-1), true},
		{stamps(notAfter), until, false},
		{stamps(notBefore, notAfter), from.Add(-1), false},
		{stamps(notBefore, notAfter), from, true},
		{stamps(notBefore, notAfter), until.Add(-1), true},
		{stamps(notBefore, notAfter), until, false},
	} {
		found := reference.NewSet([]reference.Entry{entry(t, "n", c.members+`,"complianceStatus":"s"`)}).Match(evidence.SevSnpVM, facts(vmpl, int64(0)), c.at)
		want := reference.Found{}
		if c.want {
			want = reference.Found{ComplianceStatus: "s", Claims: []policy.Claim{
				claimOf("assay-reference", policy.StringValue("n")), claimOf("assay-reference-"+vmpl, policy.IntegerValue(0)),
			}}
		}
		if found.ComplianceStatus != want.ComplianceStatus || !slices.Equal(found.Claims, want.Claims) {
			t.Errorf("%s at %v: %+v, want %+v", c.members, c.at, found, want)
		}
	}
}

func claimOf(name string, v policy.Value) policy.Claim {
	return policy.Claim{Type: name, Value: v, Issuer: "ReferenceValue", ReadOnly: true}
}

// TestClaimsShowEachValueOfTheTypeOnce: of entries that match and of those that do not, without minimums.
func TestClaimsShowEachValueOfTheTypeOnce(t *testing.T) {
	s := reference.NewSet([]reference.Entry{
		entry(t, "b", `"values":{"`+vmpl+`":[3,0]},"minimums":{"`+svn+`":1}`),
		entry(t, "a", `"values":{"`+vmpl+`":[0,1],"`+debug+`":[false]}`),
		entry(t, "late", `"values":{"`+vmpl+`":[1,2]},"notBefore":"2026-08-01T00:00:00Z"`),
		entry(t, "other", `"type":"Tpm","values":{"secureBootEnabled":[true]}`),
	})
	const shown = "assay-reference-"
	want := []policy.Claim{
		claimOf("assay-reference", policy.StringValue("b")),
		claimOf(shown+debug, policy.BooleanValue(false)), claimOf(shown+vmpl, policy.IntegerValue(0)), claimOf(shown+vmpl, policy.IntegerValue(1)),
		claimOf(shown+vmpl, policy.IntegerValue(3)),
	}
	fact := facts(vmpl, int64(3), svn, int64(1))
	if got := s.Match(evidence.SevSnpVM, fact, at).Claims; !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	later := append(slices.Clone(want), claimOf(shown+vmpl, policy.IntegerValue(2)))
	if got := s.Match(evidence.SevSnpVM, fact, at.AddDate(0, 2, 0)).Claims; !slices.Equal(got, later) {
		t.Errorf("got  %v\nwant %v", got, later)
	}
}

func TestTypesAreExact(t *testing.T) {
	s := reference.NewSet([]reference.Entry{entry(t, "n", `"type":"SgxEnclave","minimums":{"x-ms-sgx-svn":0}`)})
	for typ, want := range map[evidence.Type]int{evidence.SgxEnclave: 1, evidence.OpenEnclave: 0, evidence.Tpm: 0, "": 0} {
		if got := len(s.Match(typ, facts("x-ms-sgx-svn", int64(0)), at).Claims); got != want {
			t.Errorf("%s: %d claims, want %d", typ, got, want)
		}
	}
}

func TestTheComplianceStatusIsThatOfTheFirstMatchByName(t *testing.T) {
	status := func(name string, level int, status string) reference.Entry {
		if status != "" {
			status = `,"complianceStatus":"` + status + `"`
		}
		return entry(t, name, fmt.Sprintf(`"values":{%q:[%d]}%s`, vmpl, level, status))
	}
	s := reference.NewSet([]reference.Entry{status("d", 0, "four"), status("a", 1, "one"), status("b", 0, ""), status("c", 0, "three")})
	for level, want := range []string{"three", "one", ""} {
		if got := s.Match(evidence.SevSnpVM, facts(vmpl, int64(level)), at).ComplianceStatus; got != want {
			t.Errorf("level %d: %q, want %q", level, got, want)
		}
	}
}

func TestASetWithoutEntriesFindsNothing(t *testing.T) {
	var none *reference.Set
	for _, s := range []*reference.Set{none, reference.NewSet(nil)} {
		if found := s.Match(evidence.SevSnpVM, facts(vmpl, int64(0)), at); len(found.Claims) != 0 || found.ComplianceStatus != "" {
			t.Errorf("%+v", found)
		}
	}
}

func TestASetKeepsNothingOfItsEntriesThatMayChange(t *testing.T) {
	entries := []reference.Entry{entry(t, "n", `"values":{"`+vmpl+`":[0]},"minimums":{"`+svn+`":1}`)}
	s := reference.NewSet(entries)
	entries[0].Values[vmpl][0] = policy.IntegerValue(9)
	entries[0].Minimums[svn] = 9
	entries[0].Name = "changed"
	if got := matches(s.Match(evidence.SevSnpVM, facts(vmpl, int64(0), svn, int64(1)), at)); !slices.Equal(got, []string{"n"}) {
		t.Errorf("%v", got)
	}
}

func TestRoomEndsAtTheBounds(t *testing.T) {
	entries := func(n, values int, typ evidence.Type) (list []reference.Entry) {
		for range n {
			list = append(list, reference.Entry{Type: typ, Values: map[string][]policy.Value{"a": make([]policy.Value, values)}})
		}
		return list
	}
	for _, c := range []struct {
		entries []reference.Entry
		full    bool
	}{
		{nil, false},
		{entries(reference.MaxEntries, 1, evidence.Tpm), false},
		{entries(reference.MaxEntries+1, 1, evidence.Tpm), true},
		{entries(100, reference.MaxValuesPerType/100, evidence.Tpm), false},
		{append(entries(100, reference.MaxValuesPerType/100, evidence.Tpm), entries(1, 1, evidence.Tpm)...), true},
		{append(entries(100, reference.MaxValuesPerType/100, evidence.Tpm), entries(1, 256, evidence.TdxVM)...), false},
	} {
		if err := reference.Room(c.entries); errors.Is(err, reference.ErrFull) != c.full || (err != nil) != c.full {
			t.Errorf("%d entries: %v, want full %t", len(c.entries), err, c.full)
		}
	}
}

// BenchmarkMatch holds a guest against as many entries as there may be, of ten values each.
func BenchmarkMatch(b *testing.B) {
	var entries []reference.Entry
	for i := range reference.MaxEntries {
		var values []string
		for j := range reference.MaxValuesPerType / reference.MaxEntries {
			values = append(values, fmt.Sprintf("\"%096x\"", 10*i+j))
		}
		entries = append(entries, entry(b, fmt.Sprintf("entry-%d", i),
			`"values":{"x-ms-sevsnpvm-launchmeasurement":[`+strings.Join(values, ",")+`]},"minimums":{"`+svn+`":1},"notAfter":"2027-01-01T00:00:00Z"`))
	}
	s := reference.NewSet(entries)
	claims := facts("x-ms-sevsnpvm-launchmeasurement", fmt.Sprintf("%096x", 5), svn, int64(3), vmpl, int64(0), debug, false)
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Match(evidence.SevSnpVM, claims, at).Claims) != 1+reference.MaxValuesPerType {
			b.Fatal("no match")
		}
	}
}
