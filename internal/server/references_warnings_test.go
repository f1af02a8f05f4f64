package server

import (
	"testing"
	"time"
)

func TestOfOneReferenceTheServiceWarnsOnceADay(t *testing.T) {
	w, now := warnings{}, time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	one, other := warning{"p", "golden"}, warning{"q", "golden"}
	for _, step := range []struct {
		of    warning
		after time.Duration
		want  bool
	}{
		{one, 0, true}, {one, time.Minute, false}, {other, time.Minute, true}, {one, 24*time.Hour - 1, false}, {one, 24 * time.Hour, true}, {one, 24*time.Hour + 1, false},
	} {
		at := now.Add(step.after)
		if w.forget(at); w.due(step.of, at) != step.want {
			t.Errorf("%v after %s: want %t", step.of, step.after, step.want)
		}
	}
	if w.forget(now.Add(100 * time.Hour)); len(w) != 0 {
		t.Errorf("%d are remembered for ever", len(w))
	}
}
