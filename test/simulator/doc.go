// Package simulator runs the client's side of TPM attestation (package attester) against a TPM inside the test's process, the reference
// implementation as github.com/google/go-tpm-tools/simulator builds it, and against the real service. It needs a C compiler and the headers of
// OpenSSL (Debian: libssl-dev). What it is for is what swtpm behind a socket does not make easy: a TPM that fails at each command in turn.
package simulator
