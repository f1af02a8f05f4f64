package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func pinText(kind, hash string) string {
	return fmt.Sprintf(`{"kind":%q,"hash":%q,"by":"owner","at":"2026-03-01T00:00:00Z"}`, kind, hash)
}

func TestAIKPinsGetsBothKindsAndEveryPage(t *testing.T) {
	s := newFakeService(t)
	pages := map[string]string{
		"/assay/v1/ek":         pinText("ek", "aa") + "," + pinText("ek", "bb"),
		"/assay/v1/ekbb":       pinText("ek", "cc"),
		"/assay/v1/aik/pins":   pinText("aik", "dd"),
		"/assay/v1/aik/pinsdd": "",
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer own" || r.URL.Query().Get("top") != "1000" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		says(http.StatusOK, `{"pins":[`+pages[r.URL.Path+r.URL.Query().Get("after")]+`]}`)(w, r)
	}
	o := s.owner(t, "aik", "pins")
	o.want(t, exitOK, "PINS  4", "")
	for _, line := range []string{"ek    aa    2026-03-01T00:00:00Z  owner", "ek    cc ", "aik   dd "} {
		if !strings.Contains(o.stdout, line) {
			t.Errorf("want %q in\n%s", line, o.stdout)
		}
	}
	var got struct {
		Pins []struct{ Kind, Hash, By, At string }
	}
	s.owner(t, "aik", "pins", "--json").read(t, &got)
	if len(got.Pins) != 4 || got.Pins[0].Hash != "aa" || got.Pins[3].Kind != "aik" || got.Pins[3].By != "owner" || got.Pins[3].At != "2026-03-01T00:00:00Z" {
		t.Errorf("%+v", got)
	}
	s.answer = says(http.StatusOK, `{"pins":[`+pinText("ek", "aa")+`]}`)
	s.owner(t, "aik", "pins").want(t, exitService, "", "lists pins out of order")
}

// TestPinsOfAServiceAreListed by the command as they come and go.
func TestPinsOfAServiceAreListed(t *testing.T) {
	m := manage(t, "--config", tempFile(t, "assay.yaml", "settings:\n  aik_enrolment: pinned\n"))
	m.run(t, "aik pins").want(t, exitOK, "PINS  0", "")
	hash := strings.Repeat("ab", 32)
	m.run(t, "aik pin --kind aik --hash "+hash).want(t, exitOK, "PINNED", "")
	m.run(t, "aik pins").want(t, exitOK, "aik   "+hash, "")
	m.run(t, "aik unpin --kind aik --hash "+hash).want(t, exitOK, "UNPINNED", "")
	m.run(t, "aik pins").want(t, exitOK, "PINS  0", "")
}
