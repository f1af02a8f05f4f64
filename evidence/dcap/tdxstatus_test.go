package dcap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// statuses are those that a level of TCB info may have.
func statuses() []dcap.Status {
	return []dcap.Status{dcap.UpToDate, dcap.SWHardeningNeeded, dcap.ConfigurationNeeded, dcap.ConfigurationAndSWHardeningNeeded,
		dcap.OutOfDate, dcap.OutOfDateConfigurationNeeded, dcap.RevokedTCB}
}

// platformLevels are levels with the given statuses that differ in their TDX components alone.
func platformLevels(list ...dcap.Status) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		top := assaytest.TCBLevels(assaytest.StandardEvaluation)[0]
		s.Levels = nil
		for _, status := range list {
			top.Status = string(status)
			s.Levels = append(s.Levels, top)
		}
	}
}

// Components 0 and 1 are compared only where no identity of the module judges them (sgx-tdx.md section 8).
func TestEveryTDXComponentCounts(t *testing.T) {
	l := newLab(t)
	for _, version := range []byte{0, 1} {
		for i := range 16 {
			d := tdWith(func(d *dcaptest.TD) {
				launched := []byte{5, version, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}
				d.Launched(launched...)
				top := [16]int{5, int(version), 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}
				top[i]++ // the platform is one short
				d.Components = [][16]int{top, {}}
			})
			v, err := l.verify(l.td(d, platformLevels(dcap.UpToDate, dcap.OutOfDate)))
			if err != nil {
				t.Fatal(err)
			}
			want, short := dcap.OutOfDate, fmt.Sprintf("[tdxtcbcomp%02dsvn is %d and must be %d]", i+1, d.Report[i], d.Report[i]+1)
			if version > 0 && i < 2 {
				want, short = dcap.UpToDate, "[]"
			}
			if got := fmt.Sprint(v.Shortfalls); v.Platform != want || got != short {
				t.Errorf("version %d, component %d: got %s with %s, want %s with %s", version, i, v.Platform, got, want, short)
			}
		}
	}
}

// A TD must reach a level in all of SGX components, PCESVN and TDX components.
func TestTDMustReachTheWholeLevel(t *testing.T) {
	l := newLab(t)
	for what, lower := range map[string]func(*assaytest.Scenario, *dcaptest.TD){
		"SGX component": func(s *assaytest.Scenario, _ *dcaptest.TD) { s.Platform.SVN[1]-- },
		"PCESVN":        func(s *assaytest.Scenario, _ *dcaptest.TD) { s.Platform.PCESVN-- },
		"TDX component": func(_ *assaytest.Scenario, d *dcaptest.TD) { d.Launched(5, 1, 2) },
	} {
		d := tdWith(func(d *dcaptest.TD) { d.Components = [][16]int{{5, 0, 3}, {}} })
		s := l.scenario(func(s *assaytest.Scenario) { lower(s, d) }, d.Apply(t), func(s *assaytest.Scenario) {
			top := assaytest.TCBLevels(assaytest.StandardEvaluation)[0]
			s.Levels = []assaytest.TCBLevel{top, {Status: "OutOfDate", Date: top.Date}}
		})
		v, err := l.verify(s)
		if err != nil || v.Status != dcap.OutOfDate || v.TDXModule != dcap.UpToDate || len(v.Shortfalls) != 1 {
			t.Errorf("%s: got %+v (%v), want OutOfDate for one reason", what, v, err)
		}
		s.Levels = s.Levels[:1]
		_, err = l.verify(s)
		dcaptest.Expect(t, what+" below the only level", err, evidence.TCBNotSupported)
	}
}

// The levels of TCB info are sorted by their TDX components too.
func TestOrderOfTDXLevelsDoesNotMatter(t *testing.T) {
	l := newLab(t)
	for launched, want := range map[byte]dcap.Status{9: dcap.UpToDate, 8: dcap.SWHardeningNeeded, 7: dcap.SWHardeningNeeded, 5: dcap.OutOfDate} {
		d := tdWith(func(d *dcaptest.TD) {
			d.Launched(5, 1, launched)
			d.Components = [][16]int{{5, 0, 5}, {5, 0, 9}, {5, 0, 7}}
		})
		v, err := l.verify(l.td(d, platformLevels(dcap.OutOfDate, dcap.UpToDate, dcap.SWHardeningNeeded)))
		if err != nil || v.Platform != want {
			t.Errorf("component 2 at %d: got %+v (%v), want %s", launched, v, err, want)
		}
	}
	d := tdWith(func(d *dcaptest.TD) { d.Components = [][16]int{{5, 0, 3}, {5, 0, 3}} })
	_, err := l.verify(l.td(d, platformLevels(dcap.UpToDate, dcap.OutOfDate)))
	dcaptest.Expect(t, "two levels with the same components", err, evidence.TCBInfoFormat)
}

// converged is the table of sgx-tdx.md section 8 for platform, quoting enclave and module.
func converged(platform dcap.Status, components ...dcap.Status) dcap.Status {
	switch {
	case platform == dcap.RevokedTCB || slices.Contains(components, dcap.RevokedTCB):
		return dcap.RevokedTCB
	case !slices.ContainsFunc(components, func(s dcap.Status) bool { return strings.HasPrefix(string(s), "OutOfDate") }):
		return platform
	}
	return map[dcap.Status]dcap.Status{
		dcap.UpToDate: dcap.OutOfDate, dcap.SWHardeningNeeded: dcap.OutOfDate, dcap.OutOfDate: dcap.OutOfDate,
		dcap.ConfigurationNeeded:               dcap.OutOfDateConfigurationNeeded,
		dcap.ConfigurationAndSWHardeningNeeded: dcap.OutOfDateConfigurationNeeded,
		dcap.OutOfDateConfigurationNeeded:      dcap.OutOfDateConfigurationNeeded,
	}[platform]
}

func TestConvergenceWithAModule(t *testing.T) {
	l := newLab(t)
	for _, platform := range statuses() {
		for _, qe := range []dcap.Status{dcap.UpToDate, dcap.ConfigurationNeeded, dcap.OutOfDate, dcap.OutOfDateConfigurationNeeded, dcap.RevokedTCB} {
			for _, module := range []dcap.Status{dcap.UpToDate, dcap.OutOfDate, dcap.RevokedTCB} {
				d := tdWith(func(d *dcaptest.TD) { d.Identities[0].Levels = []dcaptest.SVNLevel{dcaptest.LevelAt(5, module)} })
				v, err := l.verify(l.td(d, rated(platform, qe)))
				if err != nil {
					t.Fatalf("platform %s, QE %s, module %s: %v", platform, qe, module, err)
				}
				got := []dcap.Status{v.Status, v.Platform, v.QE, v.TDXModule}
				if want := []dcap.Status{converged(platform, qe, module), platform, qe, module}; !slices.Equal(got, want) {
					t.Errorf("platform %s, QE %s, module %s: got %s, want %s", platform, qe, module, got, want)
				}
			}
		}
	}
}

// relaunch is the last paragraph of sgx-tdx.md section 8, written as a table: rows are the statuses at launch that are out of date,
// columns are the present ones.
func relaunch(launch, current dcap.Status) dcap.Status {
	const advised, configuration = dcap.TDRelaunchAdvised, dcap.TDRelaunchAdvisedConfigurationNeeded
	table := map[dcap.Status]map[dcap.Status]dcap.Status{
		dcap.OutOfDate: {
			dcap.UpToDate: advised, dcap.SWHardeningNeeded: advised,
			dcap.ConfigurationNeeded: configuration, dcap.ConfigurationAndSWHardeningNeeded: configuration,
		},
		dcap.OutOfDateConfigurationNeeded: {
			dcap.UpToDate: configuration, dcap.SWHardeningNeeded: configuration,
			dcap.ConfigurationNeeded: configuration, dcap.ConfigurationAndSWHardeningNeeded: configuration,
		},
	}
	if status, ok := table[launch][current]; ok {
		return status
	}
	return launch
}

// Each status is that of a TDX component, so that a TD can be launched at one and run at any other.
func TestRelaunchOverAllPairs(t *testing.T) {
	l := newLab(t)
	all := statuses()
	for _, kind := range []dcap.BodyType{dcap.TDReport10, dcap.TDReport15, dcap.TDReport15Ex} {
		for i, launch := range all {
			for j, current := range all {
				d := dcaptest.NewTD(kind)
				d.Launched(5, 1, byte(9-i))
				d.Running(5, 1, byte(9-j))
				d.Components = nil
				for k := range all {
					d.Components = append(d.Components, [16]int{5, 0, 9 - k})
				}
				want := launch
				if kind != dcap.TDReport10 {
					want = relaunch(launch, current)
				}
				v, err := l.verify(l.td(d, platformLevels(all...)))
				if err != nil || v.Status != want || v.Platform != launch {
					t.Errorf("type %d, launched %s, running %s: got %+v (%v), want %s", kind, launch, current, v, err, want)
				}
			}
		}
	}
}

// launchedOn is a TD 1.5 that was launched on a module out of date.
func launchedOn(running ...byte) *dcaptest.TD {
	d := dcaptest.NewTD(dcap.TDReport15)
	d.Launched(3, 1, 3)
	d.Running(running...)
	d.Identities = append(d.Identities, dcaptest.NewModule("TDX_02", dcaptest.LevelAt(2, dcap.UpToDate), dcaptest.LevelAt(1, dcap.OutOfDate)))
	return d
}

func TestRelaunchBecauseOfTheModule(t *testing.T) {
	l := newLab(t)
	same := func(*assaytest.Scenario) {}
	for _, tt := range []struct {
		what    string
		running []byte
		change  func(*assaytest.Scenario)
		want    dcap.Status
	}{
		{"updated", []byte{5, 1, 3}, same, dcap.TDRelaunchAdvised},
		{"updated to another version", []byte{2, 2, 3}, same, dcap.TDRelaunchAdvised},
		{"not updated", []byte{3, 1, 3}, same, dcap.OutOfDate},
		{"updated to another version that is out of date", []byte{1, 2, 3}, same, dcap.OutOfDate},
		{"revoked since", []byte{1, 1, 3}, same, dcap.OutOfDate},
		{"updated, platform to be configured", []byte{5, 1, 3}, rated(dcap.ConfigurationNeeded, dcap.UpToDate), dcap.TDRelaunchAdvisedConfigurationNeeded},
		{"updated, quoting enclave out of date", []byte{5, 1, 3}, rated(dcap.UpToDate, dcap.OutOfDate), dcap.OutOfDate},
		{"updated, quoting enclave revoked", []byte{5, 1, 3}, rated(dcap.UpToDate, dcap.RevokedTCB), dcap.RevokedTCB},
		{"updated to version 0, which is not rated", []byte{5, 0, 3}, same, dcap.TDRelaunchAdvised},
	} {
		v, err := l.verify(l.td(launchedOn(tt.running...), tt.change))
		if err != nil || v.Status != tt.want || v.TDXModule != dcap.OutOfDate {
			t.Errorf("%s: got %+v (%v), want %s", tt.what, v, err, tt.want)
		}
	}
}

// Where the TD as it runs now cannot be rated, the quote fails.
func TestSecondEvaluationThatFails(t *testing.T) {
	l := newLab(t)
	for _, kind := range []dcap.BodyType{dcap.TDReport15, dcap.TDReport15Ex} {
		for what, running := range map[string][]byte{
			"version that nobody describes": {5, 9, 3}, "module below every level": {0, 1, 3}, "platform below every level": {5, 1, 2},
			"version 0 below every level": {4, 0, 3}, "all zero": {},
		} {
			d := dcaptest.NewTD(kind)
			d.Running(running...)
			_, err := l.verify(l.td(d))
			dcaptest.Expect(t, fmt.Sprintf("type %d, %s", kind, what), err, evidence.TCBNotSupported)
		}
	}
	d := dcaptest.NewTD(dcap.TDReport15)
	d.Launched(5, 9, 3)
	_, err := l.verify(l.td(d))
	dcaptest.Expect(t, "launched on a version that nobody describes", err, evidence.TDXModule)
}

func TestRemedyOfATDLaunchedOnAnOlderPlatform(t *testing.T) {
	l := newLab(t)
	v, err := l.verify(l.td(launchedOn(5, 1, 3)))
	if err != nil {
		t.Fatal(err)
	}
	want := "launch the TD again, since it was launched on an older platform (TDX_01 isvsvn is 3 and must be 5), see INTEL-SA-90007, or list TDRelaunchAdvised in the setting"
	if got := v.Remedy("the setting"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Row 25 of sgx-tdx.md section 12: the earliest date of all, the advisories of all.
func TestDateAndAdvisoriesOfAllThreeParts(t *testing.T) {
	l := newLab(t)
	dates := []time.Time{time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2022, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)}
	for turn := range 3 {
		platform, qe, module := dates[turn], dates[(turn+1)%3], dates[(turn+2)%3]
		d := tdWith(func(d *dcaptest.TD) {
			level := dcaptest.LevelAt(5, dcap.OutOfDate, "INTEL-SA-4", "INTEL-SA-2")
			level.Date = module.Format(time.RFC3339)
			d.Identities[0].Levels = []dcaptest.SVNLevel{level}
		})
		v, err := l.verify(l.td(d, rated(dcap.UpToDate, dcap.OutOfDate), func(s *assaytest.Scenario) {
			s.Levels[0].Date, s.Levels[0].Advisories = platform, []string{"INTEL-SA-2", "INTEL-SA-1"}
			s.QELevels[0].Date, s.QELevels[0].Advisories = qe, []string{"INTEL-SA-3", "INTEL-SA-2"}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"INTEL-SA-1", "INTEL-SA-2", "INTEL-SA-3", "INTEL-SA-4"}; !v.Date.Equal(dates[0]) || !slices.Equal(v.AdvisoryIDs, want) {
			t.Errorf("turn %d: got %v, %v, want %v, %v", turn, v.Date, v.AdvisoryIDs, dates[0], want)
		}
	}
}

func TestShortfallsOfATD(t *testing.T) {
	l := newLab(t)
	same := func(*assaytest.Scenario) {}
	for _, tt := range []struct {
		what     string
		launched []byte
		change   func(*assaytest.Scenario)
		want     []string
	}{
		{"nothing", []byte{5, 1, 3}, same, nil},
		{"above", []byte{9, 1, 9, 9}, same, nil},
		{"module", []byte{4, 1, 3}, same, []string{"TDX_01 isvsvn is 4 and must be 5"}},
		{"TDX component", []byte{5, 1, 2}, same, []string{"tdxtcbcomp03svn is 2 and must be 3"}},
		{"module without an identity", []byte{4, 0, 3}, same, []string{"tdxtcbcomp01svn is 4 and must be 5"}},
		{"all", []byte{4, 1, 2}, func(s *assaytest.Scenario) { s.Platform.SVN[6] = 0; s.Platform.PCESVN = 12; s.QE.SVN = 7 },
			[]string{"sgxtcbcomp07svn is 0 and must be 1", "pcesvn is 12 and must be 13", "tdxtcbcomp03svn is 2 and must be 3",
				"QE isvsvn is 7 and must be 8", "TDX_01 isvsvn is 4 and must be 5"}},
	} {
		d := tdWith(func(d *dcaptest.TD) {
			d.Launched(tt.launched...)
			d.Components = [][16]int{{5, 0, 3}, {}}
		})
		v, err := l.verify(l.td(d, tt.change))
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
			continue
		}
		var got []string
		for _, short := range v.Shortfalls {
			got = append(got, short.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.what, got, tt.want)
		}
	}
}

// A refusal below every level says what is short of the lowest.
func TestRefusalBelowEveryLevelNamesTheComponent(t *testing.T) {
	l := newLab(t)
	for want, launched := range map[string][]byte{
		"tdxtcbcomp03svn is 2 and must be 3": {5, 1, 2}, "tdxtcbcomp01svn is 4 and must be 5": {4, 0, 3}, "isvsvn at least 1": {0, 1, 3},
	} {
		_, err := l.verify(l.td(tdWith(func(d *dcaptest.TD) { d.Launched(launched...) })))
		dcaptest.Expect(t, want, err, evidence.TCBNotSupported)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %q", err, want)
		}
	}
}
