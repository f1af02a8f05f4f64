package server_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/challenge"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/server"
)

// tpmFault breaks one thing of a sound Windows machine, with a VBS enclave, and names the check that must find it.
type tpmFault struct {
	name  string
	check evidence.Check
	edit  func(*assaytest.TPMScenario)
}

// otherLog has the machine send another log than the one of its quote.
func otherLog(change func(*assaytest.TPMLog)) func(*assaytest.TPMScenario) {
	return func(s *assaytest.TPMScenario) {
		sound := s.Current.Log
		sent, err := assaytest.ReadTPMLog(sound.Bytes())
		if err != nil {
			panic(err) // of a log that was just written
		}
		change(sent)
		s.Current.Values = map[crypto.Hash]assaytest.TPMValues{crypto.SHA256: sound.Replay(crypto.SHA256)}
		s.Current.Log = sent
	}
}

// retyped gives the first event of a PCR and a type another type, which no digest covers.
func retyped(pcr, from, to uint32) func(*assaytest.TPMScenario) {
	return otherLog(func(l *assaytest.TPMLog) {
		l.Find(func(e assaytest.TPMEvent) bool { return e.PCR == pcr && e.Type == from }).Type = to
	})
}

// inPart replaces text in a part of the request.
func inPart(part assaytest.TPMPart, old, new string) func(*assaytest.TPMScenario) {
	return func(s *assaytest.TPMScenario) {
		s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			if p != part {
				return b
			}
			return bytes.Replace(b, []byte(old), []byte(new), 1)
		}
	}
}

// signedBy has the same key of another vendor sign a part.
func signedBy(part assaytest.TPMPart, role assaytest.TPMRole) func(*assaytest.TPMScenario) {
	return func(s *assaytest.TPMScenario) {
		s.Edit.Signer = func(p assaytest.TPMPart, key crypto.Signer) crypto.Signer {
			if p == part {
				return strangeTPM().Key(role, assaytest.RSA2048)
			}
			return key
		}
	}
}

// named has another vendor's key stand where a key is named.
func named(role assaytest.TPMRole) func(*assaytest.TPMScenario) {
	return func(s *assaytest.TPMScenario) {
		s.Edit.Key = func(r assaytest.TPMRole, key crypto.PublicKey) crypto.PublicKey {
			if r == role {
				return strangeTPM().Key(role, assaytest.RSA2048).Public()
			}
			return key
		}
	}
}

// strangeTPM is a vendor whose keys nobody trusts.
var strangeTPM = sync.OnceValue(assaytest.NewTPMVendor)

const (
	typeTag      = 0x6
	typeIPL      = 0xD
	typeVariable = 0x80000001
	typeFirmware = 0x80000008
)

func tpmFaults(t testing.TB) []tpmFault {
	resumed := func(edit func(*assaytest.TPMScenario)) func(*assaytest.TPMScenario) {
		return func(s *assaytest.TPMScenario) {
			s.Hibernate(machine(t, assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7}).Current.Log)
			edit(s)
		}
	}
	return []tpmFault{
		{"request signed by another key", evidence.TPMRequestKey, signedBy(assaytest.TPMRequest, assaytest.RequestKey)},
		{"another challenge", evidence.TPMChallenge, inPart(assaytest.TPMEvidence, `"challenge":"`, `"challenge":"AA`)},
		{"unbound key", evidence.KeyBinding, func(s *assaytest.TPMScenario) { s.Binding = assaytest.Unbound }},
		{"another AIK than its certificate's", evidence.AIKKey, named(assaytest.AIK)},
		{"certificate of an unknown CA", evidence.AIKCertificate, func(s *assaytest.TPMScenario) { s.Certifier = strangeTPM() }},
		{"quote by another AIK", evidence.AttestSignature, signedBy(assaytest.TPMQuote, assaytest.AIK)},
		{"quote for another challenge", evidence.AttestNonce, func(s *assaytest.TPMScenario) {
			s.Edit.ExtraData = func(_ assaytest.TPMPart, b []byte) []byte { return bytes.Repeat([]byte{1}, len(b)) }
		}},
		{"a space more in the jwk", evidence.AttestNonce, inPart(assaytest.TPMRequestKey, `{"jwk":{`, `{"jwk":{ `)},
		{"swapped PCR values", evidence.PCRDigest, func(s *assaytest.TPMScenario) { s.Edit.Bytes = swapPCRs }},
		{"changed log", evidence.EventLogReplay, otherLog(func(l *assaytest.TPMLog) {
			e := l.Find(func(e assaytest.TPMEvent) bool { return e.PCR == 0 && e.Type != 0x3 })
			e.Data, e.Digests = append(slices.Clone(e.Data), 0), nil
		})},
		{"dropped events", evidence.EventLogReplay, otherLog(func(l *assaytest.TPMLog) {
			l.Events = slices.DeleteFunc(l.Events, func(e assaytest.TPMEvent) bool { return e.PCR == 12 })
		})},
		{"SecureBoot under another type", evidence.EventLogType, retyped(7, typeVariable, typeFirmware)},
		{"Windows' settings under another type", evidence.EventLogType, retyped(12, typeTag, typeIPL)},
		{"certified key that is not the one", evidence.CertifiedKey, func(s *assaytest.TPMScenario) {
			s.Binding = assaytest.BoundByCertify
			named(assaytest.RequestKey)(s)
			signedBy(assaytest.TPMRequest, assaytest.RequestKey)(s)
		}},
		{"a space more in report_signed", evidence.VBSBinding, func(s *assaytest.TPMScenario) {
			s.VBS = true
			inPart(assaytest.TPMPayload, `"report_signed":{`, `"report_signed":{ `)(s)
		}},
		{"enclave report of another log", evidence.VBSSignature, func(s *assaytest.TPMScenario) {
			s.VBS = true
			signedBy(assaytest.TPMVBSReport, assaytest.IDKS)(s)
		}},
		{"boot that was quoted later", evidence.BootAttestation, resumed(func(s *assaytest.TPMScenario) { s.Boot.Clock.Clock = s.Current.Clock.Clock + 1 })},
		{"boot after more resets", evidence.BootAttestation, resumed(func(s *assaytest.TPMScenario) { s.Boot.Clock.ResetCount = s.Current.Clock.ResetCount + 1 })},
		{"log of another boot", evidence.BootAttestation, func(s *assaytest.TPMScenario) {
			s.Hibernate(machine(t, assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 8}).Current.Log)
		}},
	}
}

// swapPCRs swaps the values of two PCRs, their numbers staying where they are.
func swapPCRs(p assaytest.TPMPart, b []byte) []byte {
	if p != assaytest.TPMPCRValues {
		return b
	}
	parts := strings.Split(string(b), `"digest":"`)
	first, second, length := 1, 13, base64.RawURLEncoding.EncodedLen(sha256.Size)
	a, z := parts[first][:length], parts[second][:length]
	parts[first], parts[second] = z+parts[first][length:], a+parts[second][length:]
	return []byte(strings.Join(parts, `"digest":"`))
}

// tpmRefusals breaks one thing for each check of TPM evidence, and each thing that issue 5 names.
func tpmRefusals(t *testing.T) (list []refusalText) {
	t.Helper()
	s := startTPM(t, config.Config{}, permitTPM())
	for _, f := range tpmFaults(t) {
		a := s.attestTPM(t, windows(t, f.edit))
		if a.status == http.StatusOK {
			t.Errorf("%s: accepted", f.name)
			continue
		}
		a.refused(t, http.StatusBadRequest, "InvalidParameter", "", string(f.check)+": ")
		list = append(list, refusalText{"TPM, " + f.name, a.problem(t).Message})
	}
	return append(list, contextRefusals(t, s)...)
}

// contextRefusals answers challenges of another time and another provider, made with the key of the service.
func contextRefusals(t *testing.T, s *testService) (list []refusalText) {
	t.Helper()
	key, err := seal.Open(s.data + "/" + server.SealFile)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := challenge.New(key, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, provider, fragment string
		age                      time.Duration
	}{
		{"of another provider", "another", "another attestation provider", 0},
		{"of a key that has retired", "another", "retired", 100 * time.Hour},
	} {
		b, context, err := keeper.Issue(c.provider, time.Now().Add(-c.age))
		if err != nil {
			t.Fatal(err)
		}
		sc := windows(t)
		request, err := sc.Request(b, context)
		if err != nil {
			t.Fatal(err)
		}
		a := s.sendTPM(t, sc.Data(request))
		a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "tpm-challenge: ", c.fragment)
		list = append(list, refusalText{"TPM, challenge " + c.name, a.problem(t).Message})
	}
	return list
}

// TestExpiredChallengesAreRefused: the one thing that waits for time to pass.
func TestExpiredChallengesAreRefused(t *testing.T) {
	s := startTPM(t, config.Config{TPMContextLifetime: time.Second}, permitTPM())
	sc := windows(t)
	b, context := s.challenge(t, sc)
	request, err := sc.Request(b, context)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	s.sendTPM(t, sc.Data(request)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "tpm-challenge: ", "expired", "ask for a new challenge")
}
