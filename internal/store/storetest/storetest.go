// Package storetest gives tests the databases that the store runs on: SQLite files, and a PostgreSQL server of the test
// binary's own.
//
// A test binary that uses it has
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// The environment by which tests, and the processes that they start, find the server.
const (
	serverVar = "ASSAY_POSTGRES"      // the URL of a server on which databases can be made; given from outside, none is started
	dataVar   = "ASSAY_POSTGRES_DATA" // the data folder of a server that Main started
)

// Main runs the tests of a binary and returns its exit status. Before, it starts a PostgreSQL server in a temporary
// folder, unless ASSAY_POSTGRES names one or there is none on this machine. The server ends with the test binary, also
// when that crashes or is killed.
func Main(m *testing.M) int {
	if os.Getenv(serverVar) != "" {
		return m.Run()
	}
	server, err := start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "starting PostgreSQL: %v\n", err)
		return 1
	}
	defer server.stop()
	return m.Run()
}

// Each runs f as a subtest on each engine. The database of each is new and empty.
func Each(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { f(t, Postgres(t)) })
}

// SQLite names a file that is not there yet. Its name holds what is special in URIs.
func SQLite(t testing.TB) string { return filepath.Join(t.TempDir(), "a?#%20&.db") }

// Postgres makes an empty database and returns its URL. It is gone after the test. Without a server the test is skipped,
// or fails where ASSAY_CI is set.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(serverVar)
	if server == "" {
		vectortest.Missing(t, "PostgreSQL (install the package postgresql, or set ASSAY_POSTGRES to the URL of a server)")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("ASSAY_POSTGRES is not a URL")
	}
	name := "assay_test_" + strings.ToLower(rand.Text())
	Exec(t, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
	t.Cleanup(func() { Exec(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

// Exec runs a statement on a PostgreSQL database, beside the store.
func Exec(t testing.TB, dsn, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // a test's own is over when it cleans up
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Restart ends the server as a crash would, and starts it again. A server that was given from outside is not
// restarted: the test is skipped, or fails where ASSAY_CI is set.
func Restart(t testing.TB) {
	t.Helper()
	Down(t)()
}

// Down ends the server as a crash would. It is started again by the function that it returns, or else after the test. Of a
// server that was given from outside see [Restart].
func Down(t testing.TB) (up func()) {
	t.Helper()
	data := os.Getenv(dataVar)
	if data == "" {
		vectortest.Missing(t, "a PostgreSQL server of the test's own (one that ASSAY_POSTGRES names is not restarted)")
	}
	control(t, "stop", "-m", "immediate", "-D", data)
	up = sync.OnceFunc(func() {
		control(t, "start", "-D", data, "-l", filepath.Join(data, "log"), "-o", "-c listen_addresses='' -k "+filepath.Dir(data))
	})
	t.Cleanup(up)
	return up
}

// control runs pg_ctl.
func control(t testing.TB, args ...string) {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(append([]string{filepath.Join(bin, "pg_ctl"), "-s", "-w"}, args...)...)
	cmd.Stdout, cmd.Stderr = nil, nil // the server keeps them: waiting for their end would not end
	if err := cmd.Run(); err != nil {
		t.Fatalf("pg_ctl %q: %v", args, err)
	}
}

// command runs a program as the user that the server runs as: PostgreSQL refuses to be root.
func command(args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		args = append([]string{"runuser", "-u", serverUser(), "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	return cmd
}
