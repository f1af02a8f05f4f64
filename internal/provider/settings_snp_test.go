package provider

import (
	"strings"
	"testing"
)

// TestAComplianceStatusIsAText: it stands in tokens. YAML hands on bytes that are no UTF-8.
func TestAComplianceStatusIsAText(t *testing.T) {
	const did = "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"
	for status, good := range map[string]bool{"azure-compliant-uvm": true, "é": true, "": true, "a\xFFb": false} {
		_, err := (&SNPSettings{UVMIssuers: []UVMIssuer{{DID: did, Feed: "f", ComplianceStatus: status}}}).demands()
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "compliance_status") {
			t.Errorf("%q: %v", status, err)
		}
	}
}
