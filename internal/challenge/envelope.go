package challenge

import (
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// nameSize is how long the name of a key is, in bytes.
const nameSize = 32

// anew is what the reader of most refusals can do.
const anew = "ask for a new challenge and send its service_context back unchanged"

// envelope is a context as it travels, in the form of the recorded service (tpm.md section 2).
type envelope struct {
	name   [nameSize]byte
	sealed []byte
}

// wire is the JSON inside a context.
type wire struct {
	Name    string `json:"ProtectionKeyName"` // hex, upper case
	Context string `json:"ProtectedContext"`  // base64url
}

func (e envelope) marshal() (string, error) {
	b, err := json.Marshal(wire{strings.ToUpper(hex.EncodeToString(e.name[:])), b64.URL(e.sealed)})
	if err != nil {
		return "", err
	}
	return b64.URL(b), nil
}

func parseEnvelope(context string) (envelope, error) {
	if len(context) > MaxContext {
		return envelope{}, refuse("the service context is too long").Want(MaxContext, len(context)).Do(anew)
	}
	b, err := b64.Decode(context)
	if err != nil {
		return envelope{}, malformed().Because(err)
	}
	var w wire
	if err := strictjson.Exact(b, &w); err != nil {
		return envelope{}, malformed().Because(err)
	}
	name, err := hex.DecodeString(w.Name)
	if err != nil || len(name) != nameSize {
		return envelope{}, malformed()
	}
	sealed, err := b64.Decode(w.Context)
	if err != nil {
		return envelope{}, malformed()
	}
	return envelope{[nameSize]byte(name), sealed}, nil
}

func refuse(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.TPMChallenge, "%s", problem)
}

func malformed() *evidence.Refusal {
	return refuse("the service context is not one that this service makes").Do(anew)
}

// changed is the answer to a context that names a key of this service and was not made with it.
func changed() *evidence.Refusal {
	return refuse("the service context has been changed on its way").Do(anew)
}
