module github.com/assay-attestation/assay/test/clients/azureguest

go 1.26.0

require (
	github.com/assay-attestation/assay v0.0.0
	github.com/edgelesssys/go-azguestattestation v0.0.0-20250408071817-8c4457b235ff
	github.com/google/go-attestation v0.5.1
	github.com/google/go-tpm v0.9.8
	github.com/google/go-tpm-tools v0.4.4
)

require (
	github.com/go-jose/go-jose/v3 v3.0.3 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/google/certificate-transparency-go v1.1.8 // indirect
	github.com/google/go-configfs-tsm v0.2.2 // indirect
	github.com/google/go-sev-guest v0.11.1 // indirect
	github.com/google/go-tdx-guest v0.3.1 // indirect
	github.com/google/go-tspi v0.3.0 // indirect
	github.com/google/logger v1.1.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/pborman/uuid v1.2.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/assay-attestation/assay => ../../..
