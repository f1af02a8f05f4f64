package assaytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// member is a member of a JSON object, its value as text. Objects are put together from texts, since two hashes are taken over the bytes
// as sent (tpm.md section 3.1).
type member struct {
	name  string
	value []byte
}

// object writes the members that have a value.
func object(members ...member) []byte {
	b := []byte("{")
	for _, m := range members {
		if m.value == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, text(m.name)...), ':'), m.value...)
	}
	return append(b, '}')
}

func array(elements [][]byte) []byte {
	return append(append([]byte("["), bytes.Join(elements, []byte(","))...), ']')
}

// text is a JSON string.
func text(s string) []byte {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return []byte(`"\ufffd"`) // s is not UTF-8
	}
	return b
}

// optional is a JSON string, or no member for an empty one.
func optional(s string) []byte {
	if s == "" {
		return nil
	}
	return text(s)
}

// binaryText is a JSON string of base64url.
func binaryText(b []byte) []byte { return text(base64.RawURLEncoding.EncodeToString(b)) }

// optionalBinary is a JSON string of base64url, or no member for nothing.
func optionalBinary(b []byte) []byte {
	if b == nil {
		return nil
	}
	return binaryText(b)
}

func number(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }

// jwk is a public key.
func jwk(key crypto.PublicKey) ([]byte, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		e := big4(key.E)
		return object(member{"kty", text("RSA")}, member{"n", binaryText(key.N.Bytes())}, member{"e", binaryText(e)}), nil
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil, fmt.Errorf("encoding a point: %w", err)
		}
		half := 1 + len(point)/2
		return object(member{"kty", text("EC")}, member{"crv", text(key.Curve.Params().Name)},
			member{"x", binaryText(point[1:half])}, member{"y", binaryText(point[half:])}), nil
	}
	return nil, fmt.Errorf("no JWK of a %T", key)
}

// big4 is a number, big-endian without leading zeros.
func big4(n int) []byte { return bytes.TrimLeft(binary.BigEndian.AppendUint32(nil, uint32(n)), "\x00") }

// Request makes the JWS of message 3 for the challenge and the service context as received.
func (s *TPMScenario) Request(challenge []byte, context string) (string, error) {
	evidence, err := s.evidence(challenge, context)
	if err != nil {
		return "", err
	}
	evidence = s.edit(TPMEvidence, evidence)
	payload := object(member{"att_type", text("basic")}, member{"att_data", evidence})
	if s.VBS {
		if payload, err = s.vbsPayload(evidence); err != nil {
			return "", err
		}
	}
	typ := "attReqV2"
	if s.Version == 1 {
		typ = "attReq"
	}
	header := s.edit(TPMHeader, object(member{"alg", text("PS256")}, member{"typ", text(typ)}))
	return s.jws(header, s.edit(TPMPayload, payload))
}

func (s *TPMScenario) jws(header, payload []byte) (string, error) {
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString(header) + "." + b64.EncodeToString(payload)
	sig, err := signPSS(s.signer(TPMRequest, s.Vendor.Key(RequestKey, RSA2048)), []byte(signed))
	if err != nil {
		return "", fmt.Errorf("signing the request: %w", err)
	}
	return string(s.edit(TPMRequest, []byte(signed+"."+b64.EncodeToString(sig)))), nil
}

// vbsPayload has an enclave vouch for the evidence object.
func (s *TPMScenario) vbsPayload(evidence []byte) ([]byte, error) {
	statement := s.edit(TPMVBSStatement, s.Enclave.statement(sha512.Sum512(evidence)))
	sig, err := signPSS(s.signer(TPMVBSReport, s.Vendor.Key(IDKS, RSA2048)), statement)
	if err != nil {
		return nil, fmt.Errorf("signing the enclave report: %w", err)
	}
	report := binaryText(s.edit(TPMVBSReport, vbsReport(statement, sig)))
	if s.Version == 2 {
		report = object(member{"enclave", object(member{"report", report})})
	}
	data := object(member{"report_signed", evidence}, member{"vsm_report", report})
	return object(member{"att_type", text("vbs")}, member{"att_data", data}), nil
}

// evidence is the evidence object.
func (s *TPMScenario) evidence(challenge []byte, context string) ([]byte, error) {
	members := []member{
		{"rp_id", optional(s.RPID)}, {"rp_data", optional(s.RPData)},
		{"challenge", binaryText(challenge)}, {"service_context", text(context)},
	}
	key, err := jwk(s.public(RequestKey, s.Vendor.Key(RequestKey, RSA2048)))
	if err != nil {
		return nil, err
	}
	key = s.edit(TPMRequestJWK, key)
	own := s.evidence2
	if s.Version == 1 {
		own = s.evidence1
	}
	more, err := own(key, challenge)
	if err != nil {
		return nil, err
	}
	members = append(members, more...)
	return object(append(members, member{"custom_claims", s.customClaims()})...), nil
}

func (s *TPMScenario) customClaims() []byte {
	if s.CustomClaims == nil {
		return nil
	}
	var claims [][]byte
	for _, c := range s.CustomClaims {
		claims = append(claims, object(member{"name", text(c.Name)}, member{"value", []byte(c.Value)}, member{"value_type", optional(c.Type)}))
	}
	return array(claims)
}

// evidence1 are the members of version 1.
func (s *TPMScenario) evidence1(key, challenge []byte) ([]member, error) {
	current, err := s.claim(&s.Current, "", challenge)
	if err != nil {
		return nil, err
	}
	var data []member
	if s.Boot == nil {
		data = s.logs1(&s.Current, "boot_log", "")
	} else {
		data = append(s.logs1(s.Boot, "boot_log", "boot "), s.logs1(&s.Current, "resume_log", "")...)
	}
	aik, err := s.aikMembers(&s.Current, "")
	if err != nil {
		return nil, err
	}
	data = append(append(data, aik...), member{"current_claim", binaryText(current)})
	if s.Boot != nil {
		boot, err := s.claim(s.Boot, "boot ", []byte("a challenge of before"))
		if err != nil {
			return nil, err
		}
		data = append(data, member{"boot_claim", binaryText(boot)})
	}
	return []member{{"tpm_att_data", object(data...)}, {"attest_key", s.edit(TPMRequestKey, key)}}, nil
}

// logs1 are the TCG logs: the first one of the static root of trust, the second one of a dynamic launch.
func (s *TPMScenario) logs1(a *TPMAttestation, name, prefix string) []member {
	var members []member
	for i, l := range a.logs() {
		if l.Type == "TCG" && i < 2 {
			members = append(members, member{[]string{"srtm_", "drtm_"}[i] + name, binaryText(s.edit(TPMPart(prefix)+TPMLogTCG, l.Bytes))})
		}
	}
	return members
}

// claim is the NCrypt claim about a boot.
func (s *TPMScenario) claim(a *TPMAttestation, prefix TPMPart, extraData []byte) ([]byte, error) {
	quote, sig, err := s.quote(a, prefix, extraData)
	if err != nil {
		return nil, err
	}
	bank := a.Quoted[0].Bank
	var digests []byte
	for _, v := range a.values(bank) {
		digests = append(digests, v...)
	}
	return s.edit(prefix+TPMPlatformClaim, platformClaim(bank, quote, sig, s.edit(prefix+TPMPCRValues, digests))), nil
}

// quote is a quote of a boot and its signature.
func (s *TPMScenario) quote(a *TPMAttestation, prefix TPMPart, extraData []byte) (quote, sig []byte, err error) {
	if quote, err = s.quoteOf(a, s.extraData(prefix+TPMQuote, extraData)); err != nil {
		return nil, nil, err
	}
	quote = s.edit(prefix+TPMQuote, quote)
	if sig, err = tpmSign(s.signer(prefix+TPMQuote, s.aik(a)), s.AIKScheme, quote); err != nil {
		return nil, nil, err
	}
	return quote, s.edit(prefix+TPMQuoteSignature, sig), nil
}

func (s *TPMScenario) aikMembers(a *TPMAttestation, prefix TPMPart) ([]member, error) {
	certificate, err := s.tpmCertificate(a.aik())
	if err != nil {
		return nil, err
	}
	key, err := jwk(s.public(a.aik(), s.aik(a)))
	if err != nil {
		return nil, err
	}
	return []member{{"aik_cert", optionalBinary(certificate)}, {"aik_pub", s.edit(prefix+TPMAIKPublic, key)}}, nil
}

// evidence2 are the members of version 2.
func (s *TPMScenario) evidence2(key, challenge []byte) ([]member, error) {
	extraData, err := s.binding(key, challenge)
	if err != nil {
		return nil, err
	}
	current, err := s.attestation2(&s.Current, "", extraData)
	if err != nil {
		return nil, err
	}
	data := []member{{"current_attestation", current}}
	if s.Boot != nil {
		boot, err := s.attestation2(s.Boot, "boot ", []byte("a challenge of before"))
		if err != nil {
			return nil, err
		}
		data = append(data, member{"boot_attestation", boot})
	}
	requestKey, err := s.requestKey(key, challenge)
	if err != nil {
		return nil, err
	}
	others, err := s.otherKeys(challenge)
	if err != nil {
		return nil, err
	}
	return []member{{"tpm_att_data", object(data...)}, {"request_key", requestKey}, {"other_keys", others}}, nil
}

// attestation2 is current_attestation or boot_attestation.
func (s *TPMScenario) attestation2(a *TPMAttestation, prefix TPMPart, extraData []byte) ([]byte, error) {
	quote, sig, err := s.quote(a, prefix, extraData)
	if err != nil {
		return nil, err
	}
	var logs [][]byte
	for _, l := range a.logs() {
		part := prefix + TPMLogTCG
		if l.Type == "IMA" {
			part = prefix + TPMLogIMA
		}
		logs = append(logs, object(member{"type", text(l.Type)}, member{"log", binaryText(s.edit(part, l.Bytes))}))
	}
	aik, err := s.aikMembers(a, prefix)
	if err != nil {
		return nil, err
	}
	members := append([]member{{"logs", array(logs)}}, aik...)
	return object(append(members, member{"pcrs", s.edit(prefix+TPMPCRValues, a.pcrs())},
		member{"quote", binaryText(quote)}, member{"signature", binaryText(sig)})...), nil
}

// pcrs are the quoted values, a bank for each selection.
func (a *TPMAttestation) pcrs() []byte {
	var banks [][]byte
	for _, q := range a.Quoted {
		var values [][]byte
		for _, i := range q.PCRs {
			values = append(values, object(member{"index", number(i)}, member{"digest", binaryText(a.values(q.Bank)[i])}))
		}
		banks = append(banks, object(member{"algorithm", number(int(tpmAlg(q.Bank)))}, member{"values", array(values)}))
	}
	return array(banks)
}
