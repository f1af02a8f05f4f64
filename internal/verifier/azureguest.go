package verifier

import (
	"context"
	"errors"

	"github.com/assay-attestation/assay/evidence/azureguest"
)

// AzureDemands are the settings of a provider about Azure guests (README.md section 6 of the specification). The zero value is the default.
type AzureDemands struct {
	RequireNonce   bool                        // azureguest_require_nonce
	RequireChain   bool                        // azureguest_require_ak_chain
	SecureBootKeys []azureguest.SecureBootKeys // azureguest_secureboot_keys
}

// verifyAzureGuest climbs the ladder of an Azure guest: vTPM, hardware report, and the key that both name.
func (v *Verifier) verifyAzureGuest(ctx context.Context, r Request, baseline string) (*Subject, error) {
	return nil, errors.New("not built yet")
}
