// Package attreq reads and verifies requests of the Azure Attestation TPM protocol: the messages, the request JWS of versions 1
// and 2, its keys and their bindings, and the evidence in it, TPM and VBS (tpm.md sections 2 to 4 and 11 to 13).
//
// A request climbs four steps: Parse gives a Request, of which nothing is believed; a Signed was signed by the key that it names;
// a Fresh answers the challenge that the service chose; a Verified is evidence of a TPM, and has the claims.
package attreq

import (
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/b64"
)

// Limits bound what is read of a request (README.md section 7 of the specification). The zero value allows nothing.
type Limits struct {
	Log              eventlog.Limits
	IMA              ima.Limits
	Depth            int // sipa_depth
	CustomClaims     int // custom_claims
	CustomClaimValue int // custom_claim_value: bytes
}

// DefaultLimits are those of the specification's table.
func DefaultLimits() Limits {
	return Limits{
		Log: eventlog.DefaultLimits(), IMA: ima.DefaultLimits(), Depth: sipa.DefaultDepth, CustomClaims: 64, CustomClaimValue: 64 << 10,
	}
}

// Bounds of what no limit of the specification bounds, in bytes unless they say otherwise.
const (
	maxHeader      = 1 << 10  // the header of the JWS
	maxText        = 8 << 10  // rp_data, service_context, the name of a client claim
	maxJWK         = 16 << 10 // a key as sent
	maxBinary      = 16 << 10 // certificates, quotes, public areas, signatures, claims of NCrypt
	maxReport      = 1 << 20  // a report of a VBS enclave
	maxLogs        = 64       // logs of one attestation
	maxBanks       = 8        // banks of PCR values
	maxOtherKeys   = 2        // fixed by the protocol
	maxDigest      = 64       // of SHA-512
	maxChallenge   = 64       // of a TPM's qualifying data
	maxBase64Waste = 4        // what padding and rounding add to four thirds
)

// askClient is the remedy where a request is not of the protocol's form.
const askClient = "correct the client: the form of requests is that of Microsoft's virtualization-based security protocol"

// malformed begins the refusal of a request that is not of the protocol's form.
func malformed(format string, args ...any) *evidence.Refusal {
	return evidence.Refuse(evidence.TPMRequest, format, args...).Do(askClient)
}

// binary reads a binary member, base64url or base64, padded or not, of at most limit bytes. A member that is not there gives nil.
func binary(name string, text *string, limit int) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	if len(*text) > (limit+2)/3*4+maxBase64Waste {
		return nil, tooLong(name, limit)
	}
	b, err := b64.Decode(*text)
	if err != nil {
		return nil, malformed("the member %s is %v", name, err)
	}
	if len(b) > limit {
		return nil, tooLong(name, limit)
	}
	return b, nil
}

// needed reads a binary member that must be there and not be empty.
func needed(name string, text *string, limit int) ([]byte, error) {
	b, err := binary(name, text, limit)
	if err == nil && len(b) == 0 {
		return nil, missing(name)
	}
	return b, err
}

func missing(name string) error { return malformed("the member %s is missing", name) }

func tooLong(name string, limit int) error {
	return malformed("the member %s is longer than %d bytes", name, limit)
}

// maxQuoted bounds what a refusal quotes of a request, in bytes.
const maxQuoted = 64

// quoted quotes a text of a request for a message.
func quoted(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "…"
	}
	return fmt.Sprintf("%q", s)
}
