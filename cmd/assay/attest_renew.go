package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/assay-attestation/assay/internal/wholefile"
)

// How a renewal waits. All waits are drawn at random, so that machines that started together do not ask together.
const (
	firstRetry  = 2 * time.Second // after a failure; twice as long after each further one
	longestWait = 5 * time.Minute // between two tries after failures
	enrolBefore = 7 * 24 * time.Hour
	clockEvery  = time.Minute // how often a wait looks at the clock
)

// renewal keeps a fresh report in a file.
type renewal struct {
	*call
	file   string
	attest func(context.Context) (*machineReport, error)
	wait   func(context.Context, time.Duration) error
	random func() float64 // from 0 to below 1
}

// renewed is the result of one round.
type renewed struct {
	File    string `json:"file"`
	Expires string `json:"expires"`
}

func (a *tpmAttestation) renewal(c *call) *renewal {
	return &renewal{
		call: c, file: a.renew, random: rand.Float64,
		attest: func(ctx context.Context) (*machineReport, error) { return a.round(ctx, c) },
		wait:   func(ctx context.Context, d time.Duration) error { return c.wait(ctx, d, sleep) },
	}
}

// run renews until the context ends. If the first round fails it ends at once: something is set up wrong.
func (r *renewal) run(ctx context.Context) error {
	report, err := r.round(ctx)
	if err != nil {
		return r.tellService(err)
	}
	r.warnDevelopment(&report.tokenReport)
	for retry := firstRetry; ; {
		wait := between(r.random(), retry/2, retry)
		if err == nil {
			retry, wait = firstRetry, r.half(report)
		} else {
			r.warn("the report was not renewed; next try in %s: %v", wait.Round(time.Second), err)
			retry = min(2*retry, longestWait)
		}
		if r.wait(ctx, wait) != nil {
			return nil // ended by a signal
		}
		report, err = r.round(ctx)
	}
}

// half is the wait after a success: a half to three quarters of the report's life.
func (r *renewal) half(report *machineReport) time.Duration {
	expires, err := time.Parse(time.RFC3339, report.Expires)
	if err != nil {
		return firstRetry // cannot be: the report was verified
	}
	life := max(expires.Sub(r.now()), firstRetry)
	return between(r.random(), life/2, life/4*3)
}

func between(random float64, low, high time.Duration) time.Duration {
	return low + time.Duration(random*float64(high-low))
}

// round attests and puts the verified report in place of the old one, which stays if anything fails.
func (r *renewal) round(ctx context.Context) (*machineReport, error) {
	report, err := r.attest(ctx)
	if err != nil {
		return nil, err
	}
	if err := keep(r.file, []byte(report.Token+"\n")); err != nil {
		return nil, badFile(err)
	}
	return report, r.tell(&renewed{r.file, report.Expires}, nil)
}

// keep puts the content in place of that of a file, which keeps its permissions. A new one is for its owner alone: whoever has a report may show it.
func keep(file string, content []byte) error {
	err := wholefile.Replace(file, content)
	if errors.Is(err, fs.ErrNotExist) {
		return wholefile.Write(file, content, 0o600)
	}
	return err
}

func (r *renewed) print(s sheet, _ error) {
	fmt.Fprintf(s.w, "%s  until %s\n", r.File, r.Expires)
}

// wait waits until the clock of the machine has gone on, or ends with the context. Timers stand still while the machine sleeps, and do not know
// when its clock is set; so it looks at the clock in between.
func (c *call) wait(ctx context.Context, d time.Duration, pause func(context.Context, time.Duration) error) error {
	for end := c.now().Round(0).Add(d); d > 0; { // Round: the clock's time, not that of timers
		step := min(d, clockEvery)
		if err := pause(ctx, step); err != nil {
			return err
		}
		d = min(d-step, end.Sub(c.now().Round(0)))
	}
	return nil
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
