package assaytest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// The tests of this file read what is made by the offsets of sgx-tdx.md section 2 and by the standard library, not by
// the product's verifier.

// offsets are where things stand in a quote with 32 bytes of authentication data.
type offsets struct{ body, signed, outer, qeReport, cert int }

func offsetsOf(version uint16) offsets {
	switch version {
	case 4:
		return offsets{body: 48, signed: 432, outer: 564, qeReport: 570, cert: 1052}
	case 5:
		return offsets{body: 54, signed: 438, outer: 570, qeReport: 576, cert: 1058}
	}
	return offsets{body: 48, signed: 432, qeReport: 564, cert: 1046}
}

func TestQuoteHasTheLayoutOfTheSpecification(t *testing.T) {
	for _, version := range []uint16{3, 4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			s := assaytest.NewIntel().Scenario(now)
			s.QuoteVersion = version
			quote, err := s.Quote()
			if err != nil {
				t.Fatal(err)
			}
			at := offsetsOf(version)
			le := binary.LittleEndian
			fields := map[string][2]int{
				"version":             {int(le.Uint16(quote)), int(version)},
				"attestation key":     {int(le.Uint16(quote[2:])), 2},
				"TEE type":            {int(le.Uint32(quote[4:])), 0},
				"signature length":    {int(le.Uint32(quote[at.signed:])), len(quote) - at.signed - 4},
				"authentication data": {int(le.Uint16(quote[at.qeReport+384+64:])), 32},
				"certification type":  {int(le.Uint16(quote[at.cert:])), 5},
				"certification size":  {int(le.Uint32(quote[at.cert+2:])), len(quote) - at.cert - 6},
			}
			if version == 5 {
				fields["body type"] = [2]int{int(le.Uint16(quote[48:])), 1}
				fields["body size"] = [2]int{int(le.Uint32(quote[50:])), 384}
			}
			if at.outer != 0 {
				fields["outer type"] = [2]int{int(le.Uint16(quote[at.outer:])), 6}
				fields["outer size"] = [2]int{int(le.Uint32(quote[at.outer+2:])), len(quote) - at.outer - 6}
			}
			for name, f := range fields {
				if f[0] != f[1] {
					t.Errorf("%s: got %d, want %d", name, f[0], f[1])
				}
			}
			if got := hex.EncodeToString(quote[12:28]); got != "939a7233f79c4ca9940a0db3957f0607" {
				t.Errorf("QE vendor id %s", got)
			}
			checkSignatures(t, quote, at)
		})
	}
}

// checkSignatures checks both signatures of a quote and what the QE report binds, over the bytes that the
// specification names.
func checkSignatures(t *testing.T, quote []byte, at offsets) {
	t.Helper()
	sig, key := quote[at.signed+4:at.signed+68], quote[at.signed+68:at.signed+132]
	attestation, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, key...))
	if err != nil {
		t.Fatal(err)
	}
	if !rawVerify(attestation, quote[:at.signed], sig) {
		t.Error("the attestation key has not signed header and body")
	}
	report, auth := quote[at.qeReport:at.qeReport+384], quote[at.cert-32:at.cert]
	chain := certificates(t, quote[at.cert+6:])
	if !rawVerify(chain[0].PublicKey.(*ecdsa.PublicKey), report, quote[at.qeReport+384:at.qeReport+448]) {
		t.Error("the PCK key has not signed the QE report")
	}
	bound := sha256.Sum256(slices.Concat(key, auth))
	if want := append(bound[:], make([]byte, 32)...); !bytes.Equal(report[320:384], want) {
		t.Errorf("QE report data %x, want %x", report[320:384], want)
	}
}

func rawVerify(key *ecdsa.PublicKey, message, sig []byte) bool {
	digest := sha256.Sum256(message)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

func certificates(t *testing.T, chain []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	return certs
}

func TestReportHasEachFieldInItsPlace(t *testing.T) {
	e := assaytest.SGX{
		CPUSVN: [16]byte{0x11}, MiscSelect: 0x22, Debug: true, ProvisionKey: true, KSS: true,
		MRENCLAVE: [32]byte{0x33}, MRSIGNER: [32]byte{0x44}, ProdID: 0x5501, SVN: 0x6601, ConfigSVN: 0x7701,
		ReportData: [64]byte{0x88}, ExtProdID: [16]byte{0x99}, FamilyID: [16]byte{0xAA}, ConfigID: [64]byte{0xBB},
	}
	quote, err := assaytest.NewIntel().Quote(e)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 384)
	for offset, b := range map[int]byte{
		0: 0x11, 16: 0x22, 32: 0x99, 48: 0x01 | 0x02 | 0x04 | 0x10 | 0x80, 56: 0x07, 64: 0x33, 128: 0x44, 192: 0xBB,
		256: 0x01, 257: 0x55, 258: 0x01, 259: 0x66, 260: 0x01, 261: 0x77, 304: 0xAA, 320: 0x88,
	} {
		want[offset] = b
	}
	if got := quote[48:432]; !bytes.Equal(got, want) {
		t.Errorf("report body\n got %x\nwant %x", got, want)
	}
}

func TestChainsVerifyByTheStandardLibrary(t *testing.T) {
	intel := assaytest.NewIntel()
	root, err := intel.RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	quote, err := intel.Quote(assaytest.SimulatedEnclave())
	if err != nil {
		t.Fatal(err)
	}
	c, err := intel.Collateral(now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	for name, chain := range map[string][]byte{"PCK": quote[1052:], "TCB info": c.TCBInfoChain, "QE identity": c.QEIdentityChain} {
		certs := certificates(t, chain)
		between := x509.NewCertPool()
		for _, cert := range certs[1:] {
			between.AddCert(cert)
		}
		opts := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		if _, err := certs[0].Verify(opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkCRL(t, c.PCKCRL, certificates(t, quote[1052:])[1])
	checkCRL(t, c.RootCRL, certificates(t, root)[0])
}

func checkCRL(t *testing.T, der []byte, ca *x509.Certificate) {
	t.Helper()
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(ca); err != nil {
		t.Errorf("CRL of %s: %v", ca.Subject.CommonName, err)
	}
	if list.Number == nil || !bytes.Equal(list.AuthorityKeyId, ca.SubjectKeyId) || !bytes.Equal(list.RawIssuer, ca.RawSubject) {
		t.Errorf("CRL of %s: number %v, key id %x, issuer %s", ca.Subject.CommonName, list.Number, list.AuthorityKeyId, list.Issuer)
	}
	if !list.ThisUpdate.Equal(now.AddDate(0, 0, -1)) || list.NextUpdate.Before(now.AddDate(0, 0, 29)) {
		t.Errorf("CRL of %s: valid from %s to %s at %s", ca.Subject.CommonName, list.ThisUpdate, list.NextUpdate, now)
	}
}

func TestRevokedCertificatesStandInTheListOfTheirIssuer(t *testing.T) {
	s := assaytest.NewIntel().Scenario(now)
	s.Revoked = []assaytest.Role{assaytest.PCK, assaytest.PlatformCA, assaytest.TCBSigning}
	c, err := s.Collateral()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		der []byte
		n   int
	}{"PCK CRL": {c.PCKCRL, 1}, "root CRL": {c.RootCRL, 2}} {
		list, err := x509.ParseRevocationList(want.der)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(list.RevokedCertificateEntries); got != want.n {
			t.Errorf("%s lists %d certificates, want %d", name, got, want.n)
		}
	}
}

func TestDocumentsAreSignedOverTheirInnerBytes(t *testing.T) {
	c, err := assaytest.NewIntel().Collateral(now)
	if err != nil {
		t.Fatal(err)
	}
	for member, doc := range map[string][2][]byte{"tcbInfo": {c.TCBInfo, c.TCBInfoChain}, "enclaveIdentity": {c.QEIdentity, c.QEIdentityChain}} {
		var envelope map[string]json.RawMessage
		if err := json.Unmarshal(doc[0], &envelope); err != nil {
			t.Fatal(err)
		}
		sig, err := hex.DecodeString(strings.Trim(string(envelope["signature"]), `"`))
		if err != nil || len(sig) != 64 {
			t.Fatalf("%s: signature %s", member, envelope["signature"])
		}
		signer := certificates(t, doc[1])[0]
		if !rawVerify(signer.PublicKey.(*ecdsa.PublicKey), envelope[member], sig) {
			t.Errorf("%s: the signature does not verify", member)
		}
		if !bytes.Contains(envelope[member], []byte(`"issueDate":"2030-06-14T12:00:00Z","nextUpdate":"2030-07-14T12:00:00Z"`)) {
			t.Errorf("%s: other dates than a day before and 29 days after %s: %s", member, now, envelope[member])
		}
	}
}

// What Intel publishes has the same members and elements in the same order.

func TestDocumentsHaveTheShapeOfIntels(t *testing.T) {
	var index struct {
		Collateral []struct {
			Name, Dir string
			TCBInfo   struct{ Version int } `json:"tcb_info"`
			QE        struct{ ID string }   `json:"qe_identity"`
		}
	}
	vectortest.ReadJSON(t, "dcap/index.json", &index)
	for _, set := range index.Collateral {
		if set.QE.ID != "QE" {
			continue
		}
		s := assaytest.NewIntel().Scenario(now)
		s.TCBInfoVersion = set.TCBInfo.Version
		c, err := s.Collateral()
		if err != nil {
			t.Fatal(err)
		}
		for file, got := range map[string][]byte{"tcb_info.json": c.TCBInfo, "qe_identity.json": c.QEIdentity} {
			want := members(t, vectortest.Read(t, "dcap/"+set.Dir+"/"+file))
			if got := members(t, got); !slices.Equal(got, want) {
				t.Errorf("%s/%s: members\n got %q\nwant %q", set.Name, file, got, want)
			}
		}
	}
}

// members lists the names in a document in their order: of envelope, body and the tcb of the first level.
func members(t *testing.T, doc []byte) []string {
	t.Helper()
	var names []string
	d := json.NewDecoder(bytes.NewReader(doc))
	for {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case "tcbDate": // the first level's tcb ends before
			return names
		}
		if name, ok := token.(string); ok && strings.HasSuffix(string(doc[:d.InputOffset()]), name+`"`) && doc[d.InputOffset()] == ':' {
			if name != "category" && name != "type" { // for people; of some components only
				names = append(names, name)
			}
		}
	}
}

func TestSGXExtensionHasTheShapeOfIntels(t *testing.T) {
	var index struct {
		Quotes []struct{ Name, File string }
	}
	vectortest.ReadJSON(t, "dcap/index.json", &index)
	intel := assaytest.NewIntel()
	ours := map[string][]string{}
	for _, processor := range []bool{true, false} {
		s := intel.Scenario(now)
		if processor {
			s.UseProcessorCA()
		}
		quote, err := s.Quote()
		if err != nil {
			t.Fatal(err)
		}
		leaf := certificates(t, quote[1052:])[0]
		ours[leaf.Issuer.CommonName] = elementIDs(t, leaf)
	}
	for _, q := range index.Quotes {
		quote := vectortest.Read(t, "dcap/"+q.File)
		start := bytes.Index(quote, []byte("-----BEGIN CERTIFICATE"))
		if start < 0 {
			continue
		}
		leaf := certificates(t, quote[start:])[0]
		if got, want := ours[leaf.Issuer.CommonName], elementIDs(t, leaf); !slices.Equal(got, want) {
			t.Errorf("%s: elements\n got %q\nwant %q", q.Name, got, want)
		}
	}
}

// elementIDs lists object identifier and ASN.1 tag of each element in the SGX extension of a certificate, inner ones
// included.
func elementIDs(t *testing.T, cert *x509.Certificate) []string {
	t.Helper()
	for _, e := range cert.Extensions {
		if e.Id.String() == "1.2.840.113741.1.13.1" {
			return elementIDsIn(t, e.Value)
		}
	}
	t.Fatal("no SGX extension")
	return nil
}

func elementIDsIn(t *testing.T, der []byte) []string {
	t.Helper()
	var elements []struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	if _, err := asn1.Unmarshal(der, &elements); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range elements {
		ids = append(ids, fmt.Sprint(e.ID, " ", e.Value.Tag))
		if e.Value.Tag == asn1.TagSequence {
			ids = append(ids, elementIDsIn(t, e.Value.FullBytes)...)
		}
	}
	return ids
}
