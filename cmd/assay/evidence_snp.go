package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// hclMagic is what the container of Azure's paravisor begins with.
const hclMagic = "HCLA"

// maxRevocations bounds the lists that one call is given.
const maxRevocations = 8

// guestFlags are the flags about evidence of SEV-SNP, as they were given.
type guestFlags struct {
	chain  []byte // nil: none
	crls   [][]byte
	masked bool
}

// guestOnly are the flags that mean something to SEV-SNP only, and quoteOnly those that do not to it.
const (
	guestOnly = "chain crl allow-masked-chip-id"
	quoteOnly = "collateral collateral-expiry accept-status"
)

func (f *guestFlags) declare(c *call) {
	c.chainVar(&f.chain)
	c.Func("crl", "snp: apply AMD's revocation list in `FILE` (DER or PEM; may be repeated)", func(file string) error {
		if len(f.crls) == maxRevocations {
			return fmt.Errorf("at most %d lists are read", maxRevocations)
		}
		b, err := c.read(file)
		f.crls = append(f.crls, b)
		return err
	})
	c.BoolVar(&f.masked, "allow-masked-chip-id", false, "snp: accept a report that does not tell its chip")
}

// chainVar declares the flag for the certificates of a report of SEV-SNP.
func (c *call) chainVar(chain *[]byte) {
	c.fileVar(chain, "chain", "snp: the report's certificates, in `FILE`: PEM, the host's table (auxblob), or the JSON of Azure's metadata service")
}

// guestEvidence is evidence of SEV-SNP in any of the forms that files have: the bare report, the document that services take as report, the
// body of a request, or the container of Azure's paravisor.
type guestEvidence struct {
	*snp.Evidence
	report   []byte       // as the processor made it
	document []byte       // what a service takes; nil: it has to be made
	runtime  *runtimeData // came along; nil: none did
	bound    bool         // the container was checked to be of this runtime data
	initData []byte       // of a request; nil: none
}

// readGuest reads evidence of SEV-SNP. The certificates of chain, if any, are used in the place of those in b.
func readGuest(b, chain []byte) (*guestEvidence, error) {
	g, err := guestForm(b)
	if err != nil || chain == nil {
		return g, err
	}
	g.document = nil
	g.Chain, err = readChain(chain)
	return g, err
}

// guestForm tells the forms apart.
func guestForm(b []byte) (*guestEvidence, error) {
	switch trimmed := bytes.TrimSpace(b); {
	case bytes.HasPrefix(b, []byte(hclMagic)):
		return guestInContainer(b)
	case len(b) != snp.ReportSize && bytes.HasPrefix(trimmed, []byte("{")):
		return guestInJSON(trimmed)
	}
	return bareGuest(b)
}

func bareGuest(report []byte) (*guestEvidence, error) {
	r, err := snp.ParseReport(report)
	return &guestEvidence{Evidence: &snp.Evidence{Report: r}, report: report}, err
}

// guestInContainer takes a report out of the container, whose runtime data it vouches for.
func guestInContainer(b []byte) (*guestEvidence, error) {
	container, err := hcl.Parse(b)
	switch {
	case err != nil:
		return nil, err
	case container.Type != hcl.SNP:
		return nil, evidence.Refuse(evidence.HCLFormat, "the HCL report is not of a SEV-SNP guest").Want("report type 2", container.Type).
			Do("if it is 4, the machine is one of TDX: --type tdx")
	}
	g, err := bareGuest(container.Hardware)
	g.runtime, g.bound = &runtimeData{container.RuntimeData, true}, true
	return g, err
}

// guestInJSON reads the document with the report, or the body of a request with the document.
func guestInJSON(b []byte) (*guestEvidence, error) {
	var body struct {
		Report  string     `json:"report"`
		Runtime *givenData `json:"runtimedata"`
		Init    *givenData `json:"inittimedata"`
	}
	g := &guestEvidence{document: b}
	if err := strictjson.Folded(b, &body); err == nil && body.Report != "" {
		if g.document, err = b64.Decode(body.Report); err != nil {
			return nil, evidence.Refuse(evidence.SNPFormat, "the member report of the request cannot be decoded").Because(err).Do("send it in base64url")
		}
		if g.runtime, err = body.Runtime.read(); err != nil {
			return nil, err
		}
		if init, err := body.Init.read(); err != nil {
			return nil, err
		} else if init != nil {
			g.initData = init.bytes
		}
	}
	var err error
	if g.Evidence, err = snp.Parse(g.document); err != nil {
		return nil, err
	}
	g.report, err = reportOf(g.document)
	return g, err
}

// reportOf takes the bytes of the report out of a document that was read before.
func reportOf(document []byte) ([]byte, error) {
	var d struct {
		Report string `json:"snpreport"`
	}
	if err := strictjson.Folded(document, &d); err != nil {
		return nil, err
	}
	return b64.Decode(d.Report)
}

// givenData is runtime or init data in the body of a request.
type givenData struct {
	Data string `json:"data"`
	Type string `json:"datatype"`
}

func (d *givenData) read() (*runtimeData, error) {
	if d == nil || d.Data == "" {
		return nil, nil
	}
	b, err := b64.Decode(d.Data)
	if err != nil {
		return nil, evidence.Refuse(evidence.RuntimeData, "the data of the request cannot be decoded").Because(err).Do("send it in base64url")
	}
	return &runtimeData{b, strings.EqualFold(d.Type, "json")}, nil
}

// readChain reads certificates in each form that hosts give them in.
func readChain(b []byte) (*snp.Chain, error) {
	switch trimmed := bytes.TrimSpace(b); {
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN")):
		return snp.ParseChain(b)
	case bytes.HasPrefix(trimmed, []byte("{")):
		return azureChain(trimmed)
	}
	return snp.ParseTable(b)
}

// azureChain reads what Azure's metadata service answers (azure-guest.md section 1).
func azureChain(b []byte) (*snp.Chain, error) {
	var answer struct {
		Leaf  string `json:"vcekcert"`
		Chain string `json:"certificatechain"`
	}
	err := strictjson.Folded(b, &answer)
	if err == nil && answer.Leaf == "" {
		err = errors.New("it has no member vcekCert")
	}
	if err != nil {
		return nil, evidence.Refuse(evidence.SNPChain, "the file with the certificates is JSON, but not that of Azure's metadata service").Because(err).
			Do("give the answer of /metadata/THIM/amd/certification, or PEM")
	}
	return snp.ParseChain([]byte(answer.Leaf + "\n" + answer.Chain))
}

// member gives the evidence as a service takes it.
func (g *guestEvidence) member() ([]byte, error) {
	if g.document != nil {
		return g.document, nil
	}
	return attester.SNPDocument(g.report, g.Chain)
}

// verifyGuest verifies evidence of SEV-SNP.
func (in *appraisal) verifyGuest(r *evidenceReport) (*verifier.Subject, error) {
	g, err := readGuest(in.evidence, in.guest.chain)
	if err != nil {
		return nil, err
	}
	facts, err := in.guestFacts(g.Evidence, r)
	if err != nil {
		return nil, err
	}
	if err := in.bindGuest(g, &r.journal); err != nil {
		return nil, err
	}
	return verifier.OfGuest(facts, ""), nil
}

// guestFacts follows the certificates to a trusted root, and verifies the report.
func (in *appraisal) guestFacts(g *snp.Evidence, r *evidenceReport) (*snp.Verified, error) {
	r.ReportVersion = g.Report.Version
	roots, err := guestRoots(in.root)
	if err != nil {
		return nil, err
	}
	opt := snp.Options{At: in.options.At, AllowMaskedChipID: in.guest.masked, Journal: &r.journal}
	for _, b := range in.guest.crls {
		list, err := roots.CRL(b)
		if err != nil {
			return nil, r.journal.Fail(err.(*evidence.Refusal)) //nolint:errorlint // as documented
		}
		opt.Revocations = append(opt.Revocations, list)
	}
	if g.Chain == nil {
		return nil, evidence.Refuse(evidence.SNPChain, "no certificates came with the report").Want("VCEK or VLEK, ASK and ARK", "none").
			Do("give them with --chain")
	}
	signer, err := roots.Trace(g.Chain, opt)
	if err != nil {
		return nil, err
	}
	r.TrustAnchor = signer.Anchor.String()
	facts, err := snp.Verify(g.Report, signer, opt)
	if err != nil {
		return nil, err
	}
	r.learnGuest(facts)
	if len(g.UVM) > 0 {
		r.journal.Skip(evidence.UVMEndorsement, "no issuer is known here: the service has those of its setting snp_uvm_issuers")
	}
	return facts, nil
}

// guestRoots are AMD's roots, or those in a file: PEM, or the DER of one.
func guestRoots(b []byte) (snp.Roots, error) {
	if b == nil {
		return snp.AMDRoots(), nil
	}
	var certificates [][]byte
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificates = append(certificates, block.Bytes)
	}
	if len(certificates) == 0 {
		certificates = [][]byte{b}
	}
	return snp.NewRoots(certificates...)
}

// bindGuest checks what the report has to vouch for: the runtime data that is given, or else that which came along, and the init data of a request.
func (in *appraisal) bindGuest(g *guestEvidence, j *evidence.Journal) error {
	if in.runtime.bytes == nil && g.runtime != nil {
		in.runtime = *g.runtime
	} else {
		g.bound = false
	}
	if g.bound {
		j.Pass(evidence.RuntimeData, hex.EncodeToString(g.Report.ReportData[:]))
	} else if err := in.runtime.bound("guest", g.Report.ReportData, true, j); err != nil {
		return err
	}
	if g.initData == nil {
		return nil
	}
	if sum := sha256.Sum256(g.initData); sum != g.Report.HostData {
		return j.Fail(evidence.Refuse(evidence.InitData, "the init data of the request does not hash to HOST_DATA").
			Want(hex.EncodeToString(sum[:]), hex.EncodeToString(g.Report.HostData[:])).Do("send the very bytes whose SHA-256 the guest was launched with as host data"))
	}
	j.Pass(evidence.InitData, hex.EncodeToString(g.Report.HostData[:]))
	return nil
}

// learnGuest takes over the facts about a guest whose report holds.
func (r *evidenceReport) learnGuest(v *snp.Verified) {
	r.Product, r.SigningKey, r.Provider = string(v.Signer.Product), v.Signer.Kind.String(), v.Signer.CSPID
	r.TCB, r.Until = v.Signer.TCB.String(), stamp(v.Signer.NotAfter())
	r.Claims = v.Claims()
}

// guestSaid is what a report says of itself.
func guestSaid(g *guestEvidence) []said {
	r := g.Report
	list := []said{
		{"reportVersion", "report version", int64(r.Version)},
		{"measurement", "launch measurement", hex.EncodeToString(r.Measurement[:])},
		{"policy", "guest policy", fmt.Sprintf("%#x", r.Policy)},
		{"debuggable", "debuggable", r.Debug()},
		{"migratable", "migratable", r.Migratable()},
		{"vmpl", "VMPL", int64(r.VMPL)},
		{"guestSvn", "guest SVN", int64(r.GuestSVN)},
		{"hostData", "host data", hex.EncodeToString(r.HostData[:])},
		{"idKeyDigest", "ID key digest", hex.EncodeToString(r.IDKeyDigest[:])},
		{"chipId", "chip id", hex.EncodeToString(r.ChipID[:])},
		{"reportedTcb", "reported TCB", hex.EncodeToString(r.ReportedTCB[:])},
		{"signingKey", "signing key", r.SigningKey.String()},
		{"reportData", "report data", hex.EncodeToString(r.ReportData[:])},
		{"certificates", "certificates", int64(certificatesIn(g.Chain))},
	}
	if g.bound {
		list = append(list, saidRuntime(g.runtime.bytes)...)
	}
	return list
}

// saidRuntime tells the runtime data in a container, whose hash the report data begins with.
func saidRuntime(b []byte) []said {
	return []said{{"runtimeDataBound", "runtime data fits", true}, {"runtimeData", "runtime data", b64.URL(b)}}
}

func certificatesIn(c *snp.Chain) int {
	if c == nil {
		return 0
	}
	return 1 + len(c.Others)
}
