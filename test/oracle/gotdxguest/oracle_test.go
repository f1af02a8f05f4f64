// Package gotdxguest holds our verifier of TDX quotes against go-tdx-guest: on the vectors, and on mutations of them.
package gotdxguest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
	pb "github.com/google/go-tdx-guest/proto/tdx"
	"github.com/google/go-tdx-guest/verify"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// expiry is the policy of a case as our verifier has it.
func expiry(policy string) dcap.Options {
	return dcap.Options{WithoutCRLs: policy == "no-crl", Expiry: map[string]dcap.Expiry{"pinned": dcap.Pinned, "ignore-collateral-dates": dcap.Ignore}[policy]}
}

// ours verifies as the service does, with each file of the folder as it is.
func ours(c *vectortest.DCAPCase) (*tdx.Verified, error) {
	roots := dcap.IntelRoots()
	if c.Root != nil {
		var err error
		if roots, err = dcap.NewRoots(c.Root); err != nil {
			return nil, err
		}
	}
	e, err := tdx.Parse(c.Quote)
	if err != nil {
		return nil, err
	}
	verifier := dcap.NewVerifier(roots)
	o, err := verifier.Trace(e.Quote, c.Now, nil)
	if err != nil {
		return nil, err
	}
	in := dcap.Input{Options: expiry(c.Policy)}
	in.Options.At = c.Now
	if in.Collateral, err = load(verifier, o, c.Files); err != nil {
		return nil, err
	}
	return tdx.Verify(verifier, o, e, in)
}

// load verifies the documents that are there; what is missing is left to Verify.
func load(v *dcap.Verifier, o *dcap.Origin, files map[string][]byte) (c dcap.Collateral, err error) {
	if b := files["root_ca_crl.der"]; b != nil {
		c.RootCRL, err = v.RootCRL(b, o.Anchor())
	}
	if b := files["pck_crl.der"]; b != nil && err == nil {
		c.PCKCRL, err = v.PCKCRL(b, o.CA())
	}
	if b, chain := files["tcb_info.json"], files["tcb_info_issuer_chain.pem"]; b != nil && chain != nil && err == nil {
		c.TCBInfo, err = v.TCBInfo(b, chain)
	}
	if b, chain := files["qe_identity.json"], files["qe_identity_issuer_chain.pem"]; b != nil && chain != nil && err == nil {
		c.QEIdentity, err = v.QEIdentity(b, chain)
	}
	return c, err
}

// folder answers for Intel's service out of the files of a case, as a Getter of the library.
type folder map[string][]byte

func (f folder) Get(address string) (map[string][]string, []byte, error) {
	file, chain, header := "root_ca_crl.der", "", ""
	switch {
	case strings.Contains(address, "/pckcrl?"): // of its chain the library looks at dates only, and not every folder has it
		file, chain, header = "pck_crl.der", "tcb_info_issuer_chain.pem", pcs.SgxPckCrlIssuerChainPhrase
	case strings.Contains(address, "/tcb?"):
		file, chain, header = "tcb_info.json", "tcb_info_issuer_chain.pem", pcs.TcbInfoIssuerChainPhrase
	case strings.Contains(address, "/qe/identity"):
		file, chain, header = "qe_identity.json", "qe_identity_issuer_chain.pem", pcs.SgxQeIdentityIssuerChainPhrase
	}
	if f[file] == nil || chain != "" && f[chain] == nil {
		return nil, nil, errors.New("not in the folder")
	}
	return map[string][]string{header: {url.QueryEscape(string(f[chain]))}}, f[file], nil
}

// times are those at which the library judges what: the policies are told by them.
func times(c *vectortest.DCAPCase) *verify.TimeSet {
	at := &verify.TimeSet{PckCertChain: c.Now, TcbInfo: c.Now, QeIdentity: c.Now, PckCrl: c.Now, RootCaCrl: c.Now}
	if c.Policy == "strict" || c.Policy == "no-crl" {
		return at
	}
	type dates struct{ IssueDate time.Time }
	var info struct{ TCBInfo dates }
	var identity struct{ EnclaveIdentity dates }
	if json.Unmarshal(c.Files["tcb_info.json"], &info) == nil && json.Unmarshal(c.Files["qe_identity.json"], &identity) == nil {
		at.TcbInfo, at.QeIdentity = info.TCBInfo.IssueDate, identity.EnclaveIdentity.IssueDate
	}
	for file, to := range map[string]*time.Time{"pck_crl.der": &at.PckCrl, "root_ca_crl.der": &at.RootCaCrl} {
		if crl, err := x509.ParseRevocationList(c.Files[file]); err == nil && c.Policy == "ignore-collateral-dates" {
			*to = crl.ThisUpdate
		}
	}
	return at
}

// errPanic is in the error if the library has panicked, which would end a service.
var errPanic = errors.New("they panic")

// theirs gives the quote as the library reads it, and what it says about it.
func theirs(c *vectortest.DCAPCase) (quote any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	if quote, err = abi.QuoteToProto(c.Quote); err != nil {
		return nil, err
	}
	opt := &verify.Options{CheckRevocations: c.Policy != "no-crl", GetCollateral: true, Getter: folder(c.Files), Now: times(c)}
	if c.Root != nil {
		root := c.Root
		if block, _ := pem.Decode(root); block != nil {
			root = block.Bytes
		}
		cert, err := x509.ParseCertificate(root)
		if err != nil {
			return nil, err
		}
		opt.TrustedRoots = x509.NewCertPool()
		opt.TrustedRoots.AddCert(cert)
	}
	return quote, verify.TdxQuote(quote, opt)
}

// diff tells how the verifiers differ. The library refuses every status but UpToDate; ours tells the status, and the service refuses.
func diff(c *vectortest.DCAPCase) string {
	v, err := ours(c)
	quote, err2 := theirs(c)
	if errors.Is(err2, errPanic) {
		return fmt.Sprintf("%s; we: %v", err2, err)
	}
	if err != nil || v.Status == dcap.UpToDate {
		if diff := compare.Verdicts(err, err2); diff != "" || err != nil {
			return diff
		}
		return fields(&v.Report, quote)
	}
	switch {
	case err2 == nil:
		return fmt.Sprintf("they take it, we find it %s: platform %s, QE %s, module %q", v.Status, v.Platform, v.QE, v.TDXModule)
	case isStatus(err2):
		return ""
	}
	return fmt.Sprintf("we find it %s, they refuse it: %s", v.Status, err2)
}

func isStatus(err error) bool {
	return regexp.MustCompile("TCB Status is not|it is now OutOfDate").MatchString(err.Error())
}

// body is a TD report as the library has it, of either version.
type body interface {
	GetTeeTcbSvn() []byte
	GetMrSeam() []byte
	GetMrSignerSeam() []byte
	GetSeamAttributes() []byte
	GetTdAttributes() []byte
	GetXfam() []byte
	GetMrTd() []byte
	GetMrConfigId() []byte
	GetMrOwner() []byte
	GetMrOwnerConfig() []byte
	GetRtmrs() [][]byte
	GetReportData() []byte
}

// fields compares what both read.
func fields(r *dcap.TDReport, quote any) string {
	var b body
	switch q := quote.(type) {
	case *pb.QuoteV4:
		b = q.GetTdQuoteBody()
	case *pb.QuoteV5:
		v5 := q.GetTdQuoteBodyDescriptor().GetTdQuoteBodyV5()
		if svn := v5.GetTeeTcbSvn2(); svn != nil && !bytes.Equal(svn, r.TEETCBSVN2[:]) {
			return "they read another TEE_TCB_SVN_2"
		}
		b = v5
	}
	if len(b.GetRtmrs()) != len(r.RTMR) {
		return "they read another number of RTMRs"
	}
	for i, pair := range [][2][]byte{
		{r.TEETCBSVN[:], b.GetTeeTcbSvn()}, {r.MRSEAM[:], b.GetMrSeam()}, {r.MRSIGNERSEAM[:], b.GetMrSignerSeam()},
		{r.SEAMAttributes[:], b.GetSeamAttributes()}, {r.TDAttributes[:], b.GetTdAttributes()}, {r.XFAM[:], b.GetXfam()}, {r.MRTD[:], b.GetMrTd()},
		{r.MRCONFIGID[:], b.GetMrConfigId()}, {r.MROWNER[:], b.GetMrOwner()}, {r.MROWNERCONFIG[:], b.GetMrOwnerConfig()}, {r.RTMR[0][:], b.GetRtmrs()[0]},
		{r.RTMR[1][:], b.GetRtmrs()[1]}, {r.RTMR[2][:], b.GetRtmrs()[2]}, {r.RTMR[3][:], b.GetRtmrs()[3]}, {r.ReportData[:], b.GetReportData()},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			return fmt.Sprintf("they read another field %d of the TD report", i)
		}
	}
	return ""
}

// cases are all of TDX. Those that trust Intel's root get its certificate, for both verifiers: the library wants more than the key.
func cases(t *testing.T) []vectortest.DCAPCase {
	t.Helper()
	all := vectortest.DCAPCases(t, "tdx")
	for i, c := range all {
		_, root, _ := bytes.Cut(c.Files["tcb_info_issuer_chain.pem"], []byte("-----END CERTIFICATE-----\n"))
		if block, _ := pem.Decode(root); c.Root == nil && block != nil && isIntels(block.Bytes) {
			all[i].Root = root
		}
	}
	return all
}

// isIntels reports whether der is a certificate of the pinned key.
func isIntels(der []byte) bool {
	cert, err := x509.ParseCertificate(der)
	return err == nil && dcap.IntelRoots().Trusts(sha256.Sum256(cert.RawSubjectPublicKeyInfo))
}

func TestVectorsAreVerifiedAlike(t *testing.T) {
	tally := compare.NewTally(classes())
	for _, c := range cases(t) {
		diff := diff(&c)
		if why := tally.Add(t, c.Name, diff); why != "" {
			t.Logf("%s: %s: %s", c.Name, diff, why)
		}
	}
}

// classes are the differences. Why cites sgx-tdx.md.
func classes() []compare.Class {
	return []compare.Class{
		{Pattern: `^they take it, we find it [A-Za-z]+: platform [A-Za-z]+, QE UpToDate, module "UpToDate"$`,
			Why: "we are right: platform, QE and module converge (section 8). They tell the status of the module alone: section 12, row 3"},
		{Pattern: `^they take it, we find it [A-Za-z]+: platform [A-Za-z]+, QE (OutOfDate, .*|UpToDate, module "(OutOfDate)?")$`,
			Why: "we are right: the highest level that is met counts, wherever it stands (section 8); they take the first one, Intel's documents being sorted"},
		{Pattern: "^they panic: .*; we: quote-format: ", Why: "we are right: lengths are looked at before they are used (section 2.7; section 12, row 15)"},
		{Pattern: "^only they take it: quote-format: .* QE vendor id", Why: "we are right: there is one vendor (section 2.1)"},
		{Pattern: "^only they take it: (crl|tcbinfo|qeidentity)-not-yet-valid", Why: "we are right: what is issued in the future is refused (section 9.1); they look at the ends of validity only"},
		{Pattern: "^only they take it: (tcb-signing-chain|pck-chain): .* is a CA$", Why: "we are right: leaves are no CAs (section 4.1; section 12, row 11)"},
		{Pattern: "^only they take it: (tcbinfo|qeidentity)-format: .* breaks its schema", Why: "we are right: signed documents have all their members, in their types and words (sections 5.2, 5.3); they look at those that they use"},
		{Pattern: "^only they take it: tdx-module: |(only we take it|they refuse it): MRSIGNERSEAM value from TD Quote Body",
			Why: "we are right: from module version 1 on the identity of the module counts (section 7 step 6); they compare the member tdxModule"},
		{Pattern: "^only they take it: tcb-not-supported: ", Why: "we are right: TEE_TCB_SVN_2 is judged too, and fails the quote (section 8); they do not look at it"},
		{Pattern: "^only they take it: pck-format: ", Why: "we are right: each component has its own place (section 4.3)"},
		{Pattern: `(only we take it|they refuse it): .*"Intel SGX PCK Processor CA" is not expected`, Why: "we are right: there are two CAs of PCK certificates (section 4.1); they know one"},
		{Pattern: "(only we take it|they refuse it): AttributesMask value", Why: "both: bits of Intel's value outside Intel's mask say nothing, and there are none (section 5.3)"},
		{Pattern: `^only we take it: QE Identity .* found "ConfigurationNeeded"$`, Why: "both: the word has no effect with Intel and with us (section 5.3); they refuse every word but UpToDate"},
		{Pattern: "(only we take it|they refuse it): unable to receive .*(invalid character '.x00' after|could not parse PEM formatted root certificate)",
			Why: "we are right: collateral comes as C strings; zeros at the end are padding (section 10.2)"},
	}
}
