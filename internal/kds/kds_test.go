package kds_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/kds"
)

// TestQuestionsHaveTheFormOfAMDs: expected values are those of sev-snp.md section 2.
func TestQuestionsHaveTheFormOfAMDs(t *testing.T) {
	chip := strings.Repeat("0a", 64)
	for _, tt := range []struct {
		product assaytest.AMDProduct
		tcb     assaytest.SNPTCB
		want    string
	}{
		{assaytest.Milan, assaytest.SNPTCB{BootLoader: 3, SNP: 8, Microcode: 115}, "Milan/" + chip + "?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"},
		{assaytest.Genoa, assaytest.SNPTCB{BootLoader: 10, TEE: 1, SNP: 24, Microcode: 84}, "Genoa/" + chip + "?blSPL=10&teeSPL=01&snpSPL=24&ucodeSPL=84"},
		{assaytest.Turin, assaytest.SNPTCB{FMC: 1, BootLoader: 2, TEE: 3, SNP: 4, Microcode: 72}, "Turin/" + chip[:16] + "?blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=72&fmcSPL=01"},
	} {
		l := newLab(t)
		c := l.client()
		r := report(t, scenario(tt.product, 0, func(s *assaytest.AMDScenario) {
			s.TCB, s.Current, s.Committed = tt.tcb, tt.tcb, tt.tcb
			for i := range s.Chip {
				if s.Chip[i] = 10; tt.product == assaytest.Turin && i >= 8 {
					s.Chip[i] = 0
				}
			}
		}))
		chain, err := ask(c, r, usual)
		l.verified(r, chain, err)
		if got, want := l.came(), "https://kds.invalid/mirror/vcek/v1/"+tt.want; len(got) != 1 || got[0].uri != want {
			t.Errorf("asked %v, want only %s", got, want)
		}
		if l.outcomes["fetched"] != 1 || len(l.outcomes) != 1 {
			t.Errorf("observed %v, want one that was fetched", l.outcomes)
		}
		c.Close()
	}
}

// TestColdMachines: 1,000 machines on 40 chips that nobody knows come at once, and come back when they are told to.
func TestColdMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const machines, chips = 1000, 40
		l := newLab(t)
		c := l.client()
		defer c.Close()
		reports := make([]*snp.Report, chips)
		for i := range reports {
			reports[i] = report(t, scenario(assaytest.Milan, byte(i)))
		}
		var work sync.WaitGroup
		for i := range machines {
			work.Go(func() {
				for {
					chain, err := ask(c, reports[i%chips], usual)
					if err == nil {
						if i < chips {
							l.verified(reports[i], chain, err)
						}
						return
					}
					time.Sleep(away(t, err).RetryAfter)
				}
			})
		}
		work.Wait()
		if took := time.Since(l.start); took > (chips+5)*kds.Interval {
			t.Errorf("took %v, want about %v", took, chips*kds.Interval)
		}
		l.keptRate(chips)
	})
}

// keptRate checks that so many requests came, no faster than they may.
func (l *lab) keptRate(n int) {
	l.t.Helper()
	came := l.came()
	if len(came) != n {
		l.t.Errorf("%d requests, want %d", len(came), n)
	}
	for i := kds.Burst; i < len(came); i++ {
		if took := came[i].at.Sub(came[i-kds.Burst].at); took < kds.Interval-time.Millisecond {
			l.t.Errorf("%d requests within %v", kds.Burst+1, took)
		}
		if took := came[i].at.Sub(came[0].at); took < time.Duration(i+1-kds.Burst)*kds.Interval-time.Millisecond {
			l.t.Errorf("%d requests within %v", i+1, took)
		}
	}
}

// exhaust uses up the burst on other chips.
func (l *lab) exhaust(c *kds.Client) {
	l.t.Helper()
	for i := range kds.Burst {
		if _, err := ask(c, report(l.t, scenario(assaytest.Genoa, 200+byte(i))), usual); err != nil {
			l.t.Fatal(err)
		}
	}
}

func TestWhoeverGivesUpFindsTheAnswerLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		defer c.Close()
		l.exhaust(c)
		r := report(t, scenario(assaytest.Milan, 1))
		_, err := ask(c, r, time.Second)
		if took := time.Since(l.start); took != time.Second {
			t.Errorf("waited %v, want the second that there was", took)
		}
		u := away(t, err)
		if u.RetryAfter > 2*kds.Interval {
			t.Errorf("Retry-After: %v, of a chip that is the next", u.RetryAfter)
		}
		time.Sleep(u.RetryAfter)
		chain, err := ask(c, r, time.Nanosecond)
		l.verified(r, chain, err)
		l.keptRate(kds.Burst + 1)
	})
}

func TestKnownChipsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		defer c.Close()
		known := report(t, scenario(assaytest.Genoa, 200))
		l.exhaust(c)
		var work sync.WaitGroup
		for i := range kds.MaxQueue {
			work.Go(func() { _, _ = ask(c, report(t, scenario(assaytest.Milan, byte(i))), usual) })
		}
		synctest.Wait()
		before := time.Now()
		chain, err := ask(c, known, usual)
		l.verified(known, chain, err)
		if took := time.Since(before); took != 0 {
			t.Errorf("waited %v behind unknown chips", took)
		}
		work.Wait()
	})
}

// TestQueueIsBounded fills it, once with callers who wait, once with those who have given up.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.client()
		defer c.Close()
		l.exhaust(c)
		var work sync.WaitGroup
		for i := range kds.MaxQueue + 1 { // one is asked
			work.Go(func() { _, _ = ask(c, report(t, scenario(assaytest.Milan, byte(i))), usual/4) })
			synctest.Wait()
		}
		late := report(t, scenario(assaytest.Milan, 150))
		if _, err := ask(c, late, usual); !strings.Contains(away(t, err).Public(), "too many") || time.Since(l.start) > 0 {
			t.Errorf("got %v after %v, want to be told at once that there are too many", err, time.Since(l.start))
		}
		work.Wait()
		if _, err := ask(c, late, time.Second); !strings.Contains(away(t, err).Public(), "in time") {
			t.Errorf("got %v, want to be let into the queue, where nobody waits for the others", err)
		}
		time.Sleep((kds.MaxQueue + 2) * kds.Interval)
		l.keptRate(kds.Burst + 1 + kds.MaxQueue)
		chain, err := ask(c, late, 0)
		l.verified(late, chain, err)
	})
}

// TestSpareBytesOfTheTCBMakeNoNewQuestion: anybody can write anything into them.
func TestSpareBytesOfTheTCBMakeNoNewQuestion(t *testing.T) {
	l := newLab(t)
	c := l.client()
	defer c.Close()
	for n := range byte(8) {
		spare := func(s *assaytest.AMDScenario) {
			s.Edit.Bytes = func(p assaytest.AMDPart, b []byte) []byte {
				if p == assaytest.SNPReportBody {
					b[0x182] = n
				}
				return b
			}
		}
		if _, err := ask(c, report(t, scenario(assaytest.Milan, 1, spare)), usual); err != nil {
			t.Fatal(err)
		}
	}
	l.keptRate(1)
}

func TestReportsWithoutProductTryThoseOfTheirForm(t *testing.T) {
	for _, tt := range []struct {
		product assaytest.AMDProduct
		want    []string
	}{{assaytest.Milan, []string{"Milan"}}, {assaytest.Genoa, []string{"Milan", "Genoa"}}, {assaytest.Turin, []string{"Turin"}}} {
		l := newLab(t)
		c := l.client()
		l.answers(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/"+string(tt.product)+"/") {
				return false
			}
			return status(http.StatusNotFound)(w, r)
		})
		r := report(t, scenario(tt.product, 3, func(s *assaytest.AMDScenario) { s.ReportVersion = 2 }))
		for range 2 {
			chain, err := ask(c, r, usual)
			l.verified(r, chain, err)
		}
		var got []string
		for _, a := range l.came() {
			got = append(got, strings.Split(a.uri, "/")[6])
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: asked for %v, want %v", tt.product, got, tt.want)
		}
		c.Close()
	}
}

// TestNothingToAskFor: these reports lead to no request.
func TestNothingToAskFor(t *testing.T) {
	body := func(edit func(b []byte)) func(*assaytest.AMDScenario) {
		return func(s *assaytest.AMDScenario) {
			s.Edit.Bytes = func(p assaytest.AMDPart, b []byte) []byte {
				if p == assaytest.SNPReportBody {
					edit(b)
				}
				return b
			}
		}
	}
	for _, tt := range []struct {
		name      string
		product   assaytest.AMDProduct
		edit      func(*assaytest.AMDScenario)
		check     evidence.Check
		fragments []string
	}{
		{"VLEK", assaytest.Milan, (*assaytest.AMDScenario).UseVLEK, evidence.SNPChain, []string{"VLEK", "VcekCertChain"}},
		{"masked chip id", assaytest.Milan, func(s *assaytest.AMDScenario) { s.MaskChip = true }, evidence.SNPChipID, []string{"VcekCertChain", "masked"}},
		{"nobody signed", assaytest.Milan, body(func(b []byte) { b[0x48] |= 7 << 2 }), evidence.SNPSigningKey, []string{"nobody"}},
		{"unknown processor", assaytest.Milan, body(func(b []byte) { b[0x188] = 0x18 }), evidence.SNPProduct, []string{"0x18"}},
		{"product without a root", assaytest.Turin, body(func(b []byte) { b[0x189] = 0x50 }), evidence.UntrustedRoot, []string{"Venice"}},
		{"chip id too long for Turin", assaytest.Turin, body(func(b []byte) { b[0x1A0+8] = 1 }), evidence.SNPChipID, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			c := l.client()
			defer c.Close()
			_, err := ask(c, report(t, scenario(tt.product, 1, tt.edit)), usual)
			refusedBy(t, err, tt.check, tt.fragments...)
			l.keptRate(0)
		})
	}
}

func TestURLMustBeOne(t *testing.T) {
	for _, bad := range []string{"kdsintf.amd.com", "ftp://kdsintf.amd.com", "https://", "https://%zz"} {
		l := newLab(t)
		l.cfg.URL = bad
		if _, err := kds.New(l.cfg); err == nil || !strings.Contains(err.Error(), "amd_key_service") {
			t.Errorf("%q: got %v, want an error about amd_key_service", bad, err)
		}
	}
}
