// Package sipa reads the events that Windows measures in EV_EVENT_TAG records: nested elements of an id, a length and a value,
// called SIPA events in the header wbcl.h (tpm.md section 10). It gives them as the JSON that policies see, and finds single
// settings in them. It is handed only data that is believed.
package sipa

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

var errTODO = errors.New("not implemented")

// DefaultDepth is the limit sipa_depth: how deep elements may nest. Real ones do two deep.
const DefaultDepth = 8

// ID is the id of an element, with the bits for containers and for what is not measured.
type ID uint32

// The ids that claims rest on (tpm.md section 10.3).
const (
	TrustBoundary           ID = 0x40010001
	BootCounter             ID = 0x00020002
	BitlockerUnlock         ID = 0x00020005
	BootDebugging           ID = 0x00040001
	OSKernelDebug           ID = 0x00050001
	CodeIntegrity           ID = 0x00050002
	TestSigning             ID = 0x00050003
	DataExecutionPrevention ID = 0x00050004
	SafeMode                ID = 0x00050005
	WinPE                   ID = 0x00050006
	HypervisorDebug         ID = 0x0005000D
	VSMLaunchType           ID = 0x00050012
	FlightSigning           ID = 0x00050021
	VSMIDKSInfo             ID = 0x00050023
	VBSVSMRequired          ID = 0x000A0001
	VBSIOMMURequired        ID = 0x000A0003
	VBSMandatoryEnforcement ID = 0x000A0006
	VBSHVCIPolicy           ID = 0x000A0007
)

// String is the name as policies see it, EVENT_BOOTDEBUGGING, or the number of an unknown one.
func (id ID) String() string { return "" }

// Element is one element: a container with elements inside, or one with a value.
type Element struct {
	ID       ID
	Payload  []byte    // of one that is no container
	Elements []Element // of a container
}

// Parse reads the data of a Windows EV_EVENT_TAG to its last byte, at most depth deep. Elements that are marked as not measured are left out, with
// what is in them, unread. The error is an [evidence.Refusal] of WindowsEvents that names the element and its offset.
func Parse(data []byte, depth int) ([]Element, error) { return nil, errTODO }

// Find calls found for each element of the id, wherever it stands in elements.
func Find(elements []Element, id ID, found func(Element)) {}

// Bool is the value of an element of form B: any byte but zero is true.
func (e Element) Bool() bool { return len(e.Payload) == 1 && e.Payload[0] != 0 }

// Uint is the value of an element that is an integer.
func (e Element) Uint() (uint64, bool) { return 0, false }

// AppendJSON writes elements as the object that is the ProcessedData of their event (tpm.md sections 10.2 and 10.3).
func AppendJSON(dst []byte, elements []Element, opt Options) (jsontext.Value, error) {
	return nil, errTODO
}

// Options change what is written.
type Options struct {
	// DRTMSignatureValid is the verdict on DRTM_STATE_AUTH (switch tpm_drtm_signing_key).
	DRTMSignatureValid bool
}

// IDKS is the public key that signs the reports of VBS enclaves, as the secure kernel measured it (VSM_IDKS_INFO).
type IDKS struct {
	Modulus  []byte
	Exponent uint32
}

// ParseIDKS reads the value of VSM_IDKS_INFO to its last byte (tpm.md section 10.4).
func ParseIDKS(payload []byte) (IDKS, error) { return IDKS{}, errTODO }
