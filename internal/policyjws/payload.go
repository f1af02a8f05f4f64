package policyjws

import (
	"bytes"
	"crypto/x509"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// payload is the second part. The certificate of a change of signers has had three names (api.md 9.2).
type payload struct {
	Policy      *string        `json:"AttestationPolicy"`
	Certificate jsontext.Value `json:"policyCertificate"`
	Preview     jsontext.Value `json:"maa-policyCertificate"`
	Documented  jsontext.Value `json:"x-ms-policyCertificate"`
}

// readPayload reads the second part, whose members tell the operation.
func (p *Parsed) readPayload(part string, opts Options) error {
	b, err := decode("payload", part)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		p.operation = ResetPolicy
		return nil
	}
	var body payload
	if err := strictjson.Exact(b, &body); err != nil {
		return explained(b, malformed("payload").because(err))
	}
	certificates := body.certificates()
	switch {
	case body.Policy != nil && len(certificates) == 0:
		p.operation = SetPolicy
		p.text, err = policyText(*body.Policy, opts)
	case body.Policy == nil && len(certificates) == 1:
		p.operation = ChangeSigners
		p.signer, err = policyCertificate(certificates[0])
	default:
		r := malformed("payload").want("one of the members AttestationPolicy and policyCertificate", body.members())
		if body.Policy == nil && len(certificates) == 0 { // the words of Microsoft's service (api.md 6.4)
			r.Problem = `payload without a policy; Could not find "policyCertificate" claim in policy token`
		}
		err = r
	}
	return err
}

func (body *payload) certificates() (found []jsontext.Value) {
	for _, v := range []jsontext.Value{body.Certificate, body.Preview, body.Documented} {
		if v != nil {
			found = append(found, v)
		}
	}
	return found
}

func (body *payload) members() string {
	switch n := len(body.certificates()); {
	case body.Policy != nil:
		return "both"
	case n > 1:
		return "several certificates"
	}
	return "neither"
}

// explained adds what is behind a payload of Microsoft's signing tool in its current mode, which writes the base64url
// of a JSON string without quotes around it (policy.md section 10).
func explained(b []byte, r *Refusal) *Refusal {
	value, ok := bytes.CutPrefix(b, []byte(`{"AttestationPolicy":`))
	if value = bytes.TrimRight(value, "}"); ok && len(value) > 0 && value[0] != '"' {
		if _, err := b64.DecodeURL(string(value)); err == nil {
			return r.do("Microsoft's signing tool leaves out the quotes around AttestationPolicy: sign the policy with another tool")
		}
	}
	return r
}

// policyText reads AttestationPolicy: base64url of the UTF-8 text.
func policyText(value string, opts Options) ([]byte, error) {
	text, err := decode("payload: AttestationPolicy", value)
	switch {
	case err == nil:
		return asText(text)
	case opts.PlainText:
		return []byte(value), nil
	}
	return nil, err
}

// asText returns the policy text if it is UTF-8.
func asText(b []byte) ([]byte, error) {
	if !utf8.Valid(b) {
		return nil, malformed("the policy text is not UTF-8")
	}
	return b, nil
}

// policyCertificate reads the JWK of a certificate to add or to remove, which is the first of its x5c.
func policyCertificate(v []byte) (*x509.Certificate, error) {
	const where = "payload: policyCertificate"
	var key jwk
	if err := strictjson.Exact(v, &key); err != nil {
		return nil, within(where, err)
	}
	key.Type = "" // the Java client writes X.509 here, and the Python client RSA, whatever the key is
	chain, err := key.certificates()
	if err != nil {
		return nil, within(where, err)
	}
	return chain[0], nil
}
