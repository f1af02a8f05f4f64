package sgx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// maaEntry is SGX evidence of vectors/maa/index.json: some facts and what must come of it.
type maaEntry struct {
	Verify struct {
		Type, Collateral, Expiry, Verdict string
		At                                time.Time
		Status                            string `json:"tcb_status"`
		Reason                            json.RawMessage
		RuntimeData                       string `json:"runtime_data"`
		Evidence, FMSPC                   string
	}
	QuoteHash  string `json:"maa_quotehash"`
	MRENCLAVE  string
	MRSIGNER   string
	ProductID  int64 `json:"product_id"`
	SVN        int64
	Debuggable bool   `json:"is_debuggable"`
	ReportData string `json:"report_data"`
}

// maaEntries reads the entries about SGX evidence, by name.
func maaEntries(t *testing.T) map[string]maaEntry {
	t.Helper()
	var index map[string]json.RawMessage
	vectortest.ReadJSON(t, "maa/index.json", &index)
	entries := map[string]maaEntry{}
	for name, raw := range index {
		var e maaEntry
		if json.Unmarshal(raw, &e) == nil && slices.Contains([]string{"sgx", "openenclave"}, e.Verify.Type) {
			entries[name] = e
		}
	}
	if len(entries) == 0 {
		none(t, "SGX evidence of Azure clients")
	}
	return entries
}

func TestEvidenceOfAzureClients(t *testing.T) {
	for name, e := range maaEntries(t) {
		t.Run(name, func(t *testing.T) {
			file := e.Verify.Evidence
			if file == "" {
				file = path.Join("maa", name)
			}
			b := vectortest.Read(t, file)
			parse := sgx.Parse
			if e.Verify.Type == "openenclave" {
				parse = sgx.ParseOpenEnclave
			}
			parsed, err := parse(b)
			if err == nil && e.Verify.RuntimeData != "" {
				bound(t, parsed, vectortest.Read(t, e.Verify.RuntimeData), e.Verify.Verdict)
			}
			if e.Verify.Verdict == "no-collateral" {
				traced(t, parsed, err, e)
				return
			}
			v, err := e.verify(t, parsed, err)
			e.compare(t, v, err)
		})
	}
}

// bound checks that the enclave vouches for the data, unless the case is about data that it does not vouch for.
func bound(t *testing.T, e *sgx.Evidence, data []byte, verdict string) {
	t.Helper()
	sum := sha256.Sum256(data)
	if holds := bytes.Equal(e.Report.ReportData[:32], sum[:]); holds != (verdict != "reject") {
		t.Errorf("runtime data with SHA-256 %x, report data %x, verdict %s", sum, e.Report.ReportData, verdict)
	}
}

// traced checks what can be checked without collateral: where the evidence comes from.
func traced(t *testing.T, e *sgx.Evidence, err error, want maaEntry) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	o, err := dcap.NewVerifier(dcap.IntelRoots()).Trace(e.Quote, time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.FMSPC().String(); !strings.EqualFold(got, want.Verify.FMSPC) {
		t.Errorf("FMSPC %s, want %s", got, want.Verify.FMSPC)
	}
}

// verify verifies the evidence as the entry says, unless it could not be parsed.
func (e maaEntry) verify(t *testing.T, parsed *sgx.Evidence, err error) (*sgx.Verified, error) {
	t.Helper()
	if err != nil {
		return nil, err
	}
	v := dcap.NewVerifier(dcap.IntelRoots())
	o, err := v.Trace(parsed.Quote, e.Verify.At, nil)
	if err != nil {
		return nil, err
	}
	expiry := map[string]dcap.Expiry{"enforce": dcap.Enforce, "pinned": dcap.Pinned, "ignore": dcap.Ignore}[e.Verify.Expiry]
	in := dcap.Input{Options: dcap.Options{At: e.Verify.At, Expiry: expiry}}
	if in.Collateral, err = dcaptest.Load(v, o, dcaptest.Folder(t, e.Verify.Collateral)); err != nil {
		return nil, err
	}
	return sgx.Verify(v, o, parsed, in)
}

// compare compares the outcome and the claims with the entry.
func (e maaEntry) compare(t *testing.T, v *sgx.Verified, err error) {
	t.Helper()
	if e.Verify.Verdict != "accept" {
		if reasons := strings.NewReplacer(`"`, " ", ",", " ", "[", " ", "]", " ").Replace(string(e.Verify.Reason)); err == nil {
			t.Errorf("accepted, want a refusal for%s", reasons)
		} else if !strings.Contains(reasons, string(evidence.RuntimeData)) {
			dcaptest.Refused(t, err, strings.Fields(reasons))
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(v.Status) != e.Verify.Status {
		t.Errorf("status %s, want %s", v.Status, e.Verify.Status)
	}
	if e.QuoteHash == "" { // a request body, of whose evidence the index says nothing
		return
	}
	if got := hex.EncodeToString(v.QuoteHash[:]); got != e.QuoteHash {
		t.Errorf("quotehash %s, want %s", got, e.QuoteHash)
	}
	got := dcaptest.Claims(v.Claims())
	for name, want := range map[string]any{
		"x-ms-sgx-mrenclave": e.MRENCLAVE, "x-ms-sgx-mrsigner": e.MRSIGNER, "x-ms-sgx-product-id": e.ProductID,
		"x-ms-sgx-svn": e.SVN, "x-ms-sgx-is-debuggable": e.Debuggable, "x-ms-sgx-report-data": e.ReportData,
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}
