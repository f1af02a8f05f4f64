package eventlog

// Type is the type of an event. It is not covered by the digest: anybody can change it.
type Type uint32

// The types that have a meaning here; the others have names only (tpm.md section 7.3).
const (
	NoAction             Type = 0x3
	Separator            Type = 0x4
	Action               Type = 0x5
	EventTag             Type = 0x6
	SCRTMVersion         Type = 0x8
	CompactHash          Type = 0xC
	IPL                  Type = 0xD
	VariableDriverConfig Type = 0x80000001
	VariableBoot         Type = 0x80000002
	GPTEvent             Type = 0x80000006
	EFIAction            Type = 0x80000007
	VariableBoot2        Type = 0x8000000C
	VariableAuthority    Type = 0x800000E0
)

// String is the name in the claim events, such as EV_SEPARATOR, or UNKNOWN.
func (t Type) String() string { return "UNKNOWN" }
