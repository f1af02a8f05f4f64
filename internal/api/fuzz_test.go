package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// FuzzAttestRequest reads request bodies as the attest operations do. Whatever comes, the answer is a request or a
// refusal that is the caller's fault and can be written.
func FuzzAttestRequest(f *testing.F) {
	for _, body := range recordedBodies(f) {
		f.Add(body, false)
		f.Add(body, true)
	}
	for _, body := range []string{
		``, `null`, `[]`, `{"Quote":"AwAC","QUOTE":""}`, `{"quote":"-__-AQ==","nonce":18446744073709551616}`,
		`{"report":"AQ","runtimeData":{"data":"e30A","dataType":"json"},"initTimeData":{"dataType":"JSON"}}`,
		`{"quote":{"a":[[[[]]]]},"draftPolicyForAttestation":"version= 1.0;"}`,
	} {
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, openEnclave bool) {
		kind := evidence.SgxEnclave
		if openEnclave {
			kind = evidence.OpenEnclave
		}
		var b attestBody
		if err := strictjson.Folded(body, &b); err != nil {
			return // the operation answers it by a problem of its own
		}
		r, err := b.request(kind)
		if err != nil {
			checkProblem(t, err)
			return
		}
		if len(r.Evidence) == 0 || len(r.Evidence) > len(body) {
			t.Errorf("%d bytes of evidence out of a body of %d", len(r.Evidence), len(body))
		}
		if r.Nonce != nil && !utf8.ValidString(*r.Nonce) {
			t.Errorf("nonce %q is not text", *r.Nonce)
		}
	})
}

// checkProblem checks that an error is a refusal of the caller, and that it can be written.
func checkProblem(t *testing.T, err error) {
	t.Helper()
	w := httptest.NewRecorder()
	problemOf(err).write(w, usualErrors)
	if w.Code != http.StatusBadRequest || w.Header().Get("x-ms-error-code") == "" || w.Body.Len() > 13*maxMessage {
		t.Errorf("%v: status %d, code %q, %d bytes", err, w.Code, w.Header().Get("x-ms-error-code"), w.Body.Len())
	}
}

// recordedBodies are the bodies of recorded attest requests.
func recordedBodies(t testing.TB) (bodies [][]byte) {
	t.Helper()
	var index map[string]json.RawMessage
	vectortest.ReadJSON(t, "maa/index.json", &index)
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if !strings.HasPrefix(name, "exchanges/attest-") {
			continue
		}
		var exchange struct {
			Request struct {
				Method string
				Body   json.RawMessage
			}
		}
		vectortest.ReadJSON(t, "maa/"+name, &exchange)
		if exchange.Request.Method == http.MethodPost {
			bodies = append(bodies, exchange.Request.Body)
		}
	}
	if len(bodies) == 0 {
		vectortest.NoCase(t, "recorded attest request")
	}
	return bodies
}
