package collateral

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// evaluation returns a scenario of collateral with that evaluation number.
func evaluation(in *assaytest.Intel, number int, at time.Time) *assaytest.Scenario {
	s := in.Scenario(at)
	s.Evaluation = number
	return s
}

func TestBaselineIsFoundByIdentifier(t *testing.T) {
	in, stranger := assaytest.NewIntel(), assaytest.NewIntel()
	other := evaluation(in, 20, now)
	other.Platform.FMSPC = [6]byte{1, 2, 3}
	stored := []*Set{
		set(t, "of another PKI", evaluation(stranger, 11, now)), // same platform
		set(t, "of another platform", other),
		set(t, "first", evaluation(in, 10, now)),
		set(t, "second", evaluation(in, 12, now)),
	}
	v := verifier(t, in, stranger)
	o := origin(t, v, in.Scenario(now))
	for _, c := range []struct {
		name   string
		stored []*Set
		live   bool
		id     string
		number uint32 // zero if there is to be an error
		expiry dcap.Expiry
		err    error
	}{
		{"default is the first stored", stored, true, DefaultBaseline, 10, dcap.Pinned, nil},
		{"no identifier", stored, true, "", 0, 0, ErrUnknownBaseline},
		{"stored by number", stored, false, "12", 12, dcap.Pinned, nil},
		{"stored goes before live", stored, true, "12", 12, dcap.Pinned, nil},
		{"not stored for the platform", stored, false, "20", 0, 0, ErrAbsent},
		{"not stored for the PKI", stored, false, "11", 0, 0, ErrAbsent},
		{"not stored for the platform, but live", stored[:2], true, DefaultBaseline, 17, dcap.Enforce, nil},
		{"live only", nil, true, DefaultBaseline, 17, dcap.Enforce, nil},
		{"live by number", stored, true, "17", 17, dcap.Enforce, nil},
		{"nowhere by number", stored, false, "17", 0, 0, ErrUnknownBaseline},
		{"no baseline at all", nil, false, DefaultBaseline, 0, 0, ErrAbsent},
		{"not a number", stored, true, "azure", 0, 0, ErrUnknownBaseline},
		{"number in another form", stored, true, "0x0a", 0, 0, ErrUnknownBaseline},
		{"number with a leading zero", stored, true, "010", 0, 0, ErrUnknownBaseline},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := BaselinesConfig{Stored: c.stored, Verifier: v, Clock: at(now)}
			if c.live {
				cfg.Live = New(Config{Source: serve(issue(t, in.Scenario(now))), Verifier: v, Clock: at(now)})
			}
			b := NewBaselines(cfg)
			defer b.Close()
			got, err := b.For(t.Context(), c.id, o)
			if c.err != nil {
				if !errors.Is(err, c.err) {
					t.Fatalf("For(%q): got error %v, want %v", c.id, err, c.err)
				}
				if known := b.Check(c.id); errors.Is(known, ErrUnknownBaseline) != (c.err == ErrUnknownBaseline) {
					t.Errorf("Check(%q): got %v, For says %v", c.id, known, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("For(%q): %v", c.id, err)
			}
			if n := got.Collateral.TCBInfo.EvaluationNumber(); n != c.number || got.Expiry != c.expiry {
				t.Errorf("For(%q): got evaluation %d, expiry %v, want %d, %v", c.id, n, got.Expiry, c.number, c.expiry)
			}
			if _, err := v.Verify(o, got.Collateral, dcap.Options{At: now, Expiry: got.Expiry}, nil); err != nil {
				t.Errorf("For(%q): evidence against it: %v", c.id, err)
			}
		})
	}
}

func TestStoredBaselineTakesTheCRLsIssuedLast(t *testing.T) {
	in := assaytest.NewIntel()
	v := verifier(t, in)
	stored := set(t, "stored", evaluation(in, 10, now))
	without := set(t, "without CRL", evaluation(in, 10, now))
	delete(without.files, pckCRLFile)
	for _, c := range []struct {
		name string
		set  *Set
		at   time.Time
		live bool
		own  bool // the CRLs are the set's own
		ok   bool
	}{
		{"own in force, no live ones", stored, now, false, true, true},
		{"own in force, live ones issued later", stored, now.Add(time.Hour), true, false, true},
		{"own in force, live ones issued before", stored, now.Add(-time.Hour), true, true, true},
		{"own out of date", stored, now.AddDate(0, 2, 0), true, false, true},
		{"own out of date, no live ones", stored, now.AddDate(0, 2, 0), false, false, false},
		{"none", without, now.Add(time.Hour), true, false, true},
		{"none, no live ones", without, now, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fresh := evaluation(in, 17, c.at)
			cfg := BaselinesConfig{Stored: []*Set{c.set}, Verifier: v, Clock: at(c.at)}
			if c.live {
				cfg.Live = New(Config{Source: serve(issue(t, fresh)), Verifier: v, Clock: at(c.at)})
			}
			b := NewBaselines(cfg)
			defer b.Close()
			got, err := b.For(t.Context(), DefaultBaseline, origin(t, v, fresh))
			if !c.ok {
				unavailable(t, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := c.at.AddDate(0, 0, -1)
			if c.own {
				want = now.AddDate(0, 0, -1)
			}
			if issued := got.Collateral.PCKCRL.ThisUpdate(); !issued.Equal(want) {
				t.Errorf("got a PCK CRL of %v, want %v", issued, want)
			}
			if n := got.Collateral.TCBInfo.EvaluationNumber(); n != 10 {
				t.Errorf("got TCB info of evaluation %d, want the stored one, 10", n)
			}
		})
	}
}

func TestUnsoundStoredSetIsUnavailableAndSaysWhy(t *testing.T) {
	in := assaytest.NewIntel()
	v := verifier(t, in)
	o := origin(t, v, in.Scenario(now))
	for _, c := range []struct {
		name, file, want string
	}{
		{"TCB info damaged", tcbInfoFile, "signature"},
		{"its chain damaged", tcbInfoChainFile, "chain"},
		{"identity damaged", qeIdentityFile, "QE identity"},
		{"PCK CRL damaged", pckCRLFile, "PCK CRL"},
		{"root CRL damaged", rootCRLFile, "root CA CRL"},
	} {
		for _, missing := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				s := set(t, "stored", evaluation(in, 10, now))
				want := c.want
				if missing {
					delete(s.files, c.file)
					want = c.file
				} else {
					damaged := bytes.Clone(s.files[c.file])
					damaged[len(damaged)/2] ^= 1
					s.files[c.file] = damaged
				}
				var log bytes.Buffer
				b := NewBaselines(BaselinesConfig{Stored: []*Set{s}, Verifier: v, Clock: at(now),
					Logger: slog.New(slog.NewTextHandler(&log, nil))})
				defer b.Close()
				for _, id := range []string{DefaultBaseline, "10"} {
					_, err := b.For(t.Context(), id, o)
					if u := unavailable(t, err); !strings.Contains(u.Error(), want) {
						t.Errorf("For(%q): got %v, want it to say %q", id, u, want)
					}
				}
				b.Close()
				if log.Len() == 0 {
					t.Error("nothing in the log")
				}
			})
		}
	}
}

func TestUnknownBaselineNamesTheKnownOnes(t *testing.T) {
	in := assaytest.NewIntel()
	b := NewBaselines(BaselinesConfig{Verifier: verifier(t, in), Clock: at(now), Stored: []*Set{
		set(t, "a", evaluation(in, 12, now)), set(t, "b", evaluation(in, 9, now)), set(t, "c", evaluation(in, 12, now)),
	}})
	defer b.Close()
	if got, want := b.numbers(dcap.SGX), []string{"9", "12"}; !slices.Equal(got, want) {
		t.Errorf("got numbers %q, want %q", got, want)
	}
	for id, remedy := range map[string]string{"13": "store the collateral of that number", "banana": "correct x-ms-sgx-tcbidentifier in the policy"} {
		want := `expected "azuredefault" or a TCB evaluation data number (stored: 9, 12)`
		if err := b.Check(id); err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), remedy) {
			t.Errorf("Check(%q): got error %v, want it to say %s, and the remedy %s", id, err, want, remedy)
		}
	}
}
