package azureguest

import (
	"crypto/rsa"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
)

// Parts are what claims are made of.
type Parts struct {
	Kind    string         // OSType
	Payload jsontext.Value // nil: none
	Boot    *measured.Boot // nil: no log
	Quoted  *tpm.Quoted
	Runtime *hcl.RuntimeData // nil: trusted launch
	Sealing *rsa.PublicKey
}

// Verified is a guest of the parts, for which nobody vouches.
func (p Parts) Verified() *Verified {
	b := &Bundle{Version: "2.0", Payload: p.Payload, os: system{kind: p.Kind, distro: "a distro", build: "a build", major: 22, minor: 4}}
	return &Verified{machine: &Machine{bundle: b, boot: p.Boot, quoted: p.Quoted, sealing: p.Sealing}, runtime: p.Runtime}
}
