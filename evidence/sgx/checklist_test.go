package sgx_test

import (
	"fmt"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// checklistRow is a row of the table in sgx-tdx.md section 12: faults that must be refused, and what else must hold.
type checklistRow struct {
	number int
	what   string
	faults []string
	also   func(t *testing.T, l *lab)
}

// Rows 3, 5 to 7 and 25 are about TDX.
func checklist() []checklistRow {
	return []checklistRow{
		{1, "QE identity unsigned, not checked, or of another kind",
			[]string{"qe-identity-other-key", "qe-identity-signature-zero", "qe-identity-status-changed", "qe-identity-td-qe"}, nil},
		{2, "TCB component list shorter than sixteen", []string{"tcb-info-components-15"}, nil},
		{4, "PCESVN comparison", nil, pcesvnDecides},
		{8, "Revoked is a status of a quote that holds", nil, revokedIsChecked},
		{9, "revocation", []string{"pck-revoked", "pck-ca-revoked", "tcb-signer-revoked"}, nil},
		{10, "CRL of another key or CA, expired, unparsable", []string{"pck-crl-other-key", "root-crl-other-key", "pck-crl-other-ca",
			"root-crl-other-ca", "pck-crl-expired", "root-crl-expired", "pck-crl-garbage", "root-crl-garbage"}, nil},
		{11, "PCK leaf used as a CA", []string{"pck-as-ca", "pck-as-ca-short"}, nil},
		{12, "another root with the same names", []string{"other-root", "tcb-info-other-root", "qe-identity-other-root"}, nil},
		{13, "attestation key replaced", []string{"attestation-key-forged"}, nil},
		{14, "damaged and impossible signatures, key off the curve", []string{"quote-signature", "quote-signature-s", "qe-report-signature",
			"pck-signature", "pck-ca-signature", "signature-zero", "qe-signature-zero", "signature-out-of-range", "key-off-curve"}, nil},
		{15, "lengths that do not add up", []string{"empty", "header-cut", "no-signature-data", "last-byte-cut", "signature-length-zero",
			"signature-length-huge", "signature-length-huge-v5", "signature-data-too-long", "outer-size-small-v4", "outer-too-long-v4",
			"auth-size-huge", "cert-size-huge"}, nil},
		{16, "header values", []string{"vendor-id", "key-type-p384", "version-2", "version-6", "tee-type-tdx-v3", "body-type-v5", "body-size-v5"}, nil},
		{17, "certification data of other types", []string{"cert-type-1", "cert-type-2", "cert-type-3", "cert-type-4", "cert-type-7",
			"outer-type-5-v4", "chain-der"}, nil},
		{18, "TCB info of another platform", []string{"tcb-info-other-fmspc", "tcb-info-other-pceid", "tcb-info-tdx", "tcb-info-type",
			"tcb-info-status-unknown"}, nil},
		{19, "JSON reordered, re-spaced, or of other types", []string{"tcb-info-reordered", "tcb-info-spaced", "qe-identity-reordered",
			"qe-identity-spaced", "tcb-info-component-float", "tcb-info-component-string", "tcb-info-component-negative",
			"tcb-info-component-256", "tcb-info-member-missing", "tcb-info-member-twice", "tcb-info-deep"}, nil},
		{20, "stale but signed collateral", []string{"tcb-info-expired", "qe-identity-expired"}, nil},
		{21, "issue date in the future", []string{"tcb-info-not-yet-valid", "qe-identity-not-yet-valid"}, nil},
		{22, "CRLs as PEM, DER, hex, with trailing NUL", nil, crlsInEveryForm},
		{23, "bytes behind a bare quote", nil, trailingBytesAreAccepted},
		{24, "debug enclaves", []string{"qe-debug"}, debugIsAClaim},
		{26, "data bound to the quote", nil, customClaimsAreBoundExactly},
		{27, "Open Enclave header", []string{"oe-size", "oe-local", "oe-nested", "oe-version", "oe-trailing"}, nil},
		{28, "collateral signed by another certificate of the root", []string{"tcb-signer-name", "tcb-info-signer-is-pck-ca",
			"qe-identity-signer-is-pck-ca", "tcb-info-chain-without-root", "tcb-info-chain-too-long"}, nil},
		{29, "PCK certificate not yet valid", []string{"pck-not-yet-valid", "pck-ca-not-yet-valid"}, nil},
		{30, "two evaluation numbers, two statuses", nil, evaluationDecides},
	}
}

func TestChecklist(t *testing.T) {
	faults := map[string]assaytest.Fault{}
	for _, f := range assaytest.Faults() {
		faults[f.Name] = f
	}
	l := newLab(t)
	for _, row := range checklist() {
		t.Run(fmt.Sprintf("%d %s", row.number, row.what), func(t *testing.T) {
			for _, name := range row.faults {
				f, ok := faults[name]
				if !ok {
					t.Errorf("assaytest has no fault %q", name)
					continue
				}
				_, err := l.judge(l.scenario(f.Apply))
				dcaptest.Expect(t, name, err, f.Checks...)
			}
			if row.also != nil {
				row.also(t, l)
			}
		})
	}
}

// platformAt puts the platform at a level of the standard evaluation.
func platformAt(level int) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		at := assaytest.TCBLevels(assaytest.StandardEvaluation)[level]
		s.Platform.SVN, s.Platform.PCESVN = at.SVN, at.PCESVN
	}
}

func status(t *testing.T, what string, l *lab, s *assaytest.Scenario, want dcap.Status) {
	t.Helper()
	v, err := l.judge(s)
	if err != nil {
		t.Errorf("%s: got %v, want %s", what, err, want)
		return
	}
	if v.Status != want {
		t.Errorf("%s: got %s, want %s", what, v.Status, want)
	}
}

// With the PCESVN one below that of its components' level, a platform falls to the level whose PCESVN it reaches.
func pcesvnDecides(t *testing.T, l *lab) {
	status(t, "PCESVN reached", l, l.scenario(platformAt(0)), dcap.UpToDate)
	status(t, "PCESVN one short", l, l.scenario(platformAt(0), func(s *assaytest.Scenario) { s.Platform.PCESVN-- }), dcap.SWHardeningNeeded)
	status(t, "PCESVN one more", l, l.scenario(platformAt(2), func(s *assaytest.Scenario) { s.Platform.PCESVN++ }), dcap.SWHardeningNeeded)
}

// The verifier states Revoked only after everything else has held.
func revokedIsChecked(t *testing.T, l *lab) {
	lowest := len(assaytest.TCBLevels(assaytest.StandardEvaluation)) - 1
	status(t, "platform", l, l.scenario(platformAt(lowest)), dcap.RevokedTCB)
	status(t, "quoting enclave", l, l.scenario(func(s *assaytest.Scenario) { s.QE.SVN = 4 }), dcap.RevokedTCB)
	for _, f := range assaytest.Faults() {
		switch f.Checks[0] {
		case evidence.QuoteSignature, evidence.QEReportSignature, evidence.QEReportData, evidence.QEIdentityMismatch, evidence.Revoked:
			_, err := l.judge(l.scenario(platformAt(lowest), f.Apply))
			dcaptest.Expect(t, "platform Revoked and "+f.Name, err, f.Checks...)
		}
	}
}

func crlsInEveryForm(t *testing.T, l *lab) {
	nul := func(b []byte) []byte { return append(b, 0) }
	for form, change := range map[string]func([]byte) []byte{
		"PEM": assaytest.CRLPEM, "hex": assaytest.CRLHex, "DER and NUL": nul,
		"PEM and NUL": func(b []byte) []byte { return nul(assaytest.CRLPEM(b)) },
		"hex and NUL": func(b []byte) []byte { return nul(assaytest.CRLHex(b)) },
	} {
		_, err := l.judge(l.scenario(func(s *assaytest.Scenario) {
			s.Edit.Bytes = func(p assaytest.Part, b []byte) []byte {
				if p == assaytest.PCKCRL || p == assaytest.RootCRL {
					return change(b)
				}
				return b
			}
		}))
		dcaptest.Expect(t, form, err)
	}
}

func trailingBytesAreAccepted(t *testing.T, l *lab) {
	s := l.scenario()
	b, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	padded := append(b, make([]byte, 3065)...)
	_, err = l.judgeEvidence(s, padded, sgx.Parse)
	dcaptest.Expect(t, "bare quote", err)
	_, err = l.judgeEvidence(s, assaytest.OpenEnclaveReport(padded), sgx.ParseOpenEnclave)
	dcaptest.Expect(t, "inside an Open Enclave report", err, evidence.QuoteFormat)
}

func debugIsAClaim(t *testing.T, l *lab) {
	v, err := l.judge(l.scenario(func(s *assaytest.Scenario) { s.Enclave.Debug = true }))
	if err != nil {
		t.Fatal(err)
	}
	if !v.Report.Debug() || dcaptest.Claims(v.Claims())["x-ms-sgx-is-debuggable"] != true {
		t.Error("a debug enclave does not show as one")
	}
}

func evaluationDecides(t *testing.T, l *lab) {
	for evaluation, want := range map[int]dcap.Status{assaytest.StandardEvaluation: dcap.UpToDate, assaytest.EarlyEvaluation: dcap.OutOfDate} {
		s := l.scenario(func(s *assaytest.Scenario) { s.Evaluation = evaluation })
		status(t, fmt.Sprint("evaluation ", evaluation), l, s, want)
	}
}
