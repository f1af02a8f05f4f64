package provider

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/policy"
)

// signedBy makes a provider isolated.
func signedBy(signers ...signer) func(*Spec) {
	return func(s *Spec) {
		for _, one := range signers {
			s.Signers = append(s.Signers, one.cert.Raw)
		}
	}
}

// reason is the word of a refused JWS.
func reason(err error) policyjws.Reason {
	if r, ok := errors.AsType[*policyjws.Refusal](err); ok {
		return r.Reason
	}
	return ""
}

// TestTrustModels holds who may set and reset what to management.md section 5 and policy.md section 10.1.
func TestTrustModels(t *testing.T) {
	l := newLab(t)
	known, stranger := newSigner(t, "known"), newSigner(t, "stranger")
	l.create("isolated", signedBy(known))
	l.create("aad")
	l.create("shared", func(s *Spec) { s.Shared = new(true) })
	tampered := []byte(strings.Replace(string(known.policy(t, permits)), ".e", ".f", 1))
	reset, err := known.Reset()
	l.must(err)
	for _, tt := range []struct {
		provider, what string
		jws            []byte
		want           func(error) bool
	}{
		{"aad", "unsigned", unsigned(t, permits), nil},
		{"aad", "signed by anyone", stranger.policy(t, permits), nil},
		{"aad", "signature of something else", tampered, refused(policyjws.Malformed, policyjws.Signature)},
		{"aad", "reset where a policy is needed", []byte(reset), refused(policyjws.Malformed)},
		{"aad", "signer where a policy is needed", known.change(t, known.cert), refused(policyjws.Malformed)},
		{"aad", "a policy that does not parse", unsigned(t, "version=1.0;"), isA[policy.Errors]},
		{"aad", "a policy for another type", unsigned(t, `version=1.2;configurationrules{=> issueproperty(type="require_valid_aik_cert", value=true);};authorizationrules{=> permit();};issuancerules{};`), isA[policy.Errors]},
		{"isolated", "unsigned", unsigned(t, permits), refused(policyjws.Unsigned)},
		{"isolated", "signed by a stranger", stranger.policy(t, permits), refused(policyjws.Signer)},
		{"isolated", "signed by a signer", known.policy(t, permits), nil},
		{"shared", "unsigned", unsigned(t, permits), is(ErrShared)},
	} {
		before := l.at(tt.provider).Policy("SgxEnclave").Version
		_, err := l.SetPolicy(t.Context(), l.at(tt.provider), Upload{Type: "SgxEnclave", Body: tt.jws}, l.author())
		if tt.want == nil && err != nil || tt.want != nil && (err == nil || !tt.want(err)) {
			t.Errorf("%s, %s: got %v", tt.provider, tt.what, err)
		}
		if set := l.at(tt.provider).Policy("SgxEnclave").Version != before; set != (tt.want == nil) {
			t.Errorf("%s, %s: set %t", tt.provider, tt.what, set)
		}
	}
	for provider, want := range map[string]func(error) bool{"isolated": refused(policyjws.Unsigned), "shared": is(ErrShared), "aad": nil} {
		err := l.ResetPolicy(t.Context(), l.at(provider), Upload{Type: "SgxEnclave", Body: []byte(policyjws.UnsignedReset())}, l.author())
		if want == nil && err != nil || want != nil && (err == nil || !want(err)) {
			t.Errorf("%s, unsigned reset: got %v", provider, err)
		}
	}
	l.must(l.ResetPolicy(t.Context(), l.at("isolated"), Upload{Type: "SgxEnclave", Body: []byte(reset)}, l.author()))
}

func refused(reasons ...policyjws.Reason) func(error) bool {
	return func(err error) bool {
		for _, r := range reasons {
			if reason(err) == r {
				return true
			}
		}
		return false
	}
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

func isA[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

func TestPolicyWithAnUnknownBaselineIsRefused(t *testing.T) {
	l := newLab(t, func(g *Ground) {
		g.CheckBaseline = func(name string) error {
			if name != "azuredefault" {
				return errors.New("unknown")
			}
			return nil
		}
	})
	const text = `version=1.1;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="99");};authorizationrules{=> permit();};issuancerules{};`
	if err := l.setSGX(unsigned(t, text)); !errors.Is(err, ErrBaseline) {
		t.Errorf("got %v, want %v", err, ErrBaseline)
	}
	l.must(l.setSGX(unsigned(t, permits)))
}

// TestSigners holds the changes of signers to api.md section 9.2.
func TestSigners(t *testing.T) {
	l := newLab(t)
	one, two, three := newSigner(t, "one"), newSigner(t, "two"), newSigner(t, "three")
	i := l.create("isolated", signedBy(one))
	add := func(by, cert signer) error {
		_, err := l.AddSigner(t.Context(), i, by.change(t, cert.cert), l.author())
		return err
	}
	remove := func(by, cert signer) error {
		_, err := l.RemoveSigner(t.Context(), i, by.change(t, cert.cert), l.author())
		return err
	}
	names := func() string {
		certs, err := l.at("isolated").PolicySigners()
		l.must(err)
		var all []string
		for _, c := range certs {
			all = append(all, c.Subject.CommonName)
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		do   func() error
		want func(error) bool
		left string
	}{
		{func() error { return add(two, two) }, refused(policyjws.Signer), "one"},
		{func() error { return remove(one, one) }, is(ErrLastSigner), "one"},
		{func() error { return add(one, two) }, nil, "one two"},
		{func() error { return add(two, two) }, nil, "one two"},
		{func() error { return add(two, three) }, nil, "one two three"},
		{func() error { return remove(three, one) }, nil, "two three"},
		{func() error { return remove(one, two) }, refused(policyjws.Signer), "two three"},
		{func() error { return remove(two, one) }, nil, "two three"}, // it is absent already
		{func() error { return remove(two, two) }, nil, "three"},
	} {
		err := step.do()
		if step.want == nil && err != nil || step.want != nil && (err == nil || !step.want(err)) || names() != step.left {
			t.Errorf("got %q, %v; want %q", names(), err, step.left)
		}
	}
	if _, err := l.SetPolicy(t.Context(), i, Upload{Type: "SgxEnclave", Body: one.policy(t, permits)}, l.author()); reason(err) != policyjws.Signer {
		t.Errorf("a removed signer still signs: %v", err)
	}
	if _, err := l.AddSigner(t.Context(), l.at(Default), one.change(t, two.cert), l.author()); !errors.Is(err, ErrNotIsolated) {
		t.Errorf("signers of a provider that has none: %v", err)
	}
	if _, err := l.AddSigner(t.Context(), i, three.policy(t, permits), l.author()); reason(err) != policyjws.Malformed || !strings.Contains(err.Error(), `Could not find "policyCertificate" claim in policy token`) {
		t.Errorf("a policy in the place of a certificate: %v", err)
	}
}

// TestWhomACASignerCertifiesSignsPoliciesOnly: otherwise it could remove the CA.
func TestWhomACASignerCertifiesSignsPoliciesOnly(t *testing.T) {
	l := newLab(t)
	ca := newSigner(t, "ca")
	leaf := ca.issues(t, "leaf")
	i := l.create("isolated", signedBy(ca))
	_, err := l.SetPolicy(t.Context(), i, Upload{Type: "SgxEnclave", Body: leaf.policy(t, permits)}, l.author())
	l.must(err)
	if _, err := l.AddSigner(t.Context(), i, leaf.change(t, leaf.cert), l.author()); reason(err) != policyjws.Signer {
		t.Errorf("a leaf made itself a signer: %v", err)
	}
	_, err = l.AddSigner(t.Context(), i, ca.change(t, leaf.cert), l.author())
	l.must(err)
	_, err = l.RemoveSigner(t.Context(), i, leaf.change(t, ca.cert), l.author())
	l.must(err)
}

func TestSignersAreBounded(t *testing.T) {
	l := newLab(t)
	var all []signer
	for n := range MaxSigners {
		all = append(all, newSigner(t, fmt.Sprint(n)))
	}
	i := l.create("isolated", signedBy(all[:MaxSigners-1]...))
	if _, err := l.AddSigner(t.Context(), i, all[0].change(t, all[MaxSigners-1].cert), l.author()); err != nil {
		t.Errorf("the last one that fits: %v", err)
	}
	if _, err := l.AddSigner(t.Context(), i, all[0].change(t, newSigner(t, "x").cert), l.author()); !errors.Is(err, ErrTooManySigners) {
		t.Errorf("one more: %v", err)
	}
}

// TestRollback goes back to an older version, as a new one.
func TestRollback(t *testing.T) {
	l := newLab(t)
	known := newSigner(t, "known")
	other := newSigner(t, "other")
	i := l.create("isolated", signedBy(known, other))
	set := func(jws []byte) {
		_, err := l.SetPolicy(t.Context(), i, Upload{Type: "SgxEnclave", Body: jws}, l.author())
		l.must(err)
	}
	one := known.policy(t, issuing("1"))
	set(one)
	set(other.policy(t, issuing("2")))
	reset, err := other.Reset()
	l.must(err)
	l.must(l.ResetPolicy(t.Context(), i, Upload{Type: "SgxEnclave", Body: []byte(reset)}, l.author()))
	got, err := l.Rollback(t.Context(), i, "SgxEnclave", 1, l.author())
	if err != nil || got.Version != 4 || got.Of != 1 || got.Action != "rollback" || got.JWS != string(one) {
		t.Errorf("got %+v, %v", got, err)
	}
	if p := l.at("isolated").Policy("SgxEnclave"); p.JWS != string(one) || p.Version != 4 {
		t.Errorf("in force: version %d", p.Version)
	}
	for version, what := range map[int64]string{3: "a reset", 5: "none", 0: "none"} {
		if version == 0 {
			continue
		}
		if _, err := l.Rollback(t.Context(), i, "SgxEnclave", version, l.author()); !errors.Is(err, ErrNoSuchVersion) {
			t.Errorf("to version %d, %s: %v", version, what, err)
		}
	}
	_, err = l.RemoveSigner(t.Context(), i, other.change(t, known.cert), l.author())
	l.must(err)
	if _, err := l.Rollback(t.Context(), i, "SgxEnclave", 1, l.author()); reason(err) != policyjws.Signer {
		t.Errorf("to a version of a signer that is trusted no more: %v", err)
	}
	history, err := l.History(t.Context(), i, "SgxEnclave", 4, 2)
	if err != nil || len(history) != 2 || history[0].Version != 3 || history[1].Version != 2 || history[1].JWS != "" {
		t.Errorf("history: got %+v, %v", history, err)
	}
}

// TestConcurrentChangesLoseNothing has many writers change one policy and one set of signers.
func TestConcurrentChangesLoseNothing(t *testing.T) {
	const writers = 20
	l := newLab(t)
	root := newSigner(t, "root")
	i := l.create("isolated", signedBy(root))
	var signers []signer
	for n := range writers {
		signers = append(signers, newSigner(t, fmt.Sprint(n)))
	}
	by := l.author()
	by.Audit = func(*store.Tx, string, string) error { return nil }
	var all sync.WaitGroup
	errs := make([]error, 2*writers)
	for n, s := range signers {
		adding, policy := root.change(t, s.cert), root.policy(t, issuing(fmt.Sprint(n)))
		all.Go(func() { _, errs[2*n] = l.AddSigner(t.Context(), i, adding, by) })
		all.Go(func() {
			_, errs[2*n+1] = l.SetPolicy(t.Context(), i, Upload{Type: "SgxEnclave", Body: policy}, by)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := len(l.at("isolated").Signers); n != writers+1 {
		t.Errorf("%d signers, want %d", n, writers+1)
	}
	history, err := l.History(t.Context(), i, "SgxEnclave", 1<<62, 1000)
	if err != nil || len(history) != writers || history[0].Version != writers {
		t.Errorf("%d versions, %v; want %d", len(history), err, writers)
	}
}
