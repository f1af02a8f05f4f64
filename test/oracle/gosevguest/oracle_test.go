// Package gosevguest holds our verifier of SEV-SNP reports against go-sev-guest: on the vectors, and on mutations of them.
package gosevguest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/validate"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// input is what both verifiers get: a report, the text of its chain, and the root that is trusted. The library has copies of the authorities
// below the root, as it always has; own ones may be given to our verifier too.
type input struct {
	name          string
	report, chain []byte
	product       string
	ark, ask, own []byte // own: ask or asvk for our verifier; nil: it has none
	asvk, crl     []byte
	at            time.Time
}

// ours verifies as the service does.
func (in *input) ours() (*snp.Verified, error) {
	report, err := snp.ParseReport(in.report)
	if err != nil {
		return nil, err
	}
	chain, err := snp.ParseChain(in.chain)
	if err != nil {
		return nil, err
	}
	roots, err := snp.NewRoots(in.trusted()...)
	if err != nil {
		return nil, err
	}
	opt := snp.Options{At: in.at}
	if in.crl != nil {
		crl, err := roots.CRL(in.crl)
		if err != nil {
			return nil, err
		}
		opt.Revocations = []*snp.CRL{crl}
	}
	signer, err := roots.Trace(chain, opt)
	if err != nil {
		return nil, err
	}
	return snp.Verify(report, signer, opt)
}

func (in *input) trusted() [][]byte {
	if in.own == nil {
		return [][]byte{in.ark}
	}
	return [][]byte{in.ark, in.own}
}

// noNetwork refuses whatever the library would fetch.
type noNetwork struct{}

func (noNetwork) Get(string) ([]byte, error) { return nil, errors.New("there is no network") }

// attestation gives the library the report and the first certificate of the text, which it takes for the key that the report names.
func (in *input) attestation() (*spb.Attestation, error) {
	report, err := abi.ReportToProto(in.report)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(in.chain)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return &spb.Attestation{Report: report, CertificateChain: &spb.CertificateChain{VcekCert: block.Bytes, VlekCert: block.Bytes}}, nil
}

// verify is what verify.SnpAttestation says: chain and signature.
func (in *input) verify(a *spb.Attestation) error {
	root := &trust.AMDRootCerts{ProductLine: in.product, ProductCerts: &trust.ProductCerts{}}
	var err [4]error
	root.ProductCerts.Ark, err[0] = x509.ParseCertificate(in.ark)
	root.ProductCerts.Ask, err[1] = x509.ParseCertificate(in.ask)
	if in.asvk != nil {
		root.ProductCerts.Asvk, err[2] = x509.ParseCertificate(in.asvk)
	}
	if in.crl != nil {
		root.CRL, err[3] = x509.ParseRevocationList(in.crl)
	}
	if err := errors.Join(err[:]...); err != nil {
		return err
	}
	return verify.SnpAttestation(a, &verify.Options{
		TrustedRoots: map[string][]*trust.AMDRootCerts{in.product: {root}}, DisableCertFetching: true, Now: in.at,
		CheckRevocations: in.crl != nil, Getter: noNetwork{},
	})
}

// theirs verifies and validates: chip id, TCB and versions are in validate. Every policy is allowed, since what is acceptable is not compared.
func (in *input) theirs() (*spb.Report, error) {
	a, err := in.attestation()
	if err != nil {
		return nil, err
	}
	if err := in.verify(a); err != nil {
		return nil, err
	}
	return a.Report, validate.SnpAttestation(a, &validate.Options{
		GuestPolicy:               abi.SnpPolicy{SMT: true, MigrateMA: true, Debug: true, CXLAllowed: true},
		PermitProvisionalFirmware: true,
	})
}

// Differences that are found by trying again.
const (
	itsOwnASK = "they look at no authority that is sent"     // not there if our verifier too has the authority, and sees nothing but the leaf
	rewritten = "the report that they write anew is another" // not there if the library is given the bytes
)

// diff tells how the verifiers differ.
func (in *input) diff() string {
	diff := in.diffAsItIs()
	block, _ := pem.Decode(in.chain)
	switch {
	case block == nil:
	case strings.HasPrefix(diff, "only they") && in.alone(block.Bytes).diffAsItIs() == "":
		return itsOwnASK + ": " + diff
	case strings.HasPrefix(diff, "only we take it: report signature"):
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil && verify.SnpReportSignature(in.report, leaf) == nil {
			return rewritten + ": " + diff
		}
	}
	return diff
}

// alone is the input with nothing but the leaf, and the authorities that the library has.
func (in *input) alone(leaf []byte) *input {
	out := *in
	out.chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})
	if out.own = in.ask; bytes.Contains(leaf, []byte("SEV-VLEK")) {
		out.own = in.asvk
	}
	return &out
}

func (in *input) diffAsItIs() string {
	v, err := in.ours()
	report, err2 := in.theirs()
	if diff := compare.Verdicts(err, err2); diff != "" || err != nil {
		return diff
	}
	return fields(v.Report, report)
}

// fields compares what both read.
func fields(r *snp.Report, theirs *spb.Report) string {
	flags := uint32(r.SigningKey) << 2
	if r.AuthorKeyEn {
		flags |= 1
	}
	if r.MaskChipKey {
		flags |= 2
	}
	for name, pair := range map[string][2]uint64{
		"version": {uint64(r.Version), uint64(theirs.Version)}, "guest SVN": {uint64(r.GuestSVN), uint64(theirs.GuestSvn)}, "policy": {r.Policy, theirs.Policy},
		"VMPL": {uint64(r.VMPL), uint64(theirs.Vmpl)}, "platform info": {r.PlatformInfo, theirs.PlatformInfo}, "key flags": {uint64(flags), uint64(theirs.SignerInfo)},
		"current TCB": {number(r.CurrentTCB), theirs.CurrentTcb}, "reported TCB": {number(r.ReportedTCB), theirs.ReportedTcb},
		"committed TCB": {number(r.CommittedTCB), theirs.CommittedTcb}, "launch TCB": {number(r.LaunchTCB), theirs.LaunchTcb},
		"launch vector": {r.LaunchMitVector, theirs.LaunchMitVector}, "current vector": {r.CurrentMitVector, theirs.CurrentMitVector},
	} {
		if pair[0] != pair[1] {
			return "they read another " + name
		}
	}
	for name, pair := range map[string][2][]byte{
		"family id": {r.FamilyID[:], theirs.FamilyId}, "image id": {r.ImageID[:], theirs.ImageId}, "report data": {r.ReportData[:], theirs.ReportData},
		"measurement": {r.Measurement[:], theirs.Measurement}, "host data": {r.HostData[:], theirs.HostData}, "id key": {r.IDKeyDigest[:], theirs.IdKeyDigest},
		"author key": {r.AuthorKeyDigest[:], theirs.AuthorKeyDigest}, "report id": {r.ReportID[:], theirs.ReportId},
		"agent's report id": {r.ReportIDMA[:], theirs.ReportIdMa}, "chip id": {r.ChipID[:], theirs.ChipId},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			return "they read another " + name
		}
	}
	return ""
}

// vector is a case of vectors/snp/real.json and synthetic.json.
type vector struct {
	ID, Report, Chain, Root, CRL, Expect string
	At                                   time.Time
	Recorded                             string `json:"go_sev_guest_0.15.0_verify"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	var all []vector
	for _, index := range []string{"snp/real.json", "snp/synthetic.json"} {
		var list []vector
		vectortest.ReadJSON(t, index, &list)
		all = append(all, list...)
	}
	if len(all) == 0 {
		vectortest.NoCase(t, "case of SEV-SNP")
	}
	return all
}

func read(t *testing.T, rel string) []byte {
	t.Helper()
	return vectortest.Read(t, "snp/"+rel)
}

// input reads the files of the case. The authorities that the library has lie beside the root.
func (c vector) input(t *testing.T) *input {
	t.Helper()
	in := &input{name: c.ID, report: read(t, c.Report), chain: read(t, c.Chain), ark: read(t, c.Root), ask: read(t, strings.Replace(c.Root, "ark-", "ask-", 1)), at: c.At}
	root, err := x509.ParseCertificate(in.ark)
	if err != nil {
		t.Fatal(err)
	}
	in.product = strings.TrimPrefix(root.Subject.CommonName, "ARK-")
	asvk := strings.Replace(c.Root, "ark-", "asvk-", 1)
	if b, err := os.ReadFile(filepath.Join(vectortest.Path(t, "snp"), asvk)); err == nil {
		in.asvk = b
	}
	if c.CRL != "" {
		in.crl = read(t, c.CRL)
	}
	return in
}

func TestVectorsAreVerifiedAlike(t *testing.T) {
	tally := compare.NewTally(append(vectorClasses(), classes()...))
	for _, c := range vectors(t) {
		diff := c.input(t).diff()
		if why := tally.Add(t, c.ID, diff); why != "" {
			t.Logf("%s: %s: %s", c.ID, diff, why)
		}
	}
}

// The index says what verify.SnpAttestation alone does with each synthetic case. It leaves chip id, TCB and report data to others, and no
// revocation was asked of it.
func TestTheLibraryDoesWithVectorsWhatTheIndexSays(t *testing.T) {
	for _, c := range vectors(t) {
		if c.Recorded == "" {
			continue
		}
		in, got := c.input(t), "accept"
		in.crl = nil
		if a, err := in.attestation(); err != nil {
			got = "parse: " + err.Error()
		} else if err := in.verify(a); err != nil {
			got = err.Error()
		}
		want, _, _ := strings.Cut(c.Recorded, " Last error") // which differs with the other roots that it had
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", c.ID, got, c.Recorded)
		}
	}
}

// classes are the differences that mutations show. Why cites sev-snp.md.
func classes() []compare.Class {
	return []compare.Class{
		{Pattern: "only they take it: snp-chain: .* cannot be read: (expected a PEM certificate|the PEM is damaged)", Why: "we are right: a chain is PEM and white space; encoding/pem looks for the next block in anything"},
		{Pattern: "only they take it: snp-chain: .* more than one VCEK or VLEK", Why: "we are right: nobody says which one is meant (section 3 step 2)"},
		{Pattern: "^" + itsOwnASK, Why: "both: they take a copy of ASK or ASVK of their own, as our service does; nothing is believed of one that is sent unless the ARK signed it (section 2)"},
		{Pattern: "^only they take it: snp-format: the report has the wrong length", Why: "we are right: exactly 1184 bytes (section 3 step 1); they cut off the rest"},
		{Pattern: "^only they take it: snp-format: the report has mitigation vectors", Why: "we are right: zero before version 5 (section 1)"},
		{Pattern: "^only they take it: snp-format: there is no such VMPL", Why: "we are right: 0 to 3, or FFFFFFFF for the host (section 1)"},
		{Pattern: "^only they take it: snp-chip-id: the report does not tell its chip", Why: "we are right: a masked chip id is taken only if the setting says so (section 3 step 6); they take zeros for any chip"},
		{Pattern: "^only they take it: snp-product: the (VCEK|VLEK) is of another product", Why: "we are right: products of leaf, ASK, ARK and CPUID agree (section 3 step 3); they leave the name in the extension out if there is a CPUID"},
		{Pattern: "^only they take it: snp-product: the processor of the report is not known: .* family 0x0, model 0x0", Why: "we are right: reports have a CPUID from version 3 on (section 1); they take zeros for a report without one"},
		{Pattern: "^only they take it: snp-certificate: .*(structure version|does not name its product)", Why: "we are right: extensions are in the forms that AMD issues (section 2)"},
		{Pattern: "^only we take it: not an AMD KDS OID", Why: "we are right: an extension that is not critical and not known means nothing; Turin's FMC was one"},
		{Pattern: "^only we take it: no extension for field Spl[4-7]", Why: "we are right: spare levels may be missing, as 3.4 is on Turin (section 2); a missing one counts as 0"},
		{Pattern: "^only we take it: V[CL]EK subject organization", Why: "both: the ASK signs nothing but keys of AMD's; the common name tells which (section 2)"},
		{Pattern: "^" + rewritten, Why: "we are right: the signed bytes count (section 3 step 5). They write the report anew from what they have read; a stepping above 15 is lost"},
		{Pattern: "^only we take it: committed (build number|API version)", Why: "both: TCB versions are ordered (section 3 step 7); builds are no part of them, and nothing is claimed of them"},
		{Pattern: "^only we take it: V[CL]EK could not be verified by any trusted roots. Last error: <nil>", Why: "we are right: a product has ranges of models (section 1); they know one model of each"},
		{Pattern: "^only we take it: unknown (product name|AMD SEV product)", Why: "we are right: the prefix counts (section 2); they have a list of steppings"},
		{Pattern: "^only we take it: V[CL]EK certificate public key type is RSA", Why: "we are right: zeros behind a certificate are those of a C string; encoding/pem passes over such a block"},
	}
}

// vectorClasses are differences that no mutation shows.
func vectorClasses() []compare.Class {
	return []compare.Class{
		{Pattern: "^only we take it: not an AMD KDS OID: 1.3.6.1.4.1.3704.1.3.9$", Why: "we are right: it is Turin's FMC (section 2)"},
	}
}
