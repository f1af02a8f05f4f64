package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(killedVar); dsn != "" {
		os.Exit(updateUntilKilled(dsn))
	}
	os.Exit(storetest.Main(m))
}

// open opens a store and brings its schema up to date.
func open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// onEach runs f on a store of each engine.
func onEach(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, dsn string) { f(t, open(t, dsn)) })
}

// write runs fn in a transaction that must succeed.
func write(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// refuses runs fn in a transaction that must fail so.
func refuses(t testing.TB, s *store.Store, want error, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), fn); !errors.Is(err, want) {
		t.Errorf("got the error %v, want %v", err, want)
	}
}

// equal compares what came back with what went in.
func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got\n%+v\nwant\n%+v", what, got, want)
	}
}

// everyByte holds all byte values.
func everyByte() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// awkward is text that JSON, SQL and terminals have something to say about.
const awkward = "Ünïcode 日本語 🦆 \u2028 \x01\x7f \"quoted\\\" 'single' $1 ?1 %s \r\n\t é e\u0301 </script>"

func instant() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC) }

func stampOf(who string) store.Stamp {
	return store.Stamp{By: who, At: instant(), RequestID: "r-" + who}
}

// full is a provider with every field set.
func full(id, name string) store.Provider {
	return store.Provider{
		ID: id, Name: name, URL: "https://" + name + ".example", Version: 1, Listen: ":8444", Subscription: "s", ResourceGroup: "g",
		Location: "westus", Tags: map[string]string{"env": awkward, awkward: "", "nul": "\x00"}, Isolated: true, Shared: true,
		Signers: [][]byte{everyByte(), {0}, {}}, PublicNetworkAccess: "Disabled", TPMAttestationAuthentication: "Enabled",
		Settings: []byte(`{"strict":true,"n":1e400}`), Created: stampOf("a"), Modified: stampOf(awkward),
	}
}

func plainProvider(id, name string) store.Provider {
	return store.Provider{ID: id, Name: name, URL: "https://" + name, Version: 1, Created: stampOf("a"), Modified: stampOf("a")}
}

// providers adds providers of these ids, with the names n1, n2, …
func providers(t testing.TB, s *store.Store, ids ...string) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		for _, id := range ids {
			if err := tx.AddProvider(plainProvider(id, "n"+id)); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestProvidersComeBackAsTheyWent(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		b, a := full("1", "b"), plainProvider("2", "a")
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.AddProvider(b), tx.AddProvider(a)) })
		read(t, s, func(tx *store.Tx) error {
			all, err := tx.Providers()
			equal(t, "by name", all, []store.Provider{a, b})
			one, err2 := tx.Provider("1")
			equal(t, "by id", one, b)
			named, err3 := tx.ProviderNamed("a")
			equal(t, "named", named, a)
			return errors.Join(err, err2, err3)
		})
	})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		for _, id := range []string{"", "x", "a\x00b", "\xff"} {
			for name, get := range map[string]func(*store.Tx) error{
				"Provider":      func(tx *store.Tx) error { _, err := tx.Provider(id); return err },
				"ProviderNamed": func(tx *store.Tx) error { _, err := tx.ProviderNamed(id); return err },
				"newest Policy": func(tx *store.Tx) error { _, err := tx.Policy(id, "SgxEnclave", 0); return err },
				"Policy":        func(tx *store.Tx) error { _, err := tx.Policy(id, "SgxEnclave", 1); return err },
			} {
				if err := s.Read(t.Context(), get); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s of %q: got the error %v, want ErrNotFound", name, id, err)
				}
			}
		}
		read(t, s, func(tx *store.Tx) error {
			providers, err := tx.Providers()
			policies, err2 := tx.Policies("x")
			history, err3 := tx.PolicyHistory("x", "SgxEnclave", 9, 9)
			keys, err4 := tx.Keys("x")
			audit, err5 := tx.Audit(1, 9)
			if n := len(providers) + len(policies) + len(history) + len(keys) + len(audit); n > 0 {
				t.Errorf("an empty store has %d things", n)
			}
			return errors.Join(err, err2, err3, err4, err5)
		})
	})
}

func TestNamesAndURLsAreTakenOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AddProvider(plainProvider("1", "a")), tx.AddProvider(plainProvider("2", "b")))
		})
		sameName, sameURL, sameID := plainProvider("3", "a"), plainProvider("3", "c"), plainProvider("1", "c")
		sameName.URL, sameURL.URL = "https://else", "https://a"
		refuses(t, s, store.ErrTaken, func(tx *store.Tx) error { return tx.AddProvider(sameName) })
		refuses(t, s, store.ErrTaken, func(tx *store.Tx) error { return tx.AddProvider(sameURL) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddProvider(sameID) })
		moved := plainProvider("2", "b")
		moved.URL = "https://a"
		refuses(t, s, store.ErrTaken, func(tx *store.Tx) error { return tx.UpdateProvider(moved) })
		again := plainProvider("3", "a")
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.DeleteProvider("1"), tx.AddProvider(again)) })
	})
}

func TestUpdatesOfProvidersNeedTheStoredVersion(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		p := plainProvider("1", "a")
		write(t, s, func(tx *store.Tx) error { return tx.AddProvider(p) })
		changed := full("1", "a")
		write(t, s, func(tx *store.Tx) error { return tx.UpdateProvider(changed) })
		changed.Version = 2
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Provider("1")
			equal(t, "updated", got, changed)
			return err
		})
		for version, want := range map[int64]error{0: store.ErrConflict, 1: store.ErrConflict, 3: store.ErrConflict, 2: nil} {
			if version != 2 {
				changed.Version = version
				refuses(t, s, want, func(tx *store.Tx) error { return tx.UpdateProvider(changed) })
			}
		}
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateProvider(plainProvider("9", "z")) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.DeleteProvider("9") })
	})
}

// By the versions of providers, others learn what to read anew.
func TestEachChangeOfAProviderIsCounted(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1", "2")
		for i, change := range []func(tx *store.Tx) error{
			func(tx *store.Tx) error { return tx.UpdateProvider(plainProvider("1", "n1")) },
			func(tx *store.Tx) error { return tx.AddPolicy(policy("1", "SgxEnclave", 1)) },
			func(tx *store.Tx) error { return tx.AddKey(store.Key{ProviderID: "1", ID: "k"}) },
			func(tx *store.Tx) error { return tx.DeleteKey("1", "k") },
		} {
			write(t, s, change)
			read(t, s, func(tx *store.Tx) error {
				got, err := tx.Versions()
				equal(t, "versions", got, map[string]int64{"1": int64(i) + 2, "2": 1})
				return err
			})
		}
	})
}

func policy(id, kind string, version int64) store.Policy {
	return store.Policy{
		ProviderID: id, Type: kind, Version: version, JWS: fmt.Sprintf("%s.%d.\n %s", kind, version, awkward),
		Action: "set", Hash: "h", TokenHash: "t", Signer: "s", Of: version - 1, Stamp: stampOf(awkward),
	}
}

func TestPoliciesAreVersionedAndNeverOverwritten(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		reset := store.Policy{ProviderID: "1", Type: "SgxEnclave", Version: 3, Action: "reset", Stamp: stampOf("a")}
		providers(t, s, "1", "2")
		all := []store.Policy{policy("1", "SgxEnclave", 1), policy("1", "SgxEnclave", 2), reset, policy("1", "OpenEnclave", 1), policy("2", "SgxEnclave", 1)}
		for _, p := range all {
			write(t, s, func(tx *store.Tx) error { return tx.AddPolicy(p) })
		}
		for _, version := range []int64{-1, 0, 1, 3, 5} { // the next is 4
			refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddPolicy(policy("1", "SgxEnclave", version)) })
		}
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddPolicy(policy("2", "SgxEnclave", 3)) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddPolicy(policy("3", "SgxEnclave", 1)) }) // no such provider
		read(t, s, func(tx *store.Tx) error {
			for _, p := range all {
				got, err := tx.Policy(p.ProviderID, p.Type, p.Version)
				equal(t, "one version", got, p)
				if err != nil {
					return err
				}
			}
			newest, err := tx.Policy("1", "SgxEnclave", 0)
			equal(t, "newest", newest, reset)
			inForce, err2 := tx.Policies("1")
			equal(t, "newest of each type", inForce, []store.Policy{all[3], reset})
			return errors.Join(err, err2)
		})
	})
}

func TestPolicyHistoryIsPagedAndBare(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1")
		var bare []store.Policy
		for v := range int64(5) {
			p := policy("1", "SgxEnclave", v+1)
			write(t, s, func(tx *store.Tx) error { return tx.AddPolicy(p) })
			p.JWS = ""
			bare = append([]store.Policy{p}, bare...)
		}
		read(t, s, func(tx *store.Tx) error {
			first, err := tx.PolicyHistory("1", "SgxEnclave", 1<<62, 3)
			equal(t, "first page", first, bare[:3])
			second, err2 := tx.PolicyHistory("1", "SgxEnclave", first[2].Version, 3)
			equal(t, "second page", second, bare[3:])
			return errors.Join(err, err2)
		})
	})
}

func TestKeysComeBackInTheOrderOfTheirSigning(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1", "2")
		at := instant().Truncate(time.Second)
		early := store.Key{ProviderID: "1", ID: "z", From: at.Add(-time.Hour), Sealed: everyByte()}
		late := store.Key{ProviderID: "1", ID: "b", From: at, Sealed: []byte{0}}
		same := store.Key{ProviderID: "1", ID: "Z", From: at, Sealed: []byte("x")} // upper case comes first, by bytes
		write(t, s, func(tx *store.Tx) error {
			err := errors.Join(tx.AddKey(late), tx.AddKey(same), tx.AddKey(early))
			return errors.Join(err, tx.AddKey(store.Key{ProviderID: "2", ID: "z", Sealed: []byte{1}}))
		})
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddKey(early) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddKey(store.Key{ProviderID: "3", ID: "k"}) }) // no such provider
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Keys("1")
			equal(t, "keys", got, []store.Key{early, same, late})
			return err
		})
		write(t, s, func(tx *store.Tx) error { return tx.DeleteKey("1", "z") })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.DeleteKey("1", "z") })
	})
}

func TestDeletedProvidersLoseTheirKeysAndKeepTheirPolicies(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		write(t, s, func(tx *store.Tx) error {
			for _, id := range []string{"1", "2"} {
				err := errors.Join(tx.AddProvider(plainProvider(id, "n"+id)), tx.AddPolicy(policy(id, "SgxEnclave", 1)))
				if err = errors.Join(err, tx.AddKey(store.Key{ProviderID: id, ID: "k", Sealed: []byte{1}})); err != nil {
					return err
				}
			}
			return tx.DeleteProvider("1")
		})
		read(t, s, func(tx *store.Tx) error {
			for id, want := range map[string]int{"1": 0, "2": 1} {
				keys, err := tx.Keys(id)
				policies, err2 := tx.Policies(id)
				if err := errors.Join(err, err2); err != nil {
					return err
				}
				if len(keys) != want || len(policies) != 1 {
					t.Errorf("provider %s: %d keys, want %d; %d policies, want 1", id, len(keys), want, len(policies))
				}
			}
			return nil
		})
	})
}

func entry(seq int64) store.AuditEntry {
	return store.AuditEntry{Seq: seq, Record: fmt.Appendf(nil, `{"n": %d, "who":"é🦆\u0000"}`, seq), MAC: append(everyByte(), byte(seq))}
}

func TestAuditTrailGrowsAtItsEndOnly(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		mark := func(want store.AuditEntry) {
			read(t, s, func(tx *store.Tx) error {
				seq, mac, err := tx.AuditMark()
				if seq != want.Seq || !bytes.Equal(mac, want.MAC) {
					t.Errorf("the mark is %d %x, want %d %x", seq, mac, want.Seq, want.MAC)
				}
				return err
			})
		}
		mark(store.AuditEntry{})
		var all []store.AuditEntry
		for seq := range int64(5) {
			write(t, s, func(tx *store.Tx) error { return tx.AppendAudit(entry(seq + 1)) })
			all = append(all, entry(seq+1))
			mark(entry(seq + 1))
		}
		for _, seq := range []int64{-1, 0, 1, 5, 7} {
			refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AppendAudit(entry(seq)) })
		}
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Audit(2, 3)
			equal(t, "entries 2 to 4", got, slices.Clone(all[1:4]))
			got, err2 := tx.Audit(5, 3)
			equal(t, "the last", got, all[4:])
			return errors.Join(err, err2)
		})
	})
}

// What PostgreSQL cannot keep is refused on both engines alike, and nothing is written.
func TestTextsThatNoEngineKeepsAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		for _, bad := range []string{"a\x00", "\xff", "\xed\xa0\x80"} {
			jws, name := policy("1", "SgxEnclave", 1), plainProvider("1", bad)
			jws.JWS = bad
			tag := plainProvider("1", "a")
			tag.Tags = map[string]string{"x": "\xff"}
			for what, fn := range map[string]func(tx *store.Tx) error{
				"JWS":    func(tx *store.Tx) error { return tx.AddPolicy(jws) },
				"name":   func(tx *store.Tx) error { return tx.AddProvider(name) },
				"tag":    func(tx *store.Tx) error { return tx.AddProvider(tag) },
				"record": func(tx *store.Tx) error { return tx.AppendAudit(store.AuditEntry{Seq: 1, Record: []byte(bad)}) },
			} {
				if err := s.Write(t.Context(), fn); err == nil || !strings.Contains(err.Error(), "store: ") {
					t.Errorf("%s %q: got the error %v, want a refusal of the store", what, bad, err)
				}
			}
		}
		if findings, err := s.Check(t.Context()); err != nil || len(findings) > 0 {
			t.Errorf("after the refusals: %q, %v", findings, err)
		}
	})
}

func TestTheLongestReportOnlyGrows(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AddProvider(plainProvider("1", "a")), tx.AddProvider(plainProvider("2", "b")))
		})
		longest := func(id string) (d time.Duration) {
			t.Helper()
			err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
				d, err = tx.LongestReport(id)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		for _, step := range []struct{ raise, want time.Duration }{
			{0, 0}, {time.Hour, time.Hour}, {time.Minute, time.Hour}, {time.Hour, time.Hour}, {time.Hour + 1, time.Hour + time.Second}, {8760 * time.Hour, 8760 * time.Hour},
		} {
			write(t, s, func(tx *store.Tx) error { return tx.RaiseLongestReport("1", step.raise) })
			if got := longest("1"); got != step.want {
				t.Errorf("after a report of %s: %s, want %s", step.raise, got, step.want)
			}
		}
		if got := longest("2"); got != 0 {
			t.Errorf("the other provider has %s", got)
		}
		write(t, s, func(tx *store.Tx) error {
			p, err := tx.Provider("1")
			if err != nil || p.Version != 1 {
				t.Errorf("version %d, %v: it is no change of the provider", p.Version, err)
			}
			return tx.UpdateProvider(p)
		})
		if got := longest("1"); got != 8760*time.Hour {
			t.Errorf("after a change of the provider: %s", got)
		}
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.RaiseLongestReport("3", time.Hour) })
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.LongestReport("3"); return err })
	})
}
