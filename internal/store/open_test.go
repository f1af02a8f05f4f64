package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

func TestManyMayMigrateAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		err := all(8, func(int) error {
			s, err := store.Open(t.Context(), dsn)
			if err != nil {
				return err
			}
			return errors.Join(s.Migrate(t.Context()), s.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, dsn)
		if have, need, err := s.Version(t.Context()); err != nil || have != need || need < 1 {
			t.Errorf("version %d of %d, %v", have, need, err)
		}
		wantEmpty(t, s)
	})
}

func TestWithoutASchemaTheErrorSaysWhatToDo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, err := store.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if have, need, err := s.Version(t.Context()); have != 0 || need < 1 || err != nil {
			t.Errorf("version %d of %d, %v", have, need, err)
		}
		nothing := func(*store.Tx) error { return nil }
		_, changes := s.Changes(t.Context())
		for what, err := range map[string]error{
			"Write": s.Write(t.Context(), nothing), "Changes": changes, "Restore": s.Restore(t.Context(), nil), "Backup": s.Backup(t.Context(), nil),
			"Providers": s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Providers(); return err }),
		} {
			if !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "assay store migrate") {
				t.Errorf("%s: got the error %v, want ErrSchema that names assay store migrate", what, err)
			}
		}
	})
}

func TestANewerSchemaIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		if err := store.Exec(s, "INSERT INTO schema_version VALUES (1000)"); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"Migrate": s.Migrate(t.Context()), "Backup": s.Backup(t.Context(), nil), "Restore": s.Restore(t.Context(), nil),
		} {
			if !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "1000") {
				t.Errorf("%s: got the error %v, want ErrSchema that names version 1000", what, err)
			}
		}
		if findings, err := s.Check(t.Context()); err != nil || len(findings) != 1 || !strings.Contains(findings[0], "1000") {
			t.Errorf("Check: %q, %v", findings, err)
		}
	})
}

func TestTheSQLiteFileIsForItsOwnerOnly(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := open(t, dsn)
	write(t, s, func(tx *store.Tx) error { return tx.AppendAudit(entry(1)) })
	files, err := filepath.Glob(filepath.Join(filepath.Dir(dsn), "*"))
	if err != nil || len(files) != 3 { // and its log, and its index
		t.Errorf("files %q, %v", files, err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", name, info.Mode(), err)
		}
	}
}

func TestWhatCannotBeOpenedIsAnError(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "text")
	if err := os.WriteFile(other, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{folder, filepath.Join(folder, "none", "a.db"), other, ""} {
		if s, err := store.Open(t.Context(), dsn); err == nil {
			s.Close()
			t.Errorf("%q was opened", dsn)
		}
	}
}

// A slip in the scheme must not make a file of that name, nor print it.
func TestWhatIsMeantForAServerIsNoFileAndIsNotPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dsn := range []string{
		"postgress://u:hunter2@h/db", "POSTGRES://u:hunter2@h/db", "mysql://u:hunter2@h/db", "host=h user=u password=hunter2", "user=u password=hunter2",
	} {
		s, err := store.Open(t.Context(), dsn)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, store.ErrName) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got the error %v, want ErrName without the password", dsn, err)
		}
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v, want none", files, err)
	}
}

func TestACommitWaitsForTheDiskWhateverTheDatabaseSays(t *testing.T) {
	const full = "2\n" // as SQLite numbers them
	if got, err := store.Plan(open(t, storetest.SQLite(t)), "PRAGMA synchronous"); err != nil || got != full {
		t.Errorf("SQLite: %q, %v, want %q", got, err, full)
	}
	dsn := storetest.Postgres(t)
	for set, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply"} {
		s := open(t, dsn+"&synchronous_commit="+set)
		if got, err := store.Plan(s, "SHOW synchronous_commit"); err != nil || got != want+"\n" {
			t.Errorf("with the default %s: %q, %v, want %s", set, got, err, want)
		}
	}
}

func TestAnSQLiteFileThatStaysLockedIsToldFromOtherFaults(t *testing.T) {
	dsn := storetest.SQLite(t)
	waiting, writing := open(t, dsn), open(t, dsn)
	if err := store.Exec(waiting, "PRAGMA busy_timeout=50"); err != nil {
		t.Fatal(err)
	}
	write(t, writing, func(*store.Tx) error {
		if err := waiting.Write(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got the error %v, want ErrUnavailable", err)
		}
		return nil
	})
}

func TestErrorsOfPostgreSQLNeverPrintThePassword(t *testing.T) {
	server := storetest.Postgres(t) // trusts every password
	for _, dsn := range []string{
		"postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=1", "postgres://u:hunter2@127.0.0.1:x/db", "postgres://u:hunter2%@h/db",
		"postgres://127.0.0.1:1/db?password=hunter2&connect_timeout=1", "postgresql://u:hunter2@[::1/db", "postgres://u:hunter2@h/db?sslmode=hunter2",
		"postgres://u:hunter2@h/db?password=hunter2&connect_timeout=x", strings.Replace(server, "assay@", "nobody-here:hunter2@", 1),
	} {
		s, err := store.Open(t.Context(), dsn)
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", dsn)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error prints the password: %v", dsn, err)
		}
	}
}

func TestADatabaseThatCannotKeepEveryTextIsRefused(t *testing.T) {
	server := storetest.Postgres(t)
	latin := "assay_test_latin1_" + strings.ToLower(t.Name()[5:15])
	storetest.Exec(t, server, "DROP DATABASE IF EXISTS "+latin)
	storetest.Exec(t, server, "CREATE DATABASE "+latin+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	defer storetest.Exec(t, server, "DROP DATABASE "+latin+" WITH (FORCE)")
	at := strings.Index(server, "assay_test_")
	s, err := store.Open(t.Context(), server[:at]+latin+server[at+len("assay_test_")+26:])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "LATIN1") {
		t.Errorf("got the error %v, want one that names LATIN1", err)
	}
}

// fill writes policies until it fails.
func fill(ctx context.Context, s *store.Store) error {
	for range 1000 {
		if _, err := update(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func TestAFullDatabaseIsAnErrorAndLosesNothing(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	if err := store.Exec(s, "PRAGMA max_page_count = 200"); err != nil {
		t.Fatal(err)
	}
	if err := fill(t.Context(), s); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("got the error %v, want one that says full", err)
	}
	if findings, err := s.Check(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("faults: %q, %v", findings, err)
	}
	if err := store.Exec(s, "PRAGMA max_page_count = 2000"); err != nil {
		t.Fatal(err)
	}
	if _, err := update(t.Context(), s); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestAReadOnlyDatabaseIsAnError(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		if store.IsPostgres(dsn) {
			storetest.Exec(t, dsn, "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$")
			s.Close()
			var err error
			if s, err = store.Open(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		} else if err := store.Exec(s, "PRAGMA query_only = 1"); err != nil {
			t.Fatal(err)
		}
		err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.AppendAudit(entry(1)) })
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "-", ""), "readonly") {
			t.Errorf("got the error %v, want one that says read-only", err)
		}
		wantEmpty(t, s)
	})
}

// TestARestartedServerCostsNoRequest ends the server as a crash does, under connections that nobody uses at the moment.
func TestARestartedServerCostsNoRequest(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	if err := all(8, func(int) error { _, err := update(t.Context(), s); return err }); err != nil {
		t.Fatal(err)
	}
	before, err := s.Changes(t.Context())
	if err != nil || before != 8 {
		t.Fatalf("%d changes, %v", before, err)
	}
	storetest.Restart(t)
	for range 4 {
		if n, err := s.Changes(t.Context()); err != nil || n != before {
			t.Errorf("after the restart: %d changes, %v; want %d", n, err, before)
		}
	}
	if err := all(8, func(int) error { _, err := update(t.Context(), s); return err }); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// TestADatabaseThatCannotBeReachedIsToldFromOtherFaults, also where a connection breaks in a transaction or there is no time left.
func TestADatabaseThatCannotBeReachedIsToldFromOtherFaults(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	write(t, s, func(tx *store.Tx) error { return tx.AppendAudit(entry(1)) })
	twice := s.Write(t.Context(), func(tx *store.Tx) error { return tx.AppendAudit(entry(1)) })
	if twice == nil || errors.Is(twice, store.ErrUnavailable) {
		t.Errorf("a row that is there already: %v", twice)
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := s.Changes(late); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without time: %v", err)
	}
	var up func()
	within := s.Write(t.Context(), func(tx *store.Tx) error {
		up = storetest.Down(t)
		return tx.AppendAudit(entry(2))
	})
	_, after := s.Changes(t.Context())
	for what, err := range map[string]error{"in a transaction": within, "afterwards": after} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got the error %v, want ErrUnavailable", what, err)
		}
	}
	up()
	if n, err := s.Changes(t.Context()); err != nil || n != 1 {
		t.Errorf("afterwards %d changes, %v; want the first only", n, err)
	}
}

// TestPoliciesAreFoundByTheirIndex asks both engines for their plan: nothing may look at every row.
func TestPoliciesAreFoundByTheirIndex(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		explain := "EXPLAIN QUERY PLAN "
		if store.IsPostgres(dsn) {
			explain = "EXPLAIN "
			if err := fill(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			storetest.Exec(t, dsn, "ANALYZE")
		}
		for _, q := range store.PolicyQueries() {
			plan, err := store.Plan(s, explain+q)
			if err != nil || strings.Contains(plan, "SCAN policies") || strings.Contains(plan, "Seq Scan") {
				t.Errorf("%s\n%s%v", q, plan, err)
			}
		}
	})
}

// TestAStoreOfTheFirstSchemaIsBroughtUpToDate with what it has.
func TestAStoreOfTheFirstSchemaIsBroughtUpToDate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, err := store.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := store.MigrateTo(s, 1); err != nil {
			t.Fatal(err)
		}
		if err := store.Exec(s, "INSERT INTO providers VALUES ('1', 'a', 'https://a', 7, '{}')"); err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		err = s.Read(t.Context(), func(tx *store.Tx) error {
			p, err := tx.Provider("1")
			if err != nil || p.Name != "a" || p.Version != 7 {
				t.Errorf("the provider is %+v, %v", p, err)
			}
			longest, err := tx.LongestReport("1")
			if longest != 0 {
				t.Errorf("its longest report lives %s", longest)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
