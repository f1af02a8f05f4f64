package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

// populate writes rows of every kind.
func populate(t testing.TB, s *store.Store) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		err := errors.Join(tx.AddProvider(full("1", "b")), tx.AddProvider(plainProvider("2", "a")), tx.AddProvider(plainProvider("9", "c")))
		for _, p := range []store.Policy{policy("1", "TpmX", 1), policy("1", "TdxVm", 1), policy("1", "SgxEnclave", 1), policy("9", "SgxEnclave", 1)} {
			err = errors.Join(err, tx.AddPolicy(p))
		}
		for v := range int64(12) { // ten comes before two as a text
			err = errors.Join(err, tx.AddPolicy(policy("2", "SgxEnclave", v+1)), tx.AppendAudit(entry(v+1)))
		}
		for _, id := range []string{"b", "Z", "a"} {
			err = errors.Join(err, tx.AddKey(store.Key{ProviderID: "1", ID: id, From: time.Unix(-1<<40, 0), Sealed: everyByte()}))
		}
		for _, id := range []string{"1", "9"} {
			err = errors.Join(err, tx.AddAIKCertificate(aikCertificate(id, "0a"), instant()), tx.AddPin(store.Pin{ProviderID: id, Kind: store.PinnedAIK, Hash: "ff"}))
			_, err2 := tx.PutReference(reference(id, "golden"))
			err = errors.Join(err, err2)
		}
		return errors.Join(err, tx.RaiseLongestReport("1", time.Hour), tx.DeleteProvider("9")) // its policy stays
	})
}

func backup(t testing.TB, s *store.Store) string {
	t.Helper()
	var b strings.Builder
	if err := s.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func restored(t testing.TB, dsn, backup string) *store.Store {
	t.Helper()
	s := open(t, dsn)
	if err := s.Restore(t.Context(), strings.NewReader(backup)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFromSQLiteToPostgreSQLAndBackKeepsEveryByte(t *testing.T) {
	first := open(t, storetest.SQLite(t))
	populate(t, first)
	want := backup(t, first)
	second := restored(t, storetest.Postgres(t), want)
	third := restored(t, storetest.SQLite(t), backup(t, second))
	for name, s := range map[string]*store.Store{"PostgreSQL": second, "SQLite again": third} {
		if got := backup(t, s); got != want {
			t.Errorf("%s: the backup differs:\n%s\nwant\n%s", name, got, want)
		}
		if findings, err := s.Check(t.Context()); err != nil || len(findings) > 0 {
			t.Errorf("%s: faults %q, %v", name, findings, err)
		}
		if n, err := s.Changes(t.Context()); err != nil || n != 1 {
			t.Errorf("%s: %d changes, %v; want one, by which replicas learn of it", name, n, err)
		}
		read(t, s, func(tx *store.Tx) error {
			p, err := tx.Provider("1")
			want := full("1", "b")
			want.Version = 9 // three policies, three keys, a pin and a reference value were added
			equal(t, "provider", p, want)
			v, err2 := tx.Policy("2", "SgxEnclave", 12)
			equal(t, "policy", v, policy("2", "SgxEnclave", 12))
			return errors.Join(err, err2)
		})
	}
}

// What a table holds must be in the backup: this fails when a migration adds one and nobody thinks of backups.
func TestEveryTableIsInTheBackup(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	plan, err := store.Plan(s, "SELECT name FROM sqlite_schema WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	populate(t, s)
	whole := backup(t, s)
	names := strings.Fields(plan)
	if len(names) != len(store.TableNames())+1 {
		t.Errorf("tables %q, in the backup %q", names, store.TableNames())
	}
	for _, name := range names {
		if name != "schema_version" && !strings.Contains(whole, `{"table":"`+name+`","row":`) {
			t.Errorf("no row of %s in the backup", name)
		}
	}
}

// The form is fixed: others may read it.
func TestTheFormOfABackup(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		write(t, s, func(tx *store.Tx) error {
			p := store.Provider{ID: "1", Name: "a", URL: "https://a", Created: store.Stamp{At: instant()}, Modified: store.Stamp{By: "é"}}
			return errors.Join(tx.AddProvider(p), tx.AddKey(store.Key{ProviderID: "1", ID: "<k>", From: time.Unix(7, 0), Sealed: []byte{255}}),
				tx.AppendAudit(store.AuditEntry{Seq: 1, Record: []byte(`{"a":1}`), MAC: []byte{1, 2, 3}}), tx.RaiseLongestReport("1", 90*time.Second))
		})
		want := `{"format":"assay-backup","version":1,"schema":4}
{"table":"state","row":{"audit_seq":1,"audit_mac":"AQID"}}
{"table":"providers","row":{"id":"1","name":"a","url":"https://a","version":2,"doc":"{\"created\":{\"by\":\"\",\"at\":\"2026-03-04T05:06:07.123456789Z\"},\"modified\":{\"by\":\"é\",\"at\":\"0001-01-01T00:00:00Z\"}}","longest_report":90}}
{"table":"signing_keys","row":{"provider_id":"1","id":"<k>","signs_from":7,"sealed":"/w=="}}
{"table":"audit","row":{"seq":1,"record":"{\"a\":1}","mac":"AQID"}}
`
		want += fmt.Sprintf("{\"lines\":5,\"sha256\":\"%x\"}\n", sha256.Sum256([]byte(want)))
		if got := backup(t, s); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestABackupIsOneStateWhileOthersWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		for range 20 {
			if _, err := update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		whole := &interrupted{during: func() {
			if _, err := update(t.Context(), s); err != nil {
				t.Error(err)
			}
		}}
		if err := s.Backup(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		copied := restored(t, storetest.SQLite(t), whole.String())
		if findings, err := copied.Check(t.Context()); err != nil || len(findings) > 0 {
			t.Errorf("faults: %q, %v", findings, err)
		}
		read(t, copied, func(tx *store.Tx) error {
			p, err := tx.Policy("1", "SgxEnclave", 0)
			if p.Version != 20 || whole.writes < 2 {
				t.Errorf("version %d after %d writes, want 20 after several", p.Version, whole.writes)
			}
			return err
		})
	})
}

// interrupted is a writer during whose writes something happens.
type interrupted struct {
	bytes.Buffer
	during func()
	writes int
}

func (i *interrupted) Write(b []byte) (int, error) {
	i.during()
	i.writes++
	return i.Buffer.Write(b)
}

// sealed puts the right end under lines, as somebody who makes a backup by hand would.
func sealed(lines string) string {
	return lines + fmt.Sprintf("{\"lines\":%d,\"sha256\":\"%x\"}\n", strings.Count(lines, "\n"), sha256.Sum256([]byte(lines)))
}

func TestOnlyAWholeAndUnchangedBackupIsRestored(t *testing.T) {
	source := open(t, storetest.SQLite(t))
	populate(t, source)
	whole := backup(t, source)
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	header, row, end := lines[0], lines[2], len(whole)-1
	cases := map[string]struct {
		backup string
		want   error
	}{
		"empty":                  {"", store.ErrDamaged},
		"no last newline":        {whole[:end], store.ErrDamaged},
		"no end":                 {strings.Join(lines[:len(lines)-1], ""), store.ErrDamaged},
		"cut within a row":       {whole[:len(header)+20], store.ErrDamaged},
		"a row is missing":       {strings.Replace(whole, row, "", 1), store.ErrDamaged},
		"a row twice":            {strings.Replace(whole, row, row+row, 1), nil},
		"rows in another order":  {strings.Replace(whole, lines[2]+lines[3], lines[3]+lines[2], 1), store.ErrDamaged},
		"one letter changed":     {strings.Replace(whole, "westus", "eastus", 1), store.ErrDamaged},
		"the sum is another":     {sealed(header)[:len(header)+30] + "0" + sealed(header)[len(header)+31:], store.ErrDamaged},
		"something follows":      {whole + "\n", store.ErrDamaged},
		"something else follows": {whole + "x", store.ErrDamaged},
		"another file":           {"hello\n" + whole, store.ErrDamaged},
		"another format":         {sealed(`{"format":"other","version":1,"schema":4}` + "\n"), store.ErrDamaged},
		"the header is not ours": {sealed(`{"format":"assay-backup","version":1, "schema":4}` + "\n"), store.ErrDamaged},
		"a newer format":         {sealed(`{"format":"assay-backup","version":2,"schema":4}` + "\n"), store.ErrSchema},
		"a newer schema":         {sealed(`{"format":"assay-backup","version":1,"schema":5}` + "\n"), store.ErrSchema},
		"an unknown table":       {sealed(header + `{"table":"users","row":{}}` + "\n"), store.ErrDamaged},
		"an unknown column":      {sealed(header + strings.Replace(row, `"id"`, `"more":1,"id"`, 1)), store.ErrDamaged},
		"a column is missing":    {sealed(header + `{"table":"state","row":{"audit_seq":1}}` + "\n"), store.ErrDamaged},
		"a number as a text":     {sealed(header + `{"table":"state","row":{"audit_seq":"1","audit_mac":""}}` + "\n"), store.ErrDamaged},
		"a number is too large":  {sealed(header + `{"table":"state","row":{"audit_seq":9223372036854775808,"audit_mac":""}}` + "\n"), store.ErrDamaged},
		"columns in other order": {sealed(header + `{"table":"state","row":{"audit_mac":"","audit_seq":1}}` + "\n"), store.ErrDamaged},
		"neither row nor end":    {sealed(header + "{}\n"), store.ErrDamaged},
	}
	onEach(t, func(t *testing.T, s *store.Store) {
		for name, test := range cases {
			err := s.Restore(t.Context(), strings.NewReader(test.backup))
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s: got the error %v, want %v", name, err, test.want)
			}
			wantEmpty(t, s)
		}
	})
}

// wipe takes everything out of a store but the count of its changes.
func wipe(t testing.TB, s *store.Store) {
	t.Helper()
	for _, name := range store.TableNames() {
		statement := "DELETE FROM " + name
		if name == "state" {
			statement = "UPDATE state SET audit_seq = 0, audit_mac = ''"
		}
		if err := store.Exec(s, statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyAnEmptyStoreIsRestoredInto(t *testing.T) {
	source := open(t, storetest.SQLite(t))
	populate(t, source)
	whole := backup(t, source)
	statements := []string{
		"INSERT INTO providers VALUES ('7', 'z', 'https://z', 1, '{}', 0)",
		"INSERT INTO policies VALUES ('7', 'SgxEnclave', 1, '', '{}')",
		"INSERT INTO signing_keys VALUES ('7', 'k', 0, '')",
		"INSERT INTO reference_values VALUES ('7', 'golden', 1, '{}')",
		"INSERT INTO audit VALUES (1, '{}', '')",
		"UPDATE state SET audit_seq = 1",
	}
	onEach(t, func(t *testing.T, s *store.Store) {
		for _, statement := range statements {
			wipe(t, s)
			if err := store.Exec(s, statement); err != nil {
				t.Fatal(err)
			}
			before := backup(t, s)
			if err := s.Restore(t.Context(), strings.NewReader(whole)); !errors.Is(err, store.ErrNotEmpty) {
				t.Errorf("%s: got the error %v, want ErrNotEmpty", statement, err)
			}
			if backup(t, s) != before {
				t.Errorf("%s: the store has changed", statement)
			}
		}
	})
}

func TestLinesOfABackupAreBounded(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	with := func(n int) store.Policy {
		return store.Policy{ProviderID: "1", Type: "T", Version: 1, JWS: strings.Repeat("x", n), Action: "set"}
	}
	providers(t, s, "1")
	write(t, s, func(tx *store.Tx) error { return tx.AddPolicy(with(0)) })
	without := len(strings.SplitAfter(backup(t, s), "\n")[3])
	for over, want := range map[int]bool{0: true, 1: false} {
		text := strings.Repeat("x", store.MaxLine-without+over)
		if err := store.Exec(s, "UPDATE policies SET jws = $1", text); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := s.Backup(t.Context(), &b); (err == nil) != want {
			t.Errorf("a line of %d bytes over the bound: backup %v", over, err)
		}
		if want {
			restored(t, storetest.SQLite(t), b.String())
		}
	}
	long := `{"format":"assay-backup","version":1,"schema":4}` + "\n" + strings.Repeat("x", store.MaxLine+1) + "\n"
	err := open(t, storetest.SQLite(t)).Restore(t.Context(), strings.NewReader(long))
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "longer") {
		t.Errorf("a line over the bound: %v", err)
	}
}

func TestFaultsOfTheFileAreToldFromThoseOfTheStore(t *testing.T) {
	broken := errors.New("the disk is gone")
	onEach(t, func(t *testing.T, s *store.Store) {
		r, w := io.Pipe()
		r.CloseWithError(broken)
		if err := s.Backup(t.Context(), w); !errors.Is(err, broken) || !errors.As(err, new(*store.BackupError)) {
			t.Errorf("writing: got the error %v", err)
		}
		r, w = io.Pipe()
		w.CloseWithError(broken)
		if err := s.Restore(t.Context(), r); !errors.Is(err, broken) || !errors.As(err, new(*store.BackupError)) {
			t.Errorf("reading: got the error %v", err)
		}
	})
}
