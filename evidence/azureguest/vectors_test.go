package azureguest_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// vector is a case of vectors/tpm/azure-guest/index.json.
type vector struct {
	ID, Request, Expect, Code string
	Roots                     struct {
		VTPM          string
		Intermediates []string `json:"vtpm_intermediates"`
		AMD           string
	}
	At    time.Time
	Facts struct {
		SecureBoot *bool `json:"secure_boot"`
		Isolation  string
		Modulus    string `json:"enc_key_pem_n"`
	}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var index struct{ Cases []vector }
	vectortest.ReadJSON(t, "tpm/azure-guest/index.json", &index)
	if len(index.Cases) == 0 {
		vectortest.NoCase(t, "case of an Azure guest")
	}
	return index.Cases
}

// named gives a case by its id.
func named(t testing.TB, id string) vector {
	t.Helper()
	for _, c := range vectors(t) {
		if c.ID == id {
			return c
		}
	}
	vectortest.NoCase(t, "case "+id)
	return vector{}
}

// meaning gives the checks that are right for a reason class of the index.
func meaning(code string) []evidence.Check {
	return map[string][]evidence.Check{
		"JSON":              {evidence.GuestRequest},
		"BASE64":            {evidence.GuestRequest},
		"PROTOCOL_VERSION":  {evidence.GuestProtocol},
		"ISOLATION_TYPE":    {evidence.IsolationType},
		"KEY_MISMATCH":      {evidence.AIKKey},
		"NO_CHAIN":          {evidence.AIKCertificate, evidence.SNPChain, evidence.UntrustedRoot},
		"SIGNATURE":         {evidence.AttestSignature},
		"NONCE":             {evidence.AttestNonce},
		"MAGIC":             {evidence.AttestType},
		"TYPE":              {evidence.AttestType},
		"SELECTION_EMPTY":   {evidence.PCRSelection},
		"PCR_DIGEST":        {evidence.PCRDigest},
		"REPLAY":            {evidence.EventLogReplay},
		"CERTIFY_NAME":      {evidence.CertifiedKey},
		"ENCKEY_ATTRIBUTES": {evidence.SealingKey},
		"ENCKEY_POLICY":     {evidence.SealingPolicy},
		"REPORT_DATA":       {evidence.RuntimeData},
		"VMPL":              {evidence.PrivilegeLevel},
		"AK_BINDING":        {evidence.AKBinding},
	}[code]
}

// choices are the cases that the index leaves open, as README.md section 10.2 of the specification decides them.
func choices(id string) (accepted, decided bool) {
	accepted, decided = map[string]bool{"az-cpp-empty-log": true, "az-bad-ak-cert-root": true}[id]
	return accepted, decided
}

func TestVectors(t *testing.T) {
	for _, c := range vectors(t) {
		t.Run(c.ID, func(t *testing.T) {
			v, err := c.verify(t, azureguest.Input{})
			accepted, decided := choices(c.ID)
			if !decided {
				accepted = strings.HasPrefix(c.Expect, "accept")
			}
			if !accepted {
				refusedFor(t, err, meaning(c.Code)...)
				return
			}
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			c.compare(t, v)
		})
	}
}

// compare holds what was verified against the facts of the index.
func (c vector) compare(t *testing.T, v *azureguest.Verified) {
	t.Helper()
	if n := b64.URL(v.Recipient().N.Bytes()); c.Facts.Modulus != "" && n != c.Facts.Modulus {
		t.Errorf("sealing key %s, want %s", n, c.Facts.Modulus)
	}
	if boot := azureguest.Boot(v); c.Facts.SecureBoot != nil && (boot == nil || boot.SecureBoot().Enabled != *c.Facts.SecureBoot) {
		t.Errorf("secure boot is not %t", *c.Facts.SecureBoot)
	}
	if isolated := v.RuntimeData() != nil; c.Facts.Isolation != "" && isolated != (c.Facts.Isolation == "sevsnpvm") {
		t.Errorf("isolated: %t, want %s", isolated, c.Facts.Isolation)
	}
}

// information is what the request of the case has in AttestationInfo.
func (c vector) information(t testing.TB) ([]byte, error) {
	t.Helper()
	return information(t, "tpm/azure-guest/"+c.Request)
}

// information decodes AttestationInfo of a request. What is not base64 is refused by whoever reads the request.
func information(t testing.TB, rel string) ([]byte, error) {
	t.Helper()
	var body struct{ AttestationInfo string }
	if err := json.Unmarshal(vectortest.Read(t, rel), &body); err != nil {
		t.Fatal(err)
	}
	b, err := b64.Decode(body.AttestationInfo)
	if err != nil {
		return nil, evidence.Refuse(evidence.GuestRequest, "AttestationInfo is not base64")
	}
	return b, nil
}

func limits() azureguest.Limits { return azureguest.Limits{Log: eventlog.DefaultLimits(), Depth: 8} }

// verify runs the case through the whole ladder, trusting its roots only.
func (c vector) verify(t testing.TB, in azureguest.Input) (*azureguest.Verified, error) {
	t.Helper()
	b, err := c.information(t)
	if err != nil {
		return nil, err
	}
	bundle, err := azureguest.Parse(b, limits())
	if err != nil {
		return nil, err
	}
	m, err := bundle.Verify(c.input(t, in))
	if err != nil {
		return nil, err
	}
	if bundle.Isolation == azureguest.TrustedLaunch {
		return m.OnTrustedLaunch()
	}
	report, err := c.report(t, bundle.Proof)
	if err != nil {
		return nil, err
	}
	return m.OnSNP(report)
}

// input completes what is demanded with time and roots of the case.
func (c vector) input(t testing.TB, in azureguest.Input) azureguest.Input {
	t.Helper()
	var intermediates []*x509.Certificate
	for _, name := range c.Roots.Intermediates {
		intermediates = append(intermediates, certificate(t, name))
	}
	in.At = c.At
	if in.Roots == nil && c.Roots.VTPM != "" {
		in.Roots = tpm.NewRoots([]tpm.Root{{Certificate: certificate(t, c.Roots.VTPM)}}, intermediates)
	}
	return in
}

func certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(vectortest.Read(t, "tpm/azure-guest/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// report verifies the SEV-SNP report of a bundle.
func (c vector) report(t testing.TB, proof []byte) (*snp.Verified, error) {
	t.Helper()
	roots, err := snp.NewRoots(vectortest.Read(t, "tpm/azure-guest/"+c.Roots.AMD))
	if err != nil {
		t.Fatal(err)
	}
	e, err := snp.Parse(proof)
	if err != nil {
		return nil, err
	}
	signer, err := roots.Trace(e.Chain, snp.Options{At: c.At})
	if err != nil {
		return nil, err
	}
	return snp.Verify(e.Report, signer, snp.Options{At: c.At})
}

func refusedFor(t testing.TB, err error, checks ...evidence.Check) {
	t.Helper()
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || !slices.Contains(checks, r.Check) {
		t.Errorf("got %v, want a refusal for one of %v", err, checks)
	}
}

// TestTheChainIsDemandedBySettingOnly: README.md section 10.2 of the specification.
func TestTheChainIsDemandedBySettingOnly(t *testing.T) {
	c := named(t, "az-bad-ak-cert-root")
	var journal evidence.Journal
	if _, err := c.verify(t, azureguest.Input{Journal: &journal}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(journal.Entries, func(e evidence.Entry) bool { return e.Name == evidence.AIKCertificate && e.Outcome == evidence.Skipped }) {
		t.Errorf("the journal does not say that the chain was passed over: %v", journal.Entries)
	}
	for _, in := range []azureguest.Input{{RequireChain: true}, {RequireChain: true, Strict: true}, {Strict: true}} {
		l := newLab(t, c.ID).set("ClientPayload", map[string]any{"nonce": "AAAA"}) // strict demands a nonce, too
		_, err := l.quote(t, qualified("\x00\x00\x00")).machine(t, in)
		refusedFor(t, err, evidence.AIKCertificate)
		if text := err.Error(); !strings.Contains(text, "azureguest_require_ak_chain") || strings.Contains(text, "on by strict") == in.RequireChain {
			t.Errorf("%+v: %s", in, text)
		}
	}
	if _, err := named(t, "az-cpp-linux-snp").verify(t, azureguest.Input{RequireChain: true}); err != nil {
		t.Errorf("a chain that holds: %v", err)
	}
}
