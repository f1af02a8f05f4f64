package attreq

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
)

func TestMessagesAreToldApartInBothForms(t *testing.T) {
	for in, want := range map[string]Message{
		`{"payload":{"type":"aikcert"}}`:                                {"", true},
		`{"payload": { "type": "aikcert" } }`:                           {"", true},
		`{"payload":{"type":"aikcert"},"metadata":{"os_ver":"10.0"}}`:   {"", true},
		`{"payload":{"type":"aikcert","metadata":{"os_ver":"10.0"}}}`:   {"", true},
		`{"type":"aikcert","metadata":null}`:                            {"", false},
		`{"payload":null,"type":"aikcert"}`:                             {"", false},
		`{"payload":{"request":"a.b.c"}}`:                               {"a.b.c", true},
		`{"request":"a.b.c"}`:                                           {"a.b.c", false},
		`{"request":"a.b.c","type":null,"Type":"other","TYPE":"other"}`: {"a.b.c", false},
	} {
		if got, err := ParseMessage([]byte(in)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"metadata":`, 33) + "1" + strings.Repeat("}", 33)
	for in, fragment := range map[string]string{
		``:                                 "empty",
		`[]`:                               "object",
		`{}`:                               "neither type nor request",
		`{"payload":{}}`:                   "neither type nor request",
		`{"request":""}`:                   "neither type nor request",
		`{"payload":"x"}`:                  "payload",
		`{"Type":"aikcert"}`:               "neither type nor request", // names are exact
		`{"type":"aikCert"}`:               `expected aikcert, found "aikCert"`,
		`{"type":"ekcert"}`:                "aikcert",
		`{"type":1}`:                       "a string",
		`{"type":"aikcert","request":"x"}`: "both type and request",
		`{"type":"aikcert","type":"x"}`:    "duplicate",
		`{"type":"aikcert"} {}`:            "after",
		`{"payload":{"type":"aikcert"},"type":"aikcert"}`:        "beside",
		`{"payload":{"type":"aikcert"},"request":"x"}`:           "beside",
		`{"type":"aikcert","metadata":{"a":1,"a":2}}`:            "duplicate",
		`{"payload":{"type":"aikcert","metadata":` + deep + `}}`: "nested deeper than 32",
	} {
		_, err := ParseMessage([]byte(in))
		refused(t, err, evidence.TPMRequest, fragment)
		if t.Failed() {
			t.Fatal(in)
		}
	}
}

func TestAnswersHaveTheFormOfTheRequest(t *testing.T) {
	for wrapped, want := range map[bool][2]string{
		true:  {`{"payload":{"challenge":"AAEC-w","service_context":"c-x"}}`, `{"payload":{"report":"a.b.c"}}`},
		false: {`{"challenge":"AAEC-w","service_context":"c-x"}`, `{"report":"a.b.c"}`},
	} {
		m := Message{wrapped: wrapped}
		challenge, err1 := m.AnswerChallenge([]byte{0, 1, 2, 0xFB}, "c-x")
		report, err2 := m.AnswerReport("a.b.c")
		if err1 != nil || err2 != nil || string(challenge) != want[0] || string(report) != want[1] {
			t.Errorf("wrapped %t: %s, %s, %v, %v", wrapped, challenge, report, err1, err2)
		}
	}
}
