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
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// appraisal is all that one verification of evidence is given, read and checked for sense.
type appraisal struct {
	kind     evidence.Type
	evidence []byte
	roots    dcap.Roots
	sets     []*collateral.Set // one is used as it is, of several the one for the platform
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
	pos, err := c.parse("FILE", "--type", "--collateral")
	if err != nil {
		return nil, err
	}
	return in, in.read(c, pos[0], *bundle)
}

// flags declares the flags that say how evidence is judged, and returns the value of the one for the collateral.
func (in *appraisal) flags(c *call) *string {
	c.rootsVar(&in.roots)
	c.timeVar(&in.options.At)
	c.runtimeVar(&in.runtime)
	c.Func("collateral-expiry", "`WHICH` dates of the collateral count: enforce, pinned or ignore (default enforce)", in.setExpiry)
	c.Func("accept-status", "refuse every TCB status that is not in this comma-separated `LIST`", in.setAccept)
	return c.String("collateral", "", "`BUNDLE` to judge by: a folder, used as it is, or a .tar.gz")
}

// read reads the evidence and the collateral.
func (in *appraisal) read(c *call, file, bundle string) (err error) {
	if in.evidence, err = c.read(file); err != nil {
		return err
	}
	in.sets, err = readCollateral(bundle)
	return err
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
func (in *appraisal) verify(r *evidenceReport) (*sgx.Verified, error) {
	e, err := parseEvidence(in.kind, in.evidence)
	if err != nil {
		return nil, err
	}
	r.QuoteVersion = e.Quote.Version
	v := dcap.NewVerifier(in.roots)
	origin, err := v.Trace(e.Quote, in.options.At, &r.journal)
	if err != nil {
		return nil, err
	}
	r.TrustAnchor, r.FMSPC = origin.Anchor().String(), origin.FMSPC().String()
	endorsements, err := endorse(in.sets, v, origin)
	if err != nil {
		return nil, err
	}
	facts, err := sgx.Verify(v, origin, e, dcap.Input{Collateral: endorsements, Options: in.options, Journal: &r.journal})
	if err != nil {
		return nil, err
	}
	r.learn(facts)
	if err := in.runtime.bound(facts.Report.ReportData, &r.journal); err != nil {
		return nil, err
	}
	return facts, in.acceptable(facts, &r.journal)
}

func parseEvidence(kind evidence.Type, b []byte) (*sgx.Evidence, error) {
	if kind == evidence.OpenEnclave {
		return sgx.ParseOpenEnclave(b)
	}
	return sgx.Parse(b)
}

// bound checks that the report data begins with the hash of the runtime data (api.md section 4.1).
func (d *runtimeData) bound(reportData [64]byte, j *evidence.Journal) error {
	if d.bytes == nil {
		j.Skip(evidence.RuntimeData, "no runtime data given")
		return nil
	}
	want, found := sha256.Sum256(d.bytes), reportData[:sha256.Size]
	if !bytes.Equal(want[:], found) {
		return j.Fail(evidence.Refuse(evidence.RuntimeData, "the runtime data is not what the enclave vouches for").
			Want("report data that begins "+hex.EncodeToString(want[:]), hex.EncodeToString(found)).
			Do("give the very bytes whose SHA-256 the enclave put into its report data"))
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
func (in *appraisal) acceptable(facts *sgx.Verified, j *evidence.Journal) error {
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
