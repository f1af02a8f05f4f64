// Package sipa reads the events that Windows measures in EV_EVENT_TAG records: nested elements of an id, a length and a value,
// called SIPA events in the header wbcl.h (tpm.md section 10). It gives them as the JSON that policies see, and finds single
// settings in them. It is handed only data that is believed.
package sipa

import (
	"encoding/binary"
	"fmt"
)

// DefaultDepth is the limit sipa_depth: how many containers may stand in each other. Real ones do two deep.
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

// The bits of an id that say how an element is read (tpm.md section 10.1).
const (
	notMeasured ID = 0x80000000
	container   ID = 0x40000000
)

// String is the name as policies see it, EVENT_BOOTDEBUGGING, or the number of an unknown one.
func (id ID) String() string {
	if r := lookup(id); r.name != "" {
		return r.name
	}
	return fmt.Sprintf("%#08x", uint32(id))
}

// Element is one element: a container with elements inside, or one with a value.
type Element struct {
	ID       ID
	Payload  []byte    // of one that is no container
	Elements []Element // of a container
}

// Find calls found for each element of the id, wherever it stands in elements, also inside of containers that have no name.
func Find(elements []Element, id ID, found func(Element)) {
	for i := range elements {
		if elements[i].ID == id {
			found(elements[i])
		}
		Find(elements[i].Elements, id, found)
	}
}

// Bool is the value of an element of form B: any byte but zero is true.
func (e Element) Bool() bool { return len(e.Payload) == 1 && e.Payload[0] != 0 }

// Uint is the value of an element that is a little-endian integer of 1, 2, 4 or 8 bytes; false for another length.
func (e Element) Uint() (uint64, bool) {
	switch len(e.Payload) {
	case 1:
		return uint64(e.Payload[0]), true
	case 2:
		return uint64(binary.LittleEndian.Uint16(e.Payload)), true
	case 4:
		return uint64(binary.LittleEndian.Uint32(e.Payload)), true
	case 8:
		return binary.LittleEndian.Uint64(e.Payload), true
	}
	return 0, false
}
