module github.com/assay-attestation/assay/test/oracle/goattestation

go 1.26.0

require (
	github.com/assay-attestation/assay v0.0.0
	github.com/google/go-attestation v0.6.4
)

require (
	github.com/google/go-tpm v0.9.8 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/assay-attestation/assay => ../../..
