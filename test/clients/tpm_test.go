package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// tpmPolicy admits machines with a certified AIK and secure boot, quoted PCRs 0 to 7 and 12 to 14, and shows what the service knows of them.
const tpmPolicy = `version= 1.2;
configurationrules {
    => issueproperty(type="required_pcr_mask", value=28927);
};
authorizationrules {
    [type=="aikValidated", value==true, issuer=="AttestationService"] &&
    [type=="secureBootEnabled", value==true, issuer=="AttestationService"] => permit();
};
issuancerules {
    c:[type=="aikValidated", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="secureBootEnabled", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="bootDebuggingDisabled", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="vbsEnabled", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="vbsReportPresent", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="enclaveSvn", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="events", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="language", issuer=="CustomClaim"] => issue(claim=c);
};
`

// TestTPM has a machine attest that shares no line with the service: tpm/machine.py, under an authority of its own.
func TestTPM(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		vectortest.Missing(t, "program python3")
	}
	dir := t.TempDir()
	run(t, python(t, "tpm/attest.py", "ca", dir))
	config := "aik_roots:\n- file: " + filepath.Join(dir, "root.pem") + "\naik_intermediates:\n- " + filepath.Join(dir, "issuer.pem") + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "policy.txt"), []byte(tpmPolicy), 0o600))

	assay := goBuild(t, filepath.Join("..", ".."), "./cmd/assay")
	s := startService(t, assay, "--config", filepath.Join(dir, "config.yaml"), "--policy", "Tpm="+filepath.Join(dir, "policy.txt"))
	plan, err := json.Marshal(map[string]string{
		"issuer": s.URL, "ca": s.CA, "authority": dir, "token": bearerTokens(t, assay, s.data)["reader"],
	})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "plan.json"), plan, 0o600))
	t.Logf("\n%s", run(t, python(t, "tpm/attest.py", "run", filepath.Join(dir, "plan.json"))))
}
