package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"regexp"
	"testing"
)

// made is a key of 32 equal bytes.
func made(t testing.TB, b byte) *Key {
	t.Helper()
	k, err := newKey(bytes.Repeat([]byte{b}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsSealedCanBeUnsealed(t *testing.T) {
	k := made(t, 1)
	for _, n := range []int{0, 1, 1200, MaxPlain} {
		plain := bytes.Repeat([]byte("p"), n)
		got, err := k.Unseal(k.Seal(plain, "here"), "here")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %d bytes, %v", n, len(got), err)
		}
	}
}

// TestSealedFormIsAESGCM opens a sealed value with the standard construction, built here from its description.
func TestSealedFormIsAESGCM(t *testing.T) {
	k := made(t, 7)
	sealed := k.Seal([]byte("plain"), "context")
	use, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{7}, 32), nil, "assay seal v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(use)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, sealed[1:13], sealed[13:], []byte("\x01context"))
	if err != nil || string(plain) != "plain" || sealed[0] != 1 || len(sealed) != 1+12+5+16 {
		t.Errorf("sealed %x opens as %q, %v", sealed, plain, err)
	}
}

func TestSealingTwiceGivesDifferentValues(t *testing.T) {
	k := made(t, 1)
	if a, b := k.Seal([]byte("p"), "c"), k.Seal([]byte("p"), "c"); bytes.Equal(a, b) {
		t.Errorf("both times %x: the nonce repeats", a)
	}
}

func TestUnsealRefusesAllElseInTheSameWords(t *testing.T) {
	k := made(t, 1)
	sealed := k.Seal([]byte("plain"), "provider a")
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if got, err := k.Unseal(changed, "provider a"); got != nil || err != ErrUnseal {
			t.Errorf("byte %d changed: got %q, %v", i, got, err)
		}
	}
	for name, try := range map[string]func() ([]byte, error){
		"another key":     func() ([]byte, error) { return made(t, 2).Unseal(sealed, "provider a") },
		"another context": func() ([]byte, error) { return k.Unseal(sealed, "provider b") },
		"no context":      func() ([]byte, error) { return k.Unseal(sealed, "") },
		"cut off":         func() ([]byte, error) { return k.Unseal(sealed[:len(sealed)-1], "provider a") },
		"only a version":  func() ([]byte, error) { return k.Unseal(sealed[:1], "provider a") },
		"nothing":         func() ([]byte, error) { return k.Unseal(nil, "provider a") },
		"lengthened":      func() ([]byte, error) { return k.Unseal(append(bytes.Clone(sealed), 0), "provider a") },
		"one byte above the largest": func() ([]byte, error) {
			return k.Unseal(k.Seal(make([]byte, MaxPlain+1), "provider a"), "provider a")
		},
	} {
		if got, err := try(); got != nil || !errors.Is(err, ErrUnseal) || err.Error() != "sealed with another key, or changed" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestDerivedKeysAreHKDFAndTheirOwn(t *testing.T) {
	k := made(t, 9)
	want, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{9}, 32), nil, "assay derived v1: audit", 32)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Derive("audit"); !bytes.Equal(got, want) {
		t.Errorf("derived %x, want %x", got, want)
	}
	if bytes.Equal(k.Derive("audit"), k.Derive("audit2")) || bytes.Equal(k.Derive("audit"), made(t, 8).Derive("audit")) {
		t.Error("another label or file gives the same key")
	}
}

func TestIDTellsKeysApart(t *testing.T) {
	a, b := made(t, 1).ID(), made(t, 2).ID()
	if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(a) || a == b || a != made(t, 1).ID() {
		t.Errorf("ids %q and %q, want 8 hex digits that differ", a, b)
	}
}
