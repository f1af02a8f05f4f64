package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
	"github.com/assay-attestation/assay/policy"
)

// TestProvidersAreFoundByHost covers api.md section 1 and clients.md rule 5: some clients drop the port, and some send the default one.
func TestProvidersAreFoundByHost(t *testing.T) {
	l := newLab(t, func(g *Ground) { g.ByHost = true })
	address := func(url string) Address {
		return func(string, string, []store.Provider) (string, string, error) { return url, "", nil }
	}
	for name, url := range map[string]string{"one": "https://one.example:8443", "two": "https://two.example", "p1-": "https://ports.example:1", "p2-": "https://ports.example:2"} {
		l.must(l.Create(t.Context(), Spec{Name: name}, address(url), l.author()))
	}
	for host, want := range map[string]string{
		"one.example:8443": "one", "ONE.example:8443": "one", "one.example": "one", "one.example:443": "one",
		"two.example": "two", "two.example:443": "two", "two.example:8443": "",
		"ports.example:1": "p1-", "ports.example:2": "p2-", "ports.example": "", "ports.example:3": "",
		"attest.example": Default, "127.0.0.1:8443": Default, "[::1]:8443": Default, "::1": Default, "localhost": Default, "localhost:1": Default,
		"other.example": "", "": "", "attest.example.": "", "x.attest.example": "",
	} {
		got := ""
		if i, ok := l.At(host); ok {
			got = i.Name
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

func TestListenerThatNobodySharesIsTheDefaultProviders(t *testing.T) {
	l := newLab(t)
	for _, host := range []string{"attest.example", "whatever", "", "[::"} {
		if i, ok := l.At(host); !ok || i.Name != Default {
			t.Errorf("%q: got %v", host, i)
		}
	}
}

func TestChangesOfOneReplicaReachTheOthers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		sealFile := filepath.Join(t.TempDir(), "seal.key")
		a, b := newLabOn(t, dsn, sealFile), newLabOn(t, dsn, sealFile)
		a.must(a.setSGX(unsigned(t, issuing("7"))))
		b.must(b.Refresh(t.Context()))
		if got, want := b.at(Default).Policy("SgxEnclave").Policy.Hash(), policy.Hash([]byte(issuing("7"))); got != want {
			t.Errorf("policy: got %s, want %s", got, want)
		}
		if a.at(Default).Keys.KeyID(time.Now()) != b.at(Default).Keys.KeyID(time.Now()) {
			t.Error("the replicas have different keys")
		}
		views, before := b.views, b.at(Default)
		b.must(b.Refresh(t.Context()))
		if b.views != views || b.at(Default) != before {
			t.Error("a refresh without changes made something new")
		}
	})
}

// setSGX sets the policy for SgxEnclave of the default provider.
func (l *lab) setSGX(jws []byte) error {
	_, err := l.SetPolicy(l.t.Context(), l.at(Default), Upload{Type: "SgxEnclave", Body: jws}, l.author())
	return err
}

func TestWhatDidNotChangeIsNotMadeAgain(t *testing.T) {
	l := newLab(t)
	other := l.create("other")
	oe := l.at(Default).Policy("OpenEnclave")
	l.must(l.setSGX(unsigned(t, permits)))
	if l.at("other") != other {
		t.Error("another provider was made again")
	}
	if l.at(Default).Policy("OpenEnclave") != oe {
		t.Error("the policy of another type was compiled again")
	}
}

// put writes a version of the other provider's policy as a newer program might.
func (l *lab) put(version int64, jws string) {
	l.t.Helper()
	l.must(l.Store.Write(l.t.Context(), func(tx *store.Tx) error {
		return tx.AddPolicy(store.Policy{ProviderID: l.at("other").ID, Type: "SgxEnclave", Version: version, JWS: jws, Action: "set"})
	}))
	l.must(l.Refresh(l.t.Context()))
}

// TestPolicyThatCannotBeUsedDecidesNothing: what its owner wants cannot be known, so nothing is attested as before. Other types are not
// concerned, and another policy can be set, also after a restart.
func TestPolicyThatCannotBeUsedDecidesNothing(t *testing.T) {
	dsn, sealFile := storetest.SQLite(t), filepath.Join(t.TempDir(), "seal.key")
	l := newLabOn(t, dsn, sealFile)
	l.create("other")
	l.put(1, "no JWS")
	for name, l := range map[string]*lab{"as it changed": l, "at a start": newLabOn(t, dsn, sealFile)} {
		i := l.at("other")
		if p := i.Policy("SgxEnclave"); p.Broken == nil || p.Policy != nil || p.JWS != "no JWS" {
			t.Errorf("%s: got %+v", name, p)
		}
		if _, is := i.Verifiable()["SgxEnclave"]; is || len(i.Verifiable()) != 4 || i.Outdated != nil {
			t.Errorf("%s: attests under %v", name, i.Verifiable())
		}
	}
	_, err := l.SetPolicy(t.Context(), l.at("other"), Upload{Type: "SgxEnclave", Body: unsigned(t, permits)}, l.author())
	if p := l.at("other").Policy("SgxEnclave"); err != nil || p.Broken != nil || p.Version != 2 {
		t.Errorf("after another was set: %+v, %v", p, err)
	}
}

// TestProviderThatCannotBeBroughtUpToDateSaysSo, and is when it can be.
func TestProviderThatCannotBeBroughtUpToDateSaysSo(t *testing.T) {
	l := newLab(t)
	l.create("other")
	settings := func(text string) {
		l.must(l.Store.Write(t.Context(), func(tx *store.Tx) error {
			record, err := tx.ProviderNamed("other")
			l.must(err)
			record.Settings = []byte(text)
			return tx.UpdateProvider(record)
		}))
		l.must(l.Refresh(t.Context()))
	}
	settings(`{"of_a_newer_program":true}`)
	if i := l.at("other"); i.Outdated == nil {
		t.Error("it decides by settings that are no longer in force")
	}
	change, err := l.Keys.Replace(t.Context(), l.at("other").ID, func(*store.Tx, keyring.Change) error { return nil })
	l.must(err)
	l.must(l.Refresh(t.Context()))
	if keys := l.at("other").Keys.Published(); len(keys) != 1 || keys[0].KeyID != change.Added[0].ID {
		t.Errorf("it lists a key that was withdrawn: %+v", keys)
	}
	if i := l.at(Default); i.Outdated != nil {
		t.Errorf("another provider is outdated too: %v", i.Outdated)
	}
	settings(`{"strict":true}`)
	if i := l.at("other"); i.Outdated != nil || !i.Settings.Strict {
		t.Errorf("it did not come back: %v", i.Outdated)
	}
}

// TestStoreThatWasPutBackIsReadAnew: a version number may stand for another policy then.
func TestStoreThatWasPutBackIsReadAnew(t *testing.T) {
	dsn := storetest.Postgres(t)
	l := newLabOn(t, dsn, filepath.Join(t.TempDir(), "seal.key"))
	l.create("other")
	l.put(1, string(unsigned(t, issuing("1"))))
	l.must(l.Store.Write(t.Context(), func(tx *store.Tx) error { return nil })) // the one that is lost
	l.must(l.Refresh(t.Context()))
	storetest.Exec(t, dsn, "UPDATE state SET changes = changes - 1")
	two := string(unsigned(t, issuing("2")))
	storetest.Exec(t, dsn, "UPDATE policies SET jws = '"+two+"'")
	l.must(l.Refresh(t.Context()))
	if got := l.at("other").Policy("SgxEnclave").JWS; got != two {
		t.Errorf("got %s", got)
	}
}

// TestStoreThatWasPutBackIsReadAnewWhileAProviderFails: that something is tried again must not hide it.
func TestStoreThatWasPutBackIsReadAnewWhileAProviderFails(t *testing.T) {
	dsn := storetest.Postgres(t)
	l := newLabOn(t, dsn, filepath.Join(t.TempDir(), "seal.key"))
	l.create("other")
	l.put(1, string(unsigned(t, issuing("1"))))
	l.create("failing")
	l.must(l.Store.Write(t.Context(), func(tx *store.Tx) error {
		record, err := tx.ProviderNamed("failing")
		l.must(err)
		record.Settings = []byte(`{"of_a_newer_program":true}`)
		return tx.UpdateProvider(record)
	}))
	l.must(l.Refresh(t.Context()))
	two := string(unsigned(t, issuing("2")))
	storetest.Exec(t, dsn, "UPDATE state SET changes = changes - 1")
	storetest.Exec(t, dsn, "UPDATE policies SET jws = '"+two+"'")
	l.must(l.Refresh(t.Context()))
	if got := l.at("other").Policy("SgxEnclave").JWS; got != two {
		t.Errorf("got %s", got)
	}
}

// TestDefaultPolicies holds the texts to policy.md section 9, their hashes to section 9.1.
func TestDefaultPolicies(t *testing.T) {
	l := newLab(t)
	for attestationType, hash := range map[string]string{
		"SgxEnclave": "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc", "OpenEnclave": "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc",
		"TdxVm": "B56nbp5slhw66peoRYkpdq1WykMkEworvdol08hnMXE", "SevSnpVm": "B56nbp5slhw66peoRYkpdq1WykMkEworvdol08hnMXE",
	} {
		if got := l.at(Default).Policy(attestationType).Policy.Hash(); got != hash {
			t.Errorf("%s: got %s, want %s", attestationType, got, hash)
		}
	}
	if p := l.at(Default).Policy("Tpm"); p.Policy != nil || p.JWS != "eyJhbGciOiJub25lIn0.." {
		t.Errorf("Tpm: got %+v", p)
	}
	if p := l.at(Default).Policy("AzureGuest"); p.Policy == nil || p.Policy.CheckFor("AzureGuest") != nil {
		t.Errorf("AzureGuest: got %+v", p)
	}
}

func TestConfiguredPoliciesAreDefaultsOfTheDefaultProviderOnly(t *testing.T) {
	configured := string(unsigned(t, issuing("1")))
	l := newLab(t, func(g *Ground) { g.Default.Policies = map[string]string{"SgxEnclave": configured} })
	l.create("other")
	if got := l.at(Default).Policy("SgxEnclave").JWS; got != configured {
		t.Errorf("got %s", got)
	}
	if got := l.at("other").Policy("SgxEnclave").JWS; got == configured {
		t.Error("another provider has it too")
	}
	l.must(l.setSGX(unsigned(t, issuing("2"))))
	l.must(l.ResetPolicy(t.Context(), l.at(Default), Upload{Type: "SgxEnclave", Body: []byte(policyjws.UnsignedReset())}, l.author()))
	if got := l.at(Default).Policy("SgxEnclave").JWS; got != configured {
		t.Errorf("after a reset: got %s", got)
	}
}

// TestAuditSeesWhatWasBeforeAndAfter: the hashes of the JWS, by which each change is tied to the one before.
func TestAuditSeesWhatWasBeforeAndAfter(t *testing.T) {
	l := newLab(t)
	one, two := unsigned(t, issuing("1")), unsigned(t, issuing("2"))
	hash := func(b []byte) string {
		sum := sha256.Sum256(b)
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	l.trail = nil
	l.must(l.setSGX(one))
	l.must(l.setSGX(two))
	if want := fmt.Sprintf(">%s %s>%s", hash(one), hash(one), hash(two)); strings.Join(l.trail, " ") != want {
		t.Errorf("got  %v\nwant %s", l.trail, want)
	}
	failing := l.author()
	failing.Audit = func(*store.Tx, string, string) error { return errors.New("no trail") }
	if _, err := l.SetPolicy(t.Context(), l.at(Default), Upload{Type: "SgxEnclave", Body: one}, failing); err == nil {
		t.Error("a change was made that the audit trail does not have")
	}
	if got := l.at(Default).Policy("SgxEnclave").Version; got != 2 {
		t.Errorf("version %d is in force, want 2", got)
	}
}
