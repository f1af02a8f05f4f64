package attester

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// evidenceObject is what the request says (tpm.md section 3).
type evidenceObject struct {
	RPData    string `json:"rp_data,omitzero"`
	Challenge string `json:"challenge"`
	Context   string `json:"service_context"`
	TPM       struct {
		Current attestation `json:"current_attestation"`
	} `json:"tpm_att_data"`
	RequestKey keyObject `json:"request_key"`
}

type attestation struct {
	Logs           []logObject    `json:"logs"`
	AIKCertificate string         `json:"aik_cert,omitzero"`
	AIK            jsontext.Value `json:"aik_pub"`
	PCRs           []bankObject   `json:"pcrs"`
	Quote          string         `json:"quote"`     // TPMS_ATTEST
	Signature      string         `json:"signature"` // TPMT_SIGNATURE
}

type logObject struct {
	Type string `json:"type"`
	Log  string `json:"log"`
}

type bankObject struct {
	Alg    tpm.Alg     `json:"algorithm"`
	Values []pcrObject `json:"values"`
}

type pcrObject struct {
	Index  int    `json:"index"`
	Digest string `json:"digest"`
}

// sign makes the JWS. The bytes of the payload are those that are hashed and signed: nothing is written twice.
func (o *evidenceObject) sign(key *requestKey) (string, error) {
	payload, err := json.Marshal(struct {
		Type string          `json:"att_type"`
		Data *evidenceObject `json:"att_data"`
	}{"basic", o})
	if err != nil {
		return "", fmt.Errorf("writing the request: %w", err)
	}
	signed := b64.URL([]byte(`{"alg":"PS256","typ":"attReqV2"}`)) + "." + b64.URL(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := key.sign(digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + b64.URL(signature), nil
}

// publicJWK writes the key of an AIK; null for a kind that [TPM.primary] does not make.
func publicJWK(key crypto.PublicKey) jsontext.Value {
	members := map[string]string{}
	switch key := key.(type) {
	case *rsa.PublicKey:
		members = map[string]string{"kty": "RSA", "n": b64.URL(key.N.Bytes()), "e": b64.URL(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		if point, err := key.Bytes(); err == nil { // 04 ‖ x ‖ y
			half := 1 + len(point)/2
			members = map[string]string{"kty": "EC", "crv": key.Params().Name, "x": b64.URL(point[1:half]), "y": b64.URL(point[half:])}
		}
	}
	b, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return jsontext.Value("null") // cannot be: the members are texts
	}
	return b
}

// Post sends a JSON body to a path of the service, such as /attest/Tpm, and gives the body of an answer of success.
type Post func(ctx context.Context, path string, body []byte) ([]byte, error)

const attestPath = "/attest/Tpm"

// dataBody is the body of a message and of its answer: JSON in base64url (tpm.md section 2).
type dataBody struct {
	Data string `json:"data"`
}

// Challenge is what a service wants to see answered.
type Challenge struct {
	Challenge []byte
	Context   string // opaque: sent back as it is
}

// answer is what is in the answers of the service, with the wrapper payload or without it.
type answer struct {
	Challenge string `json:"challenge"`
	Context   string `json:"service_context"`
	Report    string `json:"report"`
}

// Challenge asks the service for a challenge. The error is a *[BadAnswer] for an answer that is none; that of post comes as it is.
func (p Post) Challenge(ctx context.Context) (*Challenge, error) {
	body, err := p.exchange(ctx, `{"payload":{"type":"aikcert"}}`)
	if err != nil {
		return nil, err
	}
	return ReadChallenge(body)
}

// ReadChallenge reads a challenge from the body of the answer. The error is a *[BadAnswer].
func ReadChallenge(body []byte) (*Challenge, error) {
	a, err := readAnswer(body)
	if err != nil {
		return nil, err
	}
	challenge, err := b64.Decode(a.Challenge)
	if err != nil || len(challenge) == 0 || a.Context == "" {
		return nil, &BadAnswer{errors.New("it has no challenge with a context")}
	}
	return &Challenge{challenge, a.Context}, nil
}

// Report sends the request that answers a challenge, a JWS (tpm.md section 3), and gives the report, which nobody has verified. Errors are as those of
// [Post.Challenge].
func (p Post) Report(ctx context.Context, request string) (string, error) {
	body, err := p.exchange(ctx, `{"payload":{"request":"`+request+`"}}`) // a JWS has no letter that JSON would write otherwise
	if err != nil {
		return "", err
	}
	a, err := readAnswer(body)
	if err == nil && a.Report == "" {
		err = &BadAnswer{errors.New("it has no report")}
	}
	return a.Report, err
}

// exchange sends a message and gives the body of the answer to it.
func (p Post) exchange(ctx context.Context, inner string) ([]byte, error) {
	body, err := json.Marshal(dataBody{b64.URL([]byte(inner))})
	if err != nil {
		return nil, fmt.Errorf("writing a message: %w", err)
	}
	return p(ctx, attestPath, body)
}

// BadAnswer is the error of an answer that is none of the protocol.
type BadAnswer struct{ Err error }

// Error says what is wrong with the answer.
func (b *BadAnswer) Error() string {
	return fmt.Sprintf("the service answered with something that is no message of the TPM protocol: %v", b.Err)
}

// Unwrap gives what is wrong with the answer.
func (b *BadAnswer) Unwrap() error { return b.Err }

func readAnswer(body []byte) (answer, error) {
	var outer dataBody
	var wrapped struct {
		answer
		Payload *answer `json:"payload"`
	}
	err := strictjson.Folded(body, &outer)
	if err == nil {
		var inner []byte
		if inner, err = b64.Decode(outer.Data); err == nil {
			err = strictjson.Folded(inner, &wrapped)
		}
	}
	switch {
	case err != nil:
		return answer{}, &BadAnswer{err}
	case wrapped.Payload != nil:
		return *wrapped.Payload, nil
	}
	return wrapped.answer, nil
}
