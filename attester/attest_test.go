package attester_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// TestAMachineAttestsWithEachSchemeAndKey: what the client sends is what the packages of the service accept.
func TestAMachineAttestsWithEachSchemeAndKey(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	ca := swtpmtest.NewCA(t)
	for scheme, name := range attester.Schemes() {
		m.Scheme = attester.Scheme(scheme)
		public, err := m.TPM.AIK(m.Scheme)
		if err != nil {
			t.Fatal(name, err)
		}
		m.AIKCertificate = ca.Certify(t, public)
		for kind, binding := range map[attester.KeyKind]string{
			attester.SoftwareKey: "tpm_quote", attester.TPMKey: "tpm_quote", attester.CertifiedKey: "tpm_certify",
		} {
			m.Key, m.Nonce = kind, []byte("nonce")
			j := &judge{t: t, roots: roots(ca), required: 0xFF}
			report, err := m.Attest(t.Context(), j.post)
			if err != nil {
				t.Errorf("%s, key %d: %v", name, kind, err)
				continue
			}
			check(t, j, report, kind, binding)
		}
	}
}

func check(t *testing.T, j *judge, report *attester.Report, kind attester.KeyKind, binding string) {
	t.Helper()
	if report.Text != "the report" {
		t.Errorf("report %q", report.Text)
	}
	if key := j.claim("x-ms-tpm-request-key"); !strings.Contains(key, binding) {
		t.Errorf("request key %s, want it bound by %s", key, binding)
	}
	if data, _ := j.verified.RPData(); data != "bm9uY2U" {
		t.Errorf("rp_data %q", data)
	}
	if (report.Private != nil) != (kind == attester.SoftwareKey) || report.Key == nil {
		t.Errorf("key %v, private %v", report.Key, report.Private != nil)
	}
	if !slices.Equal(report.Banks, []tpm.Alg{tpm.SHA256, tpm.SHA384}) {
		t.Errorf("banks %v", report.Banks)
	}
	if !bytes.Contains([]byte(j.claim("pcrs")), []byte("SHA384")) {
		t.Errorf("pcrs %s", j.claim("pcrs"))
	}
}
