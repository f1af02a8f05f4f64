package api

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// FuzzAzureGuestJSON reads whole bodies of /attest/AzureGuest as the operation does, down to the parts of the evidence. Whatever comes, the answer is evidence
// of a known protocol and isolation, whose parts are no larger than what they came in, or a refusal that is the caller's fault and can be written.
func FuzzAzureGuestJSON(f *testing.F) {
	for _, body := range azureBodies(f) {
		f.Add(body)
	}
	for _, inner := range []string{``, `{}`, `null`, `{"AttestationProtocolVersion":"2.0","IsolationInfo":{"Type":"TrustedLaunch"},"TpmInfo":{"PcrSet":[0],"PCRs":[{"Index":0,"Digest":"AA"}]}}`} {
		f.Add([]byte(`{"ATTESTATIONINFO":"` + base64.RawURLEncoding.EncodeToString([]byte(inner)) + `","nonce":1}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b attestBody
		if err := strictjson.Folded(body, &b); err != nil {
			return // the operation answers it by a problem of its own
		}
		r, err := b.request(evidence.AzureGuest)
		if err != nil {
			checkProblem(t, err)
			return
		}
		e, err := azureguest.Parse(r.Evidence, azureguest.Limits{Log: eventlog.DefaultLimits(), Depth: 8})
		if err != nil {
			checkProblem(t, err)
			return
		}
		if r.RuntimeData != nil || r.InitData != nil || r.Nonce != nil {
			t.Error("members of other routes are taken")
		}
		launch := e.Isolation == azureguest.TrustedLaunch
		if size := len(e.Proof) + len(e.RuntimeData) + len(e.Payload); size > len(body) || launch != (e.Proof == nil) || e.Version != "2.0" && e.Version != "3.0" {
			t.Errorf("version %q, isolation %q, %d bytes of parts out of a body of %d", e.Version, e.Isolation, size, len(body))
		}
	})
}

// azureBodies are the requests of vectors/tpm/azure-guest.
func azureBodies(t testing.TB) (bodies [][]byte) {
	t.Helper()
	var index struct{ Cases []struct{ Request string } }
	vectortest.ReadJSON(t, "tpm/azure-guest/index.json", &index)
	for _, c := range index.Cases {
		bodies = append(bodies, vectortest.Read(t, "tpm/azure-guest/"+c.Request))
	}
	if len(bodies) == 0 {
		vectortest.NoCase(t, "request of /attest/AzureGuest")
	}
	return bodies
}

// TestAzureBodiesReachTheEvidence: seeds of FuzzAzureGuestJSON do; a fuzz target whose seeds are all refused at the door would search nothing.
func TestAzureBodiesReachTheEvidence(t *testing.T) {
	reached := map[azureguest.Isolation]bool{}
	for _, body := range azureBodies(t) {
		var b attestBody
		if strictjson.Folded(body, &b) != nil {
			continue
		}
		r, err := b.request(evidence.AzureGuest)
		if err != nil {
			continue
		}
		if e, err := azureguest.Parse(bytes.Clone(r.Evidence), azureguest.Limits{Log: eventlog.DefaultLimits(), Depth: 8}); err == nil {
			reached[e.Isolation] = true
		}
	}
	if !reached[azureguest.SevSnp] || !reached[azureguest.TrustedLaunch] {
		t.Errorf("bodies of %v are read down to their evidence", reached)
	}
}
