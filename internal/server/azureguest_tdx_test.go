package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
)

// domainGuest is a sound Azure guest in a TD of the simulated vendors, but for the change.
func (s *testService) domainGuest(change func(*assaytest.Scenario)) *assaytest.AzureScenario {
	host := assaytest.WellKnownAzureHost(assaytest.AzureTdx, s.now().UTC().Truncate(24*time.Hour))
	if change != nil {
		change(host.TDX)
	}
	return host.Scenario()
}

// vtpm sends a simulated guest.
func (s *testService) vtpm(t testing.TB, sc *assaytest.AzureScenario) answer {
	t.Helper()
	b, err := sc.Body()
	if err != nil {
		t.Fatal(err)
	}
	return s.azure(t, string(b))
}

// TestAzureGuestsInTDs: the report of the TD vouches for the vTPM and stands in the object. Each state of the platform counts as on /attest/TdxVm: one that is
// out of date is refused, and what is too old is named.
func TestAzureGuestsInTDs(t *testing.T) {
	s := start(t, config.Config{Policies: map[string]string{"AzureGuest": tempFile(t, minimal(t))}})
	sound := s.domainGuest(nil)
	claims := s.relied(t, s.vtpm(t, sound).unsealed(t, sound.SealingKey()))
	compare(t, claims, map[string]any{"x-ms-attestation-type": "azurevm", "attester_tcb_status": nil, "x-ms-azurevm-vmid": sound.Host.VMID})
	compare(t, claims["x-ms-isolation-tee"].(map[string]any), map[string]any{
		"x-ms-attestation-type": "tdxvm", "attester_tcb_status": "UpToDate", "tdx_td_attributes_debug": false, "x-ms-compliance-status": nil,
	})
	named := map[string]string{
		"td-module-out-of-date": "TDX_01 isvsvn is 4", "td-module-revoked": "TDX_01 isvsvn is 2", "td-platform-out-of-date": "tdxtcbcomp03svn is 5",
		"td-relaunch": "TDX_01 isvsvn is 4", "td-relaunch-configuration": "TDX_01 isvsvn is 4",
	}
	for _, state := range assaytest.TDXStates() {
		a := s.vtpm(t, s.domainGuest(state.Apply))
		if state.Status == "UpToDate" {
			tee := s.relied(t, a.unsealed(t, sound.SealingKey()))["x-ms-isolation-tee"].(map[string]any)
			compare(t, tee, map[string]any{"tdx_td_attributes_debug": state.Debug})
			continue
		}
		a.refused(t, http.StatusBadRequest, "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", "found "+state.Status, named[state.Name])
	}
}
