module github.com/assay-attestation/assay/test/simulator

go 1.26.0

require (
	github.com/assay-attestation/assay v0.0.0
	github.com/google/go-tpm v0.9.8
	github.com/google/go-tpm-tools v0.4.11
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/assay-attestation/assay => ../..
