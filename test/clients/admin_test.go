package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

// TestAdministration lets each administration client manage a provider of its own, once for each trust model.
func TestAdministration(t *testing.T) {
	assay := goBuild(t, filepath.Join("..", ".."), "./cmd/assay")
	dir := t.TempDir()
	run(t, exec.Command(assay, "sim", "sgx", "--out", dir))
	b := plan.Admin{Keys: throwAwayKeys(t, dir), Evidence: map[string]string{}}
	for _, e := range simulatedEvidence(dir) {
		b.Evidence[e.kind] = e.file
	}
	isolated := filepath.Join(dir, "isolated.yaml")
	must(t, os.WriteFile(isolated, []byte("policy_signers: ["+b.Keys["owner"].Certificate+"]\n"), 0o600))
	for _, model := range []struct {
		name  string
		flags []string
		steps []plan.Step
	}{
		{"AAD", nil, aadSteps(t)},
		{"isolated", []string{"--config", isolated}, isolatedSteps(t)},
	} {
		for _, c := range clients {
			if c.admin == "" {
				continue
			}
			t.Run(model.name+"/"+c.name, func(t *testing.T) {
				s := startService(t, assay, model.flags...)
				p := b
				p.Issuer, p.Tokens, p.Steps = s.URL, bearerTokens(t, assay, s.data), model.steps
				file, err := p.Write(t.TempDir())
				must(t, err)
				c.run(t, c.admin, &stage{plan: file, ca: s.CA, cas: []string{s.CA}})
			})
		}
	}
}

// bearerTokens are tokens of the development issuer: good ones, and such as must be refused.
func bearerTokens(t *testing.T, assay, data string) map[string]string {
	t.Helper()
	made := func(flags ...string) string {
		args := append([]string{"dev", "token", "--data", data}, flags...)
		return strings.TrimSpace(string(run(t, exec.Command(assay, args...))))
	}
	tokens := map[string]string{
		"contributor": made("--role", "contributor"),
		"reader":      made("--role", "reader"),
		"expired":     made("--role", "contributor", "--life", "1s"),
		"forged":      made("--role", "contributor", "--data", t.TempDir()), // by a key of its own
	}
	time.Sleep(time.Second) // the life of the expired one
	return tokens
}

// throwAwayKeys are signers of policies, written into the folder. The owner is the first signer of the isolated provider.
func throwAwayKeys(t *testing.T, dir string) map[string]plan.Key {
	t.Helper()
	keys := map[string]plan.Key{}
	for _, name := range []string{"owner", "second", "stranger", "curve"} {
		var key crypto.Signer
		var err error
		kind := "RSA"
		if name == "curve" {
			kind = "EC"
			key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		} else {
			key, err = rsa.GenerateKey(rand.Reader, 2048)
		}
		must(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		k := plan.Key{Kind: kind, Key: filepath.Join(dir, name+".key"), Certificate: filepath.Join(dir, name+".pem")}
		writePEM(t, k.Key, "PRIVATE KEY", der)
		writePEM(t, k.Certificate, "CERTIFICATE", selfSigned(t, name, key))
		keys[name] = k
	}
	return keys
}

func selfSigned(t *testing.T, name string, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return der
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
