package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Names of the claims that reference values give (native.md section 5). Clients may send none of them.
const (
	// ReferenceName is the type of the claims that say which reference values the evidence matches: the value is a name.
	ReferenceName = "assay-reference"
	// ReferencePrefix begins the types of the claims that show the values themselves; what a value is one of follows.
	ReferencePrefix = ReferenceName + "-"
)

// pcrCount is how many PCRs a TPM has.
const pcrCount = 24

// isReference says whether a claim is called as only those of reference values are.
func isReference(name string) bool {
	return name == ReferenceName || strings.HasPrefix(name, ReferencePrefix)
}

// referenceName is the claim of reference values that all attestation types have.
func referenceName() []ClaimInfo {
	return []ClaimInfo{
		{Name: ReferenceName, Issuer: ReferenceValue, form: words("the name of a reference value"), ReadOnly: true, Optional: true, Several: true,
			Meaning: "A reference value of the provider that the evidence matches, one claim for each."},
	}
}

// ReferenceClaims returns the claims that show the values of reference values to policies of an attestation type, one for each of its
// [ReferenceKeys]. A policy sees those for which the provider has values. Claims does not have them. The list is the caller's own.
func ReferenceClaims(attestationType string) []ClaimInfo {
	keys := ReferenceKeys(attestationType)
	for i, k := range keys {
		keys[i] = ClaimInfo{Name: ReferencePrefix + k.Name, Kind: k.Kind, Issuer: ReferenceValue, Format: k.Format, Values: k.Values,
			ReadOnly: true, Optional: true, Several: true, form: k.form, loose: k.loose,
			Meaning: "A value of " + k.Name + " in a reference value of the provider, one claim for each."}
	}
	return keys
}

// ReferenceKeys returns what reference values of an attestation type may name: the claims that are made of the evidence, where they are
// no JSON text, and what stands in no claim of its own: members of x-ms-isolation-tee with a dot before their names, and the quoted
// PCRs as pcr-sha256-7. Not all are claims that policies see. The list is the caller's own.
func ReferenceKeys(attestationType string) []ClaimInfo {
	keys := slices.DeleteFunc(keysOfType(attestationType), func(c ClaimInfo) bool { return !c.decided() })
	for i := range keys {
		keys[i].Issuer, keys[i].Format = AttestationService, keys[i].form.String()
	}
	return keys
}

func keysOfType(attestationType string) []ClaimInfo {
	switch attestationType {
	case "SgxEnclave", "OpenEnclave":
		return slices.Concat(sgxClaims(), sgxTokenClaims())
	case "SevSnpVm":
		return snpClaims()
	case "TdxVm":
		return tdxClaims()
	case "AzureGuest":
		return slices.Concat(guestClaims(), isolationClaims(), pcrKeys("sha256", 64))
	case "Tpm":
		return slices.Concat(tpmClaims(), vbsClaims(), pcrKeys("sha256", 64), pcrKeys("sha1", 40), pcrKeys("sha384", 96))
	}
	return nil
}

// decided says whether a claim is made of the evidence, and its value can be compared.
func (c *ClaimInfo) decided() bool {
	return c.form.alphabet != jsonText && c.Deprecated == "" && c.Name != collateralExpired && c.Name != "maa-ehd"
}

// sgxTokenClaims are claims of an enclave's token that policies do not see (tokens.md section 6).
func sgxTokenClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "x-ms-sgx-report-data", form: hexDigits(128), Meaning: "The data that the enclave gave for the report."},
		{Name: "x-ms-sgx-config-id", form: hexDigits(128), Optional: true, Meaning: "The configuration that was set at launch (CONFIGID)."},
		{Name: "x-ms-sgx-config-svn", Kind: Integer, Optional: true, Meaning: "The security version of the configuration (CONFIGSVN)."},
		{Name: "x-ms-sgx-isv-extended-product-id", form: hexDigits(32), Optional: true, Meaning: "The enclave's extended product number (ISVEXTPRODID)."},
		{Name: "x-ms-sgx-isv-family-id", form: hexDigits(32), Optional: true, Meaning: "The enclave's family (ISVFAMILYID)."},
	}
}

// isolationClaims are those of the hardware report of an Azure guest, as members of x-ms-isolation-tee.
func isolationClaims() []ClaimInfo {
	words := []string{attestationWord("SevSnpVm"), attestationWord("TdxVm")}
	claims := slices.Concat(snpClaims(), newerSNPClaims(), tdxClaims(), []ClaimInfo{{Name: AttestationType, Values: words, Meaning: "The kind of the hardware report."}})
	claims = slices.DeleteFunc(claims, func(c ClaimInfo) bool { return !c.decided() })
	for i := range claims {
		claims[i].Name = "x-ms-isolation-tee." + claims[i].Name
		claims[i].Optional = true
	}
	return claims
}

// newerSNPClaims are those of guest policies that only newer tokens of Azure guests have (tokens.md section 7).
func newerSNPClaims() (claims []ClaimInfo) {
	for _, name := range []string{"singlesocket", "cxl-allowed", "mem-aes256-xts-required", "rapl-disabled", "ciphertext-hiding-dram-enabled", "page-swap-disabled"} {
		claims = append(claims, ClaimInfo{Name: "x-ms-sevsnpvm-" + name, Kind: Boolean, Meaning: "A bit of the guest's policy."})
	}
	return claims
}

// pcrKeys are the quoted PCRs of a bank, whose digests have so many hexadecimal digits.
func pcrKeys(bank string, digits int) []ClaimInfo {
	keys := make([]ClaimInfo, pcrCount)
	for i := range keys {
		keys[i] = ClaimInfo{Name: fmt.Sprintf("pcr-%s-%d", bank, i), form: hexDigits(digits), Optional: true,
			Meaning: fmt.Sprintf("The value of PCR %d in the bank %s, where it is quoted.", i, bank)}
	}
	return keys
}

// Accepts says why no claim that c describes can have the value v: what was expected, what was found, and what was probably meant. It
// gives nil where one can.
func (c *ClaimInfo) Accepts(v Value) error {
	n, isInteger := v.Int()
	text, expected := v.text, ""
	if v.kind != String {
		text = v.String()
	}
	switch {
	case c.loose:
	case v.kind != c.Kind:
		return fmt.Errorf("expected a value of type %v, found the %v %s", c.Kind, v.kind, v.short())
	case isInteger && n < 0:
		expected = "an integer of 0 or more"
	case len(c.Values) > 0 && !slices.Contains(c.Values, text):
		expected = oneOf(c.Values)
	case v.kind == String && !c.form.fits(v.text):
		expected = c.form.String()
	}
	switch meant := c.form.mended(v.text); {
	case expected == "":
		return nil
	case meant != "":
		return fmt.Errorf("expected %s, found %s: write %s", expected, v.short(), quoteLiteral(meant))
	}
	return fmt.Errorf("expected %s, found %s", expected, v.short())
}

// ReferenceCatalog is the [ReferenceKeys] of an attestation type, ready for looking up many.
type ReferenceCatalog struct {
	kind   string
	keys   []ClaimInfo
	byName map[string]int
}

// NewReferenceCatalog makes the catalogue of an attestation type, empty for names of none.
func NewReferenceCatalog(attestationType string) *ReferenceCatalog {
	c := &ReferenceCatalog{attestationType, ReferenceKeys(attestationType), map[string]int{}}
	for i, k := range c.keys {
		c.byName[k.Name] = i
	}
	return c
}

// Key returns the key of that name. The error says why there is none, and which was probably meant.
func (c *ReferenceCatalog) Key(name string) (ClaimInfo, error) {
	if i, ok := c.byName[name]; ok {
		return c.keys[i], nil
	}
	written := quoteLiteral(shorten(printable(name), 80))
	inner := "x-ms-isolation-tee." + name
	if _, ok := c.byName[inner]; ok {
		return ClaimInfo{}, fmt.Errorf("%s is a member of x-ms-isolation-tee in tokens of %s: write %s", written, c.kind, inner)
	}
	known := slices.ContainsFunc(claimsOfType(c.kind), func(c ClaimInfo) bool { return c.Name == name && c.Deprecated == "" })
	if known {
		return ClaimInfo{}, fmt.Errorf("the claim %s is JSON text, or is not made of the evidence: no reference value can be held against it", written)
	}
	names := make([]string, len(c.keys))
	for i, k := range c.keys {
		names[i] = k.Name
	}
	return ClaimInfo{}, fmt.Errorf("%s has no claim %s%s", c.kind, written, question(nearest(name, names)))
}
