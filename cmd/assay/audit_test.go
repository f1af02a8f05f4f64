package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
)

// trailOf is the data folder of a service that has ended, with some rows of audit trail, and its trail as a file.
func trailOf(t *testing.T) (data, file string) {
	t.Helper()
	data, file = t.TempDir(), filepath.Join(t.TempDir(), "audit.jsonl")
	config := tempFile(t, "assay.yaml", fmt.Sprintf("audit: {file: %s}\n", file))
	m := &managed{data: data, service: serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", data, "--config", config)}
	m.flags = []string{"--endpoint", m.URL, "--ca", m.CA, "--token", m.token(t, "owner")}
	for _, text := range []string{strictPolicy, denyPolicy, goodPolicy, strictPolicy} {
		m.run(t, "policy set --type sgx", tempFile(t, "p", text)).want(t, exitOK, "SET", "")
	}
	m.end(t)
	return data, file
}

type trailResult struct {
	Trail, Head string
	Sound       bool
	Rows        int64
	Error       struct {
		Row            int64
		Check, Message string
	}
}

// tamper changes a copy of the SQLite file as somebody could who has it.
func tamper(t *testing.T, data string, statements ...string) (copied string) {
	t.Helper()
	copied = t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(copied, server.SealFile), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(copied, server.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		result, err := db.Exec(s)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := result.RowsAffected(); n == 0 || err != nil {
			t.Fatalf("%s: %d rows, %v", s, n, err)
		}
	}
	return copied
}

// TestAuditVerifyNamesTheRow is item 7 of what the control plane must hold: in the store, and in the file beside it.
func TestAuditVerifyNamesTheRow(t *testing.T) {
	data, file := trailOf(t)
	var sound trailResult
	assay(t, "audit", "verify", "--data", data, "--json").read(t, &sound)
	if !sound.Sound || sound.Rows < 6 || !strings.HasPrefix(sound.Head, fmt.Sprint(sound.Rows, ":")) {
		t.Fatalf("got %+v", sound)
	}
	last := sound.Rows
	lines := strings.SplitAfter(strings.TrimSuffix(readFile(t, file), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	if int64(len(lines)) != last {
		t.Fatalf("the file has %d rows, the store %d", len(lines), last)
	}
	without := func(i int) string { return strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "") }
	for _, tt := range []struct {
		name  string
		sql   []string
		lines string
		row   int64
		check string
	}{
		{"changed", []string{"UPDATE audit SET record = replace(record, 'development-owner', 'development-other') WHERE seq = 4"},
			strings.Replace(strings.Join(lines, ""), lines[3], strings.ReplaceAll(lines[3], "development-owner", "development-other"), 1), 4, "changed"},
		{"removed", []string{"DELETE FROM audit WHERE seq = 3"}, without(2), 3, "missing"},
		{"reordered", []string{"UPDATE audit SET seq = -1 WHERE seq = 3", "UPDATE audit SET seq = 3 WHERE seq = 4", "UPDATE audit SET seq = 4 WHERE seq = -1"},
			lines[0] + lines[1] + lines[3] + lines[2] + strings.Join(lines[4:], ""), 3, ""},
		{"the last removed", []string{fmt.Sprint("DELETE FROM audit WHERE seq = ", last)}, without(int(last) - 1), last, "cut-off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			broken := tamper(t, data, tt.sql...)
			for place, args := range map[string][]string{
				"store": {"--data", broken},
				"file":  {tempFile(t, "audit.jsonl", tt.lines), "--seal-key", filepath.Join(data, server.SealFile), "--head", sound.Head},
			} {
				var got trailResult
				o := assay(t, append([]string{"audit", "verify", "--json"}, args...)...)
				if o.read(t, &got); o.status != exitRefused || got.Sound || got.Error.Row != tt.row || got.Rows != tt.row-1 || tt.check != "" && got.Error.Check != tt.check {
					t.Errorf("%s: status %d, %+v; want row %d, %s", place, o.status, got, tt.row, tt.check)
				}
				assay(t, append([]string{"audit", "verify"}, args...)...).want(t, exitRefused, fmt.Sprintf("row           %d\n", tt.row), "")
			}
		})
	}
	assay(t, "audit", "verify", file, "--data", data, "--head", sound.Head).want(t, exitOK, "SOUND  "+file, "")
	world{stdin: readFile(t, file)}.assay(t, "audit", "verify", "-", "--data", data).want(t, exitOK, sound.Head, "")
	assay(t, "audit", "verify", tempFile(t, "empty", ""), "--data", data).want(t, exitOK, "show only with --head", "")
	assay(t, "audit", "verify", tempFile(t, "empty", ""), "--data", data, "--head", sound.Head).want(t, exitRefused, "cut-off", "")
	assay(t, "audit", "verify", tempFile(t, "half", readFile(t, file)[:500]), "--data", data).want(t, exitRefused, "line 1", "")
}

// TestHeadKeptElsewhereTellsAnOldDatabase: who puts back rows and mark together leaves a trail that is sound by itself.
func TestHeadKeptElsewhereTellsAnOldDatabase(t *testing.T) {
	data, _ := trailOf(t)
	var now trailResult
	assay(t, "audit", "verify", "--data", data, "--json").read(t, &now)
	old := tamper(t, data, "DELETE FROM audit WHERE seq > 4", "UPDATE state SET audit_seq = 4, audit_mac = (SELECT mac FROM audit WHERE seq = 4)")
	assay(t, "audit", "verify", "--data", old).want(t, exitOK, "SOUND", "")
	assay(t, "audit", "verify", "--data", old, "--head", now.Head).want(t, exitRefused, "cut-off: the trail ends before it", "")
}

func TestAuditShowPrintsRowsAsTheyAre(t *testing.T) {
	data, file := trailOf(t)
	o := assay(t, "audit", "show", "--data", data)
	if o.want(t, exitOK, "", ""); o.stdout != readFile(t, file) {
		t.Errorf("got\n%s\nwant what is in the file beside the store:\n%s", o.stdout, readFile(t, file))
	}
	o = assay(t, "audit", "show", "--data", data, "--from", "3", "--limit", "2")
	if o.want(t, exitOK, `{"seq":3,`, ""); strings.Count(o.stdout, "\n") != 2 {
		t.Errorf("got\n%s", o.stdout)
	}
	s, err := store.Open(t.Context(), filepath.Join(data, server.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := 0
	for _, err := range audit.Rows(context.Background(), s, math.MinInt64) {
		if rows++; err != nil {
			t.Fatal(err)
		}
	}
	if all := strings.Count(readFile(t, file), "\n"); all != rows {
		t.Errorf("%d rows in the file, %d in the store", all, rows)
	}
}

func TestAuditRefusals(t *testing.T) {
	data, file := trailOf(t)
	another := t.TempDir()
	serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", another)
	for args, want := range map[string]string{
		"verify":                          "--seal-key is missing",
		"verify FILE":                     "--seal-key is missing",
		"verify --store DATA/assay.db":    "--seal-key is missing",
		"verify --seal-key DATA/seal.key": "--store, --store-file or --data is missing",
		"verify FILE --store x --seal-key DATA/seal.key": "FILE and --store exclude each other",
		"verify absent --data DATA":                      "no such file",
		"verify --data DATA --seal-key absent":           "no such file",
		"verify --data DATA --seal-key FILE":             "sealing key",
		"verify --data DATA --head 7":                    "expected SEQ:MAC",
		"verify --data absent":                           "no such file",
		"show":                                           "--store, --store-file or --data is missing",
		"show --data DATA --limit 0":                     "--limit 0: expected 1 or more",
	} {
		words := strings.Fields(strings.NewReplacer("DATA", data, "FILE", file).Replace(args))
		assay(t, append([]string{"audit"}, words...)...).want(t, exitUsage, "", want)
	}
	assay(t, "audit", "verify", "--data", data, "--seal-key", filepath.Join(another, server.SealFile)).want(t, exitRefused, "or --seal-key is another trail's", "")
}
