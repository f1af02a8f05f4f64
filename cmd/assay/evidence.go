package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// appraisal is all that one verification of evidence is given, read and checked for sense.
type appraisal struct {
	kind     evidence.Type
	evidence []byte
	root     []byte            // the certificates to trust in the place of the maker's; nil: the maker's
	guest    guestFlags        // of SEV-SNP
	vtpm     vtpmFlags         // of Azure guests
	sets     []*collateral.Set // of SGX and TDX: one is used as it is, of several the one for the platform
	options  dcap.Options
	accept   []string // statuses that are good enough; empty: status does not decide
	runtime  runtimeData
}

// runEvidenceVerify verifies evidence against the collateral it is given (native.md section 1.3).
func runEvidenceVerify(_ context.Context, c *call) error {
	in, err := readAppraisal(c)
	if err != nil {
		return err
	}
	report := &evidenceReport{Type: in.kind}
	_, err = in.verify(report)
	report.finish(err)
	return c.tell(report, err)
}

// readAppraisal reads the flags of evidence verify and the files they name.
func readAppraisal(c *call) (*appraisal, error) {
	in := &appraisal{}
	c.typeVar(&in.kind)
	bundle := in.flags(c)
	pos, err := c.parse("FILE", "--type")
	if err != nil {
		return nil, err
	}
	if err := in.consistent(c); err != nil {
		return nil, err
	}
	return in, in.read(c, pos[0], *bundle)
}

// consistent refuses flags that mean nothing to the type of the evidence, and asks for the collateral that all but SEV-SNP needs.
func (in *appraisal) consistent(c *call) error {
	if in.kind == evidence.AzureGuest { // of which hardware it is, only the evidence says
		return c.onlyFor("sgx, openenclave, snp and tdx: the evidence of an Azure guest brings its own", "runtime-data", "runtime-type")
	}
	if err := c.onlyFor("azureguest", strings.Fields(vtpmOnly)...); err != nil {
		return err
	}
	if in.kind == evidence.SevSnpVM {
		return c.onlyFor("sgx, openenclave and tdx", strings.Fields(quoteOnly)...)
	}
	if err := c.onlyFor("snp", strings.Fields(guestOnly)...); err != nil {
		return err
	}
	if !c.isSet("collateral") {
		return usage("--collateral is missing")
	}
	return nil
}

// flags declares the flags that say how evidence is judged, and returns the value of the one for the collateral.
func (in *appraisal) flags(c *call) *string {
	c.fileVar(&in.root, "trust-root", "trust the certificate in `FILE` (PEM or DER) instead of Intel's or AMD's root")
	c.timeVar(&in.options.At)
	c.runtimeVar(&in.runtime)
	in.guest.declare(c)
	in.vtpm.declare(c)
	c.Func("collateral-expiry", "`WHICH` dates of the collateral count: enforce, pinned or ignore (default enforce)", in.setExpiry)
	c.Func("accept-status", "refuse every TCB status that is not in this comma-separated `LIST`", in.setAccept)
	return c.String("collateral", "", "`BUNDLE` to judge by: a folder, used as it is, or a .tar.gz")
}

// read reads the evidence and the collateral.
func (in *appraisal) read(c *call, file, bundle string) (err error) {
	if in.evidence, err = c.read(file); err != nil {
		return err
	}
	hardware := in.hardware()
	switch hardware {
	case "": // nothing to trust
	case evidence.SevSnpVM:
		_, err = guestRoots(in.root)
	default:
		_, err = quoteRoots(in.root)
	}
	if err != nil {
		return badFile(fmt.Errorf("--trust-root: %w", err))
	}
	switch {
	case hardware == evidence.SevSnpVM, hardware == "":
		return nil
	case bundle == "":
		return usage("--collateral is missing")
	}
	in.sets, err = readCollateral(bundle)
	return err
}

// hardware is the type whose maker is to be trusted; of an Azure guest that of its hardware report, empty if there is none to be read.
func (in *appraisal) hardware() evidence.Type {
	if in.kind == evidence.AzureGuest {
		return hardwareOf(in.evidence)
	}
	return in.kind
}

// quoteRoots are Intel's roots, or the one in a file.
func quoteRoots(b []byte) (dcap.Roots, error) {
	if b == nil {
		return dcap.IntelRoots(), nil
	}
	return dcap.NewRoots(b)
}

func (in *appraisal) setExpiry(s string) error {
	values := map[string]dcap.Expiry{"enforce": dcap.Enforce, "pinned": dcap.Pinned, "ignore": dcap.Ignore}
	value, ok := values[s]
	if !ok {
		return errors.New("expected enforce, pinned or ignore")
	}
	in.options.Expiry = value
	return nil
}

// setAccept reads the list of accepted TCB statuses. A misspelt one would refuse good evidence, or seem to.
func (in *appraisal) setAccept(text string) error {
	known := []dcap.Status{dcap.UpToDate, dcap.SWHardeningNeeded, dcap.ConfigurationNeeded,
		dcap.ConfigurationAndSWHardeningNeeded, dcap.OutOfDate, dcap.OutOfDateConfigurationNeeded, dcap.RevokedTCB}
	in.accept = strings.Split(text, ",")
	for _, status := range in.accept {
		if !slices.Contains(known, dcap.Status(status)) {
			return fmt.Errorf("%q is none of %s", status, list(known))
		}
	}
	return nil
}

// verify climbs from the bytes to verified facts and notes in r what it learns. The error is the refusal.
func (in *appraisal) verify(r *evidenceReport) (*verifier.Subject, error) {
	switch in.kind {
	case evidence.SevSnpVM:
		return in.verifyGuest(r)
	case evidence.TdxVM:
		return in.verifyDomain(r)
	case evidence.AzureGuest:
		return in.verifyAzureGuest(r)
	}
	return in.verifyEnclave(r)
}

func (in *appraisal) verifyEnclave(r *evidenceReport) (*verifier.Subject, error) {
	e, err := parseEnclave(in.kind, in.evidence)
	if err != nil {
		return nil, err
	}
	v, origin, endorsed, err := in.endorse(e.Quote, r)
	if err != nil {
		return nil, err
	}
	facts, err := sgx.Verify(v, origin, e, endorsed)
	if err != nil {
		return nil, err
	}
	r.learn(facts.Verified, facts.Claims())
	if err := in.runtime.bound("enclave", facts.Report.ReportData, false, &r.journal); err != nil {
		return nil, err
	}
	return verifier.OfEnclave(facts), in.acceptable(facts.Verified, &r.journal)
}

func (in *appraisal) verifyDomain(r *evidenceReport) (*verifier.Subject, error) {
	e, err := parseDomain(in.evidence)
	if err != nil {
		return nil, err
	}
	facts, err := in.domainFacts(e, r)
	if err != nil {
		return nil, err
	}
	if err := in.runtime.bound("guest", facts.Report.ReportData, false, &r.journal); err != nil {
		return nil, err
	}
	return verifier.OfDomain(facts), in.acceptable(facts.Verified, &r.journal)
}

// domainFacts follows a quote to a trusted root, and verifies it against the collateral.
func (in *appraisal) domainFacts(e *tdx.Evidence, r *evidenceReport) (*tdx.Verified, error) {
	v, origin, endorsed, err := in.endorse(e.Quote, r)
	if err != nil {
		return nil, err
	}
	facts, err := tdx.Verify(v, origin, e, endorsed)
	if err == nil {
		r.learn(facts.Verified, facts.Claims())
	}
	return facts, err
}

// endorse follows a quote to a trusted root, and finds the collateral to judge it by.
func (in *appraisal) endorse(q *dcap.Quote, r *evidenceReport) (*dcap.Verifier, *dcap.Origin, dcap.Input, error) {
	r.QuoteVersion = q.Version
	none := dcap.Input{}
	roots, err := quoteRoots(in.root)
	if err != nil {
		return nil, nil, none, err
	}
	v := dcap.NewVerifier(roots)
	origin, err := v.Trace(q, in.options.At, &r.journal)
	if err != nil {
		return nil, nil, none, err
	}
	r.TrustAnchor, r.FMSPC = origin.Anchor().String(), origin.FMSPC().String()
	endorsements, err := endorse(in.sets, v, origin)
	return v, origin, dcap.Input{Collateral: endorsements, Options: in.options, Journal: &r.journal}, err
}

func parseEnclave(kind evidence.Type, b []byte) (*sgx.Evidence, error) {
	if kind == evidence.OpenEnclave {
		return sgx.ParseOpenEnclave(b)
	}
	return sgx.Parse(b)
}

// parseDomain reads a quote of a TD. The container of Azure's paravisor has none.
func parseDomain(b []byte) (*tdx.Evidence, error) {
	if !bytes.HasPrefix(b, []byte(hclMagic)) {
		return tdx.Parse(b)
	}
	container, err := hcl.Parse(b)
	switch {
	case err != nil:
		return nil, err
	case container.Type != hcl.TDX:
		return nil, notDomain(container)
	}
	return nil, evidence.Refuse(evidence.QuoteFormat, "an HCL report of TDX holds a TDREPORT, which only the processor that made it can check").
		Want("a quote", "an HCL report").
		Do("have Azure's metadata service make a quote of it (POST http://169.254.169.254/acc/tdquote), and give that with the runtime data of the HCL report")
}

func notDomain(c *hcl.Container) error {
	return evidence.Refuse(evidence.HCLFormat, "the HCL report is not of a TDX guest").Want("report type 4", c.Type).Do("if it is 2, the machine is one of SEV-SNP: --type snp")
}

// bound checks that the report data begins with the hash of the runtime data (api.md section 4.1), and where the tail counts that the rest is zero. Who
// vouches for them is an enclave or a guest.
func (d *runtimeData) bound(who string, reportData [64]byte, tail bool, j *evidence.Journal) error {
	if d.bytes == nil {
		j.Skip(evidence.RuntimeData, "no runtime data given")
		return nil
	}
	want, found := sha256.Sum256(d.bytes), reportData[:sha256.Size]
	if !bytes.Equal(want[:], found) {
		return j.Fail(evidence.Refuse(evidence.RuntimeData, "the runtime data is not what the %s vouches for", who).
			Want("report data that begins "+hex.EncodeToString(want[:]), hex.EncodeToString(found)).
			Do("give the very bytes whose SHA-256 the " + who + " put into its report data"))
	}
	if rest := reportData[sha256.Size:]; tail && !bytes.Equal(rest, make([]byte, len(rest))) {
		return j.Fail(evidence.Refuse(evidence.RuntimeData, "the upper half of the report data is not zero beside runtime data").
			Want("32 zero bytes", hex.EncodeToString(rest)).Do("leave the upper half of the report data zero"))
	}
	if d.json {
		// Some clients hash and send a NUL byte behind the text.
		if err := strictjson.Check(bytes.TrimSuffix(d.bytes, []byte{0})); err != nil {
			return j.Fail(evidence.Refuse(evidence.RuntimeData, "the runtime data is not the JSON it is said to be").
				Because(err).Do("give --runtime-type binary"))
		}
	}
	j.Pass(evidence.RuntimeData, hex.EncodeToString(found))
	return nil
}

// acceptable lets the TCB status decide if the caller said which ones are good enough.
func (in *appraisal) acceptable(facts *dcap.Verified, j *evidence.Journal) error {
	status := string(facts.Status)
	switch {
	case len(in.accept) == 0:
		j.Skip(evidence.TCBBaseline, "no --accept-status given")
		return nil
	case slices.Contains(in.accept, status):
		j.Pass(evidence.TCBBaseline, status)
		return nil
	}
	return j.Fail(evidence.Refuse(evidence.TCBBaseline, "the TCB status is not one of those accepted").
		Want(strings.Join(in.accept, " or "), status).Do(facts.Remedy("--accept-status")))
}

// readCollateral reads a folder as it is, or the sets of a bundle.
func readCollateral(name string) ([]*collateral.Set, error) {
	set, err := collateral.ReadSet(name)
	if err == nil {
		return []*collateral.Set{set}, nil
	}
	return readBundle(name)
}

// endorse has the collateral for the origin verified: the one set there is, or of several the newest for its platform.
// Documents that are not there are a refusal too, which the exit status tells from the others.
func endorse(sets []*collateral.Set, v *dcap.Verifier, o *dcap.Origin) (dcap.Collateral, error) {
	set := sets[0]
	if len(sets) > 1 {
		if set = newest(sets, v, o.FMSPC().String()); set == nil {
			return dcap.Collateral{}, evidence.Refuse(evidence.CollateralMissing, "the bundle holds no set for the platform").
				Want("TCB info for FMSPC "+o.FMSPC().String(), "others").Do("fetch it with assay collateral fetch")
		}
	}
	c, err := set.Verify(v, o)
	if errors.Is(err, collateral.ErrAbsent) {
		return c, evidence.Refuse(evidence.CollateralMissing, "a document of the collateral is missing").Because(err).
			Do("supply it with the rest of the collateral")
	}
	return c, err
}

// newest finds the set with the highest evaluation number among those for a platform, nil if there is none.
func newest(sets []*collateral.Set, v *dcap.Verifier, fmspc string) *collateral.Set {
	var best *collateral.Set
	var number uint32
	for _, s := range sets {
		info := tcbInfoOf(s, v)
		if info.Err == nil && info.Key == fmspc && (best == nil || info.Evaluation > number) {
			best, number = s, info.Evaluation
		}
	}
	return best
}
