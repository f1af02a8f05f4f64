module github.com/assay-attestation/assay/test/oracle/gosevguest

go 1.26.0

require (
	github.com/assay-attestation/assay v0.0.0
	github.com/google/go-sev-guest v0.15.0
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/google/logger v1.1.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/assay-attestation/assay => ../../..
