// Package plan is the lists of calls that every client of the suite makes: to attest, and to manage policies. The driver
// writes them as JSON; the programs in Go, Node, Python and Java read them, so that all of them see the same service,
// evidence and expected outcomes. Keys and tokens in them are made for one run of the tests. It speaks to nobody.
package plan

import (
	"encoding/json"
	"fmt"
	"os"
)

// Plan says which service to call and what to expect of it.
type Plan struct {
	// Issuer is the URL of the service, which is also the only iss that a client may accept.
	Issuer string `json:"issuer"`
	// Tampering is the URL of the same service behind a proxy that flips one bit in the signature of each token.
	Tampering string `json:"tampering"`
	// Cases are the attest calls, in order. The first one is answered with a signed token.
	Cases []Case `json:"cases"`
	// TPM is an attestation by TPM, nil where there is no machine for it.
	TPM *TPM `json:"tpm"`
}

// TPM is an attestation in two messages, which clients carry as they are.
type TPM struct {
	Token string `json:"token"` // bearer token
	First string `json:"first"` // first message, JSON
	// Command turns the body of the answer to it, on its standard input, into the body of the second message, on its output. Bodies are
	// as on the wire: {"data": base64url of the JSON}.
	Command []string `json:"command"`
}

// Case is one attest call and its outcome: a refusal where Code is set, an unsigned token where only Draft is, and a
// signed token otherwise.
type Case struct {
	Name     string `json:"name"`
	Type     string `json:"type"`     // SgxEnclave or OpenEnclave
	Evidence string `json:"evidence"` // file
	// RuntimeData is a file, or empty for a call without runtime data.
	RuntimeData string `json:"runtimeData"`
	RuntimeType string `json:"runtimeType"` // Binary or JSON
	Draft       string `json:"draft"`       // policy text
	Code        string `json:"code"`        // error.code of the refusal, or empty
	MRENCLAVE   string `json:"mrEnclave"`   // lower-case hex, the claim expected in the token
}

// Signed tells whether the answer to the case is a signed token.
func (c Case) Signed() bool { return c.Code == "" && c.Draft == "" }

// WithDraft returns the case with a draft policy in the request.
func (c Case) WithDraft(policy string) Case {
	c.Draft = policy
	return c
}

// Refused returns the case with a refusal as its outcome.
func (c Case) Refused(code string) Case {
	c.Code = code
	return c
}

// Read returns the plan in file.
func Read(file string) (*Plan, error) { return read[Plan](file) }

// Write stores the plan in file.
func (p *Plan) Write(file string) error { return write(file, p) }

func read[T any](file string) (*T, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := new(T)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("plan %s: %w", file, err)
	}
	return p, nil
}

func write(file string, plan any) error {
	b, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
