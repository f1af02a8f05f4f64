package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnAzureGuestBecomesAReference by its hardware report, by that and its PCRs, or by its PCRs alone.
func TestAnAzureGuestBecomesAReference(t *testing.T) {
	const wants = "version=1.0;authorizationrules{[type==\"assay-reference\", value==\"accepted\"] => permit();};"
	m := manage(t, "--policy", "AzureGuest="+tempFile(t, "guest.txt", wants))
	const snp, tdx = "x-ms-isolation-tee.x-ms-sevsnpvm-", "x-ms-isolation-tee.tdx_"
	for _, tt := range []struct {
		isolation, flags, values, minimums string
	}{
		{"SevSnp", "", snp + "launchmeasurement " + snp + "idkeydigest", snp + "guestsvn"},
		{"SevSnp", "--pcrs 7,4", snp + "launchmeasurement " + snp + "idkeydigest pcr-sha256-4 pcr-sha256-7", snp + "guestsvn"},
		{"SevSnp", "--claim " + snp + "launchmeasurement --claim secureboot", snp + "launchmeasurement secureboot", ""},
		{"Tdx", "", tdx + "mrtd " + tdx + "rtmr1 " + tdx + "rtmr2", ""},
		{"TrustedLaunch", "", "pcr-sha256-0 pcr-sha256-2 pcr-sha256-4 pcr-sha256-7", ""},
	} {
		dir := t.TempDir()
		assay(t, "sim", "azureguest", "--isolation", tt.isolation, "--out", dir).want(t, exitOK, "WRITTEN", "")
		body := filepath.Join(dir, "body.json")
		if status, answer := m.posted(t, "/attest/AzureGuest?api-version=2025-06-01", body); status != http.StatusBadRequest || !strings.Contains(answer, "assay-reference") {
			t.Fatalf("%s: before: status %d: %s", tt.isolation, status, answer)
		}
		r := m.reference(t, "reference add accepted --type azureguest "+tt.flags+" --from-evidence", body)
		if len(r.Values) != len(strings.Fields(tt.values)) || len(r.Minimums) != len(strings.Fields(tt.minimums)) {
			t.Errorf("%s %s: %+v", tt.isolation, tt.flags, r)
		}
		for _, name := range strings.Fields(tt.values) {
			if len(r.Values[name]) != 1 {
				t.Errorf("%s %s: no value of %s: %+v", tt.isolation, tt.flags, name, r)
			}
		}
		if status, answer := m.posted(t, "/attest/AzureGuest?api-version=2025-06-01", body); status != http.StatusOK {
			t.Errorf("%s %s: status %d: %s", tt.isolation, tt.flags, status, answer)
		}
		m.run(t, "reference remove accepted").want(t, exitOK, "REMOVED", "")
	}
}

// TestAnAzureGuestWithoutAPCRBecomesNoReferenceOfIt: what is not quoted has no value.
func TestAnAzureGuestWithoutAPCRBecomesNoReferenceOfIt(t *testing.T) {
	m := manage(t)
	dir := t.TempDir()
	assay(t, "sim", "azureguest", "--isolation", "TrustedLaunch", "--out", dir).want(t, exitOK, "WRITTEN", "")
	body := filepath.Join(dir, "body.json")
	m.run(t, "reference add g --type azureguest --pcrs 23 --from-evidence", body).want(t, exitUsage, "", "no value of PCR 23")
	b, err := os.ReadFile(body)
	if err != nil {
		t.Fatal(err)
	}
	broken := tempFile(t, "body.json", strings.Replace(string(b), `"AttestationInfo":"`, `"AttestationInfo":"!`, 1))
	m.run(t, "reference add g --type azureguest --from-evidence", broken).want(t, exitRefused, "", "")
	m.run(t, "reference list").want(t, exitOK, "REFERENCES  0", "")
}
