package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

// storeWithEverything is an SQLite store with rows of every kind, in a data folder made by the command.
func storeWithEverything(t *testing.T) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	assay(t, "store", "migrate", "--data", data).want(t, exitOK, "MIGRATED", "")
	changeStore(t, filepath.Join(data, server.StoreFile), func(tx *store.Tx) error {
		return errors.Join(
			tx.AddProvider(store.Provider{ID: "1", Name: "a", URL: "https://a", Tags: map[string]string{"é": "🦆"}, Signers: [][]byte{{0, 255}}}),
			tx.AddPolicy(store.Policy{ProviderID: "1", Type: "SgxEnclave", Version: 1, JWS: "a.b.c", Action: "set"}),
			tx.AddPolicy(store.Policy{ProviderID: "1", Type: "SgxEnclave", Version: 2, Action: "reset"}),
			tx.AddKey(store.Key{ProviderID: "1", ID: "k", From: time.Unix(7, 0), Sealed: []byte{0, 1, 255}}),
			tx.AppendAudit(store.AuditEntry{Seq: 1, Record: []byte(`{"a":1}`), MAC: []byte{1}}),
		)
	})
	return data
}

func changeStore(t *testing.T, dsn string, fn func(tx *store.Tx) error) {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

type storeResult struct {
	Store, Out, SHA256 string
	Schema             int
	Before             *int
	Bytes              int64
	Sound              bool
	Findings           []string
}

func TestAStoreMovesToPostgreSQLAndBack(t *testing.T) {
	data, dir := storeWithEverything(t), t.TempDir()
	file := tempFile(t, "url", storetest.Postgres(t)+"\n")
	first, second, third := filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "3")
	back := filepath.Join(dir, "back.db")
	for _, args := range [][]string{
		{"backup", "--data", data, "--out", first},
		{"migrate", "--store-file", file},
		{"restore", first, "--store-file", file},
		{"check", "--store-file", file},
		{"backup", "--store-file", file, "--out", second},
		{"migrate", "--store", back},
		{"restore", second, "--store", back},
		{"backup", "--store", back, "--out", third},
	} {
		assay(t, append([]string{"store"}, args...)...).want(t, exitOK, "", "")
	}
	want := readFile(t, first)
	for _, table := range []string{"state", "providers", "policies", "signing_keys", "audit"} {
		if !strings.Contains(want, `{"table":"`+table+`"`) {
			t.Errorf("no row of %s in the backup", table)
		}
	}
	for _, name := range []string{second, third} {
		if got := readFile(t, name); got != want {
			t.Errorf("%s differs:\n%s\nwant\n%s", name, got, want)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", name, info.Mode(), err)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStoreCommandsAnswerInJSON(t *testing.T) {
	data := storeWithEverything(t)
	out := filepath.Join(t.TempDir(), "out")
	var made, saved, read, sound storeResult
	assay(t, "store", "migrate", "--store", out+".db", "--json").read(t, &made)
	if made.Store != out+".db" || made.Before == nil || *made.Before != 0 || made.Schema < 1 {
		t.Errorf("migrate: %+v", made)
	}
	assay(t, "store", "backup", "--data", data, "--out", out, "--json").read(t, &saved)
	content := readFile(t, out)
	sum := sha256.Sum256([]byte(content))
	if saved.Out != out || saved.Schema != made.Schema || saved.Bytes != int64(len(content)) || saved.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("backup: %+v of %d bytes", saved, len(content))
	}
	assay(t, "store", "restore", out, "--store", out+".db", "--json").read(t, &read)
	if read.Store != out+".db" || read.SHA256 != saved.SHA256 {
		t.Errorf("restore: %+v, want the sum of %+v", read, saved)
	}
	assay(t, "store", "check", "--store", out+".db", "--json").read(t, &sound)
	if !sound.Sound || sound.Findings == nil || len(sound.Findings) > 0 {
		t.Errorf("check: %+v", sound)
	}
}

func TestBackupsGoThroughStandardOutputAndInput(t *testing.T) {
	data, file := storeWithEverything(t), filepath.Join(t.TempDir(), "a.db")
	o := assay(t, "store", "backup", "--data", data, "--out", "-")
	o.want(t, exitOK, `{"format":"assay-backup"`, "")
	assay(t, "store", "migrate", "--store", file).want(t, exitOK, "", "")
	world{stdin: o.stdout}.assay(t, "store", "restore", "-", "--store", file).want(t, exitOK, "RESTORED", "")
	if again := assay(t, "store", "backup", "--store", file, "--out", "-"); again.stdout != o.stdout {
		t.Errorf("got\n%s\nwant\n%s", again.stdout, o.stdout)
	}
}

func TestStoreCheckNamesFaultsAndRefuses(t *testing.T) {
	data := storeWithEverything(t)
	changeStore(t, filepath.Join(data, server.StoreFile), func(tx *store.Tx) error {
		return tx.AppendAudit(store.AuditEntry{Seq: 2, Record: []byte(`{}`), MAC: []byte{2}})
	})
	assay(t, "store", "check", "--data", data).want(t, exitOK, "SOUND", "")
	whole := assay(t, "store", "backup", "--data", data, "--out", "-").stdout
	lines := strings.SplitAfter(whole, "\n")
	cut := strings.Join(append(lines[:len(lines)-4:len(lines)-4], lines[len(lines)-3]), "") // without entry 1
	sum := sha256.Sum256([]byte(cut))
	cut += `{"lines":` + "7" + `,"sha256":"` + hex.EncodeToString(sum[:]) + "\"}\n"
	file := filepath.Join(t.TempDir(), "a.db")
	assay(t, "store", "migrate", "--store", file).want(t, exitOK, "", "")
	world{stdin: cut}.assay(t, "store", "restore", "-", "--store", file).want(t, exitOK, "", "")
	assay(t, "store", "check", "--store", file).want(t, exitRefused, "entry 1 of the audit trail is missing", "")
	var faulty storeResult
	o := assay(t, "store", "check", "--store", file, "--json")
	if o.read(t, &faulty); o.status != exitRefused || faulty.Sound || len(faulty.Findings) != 1 {
		t.Errorf("status %d, %+v", o.status, faulty)
	}
}

func TestStoreRefusals(t *testing.T) {
	data := storeWithEverything(t)
	file := filepath.Join(data, server.StoreFile)
	dir := t.TempDir()
	good, cut, bare, text := filepath.Join(dir, "good"), filepath.Join(dir, "cut"), filepath.Join(dir, "bare.db"), tempFile(t, "text", strings.Repeat("no database\n", 100))
	assay(t, "store", "backup", "--data", data, "--out", good).want(t, exitOK, "BACKED UP", "")
	whole := readFile(t, good)
	for name, content := range map[string]string{cut: whole[:len(whole)/2], bare: ""} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fresh := filepath.Join(dir, "fresh.db")
	assay(t, "store", "migrate", "--store", fresh).want(t, exitOK, "", "")
	gone := "postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=1"
	secret := tempFile(t, "url", gone)
	for _, test := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"check"}, exitUsage, "--store, --store-file or --data is missing"},
		{[]string{"check", "--store", file, "--data", data}, exitUsage, "exclude each other"},
		{[]string{"check", "--store-file", bare}, exitUsage, "--store-file is empty"},
		{[]string{"check", "--store-file", filepath.Join(dir, "none")}, exitUsage, "no such file"},
		{[]string{"check", "--data", dir}, exitUsage, "no such file"},
		{[]string{"migrate", "--store", "postgress://u:hunter2@h/db"}, exitUsage, "expected postgres://USER"},
		{[]string{"check", "--store", "host=h password=hunter2"}, exitUsage, "expected postgres://USER"},
		{[]string{"check", "--store", "postgres://u:hunter2@[h/db"}, exitUsage, "expected postgres://USER"},
		{[]string{"backup", "--store", filepath.Join(dir, "none.db"), "--out", good}, exitUsage, "assay store migrate makes"},
		{[]string{"backup", "--data", data}, exitUsage, "--out is missing"},
		{[]string{"backup", "--data", data, "--out", "-", "--json"}, exitUsage, "exclude each other"},
		{[]string{"backup", "--data", data, "--out", file}, exitUsage, "is one of the files read"},
		{[]string{"backup", "--data", data, "--out", filepath.Join(dir, "none", "b")}, exitUsage, "no such file"},
		{[]string{"backup", "--store", bare, "--out", good}, exitRefused, "assay store migrate"},
		{[]string{"backup", "--store", text, "--out", good}, exitUsage, "not a database"},
		{[]string{"restore", "--store", fresh}, exitUsage, "FILE is missing"},
		{[]string{"restore", filepath.Join(dir, "none"), "--store", fresh}, exitUsage, "no such file"},
		{[]string{"restore", dir, "--store", fresh}, exitUsage, "is a directory"},
		{[]string{"restore", good, "--store", bare}, exitRefused, "assay store migrate"},
		{[]string{"restore", good, "--data", data}, exitRefused, "not empty"},
		{[]string{"restore", cut, "--store", fresh}, exitRefused, "not a whole and unchanged one"},
		{[]string{"check", "--store", gone}, exitService, "opening the store"},
		{[]string{"migrate", "--store-file", secret}, exitService, "opening the store"},
	} {
		for _, flags := range [][]string{nil, {"--json"}} {
			o := assay(t, append(append([]string{"store"}, test.args...), flags...)...)
			if o.status != test.status || !strings.Contains(o.stderr, test.stderr) || strings.Contains(o.stdout+o.stderr, "hunter2") {
				t.Errorf("assay store %q %q: status %d, want %d; standard error %q, want %q in it, and no password", test.args, flags, o.status, test.status, o.stderr, test.stderr)
			}
		}
	}
	if readFile(t, good) != whole {
		t.Error("a backup that failed has changed its file")
	}
	assay(t, "store", "check", "--store", bare).want(t, exitRefused, "assay store migrate", "")
}

func TestTheNameOfAStoreHoldsNoSecret(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:p@h:1/d?password=p&sslmode=require": "postgres://h:1/d", "postgresql://h/d": "postgresql://h/d", "postgres://u:p%@h/d": "PostgreSQL",
	} {
		if got := withoutSecrets(dsn); got != want {
			t.Errorf("%s: got %s, want %s", dsn, got, want)
		}
	}
}

// TestTheStoreCommandsOfTheManualWork runs what docs/operating.md shows, in its order.
func TestTheStoreCommandsOfTheManualWork(t *testing.T) {
	manual := readFile(t, "../../docs/operating.md")
	dir, data := t.TempDir(), storeWithEverything(t)
	paths := strings.NewReplacer("/var/lib/assay-new", filepath.Join(dir, "new"), "/var/lib/assay", data,
		"/etc/assay/store", tempFile(t, "url", storetest.Postgres(t)), "assay.backup", filepath.Join(dir, "a"), "back.backup", filepath.Join(dir, "b"))
	ran := 0
	for line := range strings.Lines(manual) {
		command, isCommand := strings.CutPrefix(line, "$ assay store ")
		if !isCommand {
			continue
		}
		command, _, _ = strings.Cut(command, "#")
		ran++
		if o := assay(t, append([]string{"store"}, strings.Fields(paths.Replace(command))...)...); o.status != exitOK {
			t.Errorf("%s: status %d\n%s", line, o.status, o.stderr)
		}
	}
	if ran != 8 || readFile(t, filepath.Join(dir, "a")) != readFile(t, filepath.Join(dir, "b")) {
		t.Errorf("%d commands ran, want 8; the two backups must be equal", ran)
	}
}
