package service_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store/storetest"
)

// recoverTime is within which a replica is ready again after its store is.
const recoverTime = 5 * time.Second

// within waits until f holds.
func within(t *testing.T, limit time.Duration, what string, f func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !f() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// readiness is the status of /readyz, 0 without an answer.
func (r *replica) readiness() int {
	a, err := r.opsStatus("/readyz")
	if err != nil {
		return 0
	}
	return a.status
}

// TestWithoutItsStoreAReplicaEnforcesItsPolicyAndIsNotReady stops PostgreSQL, and starts it again.
func TestWithoutItsStoreAReplicaEnforcesItsPolicyAndIsNotReady(t *testing.T) {
	s := newSite(t, storetest.Postgres(t))
	a, b := s.replica(t, "a", ""), s.replica(t, "b", "")
	startAll(t, a, b)
	body := attestBody(t)
	if err := a.setPolicy(permitting("before")); err != nil {
		t.Fatal(err)
	}
	untilEnforced(t, b, body, "before", time.Now())
	if got := b.readiness(); got != http.StatusOK {
		t.Fatalf("/readyz: %d", got)
	}
	up := storetest.Down(t)
	within(t, recoverTime, "not ready", func() bool { return b.readiness() == http.StatusServiceUnavailable })
	if alive, err := b.opsStatus("/livez"); err != nil || alive.status != http.StatusOK {
		t.Errorf("/livez without the store: %d, %v", alive.status, err)
	}
	for range 20 {
		if !enforces(t, b, body, "before") {
			t.Error("without the store the policy is not enforced")
		}
	}
	if err := a.setPolicy(permitting("in vain")); err == nil || !strings.Contains(err.Error(), "status 503") || !strings.Contains(err.Error(), "The store of the service cannot be reached") {
		t.Errorf("setting a policy without a store: %v", err)
	}
	up()
	for _, r := range []*replica{a, b} {
		within(t, recoverTime, "ready again", func() bool { return r.readiness() == http.StatusOK })
	}
	if err := a.setPolicy(denying); err != nil {
		t.Fatal(err)
	}
	if took := untilEnforced(t, b, body, "", time.Now()); took >= enforceTime {
		t.Errorf("after the outage a policy is enforced after %s", took)
	}
}

// TestAConnectionThatIsDeadWithoutAWordIsGivenUp cuts the connections of a replica to its store so that neither end is told.
func TestAConnectionThatIsDeadWithoutAWordIsGivenUp(t *testing.T) {
	dsn := storetest.Postgres(t)
	s := newSite(t, dsn)
	a := s.replica(t, "a", "")
	a.mustStart()
	c, far := newCable(t, dsn)
	write(t, s.file("store"), far+"\n")
	b := s.replica(t, "b", "")
	b.mustStart()
	body := attestBody(t)
	c.cut(t)
	if err := a.setPolicy(denying); err != nil {
		t.Fatal(err)
	}
	took := within(t, 10*time.Second, "the policy of the other replica", func() bool { return enforces(t, b, body, "") })
	t.Logf("enforced after %s", took)
	if got := b.readiness(); got != http.StatusOK {
		t.Errorf("/readyz: %d", got)
	}
}

// TestMetricsDoNotGrowWithWhatCallersSend asks for what nobody could have foreseen.
func TestMetricsDoNotGrowWithWhatCallersSend(t *testing.T) {
	s := newSite(t, storetest.SQLite(t))
	r := s.replica(t, "a", "")
	r.mustStart()
	ask := func(mark string) int {
		for _, path := range []string{"/" + mark, "/attest/" + mark, "/policies/" + mark + "?api-version=" + mark, "/certs?x=" + mark, "/assay/v1/explanations/" + mark} {
			for _, method := range []string{http.MethodGet, http.MethodPost, strings.ToUpper(mark)} {
				if _, err := r.do(method, path, []byte(mark), mark+"/"+mark); err != nil {
					t.Fatal(err)
				}
			}
		}
		a, err := r.opsStatus("/metrics")
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("/metrics: %d, %v", a.status, err)
		}
		if strings.Contains(strings.ToLower(string(a.body)), mark) {
			t.Errorf("/metrics repeats what a caller sent:\n%s", a.body)
		}
		return strings.Count(string(a.body), "\nassay_")
	}
	first := ask("toaster")
	for _, mark := range []string{"kettle", "blender", "grinder", "mixer"} {
		if n := ask(mark); n != first {
			t.Errorf("%d series, then %d", first, n)
		}
	}
}

// TestTheManualNamesEveryMetric compares it with what is there to read.
func TestTheManualNamesEveryMetric(t *testing.T) {
	r := newSite(t, storetest.SQLite(t)).replica(t, "a", "")
	r.mustStart()
	if err := r.setPolicy(denying); err != nil { // counts requests
		t.Fatal(err)
	}
	a, err := r.opsStatus("/metrics")
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("/metrics: %d, %v", a.status, err)
	}
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	families := regexp.MustCompile(`(?m)^# TYPE (assay_\w+)`).FindAllStringSubmatch(string(a.body), -1)
	if len(families) < 5 {
		t.Errorf("%d metrics", len(families))
	}
	for _, f := range families {
		if !regexp.MustCompile("`" + f[1] + "[`{]").Match(manual) {
			t.Errorf("the manual does not name %s", f[1])
		}
	}
}

// TestAReplicaThatIsToEndSaysSoAndAnswersOn ends it with the usual signal.
func TestAReplicaThatIsToEndSaysSoAndAnswersOn(t *testing.T) {
	s := newSite(t, storetest.SQLite(t))
	r := s.replica(t, "a", "drain: 2s\n")
	r.mustStart()
	body := attestBody(t)
	ended := make(chan time.Duration)
	began := time.Now()
	go func() { r.terminate(); ended <- time.Since(began) }()
	within(t, time.Second, "not ready", func() bool { return r.readiness() == http.StatusServiceUnavailable })
	for range 20 {
		req, err := http.NewRequest(http.MethodPost, externalURL+attestPath, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || !res.Close {
			t.Errorf("status %d, connection to be closed: %v; want an answer and the end of the connection", res.StatusCode, res.Close)
		}
	}
	if took := <-ended; took < 2*time.Second {
		t.Errorf("ended after %s", took)
	}
}
