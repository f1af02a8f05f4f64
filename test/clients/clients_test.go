package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// client is one library, run as its users run it.
type client struct {
	name    string
	needs   []string // programs that must be installed
	command func(t *testing.T, program string, s *stage) *exec.Cmd
	attest  string // program
	admin   string // program, empty where the library has no administration client
}

var clients = []client{
	{"node", []string{"node", "npm"}, nodeCommand, "node/attest.cjs", "node/admin.cjs"},
	{"python", []string{"python3"}, pythonCommand, "python/attest.py", "python/admin.py"},
	{"java", []string{"java", "keytool", "mvn"}, javaCommand, "java/Attest.java", "java/Admin.java"},
	{"ego", nil, goCommand, "./ego", ""},
	{"kermit", nil, goCommand, "./kermit", "./kermit/admin"},
}

func TestClients(t *testing.T) {
	assay := goBuild(t, filepath.Join("..", ".."), "./cmd/assay")
	t.Run("simulated", func(t *testing.T) {
		dir := t.TempDir()
		run(t, exec.Command(assay, "sim", "sgx", "--out", dir))
		policy := filepath.Join(dir, "tpm-policy.txt")
		must(t, os.WriteFile(policy, []byte(tpmPolicy), 0o600))
		s := startService(t, assay, "--policy", "Tpm="+policy)
		runClients(t, newStage(t, s, simulatedEvidence(dir), simulatedMachine(t, assay, s)))
	})
	for baseline, evidence := range recordedEvidence(t) {
		t.Run("recorded "+filepath.Base(baseline.collateral), func(t *testing.T) {
			service := startService(t, assay,
				"--collateral", vectortest.Path(t, baseline.collateral), "--at", baseline.at)
			runClients(t, newStage(t, service, evidence, nil))
		})
	}
}

// runClients runs each client whose runtime is there.
func runClients(t *testing.T, s *stage) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) { c.run(t, c.attest, s) })
	}
}

// run runs one of the programs of the client and shows what it prints.
func (c client) run(t *testing.T, program string, s *stage) {
	for _, needed := range c.needs {
		if _, err := exec.LookPath(needed); err != nil {
			vectortest.Missing(t, "program "+needed)
		}
	}
	t.Logf("\n%s", run(t, c.command(t, program, s)))
}

func nodeCommand(t *testing.T, program string, s *stage) *exec.Cmd {
	dir := installed(t, "node", []string{"node/package.json", "node/package-lock.json"}, func(dir string) {
		npm := exec.Command("npm", "ci", "--no-audit", "--no-fund")
		npm.Dir = dir
		run(t, npm)
	})
	cmd := exec.Command("node", program, s.plan)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca, "NODE_PATH="+filepath.Join(dir, "node_modules"))
	return cmd
}

func pythonCommand(t *testing.T, program string, s *stage) *exec.Cmd {
	cmd := python(t, program, s.plan)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+s.ca)
	return cmd
}

// python runs a program with the packages of python/requirements.txt.
func python(t *testing.T, program string, args ...string) *exec.Cmd {
	dir := installed(t, "python", []string{"python/requirements.txt"}, func(dir string) {
		run(t, exec.Command("python3", "-m", "venv", dir))
		run(t, exec.Command(filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--no-deps",
			"-r", filepath.Join(dir, "requirements.txt")))
	})
	return exec.Command(filepath.Join(dir, "bin", "python"), append([]string{program}, args...)...)
}

// javaCommand runs the program from its source.
func javaCommand(t *testing.T, program string, s *stage) *exec.Cmd {
	dir := installed(t, "java", []string{"java/pom.xml"}, func(dir string) {
		run(t, exec.Command("mvn", "--quiet", "--batch-mode", "--file", filepath.Join(dir, "pom.xml"),
			"dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "jars")))
	})
	trust := filepath.Join(t.TempDir(), "trust.p12")
	for i, file := range s.cas {
		run(t, exec.Command("keytool", "-importcert", "-noprompt", "-alias", strconv.Itoa(i), "-file", file,
			"-storetype", "PKCS12", "-keystore", trust, "-storepass", "changeit"))
	}
	return exec.Command("java", "-cp", filepath.Join(dir, "jars", "*"),
		"-Djavax.net.ssl.trustStore="+trust, "-Djavax.net.ssl.trustStorePassword=changeit", program, s.plan)
}

func goCommand(t *testing.T, pkg string, s *stage) *exec.Cmd {
	cmd := exec.Command(goBuild(t, ".", pkg), s.plan)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca)
	return cmd
}
