// Package attester is the client's side of attestation on Linux. A [Guest] collects the evidence of SEV-SNP and TDX guests and of SGX enclaves
// (sev-snp.md section 6, sgx-tdx.md section 11). The rest is about TPMs: it opens the TPM of this machine, makes its keys, has the
// attestation key (AIK) certified, reads the logs of the boot, and attests to a service under version 2 of the Azure
// Attestation TPM protocol (tpm.md sections 2 to 4, tpm-evidence.md sections 1, 3 and 8, native.md section 4).
//
// What it gets is a report that nobody has verified: hold it against the issuer that you trust with package relyingparty.
package attester

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
)

// KeyKind says which key signs the request, and so which key the report names as its holder's (claim cnf).
type KeyKind int

// The kinds of keys (tpm.md section 4).
const (
	SoftwareKey  KeyKind = iota // a fresh RSA key in memory, bound to the machine by the quote
	TPMKey                      // a key in the TPM, bound by the quote
	CertifiedKey                // a key in the TPM that the AIK certifies
)

// Machine is what attests: a TPM, and what there is to say about it. It is not safe for concurrent use.
type Machine struct {
	TPM            *TPM   // must be given
	Scheme         Scheme // of the AIK; the zero value is RSASSA
	AIKCertificate []byte // DER; nil: none, which most policies refuse
	Key            KeyKind
	Logs           Logs
	PCRs           []int  // to be quoted, from 0 to 23, at least one; nil: those that the logs explain
	Nonce          []byte // what the report has to repeat as base64url in the claims rp_data and nonce; nil: nothing
}

// Report is what a service answered.
type Report struct {
	Text    string          // a JWT. Nothing says that it is true, nor that it is for Key: that says its claim cnf, once it is verified
	Key     *rsa.PublicKey  // that signed the request
	Private *rsa.PrivateKey // of a software key, nil for one in the TPM
	Quoted  []int           // the PCRs, in rising order
	Banks   []tpm.Alg
	// Unexplained are the PCRs that were left out, since the logs do not lead to their values; nil if the PCRs were chosen.
	Unexplained []int
}

// Attest makes both rounds with a service. The error is a *[Problem] where this machine is at fault; those of post come as they are.
func (m *Machine) Attest(ctx context.Context, post Post) (*Report, error) {
	if err := m.usable(true); err != nil {
		return nil, err
	}
	challenge, err := post.Challenge(ctx)
	if err != nil {
		return nil, err
	}
	var request string
	var report *Report
	if err := m.TPM.within(func() (err error) { request, report, err = m.request(challenge); return err }); err != nil {
		return nil, err
	}
	if report.Text, err = post.Report(ctx, request); err != nil {
		return nil, err
	}
	return report, nil
}

// usable refuses a machine with values that mean nothing, before anybody is asked. To enrol takes less than to attest.
func (m *Machine) usable(attests bool) error {
	const remedy = "this is a mistake of the program that attests"
	outside := func(pcr int) bool { return pcr < 0 || pcr >= tpm.PCRCount }
	switch {
	case m.TPM == nil:
		return problem("no TPM is given", remedy, nil)
	case m.Scheme < 0 || int(m.Scheme) >= len(Schemes()):
		return problem(fmt.Sprintf("there is no scheme of number %d", m.Scheme), remedy, nil)
	case !attests:
		return nil
	case m.Key < SoftwareKey || m.Key > CertifiedKey:
		return problem(fmt.Sprintf("there is no kind of key of number %d", m.Key), remedy, nil)
	case m.Logs.Root == nil:
		return problem("no file system with the logs is given", remedy, nil)
	case m.PCRs != nil && len(m.PCRs) == 0, slices.ContainsFunc(m.PCRs, outside):
		return problem(fmt.Sprintf("expected PCRs from 0 to %d, found %v", tpm.PCRCount-1, m.PCRs), remedy, nil)
	}
	return nil
}

// request makes the JWS that answers a challenge, and the report as far as it is known.
func (m *Machine) request(c *Challenge) (string, *Report, error) {
	aik, err := m.TPM.aik(m.Scheme)
	if err != nil {
		return "", nil, err
	}
	if err := certifies(m.AIKCertificate, aik); err != nil {
		return "", nil, err
	}
	key, err := m.requestKey()
	if err != nil {
		return "", nil, err
	}
	bound, err := key.bind(m.TPM, aik, c.Challenge)
	if err != nil {
		return "", nil, err
	}
	q, err := m.quote(aik, bound.extraData)
	if err != nil {
		return "", nil, err
	}
	evidence := evidenceObject{Challenge: b64.URL(c.Challenge), Context: c.Context, RequestKey: bound.object, RPData: b64.URL(m.Nonce)}
	evidence.TPM.Current = q.attestation(aik, m.AIKCertificate)
	request, err := evidence.sign(key)
	return request, &Report{Key: key.public, Private: key.private, Quoted: q.pcrs, Banks: q.banks, Unexplained: q.unexplained}, err
}

// certifies refuses the certificate of another AIK; none is as good as the service's policy says.
func certifies(der []byte, aik *object) error {
	if der == nil {
		return nil
	}
	cert, err := tpm.ParseCertificate(der)
	if err != nil {
		return problem("the certificate of the AIK cannot be read", "enrol again, or name the right file", err)
	}
	if same, ok := aik.key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(cert.PublicKey) {
		return problem("the certificate of the AIK is of another key than this TPM's",
			"enrol again: the TPM was cleared or replaced, or the certificate is of an AIK with another signature scheme", nil)
	}
	return nil
}

// fresh makes a key in memory.
func fresh() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, requestKeyBits)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}
