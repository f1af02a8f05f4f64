// Package dcaptest is what the tests of the packages that verify quotes have in common: they judge the cases of the vectors, compare
// outcomes, and simulate TDX guests.
package dcaptest

import (
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// Endorsed is a quote whose origin is known, with what it is to be verified with.
type Endorsed struct {
	Verifier *dcap.Verifier
	Origin   *dcap.Origin
	Input    dcap.Input
}

// Endorse traces the quote of a case and gives each file of the folder to the verifier as it is.
func Endorse(t testing.TB, c vectortest.DCAPCase, q *dcap.Quote) (e Endorsed, err error) {
	t.Helper()
	roots := dcap.IntelRoots()
	if c.Root != nil {
		if roots, err = dcap.NewRoots(c.Root); err != nil {
			t.Fatal(err)
		}
	}
	e.Verifier = dcap.NewVerifier(roots)
	if e.Origin, err = e.Verifier.Trace(q, c.Now, nil); err != nil {
		return e, err
	}
	expiry := map[string]dcap.Expiry{"strict": dcap.Enforce, "no-crl": dcap.Enforce, "pinned": dcap.Pinned, "ignore-collateral-dates": dcap.Ignore}[c.Policy]
	e.Input.Options = dcap.Options{At: c.Now, Expiry: expiry, WithoutCRLs: c.Policy == "no-crl"}
	e.Input.Collateral, err = Load(e.Verifier, e.Origin, c.Files)
	return e, err
}

// Load verifies the documents of a folder that are there; what is missing is left to the verification.
func Load(v *dcap.Verifier, o *dcap.Origin, files map[string][]byte) (c dcap.Collateral, err error) {
	has := func(names ...string) bool {
		return err == nil && !slices.ContainsFunc(names, func(n string) bool { return files[n] == nil })
	}
	if has("root_ca_crl.der") {
		c.RootCRL, err = v.RootCRL(files["root_ca_crl.der"], o.Anchor())
	}
	if has("pck_crl.der") {
		c.PCKCRL, err = v.PCKCRL(files["pck_crl.der"], o.CA())
	}
	if has("tcb_info.json", "tcb_info_issuer_chain.pem") {
		c.TCBInfo, err = v.TCBInfo(files["tcb_info.json"], files["tcb_info_issuer_chain.pem"])
	}
	if has("qe_identity.json", "qe_identity_issuer_chain.pem") {
		c.QEIdentity, err = v.QEIdentity(files["qe_identity.json"], files["qe_identity_issuer_chain.pem"])
	}
	return c, err
}

// Files names the documents as a folder of collateral does.
func Files(c assaytest.Collateral) map[string][]byte {
	return map[string][]byte{
		"tcb_info.json": c.TCBInfo, "tcb_info_issuer_chain.pem": c.TCBInfoChain,
		"qe_identity.json": c.QEIdentity, "qe_identity_issuer_chain.pem": c.QEIdentityChain,
		"pck_crl.der": c.PCKCRL, "root_ca_crl.der": c.RootCRL,
	}
}

// Folder reads a folder of collateral among the vectors.
func Folder(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := Files(assaytest.Collateral{})
	for name := range files {
		files[name] = vectortest.Read(t, dir+"/"+name)
	}
	return files
}

// Outcome compares what came of a case with what the index says: facts, or the error.
func Outcome(t *testing.T, c vectortest.DCAPCase, v *dcap.Verified, err error) {
	t.Helper()
	switch {
	case !c.Accept:
		Refused(t, err, c.Reasons)
	case err != nil:
		t.Fatalf("refused: %v", err)
	default:
		accepted(t, c, v)
	}
}

// Refused checks that err is a refusal for one of reasons.
func Refused(t testing.TB, err error, reasons []string) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || !slices.Contains(reasons, string(r.Check)) {
		t.Errorf("got %v, want a refusal for one of %v", err, reasons)
	}
}

func accepted(t *testing.T, c vectortest.DCAPCase, v *dcap.Verified) {
	t.Helper()
	got := []string{string(v.Status), string(v.Platform), string(v.QE), string(v.TDXModule), v.Date.UTC().String()}
	want := []string{c.Status, c.PlatformStatus, c.QEStatus, c.ModuleStatus, c.TCBDate.UTC().String()}
	if !slices.Equal(got, want) {
		t.Errorf("status, platform, QE, TDX module, date: got %q, want %q", got, want)
	}
	advisories := slices.Sorted(slices.Values(c.AdvisoryIDs))
	if !slices.Equal(v.AdvisoryIDs, advisories) {
		t.Errorf("advisories: got %v, want %v", v.AdvisoryIDs, advisories)
	}
	if len(c.Evaluations) > 0 && v.EvaluationNumber != slices.Min(c.Evaluations) {
		t.Errorf("evaluation number: got %d, want %d", v.EvaluationNumber, slices.Min(c.Evaluations))
	}
}

// Expect fails the test unless err is a refusal for one of checks, or nil where none is given.
func Expect(t testing.TB, what string, err error, checks ...evidence.Check) {
	t.Helper()
	if len(checks) == 0 {
		if err != nil {
			t.Errorf("%s: got %v, want it accepted", what, err)
		}
		return
	}
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || !slices.Contains(checks, r.Check) {
		t.Errorf("%s: got %v, want a refusal for %v", what, err, checks)
	}
}

// Claims gives claims by name.
func Claims(list []evidence.Claim) map[string]any {
	claims := map[string]any{}
	for _, c := range list {
		claims[c.Name] = c.Value
	}
	return claims
}

// Edit changes the bytes of one part of a scenario. It keeps the edits made before.
func Edit(part assaytest.Part, change func([]byte) []byte) func(*assaytest.Scenario) {
	return func(s *assaytest.Scenario) {
		before := s.Edit.Bytes
		s.Edit.Bytes = func(p assaytest.Part, b []byte) []byte {
			if before != nil {
				b = before(p, b)
			}
			if p != part {
				return b
			}
			return change(b)
		}
	}
}
