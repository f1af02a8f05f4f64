package server_test

import (
	"regexp"
	"slices"
	"strings"
)

// need is what an operation asks of its caller.
type need string

// The needs. The first three are the permissions of management.md section 7, which the three roles have as it says;
// signing keys are the provider's owner's affair.
const (
	nothing   need = "nothing"
	reading   need = "read"
	writing   need = "write"
	deleting  need = "delete"
	ownership need = "manage"
	listing   need = "list" // reading some provider
)

// permission is the action of Azure that stands for the need (api.md section 5). No role has one of write and delete alone.
func (n need) permission() string {
	const provider = "Microsoft.Attestation/attestationProviders/"
	switch n {
	case nothing:
		return ""
	case listing:
		return reading.permission()
	case ownership:
		return provider + "*"
	}
	return provider + "attestation/" + string(n)
}

// The api-versions that are sent.
const (
	preview   = "2018-09-01-preview"
	current   = "2022-08-01"
	resources = "2021-06-01" // of ARM
	unversion = ""
)

// expectation is a row of the table of api.md section 5.
type expectation struct {
	method, pattern string
	version         string // the api-version that is sent; empty: none
	needs           need
	form            form
}

// form is how an operation writes its refusals; that of ARM goes with tokens for the control plane (management.md section 3).
type form int

const (
	usual form = iota
	bare       // 401 is a JSON string
	arm        // without an inner error
)

// expectations are written from api.md sections 5, 12 and 13, management.md section 7, and native.md section 3; rows for what
// only this service has follow the permissions that docs/api.md names.
func expectations() []expectation {
	rows := []expectation{
		{"GET", "/certs", unversion, nothing, usual},
		{"GET", "/certs/", unversion, nothing, usual},
		{"GET", "/.well-known/openid-configuration", unversion, nothing, usual},
		{"GET", "/servicehealth", current, nothing, usual},
		{"GET", "/tcbbaselines/{type}", current, nothing, usual},
		{"POST", "/attest/SgxEnclave", preview, reading, bare},
		{"POST", "/attest/OpenEnclave", preview, reading, bare},
		{"POST", "/attest/Tee/SgxEnclave", preview, reading, bare},
		{"POST", "/attest/Tee/OpenEnclave", preview, reading, bare},
		{"POST", "/attest/Tpm", preview, reading, usual},
		{"POST", "/attest/Tpm", current, reading, usual},
		{"GET", "/policies/{type}", current, reading, usual},
		{"PUT", "/policies/{type}", current, writing, usual},
		{"POST", "/policies/{type}:reset", current, deleting, usual},
		{"GET", "/certificates", current, reading, usual},
		{"POST", "/certificates:add", current, writing, usual},
		{"POST", "/certificates:remove", current, deleting, usual},
		{"GET", "/assay/v1/explanations/{request}", unversion, reading, usual},
		{"POST", "/assay/v1/explain/SgxEnclave", unversion, reading, usual},
		{"POST", "/assay/v1/explain/OpenEnclave", unversion, reading, usual},
		{"POST", "/assay/v1/explain/SevSnpVm", unversion, reading, usual},
		{"POST", "/assay/v1/explain/TdxVm", unversion, reading, usual},
		{"POST", "/assay/v1/explain/AzureGuest", unversion, reading, usual},
		{"POST", "/assay/v1/explain/Tpm", unversion, reading, usual},
		{"GET", "/assay/v1/policies/{type}/versions", unversion, reading, usual},
		{"GET", "/assay/v1/policies/{type}/versions/{version}", unversion, reading, usual},
		{"POST", "/assay/v1/policies/{type}:rollback", unversion, writing, usual},
		{"GET", "/assay/v1/keys", unversion, reading, usual},
		{"POST", "/assay/v1/keys:rotate", unversion, ownership, usual},
		{"POST", "/operations/policy/updatepolicy", preview, writing, bare},
		{"POST", "/operations/policy/update", preview, writing, bare},
		{"GET", "/operations/policy/current", preview, reading, bare},
		{"PUT", "/operations/policy/current", preview, writing, bare},
		{"POST", "/operations/policy/current", preview, deleting, bare},
		{"GET", "/operations/policy/certificates", preview, reading, bare},
		{"PUT", "/operations/policy/certificates", preview, writing, bare},
		{"POST", "/operations/policy/certificates", preview, deleting, bare},
	}
	for _, t := range []string{"SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm", "AzureGuest"} {
		rows = append(rows, expectation{"POST", "/attest/" + t, current, nothing, usual})
	}
	for _, t := range []string{"KeyGuard", "MdepTz", "Pluton"} {
		rows = append(rows, expectation{"POST", "/attest/" + t, current, reading, usual})
	}
	return slices.Concat(rows, enrolmentExpectations(), referenceExpectations(), providerExpectations(), armExpectations())
}

// enrolmentExpectations are the rows of native.md section 4: reading enrols, writing manages.
func enrolmentExpectations() []expectation {
	const aik = "/assay/v1/aik"
	return []expectation{
		{"POST", aik + "/challenges", unversion, reading, usual},
		{"POST", aik + "/certificates", unversion, reading, usual},
		{"GET", aik + "/certificates", unversion, reading, usual},
		{"GET", aik + "/certificates/{id}", unversion, reading, usual},
		{"POST", aik + "/certificates/{id}:revoke", unversion, writing, usual},
		{"GET", aik + "/pins", unversion, reading, usual},
		{"PUT", aik + "/pins/{hash}", unversion, writing, usual},
		{"DELETE", aik + "/pins/{hash}", unversion, writing, usual},
		{"GET", "/assay/v1/ek", unversion, reading, usual},
		{"PUT", "/assay/v1/ek/{hash}", unversion, writing, usual},
		{"DELETE", "/assay/v1/ek/{hash}", unversion, writing, usual},
	}
}

// referenceExpectations are the rows of native.md section 5.
func referenceExpectations() []expectation {
	const path = "/assay/v1/references"
	return []expectation{
		{"GET", path, unversion, reading, usual},
		{"GET", path + "/{reference}", unversion, reading, usual},
		{"PUT", path + "/{reference}", unversion, writing, usual},
		{"DELETE", path + "/{reference}", unversion, writing, usual},
	}
}

// providerExpectations are of our own routes for providers, which answer to the same permissions as those of ARM.
func providerExpectations() []expectation {
	const providers = "/assay/v1/providers"
	return []expectation{
		{"GET", providers, unversion, listing, usual},
		{"GET", providers + "/{name}", unversion, reading, usual},
		{"PUT", providers + "/{name}", unversion, ownership, usual},
		{"PATCH", providers + "/{name}", unversion, ownership, usual},
		{"DELETE", providers + "/{name}", unversion, ownership, usual},
	}
}

// armExpectations are the rows of management.md section 3: whoever may read a provider sees it, and managing it takes an owner.
func armExpectations() []expectation {
	const namespace, sub = "/providers/Microsoft.Attestation", "/subscriptions/{subscription}"
	const group = sub + "/resourceGroups/{group}"
	const one = group + namespace + "/attestationProviders/{name}"
	return []expectation{
		{"GET", namespace + "/operations", resources, listing, arm},
		{"GET", one, resources, reading, arm},
		{"PUT", one, resources, ownership, arm},
		{"PATCH", one, resources, ownership, arm},
		{"DELETE", one, resources, ownership, arm},
		{"GET", sub + namespace + "/attestationProviders", resources, listing, arm},
		{"GET", group + namespace + "/attestationProviders", resources, listing, arm},
		{"GET", sub + namespace + "/defaultProviders", resources, listing, arm},
		{"GET", sub + namespace + "/locations/{location}/defaultProvider", resources, listing, arm},
		{"GET", one + "/privateEndpointConnections", resources, reading, arm},
		{"GET", one + "/privateEndpointConnections/{connection}", resources, reading, arm},
		{"PUT", one + "/privateEndpointConnections/{connection}", resources, ownership, arm},
		{"DELETE", one + "/privateEndpointConnections/{connection}", resources, ownership, arm},
		{"GET", one + "/privateLinkResources", resources, reading, arm},
	}
}

var inBraces = regexp.MustCompile(`\{[^}]*\}`)

func (x expectation) key() string {
	return x.method + " " + inBraces.ReplaceAllString(x.pattern, "{type}")
}

// audience is what tokens for the operation are for; the other side's is none.
func (x expectation) audience() (right, other string) {
	if x.form == arm {
		return controlPlane, dataPlane
	}
	return dataPlane, controlPlane
}

// The values of aud of the two sides.
const (
	dataPlane    = "https://attest.azure.net"
	controlPlane = "https://management.azure.com/"
)

// path fills in the names of the pattern and the version.
func (x expectation) path() string {
	path := strings.NewReplacer("{type}", "SgxEnclave", "{version}", "1", "{name}", "default").Replace(x.pattern)
	path = inBraces.ReplaceAllString(path, "some")
	query := "?tee=SgxEnclave"
	if x.version != "" {
		query += "&api-version=" + x.version
	}
	return path + query
}
