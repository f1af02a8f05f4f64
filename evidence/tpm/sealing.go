package tpm

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

// PCRPolicy is the digest, by SHA-256, of the policy that TPM2_PolicyPCR alone makes of exactly what is quoted (azure-guest.md section 3 step 5).
// Only a quote that is signed with SHA-256 has the digest of PCRs that goes into it; of another one the result is nil.
func (q *Quoted) PCRPolicy() []byte {
	if q.attest.sig.hash != SHA256 {
		return nil
	}
	command := []byte{0, 0, byte(tpm2.TPMCCPolicyPCR >> 8), byte(tpm2.TPMCCPolicyPCR & 0xFF)}
	return SHA256.Sum(make([]byte, SHA256.Size()), command, q.attest.selected, q.attest.digest)
}

// CheckSealing checks that what is encrypted to the key by RSAES can be read in the TPM that has the key, and there only while the policy holds
// (azure-guest.md section 3 step 5): RSA, of which [ParsePublic] lets pass 2048 bits and more, fixedTPM, fixedParent, sensitiveDataOrigin and decrypt, neither sign nor restricted nor
// userWithAuth, with which the policy could be passed by, nameAlg SHA-256, and authPolicy the policy's digest. The error is an [evidence.Refusal] of
// SealingKey or SealingPolicy.
func (p *Public) CheckSealing(policy []byte) error {
	if r := p.seals(); r != nil {
		return r.Do("make an RSA-2048 key with the attributes 00020432, nameAlg SHA-256, no symmetric algorithm and no scheme, and with a policy of TPM2_PolicyPCR")
	}
	if len(policy) != SHA256.Size() || !bytes.Equal(policy, p.AuthPolicy) {
		return evidence.Refuse(evidence.SealingPolicy, "the key that the token is to be encrypted to is not bound to the quoted PCRs").
			Want("authPolicy "+bytesText(policy), hex.EncodeToString(p.AuthPolicy)).
			Do("make the key with the policy of TPM2_PolicyPCR over the PCRs and values that are quoted, and quote before any of them is extended")
	}
	return nil
}

func (p *Public) seals() *evidence.Refusal {
	if _, ok := p.Key.(*rsa.PublicKey); !ok {
		return notSealing("is not RSA").Want("RSA", fmt.Sprintf("%T", p.Key))
	}
	if wrong := p.unsealed(); len(wrong) > 0 {
		return notSealing("has attributes of another one").Want(strings.Join(wrong, ", "), hex32(p.Attributes))
	}
	if p.NameAlg != SHA256 {
		return notSealing("has another nameAlg").Want(SHA256, p.NameAlg)
	}
	if p.symmetric != tpm2.TPMAlgNull {
		return notSealing("has a symmetric algorithm").Want(hex16(uint16(tpm2.TPMAlgNull)), hex16(uint16(p.symmetric)))
	}
	if p.scheme != tpm2.TPMAlgNull && p.scheme != tpm2.TPMAlgRSAES {
		return notSealing("has a scheme that cannot open the token").Want("RSAES or none", hex16(uint16(p.scheme)))
	}
	return nil
}

// unsealed names the attributes of a sealing key that are not as they must be.
func (p *Public) unsealed() []string {
	wrong := p.without(attribute{fixedTPM, "fixedTPM"}, attribute{fixedParent, "fixedParent"}, attribute{sensitiveDataOrigin, "sensitiveDataOrigin"},
		attribute{decrypt, "decrypt"})
	for _, a := range []attribute{{sign, "sign"}, {restricted, "restricted"}, {userWithAuth, "userWithAuth"}} {
		if p.Attributes&a.bit != 0 {
			wrong = append(wrong, "not "+a.name)
		}
	}
	return wrong
}

func notSealing(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.SealingKey, "the key that the token is to be encrypted to %s", problem)
}
