package policy_test

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// sgxClaims are the incoming claims of an SGX enclave (policy.md section 8).
func sgxClaims() []policy.Claim {
	service := func(name string, v policy.Value) policy.Claim {
		return policy.Claim{Type: name, Value: v, Issuer: policy.AttestationService}
	}
	signer, enclave := policy.StringValue(strings.Repeat("4a", 32)), policy.StringValue(strings.Repeat("29", 32))
	sgx := policy.StringValue("sgx")
	return []policy.Claim{
		service("x-ms-ver", policy.StringValue("1.0")),
		service("x-ms-attestation-type", sgx),
		service("x-ms-sgx-is-debuggable", policy.BooleanValue(false)),
		service("x-ms-sgx-product-id", policy.IntegerValue(1)),
		service("x-ms-sgx-mrsigner", signer),
		service("x-ms-sgx-mrenclave", enclave),
		service("x-ms-sgx-svn", policy.IntegerValue(2)),
		service("$is-debuggable", policy.BooleanValue(false)),
		service("$product-id", policy.IntegerValue(1)),
		service("$sgx-mrsigner", signer),
		service("$sgx-mrenclave", enclave),
		service("$svn", policy.IntegerValue(2)),
		service("$tee", sgx),
		service("x-ms-policy-hash", policy.StringValue("ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc")),
	}
}

func BenchmarkParseDefaultSGX(b *testing.B) {
	text := policy.DefaultSGX()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvaluateDefaultSGX(b *testing.B) {
	p, err := policy.Parse(policy.DefaultSGX())
	if err != nil {
		b.Fatal(err)
	}
	claims := sgxClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Evaluate(claims, policy.Budget{}); err != nil {
			b.Fatal(err)
		}
	}
}
