// Package attreq reads and verifies requests of the Azure Attestation TPM protocol: the messages, the request JWS of versions 1
// and 2, its keys and their bindings, and the evidence in it, TPM and VBS (tpm.md sections 2 to 4 and 11 to 13).
package attreq

import "errors"

var errTODO = errors.New("not implemented")
