package store

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The errors that a caller can do something about. All others are faults of the database, or texts that no database can keep.
var (
	ErrNotFound = errors.New("not in the store")
	ErrConflict = errors.New("changed by somebody else in the meantime")
	ErrFull     = errors.New("there are as many as there may be")
	ErrTaken    = errors.New("the name or the URL is taken")
	ErrSchema   = errors.New("the schema is not the one of this program") // missing, older or newer
)

// Stamp says who changed something, when, and in which request.
type Stamp struct {
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	RequestID string    `json:"requestId,omitzero"`
}

// Provider is an attestation provider as it is kept: what management.md section 4.1 knows of it, its policy signers and
// its settings. Policies and keys are kept beside it.
type Provider struct {
	ID      string `json:"-"` // 32 hex digits, drawn anew for each provider, also of a name that was used before
	Name    string `json:"-"` // unique, in lower case
	URL     string `json:"-"` // external, unique
	Version int64  `json:"-"` // counts the changes

	Listen        string            `json:"listen,omitzero"` // address of a listener of its own; empty: that of the service
	Subscription  string            `json:"subscription,omitzero"`
	ResourceGroup string            `json:"resourceGroup,omitzero"`
	Location      string            `json:"location,omitzero"`
	Tags          map[string]string `json:"tags,omitzero"`
	Isolated      bool              `json:"isolated,omitzero"` // the trust model; fixed
	Shared        bool              `json:"shared,omitzero"`   // everybody's: its policies cannot be changed
	Signers       [][]byte          `json:"signers,omitzero"`  // policy management certificates, DER, in the order of their adding

	// PublicNetworkAccess and TPMAttestationAuthentication are Enabled, Disabled, or empty for the default.
	PublicNetworkAccess          string         `json:"publicNetworkAccess,omitzero"`
	TPMAttestationAuthentication string         `json:"tpmAttestationAuthentication,omitzero"`
	Settings                     jsontext.Value `json:"settings,omitzero"` // the switches; what they mean is not known here

	Created  Stamp `json:"created"`
	Modified Stamp `json:"modified"`
}

// Policy is one version of a policy of a provider. Versions begin with 1 and are never overwritten.
type Policy struct {
	ProviderID string `json:"-"`
	Type       string `json:"-"` // attestation type as the URL has it: SgxEnclave
	Version    int64  `json:"-"`
	JWS        string `json:"-"`      // byte for byte as uploaded; empty: the default is in force again
	Action     string `json:"action"` // set, reset or rollback
	Hash       string `json:"hash,omitzero"`
	TokenHash  string `json:"tokenHash,omitzero"`
	Signer     string `json:"signer,omitzero"` // thumbprint of the certificate that signed it
	Of         int64  `json:"of,omitzero"`     // of a rollback: the version that is in force again
	Stamp      Stamp  `json:"stamp"`
}

// Key is a signing key of a provider, sealed.
type Key struct {
	ProviderID string
	ID         string
	From       time.Time // it signs from then on; whole seconds
	Sealed     []byte
}

// AuditEntry is one row of the audit trail. The MAC chains it to the one before; it is made and checked elsewhere.
type AuditEntry struct {
	Seq    int64 // from 1, without gaps
	Record []byte
	MAC    []byte
}
