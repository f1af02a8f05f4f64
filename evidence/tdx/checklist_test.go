package tdx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// checklistRow is a row of the table in sgx-tdx.md section 12: faults that must be refused, and what else must hold.
type checklistRow struct {
	number int
	what   string
	faults []string
	also   func(t *testing.T, l *lab)
}

// The rows that are about TDX, or about what TDX has in a form of its own. All faults of the others are tried on a TD too.
func checklist() []checklistRow {
	return []checklistRow{
		{1, "QE identity unsigned, not checked, or of another kind",
			[]string{"qe-identity-other-key", "qe-identity-signature-zero", "qe-identity-status-changed"}, identityOfSGX},
		{3, "platform OutOfDate, TDX module UpToDate", nil, platformDecides},
		{5, "TDX components 0 and 1", nil, modulesHaveComponentsOfTheirOwn},
		{6, "module id in hex of either case", nil, idsAreHex},
		{7, "module that nobody describes, or of a foreign signer", nil, foreignModules},
		{17, "certification data of other types", []string{"cert-type-1", "cert-type-2", "cert-type-3", "cert-type-4", "cert-type-7", "chain-der"}, nil},
		{23, "bytes behind a quote", nil, trailingBytesAreAccepted},
		{24, "debug TDs", []string{"qe-debug"}, debugIsAClaim},
		{25, "TCB date without that of the module", nil, earliestDateCounts},
		{28, "collateral signed by another certificate of the root", []string{"tcb-signer-name", "tcb-info-signer-is-pck-ca",
			"qe-identity-signer-is-pck-ca", "tcb-info-chain-without-root", "tcb-info-chain-too-long"}, nil},
	}
}

func TestChecklist(t *testing.T) {
	named := map[string]assaytest.Fault{}
	for _, f := range faults() {
		named[f.Name] = f
	}
	l := newLab(t)
	for _, row := range checklist() {
		t.Run(fmt.Sprintf("%d %s", row.number, row.what), func(t *testing.T) {
			for _, name := range row.faults {
				f, ok := named[name]
				if !ok {
					t.Errorf("assaytest has no fault %q", name)
					continue
				}
				_, err := l.judge(l.scenario(dcaptest.NewTD(dcap.TDReport10), f.Apply))
				dcaptest.Expect(t, name, err, f.Checks...)
			}
			if row.also != nil {
				row.also(t, l)
			}
		})
	}
}

// td is a TD 1.0 with changes.
func td(changes ...func(*dcaptest.TD)) *dcaptest.TD {
	d := dcaptest.NewTD(dcap.TDReport10)
	for _, change := range changes {
		change(d)
	}
	return d
}

// stands checks the statuses of what is accepted: converged, platform, module.
func stands(t *testing.T, what string, l *lab, s *assaytest.Scenario, want ...dcap.Status) {
	t.Helper()
	v, err := l.judge(s)
	if err != nil {
		t.Errorf("%s: got %v, want %v", what, err, want)
		return
	}
	if got := []dcap.Status{v.Status, v.Platform, v.TDXModule}; !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func identityOfSGX(t *testing.T, l *lab) {
	for _, id := range []string{"QE", "QVE", "QAE"} {
		change := dcaptest.Edit(assaytest.QEIdentityBody, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"id":"TD_QE"`, `"id":"`+id+`"`, 1)) })
		_, err := l.judge(l.scenario(td(), change))
		dcaptest.Expect(t, id, err, evidence.QEIdentityMismatch)
	}
}

func platformDecides(t *testing.T, l *lab) {
	low := func(s *assaytest.Scenario) {
		at := assaytest.TCBLevels(assaytest.StandardEvaluation)[4]
		s.Platform.SVN, s.Platform.PCESVN = at.SVN, at.PCESVN
	}
	stands(t, "platform low", l, l.scenario(td(), low), dcap.OutOfDate, dcap.OutOfDate, dcap.UpToDate)
	stands(t, "module low", l, l.scenario(td(func(d *dcaptest.TD) { d.Launched(4, 1, 3) })), dcap.OutOfDate, dcap.UpToDate, dcap.OutOfDate)
}

func modulesHaveComponentsOfTheirOwn(t *testing.T, l *lab) {
	above := func(d *dcaptest.TD) { d.Components = [][16]int{{7, 2, 3}, {5, 0, 3}} }
	stands(t, "version 1", l, l.scenario(td(above)), dcap.UpToDate, dcap.UpToDate, dcap.UpToDate)
	_, err := l.judge(l.scenario(td(above, func(d *dcaptest.TD) { d.Launched(4, 0, 3) })))
	dcaptest.Expect(t, "version 0", err, evidence.TCBNotSupported)
}

func idsAreHex(t *testing.T, l *lab) {
	for _, id := range []string{"TDX_0A", "TDX_0a"} {
		d := td(func(d *dcaptest.TD) { d.Launched(5, 10, 3); d.Identities[0].ID = id })
		stands(t, id, l, l.scenario(d), dcap.UpToDate, dcap.UpToDate, dcap.UpToDate)
	}
	_, err := l.judge(l.scenario(td(func(d *dcaptest.TD) { d.Launched(5, 10, 3); d.Identities[0].ID = "TDX_10" })))
	dcaptest.Expect(t, "TDX_10 for version 10", err, evidence.TDXModule)
}

func foreignModules(t *testing.T, l *lab) {
	for what, change := range map[string]func(*dcaptest.TD){
		"version without identity": func(d *dcaptest.TD) { d.Launched(5, 9, 3) },
		"MRSIGNERSEAM":             func(d *dcaptest.TD) { d.Report[dcaptest.MRSIGNERSEAM] = 1 },
		"SEAMATTRIBUTES":           func(d *dcaptest.TD) { d.Report[dcaptest.SEAMAttributes] = 1 },
	} {
		_, err := l.judge(l.scenario(td(change)))
		dcaptest.Expect(t, what, err, evidence.TDXModule)
	}
}

func trailingBytesAreAccepted(t *testing.T, l *lab) {
	b, err := l.scenario(td()).Quote()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 39, 70, 3065} {
		e, err := tdx.Parse(append(slices.Clone(b), make([]byte, n)...))
		if err != nil || e.Quote.Trailing != n {
			t.Errorf("%d bytes behind the quote: got %+v (%v)", n, e, err)
		}
	}
}

func debugIsAClaim(t *testing.T, l *lab) {
	v, err := l.judge(l.scenario(td(func(d *dcaptest.TD) { d.Report[dcaptest.TDAttributes] = 1 })))
	if err != nil {
		t.Fatal(err)
	}
	claims := dcaptest.Claims(v.Claims())
	if !v.Report.Debug() || claims["dbgstat"] != "enabled" || claims["tdx_td_attributes_debug"] != true {
		t.Error("a debug TD does not show as one")
	}
}

func earliestDateCounts(t *testing.T, l *lab) {
	early := time.Date(2019, 3, 13, 0, 0, 0, 0, time.UTC)
	v, err := l.judge(l.scenario(td(func(d *dcaptest.TD) { d.Identities[0].Levels[0].Date = early.Format(time.RFC3339) })))
	if err != nil || !v.Date.Equal(early) {
		t.Errorf("got %+v (%v), want the date %v", v, err, early)
	}
}
