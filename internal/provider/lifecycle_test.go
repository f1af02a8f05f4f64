package provider

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/store"
)

func TestCreatedProviderIsInServiceAtOnce(t *testing.T) {
	l := newLab(t)
	i := l.create("Mixed-Case", func(s *Spec) { s.Location, s.Tags = "west", map[string]string{"a": "b"} })
	if i.Name != "mixed-case" || i.URL != "https://mixed-case.example" || i.Location != "west" || i.Tags["a"] != "b" || i.TrustModel() != "AAD" || i.Version < 1 {
		t.Errorf("got %+v", i.Provider)
	}
	if i.Keys.KeyID(time.Now()) == l.at(Default).Keys.KeyID(time.Now()) {
		t.Error("two providers share a key")
	}
	if err := l.Create(t.Context(), Spec{Name: "MIXED-case"}, byName, l.author()); !errors.Is(err, store.ErrTaken) {
		t.Errorf("a second one of that name: %v", err)
	}
}

// TestProviderNames holds names to README.md section 7 of the specification.
func TestProviderNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"abc": true, "ABC-9": true, strings.Repeat("x", 24): true,
		"ab": false, strings.Repeat("x", 25): false, "a_b": false, "a.b": false, "äbc": false, "": false, "a b": false, "abc\n": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestInvalidProvidersAreRefused(t *testing.T) {
	l := newLab(t)
	many := map[string]string{}
	for len(many) <= maxTags {
		many[strings.Repeat("x", len(many))] = ""
	}
	bad, disabled := "enabled", "Disabled"
	for what, spec := range map[string]Spec{
		"location":         {Location: strings.Repeat("x", maxLocation+1)},
		"no location":      {Location: "a.b"},
		"subscription":     {Subscription: strings.Repeat("x", maxScope+1)},
		"resource group":   {ResourceGroup: "a/b"},
		"isolated by name": {TrustModel: "Isolated"},
		"trust model":      {TrustModel: "Other"},
		"number of tags":   {Tags: many},
		"length of a tag":  {Tags: map[string]string{"a": strings.Repeat("x", maxTagValue+1)}},
		"switch":           {PublicNetworkAccess: &bad},
		"other switch":     {TPMAttestationAuthentication: &bad},
		"unknown setting":  {Settings: jsontext.Value(`{"strickt":true}`)},
		"setting twice":    {Settings: jsontext.Value(`{"strict":true,"strict":false}`)},
		"a limit":          {Settings: jsontext.Value(`{"collateral_grace":"1h"}`)},
		"own member":       {Settings: jsontext.Value(`{"publicNetworkAccess":"Disabled"}`)},
		"waiver":           {Settings: jsontext.Value(`{"tcb_accepted_statuses":{"OutOfDate":""}}`)},
		"no object":        {Settings: jsontext.Value(`[]`)},
		"too large":        {Settings: jsontext.Value(`{"tcb_refused_advisories":["` + strings.Repeat("x", maxSettings) + `"]}`)},
		"certificate":      {Signers: [][]byte{{1, 2, 3}}},
		"signers":          {Signers: make([][]byte, MaxSigners+1)},
	} {
		spec.Name = "other"
		if err := l.Create(t.Context(), spec, byName, l.author()); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	l.create("other", func(s *Spec) {
		s.Location, s.PublicNetworkAccess, s.TrustModel = strings.Repeat("X ", maxLocation), &disabled, "aad"
		s.Subscription, s.ResourceGroup = strings.Repeat("x", maxScope), "Rg_(1).x-"
		s.Tags = map[string]string{strings.Repeat("n", maxTagName): strings.Repeat("v", maxTagValue)}
		s.Settings = jsontext.Value(`{"strict":true,"tcb_accepted_statuses":{"OutOfDate":"2030-01-31"}}`)
	})
	if i := l.at("other"); !i.Settings.Strict || !i.Private() || i.OpenTPM() {
		t.Errorf("got %+v", i.Settings)
	}
	if err := l.Create(t.Context(), Spec{Name: "third"}, nil, l.author()); !errors.Is(err, ErrNoURL) {
		t.Errorf("without a way to an URL: %v", err)
	}
	withPath := func(string, string, []store.Provider) (string, string, error) { return "https://a.example/b", "", nil }
	if err := l.Create(t.Context(), Spec{Name: "third"}, withPath, l.author()); !errors.Is(err, ErrInvalid) {
		t.Errorf("an URL with a path: %v", err)
	}
}

func TestUpdateAndDelete(t *testing.T) {
	l := newLab(t)
	i := l.create("other", func(s *Spec) { s.Tags = map[string]string{"a": "1"} })
	off := "Disabled"
	l.must(l.Update(t.Context(), i, Spec{TPMAttestationAuthentication: &off, IfVersion: i.Version}, l.author()))
	now := l.at("other")
	if !now.OpenTPM() || now.Tags["a"] != "1" || now.Version <= i.Version {
		t.Errorf("got %+v", now.Provider)
	}
	if err := l.Update(t.Context(), now, Spec{IfVersion: i.Version}, l.author()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("on an old version: %v", err)
	}
	for what, err := range map[string]error{
		"update": l.Update(t.Context(), l.at(Default), Spec{}, l.author()), "delete": l.Delete(t.Context(), l.at(Default), 0, l.author()),
	} {
		if !errors.Is(err, ErrConfigured) {
			t.Errorf("%s of the default provider: %v", what, err)
		}
	}
	l.must(l.Delete(t.Context(), now, 0, l.author()))
	if _, ok := l.ByName("other"); ok {
		t.Error("it is still in service")
	}
	again := l.create("other")
	if again.ID == i.ID || again.Policy("SgxEnclave").Version != 0 || again.Keys.KeyID(time.Now()) == i.Keys.KeyID(time.Now()) {
		t.Error("a new provider of an old name has something of the old one")
	}
}

// TestTrustModelIsFixed: the configuration cannot make a provider isolated that was not.
func TestTrustModelIsFixed(t *testing.T) {
	l := newLab(t)
	err := l.Ensure(t.Context(), store.Provider{URL: "https://attest.example", Isolated: true, Signers: [][]byte{newSigner(t, "a").cert.Raw}}, l.author())
	if !errors.Is(err, ErrFixed) {
		t.Errorf("got %v", err)
	}
	l.must(l.Ensure(t.Context(), store.Provider{URL: "https://moved.example", Location: "local"}, l.author()))
	l.must(l.Refresh(t.Context()))
	if got := l.at(Default).Keys.Issuer(); got != "https://moved.example" {
		t.Errorf("issuer %s", got)
	}
}
