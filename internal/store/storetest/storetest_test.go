package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assay-attestation/assay/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("STORETEST_CHILD") == "" {
		os.Exit(storetest.Main(m))
	}
	os.Exit(child(m))
}

// child is a test binary that says where its server is and then hangs until it is killed.
func child(m *testing.M) int {
	os.Unsetenv("ASSAY_POSTGRES")
	return storetest.Main(m)
}

func TestHang(t *testing.T) {
	if os.Getenv("STORETEST_CHILD") == "" {
		return // only for the test below
	}
	os.Stdout.WriteString(os.Getenv("ASSAY_POSTGRES") + "\n")
	time.Sleep(time.Minute)
}

// TestServerEndsWithAKilledTestBinary kills a test binary that has started a server of its own.
func TestServerEndsWithAKilledTestBinary(t *testing.T) {
	own := storetest.Postgres(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHang$")
	cmd.Env = append(os.Environ(), "STORETEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, _ := out.Read(b)
	url := strings.TrimSpace(string(b[:n]))
	if err := ping(t.Context(), url); err != nil || url == own {
		t.Errorf("the server %q of the child: %v", url, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for end := time.Now().Add(10 * time.Second); ping(t.Context(), url) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server outlives the test binary")
		}
	}
	if err := ping(t.Context(), own); err != nil {
		t.Errorf("the server of this binary: %v", err)
	}
}

func ping(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func TestDatabasesAreNewAndGoneAfterTheTest(t *testing.T) {
	var urls []string
	t.Run("two", func(t *testing.T) { urls = []string{storetest.Postgres(t), storetest.Postgres(t)} })
	if len(urls) == 2 && urls[0] == urls[1] {
		t.Error("two databases are one")
	}
	for _, url := range urls {
		if err := ping(t.Context(), url); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("after the test: %v", err)
		}
	}
}
