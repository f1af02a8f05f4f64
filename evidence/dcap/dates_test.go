package dcap_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

const day = 24 * time.Hour

// span is a validity, as distances from today.
type span struct{ from, to time.Duration }

// within gives the JSON document with this body the validity v.
func within(t testing.TB, body assaytest.Part, v span) func(*assaytest.Scenario) {
	text := func(v span) string {
		stamp := func(d time.Duration) string { return today().Add(d).Format(time.RFC3339) }
		return fmt.Sprintf(`"issueDate":"%s","nextUpdate":"%s"`, stamp(v.from), stamp(v.to))
	}
	return dcaptest.Edit(body, replace(t, text(span{-day, 29 * day}), text(v)))
}

func crlWithin(part assaytest.Part, v span) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		s.Edit.CRL = func(p assaytest.Part, list *x509.RevocationList) {
			if p == part {
				list.ThisUpdate, list.NextUpdate = today().Add(v.from), today().Add(v.to)
			}
		}
	}
}

func certificateWithin(role assaytest.Role, v span) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		s.Edit.Certificate = func(r assaytest.Role, c *x509.Certificate) {
			if r == role {
				c.NotBefore, c.NotAfter = today().Add(v.from), today().Add(v.to)
			}
		}
	}
}

func TestDatesOfDocuments(t *testing.T) {
	const second, skew, grace = time.Second, 5 * time.Minute, 2 * time.Hour
	type rules struct {
		expiry dcap.Expiry
		grace  time.Duration
	}
	enforce, pinned, ignore := rules{}, rules{expiry: dcap.Pinned}, rules{expiry: dcap.Ignore}
	graceful, pinnedGraceful := rules{grace: grace}, rules{dcap.Pinned, grace}
	const pass, expired, future = "", "expired", "future"
	l := newLab(t)
	for _, document := range []struct {
		body            assaytest.Part
		expired, future evidence.Check
	}{
		{assaytest.TCBInfoBody, evidence.TCBInfoExpired, evidence.TCBInfoNotYetValid},
		{assaytest.QEIdentityBody, evidence.QEIdentityExpired, evidence.QEIdentityNotYetValid},
	} {
		for _, tt := range []struct {
			what  string
			dates span
			rules rules
			want  string
		}{
			{"a second before nextUpdate", span{-day, second}, enforce, pass},
			{"exactly at nextUpdate", span{-day, 0}, enforce, expired},
			{"last second of grace", span{-day, second - grace}, graceful, pass},
			{"end of grace", span{-day, -grace}, graceful, expired},
			{"long past, pinned", span{-900 * day, -870 * day}, pinned, pass},
			{"long past, ignored", span{-900 * day, -870 * day}, ignore, pass},
			{"issued now", span{0, day}, enforce, pass},
			{"issued as far ahead as clocks may differ", span{skew, day}, enforce, pass},
			{"issued a second further ahead", span{skew + second, day}, enforce, future},
			{"issued as far ahead, pinned", span{skew, day}, pinned, pass},
			{"issued a second further ahead, pinned", span{skew + second, day}, pinned, future},
			{"issued ahead, with grace", span{skew + second, day}, graceful, future},
			{"issued ahead, pinned with grace", span{skew + second, day}, pinnedGraceful, future},
			{"issued ahead, ignored", span{day, 2 * day}, ignore, pass},
		} {
			s := l.scenario(within(t, document.body, tt.dates))
			_, err := l.verifyWith(s, dcap.Options{At: today(), Expiry: tt.rules.expiry, Grace: tt.rules.grace})
			checks := map[string][]evidence.Check{pass: nil, expired: {document.expired}, future: {document.future}}[tt.want]
			dcaptest.Expect(t, string(document.body)+" "+tt.what, err, checks...)
		}
	}
}

func TestDatesOfRevocationLists(t *testing.T) {
	const second, grace = time.Second, 2 * time.Hour
	l := newLab(t)
	for _, part := range []assaytest.Part{assaytest.PCKCRL, assaytest.RootCRL} {
		for _, tt := range []struct {
			what   string
			dates  span
			expiry dcap.Expiry
			grace  time.Duration
			want   []evidence.Check
		}{
			{"in force from now", span{0, day}, dcap.Enforce, 0, nil},
			{"in force from the next second", span{second, day}, dcap.Enforce, 0, []evidence.Check{evidence.CRLNotYetValid}},
			{"a second before nextUpdate", span{-day, second}, dcap.Enforce, 0, nil},
			{"exactly at nextUpdate", span{-day, 0}, dcap.Enforce, 0, []evidence.Check{evidence.CRLExpired}},
			{"past nextUpdate, pinned", span{-day, 0}, dcap.Pinned, 0, []evidence.Check{evidence.CRLExpired}},
			{"last second of grace", span{-day, second - grace}, dcap.Enforce, grace, nil},
			{"last second of grace, pinned", span{-day, second - grace}, dcap.Pinned, grace, nil},
			{"end of grace", span{-day, -grace}, dcap.Enforce, grace, []evidence.Check{evidence.CRLExpired}},
			{"long past, ignored", span{-90 * day, -60 * day}, dcap.Ignore, 0, nil},
			{"of the future, ignored", span{day, 2 * day}, dcap.Ignore, 0, nil},
		} {
			_, err := l.verifyWith(l.scenario(crlWithin(part, tt.dates)), dcap.Options{At: today(), Expiry: tt.expiry, Grace: tt.grace})
			dcaptest.Expect(t, string(part)+" "+tt.what, err, tt.want...)
		}
	}
}

func TestDatesOfCertificatesInTheQuote(t *testing.T) {
	const second = time.Second
	l := newLab(t)
	for _, role := range []assaytest.Role{assaytest.PCK, assaytest.PlatformCA, assaytest.Root} {
		for _, tt := range []struct {
			what  string
			dates span
			want  []evidence.Check
		}{
			{"in force from now", span{0, day}, nil},
			{"in force from the next second", span{second, day}, []evidence.Check{evidence.PCKNotYetValid}},
			{"last second", span{-day, 0}, nil},
			{"a second past its end", span{-day, -second}, []evidence.Check{evidence.PCKExpired}},
		} {
			s := l.scenario(certificateWithin(role, tt.dates))
			modes := []dcap.Expiry{dcap.Enforce, dcap.Pinned, dcap.Ignore}
			if role == assaytest.Root { // which has issued the TCB signer too, and pinned judges that at another time
				modes = modes[:1]
			}
			for _, expiry := range modes {
				_, err := l.verifyWith(s, dcap.Options{At: today(), Expiry: expiry})
				dcaptest.Expect(t, fmt.Sprintf("%s %s, expiry %d", role, tt.what, expiry), err, tt.want...)
			}
		}
	}
}

// The signer of pinned documents is judged at their issue date, a day before today.
func TestDatesOfTheTCBSigner(t *testing.T) {
	l := newLab(t)
	chain := []evidence.Check{evidence.TCBSigningChain}
	for _, tt := range []struct {
		what                    string
		dates                   span
		enforce, pinned, ignore []evidence.Check
	}{
		{"in force", span{-2 * day, day}, nil, nil, nil},
		{"in force at the issue date, ended since", span{-2 * day, -day / 2}, chain, nil, nil},
		{"ended before the issue date", span{-3 * day, -2 * day}, chain, chain, nil},
		{"in force only since", span{-day / 2, day}, nil, chain, nil},
		{"in force from the issue date on", span{-day, day}, nil, nil, nil},
		{"in force up to the issue date", span{-2 * day, -day}, chain, nil, nil},
	} {
		s := l.scenario(certificateWithin(assaytest.TCBSigning, tt.dates))
		for expiry, want := range map[dcap.Expiry][]evidence.Check{dcap.Enforce: tt.enforce, dcap.Pinned: tt.pinned, dcap.Ignore: tt.ignore} {
			_, err := l.verifyWith(s, dcap.Options{At: today(), Expiry: expiry})
			dcaptest.Expect(t, fmt.Sprintf("%s, expiry %d", tt.what, expiry), err, want...)
		}
	}
}

// Nothing but dates is relaxed.
// The root in an issuer chain may be another issue of the certificate than that in the quote; its dates count too.
func TestDatesOfTheRootInAnIssuerChain(t *testing.T) {
	l := newLab(t)
	old, err := l.scenario(func(s *assaytest.Scenario) {
		s.Edit.Certificate = func(r assaytest.Role, c *x509.Certificate) {
			if r == assaytest.Root {
				c.NotAfter = today().AddDate(0, 0, -1)
			}
		}
	}).Collateral()
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(chain []byte) func([]byte) []byte { return func([]byte) []byte { return chain } }
	for part, chain := range map[assaytest.Part][]byte{
		assaytest.TCBInfoChain: old.TCBInfoChain, assaytest.QEIdentityChain: old.QEIdentityChain,
	} {
		_, err := l.verify(l.scenario(dcaptest.Edit(part, replaced(chain))))
		dcaptest.Expect(t, string(part), err, evidence.TCBSigningChain)
	}
}

func TestExpiryModesRelaxNothingElse(t *testing.T) {
	l := newLab(t)
	for _, f := range assaytest.Faults() {
		s := l.scenario(f.Apply)
		if s.OpenEnclave || slices.ContainsFunc(f.Checks, isDate) || slices.Contains(f.Checks, evidence.TCBSigningChain) {
			continue
		}
		for _, expiry := range []dcap.Expiry{dcap.Pinned, dcap.Ignore} {
			_, err := l.verifyWith(s, dcap.Options{At: today(), Expiry: expiry})
			dcaptest.Expect(t, fmt.Sprintf("%s, expiry %d", f.Name, expiry), err, f.Checks...)
		}
	}
}

func isDate(c evidence.Check) bool {
	return slices.Contains([]evidence.Check{evidence.CRLExpired, evidence.CRLNotYetValid, evidence.TCBInfoExpired,
		evidence.TCBInfoNotYetValid, evidence.QEIdentityExpired, evidence.QEIdentityNotYetValid}, c)
}

func TestResultTellsWhichDatesWereNotChecked(t *testing.T) {
	l := newLab(t)
	s := l.scenario(within(t, assaytest.TCBInfoBody, span{-40 * day, -10 * day}))
	v, err := l.verifyWith(s, dcap.Options{At: today(), Expiry: dcap.Pinned})
	if err != nil {
		t.Fatal(err)
	}
	if want := []evidence.Check{evidence.TCBInfoExpired, evidence.QEIdentityExpired}; !slices.Equal(v.NotChecked, want) {
		t.Errorf("not checked: got %v, want %v", v.NotChecked, want)
	}
	if want := today().Add(-10 * day); !v.CollateralExpired || !v.ValidUntil.Equal(want) {
		t.Errorf("got expired %t, valid until %v, want true, %v", v.CollateralExpired, v.ValidUntil, want)
	}
	v, err = l.verify(l.scenario())
	if err != nil {
		t.Fatal(err)
	}
	if want := today().Add(29 * day); v.CollateralExpired || len(v.NotChecked) > 0 || !v.ValidUntil.Equal(want) {
		t.Errorf("sound: got expired %t, not checked %v, valid until %v, want false, none, %v",
			v.CollateralExpired, v.NotChecked, v.ValidUntil, want)
	}
}

func TestZeroOptionsRefuse(t *testing.T) {
	l := newLab(t)
	o, err := l.trace(l.scenario(), today())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.collateral(o, l.scenario())
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.verifier.Verify(o, c, dcap.Options{}, nil)
	dcaptest.Expect(t, "no time", err, evidence.PCKNotYetValid)
}

// An origin is traced at one time and may be verified at another, when its certificates are no longer in force.
func TestVerifyJudgesTheChainAtItsOwnTime(t *testing.T) {
	l := newLab(t)
	s := l.scenario(certificateWithin(assaytest.PCK, span{-day, day}))
	o, c := l.endorsed(s)
	_, err := l.verifier.Verify(o, c, dcap.Options{At: today()}, nil)
	dcaptest.Expect(t, "same day", err)
	_, err = l.verifier.Verify(o, c, dcap.Options{At: today().Add(2 * day)}, nil)
	dcaptest.Expect(t, "two days later", err, evidence.PCKExpired)
}
