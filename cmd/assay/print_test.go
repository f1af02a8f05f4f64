package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

func TestExitStatusFollowsTheErrorNotItsText(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{evidence.Refuse(evidence.Revoked, "revoked"), 1},
		{&result.Refusal{Reason: result.Expired}, 1},
		{policy.Errors{}, 1},
		{errors.New("anything else"), 1},
		{usage("wrong"), 2},
		{badFile(errors.New("unreadable")), 2},
		{evidence.Refuse(evidence.CollateralMissing, "missing"), 3},
		{collateral.ErrAbsent, 3},
		{&collateral.Unavailable{Err: errors.New("503")}, 3},
		{&relyingparty.KeysUnavailable{Err: errors.New("503")}, 3},
		{&serviceError{Status: http.StatusBadRequest}, 1},
		{&serviceError{Status: 499}, 1},
		{&serviceError{Status: http.StatusTemporaryRedirect}, 4},
		{&serviceError{Status: http.StatusInternalServerError}, 4},
		{&serviceError{err: errors.New("unreachable")}, 4},
	} {
		if got := exitStatus(test.err); got != test.want {
			t.Errorf("exit status of %T %v: got %d, want %d", test.err, test.err, got, test.want)
		}
		if test.err == nil {
			continue
		}
		if got := exitStatus(told{fmt.Errorf("doing so: %w", test.err)}); got != test.want {
			t.Errorf("exit status of a wrapped %T: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestCodeIsTheServices(t *testing.T) {
	for _, test := range []struct {
		refusal *evidence.Refusal
		want    string
	}{
		{evidence.Refuse(evidence.QuoteFormat, ""), "InvalidQuote"},
		{evidence.Refuse(evidence.CertDataType, ""), "InvalidQuote"},
		{evidence.Refuse(evidence.QuoteSignature, ""), "InvalidParameter"},
		{evidence.Refuse(evidence.TCBBaseline, ""), "InvalidParameter"},
		{evidence.Refuse(evidence.CollateralMissing, ""), "CollateralUnavailable"},
		{evidence.Refuse(evidence.CRLExpired, "").Blame(evidence.OfEndorsement), "CollateralUnavailable"},
	} {
		if got := problemOf(test.refusal); got.Code != test.want || got.Check != string(test.refusal.Check) {
			t.Errorf("%s: got %+v, want code %s", test.refusal.Check, got, test.want)
		}
	}
}

func TestRefusalTellsWhatWasExpectedFoundAndToDo(t *testing.T) {
	const want = `REFUSED  some evidence
  check     revoked
  problem   it is listed: cause
  expected  not listed
  found     serial 7
  remedy    do not trust it
`
	var b strings.Builder
	s := sheet{w: &b}
	s.heading(red, "REFUSED", "some evidence")
	s.refusal(fmt.Errorf("wrapped: %w", evidence.Refuse(evidence.Revoked, "it is listed").Want("not listed", "serial 7").
		Do("do not trust it").Because(errors.New("cause"))))
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestRowsAreAlignedAndEmptyOnesLeftOut(t *testing.T) {
	var b strings.Builder
	s := sheet{w: &b}
	s.rows(row{"naïve", "1"}, row{"much longer but empty", ""}, row{"longer", "2"})
	if want := "  naïve   1\n  longer  2\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestLongValuesAreCutForPeople(t *testing.T) {
	if got := shorten(strings.Repeat("x", longest)); strings.Contains(got, "…") {
		t.Errorf("a value of %d bytes was cut", longest)
	}
	got := shorten(strings.Repeat("x", longest-1) + "漢字")
	if want := strings.Repeat("x", longest-1) + fmt.Sprintf("… (%d characters)", longest+1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRefusedOutputInWhole(t *testing.T) {
	dir := simulatedDir(t, time.Date(2030, 6, 15, 0, 0, 0, 0, time.UTC))
	o := assay(t, "evidence", "verify", "--type", "sgx", dir+"/quote.bin", "--collateral", dir+"/collateral",
		"--trust-root", dir+"/root.pem", "--at", "2030-08-01T00:00:00Z")
	const want = `REFUSED  SgxEnclave evidence, quote version 3
  check     crl-expired
`
	o.want(t, exitRefused, want, "")
	for _, line := range []string{"  expected  ", "  found     2030-07-14T00:00:00Z", "  remedy    "} {
		if !strings.Contains(o.stdout, line) {
			t.Errorf("want a line %q in\n%s", line, o.stdout)
		}
	}
}

func TestStateOfADocumentAtTheEdges(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	status := func(kind collateral.Kind, issued, next time.Time) collateral.Status {
		return collateral.Status{Kind: kind, IssueDate: issued, NextUpdate: next}
	}
	for _, test := range []struct {
		name   string
		status collateral.Status
		want   string
	}{
		{"in its last second", status(collateral.TCBInfo, at, at.Add(time.Second)), "ok"},
		{"at its nextUpdate", status(collateral.TCBInfo, at, at), "expired"},
		{"issued as late as clocks may differ", status(collateral.TCBInfo, at.Add(dcap.ClockSkew), at.Add(time.Hour)), "ok"},
		{"issued later", status(collateral.TCBInfo, at.Add(dcap.ClockSkew+1), at.Add(time.Hour)), "not-yet-valid"},
		{"CRLs have no such leeway", status(collateral.RootCRL, at.Add(1), at.Add(time.Hour)), "not-yet-valid"},
	} {
		if got, _ := judge(test.status, at); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestUnavailableServiceSaysWhenToRetry(t *testing.T) {
	response := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"30"}}}
	got := refusedBy(response, []byte(`{"error":{"code":"CollateralUnavailable","message":"later"}}`))
	if got.Message != "later; retry after 30 s" || got.Code != "CollateralUnavailable" {
		t.Errorf("got %+v, want the message with the time to wait", got)
	}
}
