package plan

// Guests is what clients do with confidential VMs: the calls are those of each client, the evidence is the same for all.
type Guests struct {
	// Issuer is the URL of the service, which is also the only iss that a client may accept.
	Issuer string  `json:"issuer"`
	Cases  []Guest `json:"cases"`
}

// Guest is evidence that the service accepts. Members that name a file are empty where there is none.
type Guest struct {
	Name        string `json:"name"`
	Type        string `json:"type"`        // SevSnpVm or TdxVm
	Evidence    string `json:"evidence"`    // file: the report, the quote
	Chain       string `json:"chain"`       // file: certificates of a report in PEM
	RuntimeData string `json:"runtimeData"` // file: JSON that hashes to the report data
	Endorsement string `json:"endorsement"` // file: COSE_Sign1 of a utility VM
	Request     string `json:"request"`     // file: the body of an attest request with all of this, JSON
	// Claims are those that the token must have, with their values.
	Claims map[string]any `json:"claims"`
}

// ReadGuests returns the plan in file.
func ReadGuests(file string) (*Guests, error) { return read[Guests](file) }

// Write stores the plan in file.
func (g *Guests) Write(file string) error { return write(file, g) }
