package clients

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

// Draft policies.
const (
	permitDraft  = "version= 1.0; authorizationrules { => permit(); }; issuancerules { };"
	denyDraft    = "version= 1.0; authorizationrules { => deny(); }; issuancerules { };"
	garbledDraft = "version= 1.0; authorizationrules { => perhaps(); }; issuancerules { };"
)

// evidence is genuine evidence that the service under test accepts.
type evidence struct {
	kind    string // SgxEnclave or OpenEnclave
	file    string
	runtime string // file that hashes to the report data
}

// baseline is what the service must run with to accept recorded evidence.
type baseline struct{ collateral, at string }

// recordedEvidence walks the index of recorded evidence for what a stored baseline accepts.
func recordedEvidence(t *testing.T) map[baseline][]evidence {
	t.Helper()
	var index map[string]struct {
		Verify *struct {
			Type, Collateral, At, Expiry, Verdict string
			Runtime                               string `json:"runtime_data"`
		}
	}
	vectortest.ReadJSON(t, "maa/index.json", &index)
	kinds := map[string]string{"sgx": "SgxEnclave", "openenclave": "OpenEnclave"}
	found := map[baseline][]evidence{}
	for name, entry := range index {
		v := entry.Verify
		if v == nil || kinds[v.Type] == "" || v.Verdict != "accept" || v.Expiry != "pinned" || v.Runtime == "" {
			continue
		}
		b := baseline{v.Collateral, v.At}
		found[b] = append(found[b], evidence{
			kinds[v.Type], vectortest.Path(t, "maa/"+name), vectortest.Path(t, v.Runtime),
		})
	}
	if len(found) == 0 {
		t.Fatal("maa/index.json: no SGX evidence that a pinned baseline accepts")
	}
	for _, e := range found {
		sort.Slice(e, func(i, j int) bool { return e[i].file < e[j].file })
	}
	return found
}

// simulatedEvidence is what `assay sim sgx` wrote into dir.
func simulatedEvidence(dir string) []evidence {
	runtime := filepath.Join(dir, "runtime.json")
	return []evidence{
		{"SgxEnclave", filepath.Join(dir, "quote.bin"), runtime},
		{"OpenEnclave", filepath.Join(dir, "report.bin"), runtime},
	}
}

// simulatedMachine is that of `assay sim tpm`, before the service.
func simulatedMachine(t *testing.T, assay string, s service) *plan.TPM {
	t.Helper()
	return &plan.TPM{
		Token: bearerTokens(t, assay, s.data)["reader"], First: `{"payload":{"type":"aikcert"}}`,
		Command: []string{assay, "sim", "tpm", "--answer", "-"},
	}
}

// cases are the attest calls of a plan: each piece of evidence plain and with its runtime data, then what must be
// refused or left unsigned.
func cases(t *testing.T, evidence []evidence) []plan.Case {
	t.Helper()
	var all []plan.Case
	for _, e := range evidence {
		all = append(all, accepted(t, e)...)
	}
	return append(all, special(t, evidence[0])...)
}

func accepted(t *testing.T, e evidence) []plan.Case {
	t.Helper()
	plain := plan.Case{Type: e.kind, Evidence: e.file, MRENCLAVE: mrEnclave(t, e)}
	plain.Name = e.kind + " " + filepath.Base(e.file)
	binary := plain
	binary.Name += " with runtime data"
	binary.RuntimeData, binary.RuntimeType = e.runtime, "Binary"
	data, err := os.ReadFile(e.runtime)
	must(t, err)
	if !json.Valid(bytes.TrimSuffix(data, []byte{0})) {
		return []plan.Case{plain, binary}
	}
	asJSON := binary
	asJSON.Name += " as JSON"
	asJSON.RuntimeType = "JSON"
	return []plan.Case{plain, binary, asJSON}
}

// special are the calls with a draft policy, and those that the service refuses.
func special(t *testing.T, e evidence) []plan.Case {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, b, 0o600))
		return file
	}
	genuine, err := os.ReadFile(e.file)
	must(t, err)
	truncated := write("truncated", genuine[:len(genuine)/4])
	forged := bytes.Clone(genuine)
	forged[mrEnclaveOffset(e.kind)] ^= 1
	other := write("other", []byte("other data"))

	call := func(name, evidence string) plan.Case {
		return plan.Case{Name: name, Type: e.kind, Evidence: evidence}
	}
	unbound := call("runtime data that the quote does not hold is refused", e.file)
	unbound.RuntimeData, unbound.RuntimeType = other, "Binary"
	return []plan.Case{
		call("draft policy that permits", e.file).WithDraft(permitDraft),
		call("draft policy that denies is refused", e.file).WithDraft(denyDraft).Refused("PolicyEvaluationError"),
		call("draft policy that does not parse is refused", e.file).WithDraft(garbledDraft).Refused("PolicyParsingError"),
		call("truncated quote is refused", truncated).Refused("InvalidQuote"),
		call("quote with one bit flipped is refused", write("forged", forged)).Refused("InvalidParameter"),
		unbound.Refused("InvalidParameter"),
	}
}

// mrEnclaveOffset is the place of MRENCLAVE: after the header of an Open Enclave report, that of the quote, and the
// first fields of the report body.
func mrEnclaveOffset(kind string) int {
	const openEnclaveHeader, quoteHeader, inReportBody = 16, 48, 64
	if kind == "OpenEnclave" {
		return openEnclaveHeader + quoteHeader + inReportBody
	}
	return quoteHeader + inReportBody
}

func mrEnclave(t *testing.T, e evidence) string {
	t.Helper()
	b, err := os.ReadFile(e.file)
	must(t, err)
	at := mrEnclaveOffset(e.kind)
	if len(b) < at+32 {
		t.Fatalf("%s: %d bytes are too few for a quote", e.file, len(b))
	}
	return hex.EncodeToString(b[at : at+32])
}
