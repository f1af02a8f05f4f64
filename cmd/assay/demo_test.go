package main

import (
	"os"
	"strings"
	"testing"
)

func TestDemoTellsTheWholeStory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o := assay(t, "demo")
	o.want(t, exitOK, "", "")
	story := []string{
		"development mode", "simulated enclave", "hello from a simulated enclave", "signed a token", "relying party",
		"x-ms-sgx-mrenclave", "one bit", "REFUSED", "InvalidParameter", "quote-signature",
		"whole machine", "challenge", "VERIFIED", "secureBootEnabled      true", "Secure Boot off", "REFUSED", "PolicyEvaluationError",
		"edits the log", "REFUSED", "InvalidParameter", "event-log-type",
		"confidential virtual machines", "VERIFIED", "sevsnpvm", "launchmeasurement", "one bit", "REFUSED", "InvalidParameter", "snp-signature",
		"TDX", "VERIFIED", "UpToDate", "tdxvm",
	}
	rest := o.stdout
	for _, part := range story {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Fatalf("%q does not come in its turn:\n%s", part, o.stdout)
		}
		rest = after
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// shownToken and shownRefusal are parts of what the demo prints as JSON.
type (
	shownToken struct {
		Verified bool           `json:"verified"`
		Claims   map[string]any `json:"claims"`
	}
	shownRefusal struct {
		Status        int
		Code, Message string
	}
)

func TestDemoAsJSON(t *testing.T) {
	var got struct {
		Token         shownToken   `json:"token"`
		Refused       shownRefusal `json:"refused"`
		Report        shownToken   `json:"report"`
		SecureBootOff shownRefusal `json:"secureBootOff"`
		RetypedEvent  shownRefusal `json:"retypedEvent"`
		Guest         shownToken   `json:"guest"`
		TamperedGuest shownRefusal `json:"tamperedGuest"`
		Domain        shownToken   `json:"domain"`
	}
	o := assay(t, "demo", "--json")
	o.want(t, exitOK, "", "")
	o.read(t, &got)
	if got.Token.Claims["x-ms-attestation-type"] != "sgx" || got.Token.Claims["ext-development"] != true {
		t.Errorf("token: %+v", got.Token)
	}
	if r := got.Refused; r.Status != 400 || r.Code != "InvalidParameter" || !strings.Contains(r.Message, "quote-signature") {
		t.Errorf("refusal: %+v", r)
	}
	if r := got.Report; !r.Verified || r.Claims["secureBootEnabled"] != true || r.Claims["aikValidated"] != true {
		t.Errorf("report: %+v", r)
	}
	if r := got.SecureBootOff; r.Status != 400 || r.Code != "PolicyEvaluationError" || !strings.Contains(r.Message, "secureBootEnabled = false") {
		t.Errorf("refusal of the machine without secure boot: %+v", r)
	}
	if r := got.RetypedEvent; r.Status != 400 || r.Code != "InvalidParameter" || !strings.Contains(r.Message, "event-log-type") {
		t.Errorf("refusal of the retyped event: %+v", r)
	}
	if g := got.Guest; !g.Verified || g.Claims["x-ms-attestation-type"] != "sevsnpvm" || g.Claims["ext-development"] != true {
		t.Errorf("token of the SEV-SNP guest: %+v", g)
	}
	if r := got.TamperedGuest; r.Status != 400 || r.Code != "InvalidParameter" || !strings.Contains(r.Message, "snp-signature") {
		t.Errorf("refusal of the tampered report: %+v", r)
	}
	if d := got.Domain; !d.Verified || d.Claims["x-ms-attestation-type"] != "tdxvm" || d.Claims["attester_tcb_status"] != "UpToDate" {
		t.Errorf("token of the TD: %+v", d)
	}
}

func TestDemoTakesNoArguments(t *testing.T) {
	assay(t, "demo", "sgx").want(t, exitUsage, "", "unexpected argument")
}
