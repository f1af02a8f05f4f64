package result

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Thumbprint is the kid of a key that a CA has certified, and the header member x5t: unpadded base64url of SHA-1 over the DER
// of its certificate (tokens.md section 3.1). It names a key; nothing is believed for its sake.
func Thumbprint(der []byte) string {
	digest := sha1.Sum(der)
	return b64.URL(digest[:])
}

// Member is a claim of a report. A value is as in [Claims]; a jsontext.Value keeps the order of its members.
type Member struct {
	Name  string
	Value any
}

// ReportSigner makes TPM reports (tokens.md section 10) with one RSA key.
type ReportSigner struct {
	Key   crypto.Signer // as in Signer
	Chain [][]byte      // DER: the certificate of the key, the one of its CA, and the root
}

// KeyID is the kid of the reports.
func (s ReportSigner) KeyID() string { return Thumbprint(s.Chain[0]) }

// Sign returns the members, in their order, as a token in compact serialisation, signed as in [Signer.Sign]. It adds no member
// of its own. The header has the chain as x5c, or x5t in its place (tokens.md section 2). The error wraps ErrTooLarge if the
// members do not fit into a token.
func (s ReportSigner) Sign(members []Member, omitChain bool) (string, error) {
	header, err := s.header(omitChain)
	if err != nil {
		return "", err
	}
	payload, err := encodeMembers(members, maxPayload)
	if err != nil {
		return "", err
	}
	return signed(b64.URL(header)+"."+b64.URL(payload), s.Key, s.KeyID())
}

func (s ReportSigner) header(omitChain bool) ([]byte, error) {
	h := struct {
		Type       string   `json:"typ"`
		Algorithm  string   `json:"alg"`
		Chain      [][]byte `json:"x5c,omitzero"` // standard base64
		Thumbprint string   `json:"x5t,omitzero"`
		KeyID      string   `json:"kid"`
	}{Type: tokenType, Algorithm: AlgorithmRS256, Chain: s.Chain, KeyID: s.KeyID()}
	if omitChain {
		h.Chain, h.Thumbprint = nil, s.KeyID()
	}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("writing the header of a report: %w", err)
	}
	if n := len(b64.URL(b)); n > MaxHeaderSize {
		return nil, fmt.Errorf("writing the header of a report: %d bytes, at most %d are read", n, MaxHeaderSize)
	}
	return b, nil
}

// encodeMembers writes an object compactly, in no more bytes than limit.
func encodeMembers(members []Member, limit int) ([]byte, error) {
	var b bytes.Buffer
	e := jsontext.NewEncoder(&b)
	err := e.WriteToken(jsontext.BeginObject)
	for _, m := range members {
		if err == nil {
			err = e.WriteToken(jsontext.String(m.Name))
		}
		if err == nil {
			err = json.MarshalEncode(e, m.Value, json.Deterministic(true))
		}
	}
	if err == nil {
		err = e.WriteToken(jsontext.EndObject)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the claims of a report: %w", err)
	}
	payload := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(payload) > limit {
		return nil, fmt.Errorf("%w: %d bytes of claims, at most %d", ErrTooLarge, len(payload), limit)
	}
	return payload, readable(payload)
}

// readable checks that the limits of JSON documents, which a relying party applies, hold for a payload.
func readable(payload []byte) error {
	err := strictjson.Check(payload)
	if errors.Is(err, strictjson.ErrLimit) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}
