package attreq

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Message is a message of a client: it wants a challenge, or sends a request (tpm.md section 2).
type Message struct {
	// Request is the JWS, empty in a message that wants a challenge.
	Request string

	wrapped bool // in the member payload, as the answer must be then
}

// messageJSON has the members of both messages, and of both forms.
type messageJSON struct {
	Payload jsontext.Value `json:"payload"`
	Type    *string        `json:"type"`
	Request *string        `json:"request"`
}

// wantsChallenge is the one value of the member type.
const wantsChallenge = "aikcert"

// ParseMessage reads the JSON inside the member data of a request body. What goes with it, such as metadata, is ignored. The error
// is an [evidence.Refusal] of TPMRequest.
func ParseMessage(inner []byte) (Message, error) {
	var m messageJSON
	if err := strictjson.Exact(inner, &m); err != nil {
		return Message{}, malformed("the message in data cannot be read").Because(err)
	}
	wrapped := m.Payload != nil && m.Payload.Kind() != 'n'
	if wrapped {
		if m.Type != nil || m.Request != nil {
			return Message{}, malformed("the message in data has members inside payload and beside it").Want("one or the other", "both")
		}
		raw := m.Payload
		m = messageJSON{}
		if err := strictjson.Exact(raw, &m); err != nil {
			return Message{}, malformed("the member payload cannot be read").Because(err)
		}
	}
	switch {
	case m.Type != nil && m.Request != nil:
		return Message{}, malformed("the message has both type and request").Want("one of them", "both")
	case m.Request != nil && *m.Request == "", m.Type == nil && m.Request == nil:
		return Message{}, malformed("the message has neither type nor request").Want(`type "aikcert" or a request`, "neither")
	case m.Request != nil:
		return Message{*m.Request, wrapped}, nil
	case *m.Type != wantsChallenge:
		return Message{}, malformed("the member type is unknown").Want(wantsChallenge, quoted(*m.Type))
	}
	return Message{wrapped: wrapped}, nil
}

// AnswerChallenge writes the JSON that answers a message that wants a challenge. The context is text.
func (m Message) AnswerChallenge(challenge []byte, context string) ([]byte, error) {
	return m.answer(struct {
		Challenge string `json:"challenge"`
		Context   string `json:"service_context"`
	}{b64.URL(challenge), context})
}

// AnswerReport writes the JSON that answers a request. The report is a JWT.
func (m Message) AnswerReport(report string) ([]byte, error) {
	return m.answer(struct {
		Report string `json:"report"`
	}{report})
}

func (m Message) answer(inner any) ([]byte, error) {
	if m.wrapped {
		inner = struct {
			Payload any `json:"payload"`
		}{inner}
	}
	return json.Marshal(inner)
}
