package verifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// bind checks that runtime data and init data are what the evidence vouches for, and gives the claims that present them
// and the nonce (api.md section 4.1).
func (v *Verifier) bind(r Request, e *Subject) ([]evidence.Claim, error) {
	var claims []evidence.Claim
	if r.RuntimeData != nil {
		if err := v.bindRuntimeData(r.RuntimeData, e); err != nil {
			return nil, err
		}
		r.Record.Checks.Pass(evidence.RuntimeData, hex.EncodeToString(e.reportData[:sha256.Size]))
		presented, err := presentRuntimeData(r.RuntimeData, e)
		if err != nil {
			return nil, err
		}
		claims = append(claims, presented...)
	}
	if r.InitData != nil {
		sum := sha256.Sum256(r.InitData.Bytes)
		if err := e.initData(sum); err != nil {
			return nil, err
		}
		r.Record.Checks.Pass(evidence.InitData, hex.EncodeToString(sum[:]))
		presented, err := present(r.InitData, evidence.InitData, "x-ms-inittime")
		if err != nil {
			return nil, err
		}
		claims = append(claims, presented...)
	}
	if r.Nonce != nil {
		claims = append(claims, evidence.Claim{Name: "nonce", Value: *r.Nonce})
	}
	return claims, nil
}

// bindRuntimeData compares the data with the lower half of the report data. The upper half counts only where the
// provider asks for it (switch require_zero_report_data_tail).
func (v *Verifier) bindRuntimeData(d *Data, e *Subject) error {
	want, found := sha256.Sum256(d.Bytes), e.reportData[:sha256.Size]
	if !bytes.Equal(want[:], found) {
		return evidence.Refuse(evidence.RuntimeData, "SuppliedRuntimeDataDigest does not match RuntimeData Digest in quote").
			Want("report data starting "+hex.EncodeToString(want[:])+", the SHA-256 of the data sent", hex.EncodeToString(found)).
			Do("send the very bytes whose SHA-256 is in the report data")
	}
	tail := e.reportData[sha256.Size:]
	if bytes.Equal(tail, make([]byte, len(tail))) {
		return nil
	}
	refusal := evidence.Refuse(evidence.RuntimeData, "the upper half of the report data is not zero beside runtime data").
		Want("32 zero bytes", hex.EncodeToString(tail)).Do("leave the upper half of the report data zero")
	switch {
	case e.zeroTail:
		return refusal
	case v.cfg.Baseline.zeroTail():
		refusal.Problem += ", which the provider's setting " + named("require_zero_report_data_tail", v.cfg.Baseline.ZeroReportDataTail) + " forbids"
		return refusal
	}
	return nil
}

// presentRuntimeData gives the claims that show runtime data in a token.
func presentRuntimeData(d *Data, e *Subject) ([]evidence.Claim, error) {
	return present(d, evidence.RuntimeData, "x-ms-runtime", e.binary...)
}

// present gives the claims for data: parsed under the name parsed, or as base64url under each name of raw. JSON may end
// in a NUL byte, as some clients send it; that byte was hashed but is not JSON.
func present(d *Data, check evidence.Check, parsed string, raw ...string) ([]evidence.Claim, error) {
	if d.JSON {
		v, err := strictjson.Compact(bytes.TrimSuffix(d.Bytes, []byte{0}))
		if err == nil {
			err = strictjson.Check(slices.Concat([]byte("["), v, []byte("]"))) // as deep as it will stand in the token
		}
		if err != nil {
			return nil, evidence.Refuse(check, "the data is not the JSON it is said to be").Because(err).Do(`correct it, or send it with dataType "Binary"`)
		}
		return []evidence.Claim{{Name: parsed, Value: v}}, nil
	}
	var claims []evidence.Claim
	for _, name := range raw {
		claims = append(claims, evidence.Claim{Name: name, Value: b64.URL(d.Bytes)})
	}
	return claims, nil
}
