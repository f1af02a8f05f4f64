package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// renewalOf is a renewal that goes through the results and then ends; it notes how long it waits.
func renewalOf(t *testing.T, random float64, results []error, waits *[]time.Duration) (*renewal, *outcomeOfCall) {
	t.Helper()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var out outcomeOfCall
	c := newCall(&env{stdout: &out.stdout, stderr: &out.stderr, now: func() time.Time { return now }}, nil, nil)
	rounds := 0
	return &renewal{
		call: c, file: filepath.Join(t.TempDir(), "report.jwt"), random: func() float64 { return random },
		attest: func(context.Context) (*machineReport, error) {
			err := results[rounds]
			rounds++
			return &machineReport{tokenReport: tokenReport{Token: "report " + strings.Repeat("I", rounds), Expires: stamp(now.Add(8 * time.Hour))}}, err
		},
		wait: func(_ context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			if rounds == len(results) {
				return context.Canceled
			}
			return nil
		},
	}, &out
}

type outcomeOfCall struct{ stdout, stderr strings.Builder }

func TestAReportIsRenewedInTheSecondHalfOfItsLifeAndFailuresAreRetriedMoreAndMoreSlowly(t *testing.T) {
	down := &serviceError{err: errors.New("the service could not be reached")}
	results := append([]error{nil, nil}, slices.Repeat([]error{down}, 10)...)
	results = append(results, nil, down)
	for random, want := range map[float64]string{
		0: "4h0m0s 4h0m0s 1s 2s 4s 8s 16s 32s 1m4s 2m8s 2m30s 2m30s 4h0m0s 1s",
		1: "6h0m0s 6h0m0s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s 6h0m0s 2s",
	} {
		var waits []time.Duration
		r, out := renewalOf(t, random, results, &waits)
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range waits {
			got = append(got, d.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("waited %s, want %s", got, want)
		}
		if b, err := os.ReadFile(r.file); err != nil || string(b) != "report "+strings.Repeat("I", 13)+"\n" {
			t.Errorf("the file has %q, %v: want the last report that was got", b, err)
		}
		if n := strings.Count(out.stdout.String(), "until 2030-01-01T08:00:00Z"); n != 3 {
			t.Errorf("told %d renewals, want 3:\n%s", n, &out.stdout)
		}
		if n := strings.Count(out.stderr.String(), "could not be reached"); n != 11 {
			t.Errorf("told %d failures, want 11:\n%s", n, &out.stderr)
		}
	}
}

func TestARenewalThatFailsAtFirstEnds(t *testing.T) {
	var waits []time.Duration
	down := &serviceError{err: errors.New("the service could not be reached")}
	r, _ := renewalOf(t, 0, []error{down}, &waits)
	if err := r.run(t.Context()); !errors.Is(err, down) || waits != nil {
		t.Errorf("%v, waited %v", err, waits)
	}
	if _, err := os.Stat(r.file); err == nil {
		t.Error("a file was written")
	}
}

func TestARenewalWhoseFileCannotBeWrittenIsAUsageError(t *testing.T) {
	var waits []time.Duration
	r, _ := renewalOf(t, 0, []error{nil}, &waits)
	r.file = t.TempDir()
	if err := r.run(t.Context()); exitStatus(err) != exitUsage {
		t.Errorf("a folder was replaced: %v", err)
	}
}

// TestAWaitEndsByTheClockOfTheMachine: a report does not live on while the machine sleeps.
func TestAWaitEndsByTheClockOfTheMachine(t *testing.T) {
	for name, test := range map[string]struct {
		jump time.Duration // of the clock, in the third minute
		want time.Duration // on the timers
	}{
		"the clock runs":  {0, 10*time.Minute + 30*time.Second},
		"sleeps 4 hours":  {4 * time.Hour, 3 * time.Minute},
		"sleeps 6 mins":   {6 * time.Minute, 4*time.Minute + 30*time.Second},
		"is set back":     {-time.Hour, 10*time.Minute + 30*time.Second},
		"is set far back": {-100 * 365 * 24 * time.Hour, 10*time.Minute + 30*time.Second},
	} {
		now, waited := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Duration(0)
		c := newCall(&env{now: func() time.Time { return now }}, nil, nil)
		err := c.wait(t.Context(), 10*time.Minute+30*time.Second, func(_ context.Context, d time.Duration) error {
			if waited += d; waited == 3*time.Minute {
				now = now.Add(test.jump)
			}
			now = now.Add(d)
			return nil
		})
		if err != nil || waited != test.want {
			t.Errorf("%s: waited %s, want %s: %v", name, waited, test.want, err)
		}
	}
	c := newCall(&env{now: time.Now}, nil, nil)
	if err := c.wait(t.Context(), time.Hour, func(context.Context, time.Duration) error { return context.Canceled }); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that ended: %v", err)
	}
}

// TestAReportThatLivesForALifetimeIsNotAskedForAgainAndAgain: 117 years times three are more than a duration holds.
func TestAReportThatLivesForALifetimeIsNotAskedForAgainAndAgain(t *testing.T) {
	for _, random := range []float64{0, 0.999} {
		r, _ := renewalOf(t, random, nil, nil)
		for _, years := range []int{117, 200, 290, 400, 5000} {
			report := &machineReport{tokenReport: tokenReport{Expires: stamp(r.now().AddDate(years, 0, 0))}}
			if wait := r.half(report); wait < 50*365*24*time.Hour {
				t.Errorf("%d years: renewed after %s", years, wait)
			}
		}
	}
}

func TestAReportIsForItsOwnerUnlessTheFileIsForMore(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"new": 0o600, "shared": 0o640} {
		var waits []time.Duration
		r, _ := renewalOf(t, 0, []error{nil, nil}, &waits)
		if name == "shared" {
			if err := errors.Join(os.WriteFile(r.file, nil, mode), os.Chmod(r.file, mode)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(r.file); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
}

// TestARealMachineRenews: two rounds with swtpm and a service, the TPM being reset between them.
func TestARealMachineRenews(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "report.jwt")
	a := &tpmAttestation{}
	c := newCall(&env{stdout: &strings.Builder{}, stderr: &strings.Builder{}, now: time.Now}, nil,
		slices.Concat(r.service, []string{"--swtpm", r.tpm.Socket, "--event-log", r.log, "--aik-cert", r.certificate(t, "rsassa"), "--renew", file}))
	a.declare(c)
	if _, err := c.parse("--endpoint"); err != nil {
		t.Fatal(err)
	}
	if err := a.consistent(c); err != nil {
		t.Fatal(err)
	}
	var reports []string
	n := a.renewal(c)
	n.wait = func(context.Context, time.Duration) error {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, string(b))
		assay(t, slices.Concat([]string{"token", "verify", file}, r.issuer)...).want(t, exitOK, "VERIFIED", "")
		r.tpm.Restart(t)
		r.tpm.Boot(t, vectortest.Read(t, rigLog))
		if len(reports) == 2 {
			return context.Canceled
		}
		return nil
	}
	if err := n.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 2 || reports[0] == reports[1] {
		t.Errorf("%d reports", len(reports))
	}
}

// TestRenewKeepsAReportInTheFileUntilTheCommandIsEnded runs the command itself, which says on each line until when the report is good.
func TestRenewKeepsAReportInTheFileUntilTheCommandIsEnded(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "report.jwt")
	ctx, end := context.WithCancel(t.Context())
	defer end()
	lines, stdout := io.Pipe()
	status := make(chan int, 1)
	args := slices.Concat([]string{"attest", "tpm", "--swtpm", r.tpm.Socket, "--event-log", r.log, "--aik-cert", r.certificate(t, "rsassa"), "--renew", file, "--json"}, r.service)
	go func() {
		status <- run(ctx, &env{args: args, stdin: strings.NewReader(""), stdout: stdout, stderr: io.Discard, getenv: func(string) string { return "" }, now: time.Now})
		stdout.Close()
	}()
	line, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `{"file":"`+file+`","expires":"`) {
		t.Fatalf("%q, %v", line, err)
	}
	assay(t, slices.Concat([]string{"token", "verify", file}, r.issuer)...).want(t, exitOK, "VERIFIED", "")
	if end(); <-status != exitOK {
		t.Error("ended by its user, the command says that something is wrong")
	}
}
