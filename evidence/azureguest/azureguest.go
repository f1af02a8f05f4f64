// Package azureguest is the evidence of Azure's confidential and trusted-launch VMs (/attest/AzureGuest): what a vTPM signed, a hardware
// report that vouches for the vTPM's attestation key, and a key of the vTPM that the answer is encrypted to. Specification:
// azure-guest.md sections 1 to 4, tokens.md section 9.
//
// Verification climbs a ladder whose rungs are types. [Parse] gives a [Bundle], of which nothing is believed. [Bundle.Verify] gives a
// [Machine]: certificate, quote, sealing key and logs hold together under one attestation key. Whose key that is says the hardware report
// ([Machine.OnSNP], [Machine.OnTDX]), which its caller verified, or for trusted launch the certificate alone ([Machine.OnTrustedLaunch]):
// that gives [Verified].
//
// The package is pure: no network, no clock, no files; time and randomness are arguments.
package azureguest

import "github.com/assay-attestation/assay/evidence"

// SecureBootKeys are the variables of secure boot that a provider expects (setting azureguest_secureboot_keys): for each entry of a list the
// SHA-256 of its certificate, or for an entry that is a SHA-256 the entry itself.
type SecureBootKeys struct{ PK, KEK, DB, DBX [][32]byte }

// Claims states the service's claims about the guest (tokens.md section 9), but for x-ms-isolation-tee, which is made of the claims of the hardware
// report. expected are the sets of secure-boot keys of which one must be the machine's; none: the three claims are false.
func (v *Verified) Claims(expected []SecureBootKeys) []evidence.Claim { return nil }
