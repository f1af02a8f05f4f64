package clients

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestARM runs both releases of Microsoft's client of the resource manager against a service with the façade, each on one of its
// own.
func TestARM(t *testing.T) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			vectortest.Missing(t, "program "+program)
		}
	}
	assay := goBuild(t, filepath.Join("..", ".."), "./cmd/assay")
	modules := installed(t, "arm", []string{"arm/package.json", "arm/package-lock.json"}, func(dir string) {
		npm := exec.Command("npm", "ci", "--no-audit", "--no-fund")
		npm.Dir = dir
		run(t, npm)
	})
	for name, module := range map[string]string{"2.1.0": "@azure/arm-attestation", "3.0.0": "arm-attestation-3"} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			config := filepath.Join(data, "assay.yaml")
			must(t, os.WriteFile(config, []byte("arm_facade: true\n"), 0o600))
			s := startService(t, assay, "--data", data, "--config", config)
			token := run(t, exec.Command(assay, "dev", "token", "--role", "owner", "--data", data))
			plan, err := json.Marshal(map[string]string{
				"package": module, "url": s.URL, "token": strings.TrimSpace(string(token)), "certificate": policySigner(t),
			})
			must(t, err)
			file := filepath.Join(data, "plan.json")
			must(t, os.WriteFile(file, plan, 0o600))
			cmd := exec.Command("node", "arm/arm.cjs", file)
			cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.CA, "NODE_PATH="+filepath.Join(modules, "node_modules"))
			t.Logf("\n%s", run(t, cmd))
		})
	}
}

// policySigner is a new certificate of an RSA key in standard base64.
func policySigner(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "policy signer"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return base64.StdEncoding.EncodeToString(der)
}
