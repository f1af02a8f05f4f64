//go:build cgo

package azureguest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-attestation/attest"
)

// secureBootKeys is a configuration that expects the secure-boot keys of the machine that the log is of, as Google's parser of logs reads them.
func secureBootKeys(t *testing.T, log []byte) []byte {
	t.Helper()
	parsed, err := attest.ParseEventLog(log)
	must(t, err)
	state, err := attest.ParseSecurebootState(parsed.Events(attest.HashSHA256))
	must(t, err)
	var b bytes.Buffer
	b.WriteString("settings:\n  azureguest_secureboot_keys:\n  -\n")
	fmt.Fprintf(&b, "    pk: [%s]\n", digests(state.PlatformKeys, state.PlatformKeyHashes))
	fmt.Fprintf(&b, "    kek: [%s]\n", digests(state.ExchangeKeys, state.ExchangeKeyHashes))
	fmt.Fprintf(&b, "    db: [%s]\n", digests(state.PermittedKeys, state.PermittedHashes))
	fmt.Fprintf(&b, "    dbx: [%s]\n", digests(state.ForbiddenKeys, state.ForbiddenHashes))
	return b.Bytes()
}

// digests are the SHA-256 of certificates, and hashes as they are, in hex.
func digests(certificates []x509.Certificate, hashes [][]byte) string {
	var all []string
	for _, c := range certificates {
		all = append(all, fmt.Sprintf(`"%x"`, sha256.Sum256(c.Raw)))
	}
	for _, h := range hashes {
		all = append(all, fmt.Sprintf(`"%x"`, h))
	}
	return strings.Join(all, ", ")
}
