package attreq_test

import (
	"bytes"
	"crypto"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
)

// hibernated is a Windows that booted one way and resumed in another. Neither quotes more than PCR 0 to 14.
func hibernated(t *testing.T, boot, resume assaytest.TPMBoot) *assaytest.TPMScenario {
	t.Helper()
	s, err := vendor().BootScenario(boot)
	if err != nil {
		t.Fatal(err)
	}
	log, err := resume.Log(vendor())
	if err != nil {
		t.Fatal(err)
	}
	s.Hibernate(log)
	return s
}

// TestTheBootBeforeHibernationIsHeldAgainstTheCurrentOne: tpm.md section 13 step 8, each rule at its edge.
func TestTheBootBeforeHibernationIsHeldAgainstTheCurrentOne(t *testing.T) {
	sound := assaytest.SoundTPMBoot()
	other := sound
	other.BootCounter++
	linux := assaytest.TPMBoot{SecureBoot: true} // counts no boots
	for name, tt := range map[string]struct {
		boot assaytest.TPMBoot
		edit func(*assaytest.TPMScenario, *attreq.Input)
		want evidence.Check // empty: accepted
	}{
		"as it should be":          {sound, nothing, ""},
		"version 1":                {sound, func(s *assaytest.TPMScenario, _ *attreq.Input) { s.UseVersion1() }, ""},
		"another boot":             {other, nothing, evidence.BootAttestation},
		"a boot without a counter": {linux, nothing, ""},
		"as many resets":           {sound, resets(0, 0), ""},
		"one reset more":           {sound, resets(1, 0), evidence.BootAttestation},
		"half of all resets less":  {sound, resets(0, 1<<31), ""},
		"half of all resets more":  {sound, resets(1<<31-1, 0), evidence.BootAttestation},
		// TPMs add a constant to the counter, so that it may overflow in between.
		"resets overflowed":       {sound, resets(0xFFFFFFFF, 0), ""},
		"overflowed before":       {sound, resets(0, 0xFFFFFFFF), evidence.BootAttestation},
		"at the same millisecond": {sound, clocks(7, 7), ""},
		"a millisecond later":     {sound, clocks(8, 7), evidence.BootAttestation},
		"not fresh": {sound, func(s *assaytest.TPMScenario, _ *attreq.Input) {
			s.Edit.ExtraData = func(p assaytest.TPMPart, b []byte) []byte {
				if p == assaytest.TPMQuote.OfBoot() {
					return nil
				}
				return b
			}
		}, ""},
		"required PCRs": {sound, func(s *assaytest.TPMScenario, in *attreq.Input) {
			in.RequiredPCRs = 0x5FFF
			s.Boot.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA256, PCRs: assaytest.PCRRange(0, 14)}}
		}, ""},
		"a required PCR is not quoted": {sound, func(s *assaytest.TPMScenario, in *attreq.Input) {
			in.RequiredPCRs = 0x5FFF
			s.Boot.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA256, PCRs: assaytest.PCRRange(0, 13)}}
		}, evidence.PCRSelection},
		"the SHA-1 bank": {sound, func(s *assaytest.TPMScenario, _ *attreq.Input) {
			s.Boot.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA1, PCRs: assaytest.AllPCRs()}}
		}, evidence.SHA1},
		"the SHA-1 bank, allowed": {sound, func(s *assaytest.TPMScenario, in *attreq.Input) {
			in.AllowSHA1 = true
			s.Boot.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA1, PCRs: assaytest.AllPCRs()}}
		}, ""},
		"another certificate": {sound, func(s *assaytest.TPMScenario, _ *attreq.Input) {
			n, other := 0, certificateOfAnother(t)
			s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
				if p != assaytest.AIK.Certificate() {
					return b
				}
				if n++; n == 2 { // the first one is current_attestation's
					return other
				}
				return b
			}
		}, evidence.AIKKey},
	} {
		t.Run(name, func(t *testing.T) {
			s, in := hibernated(t, tt.boot, sound), input(t)
			tt.edit(s, &in)
			_, err := judge(t, s, in)
			refusal, _ := errors.AsType[*evidence.Refusal](err)
			if tt.want == "" && err != nil || tt.want != "" && (refusal == nil || refusal.Check != tt.want) {
				t.Errorf("got %v, want a refusal by %q", err, tt.want)
			}
		})
	}
}

func nothing(*assaytest.TPMScenario, *attreq.Input) {}

func resets(boot, current uint32) func(*assaytest.TPMScenario, *attreq.Input) {
	return func(s *assaytest.TPMScenario, _ *attreq.Input) {
		s.Boot.Clock.ResetCount, s.Current.Clock.ResetCount = boot, current
	}
}

func clocks(boot, current uint64) func(*assaytest.TPMScenario, *attreq.Input) {
	return func(s *assaytest.TPMScenario, _ *attreq.Input) {
		s.Boot.Clock.Clock, s.Current.Clock.Clock = boot, current
	}
}

// certificateOfAnother is a certificate by the same CA, of another AIK.
func certificateOfAnother(t *testing.T) []byte {
	t.Helper()
	s, err := vendor().BootScenario(assaytest.SoundTPMBoot())
	if err != nil {
		t.Fatal(err)
	}
	var der []byte
	s.Current.AIK = "another AIK"
	s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
		if p == assaytest.TPMRole("another AIK").Certificate() {
			der = b
		}
		return b
	}
	if _, err := s.Request(challenge, "context"); err != nil || der == nil {
		t.Fatalf("no certificate: %v", err)
	}
	return der
}

// TestAClaimHoldsForBothBoots: tpm.md section 8.
func TestAClaimHoldsForBothBoots(t *testing.T) {
	sound := assaytest.SoundTPMBoot()
	insecure, safe := sound, sound
	insecure.SecureBoot, safe.SafeMode = false, true
	for name, tt := range map[string]struct {
		boot, resume           assaytest.TPMBoot
		secureBoot, noSafeMode bool
	}{
		"both sound":            {sound, sound, true, true},
		"insecure boot":         {insecure, sound, false, true},
		"insecure resume":       {sound, insecure, false, true},
		"booted into safe mode": {safe, sound, true, false},
		"resumed in safe mode":  {sound, safe, true, false},
	} {
		verified, err := judge(t, hibernated(t, tt.boot, tt.resume), input(t))
		if err != nil {
			t.Fatal(name, err)
		}
		claims, err := verified.Claims(attreq.ClaimOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for _, c := range claims {
			got[c.Name] = c.Value
		}
		if got["secureBootEnabled"] != tt.secureBoot || got["notSafeMode"] != tt.noSafeMode || got["bootEvents"] == nil {
			t.Errorf("%s: secure boot %v, not safe mode %v", name, got["secureBootEnabled"], got["notSafeMode"])
		}
	}
}

// TestTheEnclavesKeyIsOfTheCurrentBoot: a quote of the boot may be as old as its sender likes.
func TestTheEnclavesKeyIsOfTheCurrentBoot(t *testing.T) {
	sound := assaytest.SoundTPMBoot()
	without := sound
	without.WithoutVBS = true
	for name, tt := range map[string]struct {
		boot, resume assaytest.TPMBoot
		want         bool
	}{
		"both": {sound, sound, true}, "only the current one": {without, sound, true}, "only the one before": {sound, without, false},
	} {
		s := hibernated(t, tt.boot, tt.resume)
		s.VBS = true
		_, err := judge(t, s, input(t))
		refusal, _ := errors.AsType[*evidence.Refusal](err)
		if (err == nil) != tt.want || err != nil && (refusal == nil || refusal.Check != evidence.VBSSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRequestsOfVersion1NeedTheSwitchUnlessAnEnclaveVouchesForTheirKey: tpm.md section 4.
func TestRequestsOfVersion1NeedTheSwitchUnlessAnEnclaveVouchesForTheirKey(t *testing.T) {
	for _, tt := range []struct{ vbs, allowed, want bool }{{false, true, true}, {false, false, false}, {true, true, true}, {true, false, true}} {
		s, err := vendor().BootScenario(assaytest.SoundTPMBoot())
		if err != nil {
			t.Fatal(err)
		}
		s.UseVersion1()
		s.VBS = tt.vbs
		in := input(t)
		in.AllowV1Basic = tt.allowed
		_, err = judge(t, s, in)
		refusal, _ := errors.AsType[*evidence.Refusal](err)
		if (err == nil) != tt.want || err != nil && (refusal == nil || refusal.Check != evidence.KeyBinding) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestAQuoteOfACertifiedKeyFitsVersion1 is why SECURITY.md warns of tpm_allow_v1_basic: the quote has the bare challenge. That of a key
// bound by quote does not fit.
func TestAQuoteOfACertifiedKeyFitsVersion1(t *testing.T) {
	for binding, fits := range map[assaytest.TPMBinding]bool{assaytest.BoundByCertify: true, assaytest.BoundByQuote: false} {
		victim, thief := hibernated(t, assaytest.SoundTPMBoot(), assaytest.SoundTPMBoot()), hibernated(t, assaytest.SoundTPMBoot(), assaytest.SoundTPMBoot())
		victim.Boot, thief.Boot = nil, nil
		victim.Binding = binding
		sent := map[assaytest.TPMPart][]byte{}
		victim.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			sent[p] = bytes.Clone(b)
			return b
		}
		if _, err := judge(t, victim, input(t)); err != nil {
			t.Fatal(err)
		}
		thief.UseVersion1()
		thief.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			if p == assaytest.TPMQuote || p == assaytest.TPMQuoteSignature {
				return sent[p]
			}
			return b
		}
		if v, err := judge(t, thief, input(t)); (err == nil) != fits {
			t.Errorf("binding %d: %v", binding, err)
		} else if err == nil && hasClaim(t, v, attreq.ClaimRequestKey) {
			t.Error("a report of version 1 cannot be told from one of version 2")
		}
	}
}

func hasClaim(t *testing.T, v *attreq.Verified, name string) bool {
	t.Helper()
	claims, err := v.Claims(attreq.ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(claims, func(c evidence.Claim) bool { return c.Name == name })
}

// TestALogInTheSHA1FormNeedsTheSwitch, whatever is quoted: here the SHA-256 bank.
func TestALogInTheSHA1FormNeedsTheSwitch(t *testing.T) {
	legacy := assaytest.SoundTPMBoot()
	legacy.Legacy = true
	s, err := vendor().BootScenario(legacy)
	if err != nil {
		t.Fatal(err)
	}
	_, err = judge(t, s, input(t))
	refusal, _ := errors.AsType[*evidence.Refusal](err)
	if refusal == nil || refusal.Check != evidence.SHA1 || !strings.Contains(err.Error(), "tpm_allow_sha1") {
		t.Errorf("got %v, want a refusal that names the switch", err)
	}
}
