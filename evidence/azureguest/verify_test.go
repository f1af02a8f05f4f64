package azureguest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
)

// curveArea is the TPMT_PUBLIC of a key on P-256.
func curveArea(t *testing.T, attributes uint32, scheme []byte) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	head := binary.BigEndian.AppendUint32([]byte{0, 0x23, 0, 0x0B}, attributes)
	return slices.Concat(head, []byte{0, 0, 0, 0x10}, scheme, []byte{0, 3, 0, 0x10}, sized(point[1:33]), sized(point[33:]))
}

// shortArea is the TPMT_PUBLIC of an RSA key of 1024 bits.
func shortArea(attributes uint32) []byte {
	head := binary.BigEndian.AppendUint32([]byte{0, 1, 0, 0x0B}, attributes)
	return slices.Concat(head, []byte{0, 0, 0, 0x10, 0, 0x10, 4, 0, 0, 0, 0, 0}, sized(bytes.Repeat([]byte{0xFF}, 128)))
}

func TestAttestationKeysThatAreRefused(t *testing.T) {
	const attributes = 0x00050472
	for name, c := range map[string]struct {
		public func(area []byte) []byte
		check  evidence.Check
	}{
		"unrestricted":         {func(a []byte) []byte { a[5] &^= 1; return sized(a) }, evidence.AIKKey},
		"with decrypt":         {func(a []byte) []byte { a[5] |= 2; return sized(a) }, evidence.AIKKey},
		"not fixedTPM":         {func(a []byte) []byte { a[7] &^= 2; return sized(a) }, evidence.AIKKey},
		"a Name by SHA-1":      {func(a []byte) []byte { a[3] = 4; return sized(a) }, evidence.AIKKey},
		"RSA-1024":             {func([]byte) []byte { return sized(shortArea(attributes)) }, evidence.AIKKey},
		"P-256":                {func([]byte) []byte { return sized(curveArea(t, attributes, []byte{0, 0x18, 0, 0x0B})) }, evidence.AIKKey},
		"no size in front":     {func(a []byte) []byte { return a }, evidence.AttestFormat},
		"something behind it":  {func(a []byte) []byte { return append(sized(a), 0) }, evidence.AttestFormat},
		"something in the key": {func(a []byte) []byte { return sized(append(a, 0)) }, evidence.AttestFormat},
		"one byte":             {func([]byte) []byte { return []byte{0} }, evidence.AttestFormat},
	} {
		l := newLab(t, "az-cpp-linux-snp")
		_, err := l.set("TpmInfo.AikPub", c.public(l.area(t, "TpmInfo.AikPub"))).machine(t, azureguest.Input{})
		if refusedFor(t, err, c.check); t.Failed() {
			t.Fatal(name)
		}
	}
}

// quoting gives the qualifying data that a quote is made with, and ClientPayload, their ways.
func TestQualifyingDataMustBeTheNonce(t *testing.T) {
	const nonce = "challenge\xFF\xFE"
	encoded := func(e *base64.Encoding) any { return map[string]any{"nonce": e.EncodeToString([]byte(nonce))} }
	for name, c := range map[string]struct {
		data    string
		payload any
		accept  bool
	}{
		"base64":                          {nonce, encoded(base64.StdEncoding), true},
		"base64 without padding":          {nonce, encoded(base64.RawStdEncoding), true},
		"base64url":                       {nonce, encoded(base64.URLEncoding), true},
		"base64url without padding":       {nonce, encoded(base64.RawURLEncoding), true},
		"a name in another case":          {nonce, map[string]any{"Nonce": base64.StdEncoding.EncodeToString([]byte(nonce)), "other": 1}, true},
		"none signed":                     {"", encoded(base64.StdEncoding), true},
		"none signed, none sent":          {"", nil, true},
		"the text itself":                 {"MTIzNA", map[string]any{"nonce": "MTIzNA"}, false},
		"a text that is not base64":       {"a nonce", map[string]any{"nonce": "a nonce"}, false},
		"a beginning":                     {nonce[:4], encoded(base64.StdEncoding), false},
		"more":                            {nonce + "x", encoded(base64.StdEncoding), false},
		"another nonce":                   {nonce, map[string]any{"nonce": "AAAA"}, false},
		"no nonce":                        {nonce, map[string]any{"other": "AAAA"}, false},
		"an empty nonce":                  {nonce, map[string]any{"nonce": ""}, false},
		"a number":                        {nonce, map[string]any{"nonce": 1}, false},
		"no payload":                      {nonce, nil, false},
		"a payload that is a string":      {nonce, base64.StdEncoding.EncodeToString([]byte(nonce)), false},
		"two names that differ by case":   {nonce, map[string]any{"nonce": base64.StdEncoding.EncodeToString([]byte(nonce)), "Nonce": "AAAA"}, false},
		"a nonce longer than a TPM signs": {nonce, map[string]any{"nonce": base64.StdEncoding.EncodeToString(make([]byte, 100))}, false},
	} {
		for what, l := range map[string]*lab{
			"quote":   newLab(t, "az-cpp-linux-snp").set("ClientPayload", c.payload).quote(t, qualified(c.data)),
			"certify": newLab(t, "az-cpp-linux-snp").set("ClientPayload", c.payload).certify(t, qualified(c.data)),
		} {
			_, err := l.machine(t, azureguest.Input{})
			if !c.accept {
				refusedFor(t, err, evidence.AttestNonce)
			} else if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestANonceIsDemandedBySettingOnly: of the quote. The one client that has a nonce puts none into the certification (azure-guest.md section 2).
func TestANonceIsDemandedBySettingOnly(t *testing.T) {
	for _, in := range []azureguest.Input{{RequireNonce: true}, {Strict: true}, {RequireNonce: true, Strict: true}, {RequireChain: true, Strict: true}} {
		_, err := newLab(t, "az-cpp-linux-snp").machine(t, in)
		refusedFor(t, err, evidence.AttestNonce)
		if text := fmt.Sprint(err); !strings.Contains(text, "azureguest_require_nonce") || strings.Contains(text, "on by strict") == in.RequireNonce {
			t.Errorf("%+v: %s", in, text)
		}
	}
	if _, err := newLab(t, "az-go-linux-snp").machine(t, azureguest.Input{RequireNonce: true}); err != nil {
		t.Errorf("a quote with its nonce: %v", err)
	}
}

func TestQuotesThatAreRefused(t *testing.T) {
	selections := func(all ...string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(all)))
		for _, s := range all {
			bits, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, bits...)
		}
		return b
	}
	const sha1, sha256 = "000403FF0000", "000B03FF0000"
	for name, c := range map[string]struct {
		selected []byte
		check    evidence.Check
	}{
		"the SHA-1 bank":            {selections(sha1), evidence.PCRSelection},
		"both banks":                {selections(sha256, sha1), evidence.PCRSelection},
		"the bank twice":            {selections(sha256, sha256), evidence.PCRSelection},
		"a PCR more":                {selections("000B03FF0100"), evidence.PCRSelection},
		"a PCR that a PC has not":   {selections("000B04FF000001"), evidence.PCRSelection},
		"as it was, another digest": {selections(sha256), evidence.PCRDigest},
		"17 selections":             {selections(slices.Repeat([]string{sha256}, 17)...), evidence.AttestFormat},
	} {
		_, err := newLab(t, "az-cpp-linux-snp").quote(t, attested(c.selected, sized(make([]byte, 32)))).machine(t, azureguest.Input{})
		if refusedFor(t, err, c.check); t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestPCRs0To7AreNeeded: azure-guest.md section 3 step 4.
func TestPCRs0To7AreNeeded(t *testing.T) {
	for missing := range 8 {
		l := newLab(t, "az-cpp-linux-snp")
		info := l.doc["TpmInfo"].(map[string]any)
		info["PcrSet"] = slices.Delete(info["PcrSet"].([]any), missing, missing+1)
		info["PCRs"] = slices.Delete(info["PCRs"].([]any), missing, missing+1)
		_, err := l.quote(t, attested([]byte{0, 0, 0, 1, 0, 0x0B, 3, 0xFF &^ (1 << missing), 0, 0}, sized(make([]byte, 32)))).machine(t, azureguest.Input{})
		refusedFor(t, err, evidence.PCRSelection)
	}
}

// The attributes of sealing keys are tested where they are checked, in package tpm.
func TestSealingKeysThatAreRefused(t *testing.T) {
	const attributes = 0x00020432
	for name, c := range map[string]struct {
		area  func([]byte) []byte
		check evidence.Check
	}{
		"as it was":          {func(a []byte) []byte { return a }, ""},
		"without noDA":       {func(a []byte) []byte { a[6] &^= 4; return a }, ""},
		"restricted":         {func(a []byte) []byte { a[5] |= 1; return a }, evidence.SealingKey},
		"another policy":     {func(a []byte) []byte { a[12]++; return a }, evidence.SealingPolicy},
		"RSA-1024":           {func([]byte) []byte { return shortArea(attributes) }, evidence.SealingKey},
		"P-256":              {func([]byte) []byte { return curveArea(t, attributes, []byte{0, 0x10}) }, evidence.SealingKey},
		"of an unknown kind": {func(a []byte) []byte { a[1] = 8; return a }, evidence.SealingKey},
		"cut short":          {func(a []byte) []byte { return a[:len(a)-1] }, evidence.AttestFormat},
	} {
		l := newLab(t, "az-cpp-linux-snp")
		_, err := l.seal(t, c.area(l.area(t, "TpmInfo.EncKeyPub"))).machine(t, azureguest.Input{})
		if c.check == "" && err != nil {
			t.Errorf("refused: %v", err)
		}
		if c.check != "" {
			refusedFor(t, err, c.check)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestTheCertificationIsVerified: that a TPM's own signature counts, and only over this key.
func TestTheCertificationIsVerified(t *testing.T) {
	l := newLab(t, "az-cpp-linux-snp")
	signature := l.bytes(t, "TpmInfo.EncKeyCertifyInfoSignature")
	signature[0] ^= 1
	_, err := l.set("TpmInfo.EncKeyCertifyInfoSignature", signature).machine(t, azureguest.Input{})
	refusedFor(t, err, evidence.AttestSignature)
	if !strings.Contains(fmt.Sprint(err), "EncKeyCertifyInfo") {
		t.Errorf("the refusal reads as if it were of the quote: %v", err)
	}
	_, err = newLab(t, "az-cpp-linux-snp").certify(t, attested(sized(make([]byte, 34)), sized(nil))).machine(t, azureguest.Input{})
	refusedFor(t, err, evidence.CertifiedKey)
	_, err = newLab(t, "az-cpp-linux-snp").set("TpmInfo.EncKeyCertifyInfo", []byte{1}).machine(t, azureguest.Input{})
	refusedFor(t, err, evidence.AttestFormat)
	_, err = newLab(t, "az-cpp-linux-snp").set("TpmInfo.PcrQuote", []byte{1}).machine(t, azureguest.Input{})
	refusedFor(t, err, evidence.AttestFormat)
}

func TestLogsThatAreRefused(t *testing.T) {
	legacy := make([]byte, 36) // an EV_NO_ACTION in PCR 0 with four bytes, which is not the record of a crypto-agile log
	legacy[4], legacy[28] = 3, 4
	for name, c := range map[string]struct {
		log   []byte
		check evidence.Check
	}{
		"the SHA-1 form": {legacy, evidence.SHA1},
		"no log":         {[]byte("no log"), evidence.EventLogFormat},
		"zeros":          {make([]byte, 64), evidence.EventLogFormat},
	} {
		_, err := newLab(t, "az-cpp-linux-snp").set("TcgLogs", c.log).machine(t, azureguest.Input{})
		if refusedFor(t, err, c.check); t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestSecureBootNeedsAnAuthority: unless tpm_secureboot_require_authority is off. What images were found signed by is hidden behind another type, which no quote covers.
func TestSecureBootNeedsAnAuthority(t *testing.T) {
	l := newLab(t, "az-cpp-linux-snp")
	log := l.bytes(t, "TcgLogs")
	hidden := bytes.ReplaceAll(log, []byte{7, 0, 0, 0, 0xE0, 0, 0, 0x80}, []byte{7, 0, 0, 0, 0x0D, 0, 0, 0}) // EV_EFI_VARIABLE_AUTHORITY, EV_IPL
	if bytes.Equal(log, hidden) {
		t.Fatal("the log has no authority")
	}
	l.set("TcgLogs", hidden)
	_, err := l.machine(t, azureguest.Input{})
	refusedFor(t, err, evidence.SecureBootLog)
	if _, err := l.machine(t, azureguest.Input{WithoutAuthority: true}); err != nil {
		t.Errorf("the setting is off: %v", err)
	}
}

// TestWithoutALogNothingIsExplained: azure-guest.md section 3 step 7.
func TestWithoutALogNothingIsExplained(t *testing.T) {
	for _, log := range []any{"", nil} {
		var journal evidence.Journal
		l := newLab(t, "az-cpp-linux-trustedlaunch").set("TcgLogs", log)
		m, err := l.machine(t, azureguest.Input{Journal: &journal})
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.OnTrustedLaunch()
		if err != nil || azureguest.Boot(v) != nil || v.PCR(7) == nil {
			t.Errorf("boot %v, PCR 7 %x (%v)", azureguest.Boot(v), v.PCR(7), err)
		}
		if last := journal.Entries[len(journal.Entries)-1]; last.Name != evidence.EventLogReplay || last.Outcome != evidence.Skipped {
			t.Errorf("the journal ends with %v", last)
		}
	}
}

// TestTheJournalHasEveryCheck in the order of azure-guest.md section 3.
func TestTheJournalHasEveryCheck(t *testing.T) {
	var journal evidence.Journal
	if _, err := named(t, "az-go-linux-snp").verify(t, azureguest.Input{Journal: &journal}); err != nil {
		t.Fatal(err)
	}
	var got []evidence.Check
	for _, e := range journal.Entries {
		if got = append(got, e.Name); e.Outcome != evidence.Pass {
			t.Errorf("%v", e)
		}
	}
	want := []evidence.Check{
		evidence.GuestRequest, evidence.GuestProtocol, evidence.IsolationType, evidence.AIKKey, evidence.AIKCertificate,
		evidence.AttestSignature, evidence.AttestType, evidence.AttestNonce, evidence.PCRSelection, evidence.SHA1, evidence.PCRDigest,
		evidence.CertifiedKey, evidence.SealingKey, evidence.SealingPolicy, evidence.EventLogReplay, evidence.EventLogData, evidence.SecureBootLog,
		evidence.PrivilegeLevel, evidence.RuntimeData, evidence.HCLRuntime, evidence.AKBinding,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// atAnotherTime has the case verified at another time than its own.
func (l *lab) atAnotherTime(at time.Time) *lab {
	l.At = at
	return l
}
