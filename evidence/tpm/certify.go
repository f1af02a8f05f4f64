package tpm

import (
	"bytes"
	"crypto"
	"encoding/hex"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

// VerifyCertify checks that the attestation certifies the public area, signed by the key, with exactly the qualifying data
// (tpm-evidence.md section 2, its last line). A Name by SHA-1 is refused: two areas with one such Name can be made. What kind
// of key the area describes is the caller's to judge by its attributes. The error is an [evidence.Refusal].
func (a *Attest) VerifyCertify(key crypto.PublicKey, extraData []byte, p *Public) error {
	if r := a.signedBy(key); r != nil {
		return r
	}
	if r := a.is(tpm2.TPMSTAttestCertify, "certification"); r != nil {
		return r
	}
	if r := a.answers(extraData); r != nil {
		return r
	}
	if r := a.certifies(p); r != nil {
		return r
	}
	return nil
}

func (a *Attest) certifies(p *Public) *evidence.Refusal {
	if p.NameAlg == SHA1 || p.NameAlg.Size() == 0 {
		return evidence.Refuse(evidence.SHA1, "the certified key's Name is by a hash that is too weak").
			Want("SHA-256, SHA-384 or SHA-512", p.NameAlg).Do("make the key with nameAlg SHA-256")
	}
	if !bytes.Equal(a.name, p.Name) {
		return evidence.Refuse(evidence.CertifiedKey, "the certification is of another key").
			Want(hex.EncodeToString(p.Name), hex.EncodeToString(a.name)).
			Do("send the public area of the key that was certified")
	}
	return nil
}
