package challenge

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/seal"
)

// base is the beginning of a window.
var base = time.Date(2030, 3, 17, 18, 0, 0, 0, time.UTC)

const own = "0123456789abcdef0123456789abcdef"

func sealKey(t testing.TB) *seal.Key {
	t.Helper()
	k, err := seal.Create(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keeper(t testing.TB, key *seal.Key, lifetime time.Duration) *Keeper {
	t.Helper()
	k, err := New(key, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t testing.TB, k *Keeper, at time.Time) (challenge []byte, context string) {
	t.Helper()
	challenge, context, err := k.Issue(own, at)
	if err != nil {
		t.Fatal(err)
	}
	return challenge, context
}

// wantRefusal checks that the error is a refusal of the challenge that says so; an empty text is no error.
func wantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || r.Check != evidence.TPMChallenge || !strings.Contains(r.Problem, text) || r.Remedy == "" {
		t.Errorf("got %v, want a refusal of %s with a remedy that says %q", err, evidence.TPMChallenge, text)
	}
}

func TestAContextGivesItsChallengeBackToEveryReplica(t *testing.T) {
	key := sealKey(t)
	challenge, context := issue(t, keeper(t, key, 0), base)
	got, err := keeper(t, key, time.Minute).Open(context, own, base.Add(time.Second))
	if err != nil || !bytes.Equal(got, challenge) || len(challenge) != 16 {
		t.Errorf("got %x, %v, want %x of 16 bytes", got, err, challenge)
	}
	second, again := issue(t, keeper(t, key, 0), base)
	if bytes.Equal(second, challenge) || again == context {
		t.Error("two challenges are the same")
	}
}

// TestAContextHasTheRecordedForm reads a context as tpm.md section 2 describes that of the real service.
func TestAContextHasTheRecordedForm(t *testing.T) {
	challenge, context := issue(t, keeper(t, sealKey(t), 0), base)
	raw, err := b64.DecodeURL(context)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^\{"ProtectionKeyName":"[0-9A-F]{64}","ProtectedContext":"[A-Za-z0-9_-]+"\}$`)
	if !form.Match(raw) {
		t.Errorf("inside is %s", raw)
	}
	var inside struct{ ProtectedContext string }
	if err := json.Unmarshal(raw, &inside); err != nil {
		t.Fatal(err)
	}
	sealed, err := b64.DecodeURL(inside.ProtectedContext)
	if err != nil || bytes.Contains(sealed, challenge) || bytes.Contains(sealed, []byte(own)) {
		t.Errorf("the context is not encrypted: %x, %v", sealed, err)
	}
}

func TestContextsOpenAtTheEdgesOfTheirTime(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		lifetime     time.Duration // zero: the default of five minutes
		issued, open time.Time
		want         string
	}{
		"at once":                         {0, base, base, ""},
		"last moment":                     {0, base, base.Add(5*time.Minute - ms), ""},
		"expired":                         {0, base, base.Add(5 * time.Minute), "has expired"},
		"configured, last moment":         {time.Second, base, base.Add(time.Second - ms), ""},
		"configured, expired":             {time.Second, base, base.Add(time.Second), "has expired"},
		"over the end of a window":        {0, base.Add(-ms), base.Add(4 * time.Minute), ""},
		"longest, over the end":           {time.Hour, base.Add(-ms), base.Add(time.Hour - 2*ms), ""},
		"longest, expired":                {time.Hour, base.Add(-ms), base.Add(time.Hour - ms), "has expired"},
		"key about to retire":             {0, base, base.Add(2*time.Hour - ms), "has expired"},
		"key retired":                     {0, base, base.Add(2 * time.Hour), "has retired"},
		"key retired, end of window":      {0, base.Add(time.Hour - ms), base.Add(2 * time.Hour), "has retired"},
		"key retired long ago":            {0, base, base.AddDate(10, 0, 0), "has retired"},
		"issuer's clock ahead":            {0, base.Add(10 * time.Minute), base.Add(9 * time.Minute), ""},
		"ahead, of the next window":       {0, base, base.Add(-time.Minute), ""},
		"too far ahead":                   {0, base, base.Add(-time.Minute - ms), "not in use yet"},
		"issuer's clock behind":           {0, base.Add(-time.Minute), base, ""},
		"behind, last moment":             {0, base.Add(-time.Minute), base.Add(4*time.Minute - ms), ""},
		"behind, expired by the opener's": {0, base.Add(-time.Minute), base.Add(4 * time.Minute), "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			k := keeper(t, sealKey(t), tt.lifetime)
			_, context := issue(t, k, tt.issued)
			_, err := k.Open(context, own, tt.open)
			wantRefusal(t, err, tt.want)
		})
	}
}

func TestAContextIsForOneProvider(t *testing.T) {
	k := keeper(t, sealKey(t), 0)
	_, context := issue(t, k, base)
	for _, other := range []string{"fedcba9876543210fedcba9876543210", "", own + "0", own[1:]} {
		_, err := k.Open(context, other, base)
		wantRefusal(t, err, "another attestation provider")
	}
	// The provider comes before the time: to whom it belongs does not change.
	_, err := k.Open(context, "other", base.Add(time.Hour))
	wantRefusal(t, err, "another attestation provider")
}

func TestKeysChangeByTheHourAndAreOfOneService(t *testing.T) {
	key := sealKey(t)
	k := keeper(t, key, 0)
	nameAt := func(k *Keeper, at time.Time) [nameSize]byte {
		_, context := issue(t, k, at)
		e, err := parseEnvelope(context)
		if err != nil {
			t.Fatal(err)
		}
		return e.name
	}
	first := nameAt(k, base)
	if nameAt(keeper(t, key, 0), base.Add(time.Hour-1)) != first {
		t.Error("the key changed within an hour")
	}
	if nameAt(k, base.Add(time.Hour)) == first || nameAt(k, base.Add(-1)) == first {
		t.Error("the key did not change with the hour")
	}
	_, context := issue(t, k, base)
	_, err := keeper(t, sealKey(t), 0).Open(context, own, base)
	wantRefusal(t, err, "a key that is not this service's")
}

// TestAKeyIsOfItsWindow puts the name of a neighbouring window before a context.
func TestAKeyIsOfItsWindow(t *testing.T) {
	k := keeper(t, sealKey(t), 0)
	_, context := issue(t, k, base)
	e, err := parseEnvelope(context)
	if err != nil {
		t.Fatal(err)
	}
	e.name = k.name(windowOf(base) - 1)
	moved, err := e.marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Open(moved, own, base)
	wantRefusal(t, err, "changed on its way")
}

func TestNoByteOfAContextCanBeChanged(t *testing.T) {
	k := keeper(t, sealKey(t), 0)
	_, context := issue(t, k, base)
	e, err := parseEnvelope(context)
	if err != nil {
		t.Fatal(err)
	}
	for i := range e.sealed {
		e.sealed[i] ^= 1
		text, err := e.marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Open(text, own, base)
		wantRefusal(t, err, "changed on its way")
		e.sealed[i] ^= 1
	}
	for i := range e.name {
		e.name[i] ^= 1
		text, err := e.marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Open(text, own, base)
		wantRefusal(t, err, "not this service's")
		e.name[i] ^= 1
	}
}

func TestWhatIsNoContextIsRefused(t *testing.T) {
	name := strings.Repeat("0A", 32)
	k := keeper(t, sealKey(t), 0)
	for what, text := range map[string]string{
		"empty":           "",
		"not base64":      "%%%%",
		"not JSON":        b64.URL([]byte("context")),
		"no members":      b64.URL([]byte("{}")),
		"null":            b64.URL([]byte("null")),
		"short name":      b64.URL([]byte(`{"ProtectionKeyName":"` + name[2:] + `","ProtectedContext":"AQID"}`)),
		"long name":       b64.URL([]byte(`{"ProtectionKeyName":"` + name + `00","ProtectedContext":"AQID"}`)),
		"name not hex":    b64.URL([]byte(`{"ProtectionKeyName":"` + name[1:] + `g","ProtectedContext":"AQID"}`)),
		"context no text": b64.URL([]byte(`{"ProtectionKeyName":"` + name + `","ProtectedContext":1}`)),
		"not base64url":   b64.URL([]byte(`{"ProtectionKeyName":"` + name + `","ProtectedContext":"%"}`)),
		"twice a member":  b64.URL([]byte(`{"ProtectionKeyName":"` + name + `","ProtectionKeyName":"` + name + `","ProtectedContext":"AQID"}`)),
	} {
		t.Run(what, func(t *testing.T) {
			_, err := k.Open(text, own, base)
			wantRefusal(t, err, "not one that this service makes")
		})
	}
}

func TestLongContextsAreNotRead(t *testing.T) {
	k := keeper(t, sealKey(t), 0)
	_, err := k.Open(strings.Repeat("A", MaxContext), own, base)
	wantRefusal(t, err, "not one that this service makes")
	_, err = k.Open(strings.Repeat("A", MaxContext+1), own, base)
	wantRefusal(t, err, "too long")
}

func TestTheLongestProviderIDFits(t *testing.T) {
	k := keeper(t, sealKey(t), 0)
	longest := strings.Repeat("p", MaxProviderID)
	challenge, context, err := k.Issue(longest, base)
	if err != nil || len(context) >= 600 {
		t.Fatalf("%d characters, %v", len(context), err)
	}
	if got, err := k.Open(context, longest, base); err != nil || !bytes.Equal(got, challenge) {
		t.Errorf("got %x, %v", got, err)
	}
	for _, id := range []string{"", longest + "p"} {
		if _, _, err := k.Issue(id, base); err == nil {
			t.Errorf("issued for an id of %d bytes", len(id))
		}
	}
}

// TestContentOfAnotherFormIsRefused is about what a later release may seal with the same key.
func TestContentOfAnotherFormIsRefused(t *testing.T) {
	k := keeper(t, sealKey(t), 0)
	for _, n := range []int{0, contentHead - 1, contentHead + MaxProviderID + 1} {
		aead, err := k.aead(windowOf(base))
		if err != nil {
			t.Fatal(err)
		}
		context, err := envelope{k.name(windowOf(base)), aead.Seal(nil, nil, make([]byte, n), []byte(purpose))}.marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Open(context, own, base)
		wantRefusal(t, err, "changed on its way")
	}
}

func TestLifetimesOutOfBoundsAreRefused(t *testing.T) {
	key := sealKey(t)
	for lifetime, ok := range map[time.Duration]bool{
		0: true, time.Second: true, time.Hour: true, -1: false, time.Second - 1: false, time.Hour + 1: false,
	} {
		if _, err := New(key, lifetime); (err == nil) != ok {
			t.Errorf("%s: %v", lifetime, err)
		}
	}
	if _, err := New(nil, 0); err == nil {
		t.Error("made without a key")
	}
}

func FuzzOpen(f *testing.F) {
	k := keeper(f, sealKey(f), 0)
	issued, context := issue(f, k, base)
	f.Add(context)
	f.Add("")
	f.Add(context[:len(context)/2])
	f.Add(b64.URL([]byte(`{"ProtectionKeyName":"` + strings.Repeat("0A", 32) + `","ProtectedContext":"AQID"}`)))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := k.Open(text, own, base)
		if err == nil && !bytes.Equal(got, issued) {
			t.Errorf("a challenge that was never issued: %x of %q", got, text)
		}
		if _, ok := errors.AsType[*evidence.Refusal](err); err != nil && !ok {
			t.Errorf("%q: not a refusal: %v", text, err)
		}
	})
}
