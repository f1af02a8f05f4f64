package dcap_test

import (
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// rated makes platform and quoting enclave meet levels of the given statuses.
func rated(platform, qe dcap.Status) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		s.Levels = assaytest.TCBLevels(assaytest.StandardEvaluation)[:1]
		s.Levels[0].Status = string(platform)
		s.QELevels = assaytest.QELevels()[:1]
		s.QELevels[0].Status = string(qe)
	}
}

// The table of sgx-tdx.md section 8, with the last paragraph of section 5.3: ConfigurationNeeded of a quoting enclave
// has no effect, OutOfDateConfigurationNeeded counts as OutOfDate.
func TestConvergence(t *testing.T) {
	platforms := []dcap.Status{dcap.UpToDate, dcap.SWHardeningNeeded, dcap.ConfigurationNeeded,
		dcap.ConfigurationAndSWHardeningNeeded, dcap.OutOfDate, dcap.OutOfDateConfigurationNeeded, dcap.RevokedTCB}
	const (
		ood  = dcap.OutOfDate
		oodc = dcap.OutOfDateConfigurationNeeded
		rev  = dcap.RevokedTCB
	)
	outOfDate := []dcap.Status{ood, ood, oodc, oodc, ood, oodc, rev}
	revoked := []dcap.Status{rev, rev, rev, rev, rev, rev, rev}
	l := newLab(t)
	for _, row := range []struct {
		qe   dcap.Status
		want []dcap.Status // by platform
	}{
		{dcap.UpToDate, platforms},
		{dcap.ConfigurationNeeded, platforms},
		{ood, outOfDate},
		{oodc, outOfDate},
		{rev, revoked},
	} {
		for i, platform := range platforms {
			v, err := l.verify(l.scenario(rated(platform, row.qe)))
			if err != nil {
				t.Errorf("platform %s, QE %s: %v", platform, row.qe, err)
				continue
			}
			if v.Status != row.want[i] || v.Platform != platform || v.QE != row.qe {
				t.Errorf("platform %s, QE %s: got %s of %s and %s, want %s", platform, row.qe, v.Status, v.Platform, v.QE, row.want[i])
			}
		}
	}
}

func TestQuotingEnclaveHasFewerStatuses(t *testing.T) {
	l := newLab(t)
	for _, qe := range []dcap.Status{dcap.SWHardeningNeeded, dcap.ConfigurationAndSWHardeningNeeded} {
		_, err := l.verify(l.scenario(rated(dcap.UpToDate, qe)))
		dcaptest.Expect(t, "QE "+string(qe), err, evidence.QEIdentityFormat)
	}
}

// lowered lowers one component, or the PCESVN for index 16, of a platform at the level top.
func lowered(top assaytest.TCBLevel, index int) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		s.Platform.SVN, s.Platform.PCESVN = top.SVN, top.PCESVN
		if index == 16 {
			s.Platform.PCESVN--
			return
		}
		s.Platform.SVN[index]--
	}
}

func TestEveryComponentCounts(t *testing.T) {
	top := assaytest.TCBLevel{SVN: [16]byte{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, PCESVN: 9, Status: "UpToDate"}
	below := assaytest.TCBLevel{Status: "OutOfDate"}
	l := newLab(t)
	for index := range 17 {
		for _, version := range []int{2, 3} {
			s := l.scenario(lowered(top, index), func(s *assaytest.Scenario) {
				s.TCBInfoVersion, s.Levels = version, []assaytest.TCBLevel{top, below}
			})
			v, err := l.verify(s)
			if err != nil {
				t.Fatalf("index %d, version %d: %v", index, version, err)
			}
			if v.Status != dcap.OutOfDate || len(v.Shortfalls) != 1 || v.Shortfalls[0].Need != 9 || v.Shortfalls[0].Have != 8 {
				t.Errorf("index %d, version %d: got %s with %v, want OutOfDate because of that one", index, version, v.Status, v.Shortfalls)
			}
		}
	}
}

func TestOrderOfLevelsDoesNotMatter(t *testing.T) {
	l := newLab(t)
	for _, met := range assaytest.TCBLevels(assaytest.StandardEvaluation) {
		s := l.scenario(func(s *assaytest.Scenario) {
			s.Platform.SVN, s.Platform.PCESVN = met.SVN, met.PCESVN
			s.Levels = assaytest.TCBLevels(assaytest.StandardEvaluation)
			slices.Reverse(s.Levels)
			slices.Reverse(s.QELevels)
		})
		v, err := l.verify(s)
		if err != nil {
			t.Fatal(err)
		}
		if string(v.Platform) != met.Status || v.QE != dcap.UpToDate {
			t.Errorf("levels lowest first: got %s, QE %s, want %s, UpToDate", v.Platform, v.QE, met.Status)
		}
	}
}

func TestHigherPCESVNThanTheLevelDoesNotReachTheNextOne(t *testing.T) {
	l := newLab(t)
	v, err := l.verify(l.scenario(func(s *assaytest.Scenario) {
		level := assaytest.TCBLevels(assaytest.StandardEvaluation)[2]
		s.Platform.SVN, s.Platform.PCESVN = level.SVN, 0xFFFF
	}))
	if err != nil || v.Platform != dcap.SWHardeningNeeded {
		t.Errorf("got %+v (%v), want SWHardeningNeeded", v, err)
	}
}

func TestDateAdvisoriesAndEvaluationOfBothDocuments(t *testing.T) {
	l := newLab(t)
	early, late := time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ platform, qe, want time.Time }{{early, late, early}, {late, early, early}, {late, late, late}} {
		s := l.scenario(rated(dcap.UpToDate, dcap.OutOfDate), func(s *assaytest.Scenario) {
			s.Levels[0].Date, s.Levels[0].Advisories = tt.platform, []string{"INTEL-SA-2", "INTEL-SA-1"}
			s.QELevels[0].Date, s.QELevels[0].Advisories = tt.qe, []string{"INTEL-SA-3", "INTEL-SA-2"}
		}, dcaptest.Edit(assaytest.QEIdentityBody, replace(t, `"tcbEvaluationDataNumber":17`, `"tcbEvaluationDataNumber":16`)))
		v, err := l.verify(s)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Date.Equal(tt.want) || v.EvaluationNumber != 16 {
			t.Errorf("got date %v, evaluation %d, want %v, 16", v.Date, v.EvaluationNumber, tt.want)
		}
		if want := []string{"INTEL-SA-1", "INTEL-SA-2", "INTEL-SA-3"}; !slices.Equal(v.AdvisoryIDs, want) {
			t.Errorf("advisories: got %v, want %v", v.AdvisoryIDs, want)
		}
	}
}

func TestShortfallsNameWhatIsBelowTheBestLevel(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		what   string
		change func(*assaytest.Scenario)
		want   []string
	}{
		{"nothing", func(*assaytest.Scenario) {}, nil},
		{"above", func(s *assaytest.Scenario) { s.Platform.SVN[0]++; s.Platform.PCESVN++; s.QE.SVN++ }, nil},
		{"configuration", func(s *assaytest.Scenario) { s.Platform.SVN[6] = 0 }, []string{"sgxtcbcomp07svn is 0 and must be 1"}},
		{"microcode and PCE", func(s *assaytest.Scenario) {
			level := assaytest.TCBLevels(assaytest.StandardEvaluation)[2]
			s.Platform.SVN, s.Platform.PCESVN = level.SVN, level.PCESVN
		}, []string{"sgxtcbcomp01svn is 6 and must be 7", "sgxtcbcomp02svn is 6 and must be 7", "pcesvn is 12 and must be 13"}},
		{"quoting enclave", func(s *assaytest.Scenario) { s.QE.SVN = 7 }, []string{"QE isvsvn is 7 and must be 8"}},
	} {
		v, err := l.verify(l.scenario(tt.change))
		if err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		var got []string
		for _, s := range v.Shortfalls {
			got = append(got, s.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.what, got, tt.want)
		}
	}
}

func TestRemedyIsASentenceWhateverIsKnown(t *testing.T) {
	short := []dcap.Shortfall{{}}
	for _, test := range []struct {
		platform dcap.Standing
		want     string
	}{
		{dcap.Standing{}, "list UpToDate in the setting"},
		{dcap.Standing{AdvisoryIDs: []string{"INTEL-SA-1"}}, "see INTEL-SA-1, or list UpToDate in the setting"},
		{dcap.Standing{AdvisoryIDs: []string{"INTEL-SA-1"}, Shortfalls: short},
			"update the platform (" + short[0].String() + "), see INTEL-SA-1, or list UpToDate in the setting"},
	} {
		test.platform.Status = dcap.UpToDate
		if got := test.platform.Remedy("the setting"); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
