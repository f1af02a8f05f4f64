package api

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// FuzzSevSnpVm reads whole bodies of /attest/SevSnpVm as the operation does, down to the report, the certificates and the endorsements
// in them. Whatever comes, the answer is evidence that has just these parts, each no larger than what it came in, or a refusal that is
// the caller's fault and can be written.
func FuzzSevSnpVm(f *testing.F) {
	for _, body := range guestBodies(f) {
		f.Add(body)
	}
	for _, inner := range []string{
		``, `{}`, `null`, `{"SnpReport":"AA==","snpreport":"AA"}`, `{"SnpReport":"AA","VcekCertChain":"LS0tLS0"}`, `{"SnpReport":"AA","Endorsements":"eyJVdm0iOlsiQUEiXX0"}`,
	} {
		f.Add([]byte(`{"report":"` + base64.RawURLEncoding.EncodeToString([]byte(inner)) + `","nonce":18446744073709551615,"initTimeData":{"data":"","dataType":""}}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b attestBody
		if err := strictjson.Folded(body, &b); err != nil {
			return // the operation answers it by a problem of its own
		}
		r, err := b.request(evidence.SevSnpVM)
		if err != nil {
			checkProblem(t, err)
			return
		}
		e, err := snp.Parse(r.Evidence)
		if err != nil {
			checkProblem(t, err)
			return
		}
		size := 0
		for _, endorsement := range e.UVM {
			size += len(endorsement)
		}
		if e.Chain != nil {
			size += len(e.Chain.Leaf.Raw)
		}
		if e.Report == nil || len(e.UVM) > snp.MaxUVM || size > len(body) {
			t.Errorf("report %v, %d endorsements, %d bytes out of a body of %d", e.Report, len(e.UVM), size, len(body))
		}
	})
}

// guestBodies are the requests of vectors/snp, and the recorded one.
func guestBodies(t testing.TB) (bodies [][]byte) {
	t.Helper()
	var cases []struct{ Request string }
	vectortest.ReadJSON(t, "snp/maa-requests/index.json", &cases)
	for _, c := range cases {
		bodies = append(bodies, vectortest.Read(t, "snp/"+c.Request))
	}
	var index map[string]struct{ Replay *struct{ Path string } }
	vectortest.ReadJSON(t, "maa/index.json", &index)
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if r := index[name].Replay; r != nil && strings.EqualFold(strings.SplitN(r.Path, "?", 2)[0], "/attest/SevSnpVm") {
			bodies = append(bodies, vectortest.Read(t, "maa/"+name))
		}
	}
	if len(bodies) == 0 {
		vectortest.NoCase(t, "request of /attest/SevSnpVm")
	}
	return bodies
}

// TestGuestBodiesReachTheEvidence: seeds of FuzzSevSnpVm reach the evidence; a fuzz target whose seeds are all refused at the door would
// search nothing.
func TestGuestBodiesReachTheEvidence(t *testing.T) {
	reached := 0
	for _, body := range guestBodies(t) {
		var b attestBody
		if strictjson.Folded(body, &b) != nil {
			continue
		}
		r, err := b.request(evidence.SevSnpVM)
		if err != nil {
			continue
		}
		if e, err := snp.Parse(bytes.Clone(r.Evidence)); err == nil && e.Report != nil {
			reached++
		}
	}
	if reached == 0 {
		t.Error("no body is read down to its report")
	}
}
