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
