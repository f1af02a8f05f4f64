package audit

// Operation is what was done or tried: the operationName of a record. Those with a meaning in Azure have the names of
// its published queries (management.md section 11.4).
type Operation string

// Attestations.
const (
	AttestSgxEnclave  Operation = "AttestSgxEnclave"
	AttestOpenEnclave Operation = "AttestOpenEnclave"
	AttestSevSnpVM    Operation = "AttestSevSnpVm"
	AttestTdxVM       Operation = "AttestTdxVm"
	AttestAzureGuest  Operation = "AttestAzureGuest"
	AttestTpm         Operation = "AttestTpm"
)

// Policies and their signers.
const (
	GetCurrentPolicy       Operation = "GetCurrentPolicy"
	SetCurrentPolicy       Operation = "SetCurrentPolicy"
	ResetAttestationPolicy Operation = "ResetAttestationPolicy"
	RollbackPolicy         Operation = "RollbackPolicy"
	GetPolicyHistory       Operation = "GetPolicyHistory"
	GetCertificates        Operation = "GetPolicyManagementCertificates"
	AddCertificate         Operation = "AddPolicyManagementCertificate"
	RemoveCertificate      Operation = "RemovePolicyManagementCertificate"
)

// Providers and their signing keys.
const (
	GetProvider      Operation = "GetProvider"
	ListProviders    Operation = "ListProviders"
	CreateProvider   Operation = "CreateProvider"
	UpdateProvider   Operation = "UpdateProvider"
	DeleteProvider   Operation = "DeleteProvider"
	RotateSigningKey Operation = "RotateSigningKey" // a key was added
	RetireSigningKey Operation = "RetireSigningKey" // a key was dropped
	GetExplanation   Operation = "GetExplanation"
)

// Keys of TPMs.
const (
	EnrolAIK             Operation = "EnrolAIK" // a certificate was issued
	RevokeAIKCertificate Operation = "RevokeAIKCertificate"
	PinEK                Operation = "PinEK"
	UnpinEK              Operation = "UnpinEK"
	PinAIK               Operation = "PinAIK"
	UnpinAIK             Operation = "UnpinAIK"
)

// Reference values.
const (
	SetReference    Operation = "SetReference"
	DeleteReference Operation = "DeleteReference"
)

// Category says what kind of record it is (management.md section 11.1).
type Category string

// The categories that are written.
const (
	AuditEvent  Category = "AuditEvent"  // changes, and what was denied
	Operational Category = "Operational" // attestations
)

// Failure is the failureCategory of a record.
type Failure string

// The categories of failures. The first two are published, the others ours.
const (
	NoFailure     Failure = "None"
	Authorization Failure = "AzureAuthorization" // not allowed: 401 and 403
	BadRequest    Failure = "Request"            // refused for what was sent
	Fault         Failure = "Service"            // a fault of ours, or something that we need is not there
)
