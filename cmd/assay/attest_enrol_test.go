package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// enrollingService is a service in development mode that enrols TPMs of a maker; it gives the flags that name it.
func enrollingService(t *testing.T, maker *swtpmtest.Maker) (flags, issuer []string) {
	t.Helper()
	return serviceOf(t, maker.Root, maker.Issuer)
}

// serviceOf enrols TPMs whose certificates lead to the root over the issuer.
func serviceOf(t *testing.T, root, under *x509.Certificate) (flags, issuer []string) {
	t.Helper()
	file := func(name string, c *x509.Certificate) string {
		return tempFile(t, name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	config := tempFile(t, "config.yaml", "ek_roots:\n  - {file: "+file("root.pem", root)+"}\nek_intermediates: ["+
		file("issuer.pem", under)+"]\nsettings:\n  aik_enrolment: vendor\n")
	data := t.TempDir()
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", data, "--policy", "Tpm="+tempFile(t, "policy.txt", machinePolicy), "--config", config)
	token := assay(t, "dev", "token", "--role", "reader", "--data", data)
	return []string{"--endpoint", s.URL, "--ca", s.CA, "--token-file", tempFile(t, "token", token.stdout)}, []string{"--issuer", s.URL, "--ca", s.CA}
}

// machineBanks are machines whose logs and TPMs have one bank in common or two.
func machineBanks() []machineBank {
	return []machineBank{
		{"tpm/eventlogs/tpm2tools-moklisttrusted.bin", []string{"sha256", "sha384"}, []string{"SHA256"}},
		{rigLog, []string{"sha384"}, []string{"SHA384"}},
		{rigLog, []string{"sha1", "sha256", "sha384"}, []string{"SHA256", "SHA384"}},
	}
}

type machineBank struct {
	log    string   // of the vectors
	tpm    []string // its banks
	common []string // those that count, in which is quoted
}

// TestAFreshMachineEnrolsAndAttestsWithEachSchemeBankAndKey goes all the way: TPM, enrolment, logs, service, token verify. The service knows nothing of the
// machines but who made their TPMs.
func TestAFreshMachineEnrolsAndAttestsWithEachSchemeBankAndKey(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	machines := machineBanks()
	var tpms []*swtpmtest.TPM
	for _, m := range machines {
		s := maker.Start(t, m.tpm...)
		s.Boot(t, vectortest.Read(t, m.log))
		tpms = append(tpms, s)
	}
	r := &tpmRig{}
	r.service, r.issuer = enrollingService(t, maker)
	bindings := []struct{ kind, binding string }{{"software", "tpm_quote"}, {"tpm", "tpm_quote"}, {"certified", "tpm_certify"}}
	for i, m := range machines {
		r.tpm, r.log = tpms[i], vectortest.Path(t, m.log)
		for j, scheme := range attester.Schemes() {
			certificate := filepath.Join(t.TempDir(), "aik.pem")
			enrol := []string{"--enroll"}
			for k, b := range bindings {
				if i < 2 && k != (i+j)%3 {
					continue // all keys where there are both banks, and each key with each bank
				}
				o := r.attest(t, append(enrol, "--aik", scheme, "--aik-cert", certificate, "--key", b.kind, "--nonce", "c0ffee", "--json")...)
				r.wantReport(t, o, b.binding, m.common)
				enrol = nil
			}
		}
	}
}

// wantReport checks the report of a run of attest tpm --nonce c0ffee, and has a relying party take it.
func (r *tpmRig) wantReport(t *testing.T, o outcome, binding string, banks []string) {
	t.Helper()
	var got machineReport
	o.read(t, &got)
	if !got.Verified || !slices.Equal(got.Banks, banks) || numbers(got.PCRs) != "0-15,17-22" || got.Unexplained != nil {
		t.Fatalf("status %d, banks %v, PCRs %s, not explained %v: %s%s", o.status, got.Banks, numbers(got.PCRs), got.Unexplained, o.stdout, o.stderr)
	}
	var claims struct {
		Nonce      string
		RequestKey struct{ Info map[string]json.RawMessage } `json:"x-ms-tpm-request-key"`
	}
	if err := json.Unmarshal(got.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Nonce != b64url([]byte{0xc0, 0xff, 0xee}) || claims.RequestKey.Info[binding] == nil {
		t.Errorf("nonce %q, request key %v, want it bound by %s", claims.Nonce, claims.RequestKey, binding)
	}
	assay(t, slices.Concat([]string{"token", "verify", got.Token}, r.issuer)...).want(t, exitOK, "VERIFIED", "")
}

// TestAMachineEnrolsAndAttests: the service knows nothing of the machine but who made its TPM.
func TestAMachineEnrolsAndAttests(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	tpm := maker.Start(t)
	tpm.Boot(t, vectortest.Read(t, rigLog))
	service, issuer := enrollingService(t, maker)
	certificate := filepath.Join(t.TempDir(), "aik.pem")
	attest := func(s *swtpmtest.TPM, flags ...string) outcome {
		return assay(t, slices.Concat([]string{"attest", "tpm", "--swtpm", s.Socket, "--event-log", vectortest.Path(t, rigLog)}, service, flags)...)
	}
	o := attest(tpm, "--enroll", "--aik-cert", certificate)
	o.want(t, exitOK, "VERIFIED", "")
	o.want(t, exitOK, certificate, "")
	raw := attest(tpm, "--aik-cert", certificate, "--key", "certified", "--raw")
	assay(t, slices.Concat([]string{"token", "verify", strings.TrimSpace(raw.stdout)}, issuer)...).want(t, exitOK, "VERIFIED", "")

	other := swtpmtest.NewMaker(t).Start(t)
	other.Boot(t, vectortest.Read(t, rigLog))
	attest(other, "--enroll").want(t, exitRefused, "ek-certificate", "")
	attest(swtpmtest.Start(t), "--enroll").want(t, exitRefused, "REFUSED", "") // it has no certificate
	attest(other, "--aik-cert", certificate).want(t, exitUsage, "", "another key than this TPM's")
}

// TestMachinesEnrolByEndorsementKeysOnCurves, as the TCG's profile has them: P-384 as swtpm_setup makes it, and P-256 with a CA of the test.
func TestMachinesEnrolByEndorsementKeysOnCurves(t *testing.T) {
	attest := func(s *swtpmtest.TPM, service []string) {
		t.Helper()
		s.Boot(t, vectortest.Read(t, rigLog))
		flags := []string{"attest", "tpm", "--swtpm", s.Socket, "--event-log", vectortest.Path(t, rigLog), "--aik", "ecdsa-p256"}
		assay(t, slices.Concat(flags, service)...).want(t, exitRefused, "REFUSED", "") // nobody vouches for its AIK
		assay(t, slices.Concat(flags, service, []string{"--enroll"})...).want(t, exitOK, "VERIFIED", "")
	}
	maker := swtpmtest.NewMaker(t)
	high := maker.Start(t)
	swtpmtest.Remove(t, high.Open(t), swtpmtest.EKCertificateRSA)
	service, _ := enrollingService(t, maker)
	attest(high, service)

	ca := swtpmtest.NewCA(t)
	low := swtpmtest.Start(t)
	c := low.Open(t)
	swtpmtest.Store(t, c, swtpmtest.EKCertificateP256, ca.CertifyEK(t, swtpmtest.EK(t, c, tpm2.Marshal(tpm2.ECCEKTemplate))))
	service, _ = serviceOf(t, ca.Certificate, ca.Certificate)
	attest(low, service)
}
