package attreq

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/b64"
)

// Names of claims that stand in the report too.
const (
	ClaimRequestKey = "x-ms-tpm-request-key"
	ClaimOtherKeys  = "x-ms-tpm-other-keys"
)

// ClaimOptions change how claims are written.
type ClaimOptions struct {
	PCRsInHex    bool // switch tpm_pcr_digest_text: hex
	EventDigests bool // switch tpm_event_digests
}

// tpmVersion is the major version of the TPMs that there are here.
const tpmVersion = 2

// Claims are those of the service that policies see, in the order of tpm.md section 8, JSON ones as [jsontext.Value].
func (v *Verified) Claims(opt ClaimOptions) ([]evidence.Claim, error) {
	hash, err := v.aikHash()
	if err != nil {
		return nil, err
	}
	claims := []evidence.Claim{{Name: "aikValidated", Value: v.validated}, {Name: "aikPubHash", Value: hash}, {Name: "tpmVersion", Value: int64(tpmVersion)}}
	claims = slices.Concat(claims, v.factClaims(), v.enclaveClaims())
	logs, err := v.logClaims(opt)
	if err != nil {
		return nil, err
	}
	keys, err := v.keyClaims()
	return slices.Concat(claims, logs, keys), err
}

// factClaims are what the logs of both boots say.
func (v *Verified) factClaims() []evidence.Claim {
	f := v.current.Facts()
	if v.boot != nil {
		f = f.And(v.boot.Facts())
	}
	return []evidence.Claim{
		{Name: "secureBootEnabled", Value: f.SecureBootEnabled},
		{Name: "bootDebuggingDisabled", Value: f.BootDebuggingDisabled},
		{Name: "notSafeMode", Value: f.NotSafeMode},
		{Name: "notWinPE", Value: f.NotWinPE},
		{Name: "vbsEnabled", Value: f.VBSEnabled},
		{Name: "iommuEnabled", Value: f.IOMMUEnabled},
		{Name: "vbsReportPresent", Value: v.enclave != nil},
		{Name: "vsmReportPresent", Value: v.enclave != nil},
	}
}

// enclaveClaims are those of a VBS enclave (tpm.md section 8.1).
func (v *Verified) enclaveClaims() []evidence.Claim {
	if v.enclave == nil {
		return nil
	}
	id := v.enclave.Identity
	return []evidence.Claim{
		{Name: "enclaveOwnerId", Value: b64.URL(id.OwnerID[:])},
		{Name: "enclaveAuthorId", Value: b64.URL(id.AuthorID[:])},
		{Name: "enclaveFamilyId", Value: b64.URL(id.FamilyID[:])},
		{Name: "enclaveImageId", Value: b64.URL(id.ImageID[:])},
		{Name: "enclaveSvn", Value: int64(id.EnclaveSVN)},
		{Name: "enclavePlatformSvn", Value: int64(id.PlatformSVN)},
		{Name: "enclaveFlags", Value: int64(id.Flags)},
	}
}

// logClaims are events, bootEvents and pcrs (tpm.md section 9).
func (v *Verified) logClaims(opt ClaimOptions) ([]evidence.Claim, error) {
	how := measured.EventsOptions{Digests: opt.EventDigests}
	events, err := v.current.Events(how)
	if err != nil {
		return nil, err
	}
	claims := []evidence.Claim{{Name: "events", Value: events}}
	if v.boot != nil {
		events, err := v.boot.Events(how)
		if err != nil {
			return nil, err
		}
		claims = append(claims, evidence.Claim{Name: "bootEvents", Value: events})
	}
	return append(claims, evidence.Claim{Name: "pcrs", Value: measured.PCRs(v.quoted, opt.PCRsInHex)}), nil
}

// keyClaims are the keys of a request of version 2 (tpm.md section 9.4).
func (v *Verified) keyClaims() (claims []evidence.Claim, err error) {
	r := v.request
	if r.version == 1 {
		return nil, nil
	}
	request, err := r.request.policyKey()
	if err != nil {
		return nil, err
	}
	claims = append(claims, evidence.Claim{Name: ClaimRequestKey, Value: request})
	if len(r.others) == 0 {
		return claims, nil
	}
	var others [][]byte
	for _, k := range r.others {
		other, err := k.policyKey()
		if err != nil {
			return nil, err
		}
		others = append(others, other)
	}
	array := slices.Concat([]byte("["), bytes.Join(others, []byte(",")), []byte("]"))
	return append(claims, evidence.Claim{Name: ClaimOtherKeys, Value: jsontext.Value(array)}), nil
}

// ClientClaims are the claims of the client, in its order. Nothing proves them.
func (v *Verified) ClientClaims() []evidence.Claim { return v.request.custom }

// RPData is the text that the relying party wants to see again; false: none was sent.
func (v *Verified) RPData() (string, bool) { return valueOf(v.request.rpData), v.request.rpData != nil }

// Key is the key that signed the request, as a JWK of public members.
func (v *Verified) Key() jsontext.Value { return v.request.key.public }
