package attreq

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/jose"
)

func parse(t testing.TB, header, payload string) *Request {
	t.Helper()
	r, err := Parse(sign(t, header, payload), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestsOfBothVersionsAreRead(t *testing.T) {
	r := parse(t, header1, basic(evidence1Of(t)))
	if r.version != 1 || *r.rpData != "cnA" || !bytes.Equal(r.challenge, challengeBytes) || r.context != "ctx" || string(r.current.certificate) != "cert" ||
		string(r.current.claim) != "claim" || len(r.current.logs) != 1 || string(r.current.logs[0].data) != "boot" || r.boot != nil || r.enclave != nil {
		t.Errorf("version 1: %+v", r)
	}
	r = parse(t, header2, basic(evidence2Of(t)))
	if r.version != 2 || string(r.current.quote) != "quote" || string(r.current.signature) != "sig" || len(r.current.logs) != 2 || r.current.logs[1].kind != imaList ||
		len(r.current.pcrs) != 1 || r.current.pcrs[0].Alg != tpm.SHA256 || len(r.current.pcrs[0].Values[1]) != 32 || r.current.pcrs[0].Values[0] != nil {
		t.Errorf("version 2: %+v", r)
	}
	if r.request.binding != byQuote || r.request.hash.alg != tpm.SHA256 {
		t.Errorf("request_key: %+v", r.request)
	}
	for _, r := range []*Request{parse(t, header1, basic(evidence1Of(t))), r} {
		if _, err := r.VerifySignature(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeysAreKeptAsSent: what is hashed is the text between the braces, white space included, and nothing around it.
func TestKeysAreKeptAsSent(t *testing.T) {
	jwk := jwkOf(someKeys(t).request.Public())
	for _, sent := range []string{jwk, strings.Replace(jwk, "{", "{ \n", 1), strings.Replace(jwk, "}", `,"kid":"\u0041" }`, 1)} {
		r := parse(t, header2, basic(evidence2Of(t).with("request_key", `{"jwk": `+sent+` ,"info":`+quoteInfo+`}`)))
		want := tpm.SHA256.Sum([]byte(sent+"\x00"), challengeBytes)
		if string(r.request.jwk.sent) != sent || !bytes.Equal(r.request.extraData(r.challenge), want) {
			t.Errorf("sent %q, kept %q", sent, r.request.jwk.sent)
		}
	}
}

func TestEnclaveDataIsTheHashOfTheEvidenceAsSent(t *testing.T) {
	report := map[string]string{header1: `"cmVwb3J0"`, header2: `{"enclave":{"report":"cmVwb3J0"}}`}
	for header, evidence := range map[string]members{header1: evidence1Of(t), header2: evidence2Of(t)} {
		for _, kind := range []string{"vbs", "vsm"} {
			for _, sent := range []string{evidence.String(), "{ " + evidence.String()[1:]} {
				r := parse(t, header, fmt.Sprintf(`{"att_type":%q,"att_data":{"report_signed": %s ,"vsm_report":%s}}`, kind, sent, report[header]))
				if r.enclave == nil || r.enclave.data != sha512.Sum512([]byte(sent)) || string(r.enclave.report) != "report" {
					t.Errorf("%s, %s: %+v", header, kind, r.enclave)
				}
			}
		}
	}
}

func TestLogsOfVersion1AreThoseThatTheClaimCovers(t *testing.T) {
	for _, tt := range []struct {
		set           []string
		current, boot string
	}{
		{nil, "boot", ""},
		{[]string{"srtm_resume_log", `""`, "boot_claim", `"Yg"`}, "boot", ""},
		{[]string{"srtm_resume_log", `"cmVz"`}, "res", ""},
		{[]string{"srtm_resume_log", `"cmVz"`, "boot_claim", `"Yg"`}, "res", "boot"},
		{[]string{"drtm_boot_log", `"ZGI"`}, "boot db(drtm)", ""},
		{[]string{"drtm_boot_log", `"ZGI"`, "drtm_resume_log", `"ZHI"`, "srtm_resume_log", `"cmVz"`, "boot_claim", `"Yg"`}, "res dr(drtm)", "boot db(drtm)"},
		{[]string{"srtm_boot_log", `null`}, "", ""},
	} {
		r := parse(t, header1, basic(evidence1Of(t).with("tpm_att_data", platform1Of(t).with(tt.set...).String())))
		boot := ""
		if r.boot != nil {
			boot = names(r.boot.logs)
		}
		if names(r.current.logs) != tt.current || boot != tt.boot {
			t.Errorf("%v: current %q, boot %q", tt.set, names(r.current.logs), boot)
		}
	}
}

func names(logs []logBytes) string {
	var list []string
	for _, l := range logs {
		list = append(list, string(l.data)+map[logKind]string{drtmLog: "(drtm)"}[l.kind])
	}
	return strings.Join(list, " ")
}

// TestMalformedRequestsAreRefused has one fault in each row.
func TestMalformedRequestsAreRefused(t *testing.T) {
	e1, e2 := evidence1Of(t), evidence2Of(t)
	p1 := func(pairs ...string) string {
		return basic(e1.with("tpm_att_data", platform1Of(t).with(pairs...).String()))
	}
	p2 := func(pairs ...string) string {
		return basic(e2.with("tpm_att_data", members{{"current_attestation", attestationOf(t).with(pairs...).String()}}.String()))
	}
	key := func(jwk, info string) string { return basic(e2.with("request_key", keyObjectOf(jwk, info))) }
	own := jwkOf(someKeys(t).request.Public())
	plainKey := keyObjectOf(own, "")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	form := evidence.TPMRequest
	for _, tt := range []struct {
		name, header, payload string
		check                 evidence.Check
		fragment              string
	}{
		{"alg", `{"alg":"RS256","typ":"attReq"}`, basic(e1), form, "PS256"},
		{"typ", `{"alg":"PS256","typ":"attReqV3"}`, basic(e1), form, "attReqV2"},
		{"no typ", `{"alg":"PS256","kid":"x"}`, basic(e1), form, "attReqV2"},
		{"crit", `{"alg":"PS256","typ":"attReq","crit":[]}`, basic(e1), form, "attReqV2"},
		{"kid", `{"alg":"PS256","typ":"attReq","kid":"x"}`, basic(e1), form, "attReqV2"},
		{"alg twice", `{"alg":"PS256","alg":"PS256","typ":"attReq"}`, basic(e1), form, "duplicate"},
		{"case of typ", `{"alg":"PS256","Typ":"attReq"}`, basic(e1), form, "attReqV2"},
		{"header is a number", `1`, basic(e1), form, "header"},
		{"header too long", `{"alg":"PS256","typ":"attReq"` + strings.Repeat(" ", maxHeader) + "}", basic(e1), form, "longer than 1024 bytes"},
		{"payload", header1, `[]`, form, "object"},
		{"att_type", header1, strings.Replace(basic(e1), "basic", "Basic", 1), form, `expected basic or vbs, found "Basic"`},
		{"no att_data", header1, `{"att_type":"basic"}`, form, "att_data"},
		{"duplicate, deep", header1, strings.Replace(p1(), `"srtm_boot_log"`, `"x":{"y":1,"y":2},"srtm_boot_log"`, 1), form, "duplicate"},
		{"duplicate in a jwk", header1, basic(e1.with("attest_key", strings.Replace(own, `"e"`, `"n":"AQ","e"`, 1))), form, "duplicate"},
		{"duplicate by escapes", header1, strings.Replace(basic(e1), `"att_type"`, `"\u0061tt_type":"vbs","att_type"`, 1), form, "duplicate"},
		{"no tpm_att_data", header1, basic(e1.with("tpm_att_data", "")), form, "tpm_att_data"},
		{"no challenge", header1, basic(e1.with("challenge", "")), form, "challenge is missing"},
		{"empty challenge", header1, basic(e1.with("challenge", `""`)), form, "challenge is missing"},
		{"challenge too long", header1, basic(e1.with("challenge", `"`+b64u(make([]byte, maxChallenge+1))+`"`)), form, "longer than 64 bytes"},
		{"challenge no base64", header1, basic(e1.with("challenge", `"a b"`)), form, "base64"},
		{"no service_context", header1, basic(e1.with("service_context", "")), form, "service_context"},
		{"service_context too long", header1, basic(e1.with("service_context", `"`+strings.Repeat("a", maxText+1)+`"`)), form, "longer than 8192 bytes"},
		{"rp_data too long", header1, basic(e1.with("rp_data", `"`+strings.Repeat("a", maxText+1)+`"`)), form, "longer than 8192 bytes"},
		{"rp_data a number", header1, basic(e1.with("rp_data", `1`)), form, "rp_data"},
		{"no attest_key", header1, basic(e1.with("attest_key", "")), form, "attest_key is missing"},
		{"attest_key EC", header1, basic(e1.with("attest_key", ecJWK(t, elliptic.P256()))), evidence.TPMRequestKey, "RSA"},
		{"attest_key small", header1, basic(e1.with("attest_key", jwkOf(small.Public()))), evidence.TPMRequestKey, "1024 bits"},
		{"attest_key even exponent", header1, basic(e1.with("attest_key", strings.Replace(own, "AQAB", "AQAA", 1))), evidence.TPMRequestKey, "exponent 65536"},
		{"attest_key exponent 1", header1, basic(e1.with("attest_key", strings.Replace(own, "AQAB", "AQ", 1))), evidence.TPMRequestKey, "exponent 1"},
		{"attest_key large exponent", header1, basic(e1.with("attest_key", strings.Replace(own, "AQAB", "gAAAAQ", 1))), evidence.TPMRequestKey, "2147483649"},
		{"attest_key kty", header1, basic(e1.with("attest_key", `{"kty":"oct","k":"AA"}`)), evidence.TPMRequestKey, `found "oct"`},
		{"attest_key too long", header1, basic(e1.with("attest_key", strings.Replace(own, "{", "{"+strings.Repeat(" ", maxJWK), 1))), form, "longer than 16384 bytes"},
		{"aik_pub small", header1, p1("aik_pub", jwkOf(small.Public())), evidence.AIKKey, "1024 bits"},
		{"aik_pub curve", header1, p1("aik_pub", strings.Replace(ecJWK(t, elliptic.P256()), "P-256", "P-224", 1)), evidence.AIKKey, `found "P-224"`},
		{"aik_pub off the curve", header1, p1("aik_pub", fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%[1]q}`, b64u(make([]byte, 32)))), evidence.AIKKey, "point"},
		{"aik_pub short coordinate", header1, p1("aik_pub", `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`), form, "length"},
		{"no aik_pub", header1, p1("aik_pub", ""), form, "aik_pub is missing"},
		{"no current_claim", header1, p1("current_claim", ""), form, "current_claim is missing"},
		{"claim too long", header1, p1("current_claim", `"`+b64u(make([]byte, maxBinary+1))+`"`), form, "longer than 16384 bytes"},
		{"log too long", header1, p1("srtm_boot_log", `"`+b64u(make([]byte, 2<<20+1))+`"`), form, "srtm_boot_log (tcg_log) is longer than 2097152 bytes"},
		{"no current_attestation", header2, basic(e2.with("tpm_att_data", `{}`)), form, "current_attestation"},
		{"no quote", header2, p2("quote", ""), form, "quote is missing"},
		{"no signature", header2, p2("signature", ""), form, "signature is missing"},
		{"type of a log", header2, p2("logs", `[{"type":"tcg","log":"AA"}]`), form, `found "tcg"`},
		{"empty log", header2, p2("logs", `[{"type":"TCG","log":""}]`), form, "logs.log (tcg_log) is missing"},
		{"too many logs", header2, p2("logs", "["+strings.TrimSuffix(strings.Repeat(`{"type":"TCG","log":"AA"},`, maxLogs+1), ",")+"]"), form, "64 or fewer"},
		{"bank of SM3", header2, p2("pcrs", `[{"algorithm":18,"values":[]}]`), evidence.PCRSelection, "found 18"},
		{"index", header2, p2("pcrs", `[{"algorithm":11,"values":[{"index":24,"digest":"AA"}]}]`), form, "found 24"},
		{"no index", header2, p2("pcrs", `[{"algorithm":11,"values":[{"digest":"AA"}]}]`), form, "found none"},
		{"length of a value", header2, p2("pcrs", `[{"algorithm":11,"values":[{"index":1,"digest":"AA"}]}]`), form, "expected 32, found 1"},
		{"value twice", header2, p2("pcrs", fmt.Sprintf(`[{"algorithm":11,"values":[{"index":1,"digest":%q},{"index":1,"digest":%[1]q}]}]`, b64u(make([]byte, 32)))), form, "twice"},
		{"too many banks", header2, p2("pcrs", "["+strings.TrimSuffix(strings.Repeat(`{"algorithm":11},`, maxBanks+1), ",")+"]"), form, "8 or fewer"},
		{"request_key plain", header2, basic(e2.with("request_key", plainKey)), evidence.KeyBinding, "tpm_quote"},
		{"request_key empty info", header2, key(own, "{}"), evidence.KeyBinding, "tpm_quote"},
		{"request_key EC", header2, key(ecJWK(t, elliptic.P256()), quoteInfo), evidence.TPMRequestKey, "RSA"},
		{"request_key without jwk", header2, basic(e2.with("request_key", `{"info":`+quoteInfo+`}`)), form, "request_key.jwk is missing"},
		{"no request_key", header2, basic(e2.with("request_key", "")), form, "request_key"},
		{"sha-1", header2, key(own, `{"tpm_quote":{"hash_alg":"sha-1"}}`), form, `found "sha-1"`},
		{"no hash_alg", header2, key(own, `{"tpm_quote":{}}`), form, "hash_alg"},
		{"vbs_ncrypt", header2, key(own, `{"vbs_ncrypt":{}}`), form, "vbs_ncrypt"},
		{"unknown info", header2, key(own, `{"tpm_quote":{"hash_alg":"sha-256"},"x":{}}`), form, `"x"`},
		{"two bindings", header2, key(own, `{"tpm_quote":{"hash_alg":"sha-256"},"tpm_certify":{}}`), form, "both"},
		{"certify without public", header2, key(own, `{"tpm_certify":{"certification":"AA","signature":"AA"}}`), form, "tpm_certify.public is missing"},
		{"certify without signature", header2, key(own, `{"tpm_certify":{"public":"AA","certification":"AA"}}`), form, "tpm_certify.signature is missing"},
		{"three other keys", header2, basic(e2.with("other_keys", "["+plainKey+","+plainKey+","+plainKey+"]")), form, "2 or fewer"},
		{"other key by quote", header2, basic(e2.with("other_keys", "["+keyObjectOf(own, quoteInfo)+"]")), form, "request_key only"},
		{"vbs without report", header1, `{"att_type":"vbs","att_data":{"report_signed":` + e1.String() + `}}`, form, "vsm_report is missing"},
		{"vbs report of version 2", header1, `{"att_type":"vbs","att_data":{"vsm_report":{"enclave":{"report":"AA"}},"report_signed":` + e1.String() + `}}`, form, "version 1"},
		{"vbs report of version 1", header2, `{"att_type":"vbs","att_data":{"vsm_report":"AA","report_signed":` + e2.String() + `}}`, form, "version 2"},
		{"vbs without report_signed", header1, `{"att_type":"vbs","att_data":{"vsm_report":"AA"}}`, form, "report_signed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(sign(t, tt.header, tt.payload), DefaultLimits())
			refused(t, err, tt.check, tt.fragment)
		})
	}
}

func TestTextsThatAreNoJWSAreRefused(t *testing.T) {
	whole := sign(t, header1, basic(evidence1Of(t)))
	parts := strings.Split(whole, ".")
	for name, jws := range map[string]string{
		"empty": "", "two parts": parts[0] + "." + parts[1], "four parts": whole + ".x", "no signature": parts[0] + "." + parts[1] + ".",
		"header padded too much": parts[0] + "===." + parts[1] + "." + parts[2], "payload with a line end": parts[0] + "." + parts[1] + "\n." + parts[2],
		"broken signature": whole + "*", "long signature": whole + strings.Repeat("A", 2*maxBinary),
	} {
		if _, err := Parse(jws, DefaultLimits()); err == nil {
			t.Errorf("%s is accepted", name)
		} else {
			refused(t, err, evidence.TPMRequest)
		}
	}
}

// TestPartsMayBePadded: the signature is over the text as sent, padding included (tpm.md section 0, encodings).
func TestPartsMayBePadded(t *testing.T) {
	padded := base64.URLEncoding.EncodeToString
	input := padded([]byte(header1)) + "." + padded([]byte(basic(evidence1Of(t))+" ")) // one of both lengths needs padding
	alg, _ := jose.Find(algorithm)
	signature, err := alg.Sign(someKeys(t).request, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(input+"."+padded(signature), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.VerifySignature(); err != nil {
		t.Error(err)
	}
}

func TestSignaturesByAnotherKeyOrOverOtherTextAreRefused(t *testing.T) {
	other := jwkOf(someKeys(t).other.Public())
	whole := strings.Split(sign(t, header1, basic(evidence1Of(t))), ".")
	changed := basic(evidence1Of(t).with("rp_data", `"eHg"`))
	for name, jws := range map[string]string{
		"another key":   sign(t, header1, basic(evidence1Of(t).with("attest_key", other))),
		"key of v2":     sign(t, header2, basic(evidence2Of(t).with("request_key", keyObjectOf(other, quoteInfo)))),
		"other payload": whole[0] + "." + b64u([]byte(changed)) + "." + whole[2],
	} {
		r, err := Parse(jws, DefaultLimits())
		if err != nil {
			t.Fatal(name, err)
		}
		_, err = r.VerifySignature()
		refused(t, err, evidence.TPMRequestKey, "PS256")
	}
}

func TestAnswersToOtherChallengesAreRefused(t *testing.T) {
	s, err := parse(t, header1, basic(evidence1Of(t))).VerifySignature()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"} {
		_, err := s.Answer([]byte(c))
		refused(t, err, evidence.TPMChallenge, "service_context")
	}
	if _, err := s.Answer(challengeBytes); err != nil || s.Context() != "ctx" {
		t.Error(err)
	}
}

func TestClientClaimsHaveTheTypeThatTheyName(t *testing.T) {
	claims := func(sent ...string) ([]evidence.Claim, error) {
		r, err := Parse(sign(t, header1, basic(evidence1Of(t).with("custom_claims", "["+strings.Join(sent, ",")+"]"))), DefaultLimits())
		if err != nil {
			return nil, err
		}
		return r.custom, nil
	}
	for sent, want := range map[string]any{
		`{"name":"a","value":"x"}`:                              "x",
		`{"name":"a","value":"\u0078","value_type":"String"}`:   "x",
		`{"name":"a","value":"-7","value_type":"integer"}`:      int64(-7),
		`{"name":"a","value":7,"value_type":"INT"}`:             int64(7),
		`{"name":"a","value":"true","value_type":"bool"}`:       true,
		`{"name":"a","value":false,"value_type":"Boolean"}`:     false,
		`{"name":"a","value":"","value_type":null,"extra":[1]}`: "",
	} {
		if got, err := claims(sent); err != nil || len(got) != 1 || got[0] != (evidence.Claim{Name: "a", Value: want}) {
			t.Errorf("%s: %v, %v", sent, got, err)
		}
	}
	long := func(n int) string { return `{"name":"a","value":"` + strings.Repeat("x", n) + `"}` }
	for _, sent := range []string{
		`{"value":"x"}`, `{"name":"","value":"x"}`, `{"name":"a"}`, `{"name":"a","value":null}`, `{"name":"a","value":7}`, `{"name":"a","value":{}}`,
		`{"name":"a","value":"x","value_type":"date"}`, `{"name":"a","value":1.5,"value_type":"int"}`, `{"name":"a","value":"+1","value_type":"int"}`,
		`{"name":"a","value":"9223372036854775808","value_type":"int"}`, `{"name":"a","value":"True","value_type":"bool"}`, `{"name":"a","value":1,"value_type":"bool"}`,
		long(64<<10 + 1), `{"name":"` + strings.Repeat("n", maxText+1) + `","value":"x"}`,
	} {
		_, err := claims(sent)
		refused(t, err, evidence.TPMRequest)
	}
	many := strings.Split(strings.TrimSuffix(strings.Repeat(`{"name":"a","value":"x"};`, 65), ";"), ";")
	if got, err := claims(many[:64]...); err != nil || len(got) != 64 {
		t.Errorf("64 claims: %v", err)
	}
	_, err := claims(many...)
	refused(t, err, evidence.TPMRequest, "custom_claims")
	for _, sent := range []string{long(64 << 10), strings.ReplaceAll(long(64<<10), "x", `\n`)} { // escapes do not count
		if _, err := claims(sent); err != nil {
			t.Error(err)
		}
	}
	_, err = claims(strings.ReplaceAll(long(64<<10+1), "x", `\n`))
	refused(t, err, evidence.TPMRequest, "65536 bytes or fewer", "found 65537")
}

func TestKeysForPoliciesAreMadeAnew(t *testing.T) {
	k := someKeys(t).request
	n, e := b64u(k.N.Bytes()), "AQAB"
	private := fmt.Sprintf(`{"use":"sig","d":"AQ","n":%q,"kty":"RSA","e":%q,"x5c":["x"]}`, n+"==", e) // 256 bytes: two signs of padding
	object, err := parseKey(evidence.CertifiedKey, "k", []byte(keyObjectOf(private, `{"tpm_quote":{"hash_alg":"sha-384","x":1}}`)))
	if err != nil {
		t.Fatal(err)
	}
	area := &tpm.Public{NameAlg: tpm.SHA256, Attributes: 0x32}
	jwk := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, n)
	for _, tt := range []struct {
		edit func()
		want string
	}{
		{func() {}, `{"jwk":` + jwk + `,"info":{"tpm_quote":{"hash_alg":"sha-384"}}}`},
		{func() { object.binding = plain }, `{"jwk":` + jwk + `}`},
		{func() { object.binding, object.area = byCertify, area }, `{"jwk":` + jwk + `,"info":{"tpm_certify":{"name_alg":11,"obj_attr":50}}}`},
		{func() { area.AuthPolicy = []byte{0xFB, 0xFF} }, `{"jwk":` + jwk + `,"info":{"tpm_certify":{"name_alg":11,"obj_attr":50,"auth_policy":"-_8"}}}`},
	} {
		tt.edit()
		if got, err := object.policyKey(); err != nil || string(got) != tt.want {
			t.Errorf("got %s, %v; want %s", got, err, tt.want)
		}
	}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		sent := ecJWK(t, c)
		if got, err := parseJWK(evidence.CertifiedKey, "k", []byte(sent)); err != nil || string(got.public) != sent {
			t.Errorf("got %s, %v; want %s", got.public, err, sent)
		}
	}
}
