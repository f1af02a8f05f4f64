package assaytest_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
)

// amd is the simulated AMD of all tests here: making keys takes time.
var amd = sync.OnceValue(assaytest.NewAMD)

// amdRoots trusts the ARKs of a that the scenarios of tests end in.
func amdRoots(a *assaytest.AMD, products ...assaytest.AMDProduct) (roots snp.Roots, err error) {
	for _, p := range products {
		root, err := a.RootPEM(p)
		if err != nil {
			return roots, err
		}
		one, err := snp.NewRoots(root)
		if err != nil {
			return roots, err
		}
		roots = roots.And(one)
	}
	return roots, nil
}

// judgeSNP verifies what the scenario makes with the product's verifier, which trusts a alone.
func judgeSNP(a *assaytest.AMD, s *assaytest.AMDScenario) (*snp.Verified, error) {
	roots, err := amdRoots(a, s.Product)
	if err != nil {
		return nil, err
	}
	if s.Product == assaytest.Milan { // some faults mix products
		more, err := amdRoots(a, assaytest.Genoa)
		if err != nil {
			return nil, err
		}
		roots = roots.And(more)
	}
	doc, err := s.Evidence()
	if err != nil {
		return nil, err
	}
	e, err := snp.Parse(doc)
	if err != nil {
		return nil, err
	}
	opt := snp.Options{At: s.At}
	signer, err := roots.Trace(e.Chain, opt)
	if err != nil {
		return nil, err
	}
	list, err := s.RevocationList()
	if err != nil {
		return nil, err
	}
	crl, err := roots.CRL(list)
	if err != nil {
		return nil, err
	}
	opt.Revocations = []*snp.CRL{crl}
	return snp.Verify(e.Report, signer, opt)
}

func TestSoundGuestsAreVerified(t *testing.T) {
	for _, p := range assaytest.AMDProducts() {
		for version := uint32(2); version <= 5; version++ {
			for _, vlek := range []bool{false, true} {
				t.Run(fmt.Sprint(p, " v", version, " VLEK ", vlek), func(t *testing.T) {
					s := amd().Scenario(p, now)
					s.ReportVersion, s.DERHardwareID = version, version%2 == 0
					if vlek {
						s.UseVLEK()
					}
					got, err := judgeSNP(amd(), s)
					if err != nil {
						t.Fatal(err)
					}
					if string(got.Signer.Product) != string(p) || got.Report.Version != version || got.Signer.Kind.String() != string(s.Key) {
						t.Errorf("got %s version %d by %s", got.Signer.Product, got.Report.Version, got.Signer.Kind)
					}
				})
			}
		}
	}
}

// The well-known AMD has the real lengths of keys; its evidence passes like that of any other.
func TestWellKnownAMDHasKeysOf4096Bits(t *testing.T) {
	authorities, err := assaytest.WellKnownAMD().Authorities()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range authorities {
		block, rest := pem.Decode(b)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || len(rest) > 0 {
			t.Fatal(err, rest)
		}
		names = append(names, cert.Subject.CommonName)
		if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 4096 || cert.SignatureAlgorithm != x509.SHA384WithRSAPSS {
			t.Errorf("%s: %T signed with %s, want RSA-4096 and RSASSA-PSS with SHA-384", cert.Subject.CommonName, cert.PublicKey, cert.SignatureAlgorithm)
		}
	}
	want := []string{
		"ARK-Milan", "SEV-Milan", "SEV-VLEK-Milan", "ARK-Genoa", "SEV-Genoa", "SEV-VLEK-Genoa", "ARK-Turin", "SEV-Turin", "SEV-VLEK-Turin",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if _, err := snp.NewRoots(authorities...); err != nil {
		t.Errorf("as roots: %v", err)
	}
}

func TestWellKnownAMDIsTheSameInEveryProcess(t *testing.T) {
	first, err := assaytest.WellKnownAMD().RootPEM(assaytest.Turin)
	if err != nil {
		t.Fatal(err)
	}
	second, err := assaytest.WellKnownAMD().RootPEM(assaytest.Turin)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two roots: %v", err)
	}
}

func TestWellKnownAMDIsNotTrustedByOthers(t *testing.T) {
	_, err := judgeSNP(amd(), assaytest.WellKnownAMD().Scenario(assaytest.Milan, now))
	wantRefusal(t, err, evidence.UntrustedRoot)
}

// Outside development mode a verifier trusts the vendors' own roots (and what it is configured to): the simulated ones are not among them.
func TestTheVendorsOwnRootsDoNotTrustTheWellKnownOnes(t *testing.T) {
	guest := assaytest.WellKnownAMD().Scenario(assaytest.Turin, now)
	doc, err := guest.Evidence()
	if err != nil {
		t.Fatal(err)
	}
	e, err := snp.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = snp.AMDRoots().Trace(e.Chain, snp.Options{At: now})
	wantRefusal(t, err, evidence.UntrustedRoot)

	quote, err := assaytest.WellKnownIntel().TDXScenario(now).Quote()
	if err != nil {
		t.Fatal(err)
	}
	td, err := tdx.Parse(quote)
	if err != nil {
		t.Fatal(err)
	}
	_, err = dcap.NewVerifier(dcap.IntelRoots()).Trace(td.Quote, now, nil)
	wantRefusal(t, err, evidence.UntrustedRoot)
}

func wantRefusal(t *testing.T, err error, checks ...evidence.Check) {
	t.Helper()
	refusal, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || !slices.Contains(checks, refusal.Check) {
		t.Errorf("got %v, want a refusal by %v", err, checks)
	}
}

func TestEachAMDFaultIsRefusedByItsCheck(t *testing.T) {
	names := make(map[string]bool)
	for _, f := range assaytest.AMDFaults() {
		t.Run(f.Name, func(t *testing.T) {
			if names[f.Name] || f.What == "" || len(f.Checks) == 0 {
				t.Errorf("fault %+v: no unique name, or incomplete", f)
			}
			names[f.Name] = true
			_, err := judgeSNP(amd(), f.Broken(amd(), now))
			wantRefusal(t, err, f.Checks...)
		})
	}
}

// Without its fault a scenario has to pass: then the fault lies in the change, not in the form that it was put into.
func TestAMDFaultsStandInSoundScenarios(t *testing.T) {
	seen := make(map[assaytest.AMDBase]bool)
	for _, f := range assaytest.AMDFaults() {
		if seen[f.Base] {
			continue
		}
		seen[f.Base] = true
		if _, err := judgeSNP(amd(), f.Sound(amd(), now)); err != nil {
			t.Errorf("%+v without a fault: %v", f.Base, err)
		}
	}
}

func TestEveryCheckOfSNPHasAFault(t *testing.T) {
	covered := make(map[evidence.Check]bool)
	for _, f := range assaytest.AMDFaults() {
		if len(f.Checks) == 1 {
			covered[f.Checks[0]] = true
		}
	}
	for _, check := range []evidence.Check{
		evidence.SNPFormat, evidence.SNPChain, evidence.SNPCertificate, evidence.SNPExpired, evidence.SNPProduct, evidence.SNPSigningKey,
		evidence.SNPSignature, evidence.SNPChipID, evidence.SNPTCB, evidence.UntrustedRoot, evidence.Revoked, evidence.CRLFormat,
		evidence.CRLSignature, evidence.CRLExpired, evidence.CRLNotYetValid,
	} {
		if !covered[check] {
			t.Errorf("no fault is refused by %s alone", check)
		}
	}
}

// amdPieces are what a verifier of SEV-SNP receives.
func amdPieces(t *testing.T, s *assaytest.AMDScenario) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for name, issue := range map[string]func() ([]byte, error){
		"evidence": s.Evidence, "revocation list": s.RevocationList,
	} {
		b, err := issue()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

func TestEqualAMDScenariosGiveEqualBytes(t *testing.T) {
	want := amdPieces(t, amd().Scenario(assaytest.Milan, now))
	for name, got := range amdPieces(t, amd().Scenario(assaytest.Milan, now)) {
		if !bytes.Equal(got, want[name]) {
			t.Errorf("%s: differs between two equal scenarios", name)
		}
	}
}

func TestAnAMDFaultChangesEvidenceOrRevocationListAlone(t *testing.T) {
	sounds := make(map[assaytest.AMDBase]map[string][]byte)
	for _, f := range assaytest.AMDFaults() {
		if sounds[f.Base] == nil {
			sounds[f.Base] = amdPieces(t, f.Sound(amd(), now))
		}
		sound, broken := sounds[f.Base], amdPieces(t, f.Broken(amd(), now))
		evidenceSame := bytes.Equal(sound["evidence"], broken["evidence"])
		listSame := bytes.Equal(sound["revocation list"], broken["revocation list"])
		if evidenceSame == listSame && f.Name != "amd-other-root" {
			t.Errorf("%s: evidence the same %t, revocation list the same %t; want one changed", f.Name, evidenceSame, listSame)
		}
	}
}
