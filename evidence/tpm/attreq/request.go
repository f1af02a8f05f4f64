package attreq

import (
	"cmp"
	"crypto/rsa"
	"crypto/sha512"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Request is a request, parsed. Nothing of it is believed.
type Request struct {
	limits    Limits
	version   int    // of the protocol: 1 or 2
	input     string // of the signature: header and payload as sent
	signature []byte
	key       *jwk // that must have made it
	enclave   *enclave
	rpData    *string
	challenge []byte
	context   string
	custom    []evidence.Claim
	current   attestation
	boot      *attestation // nil: none
	request   *keyObject   // of version 2
	others    []*keyObject // of version 2
}

// enclave is what a request says of a VBS enclave.
type enclave struct {
	report []byte
	data   [sha512.Size]byte // the hash of report_signed, which the enclave's data must be
}

// headerJSON is the protected header, with these members only.
type headerJSON struct {
	Algorithm *string `json:"alg"`
	Type      *string `json:"typ"`
}

// The one algorithm, and the values of typ by version.
const (
	algorithm = "PS256"
	version1  = "attReq"
	version2  = "attReqV2"
)

// Parse reads a request in the compact form of JWS (tpm.md section 3). The error is an [evidence.Refusal].
func Parse(jws string, l Limits) (*Request, error) {
	parts := strings.SplitN(jws, ".", 4)
	if len(parts) != 3 {
		return nil, malformed("the request is no JWS in compact form").Want("three parts with dots between them", len(parts))
	}
	r := &Request{limits: l, input: jws[:len(parts[0])+1+len(parts[1])]}
	if err := r.header(parts[0]); err != nil {
		return nil, err
	}
	var err error
	if r.signature, err = needed("signature of the JWS", &parts[2], maxBinary); err != nil {
		return nil, err
	}
	payload, err := b64.Decode(parts[1])
	if err != nil {
		return nil, malformed("the payload of the JWS is %v", err)
	}
	return r, r.payload(payload)
}

// header reads the protected header, which is one of two.
func (r *Request) header(part string) error {
	if len(part) > maxHeader {
		return tooLong("header of the JWS", maxHeader)
	}
	b, err := b64.Decode(part)
	if err != nil {
		return malformed("the header of the JWS is %v", err)
	}
	var all map[string]jsontext.Value
	var h headerJSON
	if err := cmp.Or(strictjson.Exact(b, &all), strictjson.Exact(b, &h)); err != nil {
		return malformed("the header of the JWS cannot be read").Because(err)
	}
	const want = `{"alg":"PS256","typ":"attReq"} or {"alg":"PS256","typ":"attReqV2"}`
	if len(all) != 2 || valueOf(h.Algorithm) != algorithm {
		return malformed("the header of the JWS is not that of a request").Want(want, quoted(string(b)))
	}
	switch valueOf(h.Type) {
	case version1:
		r.version = 1
	case version2:
		r.version = 2
	default:
		return malformed("the header of the JWS is not that of a request").Want(want, quoted(string(b)))
	}
	return nil
}

// payloadJSON is the payload of the JWS.
type payloadJSON struct {
	Type *string        `json:"att_type"`
	Data jsontext.Value `json:"att_data"`
}

// enclaveJSON is att_data of a request for a VBS enclave. The report is a string in version 1, and an object in version 2.
type enclaveJSON struct {
	Signed jsontext.Value `json:"report_signed"`
	Report jsontext.Value `json:"vsm_report"`
}

type enclaveReportJSON struct {
	Enclave struct {
		Report *string `json:"report"`
	} `json:"enclave"`
}

// payload reads the payload.
func (r *Request) payload(b []byte) error {
	var p payloadJSON
	if err := strictjson.Exact(b, &p); err != nil {
		return malformed("the payload of the JWS cannot be read").Because(err)
	}
	if !isObject(p.Data) {
		return malformed("the member att_data is no object")
	}
	switch valueOf(p.Type) {
	case "basic":
		return r.evidence(p.Data)
	case "vbs", "vsm":
		return r.vbs(p.Data)
	}
	return malformed("the member att_type is unknown").Want("basic or vbs", quoted(valueOf(p.Type)))
}

// vbs reads att_data of a request for a VBS enclave.
func (r *Request) vbs(b jsontext.Value) error {
	var m enclaveJSON
	if err := strictjson.Exact(b, &m); err != nil {
		return malformed("the member att_data cannot be read").Because(err)
	}
	if !isObject(m.Signed) {
		return malformed("the member report_signed is no object")
	}
	text, err := r.enclaveReport(m.Report)
	if err != nil {
		return err
	}
	report, err := needed("vsm_report", text, maxReport)
	if err != nil {
		return err
	}
	r.enclave = &enclave{report, sha512.Sum512(m.Signed)}
	return r.evidence(m.Signed)
}

// enclaveReport finds the report, which each version has in another place.
func (r *Request) enclaveReport(b jsontext.Value) (*string, error) {
	if b == nil {
		return nil, nil
	}
	var err error
	if r.version == 1 {
		var text *string
		if err = strictjson.Exact(b, &text); err == nil {
			return text, nil
		}
	} else {
		var m enclaveReportJSON
		if err = strictjson.Exact(b, &m); err == nil {
			return m.Enclave.Report, nil
		}
	}
	return nil, malformed("the member vsm_report has not the form of version %d", r.version).Because(err)
}

func isObject(v jsontext.Value) bool { return v != nil && v.Kind() == '{' }

// evidenceJSON is the evidence object. rp_id is not read: nobody knows what it is for.
type evidenceJSON struct {
	RPData     *string          `json:"rp_data"`
	Challenge  *string          `json:"challenge"`
	Context    *string          `json:"service_context"`
	Custom     []customJSON     `json:"custom_claims"`
	TPM        jsontext.Value   `json:"tpm_att_data"`
	AttestKey  jsontext.Value   `json:"attest_key"`  // of version 1
	RequestKey jsontext.Value   `json:"request_key"` // of version 2
	OtherKeys  []jsontext.Value `json:"other_keys"`  // of version 2
}

// evidence reads the evidence object.
func (r *Request) evidence(b jsontext.Value) error {
	var m evidenceJSON
	if err := strictjson.Exact(b, &m); err != nil {
		return malformed("the evidence cannot be read").Because(err)
	}
	if err := r.freshness(&m); err != nil {
		return err
	}
	var err error
	if r.custom, err = customClaims(m.Custom, r.limits); err != nil {
		return err
	}
	if !isObject(m.TPM) {
		return malformed("the member tpm_att_data is missing: without a TPM nothing can be proved")
	}
	if r.version == 1 {
		return r.evidence1(&m)
	}
	return r.evidence2(&m)
}

// freshness reads what binds the request to its challenge, and to whoever relies on it.
func (r *Request) freshness(m *evidenceJSON) (err error) {
	if len(valueOf(m.RPData)) > maxText {
		return tooLong("rp_data", maxText)
	}
	r.rpData = m.RPData
	if r.challenge, err = needed("challenge", m.Challenge, maxChallenge); err != nil {
		return err
	}
	switch r.context = valueOf(m.Context); {
	case r.context == "":
		return missing("service_context")
	case len(r.context) > maxText:
		return tooLong("service_context", maxText)
	}
	return nil
}

// evidence1 reads what only version 1 has.
func (r *Request) evidence1(m *evidenceJSON) (err error) {
	if r.key, err = signingKey("attest_key", m.AttestKey); err != nil {
		return err
	}
	return r.platform1(m.TPM)
}

// evidence2 reads what only version 2 has.
func (r *Request) evidence2(m *evidenceJSON) (err error) {
	if r.request, err = parseKey(evidence.TPMRequestKey, "request_key", m.RequestKey); err != nil {
		return err
	}
	if r.request.binding == plain {
		return unbound("the member request_key.info has neither tpm_quote nor tpm_certify")
	}
	if r.key, err = rsaOnly("request_key.jwk", r.request.jwk); err != nil {
		return err
	}
	if len(m.OtherKeys) > maxOtherKeys {
		return malformed("there are too many other_keys").Want("2 or fewer", len(m.OtherKeys))
	}
	for _, sent := range m.OtherKeys {
		k, err := parseKey(evidence.CertifiedKey, "other_keys", sent)
		if err != nil {
			return err
		}
		if k.binding == byQuote {
			return malformed("a key of other_keys has tpm_quote, which is for the request_key only")
		}
		r.others = append(r.others, k)
	}
	return r.platform2(m.TPM)
}

// signingKey reads a key that signs requests.
func signingKey(name string, sent jsontext.Value) (*jwk, error) {
	k, err := parseJWK(evidence.TPMRequestKey, name, sent)
	if err != nil {
		return nil, err
	}
	return rsaOnly(name, k)
}

// rsaOnly refuses a key that cannot have signed a request.
func rsaOnly(name string, k *jwk) (*jwk, error) {
	if _, ok := k.key.(*rsa.PublicKey); !ok {
		return nil, evidence.Refuse(evidence.TPMRequestKey, "the key %s cannot sign by %s", name, algorithm).Want("kty RSA", "EC").Do("sign the request with an RSA key")
	}
	return k, nil
}

// unbound is the refusal of a request whose key nothing binds to the TPM.
func unbound(format string, args ...any) *evidence.Refusal {
	return evidence.Refuse(evidence.KeyBinding, format, args...).
		Do("bind the key that signs the request to the TPM: have the quote cover it (tpm_quote), or certify it by the attestation key (tpm_certify)")
}
