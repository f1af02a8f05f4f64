package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// The pins of a real service: pinned once, pinned again, taken away, gone.
func TestPinsOfAService(t *testing.T) {
	config := tempFile(t, "assay.yaml", "settings:\n  aik_enrolment: pinned\n")
	m := manage(t, "--config", config)
	hash := strings.Repeat("ab", 32)
	for _, kind := range []string{"ek", "aik"} {
		flags := " --kind " + kind + " --hash " + hash
		m.run(t, "aik pin"+flags).want(t, exitOK, "PINNED  "+kind+" "+hash, "")
		m.run(t, "aik pin"+flags).want(t, exitOK, "ALREADY PINNED  "+kind, "")
		m.run(t, "aik unpin"+flags).want(t, exitOK, "UNPINNED  "+kind, "")
		m.run(t, "aik unpin"+flags).want(t, exitRefused, "NotFound", "")
	}
	m.run(t, "aik list").want(t, exitOK, "CERTIFICATES  0", "")
	m.run(t, "aik show 1").want(t, exitRefused, "REFUSED", "")
	m.run(t, "aik revoke 1").want(t, exitRefused, "REFUSED", "")
}

func TestAServiceThatDoesNotEnrolSaysSo(t *testing.T) {
	m := manage(t)
	m.run(t, "aik pin --kind ek --hash "+strings.Repeat("ab", 32)).want(t, exitRefused, "aik_enrolment", "")
	m.run(t, "aik list").want(t, exitOK, "CERTIFICATES  0", "")
}

// post sends JSON as an owner, and reads the answer.
func (m *managed) post(t *testing.T, path string, body map[string]any, status int, answer any) {
	t.Helper()
	client, err := (&call{env: &env{}}).client(m.CA)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, m.URL+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+m.token(t, "owner"))
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil || response.StatusCode != status {
		t.Fatalf("%s: status %d: %v %v", path, response.StatusCode, answer, err)
	}
}

// TestDevelopmentModeEnrolsSimulatedMachines of the maker whose keys everybody has, where the provider enrols by certificates, and no others.
func TestDevelopmentModeEnrolsSimulatedMachines(t *testing.T) {
	m := manage(t, "--config", tempFile(t, "assay.yaml", "settings:\n  aik_enrolment: vendor\n"))
	for name, tt := range map[string]struct {
		vendor *assaytest.TPMVendor
		status int
	}{"the well-known maker": {assaytest.WellKnownTPMVendor(), http.StatusOK}, "another": {assaytest.NewTPMVendor(), http.StatusBadRequest}} {
		machine := tt.vendor.Scenario()
		machine.EKKind = assaytest.P256
		keys, err := machine.Enrolment()
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Error struct{ Message string } }
		m.post(t, "/assay/v1/aik/challenges", map[string]any{
			"ekPublic": b64url(keys.EKPublic), "aikPublic": b64url(keys.AIKPublic), "ekCertificate": b64url(keys.EKCertificate), "ekChain": []string{b64url(keys.EKChain[0])},
		}, tt.status, &answer)
		if refused := strings.Contains(answer.Error.Message, "does not lead to a trusted root"); refused != (tt.status != http.StatusOK) {
			t.Errorf("%s: %s", name, answer.Error.Message)
		}
	}
}

// enrol has the service certify the AIK of a machine whose EK has no certificate, and returns the id.
func (m *managed) enrol(t *testing.T, machine *assaytest.TPMScenario, keys *assaytest.TPMEnrolment) string {
	t.Helper()
	var challenge struct{ Context, CredentialBlob, EncryptedSecret string }
	m.post(t, "/assay/v1/aik/challenges", map[string]any{"ekPublic": b64url(keys.EKPublic), "aikPublic": b64url(keys.AIKPublic)}, http.StatusOK, &challenge)
	blob, err := base64.RawURLEncoding.DecodeString(challenge.CredentialBlob)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(challenge.EncryptedSecret)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := machine.ActivateCredential(keys.AIKPublic, blob, sealed)
	if err != nil {
		t.Fatal(err)
	}
	var certificate struct{ ID string }
	m.post(t, "/assay/v1/aik/certificates", map[string]any{"context": challenge.Context, "secret": b64url(secret)}, http.StatusCreated, &certificate)
	return certificate.ID
}

// A machine enrols because its EK, as its TPM gives it, is pinned; then its owner looks at the certificate and revokes it.
func TestAMachineEnrolsByAPinAndIsRevoked(t *testing.T) {
	m := manage(t, "--config", tempFile(t, "assay.yaml", "settings:\n  aik_enrolment: pinned\n"))
	machine, err := assaytest.NewTPMVendor().BootScenario(assaytest.TPMBoot{SecureBoot: true})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := machine.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	m.run(t, "aik pin --kind ek", tempFile(t, "ek.tpmt", string(keys.EKPublic))).want(t, exitOK, "PINNED", "")
	id := m.enrol(t, machine, keys)
	m.run(t, "aik list").want(t, exitOK, id+"  valid", "")
	var pin struct{ Hash string }
	m.run(t, "aik pin --kind aik --json", tempFile(t, "aik.tpmt", string(keys.AIKPublic))).read(t, &pin)
	var shown struct{ ID, State, Certificate, AIKHash, By string }
	m.run(t, "aik show --json", id).read(t, &shown)
	if shown.ID != id || shown.State != "valid" || shown.AIKHash != pin.Hash || shown.By == "" || shown.Certificate == "" {
		t.Errorf("%+v, pinned %s", shown, pin.Hash)
	}
	m.run(t, "aik revoke --reason sold", id).want(t, exitOK, "REVOKED  "+id+"\n  state    revoked", "")
	m.run(t, "aik show", id).want(t, exitOK, "reason   sold", "")
}

func TestAServiceReadsTheRootsOfMakersThatWereImported(t *testing.T) {
	var got importedRoots
	assay(t, "roots", "import", vectortest.Path(t, "tpm/certs/ek-vendor-cas"), "--at", at2026, "--out", t.TempDir(), "--json").read(t, &got)
	serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--config", tempFile(t, "assay.yaml", got.Configuration))
}
