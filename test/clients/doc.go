// Package clients runs the real client libraries of Microsoft Azure Attestation, unmodified, against this service. Each
// has a program of its own below this folder, which shows how to point that client at an instance of ours; the tests
// start the service and run the programs. Nothing here tests evidence: that is done beside the verifiers.
package clients
