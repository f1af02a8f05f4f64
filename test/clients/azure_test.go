package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestAzureGuest has machines of Azure attest that share no line with the service: tpm/guest.py, in the dialect of Azure's own tools in Python, under
// an authority of attestation keys of its own. Their hardware reports are those of `assay sim`.
func TestAzureGuest(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		vectortest.Missing(t, "program python3")
	}
	dir := t.TempDir()
	run(t, python(t, "tpm/attest.py", "ca", dir))
	config := "aik_roots:\n- file: " + filepath.Join(dir, "root.pem") + "\naik_intermediates:\n- " + filepath.Join(dir, "issuer.pem") + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600))

	assay := goBuild(t, filepath.Join("..", ".."), "./cmd/assay")
	policy := vectortest.Path(t, "policies/any-minimal-oneline.txt")
	s := startService(t, assay, "--config", filepath.Join(dir, "config.yaml"), "--policy", "AzureGuest="+policy)
	plan, err := json.Marshal(map[string]string{"issuer": s.URL, "ca": s.CA, "authority": dir, "token": "", "assay": assay})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "plan.json"), plan, 0o600))
	t.Logf("\n%s", run(t, python(t, "tpm/azure.py", filepath.Join(dir, "plan.json"))))
}
