package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestOpenReadsBothForms(t *testing.T) {
	secret := bytes.Repeat([]byte{0xfb, 0xef}, 16)
	same := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		k, err := Open(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return k.ID()
	}
	key, err := newKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	want := key.ID()
	for name, text := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString(secret), "base64 line": base64.StdEncoding.EncodeToString(secret) + "\n",
		"hex": hex.EncodeToString(secret), "hex in capitals": strings.ToUpper(hex.EncodeToString(secret)) + "\n",
		"hex of Windows": hex.EncodeToString(secret) + "\r\n",
	} {
		for _, mode := range []os.FileMode{0o600, 0o400} {
			if got := same(name, text, mode); got != want {
				t.Errorf("%s, mode %o: key %s, want %s", name, mode, got, want)
			}
		}
	}
}

func TestOpenRefusesUnsafeOrUnfitFiles(t *testing.T) {
	text := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"readable by the group", text, 0o640, "permissions 0640"},
		{"readable by all", text, 0o604, "permissions 0604"},
		{"empty", "", 0o600, "0 characters, expected 32 bytes"},
		{"16 bytes in base64", base64.StdEncoding.EncodeToString(make([]byte, 16)), 0o600, "24 characters"},
		{"33 bytes in base64", base64.StdEncoding.EncodeToString(make([]byte, 33)), 0o600, "not standard base64 of 32 bytes"},
		{"16 bytes in hex", strings.Repeat("0", 32), 0o600, "32 characters"},
		{"no hex", strings.Repeat("0", 63) + "g", 0o600, "not hex"},
		{"URL alphabet", strings.Repeat("-", 43) + "=", 0o600, "not standard base64"},
		{"stray bits", text[:42] + "B=", 0o600, "not standard base64"},
		{"without padding", text[:43], 0o600, "43 characters"},
		{"white space before", " " + text, 0o600, "45 characters"},
		{"two ends of line", text + "\n\n", 0o600, "45 characters"},
		{"one byte above the largest", strings.Repeat("0", 64) + "\r\n\n", 0o600, "67 bytes"},
	} {
		file := filepath.Join(t.TempDir(), "seal.key")
		if err := os.WriteFile(file, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(file)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %v, want an error with %q and the file", tt.name, err, tt.want)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder: got %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("no file: got %v", err)
	}
}

// unwrapAll is the innermost error.
func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestCreateMakesAKeyOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(dir, "seal.key")
	first, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(file)
	folder, _ := os.Stat(dir)
	if info.Mode() != 0o600 || folder.Mode().Perm() != 0o700 {
		t.Errorf("modes %v and %v, want 0600 and 0700", info.Mode(), folder.Mode())
	}
	again, err := Create(file)
	if err != nil || again.ID() != first.ID() {
		t.Errorf("the second time: %v, %v, want the key %s", again, err, first.ID())
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v, want the key alone", entries, err)
	}
}

func TestCreateLeavesAFileThatIsThereAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seal.key")
	if err := os.WriteFile(file, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(file); err == nil {
		t.Error("an unfit file was taken or replaced")
	}
	if got, err := os.ReadFile(file); string(got) != "half a key" {
		t.Errorf("the file is now %q, %v", got, err)
	}
}

func TestManyThatCreateAtOnceHaveOneKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seal.key")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := Create(file)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("keys %v, want one", ids)
		}
	}
}
