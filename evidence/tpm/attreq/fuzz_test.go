package attreq

import (
	"strings"
	"testing"
)

// FuzzMessage: no message does harm, and what is read of one is written so that it is read again.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{`{"payload":{"type":"aikcert"}}`, `{"type":"aikcert"}`, `{"payload":{"request":"a.b.c"}}`, `{"request":"a.b.c","metadata":{}}`, `{"payload":null}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			return
		}
		answer, err := m.AnswerReport("x")
		if err != nil || strings.HasPrefix(string(answer), `{"payload":`) != m.wrapped {
			t.Errorf("%s, %v", answer, err)
		}
	})
}

// FuzzRequest: no payload does harm, whoever signed it. What is kept of keys for policies is a key again, with the same text.
func FuzzRequest(f *testing.F) {
	f.Add(false, basic(evidence1Of(f)))
	f.Add(true, basic(evidence2Of(f)))
	f.Add(false, `{"att_type":"vbs","att_data":{"report_signed":`+evidence1Of(f).String()+`,"vsm_report":"AA"}}`)
	f.Add(true, basic(evidence2Of(f).with("custom_claims", `[{"name":"a","value":1,"value_type":"int"}]`, "other_keys", "["+keyObjectOf(ecJWK(f, curve521()), "")+"]")))
	f.Fuzz(func(t *testing.T, second bool, payload string) {
		header := map[bool]string{false: header1, true: header2}[second]
		r, err := Parse(b64u([]byte(header))+"."+b64u([]byte(payload))+".AA", DefaultLimits())
		if err != nil {
			return
		}
		again, err := parseJWK("", "key", r.key.public)
		if err != nil || string(again.public) != string(r.key.public) || !equalKeys(again.key, r.key.key) {
			t.Errorf("%s became %v, %v", r.key.public, again, err)
		}
		if _, err := r.VerifySignature(); err == nil {
			t.Error("a signature of one byte verifies")
		}
	})
}

// FuzzJWS: no text does harm, and none but a signed one becomes more than a request.
func FuzzJWS(f *testing.F) {
	f.Add(sign(f, header1, basic(evidence1Of(f))))
	f.Add(sign(f, header2, basic(evidence2Of(f))))
	f.Add("..")
	f.Fuzz(func(t *testing.T, jws string) {
		r, err := Parse(jws, DefaultLimits())
		if err == nil && r.input+"." != jws[:strings.LastIndex(jws, ".")+1] {
			t.Errorf("signed is %q of %q", r.input, jws)
		}
	})
}
