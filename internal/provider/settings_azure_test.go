package provider

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/verifier"
)

// hexList is n times the SHA-256 whose bytes are all b.
func hexList(b byte, n int) []string {
	var list []string
	for range n {
		list = append(list, strings.Repeat(fmt.Sprintf("%02x", b), 32))
	}
	return list
}

// keySets writes the setting with n sets whose dbx has so many entries.
func keySets(t *testing.T, n, dbx int) []byte {
	t.Helper()
	var sets []map[string][]string
	for range n {
		sets = append(sets, map[string][]string{"pk": hexList(1, 1), "kek": hexList(2, 2), "db": hexList(3, 3), "dbx": hexList(4, dbx)})
	}
	b, err := json.Marshal(map[string]any{"azureguest_secureboot_keys": sets})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func demandsOf(t *testing.T, settings []byte) (verifier.AzureDemands, error) {
	t.Helper()
	s, err := ParseSettings(settings)
	if err != nil {
		return verifier.AzureDemands{}, err
	}
	b, err := s.Baseline()
	return b.Azure, err
}

func TestSecureBootKeysAreRead(t *testing.T) {
	d, err := demandsOf(t, keySets(t, 2, 1))
	if err != nil || len(d.SecureBootKeys) != 2 {
		t.Fatalf("got %v, %v", d, err)
	}
	filled := func(b byte) (k [32]byte) {
		for i := range k {
			k[i] = b
		}
		return k
	}
	for _, set := range d.SecureBootKeys {
		want := azureguest.SecureBootKeys{PK: [][32]byte{filled(1)}, KEK: [][32]byte{filled(2), filled(2)}, DB: [][32]byte{filled(3), filled(3), filled(3)}, DBX: [][32]byte{filled(4)}}
		if fmt.Sprint(set) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", set, want)
		}
	}
	if d.RequireNonce || d.RequireChain {
		t.Errorf("on by default: %+v", d)
	}
	if d, err := demandsOf(t, []byte(`{"azureguest_require_nonce":true,"azureguest_require_ak_chain":true}`)); err != nil || !d.RequireNonce || !d.RequireChain {
		t.Errorf("got %+v, %v", d, err)
	}
	upper := `{"azureguest_secureboot_keys":[{"pk":["` + strings.Repeat("AB", 32) + `"],"kek":["` + hexList(2, 1)[0] + `"],"db":["` + hexList(3, 1)[0] + `"]}]}`
	if d, err := demandsOf(t, []byte(upper)); err != nil || d.SecureBootKeys[0].PK[0] != filled(0xab) || d.SecureBootKeys[0].DBX != nil {
		t.Errorf("upper case, no dbx: got %+v, %v", d, err)
	}
}

// TestCertificatesInDBXAreReadApart: with the bounds of the other lists.
func TestCertificatesInDBXAreReadApart(t *testing.T) {
	with := func(n int) []byte {
		set := strings.TrimSuffix(string(keySets(t, 1, 1)), "}]}")
		return []byte(set + `,"dbx_certificates":["` + strings.Join(hexList(5, n), `","`) + `"]}]}`)
	}
	d, err := demandsOf(t, with(2))
	if err != nil || len(d.SecureBootKeys) != 1 || len(d.SecureBootKeys[0].DBX) != 1 || len(d.SecureBootKeys[0].DBXCertificates) != 2 || d.SecureBootKeys[0].DBXCertificates[1][31] != 5 {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := demandsOf(t, with(maxKeys+1)); err == nil || !strings.Contains(err.Error(), "dbx_certificates: expected 0 to 4096 entries") {
		t.Errorf("got %.200v", err)
	}
}

// TestBoundsOfSecureBootKeys: as many sets as there may be fit with a dbx of 430 entries; each bound has its edge.
func TestBoundsOfSecureBootKeys(t *testing.T) {
	if n := len(keySets(t, 1, 430)); n < 28_000 || n > 30_000 {
		t.Errorf("a set of today has %d bytes", n)
	}
	for _, fits := range [][2]int{{1, 0}, {1, maxKeys}, {maxKeySets, 430}} {
		if _, err := demandsOf(t, keySets(t, fits[0], fits[1])); err != nil {
			t.Errorf("%v: %.200v", fits, err)
		}
	}
	for _, tt := range []struct {
		settings string
		fragment string
	}{
		{string(keySets(t, 1, maxKeys+1)), "set 1: dbx: expected 0 to 4096 entries, found 4097"},
		{string(keySets(t, maxKeySets+1, 1)), "expected at most 16 sets, found 17"},
		{string(keySets(t, maxKeySets, 600)), "expected at most 524288 bytes"},
		{`{"azureguest_secureboot_keys":[{}]}`, "set 1: pk: expected 1 to 4096 entries, found 0"},
		{`{"azureguest_secureboot_keys":[{"pk":["00"],"kek":["00"],"db":["00"]}]}`, `set 1: pk: expected 64 hexadecimal digits, found "00"`},
		{`{"azureguest_secureboot_keys":[{"pk":["` + strings.Repeat("zz", 32) + `"]}]}`, `pk: expected 64 hexadecimal digits`},
		{`{"azureguest_secureboot_keys":[{"PK":[]}]}`, "unknown field"},
	} {
		if _, err := demandsOf(t, []byte(tt.settings)); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), tt.fragment) {
			t.Errorf("%.80s: %.300v, want %q", tt.settings, err, tt.fragment)
		}
	}
}
