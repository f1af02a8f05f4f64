package collateral

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
)

func TestClientLearnsWhatIsWrongAndNothingAboutTheOperator(t *testing.T) {
	const secret = "customers/secret-project"
	in := assaytest.NewIntel()
	v := verifier(t, in)
	o := origin(t, v, in.Scenario(now))
	damaged := set(t, secret, in.Scenario(now))
	damaged.files[qeIdentityFile] = []byte(`{"secret-project":1}`)
	unread := set(t, secret, in.Scenario(now))
	unread.files[tcbInfoFile] = []byte("secret-project")
	missing := set(t, secret, in.Scenario(now))
	delete(missing.files, pckCRLFile)
	stored := func(s *Set, at func() time.Time) error {
		b := NewBaselines(BaselinesConfig{Stored: []*Set{s}, Verifier: v, Clock: at})
		defer b.Close()
		_, err := b.For(t.Context(), DefaultBaseline, o)
		return err
	}
	live := func(change func(*fakeSource)) error {
		b := newBench(t, at(now), nil)
		b.source.set(change)
		return b.get()
	}
	fails := func(err error) func(*fakeSource) {
		return func(f *fakeSource) { f.before = func(context.Context, Kind) error { return err } }
	}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"document damaged", stored(damaged, at(now)), "QE identity is not available: what its source gave did not pass the check qeidentity-format (the service's log says more)"},
		{"set damaged", stored(unread, at(now)), "TCB info for FMSPC A55A79000000 is not available: it is not there"},
		{"file missing", stored(missing, at(now)), "PCK CRL of the platform CA, which the setting require_crls demands, is not available: it is not there"},
		{"past its date", stored(set(t, secret, in.Scenario(now)), at(now.AddDate(0, 2, 0))),
			"PCK CRL of the platform CA, which the setting require_crls demands, is not available: it is past its nextUpdate 2030-07-14T12:00:00Z, the service's time is 2030-08-15T12:00:00Z"},
		{"before its date", stored(set(t, secret, in.Scenario(now)), at(now.AddDate(0, 0, -1).Add(-time.Second))),
			"PCK CRL of the platform CA, which the setting require_crls demands, is not available: it is issued in the future, at 2030-06-14T12:00:00Z, while the service's time is 2030-06-14T11:59:59Z: its clock or the document is wrong"},
		{"source fails", live(fails(errors.New("dial secret-project"))), "TCB info for FMSPC A55A79000000 is not available: it could not be loaded"},
		{"reader panics", live(func(f *fakeSource) { f.before = func(context.Context, Kind) error { panic("secret-project") } }),
			"TCB info for FMSPC A55A79000000 is not available: what its source gave could not be used"},
	} {
		if got := unavailable(t, c.err).Public(); got != c.want+renewed {
			t.Errorf("%s: error %v\n got %q\nwant %q", c.name, c.err, got, c.want)
		}
	}
}

// renewed ends every text for clients.
const renewed = ". Nothing is wrong with the evidence: the operator of the service has to renew its collateral; try again later"

func TestClientIsNotToldTheSourceOnTheNetwork(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	source, err := NewWeb(WebConfig{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		_, err := source.RootCRL(t.Context())
		u, ok := errors.AsType[*Unavailable](err)
		if !ok || u.Public() != "root CA CRL is not available: the source of collateral "+want+renewed {
			t.Errorf("error %v: want the public text to end in %q", err, want)
		}
		if n := strings.Count(err.Error(), server.URL); n != 1 {
			t.Errorf("error %v: got the URL %d times, want it once for the log", err, n)
		}
	}
	check("answered with status 404")
	server.Close()
	check("could not be reached")
}
