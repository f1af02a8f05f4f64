// Package azureguest has a guest of Azure attest with github.com/edgelesssys/go-azguestattestation, unmodified: a vTPM inside the test's process
// (the reference implementation as github.com/google/go-tpm-tools/simulator builds it) with what Azure's paravisor puts there, a hardware report
// that vouches for its attestation key, and the real service. It needs a C compiler and the headers of OpenSSL (Debian: gcc and libssl-dev).
package azureguest
