package server_test

import (
	"crypto"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// imaPolicy wants PCR 10 and nothing else in the quote, and tells what the list says of keys and of one program.
var imaPolicy = tpmPolicy(`=> issueproperty(type="required_pcr_mask", value=1024);`, "=> permit();", `
	c:[type=="events", issuer=="AttestationService"] => issue(type="signer", value=JsonToClaimValue(JmesPath(c.value, "Events[*].ProcessedData | [?Keyring == '.ima'].CertificateSubject")));
	c:[type=="events", issuer=="AttestationService"] => issue(type="shell", value=JsonToClaimValue(JmesPath(c.value, "Events[*].ProcessedData | [?Name == '/bin/sh'].Digest")));
	c:[type=="events", issuer=="AttestationService"] => issue(type="entries", value=JsonToClaimValue(JmesPath(c.value, "length(Events)")));`)

// imaMachine sends a list and quotes PCR 10 alone, of that value.
func imaMachine(list []byte, pcr10 string) func(*assaytest.TPMScenario) {
	return func(s *assaytest.TPMScenario) {
		value, err := hex.DecodeString(pcr10)
		if err != nil {
			panic(err) // of an index that other tests read
		}
		var values assaytest.TPMValues
		values[10] = value
		s.Current.Log, s.Current.IMA = nil, nil
		s.Current.Raw = []assaytest.TPMLogFile{{Type: "IMA", Bytes: list}}
		s.Current.Values = map[crypto.Hash]assaytest.TPMValues{crypto.SHA256: values}
		s.Current.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA256, PCRs: []int{10}}}
	}
}

// TestRecordedIMALists has machines with the lists of the index attest, with PCR 10 of the index, as kernels of today and those before 5.8
// extend it: what is sound is listed whole, what is not is refused for the list.
func TestRecordedIMALists(t *testing.T) {
	var cases []struct {
		File, Binary, Expect string
		Entries              int
		Bad                  []int `json:"bad_template_hash"`
		PCR10                hexPCRs
		Old                  hexPCRs `json:"pcr10_kernel_before_5.8"`
		Reference            hexPCRs `json:"reference_pcr10"`
	}
	vectortest.ReadJSON(t, "tpm/ima/index.json", &cases)
	s := startTPM(t, config.Config{}, imaPolicy)
	told := map[string]string{
		"ubuntu-ima-ng.bin": "sha1:c90333979f56f38bbd41b81806015b0de502f3cc", "keylime-ima-buf-keyring.bin": "CN=ecdsa-ca-signed-ec-key",
	}
	for _, c := range cases {
		file, _, _ := strings.Cut(c.Binary, " ")
		if file == "" && strings.HasSuffix(c.File, ".bin") {
			file = c.File
		}
		if file == "" || len(c.Bad) > 0 {
			continue
		}
		sound := !strings.HasPrefix(c.Expect, "reject") || strings.Contains(c.Expect, "ascii")
		sound = sound && !strings.Contains(file, "sha256file") // the protocol has lists with SHA-1 template hashes only (tpm.md section 7.5)
		for _, pcr10 := range slices.Compact([]string{c.PCR10["sha256"], c.Old["sha256"], c.Reference["sha256"]}) {
			if pcr10 == "" {
				continue
			}
			t.Run(file+" "+pcr10[:4], func(t *testing.T) {
				a := s.attestTPM(t, machine(t, assaytest.TPMBoot{}, imaMachine(vectortest.Read(t, "tpm/ima/"+file), pcr10)))
				if !sound {
					a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "ima-")
					return
				}
				claims, _, payload := a.report(t, false)
				if c.Entries > 0 && text(claims["entries"]) != text(c.Entries) || !strings.Contains(payload, told[file]) {
					t.Errorf("%v entries, want %d; %.300s", claims["entries"], c.Entries, payload)
				}
				delete(told, file)
			})
		}
	}
	if len(told) > 0 {
		t.Errorf("not told: %v", told)
	}
}
