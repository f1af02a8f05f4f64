package provider

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/store"
)

// measured is the body of a reference value with one measurement of an enclave.
func measured(digit string) string {
	return `{"type":"SgxEnclave","values":{"x-ms-sgx-mrenclave":["` + strings.Repeat(digit, 64) + `"]}}`
}

// matches lists the names of the reference values that an enclave with that measurement matches.
func (i *Instance) matches(digit string, at time.Time) (names []string) {
	found := i.References.Match(evidence.SgxEnclave, []evidence.Claim{{Name: "x-ms-sgx-mrenclave", Value: strings.Repeat(digit, 64)}}, at)
	for _, c := range found.Claims {
		if c.Type == "assay-reference" {
			names = append(names, c.Value.String())
		}
	}
	return names
}

// setReference sets one at the default provider.
func (l *lab) setReference(c ReferenceChange) (store.Reference, bool, error) {
	return l.SetReference(l.t.Context(), l.at(Default), c, l.author())
}

func TestReferencesAreInForceAndAuditedOnceSet(t *testing.T) {
	l := newLab(t)
	l.trail = nil
	set, created, err := l.setReference(ReferenceChange{Name: "Golden", Body: []byte(" " + measured("a"))})
	if l.must(err); !created || set.Name != "golden" || string(set.Body) != measured("a") {
		t.Errorf("set %+v, created %t", set, created)
	}
	if got := l.at(Default).matches("a", time.Now()); len(got) != 1 {
		t.Errorf("it matches %q", got)
	}
	again, created, err := l.setReference(ReferenceChange{Name: "golden", Body: []byte(measured("b"))})
	if l.must(err); created || again.Version <= set.Version {
		t.Errorf("version %d after %d, created %t", again.Version, set.Version, created)
	}
	if got := append(l.at(Default).matches("a", time.Now()), l.at(Default).matches("b", time.Now())...); len(got) != 1 {
		t.Errorf("after it was replaced the two measurements match %q", got)
	}
	l.must(l.DeleteReference(t.Context(), l.at(Default), "golden", 0, l.author()))
	if got := l.at(Default).matches("b", time.Now()); got != nil {
		t.Errorf("after it was deleted it matches %q", got)
	}
	a, b := hashOf([]byte(measured("a"))), hashOf([]byte(measured("b")))
	if got, want := strings.Join(l.trail, " "), ">"+a+" "+a+">"+b+" "+b+">"; got != want {
		t.Errorf("the trail has %s, want %s", got, want)
	}
}

func TestReferencesAreChangedAsExpectedOnly(t *testing.T) {
	l := newLab(t)
	first, _, err := l.setReference(ReferenceChange{Name: "g", Body: []byte(measured("a")), Create: true})
	l.must(err)
	second, _, err := l.setReference(ReferenceChange{Name: "g", Body: []byte(measured("b")), IfVersion: first.Version})
	l.must(err)
	for name, c := range map[string]ReferenceChange{
		"of an old version": {Name: "g", IfVersion: first.Version}, "made anew": {Name: "g", Create: true}, "not there": {Name: "h", IfVersion: second.Version},
	} {
		c.Body = []byte(measured("c"))
		if _, _, err := l.setReference(c); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, version := range []int64{first.Version, second.Version + 1} {
		if err := l.DeleteReference(t.Context(), l.at(Default), "g", version, l.author()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("deleting version %d: %v", version, err)
		}
	}
	l.must(l.DeleteReference(t.Context(), l.at(Default), "G", second.Version, l.author()))
	if err := l.DeleteReference(t.Context(), l.at(Default), "g", 0, l.author()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	if _, err := l.Reference(t.Context(), l.at(Default), "g"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("reading it: %v", err)
	}
}

func TestUnsoundReferencesAreRefused(t *testing.T) {
	l := newLab(t)
	long := `{"type":"SgxEnclave","values":{` // sound, and longer than what is kept of one
	for _, claim := range []string{"x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner", "x-ms-sgx-config-id"} {
		digits := 64
		if claim == "x-ms-sgx-config-id" {
			digits = 128
		}
		long += `"` + claim + `":[`
		for n := range reference.MaxValues {
			long += fmt.Sprintf(`"%0*x",`, digits, n)
		}
		long = strings.TrimSuffix(long, ",") + "],"
	}
	long = strings.TrimSuffix(long, ",") + "}}"
	if _, err := reference.Parse("g", []byte(long)); err != nil || len(long) <= store.MaxReferenceBytes {
		t.Fatalf("%d bytes, %v", len(long), err)
	}
	for name, c := range map[string]ReferenceChange{
		"no name": {Body: []byte(measured("a"))}, "a Kelvin sign": {Name: "\u212a", Body: []byte(measured("a"))}, "no JSON": {Name: "g", Body: []byte("{")}, "nothing": {Name: "g"}, "too long": {Name: "g", Body: []byte(long)},
	} {
		if _, _, err := l.setReference(c); !errors.Is(err, ErrInvalidReference) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if list, err := l.References(t.Context(), l.at(Default), "", 10); err != nil || len(list) > 0 {
		t.Errorf("kept %v, %v", list, err)
	}
}

// TestAReferenceThatCannotBeReadStopsAttestation, since a policy may deny what matches it, until its owner does something about it.
func TestAReferenceThatCannotBeReadStopsAttestation(t *testing.T) {
	for name, repair := range map[string]func(l *lab) error{
		"deleted": func(l *lab) error { return l.DeleteReference(l.t.Context(), l.at(Default), "new", 0, l.author()) },
		"replaced": func(l *lab) error {
			_, _, err := l.setReference(ReferenceChange{Name: "new", Body: []byte(measured("b"))})
			return err
		},
	} {
		l := newLab(t)
		_, _, err := l.setReference(ReferenceChange{Name: "good", Body: []byte(measured("a"))})
		l.must(err)
		before := len(l.at(Default).Verifiable())
		l.must(l.Store.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.PutReference(store.Reference{ProviderID: l.at(Default).ID, Name: "new", Body: jsontext.Value(`{"type":"SgxEnclave","of_a_newer_program":true}`)})
			return err
		}))
		l.must(l.Refresh(t.Context()))
		i := l.at(Default)
		if i.Outdated != nil || len(i.Verifiable()) != 0 || i.Policy("SgxEnclave").Broken == nil || i.Policy("SgxEnclave").JWS == "" {
			t.Errorf("%s: outdated %v, %d types can be verified, broken %v", name, i.Outdated, len(i.Verifiable()), i.Policy("SgxEnclave").Broken)
		}
		l.must(repair(l))
		if i := l.at(Default); len(i.Verifiable()) != before || i.Policy("SgxEnclave").Broken != nil {
			t.Errorf("%s: afterwards %d types can be verified, want %d; broken %v", name, len(i.Verifiable()), before, i.Policy("SgxEnclave").Broken)
		}
	}
}

func TestAProviderHasABoundedNumberOfReferences(t *testing.T) {
	l := newLab(t)
	var values []string
	for n := range reference.MaxValues {
		values = append(values, fmt.Sprintf(`"%064x"`, n))
	}
	body := []byte(`{"type":"SgxEnclave","values":{"x-ms-sgx-mrenclave":[` + strings.Join(values, ",") + `]}}`)
	id, most := l.at(Default).ID, reference.MaxValuesPerType/reference.MaxValues
	l.must(l.Store.Write(t.Context(), func(tx *store.Tx) (err error) {
		for n := range most {
			_, err2 := tx.PutReference(store.Reference{ProviderID: id, Name: fmt.Sprint(n), Body: body})
			err = errors.Join(err, err2)
		}
		return err
	}))
	if _, _, err := l.setReference(ReferenceChange{Name: "more", Body: body}); !errors.Is(err, reference.ErrFull) {
		t.Errorf("got %v", err)
	}
	_, _, err := l.setReference(ReferenceChange{Name: "0", Body: body}) // what is there is replaced
	l.must(err)
	_, _, err = l.setReference(ReferenceChange{Name: "other", Body: []byte(`{"type":"SevSnpVm","minimums":{"x-ms-sevsnpvm-guestsvn":12}}`)})
	l.must(err) // of another type
}

// TestAReplicaHasTheReferencesOfTheStore after each change of another one, of which it reads what is new.
func TestAReplicaHasTheReferencesOfTheStore(t *testing.T) {
	l := newLab(t)
	other := NewRegistry(l.Ground, nil)
	set := func(name, digit string) func() error {
		return func() error {
			_, _, err := l.setReference(ReferenceChange{Name: name, Body: []byte(measured(digit))})
			return err
		}
	}
	remove := func(name string) func() error {
		return func() error { return l.DeleteReference(t.Context(), l.at(Default), name, 0, l.author()) }
	}
	unreadable := func(name string) func() error {
		return func() error {
			return l.Store.Write(t.Context(), func(tx *store.Tx) error {
				r, err := tx.Reference(l.at(Default).ID, name)
				r.Body = jsontext.Value(`{"type":"SgxEnclave","of_a_newer_program":true}`)
				_, err2 := tx.PutReference(r)
				return errors.Join(err, err2)
			})
		}
	}
	for n, step := range []struct {
		do   func() error
		want string
	}{
		{set("b", "1"), "b:1"}, {set("a", "2"), "a:2 b:1"}, {set("b", "3"), "a:2 b:3"}, {remove("a"), "b:3"}, {set("a", "4"), "a:4 b:3"},
		{unreadable("a"), "b:3 broken"}, {set("c", "5"), "b:3 c:5 broken"}, {set("a", "6"), "a:6 b:3 c:5"}, {unreadable("b"), "a:6 c:5 broken"},
		{remove("b"), "a:6 c:5"}, {remove("a"), "c:5"}, {remove("c"), ""},
	} {
		l.must(errors.Join(step.do(), l.Refresh(t.Context()), other.Refresh(t.Context())))
		there, _ := other.ByName(Default)
		for who, i := range map[string]*Instance{"the one that changed it": l.at(Default), "another": there} {
			if got := i.inForce(); got != step.want {
				t.Errorf("step %d: %s has %q, want %q", n, who, got, step.want)
			}
		}
	}
}

// inForce writes the names of reference values with the first digits of what they measure, by what enclaves match and by what is warned of.
func (i *Instance) inForce() string {
	var all []string
	for _, e := range i.entries {
		mrenclave, _ := e.Values["x-ms-sgx-mrenclave"][0].Text()
		if digit := mrenclave[:1]; slices.Contains(i.matches(digit, time.Now()), strconv.Quote(e.Name)) {
			all = append(all, e.Name+":"+digit)
		}
	}
	if i.brokenReference != nil {
		all = append(all, "broken")
	}
	return strings.Join(all, " ")
}

// TestReferencesAreReadAgainOnlyWhenTheyChange: a provider may have megabytes of them, and its policies and keys change, too.
func TestReferencesAreReadAgainOnlyWhenTheyChange(t *testing.T) {
	l := newLab(t)
	_, _, err := l.setReference(ReferenceChange{Name: "g", Body: []byte(measured("a"))})
	l.must(err)
	before := l.at(Default)
	l.must(l.setSGX(unsigned(t, permits)))
	if after := l.at(Default); after == before || after.References != before.References {
		t.Errorf("after a change of a policy the instance is the same: %t, its reference values are: %t", after == before, after.References == before.References)
	}
	l.must(l.DeleteReference(t.Context(), l.at(Default), "g", 0, l.author()))
	if l.at(Default).References == before.References {
		t.Error("after one was deleted they are the same")
	}
}

func TestStatesOfReferences(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	entry := func(from, until time.Duration) *reference.Entry {
		e := &reference.Entry{}
		if from != 0 {
			e.NotBefore = at.Add(from)
		}
		if until != 0 {
			e.NotAfter = at.Add(until)
		}
		return e
	}
	const day = 24 * time.Hour
	for _, tt := range []struct {
		entry *reference.Entry
		want  ReferenceState
		warns bool
	}{
		{entry(0, 0), ReferenceInForce, false},
		{entry(-day, 0), ReferenceInForce, false},
		{entry(1, 0), ReferenceNotYet, false},
		{entry(0, 14*day+1), ReferenceInForce, false},
		{entry(0, 14*day), ReferenceExpiresSoon, true},
		{entry(0, 1), ReferenceExpiresSoon, true},
		{&reference.Entry{NotAfter: at}, ReferenceExpired, true}, // the end is not in it
		{entry(-2*day, -day), ReferenceExpired, true},
		{entry(0, -day-1), ReferenceExpired, false},
		{nil, ReferenceUnreadable, false},
	} {
		if got := StateOf(tt.entry, at); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.entry, got, tt.want)
		}
		if tt.entry == nil {
			continue
		}
		if got := (&Instance{entries: []reference.Entry{*tt.entry}}).Expiring(at); (len(got) > 0) != tt.warns {
			t.Errorf("%+v: warned of: %t, want %t", tt.entry, len(got) > 0, tt.warns)
		}
	}
}
