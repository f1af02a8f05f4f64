package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
)

// readBundle reads the sets of a bundle. A bundle that is not there is a wrong call, one without sets is empty.
func readBundle(name string) ([]*collateral.Set, error) {
	sets, err := collateral.ReadBundle(name)
	switch {
	case errors.As(err, new(*fs.PathError)):
		return nil, badFile(err)
	case errors.Is(err, collateral.ErrAbsent):
		return nil, fmt.Errorf("collateral bundle %s: a folder in it with tcb_info.json is %w", name, collateral.ErrAbsent)
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("collateral bundle %s: expected a folder or a .tar.gz, found an empty file", name)
	case errors.Is(err, gzip.ErrHeader):
		return nil, fmt.Errorf("collateral bundle %s: expected a folder or a .tar.gz, found another kind of file", name)
	}
	return sets, err
}

// runCollateralFetch gets the collateral for one family of platforms, verifies it and adds it to a bundle.
func runCollateralFetch(ctx context.Context, c *call) error {
	choice := collateral.Choice{Evaluation: collateral.Standard}
	var roots dcap.Roots
	var client *http.Client
	declareChoice(c, &choice)
	c.rootsVar(&roots)
	c.clientVar(&client, "tls-ca")
	source := c.String("source", collateral.IntelPCS, "`URL` of a service that speaks Intel's protocol")
	out := c.String("out", "", "`BUNDLE` to add to: a folder or a .tar.gz")
	if _, err := c.parse("--fmspc", "--ca", "--out"); err != nil {
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
	return c.addVerified(*out, []*collateral.Set{set}, dcap.NewVerifier(roots))
}

// declareChoice declares the flags that say what to fetch.
func declareChoice(c *call, choice *collateral.Choice) {
	c.Func("tee", "`TEE` whose evidence is judged by it: sgx or tdx (default sgx)", func(s string) error {
		tee, known := map[string]dcap.TEE{"sgx": dcap.SGX, "tdx": dcap.TDX}[s]
		if choice.TEE = tee; !known {
			return errors.New("expected sgx or tdx")
		}
		return nil
	})
	c.Func("fmspc", "platform family, 12 `HEX` digits", func(s string) error {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != len(choice.FMSPC) {
			return errors.New("expected 12 hex digits")
		}
		choice.FMSPC = dcap.FMSPC(b)
		return nil
	})
	c.Func("ca", "`CA` that issued the platform's PCK certificate: processor or platform", func(s string) error {
		choice.CA = dcap.CAKind(s)
		if choice.CA != dcap.Processor && choice.CA != dcap.Platform {
			return errors.New("expected processor or platform")
		}
		return nil
	})
	c.Func("evaluation", "TCB evaluation data number `N`, or standard or early (default standard)", func(s string) error {
		choice.Evaluation = s
		if _, err := strconv.ParseUint(s, 10, 32); err != nil && s != collateral.Standard && s != collateral.Early {
			return errors.New("expected a number, standard or early")
		}
		return nil
	})
}

// runCollateralImport adds the sets of a bundle to another, if all of them are sound.
func runCollateralImport(_ context.Context, c *call) error {
	var roots dcap.Roots
	c.rootsVar(&roots)
	out := c.String("out", "", "`BUNDLE` to add to: a folder or a .tar.gz")
	pos, err := c.parse("BUNDLE", "--out")
	if err != nil {
		return err
	}
	sets, err := readBundle(pos[0])
	if err != nil {
		return err
	}
	return c.addVerified(*out, sets, dcap.NewVerifier(roots))
}

// addVerified verifies the sets and, if they are sound, adds them to a bundle, named after what they hold. Dates do not
// matter here: a baseline may be pinned, and who uses the bundle judges them.
func (c *call) addVerified(out string, sets []*collateral.Set, v *dcap.Verifier) error {
	report := reportCollateral(sets, v, time.Time{})
	if err := report.err(); err != nil {
		return c.tell(report, err)
	}
	for _, s := range sets {
		info := tcbInfoOf(s, v)
		s.Name = fmt.Sprintf("%s-%s-eval%d", strings.ToLower(info.TEE.String()), info.Key, info.Evaluation)
	}
	if err := addSets(out, sets); err != nil {
		return err
	}
	return c.tell(reportCollateral(sets, v, time.Time{}), nil)
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
	all, err := readBundle(out)
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
	var roots dcap.Roots
	c.rootsVar(&roots)
	fmspc := c.String("fmspc", "", "only the sets for this platform family, 12 `HEX` digits")
	out := c.String("out", "", "`BUNDLE` to write: a folder or a .tar.gz")
	pos, err := c.parse("BUNDLE", "--out")
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
		return fmt.Errorf("collateral bundle %s: a set for FMSPC %s is %w", pos[0], *fmspc, collateral.ErrAbsent)
	}
	if err := collateral.WriteBundle(*out, sets); err != nil {
		return badFile(err)
	}
	return c.tell(reportCollateral(sets, v, time.Time{}), nil)
}

// runCollateralVerify verifies the documents of a bundle and their dates.
func runCollateralVerify(_ context.Context, c *call) error {
	report, err := c.judgeBundle()
	if err != nil {
		return err
	}
	return c.tell(report, report.err())
}

// runCollateralStatus shows the documents of a bundle, whatever is wrong with them.
func runCollateralStatus(_ context.Context, c *call) error {
	report, err := c.judgeBundle()
	if err != nil {
		return err
	}
	return c.tell(report, nil)
}

func (c *call) judgeBundle() (*collateralReport, error) {
	var roots dcap.Roots
	var at time.Time
	c.rootsVar(&roots)
	c.timeVar(&at)
	pos, err := c.parse("BUNDLE")
	if err != nil {
		return nil, err
	}
	sets, err := readBundle(pos[0])
	if err != nil {
		return nil, err
	}
	return reportCollateral(sets, dcap.NewVerifier(roots), at), nil
}
