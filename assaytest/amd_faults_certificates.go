package assaytest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/assay-attestation/assay/evidence"
)

// amdChainFaults break the certificates.
func amdChainFaults() []AMDFault {
	chain := func(name, what string, breakIt func(*AMDScenario)) AMDFault {
		return AMDFault{Name: name, What: what, Checks: one(evidence.SNPChain), Break: breakIt}
	}
	expiry := func(name, what string, r AMDRole, change func(*AMDScenario, *x509.Certificate)) AMDFault {
		return AMDFault{Name: name, What: what, Checks: one(evidence.SNPExpired), Break: amdCertificate(r, change)}
	}
	return []AMDFault{
		{Name: "amd-other-root", What: "everything made under another root of the same name", Checks: one(evidence.UntrustedRoot),
			Break: func(s *AMDScenario) { s.Vendor = amdStranger() }},
		chain("amd-chain-garbage", "the chain is no PEM", snpAt(SNPChain, becomes("no PEM"))),
		chain("amd-chain-of-one", "VCEK only", amdChain(VCEK)),
		chain("amd-chain-without-ask", "VCEK and ARK only", amdChain(VCEK, ARK)),
		chain("amd-chain-without-vcek", "ASK and ARK only", amdChain(ASK, ARK)),
		chain("amd-chain-of-provider-ca", "the ASVK in the place of the ASK", amdChain(VCEK, ASVK, ARK)),
		chain("amd-two-keys", "VCEK and VLEK", amdChain(VCEK, VLEK, ASK, ASVK, ARK)),
		chain("amd-chain-too-long", "nine certificates", amdChain(VCEK, ASK, ARK, ARK, ARK, ARK, ARK, ARK, ARK)),
		chain("vcek-signature", "signature of the VCEK", snpAt(VCEK.Certificate(), flipLast)),
		chain("vcek-other-key", "VCEK signed by a stranger", amdSignedBy(amdStranger(), VCEK.Certificate())),
		chain("vcek-of-provider-ca", "VCEK issued by the authority for VLEKs", amdAll(amdSignedAs(ASVK, VCEK.Certificate()), amdChain(VCEK, ASVK, ARK))),
		chain("vcek-of-ark", "VCEK issued by the ARK", amdAll(amdSignedAs(ARK, VCEK.Certificate()), amdChain(VCEK, ARK))),
		chain("vcek-name", "VCEK of another name", amdCertificate(VCEK, amdNamed("VCEK"))),
		chain("vcek-is-ca", "the VCEK is a CA", amdCertificate(VCEK, func(_ *AMDScenario, c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })),
		chain("ask-is-not-ca", "the ASK is no CA", amdCertificate(ASK, amdLeaf)),
		{"ask-signature", "signature of the ASK", []evidence.Check{evidence.UntrustedRoot}, snpAt(ASK.Certificate(), flipLast), AMDBase{}},
		{"ask-other-key", "ASK signed by a stranger", []evidence.Check{evidence.UntrustedRoot}, amdSignedBy(amdStranger(), ASK.Certificate()), AMDBase{}},
		expiry("vcek-expired", "VCEK past its end", VCEK, amdExpired),
		expiry("ask-expired", "ASK past its end", ASK, amdExpired),
		expiry("vcek-not-yet-valid", "VCEK before its start", VCEK, func(s *AMDScenario, c *x509.Certificate) { c.NotBefore = s.At.AddDate(0, 0, 2) }),
		{"vlek-expired", "VLEK past its end", one(evidence.SNPExpired), amdCertificate(VLEK, amdExpired), AMDBase{VLEK: true}},
	}
}

func amdAll(changes ...func(*AMDScenario)) func(*AMDScenario) {
	return func(s *AMDScenario) {
		for _, change := range changes {
			change(s)
		}
	}
}

func amdChain(roles ...AMDRole) func(*AMDScenario) {
	return func(s *AMDScenario) { s.Chain = roles }
}

func amdNamed(commonName string) func(*AMDScenario, *x509.Certificate) {
	return func(_ *AMDScenario, c *x509.Certificate) { c.Subject = amdName(commonName) }
}

func amdExpired(s *AMDScenario, c *x509.Certificate) { c.NotAfter = s.At.AddDate(0, 0, -2) }

func amdLeaf(_ *AMDScenario, c *x509.Certificate) { makeLeaf(nil, c) }

// amdExtension changes the extension of a certificate whose object identifier ends so.
func amdExtension(r AMDRole, change func(*pkix.Extension), below ...int) func(*AMDScenario) {
	return amdCertificate(r, func(_ *AMDScenario, c *x509.Certificate) {
		i := slices.IndexFunc(c.ExtraExtensions, func(x pkix.Extension) bool { return x.Id.Equal(amdOID(below...)) })
		change(&c.ExtraExtensions[i])
	})
}

// renamed gives an extension an object identifier that means nothing.
func renamed(x *pkix.Extension) { x.Id = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1} }

// holding gives an extension another value.
func holding(der ...byte) func(*pkix.Extension) { return func(x *pkix.Extension) { x.Value = der } }

// added puts one more extension into a certificate.
func added(r AMDRole, der []byte, below ...int) func(*AMDScenario) {
	return amdCertificate(r, func(_ *AMDScenario, c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: amdOID(below...), Value: der})
	})
}

// amdExtensionFaults break what the certificate says about the key.
func amdExtensionFaults() []AMDFault {
	vcek := func(name, what string, breakIt func(*AMDScenario)) AMDFault {
		return AMDFault{Name: name, What: what, Checks: one(evidence.SNPCertificate), Break: breakIt}
	}
	vlek := func(name, what string, breakIt func(*AMDScenario)) AMDFault {
		return AMDFault{name, what, one(evidence.SNPCertificate), breakIt, AMDBase{VLEK: true}}
	}
	shorter := func(x *pkix.Extension) { x.Value = x.Value[1:] }
	return []AMDFault{
		vcek("vcek-no-product", "VCEK without a product", amdExtension(VCEK, renamed, 2)),
		vcek("vcek-struct-version", "extensions of an unknown version", amdExtension(VCEK, holding(2, 1, 2), 1)),
		vcek("vcek-no-boot-loader", "VCEK without the boot loader's version", amdExtension(VCEK, renamed, 3, 1)),
		vcek("vcek-no-microcode", "VCEK without the microcode's version", amdExtension(VCEK, renamed, 3, 8)),
		vcek("vcek-version-256", "a version above 255", amdExtension(VCEK, holding(2, 2, 1, 0), 3, 3)),
		vcek("vcek-version-negative", "a version below 0", amdExtension(VCEK, holding(2, 1, 0xFF), 3, 3)),
		vcek("vcek-no-chip", "VCEK without a chip", amdExtension(VCEK, renamed, 4)),
		vcek("vcek-chip-short", "the id of the chip has 63 bytes", amdExtension(VCEK, shorter, 4)),
		vcek("vcek-with-provider", "a VCEK of a cloud provider", added(VCEK, []byte{0x16, 1, 'x'}, 5)),
		vlek("vlek-no-provider", "VLEK without a cloud provider", amdExtension(VLEK, renamed, 5)),
		vlek("vlek-with-chip", "a VLEK of a chip", added(VLEK, make([]byte, 64), 4)),
		{"vcek-no-fmc-turin", "VCEK of Turin without the FMC's version", one(evidence.SNPCertificate), amdExtension(VCEK, renamed, 3, 9), AMDBase{Product: Turin}},
		{Name: "vcek-other-product", What: "VCEK of a Genoa, issued for Milan", Checks: one(evidence.SNPProduct), Break: amdExtension(VCEK, holding(0x16, 5, 'G', 'e', 'n', 'o', 'a'), 2)},
		{Name: "ask-of-other-root", What: "ASK of Milan, issued by the ARK of Genoa", Checks: one(evidence.SNPProduct), Break: askOfGenoa},
	}
}

// askOfGenoa has the ASK issued by the authority of another product.
func askOfGenoa(s *AMDScenario) {
	s.Edit.Signer = func(p AMDPart, signer AMDSigner) AMDSigner {
		if p == ASK.Certificate() {
			signer.Product = Genoa
		}
		return signer
	}
}

// amdCRLFaults break or use the revocation list.
func amdCRLFaults() []AMDFault {
	list := func(name, what string, check evidence.Check, breakIt func(*AMDScenario)) AMDFault {
		return AMDFault{Name: name, What: what, Checks: one(check), Break: breakIt}
	}
	dated := func(from, to int) func(*AMDScenario) {
		return func(s *AMDScenario) {
			s.Edit.CRL = func(l *x509.RevocationList) {
				l.ThisUpdate, l.NextUpdate = s.At.AddDate(0, 0, from), s.At.AddDate(0, 0, to)
			}
		}
	}
	revokes := func(r AMDRole) func(*AMDScenario) { return func(s *AMDScenario) { s.Revoked = []AMDRole{r} } }
	return []AMDFault{
		list("amd-crl-garbage", "the list is no CRL", evidence.CRLFormat, snpAt(AMDCRL, becomes("no CRL"))),
		list("amd-crl-other-key", "the list signed by a stranger of the same name", evidence.CRLSignature, amdSignedBy(amdStranger(), AMDCRL)),
		list("amd-crl-of-ask", "the list signed by the ASK", evidence.CRLSignature, amdSignedAs(ASK, AMDCRL)),
		list("amd-crl-signature", "a bit of the signature of the list", evidence.CRLSignature, snpAt(AMDCRL, flipLast)),
		list("amd-crl-expired", "the list is past its nextUpdate", evidence.CRLExpired, dated(-32, -2)),
		list("amd-crl-not-yet-valid", "the list is of the future", evidence.CRLNotYetValid, dated(2, 32)),
		list("ask-revoked", "ASK revoked", evidence.Revoked, revokes(ASK)),
		list("ark-revoked", "ARK revoked", evidence.Revoked, revokes(ARK)),
		{"asvk-revoked", "ASVK revoked", one(evidence.Revoked), revokes(ASVK), AMDBase{VLEK: true}},
	}
}
