package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The client's side of the TPM protocol (tpm.md section 2): two messages, each JSON in base64url in the member data.

// tpmBody is the body of a message and of its answer.
type tpmBody struct {
	Data string `json:"data"`
}

// tpmAnswer is what is in the answers of the service, with the wrapper payload or without it.
type tpmAnswer struct {
	Challenge string `json:"challenge"`
	Context   string `json:"service_context"`
	Report    string `json:"report"`
}

// readTPM reads the member data of an answer.
func readTPM(data string) (tpmAnswer, error) {
	var wrapped struct {
		tpmAnswer
		Payload *tpmAnswer `json:"payload"`
	}
	inner, err := b64.Decode(data)
	if err == nil {
		err = strictjson.Folded(inner, &wrapped)
	}
	if err != nil {
		return tpmAnswer{}, &serviceError{err: fmt.Errorf("the service answered with something that is no message of the TPM protocol: %w", err)}
	}
	if wrapped.Payload != nil {
		return *wrapped.Payload, nil
	}
	return wrapped.tpmAnswer, nil
}

// exchange sends the data of one message and reads the answer to it.
func (r *remote) exchange(ctx context.Context, data string) (tpmAnswer, error) {
	m, err := jsonMessage(http.MethodPost, "/attest/"+string(evidence.Tpm), tpmBody{data})
	if err != nil {
		return tpmAnswer{}, err
	}
	a, err := r.send(ctx, m.with(apiVersion))
	if err != nil {
		return tpmAnswer{}, err
	}
	var body tpmBody
	if err := a.read(&body); err != nil {
		return tpmAnswer{}, err
	}
	return readTPM(body.Data)
}

// tpmMachine is a machine that attests by its TPM.
type tpmMachine interface {
	// Init gives the data of the message that asks for a challenge.
	Init() string
	// Request gives the JWS that answers the challenge.
	Request(challenge []byte, serviceContext string) (string, error)
	// Data gives the data of the message that carries the JWS.
	Data(request string) string
}

// answerChallenge gives the data of the message that answers a challenge.
func answerChallenge(m tpmMachine, a tpmAnswer) (string, error) {
	challenge, err := b64.Decode(a.Challenge)
	if err != nil || len(challenge) == 0 || a.Context == "" {
		return "", &serviceError{err: fmt.Errorf("the service answered without a challenge and its context")}
	}
	request, err := m.Request(challenge, a.Context)
	if err != nil {
		return "", fmt.Errorf("making the request: %w", err)
	}
	return m.Data(request), nil
}

// attestTPM makes both rounds and gives the report, unverified.
func (r *remote) attestTPM(ctx context.Context, m tpmMachine) (string, error) {
	a, err := r.exchange(ctx, m.Init())
	if err != nil {
		return "", err
	}
	second, err := answerChallenge(m, a)
	if err != nil {
		return "", err
	}
	if a, err = r.exchange(ctx, second); err != nil {
		return "", err
	}
	if a.Report == "" {
		return "", &serviceError{err: fmt.Errorf("the service answered without a report")}
	}
	return a.Report, nil
}
