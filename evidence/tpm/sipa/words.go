package sipa

import "github.com/go-json-experiment/json/jsontext"

// Further ids, of what a person wants to know of a boot (tpm.md section 10.3).
const (
	BootRevocationList ID = 0x00040002
	OSDevice           ID = 0x00050008
	SystemRoot         ID = 0x00050009
	HypervisorLaunch   ID = 0x0005000A
	SIPolicy           ID = 0x0005000F
	OSRevocationList   ID = 0x00050013
	AuthorityKey       ID = 0x00060002
	FilePath           ID = 0x00070001
	AuthorityPublisher ID = 0x00070008
	ImageValidated     ID = 0x0007000A
	LoadedModule       ID = 0x40010003
	ELAMKeyName        ID = 0x00090001
)

// ValueName is the name that policies see of a value of an element that has named ones, such as OptIn; empty for one without.
func (e Element) ValueName() string {
	n, ok := e.Uint()
	if !ok {
		return ""
	}
	return string(appendValueName(nil, e.ID, n))
}

// Text is the value of an element that is a text in UTF-16, little-endian, without a NUL at its end. Halves of characters
// become U+FFFD.
func (e Element) Text() string { return DecodeText(e.Payload) }

// DecodeText reads UTF-16 as Text does.
func DecodeText(b []byte) string {
	text, err := jsontext.AppendUnquote(nil, appendText(nil, b))
	if err != nil {
		return ""
	}
	return string(text)
}
