package tdx_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestVectors(t *testing.T) {
	for _, c := range vectortest.DCAPCases(t, "tdx") {
		t.Run(c.Name, func(t *testing.T) {
			v, err := verify(t, c)
			if !c.Accept {
				refused(t, err, c.Reasons)
				return
			}
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			accepted(t, v, c)
		})
	}
}

// verify runs a case through the whole ladder, giving each file of the folder to the verifier as it is.
func verify(t *testing.T, c vectortest.DCAPCase) (*tdx.Verified, error) {
	t.Helper()
	roots := dcap.IntelRoots()
	if c.Root != nil {
		var err error
		if roots, err = dcap.NewRoots(c.Root); err != nil {
			t.Fatal(err)
		}
	}
	e, err := tdx.Parse(c.Quote)
	if err != nil {
		return nil, err
	}
	verifier := dcap.NewVerifier(roots)
	o, err := verifier.Trace(e.Quote, c.Now, nil)
	if err != nil {
		return nil, err
	}
	in := dcap.Input{Options: dcap.Options{At: c.Now, Expiry: map[string]dcap.Expiry{
		"strict": dcap.Enforce, "no-crl": dcap.Enforce, "pinned": dcap.Pinned, "ignore-collateral-dates": dcap.Ignore}[c.Policy],
		WithoutCRLs: c.Policy == "no-crl"}}
	if in.Collateral, err = load(verifier, o, c.Files); err != nil {
		return nil, err
	}
	return tdx.Verify(verifier, o, e, in)
}

// load verifies the documents that are there; what is missing is left to Verify.
func load(v *dcap.Verifier, o *dcap.Origin, files map[string][]byte) (c dcap.Collateral, err error) {
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

func refused(t *testing.T, err error, reasons []string) {
	t.Helper()
	r, ok := refusal(err)
	if !ok || !slices.Contains(reasons, string(r.Check)) {
		t.Errorf("got %v, want a refusal for one of %v", err, reasons)
	}
}

func accepted(t *testing.T, v *tdx.Verified, c vectortest.DCAPCase) {
	t.Helper()
	got := []string{string(v.Status), string(v.Platform), string(v.QE), string(v.TDXModule), v.Date.UTC().String()}
	want := []string{c.Status, c.PlatformStatus, c.QEStatus, c.ModuleStatus, c.TCBDate.UTC().String()}
	if !slices.Equal(got, want) {
		t.Errorf("status, platform, QE, module, date: got %q, want %q", got, want)
	}
	advisories := slices.Sorted(slices.Values(c.AdvisoryIDs))
	if !slices.Equal(v.AdvisoryIDs, advisories) {
		t.Errorf("advisories: got %v, want %v", v.AdvisoryIDs, advisories)
	}
	if len(c.Evaluations) > 0 && v.EvaluationNumber != slices.Min(c.Evaluations) {
		t.Errorf("evaluation number: got %d, want %d", v.EvaluationNumber, slices.Min(c.Evaluations))
	}
}

func refusal(err error) (*evidence.Refusal, bool) { return errors.AsType[*evidence.Refusal](err) }
