module github.com/assay-attestation/assay/test/clients

go 1.26.0

require (
	github.com/Azure/go-autorest/autorest v0.11.28
	github.com/assay-attestation/assay v0.0.0
	github.com/edgelesssys/ego v1.7.0
	github.com/jackofallops/kermit v0.20241010.1180132
)

require (
	github.com/Azure/go-autorest v14.2.0+incompatible // indirect
	github.com/Azure/go-autorest/autorest/adal v0.9.18 // indirect
	github.com/Azure/go-autorest/autorest/date v0.3.0 // indirect
	github.com/Azure/go-autorest/autorest/validation v0.3.1 // indirect
	github.com/Azure/go-autorest/logger v0.2.1 // indirect
	github.com/Azure/go-autorest/tracing v0.6.0 // indirect
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/golang-jwt/jwt/v4 v4.2.0 // indirect
	github.com/jmespath-community/go-jmespath v1.1.1 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/exp v0.0.0-20230314191032-db074128a8ec // indirect
)

replace github.com/assay-attestation/assay => ../..
