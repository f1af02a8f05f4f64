package api

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
)

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

// armOf is a provider in ARM's form, with the members that the version has (management.md sections 2 and 4.1).
func armOf(i *provider.Instance, version string) map[string]any {
	properties := map[string]any{"trustModel": i.TrustModel(), "status": armStatus(i), "attestUri": i.URL}
	body := map[string]any{"id": resourceID(i), "name": i.Name, "type": providerType, "location": i.Location, "properties": properties}
	if len(i.Tags) > 0 {
		body["tags"] = i.Tags
	} else if version == preview2018 {
		body["tags"] = nil
	}
	if version != preview2018 {
		body["systemData"] = systemData(i)
		properties["privateEndpointConnections"] = []any{}
	}
	if version == arm2021 || version == arm2021Preview {
		properties["publicNetworkAccess"] = orNull(i.Settings.PublicNetworkAccess, i.PublicNetworkAccess)
		properties["tpmAttestationAuthentication"] = orNull(i.Settings.TPMAttestationAuthentication, i.TPMAttestationAuthentication)
	}
	return body
}

func armListOf(all []*provider.Instance, version string) map[string]any {
	list := []any{}
	for _, i := range all {
		list = append(list, armOf(i, version))
	}
	return map[string]any{"value": list}
}

// armStatus is the status of a provider that is in service, or of one that decides nothing.
func armStatus(i *provider.Instance) string {
	if i.Outdated != nil {
		return "Error"
	}
	return "Ready"
}

// orNull is the first value that was ever set.
func orNull(values ...string) any {
	if value := cmp.Or(values...); value != "" {
		return value
	}
	return nil
}

// systemData says who made a provider and who changed it last. Of what kind they are is not kept.
func systemData(i *provider.Instance) map[string]any {
	data := map[string]any{}
	for prefix, stamp := range map[string]store.Stamp{"created": i.Created, "lastModified": i.Modified} {
		data[prefix+"By"], data[prefix+"At"] = stamp.By, stamp.At.UTC().Format(time.RFC3339Nano)
	}
	return data
}

// armOperations lists the operations that roles are made of (management.md section 3).
func armOperations(context.Context, *request) (any, error) {
	list := []any{}
	for _, o := range []struct {
		permission auth.Permission
		text       string
	}{{auth.Read, "Get status of attestation service"}, {auth.Write, "Adds attestation service"}, {auth.Delete, "Removes attestation service"}} {
		list = append(list, map[string]any{"name": o.permission.String(), "display": map[string]string{
			"provider": "Microsoft Azure Attestation", "resource": "Attestation", "operation": o.text, "description": o.text + ".",
		}})
	}
	return map[string]any{"value": list}, nil
}

// armPrivateRoutes are those of private networks (management.md section 9). Nothing here can make a connection, so that there are
// none; the routes are there for clients that ask.
func (s *Service) armPrivateRoutes() []route {
	const connections, one = armOne + "/privateEndpointConnections", armOne + "/privateEndpointConnections/{connection}"
	op := func(name string, p auth.Permission, versions []string, do func(*request, *provider.Instance) (any, error)) operation {
		return operation{name: name, access: onNamed(p, auth.ControlPlane), versions: versions, policyBody: true, always: true, form: armErrors,
			do: func(ctx context.Context, r *request) (any, error) {
				i, err := s.existing(ctx, r)
				if err != nil {
					return nil, err
				}
				return do(r, i)
			}}
	}
	from2020, from2021 := armVersions()[1:], armVersions()[2:]
	return []route{
		{http.MethodGet, connections, op("ListPrivateEndpointConnections", auth.Read, from2020, noConnections)},
		{http.MethodGet, one, op("GetPrivateEndpointConnection", auth.Read, from2020, noConnection)},
		{http.MethodPut, one, op("CreatePrivateEndpointConnection", auth.Manage, from2020, refuseConnection)},
		{http.MethodDelete, one, op("DeletePrivateEndpointConnection", auth.Manage, from2020, deleteConnection)},
		{http.MethodGet, armOne + "/privateLinkResources", op("ListPrivateLinkResources", auth.Read, from2021, privateLink)},
	}
}

func noConnections(*request, *provider.Instance) (any, error) {
	return map[string]any{"value": []any{}}, nil
}

func noConnection(r *request, _ *provider.Instance) (any, error) {
	return nil, refuse(http.StatusNotFound, codeNotFound, "There is no private endpoint connection %s.", shorten(r.params["connection"], maxQuoted))
}

func refuseConnection(*request, *provider.Instance) (any, error) {
	return nil, refuse(http.StatusBadRequest, codeInvalidOperation, "Private endpoint connections are made by Azure's network, which this service is not part of. To refuse callers from public addresses set publicNetworkAccess to Disabled.")
}

func deleteConnection(*request, *provider.Instance) (any, error) {
	return reply{status: http.StatusNoContent}, nil
}

func privateLink(_ *request, i *provider.Instance) (any, error) {
	const kind = "privateLinkResources"
	return map[string]any{"value": []any{map[string]any{
		"id": resourceID(i) + "/" + kind + "/tenant", "name": "tenant", "type": providerType + "/" + kind,
		"properties": map[string]any{"groupId": "standard", "requiredMembers": []string{"default"}, "requiredZoneNames": []string{"privatelink.attest.azure.net"}},
	}}}, nil
}

// armHeader is what ARM's answers have beside those of all (management.md section 3). Strict-Transport-Security means nothing without TLS.
func armHeader(h http.Header, providerURL string) {
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("X-Content-Type-Options", "nosniff")
	if strings.HasPrefix(providerURL, "https:") {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}
