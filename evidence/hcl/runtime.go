package hcl

import (
	"crypto/rsa"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// RuntimeData is the JSON document of the paravisor (azure-guest.md section 1), parsed; nothing is believed.
type RuntimeData struct {
	AK   *rsa.PublicKey // HCLAkPub
	VMID string         // vm-configuration.vmUniqueId, upper case; empty: there is none
	JSON jsontext.Value // the document, to be shown in tokens
}

// ParseRuntimeData reads the document. The error is an [evidence.Refusal] of HCLRuntime.
func ParseRuntimeData(b []byte) (*RuntimeData, error) { return nil, errors.New("not built yet") }
