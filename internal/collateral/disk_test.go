package collateral

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
)

// restart closes b and begins anew with the same folder and a source that cannot be reached.
func (b *bench) restart(t testing.TB) *bench {
	t.Helper()
	b.Close()
	again, cfg := *b, b.cfg
	again.source = serve(assaytest.Collateral{})
	again.source.failWith(errors.New("network is unreachable"))
	cfg.Source = again.source
	again.Cache = New(cfg)
	t.Cleanup(again.Close)
	return &again
}

func TestRestartFromDiskWithTheNetworkGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "collateral")
	b := newBench(t, at(now), func(cfg *Config) { cfg.Dir = dir })
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	b.loads.Wait()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != len(all()) {
		t.Fatalf("got files %q, error %v, want one for each document", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: got mode %v, error %v, want 0600", f, info.Mode(), err)
		}
	}
	again := b
	for n := range 2 { // the copies outlive their use
		again = again.restart(t)
		if err := again.get(); err != nil {
			t.Errorf("after restart %d without network: %v", n+1, err)
		}
	}
}

func TestCopyOnDiskIsRenewedAtItsFirstUse(t *testing.T) {
	b := newBench(t, at(now), func(cfg *Config) { cfg.Dir = t.TempDir() })
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	again := b.restart(t)
	for range 2 {
		if err := again.get(); err != nil {
			t.Fatal(err)
		}
	}
	again.loads.Wait()
	again.asked(t, 1)
}

func TestCopyOutOfDateIsNotUsed(t *testing.T) {
	b := newBench(t, at(now), func(cfg *Config) { cfg.Dir = t.TempDir() })
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	b.cfg.Clock = at(now.AddDate(0, 2, 0))
	unavailable(t, b.restart(t).get())
}

func TestDamagedCopyIsPassedOverWithOneLineInTheLog(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut short":         func(b []byte) []byte { return b[:len(b)/2] },
		"empty":             func([]byte) []byte { return nil },
		"of another kind":   func([]byte) []byte { return []byte(`{"document":"AAAA"}`) },
		"too long":          func(b []byte) []byte { return append(b, bytes.Repeat([]byte{' '}, 3*MaxDocument)...) },
		"one bit elsewhere": func(b []byte) []byte { b[len(b)/3] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, at(now), func(cfg *Config) { cfg.Dir = t.TempDir() })
			if err := b.get(); err != nil {
				t.Fatal(err)
			}
			b.loads.Wait()
			file := b.copyName(wantTCBInfo(b.origin, Standard))
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(content), 0o600); err != nil {
				t.Fatal(err)
			}
			again := b.restart(t)
			for range 3 {
				unavailable(t, again.get())
			}
			again.Close()
			if lines := strings.Count(b.log.String(), "damaged"); lines != 1 {
				t.Errorf("got %d lines about the damaged copy, want 1:\n%s", lines, b.log)
			}
			healthy := New(b.cfg)
			defer healthy.Close()
			if _, err := healthy.For(t.Context(), b.origin, Standard); err != nil {
				t.Errorf("with a source: %v", err)
			}
		})
	}
}

func TestFolderThatCannotBeWrittenDoesNotStopTheService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, at(now), func(cfg *Config) { cfg.Dir = filepath.Join(file, "dir") })
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	b.loads.Wait()
	if !strings.Contains(b.log.String(), "cannot be stored") {
		t.Errorf("log does not mention that nothing is stored:\n%s", b.log)
	}
}
