package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
)

// readBundle reads the sets of a bundle. A bundle that is not there is a wrong call, one without sets is empty.
func readBundle(name string) ([]*collateral.Set, error) {
	sets, err := collateral.ReadBundle(name)
	if errors.As(err, new(*fs.PathError)) {
		return nil, badFile(err)
	}
	return sets, err
}

// runCollateralFetch gets the collateral for one family of platforms, verifies it and adds it to a bundle.
func runCollateralFetch(ctx context.Context, c *call) error {
	fmspc := c.String("fmspc", "", "platform family, 12 `HEX` digits")
	ca := c.String("ca", "", "`CA` that issued the platform's PCK certificate: processor or platform")
	evaluation := c.String("evaluation", collateral.Standard, "TCB evaluation data number `N`, or standard or early")
	source := c.String("source", collateral.IntelPCS, "`URL` of a service that speaks Intel's protocol")
	caFile := c.String("tls-ca", "", "trust the certificates in `FILE` for the connection, too")
	root := c.String("trust-root", "", "trust the certificate in `FILE` (PEM or DER) instead of Intel's root")
	out := c.String("out", "", "`BUNDLE` to add to: a folder or a .tar.gz")
	if _, err := c.parse(); err != nil {
		return err
	}
	choice, err := readChoice(*fmspc, *ca, *evaluation)
	if err != nil {
		return err
	}
	if *out == "" {
		return usage("--out is missing")
	}
	roots, err := c.roots(*root)
	if err != nil {
		return err
	}
	client, err := c.client(*caFile)
	if err != nil {
		return err
	}
	web, err := collateral.NewWeb(collateral.WebConfig{URL: *source, Client: client})
	if err != nil {
		return usage("--source: %w", err)
	}
	set, err := collateral.Fetch(ctx, web, choice, "fetched")
	if err != nil {
		return err
	}
	return c.addVerified(*out, []*collateral.Set{set}, roots)
}

func readChoice(fmspc, ca, evaluation string) (choice collateral.Choice, err error) {
	b, err := hex.DecodeString(fmspc)
	if err != nil || len(b) != len(choice.FMSPC) {
		return choice, usage("--fmspc %q: expected 12 hex digits", fmspc)
	}
	choice = collateral.Choice{FMSPC: dcap.FMSPC(b), CA: dcap.CAKind(ca), Evaluation: evaluation}
	if choice.CA != dcap.Processor && choice.CA != dcap.Platform {
		return choice, usage("--ca %q: expected processor or platform", ca)
	}
	if evaluation != collateral.Standard && evaluation != collateral.Early && strings.Trim(evaluation, "0123456789") != "" {
		return choice, usage("--evaluation %q: expected a number, standard or early", evaluation)
	}
	return choice, nil
}

// runCollateralImport adds the sets of a bundle to another, if all of them are sound and in date.
func runCollateralImport(_ context.Context, c *call) error {
	out := c.String("out", "", "`BUNDLE` to add to: a folder or a .tar.gz")
	root := c.String("trust-root", "", "trust the certificate in `FILE` (PEM or DER) instead of Intel's root")
	pos, err := c.parse("BUNDLE")
	if err != nil {
		return err
	}
	if *out == "" {
		return usage("--out is missing")
	}
	roots, err := c.roots(*root)
	if err != nil {
		return err
	}
	sets, err := readBundle(pos[0])
	if err != nil {
		return err
	}
	return c.addVerified(*out, sets, roots)
}

// addVerified verifies the sets and, if they are sound, adds them to a bundle, named after what they hold. Dates do not
// matter here: a baseline may be pinned, and who uses the bundle judges them.
func (c *call) addVerified(out string, sets []*collateral.Set, roots dcap.Roots) error {
	v := dcap.NewVerifier(roots)
	report := reportCollateral(sets, v, time.Time{})
	err := report.err()
	if err == nil {
		for _, s := range sets {
			info := tcbInfoOf(s, v)
			s.Name = fmt.Sprintf("sgx-%s-eval%d", info.Key, info.Evaluation)
		}
		err = addSets(out, sets)
		report = reportCollateral(sets, v, time.Time{})
	}
	return c.tellCollateral(report, err)
}

// tcbInfoOf finds out what a set is for.
func tcbInfoOf(s *collateral.Set, v *dcap.Verifier) collateral.Status {
	for _, d := range s.Status(v) {
		if d.Kind == collateral.TCBInfo {
			return d
		}
	}
	return collateral.Status{Err: collateral.ErrAbsent}
}

// addSets writes the sets into a bundle, where those of the same name are replaced.
func addSets(out string, sets []*collateral.Set) error {
	all, err := collateral.ReadBundle(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, collateral.ErrAbsent) {
		return err
	}
	for _, s := range sets {
		all = append(slices.DeleteFunc(all, func(old *collateral.Set) bool { return old.Name == s.Name }), s)
	}
	if err := collateral.WriteBundle(out, all); err != nil {
		return badFile(err)
	}
	return nil
}

// runCollateralExport copies the sets for one platform family, or all, to a new bundle.
func runCollateralExport(_ context.Context, c *call) error {
	fmspc := c.String("fmspc", "", "only the sets for this platform family, 12 `HEX` digits")
	root := c.String("trust-root", "", "trust the certificate in `FILE` (PEM or DER) instead of Intel's root")
	out := c.String("out", "", "`BUNDLE` to write: a folder or a .tar.gz")
	pos, err := c.parse("BUNDLE")
	if err != nil {
		return err
	}
	if *out == "" {
		return usage("--out is missing")
	}
	roots, err := c.roots(*root)
	if err != nil {
		return err
	}
	sets, err := readBundle(pos[0])
	if err != nil {
		return err
	}
	v := dcap.NewVerifier(roots)
	if *fmspc != "" {
		sets = slices.DeleteFunc(sets, func(s *collateral.Set) bool { return tcbInfoOf(s, v).Key != strings.ToUpper(*fmspc) })
	}
	if len(sets) == 0 {
		return fmt.Errorf("a set for FMSPC %s: %w", *fmspc, collateral.ErrAbsent)
	}
	if err := collateral.WriteBundle(*out, sets); err != nil {
		return badFile(err)
	}
	return c.tellCollateral(reportCollateral(sets, v, time.Time{}), nil)
}

// runCollateralVerify verifies the documents of a bundle and their dates.
func runCollateralVerify(_ context.Context, c *call) error {
	report, err := c.judgeBundle()
	if err != nil {
		return err
	}
	return c.tellCollateral(report, report.err())
}

// runCollateralStatus shows the documents of a bundle, whatever is wrong with them.
func runCollateralStatus(_ context.Context, c *call) error {
	report, err := c.judgeBundle()
	if err != nil {
		return err
	}
	return c.tellCollateral(report, nil)
}

func (c *call) judgeBundle() (*collateralReport, error) {
	root := c.String("trust-root", "", "trust the certificate in `FILE` (PEM or DER) instead of Intel's root")
	var text string
	c.at(&text)
	pos, err := c.parse("BUNDLE")
	if err != nil {
		return nil, err
	}
	at, err := c.time(text)
	if err != nil {
		return nil, err
	}
	roots, err := c.roots(*root)
	if err != nil {
		return nil, err
	}
	sets, err := readBundle(pos[0])
	if err != nil {
		return nil, err
	}
	return reportCollateral(sets, dcap.NewVerifier(roots), at), nil
}
