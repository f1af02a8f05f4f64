package kds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/kds"
)

// body is an answer of these bytes.
func body(b []byte) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { w.Write(b); return true }
}

// TestHostileAnswersDoNotCount: each is refused and not kept; the question is asked again after a minute, and then answered.
func TestHostileAnswersDoNotCount(t *testing.T) {
	other := func(edit func(*assaytest.AMDScenario)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte { return vcek(t, scenario(assaytest.Milan, 1, edit)) }
	}
	sound := other(func(*assaytest.AMDScenario) {})
	for _, tt := range []struct {
		name   string
		answer func(t *testing.T) []byte
		log    string
	}{
		{"other chip", other(func(s *assaytest.AMDScenario) { s.Chip[63]++ }), "expected the VCEK of Milan chip"},
		{"other TCB", other(func(s *assaytest.AMDScenario) { s.TCB.SNP-- }), "SNP firmware 23"},
		{"other product", func(t *testing.T) []byte {
			milan := scenario(assaytest.Milan, 1)
			return vcek(t, scenario(assaytest.Genoa, 1, func(s *assaytest.AMDScenario) { s.Chip = milan.Chip }))
		}, "found the VCEK of Genoa"},
		{"VLEK", func(t *testing.T) []byte {
			der, err := scenario(assaytest.Milan, 1).Certificate(assaytest.VLEK)
			if err != nil {
				t.Fatal(err)
			}
			return der
		}, "VLEK"},
		{"other AMD", func(t *testing.T) []byte {
			s := scenario(assaytest.Milan, 1)
			s.Vendor = assaytest.WellKnownAMD()
			return vcek(t, s)
		}, "not signed by the authority"},
		{"authority", func(t *testing.T) []byte {
			der, err := scenario(assaytest.Milan, 1).Certificate(assaytest.ASK)
			if err != nil {
				t.Fatal(err)
			}
			return der
		}, "not a VCEK or VLEK"},
		{"two certificates", func(t *testing.T) []byte { return append(sound(t), sound(t)...) }, "expected one certificate, found 2"},
		{"too many certificates", func(t *testing.T) []byte {
			var all []byte
			for range 9 {
				all = append(all, sound(t)...)
			}
			return all
		}, "expected 1 to 8 certificates"},
		{"cut off", func(t *testing.T) []byte { return sound(t)[:500] }, "not certificates"},
		{"HTML", func(*testing.T) []byte { return []byte("<html>sign in</html>") }, "not certificates"},
		{"nothing", func(*testing.T) []byte { return nil }, "found 0"},
		{"too long", func(t *testing.T) []byte { return append(sound(t), make([]byte, 1<<20)...) }, "longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.answers(body(tt.answer(t)))
				l.unusable(tt.log)
			})
		})
	}
}

// TestOtherStatusesDoNotCount: a redirect above all is not followed, since the configuration alone chooses the host.
func TestOtherStatusesDoNotCount(t *testing.T) {
	for code, header := range map[int][]string{
		302: {"Location", "https://elsewhere.invalid/vcek"}, 301: {"Location", "/mirror/again"}, 307: {"Location", "//elsewhere.invalid"},
		204: nil, 206: nil, 400: nil, 403: nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.answers(status(code, header...))
			l.unusable(fmt.Sprintf("status %d", code))
		})
	}
}

// TestPanicEndsTheQuestionOnly: whatever an answer does to those who read it.
func TestPanicEndsTheQuestionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.answers(func(http.ResponseWriter, *http.Request) bool { panic("answer to make one panic") })
		l.unusable("answer to make one panic")
	})
}

// unusable checks how a client takes an answer of no use, that the log says what it is, and that all is well after it.
func (l *lab) unusable(log string) {
	l.t.Helper()
	c := l.client()
	defer c.Close()
	r := report(l.t, scenario(assaytest.Milan, 1))
	for range 3 {
		_, err := ask(c, r, usual)
		u := away(l.t, err)
		if text := u.Public(); u.RetryAfter > time.Minute || strings.Contains(text, "kds.invalid") || !strings.Contains(text, "could not be used") {
			l.t.Errorf("got %q, %v, want without the host, within a minute", text, u.RetryAfter)
		}
	}
	l.keptRate(1)
	if !strings.Contains(l.log.String(), log) || l.outcomes["unusable"] != 1 {
		l.t.Errorf("%q is not in the log %q, observed %v", log, l.log.String(), l.outcomes)
	}
	if files, err := os.ReadDir(l.cfg.Dir); err != nil || len(files) > 0 {
		l.t.Errorf("kept %v (%v)", files, err)
	}
	l.answers(nil)
	good := report(l.t, scenario(assaytest.Milan, 2))
	chain, err := ask(c, good, usual)
	l.verified(good, chain, err) // others are not held up
	time.Sleep(time.Minute)
	chain, err = ask(c, r, usual)
	l.verified(r, chain, err)
	l.keptRate(3)
}

func TestUnknownChipIsRefusedAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		defer c.Close()
		l.answers(status(http.StatusNotFound))
		s := scenario(assaytest.Turin, 1, func(s *assaytest.AMDScenario) { s.Chip = [64]byte{0xAB, 0xCD, 1, 2, 3, 4, 5, 6} })
		r := report(t, s)
		for range 3 {
			_, err := ask(c, r, usual)
			refusedBy(t, err, evidence.SNPChain, "Turin", "abcd010203040506", "SNP firmware 24", "microcode 219", "VcekCertChain")
		}
		l.keptRate(1)
		l.answers(nil)
		time.Sleep(10 * time.Minute)
		chain, err := ask(c, r, usual)
		l.verified(r, chain, err)
		if l.outcomes["absent"] != 1 {
			t.Errorf("observed %v, want one that was absent", l.outcomes)
		}
	})
}

func TestServiceThatFailsIsLeftAlone(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	date := began.Format(http.TimeFormat) // in the far future of the test's clock
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		takes  time.Duration
		pauses []time.Duration // one failure after the other
	}{
		{"500", status(500), 0, []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}},
		{"503 with Retry-After", status(503, "Retry-After", "90"), 0, []time.Duration{90 * time.Second, 90 * time.Second}},
		{"429", status(429), 0, []time.Duration{10 * time.Second, 20 * time.Second}},
		{"429 with Retry-After", status(429, "Retry-After", "300"), 0, []time.Duration{5 * time.Minute}},
		{"429 with an endless Retry-After", status(429, "Retry-After", "4000000000"), 0, []time.Duration{time.Hour}},
		{"429 with a date", status(429, "Retry-After", date), 0, []time.Duration{time.Hour}},
		{"429 with nonsense", status(429, "Retry-After", "-5"), 0, []time.Duration{10 * time.Second}},
		{"no answer", hang, 15 * time.Second, []time.Duration{10 * time.Second, 20 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				c := l.client()
				defer c.Close()
				l.answers(tt.answer)
				for i, pause := range tt.pauses {
					before := time.Now()
					_, err := ask(c, report(t, scenario(assaytest.Milan, byte(i))), usual)
					u := away(t, err)
					if took := time.Since(before); u.RetryAfter != pause || took != tt.takes {
						t.Errorf("failure %d: Retry-After %v after %v, want %v after %v", i+1, u.RetryAfter, took, pause, tt.takes)
					}
					time.Sleep(pause - time.Second)
					_, err = ask(c, report(t, scenario(assaytest.Milan, 99)), usual)
					if u := away(t, err); u.RetryAfter != time.Second {
						t.Errorf("failure %d: asks to come back in %v, want the second that is left", i+1, u.RetryAfter)
					}
					time.Sleep(time.Second)
				}
				l.keptRate(len(tt.pauses))
				l.answers(nil)
				r := report(t, scenario(assaytest.Milan, 99))
				chain, err := ask(c, r, usual)
				l.verified(r, chain, err)
			})
		})
	}
}

// TestLongestPauseIsTenMinutes: of a service that does not say how long it wants to be left alone.
func TestLongestPauseIsTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		defer c.Close()
		l.answers(status(502))
		var last time.Duration
		for range 20 {
			_, err := ask(c, report(t, scenario(assaytest.Milan, 1)), usual)
			last = away(t, err).RetryAfter
			time.Sleep(last)
		}
		if last != 10*time.Minute {
			t.Errorf("the pause after 20 failures is %v, want 10m", last)
		}
	})
}

// TestOutageEndsTheWaitOfAll: those behind the question that failed are told at once, and nobody asks for them.
func TestOutageEndsTheWaitOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		defer c.Close()
		l.exhaust(c)
		l.answers(status(500))
		errs := make(chan error)
		for i := range byte(10) {
			go func() {
				_, err := ask(c, report(t, scenario(assaytest.Milan, i)), time.Hour)
				errs <- err
			}()
		}
		for range 10 {
			away(t, <-errs)
		}
		if took := time.Since(l.start); took != kds.Interval {
			t.Errorf("took %v, want the time until the first could be asked", took)
		}
		l.keptRate(kds.Burst + 1)
	})
}

func TestCallersAreToldWhenTheServiceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		l.exhaust(c)
		errs := make(chan error)
		for i := range byte(3) {
			go func() {
				_, err := c.Chain(context.Background(), report(t, scenario(assaytest.Milan, i)))
				errs <- err
			}()
		}
		synctest.Wait()
		c.Close()
		for range 3 {
			away(t, <-errs)
		}
		_, err := ask(c, report(t, scenario(assaytest.Milan, 4)), usual)
		away(t, err)
		if time.Since(l.start) != 0 {
			t.Errorf("took %v", time.Since(l.start))
		}
	})
}

func TestUnavailableHasItsCauseForTheLogOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cfg.URL = "https://user:secret@kds.invalid/mirror"
		l.answers(status(500))
		c := l.client()
		defer c.Close()
		_, err := ask(c, report(t, scenario(assaytest.Milan, 4)), usual)
		u := away(t, err)
		if text := u.Error(); !strings.Contains(text, "kds.invalid/mirror/vcek/v1/Milan/04") || !strings.Contains(text, "status 500") {
			t.Errorf("the log gets %q, want where and what", text)
		}
		for _, text := range []string{u.Public(), u.Error(), l.log.String()} {
			if strings.Contains(text, "secret") {
				t.Errorf("a password is in %q", text)
			}
		}
		if text := u.Public(); strings.Contains(text, "kds.invalid") || strings.Contains(text, "500") || errors.Unwrap(u) == nil {
			t.Errorf("callers get %q, want nothing of the service that is asked", text)
		}
	})
}

// TestServiceWithoutTheAuthoritiesIsAtFault: it gives the VCEK and has no chain above it, which says nothing about the chip.
func TestServiceWithoutTheAuthoritiesIsAtFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		ark, err := scenario(assaytest.Milan, 1).Certificate(assaytest.ARK)
		if err != nil {
			t.Fatal(err)
		}
		l.cfg.Roots = l.roots(ark)
		l.answers(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/cert_chain") {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		})
		c := l.client()
		defer c.Close()
		_, err = ask(c, report(t, scenario(assaytest.Milan, 1)), usual)
		away(t, err)
		if !strings.Contains(l.log.String(), "cert_chain") || l.outcomes["unusable"] != 1 {
			t.Errorf("the log says %q, observed %v", l.log.String(), l.outcomes)
		}
	})
}
