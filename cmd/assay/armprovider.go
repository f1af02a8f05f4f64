package main

import (
	"net/url"
	"time"
)

// armVersion is the version of the Azure Resource Manager's API that requests ask for (management.md section 2).
const armVersion = "2021-06-01"

// armScope is where the Azure Resource Manager has providers.
type armScope struct{ subscription, group string }

// path is that of a provider, or without a name that of all in the scope (management.md section 3).
func (a armScope) path(name string) string {
	p := "/subscriptions/" + url.PathEscape(a.subscription)
	if a.group != "" {
		p += "/resourceGroups/" + url.PathEscape(a.group)
	}
	p += "/providers/Microsoft.Attestation/attestationProviders"
	if name != "" {
		p += "/" + url.PathEscape(name)
	}
	return p
}

// armProvider is a provider as ARM shows it (management.md section 4.1).
type armProvider struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	Properties struct {
		TrustModel          string `json:"trustModel"`
		Status              string `json:"status"`
		AttestURI           string `json:"attestUri"`
		PublicNetworkAccess string `json:"publicNetworkAccess"` // null: the default
		TPMAuthentication   string `json:"tpmAttestationAuthentication"`
	} `json:"properties"`
	System struct {
		CreatedBy  string    `json:"createdBy"`
		CreatedAt  time.Time `json:"createdAt"`
		ModifiedBy string    `json:"lastModifiedBy"`
		ModifiedAt time.Time `json:"lastModifiedAt"`
	} `json:"systemData"`
}

func (a *armProvider) report() *providerReport {
	return &providerReport{
		Name: a.Name, ID: a.ID, URL: a.Properties.AttestURI, TrustModel: a.Properties.TrustModel, Status: a.Properties.Status,
		Location: a.Location, Tags: a.Tags, PublicNetworkAccess: a.Properties.PublicNetworkAccess, TPMAuthentication: a.Properties.TPMAuthentication,
		Created:  change{By: a.System.CreatedBy, At: a.System.CreatedAt},
		Modified: change{By: a.System.ModifiedBy, At: a.System.ModifiedAt},
	}
}

// readARM reads the list that ARM answers, which has no pages.
func (l *providerList) readARM(a *answer) error {
	var resources struct {
		Value []armProvider `json:"value"`
	}
	if err := a.read(&resources); err != nil {
		return err
	}
	for i := range resources.Value {
		l.Providers = append(l.Providers, resources.Value[i].report())
	}
	return nil
}
