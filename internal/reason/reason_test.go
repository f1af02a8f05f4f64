package reason

import (
	"errors"
	"strings"
	"testing"
)

func TestTextOfReasons(t *testing.T) {
	for want, r := range map[string]Reason{
		"x: p":                                {Problem: "p"},
		"x: p; do":                            {Problem: "p", Remedy: "do"},
		"x: p (expected a, found b)":          {Problem: "p", Expected: "a", Found: "b"},
		"x: p (expected a, found )":           {Problem: "p", Expected: "a"},
		"x: p: c; d (expected , found b); do": {Problem: "p", Err: errors.New("c\nd"), Found: "b", Remedy: "do"},
		"x: p: " + strings.Repeat("é", 500):   {Problem: "p", Err: errors.New(strings.Repeat("é", 501))},
	} {
		if got := r.After("x"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
