package config

import (
	"cmp"
	"fmt"

	"github.com/assay-attestation/assay/evidence/tpm/attreq"
)

// TPMLimits bound what is read of evidence of TPMs (README.md section 7 of the specification). Zero means the default.
type TPMLimits struct {
	// TCGLog is the limit tcg_log in bytes; default 2 MiB, at most 16 MiB.
	TCGLog int `yaml:"tcg_log"`
	// TCGLogRecords is the limit tcg_log_records; default 20,000, at most 100,000.
	TCGLogRecords int `yaml:"tcg_log_records"`
	// TCGEventData is the limit tcg_event_data in bytes; default 1 MiB, at most 16 MiB.
	TCGEventData int `yaml:"tcg_event_data"`
	// EFIVariableName is the limit efi_variable_name in characters; default 2048, at most 65536.
	EFIVariableName int `yaml:"efi_variable_name"`
	// SIPADepth is the limit sipa_depth; default 8, at most 64.
	SIPADepth int `yaml:"sipa_depth"`
	// IMALog is the limit ima_log in bytes; default 16 MiB, at most 64 MiB. What attest_body leaves of it is less.
	IMALog int `yaml:"ima_log"`
	// IMAEntries is the limit ima_entries; default 100,000, at most 1,000,000.
	IMAEntries int `yaml:"ima_entries"`
	// CustomClaims is the limit custom_claims; default 64, at most 1024.
	CustomClaims int `yaml:"custom_claims"`
	// CustomClaimValue is the limit custom_claim_value in bytes; default 64 KiB, at most 1 MiB.
	CustomClaimValue int `yaml:"custom_claim_value"`
}

// The most that some limits may be.
const (
	maxTCGLog  = 16 << 20
	maxIMALog  = 64 << 20
	maxRecords = 100_000
	maxEntries = 1_000_000
	maxName    = 1 << 16
	maxDepth   = 64
	maxClaims  = 1 << 10
	maxClaim   = 1 << 20
)

// check reports limits outside their bounds.
func (l *TPMLimits) check() error {
	for _, one := range []struct {
		name       string
		value, max int
	}{
		{"tcg_log", l.TCGLog, maxTCGLog}, {"tcg_log_records", l.TCGLogRecords, maxRecords}, {"tcg_event_data", l.TCGEventData, maxTCGLog},
		{"efi_variable_name", l.EFIVariableName, maxName}, {"sipa_depth", l.SIPADepth, maxDepth}, {"ima_log", l.IMALog, maxIMALog},
		{"ima_entries", l.IMAEntries, maxEntries}, {"custom_claims", l.CustomClaims, maxClaims}, {"custom_claim_value", l.CustomClaimValue, maxClaim},
	} {
		if one.value < 0 || one.value > one.max {
			return fmt.Errorf("%s: expected a number up to %d, found %d", one.name, one.max, one.value)
		}
	}
	return nil
}

// Evidence gives the limits in the terms of what reads evidence.
func (l *TPMLimits) Evidence() attreq.Limits {
	d := attreq.DefaultLimits()
	d.Log.Size, d.Log.Records = cmp.Or(l.TCGLog, d.Log.Size), cmp.Or(l.TCGLogRecords, d.Log.Records)
	d.Log.EventData, d.Log.VariableName = cmp.Or(l.TCGEventData, d.Log.EventData), cmp.Or(l.EFIVariableName, d.Log.VariableName)
	d.Depth = cmp.Or(l.SIPADepth, d.Depth)
	d.IMA.Size, d.IMA.Entries = cmp.Or(l.IMALog, d.IMA.Size), cmp.Or(l.IMAEntries, d.IMA.Entries)
	d.CustomClaims, d.CustomClaimValue = cmp.Or(l.CustomClaims, d.CustomClaims), cmp.Or(l.CustomClaimValue, d.CustomClaimValue)
	return d
}
