module github.com/assay-attestation/assay/test/oracle/goeventlog

go 1.26.0

require (
	github.com/assay-attestation/assay v0.0.0
	github.com/google/go-eventlog v0.0.2
)

require (
	github.com/google/go-tpm v0.9.8 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/assay-attestation/assay => ../../..
