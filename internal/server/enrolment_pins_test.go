package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// pinsOf asks for pins as somebody who may read.
func (e *estate) pinsOf(t testing.TB, at, path string) (hashes []string) {
	t.Helper()
	a := e.send(t, sending{at: at, method: http.MethodGet, path: path, token: e.token(at + ".reader")})
	var list struct {
		Pins []struct {
			Hash, Kind, By string
			At             time.Time
		}
	}
	if decode(t, a.body, &list); a.status != http.StatusOK || list.Pins == nil {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	for _, p := range list.Pins {
		if since := time.Since(p.At); p.By == "" || since < -time.Minute || since > time.Minute || !strings.Contains(path, p.Kind) {
			t.Errorf("%s lists %+v", path, p)
		}
		hashes = append(hashes, p.Hash)
	}
	return hashes
}

// TestPinsAreListed by hash and in pages, of this provider and kind only, also while enrolment is off.
func TestPinsAreListed(t *testing.T) {
	e := enrolling(t)
	const eks, aiks = "/assay/v1/ek", "/assay/v1/aik/pins"
	hash := func(n int) string { return strings.Repeat(fmt.Sprintf("%02x", n), 32) }
	for _, n := range []int{0xc1, 0xa1, 0xb1} {
		e.pin(t, "vendor", http.MethodPut, eks+"/"+hash(n), http.StatusCreated)
	}
	e.pin(t, "vendor", http.MethodPut, aiks+"/"+hash(0xd1), http.StatusCreated)
	e.pin(t, "pinned", http.MethodPut, eks+"/"+hash(0xe1), http.StatusCreated)
	e.enrols(t, "vendor", "off")
	for path, want := range map[string][]string{
		eks:                          {hash(0xa1), hash(0xb1), hash(0xc1)},
		eks + "?top=2":               {hash(0xa1), hash(0xb1)},
		eks + "?after=" + hash(0xa1): {hash(0xb1), hash(0xc1)},
		eks + "?top=1&after=" + strings.ToUpper(hash(0xa1)): {hash(0xb1)},
		eks + "?after=" + hash(0xc1):                        nil,
		aiks:                                                {hash(0xd1)},
	} {
		if got := e.pinsOf(t, "vendor", path); !slices.Equal(got, want) {
			t.Errorf("%s lists %q, want %q", path, got, want)
		}
	}
	e.pin(t, "vendor", http.MethodDelete, eks+"/"+hash(0xb1), http.StatusNoContent)
	if got := e.pinsOf(t, "vendor", eks); !slices.Equal(got, []string{hash(0xa1), hash(0xc1)}) {
		t.Errorf("after one is gone: %q", got)
	}
	for _, top := range []string{"0", "-1", "x"} {
		e.send(t, sending{at: "vendor", method: http.MethodGet, path: eks + "?top=" + top, token: e.token("vendor.reader")}).
			refused(t, http.StatusBadRequest, "InvalidParameter", "", "top")
	}
}
