package api

import "github.com/assay-attestation/assay/internal/provider"

// armRoutes are those of the Azure Resource Manager (management.md section 3).
func (s *Service) armRoutes() []route { return nil }

// providerType is the resource type of providers.
const providerType = "Microsoft.Attestation/attestationProviders"

// resourceID is the ARM id of a provider. One that was not created by way of ARM has no subscription.
func resourceID(i *provider.Instance) string {
	id := "/providers/" + providerType + "/" + i.Name
	if i.ResourceGroup != "" {
		id = "/resourceGroups/" + i.ResourceGroup + id
	}
	if i.Subscription != "" {
		id = "/subscriptions/" + i.Subscription + id
	}
	return id
}
