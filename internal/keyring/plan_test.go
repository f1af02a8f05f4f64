package keyring

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
)

var start = time.Date(2030, 3, 17, 17, 46, 40, 0, time.UTC)

const day = 24 * time.Hour

// ago gives keys a, b, … that sign from so long before start.
func ago(times ...time.Duration) (keys []Listed) {
	for i, d := range times {
		keys = append(keys, Listed{string(rune('a' + i)), start.Add(-d)})
	}
	return keys
}

func TestPlan(t *testing.T) {
	usual := Schedule{Lead: day, Every: 90 * day, Retain: 25 * time.Hour}
	never := Schedule{Lead: day, Retain: 25 * time.Hour}
	for _, tt := range []struct {
		name     string
		schedule Schedule
		keys     []Listed
		add      []time.Duration // after start
		drop     string
	}{
		{"the first key signs at once", usual, nil, []time.Duration{0}, ""},
		{"also without rotation", never, nil, []time.Duration{0}, ""},
		{"a young key stays", usual, ago(day), nil, ""},
		{"a second before the next one is due to be listed", usual, ago(89*day - time.Second), nil, ""},
		{"the next one is listed for the lead before it signs", usual, ago(89 * day), []time.Duration{day}, ""},
		{"one that is overdue is listed as long", usual, ago(400 * day), []time.Duration{day}, ""},
		{"no other one while one is to come", usual, ago(90*day, -time.Second), nil, ""},
		{"nor when it signs", usual, ago(90*day, 0), nil, ""},
		{"without rotation a key stays", never, ago(4000 * day), nil, ""},
		{"listed while its tokens live", usual, ago(90*day, 25*time.Hour), nil, ""},
		{"dropped after that", usual, ago(90*day, 25*time.Hour+1), nil, "a"},
		{"also without rotation", never, ago(90*day, 26*time.Hour), nil, "a"},
		{"all that are past it", usual, ago(50*day, 40*day, 30*day, time.Hour), nil, "a b"},
		{"the age of the key itself does not count", usual, ago(300*day, 200*day, time.Hour), nil, "a"},
		{"the last one is never dropped", never, ago(4000 * day), nil, ""},
		{"added and dropped at once", usual, ago(180*day, 90*day), []time.Duration{day}, "a"},
		{"a clock that was put back", usual, ago(-time.Hour), nil, ""},
	} {
		add, drop := Plan(tt.keys, start, tt.schedule)
		var want []time.Time
		for _, d := range tt.add {
			want = append(want, start.Add(d))
		}
		if !slices.EqualFunc(add, want, time.Time.Equal) || strings.Join(drop, " ") != tt.drop {
			t.Errorf("%s: add %v, drop %v, want %v, %q", tt.name, add, drop, want, tt.drop)
		}
	}
}

// TestTimesAreWholeSecondsAndTheLeadIsKept: a fraction of a second must not shorten the time of listing.
func TestTimesAreWholeSecondsAndTheLeadIsKept(t *testing.T) {
	s := Schedule{Lead: 2 * time.Second, Every: 10 * time.Second, Retain: day}
	for _, fraction := range []time.Duration{0, 1, 500 * time.Millisecond, time.Second - 1} {
		now := start.Add(fraction)
		first, _ := Plan(nil, now, s)
		next, _ := Plan(ago(20*time.Second), now, s)
		if first[0].After(now) || first[0].Nanosecond() != 0 {
			t.Errorf("%s past the second the first key signs from %s", fraction, first[0])
		}
		if lead := next[0].Sub(now); lead < s.Lead || lead >= s.Lead+time.Second || next[0].Nanosecond() != 0 {
			t.Errorf("%s past the second the next key is listed for %s, want %s and less than a second more", fraction, lead, s.Lead)
		}
	}
}

func TestScheduleThatBreaksRelyingPartiesIsRefused(t *testing.T) {
	sound := Schedule{Lead: 2 * time.Second, Every: day, Retain: 8*time.Hour + 5*time.Minute}
	for _, tt := range []struct {
		name   string
		change func(*Schedule)
		want   string
	}{
		{"the least", func(*Schedule) {}, ""},
		{"the defaults", func(s *Schedule) { *s = DefaultSchedule() }, ""},
		{"without rotation", func(s *Schedule) { s.Every = 0 }, ""},
		{"the zero value", func(s *Schedule) { *s = Schedule{} }, "listed"},
		{"a lead of less than 2 s", func(s *Schedule) { s.Lead-- }, "at least 2s"},
		{"listed for less than tokens live", func(s *Schedule) { s.Retain-- }, "at least 8h5m0s"},
		{"a lead as long as a key signs", func(s *Schedule) { s.Lead = day }, "longer"},
		{"a negative time", func(s *Schedule) { s.Every = -time.Hour }, "longer"},
		{"fewer than 16 retired keys", func(s *Schedule) { s.Every, s.Retain = time.Hour, 16*time.Hour-1 }, ""},
		{"16 retired keys", func(s *Schedule) { s.Every, s.Retain = time.Hour, 16*time.Hour }, "more than 16"},
	} {
		s := sound
		tt.change(&s)
		err := s.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// TestDefaultsAreThoseOfTheSpecification: README.md section 7, key_publish_lead and tpm_report_validity; tokens.md
// section 3.2, previous keys stay listed while tokens signed with them live.
func TestDefaultsAreThoseOfTheSpecification(t *testing.T) {
	if s := DefaultSchedule(); s.Lead != 24*time.Hour || s.Retain < 1440*time.Minute || s.Retain < issuer.AttestationLifetime {
		t.Errorf("defaults %+v", s)
	}
}

// TestScheduledKeysNeverExceedTheBound follows a schedule at its limit for a long time.
func TestScheduledKeysNeverExceedTheBound(t *testing.T) {
	s := Schedule{Lead: 59 * time.Minute, Every: time.Hour, Retain: 16*time.Hour - 1}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	var keys []Listed
	for minute := range 100 * 60 {
		now := start.Add(time.Duration(minute) * time.Minute)
		add, drop := Plan(keys, now, s)
		keys = slices.DeleteFunc(keys, func(k Listed) bool { return slices.Contains(drop, k.ID) })
		for _, from := range add {
			keys = append(keys, Listed{from.String(), from})
		}
		if len(keys) == 0 || len(keys) > issuer.MaxKeys {
			t.Fatalf("after %d minutes there are %d keys", minute, len(keys))
		}
	}
	if len(keys) < 10 {
		t.Errorf("%d keys in the end, want those of 16 hours", len(keys))
	}
}
