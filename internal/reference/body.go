package reference

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/policy"
)

// document is the body of an entry. Its members stand in the order of native.md section 5.
type document struct {
	Type             string                    `json:"type"`
	Values           map[string][]policy.Value `json:"values,omitempty"`
	Minimums         map[string]int64          `json:"minimums,omitempty"`
	ComplianceStatus string                    `json:"complianceStatus,omitzero"`
	NotBefore        string                    `json:"notBefore,omitzero"`
	NotAfter         string                    `json:"notAfter,omitzero"`
	Owner            string                    `json:"owner,omitzero"`
	Provenance       provenance                `json:"provenance,omitzero"`
}

type provenance struct {
	Source string `json:"source,omitzero"`
	SHA256 string `json:"sha256,omitzero"`
}

// Body is the entry as the body of the PUT that makes it: [Parse] gives the entry again. Entries that are the same have the same body: claims
// stand in the order of their names, values in theirs, times in UTC, and what is empty is left out.
func (e *Entry) Body() (jsontext.Value, error) {
	return json.Marshal(document{
		Type: string(e.Type), Values: e.Values, Minimums: e.Minimums, ComplianceStatus: e.ComplianceStatus,
		NotBefore: stamp(e.NotBefore), NotAfter: stamp(e.NotAfter), Owner: e.Owner, Provenance: provenance(e.Provenance),
	}, json.Deterministic(true))
}

// stamp writes a time by RFC 3339; nothing for that of no bound.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
