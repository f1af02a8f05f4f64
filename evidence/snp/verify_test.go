package snp_test

import (
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// verify verifies a report of the lab with its VCEK or, if the report says so, its VLEK.
func (l *lab) verify(opt snp.Options, edits ...func([]byte)) (*snp.Verified, error) {
	l.t.Helper()
	r := l.report(edits...)
	leaf := l.vcek()
	if r.SigningKey == snp.VLEK {
		leaf = l.vlek()
	}
	if opt.At.IsZero() {
		opt.At = l.at()
	}
	return snp.Verify(r, l.signer(leaf), opt)
}

func TestReportsOfEveryProductVerify(t *testing.T) {
	for _, product := range []string{"Milan", "Genoa", "Turin", "Venice"} {
		l := newLab(t, product)
		for name, edits := range map[string][]func([]byte){
			"VCEK":      nil,
			"VLEK":      {vlekSigned},
			"version 5": {set(0, 5)},
			"version 2": {set(0, 2), set(0x188, 0, 0, 0)},
		} {
			v, err := l.verify(snp.Options{}, edits...)
			if err != nil {
				t.Errorf("%s, %s: %v", product, name, err)
				continue
			}
			want := snp.Components{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}
			if product == "Turin" || product == "Venice" {
				want.FMC = 2
			}
			if v.Signer.TCB != want || string(v.Signer.Product) != product {
				t.Errorf("%s, %s: got %s, %v", product, name, v.Signer.Product, v.Signer.TCB)
			}
		}
	}
}

func TestVersionsWithinTheLimit(t *testing.T) {
	l := newLab(t, "Milan")
	for _, c := range []struct {
		version, lowest, highest uint32
		accept                   bool
	}{
		{3, 0, 0, true}, {5, 0, 0, true}, {6, 0, 0, false}, {3, 3, 3, true}, {4, 3, 3, false}, {3, 4, 0, false}, {6, 0, 6, true}, {255, 0, 6, false},
	} {
		_, err := l.verify(snp.Options{MinVersion: c.lowest, MaxVersion: c.highest}, set(0, byte(c.version)))
		if c.accept && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if !c.accept {
			refusedSaying(t, err, evidence.SNPFormat, "snp_report_versions")
		}
	}
	for _, version := range []byte{0, 1} {
		_, err := l.verify(snp.Options{}, set(0, version), set(0x188, 0, 0, 0))
		refusedSaying(t, err, evidence.SNPFormat, "expected version 2 to 5")
	}
}

func TestSigningKeyIsTheOneOfTheCertificate(t *testing.T) {
	l := newLab(t, "Milan")
	vcek, vlek := l.signer(l.vcek()), l.signer(l.vlek())
	for _, c := range []struct {
		signer *snp.Signer
		flags  byte
		part   string
	}{
		{vcek, 1 << 2, "expected VCEK, found VLEK"}, {vlek, 0, "expected VLEK, found VCEK"}, {vcek, 7 << 2, "found none"}, {vlek, 7 << 2, "found none"},
	} {
		_, err := snp.Verify(l.report(set(0x48, c.flags)), c.signer, snp.Options{At: l.at()})
		refusedSaying(t, err, evidence.SNPSigningKey, c.part)
	}
}

func TestProcessorIsOneOfTheProduct(t *testing.T) {
	l := newLab(t, "Milan")
	_, err := l.verify(snp.Options{}, set(0x188, 0x19, 0x11))
	refusedSaying(t, err, evidence.SNPProduct, "expected Milan, found Genoa")
	_, err = l.verify(snp.Options{}, set(0x188, 0x19, 0x20))
	refusedSaying(t, err, evidence.SNPProduct, "family 0x19, model 0x20")
	_, err = l.verify(snp.Options{}, set(0x188, 0, 0, 0))
	refusedSaying(t, err, evidence.SNPProduct, "family 0x0")
}

// TestShortChipIDBeforeVersion3 is the rule by which a report without CPUID can be told from one of the certificates' product.
func TestShortChipIDBeforeVersion3(t *testing.T) {
	v2 := func(b []byte) { b[0] = 2; clear(b[0x188:0x18B]); clear(b[0x1A8:0x1E0]) }
	_, err := newLab(t, "Milan").verify(snp.Options{}, v2, vlekSigned)
	refusedSaying(t, err, evidence.SNPProduct, "expected 64 bytes, found 8 bytes")
	if _, err := newLab(t, "Turin").verify(snp.Options{}, v2, vlekSigned); err != nil {
		t.Errorf("Turin: %v", err)
	}
	masked := func(b []byte) { clear(b[0x1A0:0x1E0]) }
	if _, err := newLab(t, "Milan").verify(snp.Options{}, v2, masked, vlekSigned); err != nil {
		t.Errorf("a masked chip id: %v", err)
	}
}

func TestReportOfAnotherKey(t *testing.T) {
	l, other := newLab(t, "Milan"), newLab(t, "Milan")
	_, err := snp.Verify(other.report(), l.signer(l.vcek()), snp.Options{At: l.at()})
	refusedFor(t, err, evidence.SNPSignature)
}

func TestChipIDIsTheOneOfTheCertificate(t *testing.T) {
	masked := func(b []byte) { clear(b[0x1A0:0x1E0]) }
	for _, product := range []string{"Milan", "Turin"} {
		l := newLab(t, product)
		for _, offset := range []int{0x1A0, 0x1A7, 0x1A8, 0x1DF} {
			_, err := l.verify(snp.Options{AllowMaskedChipID: true}, set(offset, 0xEE))
			refusedSaying(t, err, evidence.SNPChipID, "different chips")
			if _, err := l.verify(snp.Options{}, set(offset, 0xEE), vlekSigned); err != nil {
				t.Errorf("%s: a VLEK belongs to no chip, but %v", product, err)
			}
		}
		_, err := l.verify(snp.Options{}, masked)
		refusedSaying(t, err, evidence.SNPChipID, "snp_allow_masked_chip_id")
		if _, err := l.verify(snp.Options{AllowMaskedChipID: true}, masked); err != nil {
			t.Errorf("%s: a masked chip id that is allowed: %v", product, err)
		}
	}
}

// TestTCBVersions edits each byte of each TCB version: every byte is a component, and every component counts.
func TestTCBVersions(t *testing.T) {
	const current, reported, committed, launch = 0x38, 0x180, 0x1E0, 0x1F0
	for _, product := range []string{"Milan", "Turin"} {
		l := newLab(t, product)
		tcb := tcbOf(product)
		for i := range tcb {
			above, below := tcb[i]+1, tcb[i]-1
			_, err := l.verify(snp.Options{}, set(reported+i, above), set(current+i, above))
			refusedSaying(t, err, evidence.SNPTCB, "different TCB versions")
			_, err = l.verify(snp.Options{}, set(committed+i, above))
			refusedSaying(t, err, evidence.SNPTCB, "the committed TCB is above")
			if _, err := l.verify(snp.Options{}, set(current+i, above), set(launch+i, above)); err != nil {
				t.Errorf("%s, byte %d: a platform that runs more than it reports: %v", product, i, err)
			}
			if tcb[i] == 0 {
				continue
			}
			_, err = l.verify(snp.Options{}, set(current+i, below), set(committed+i, below))
			refusedSaying(t, err, evidence.SNPTCB, "the reported TCB is above")
			if _, err := l.verify(snp.Options{}, set(committed+i, below)); err != nil {
				t.Errorf("%s, byte %d: a platform that has committed less than it runs: %v", product, i, err)
			}
		}
	}
}

// TestNoByteOfASignedReportCanChange flips a bit of each byte, signed or not.
func TestNoByteOfASignedReportCanChange(t *testing.T) {
	l := newLab(t, "Genoa")
	good, signer := l.raw(set(0, 5)), l.signer(l.vcek())
	accepts := func(b []byte) bool {
		r, err := snp.ParseReport(b)
		if err != nil {
			return false
		}
		_, err = snp.Verify(r, signer, snp.Options{At: l.at()})
		return err == nil
	}
	if !accepts(good) {
		t.Fatal("the report itself is not accepted")
	}
	for i := range good {
		b := slices.Clone(good)
		if b[i] ^= 1 << (i % 8); accepts(b) {
			t.Errorf("accepted with byte %#x changed", i)
		}
	}
}

// TestNoByteOfACertificateCanChange flips each byte of a VCEK.
func TestNoByteOfACertificateCanChange(t *testing.T) {
	l := newLab(t, "Milan")
	leaf, roots := l.vcek(), l.roots(l.ask.cert)
	for i := range leaf.Raw {
		raw := slices.Clone(leaf.Raw)
		raw[i] ^= 1 << (i % 8)
		chain, err := snp.ParseChain(toPEM(rawCertificate(raw)))
		if err != nil {
			continue
		}
		if _, err := roots.Trace(chain, snp.Options{At: l.at()}); err == nil {
			t.Errorf("accepted with byte %d changed", i)
		}
	}
}

// TestFieldsAreThoseThatWereSigned changes a parsed report before it is verified.
func TestFieldsAreThoseThatWereSigned(t *testing.T) {
	l := newLab(t, "Milan")
	r := l.report()
	r.Policy |= 1 << 19
	v, err := snp.Verify(r, l.signer(l.vcek()), snp.Options{At: l.at()})
	if err != nil || v.Report.Debug() {
		t.Errorf("debug %t, %v", v.Report.Debug(), err)
	}
}

func TestNothingVerifiesNothing(t *testing.T) {
	l := newLab(t, "Milan")
	for _, c := range []struct {
		r *snp.Report
		s *snp.Signer
	}{{nil, l.signer(l.vcek())}, {l.report(), nil}, {l.report(), &snp.Signer{}}, {&snp.Report{}, l.signer(l.vcek())}} {
		if v, err := snp.Verify(c.r, c.s, snp.Options{At: l.at()}); err == nil {
			t.Errorf("accepted: %+v", v)
		}
	}
}

// TestJournalHasEachCheckInOrder is the record that an explanation shows.
func TestJournalHasEachCheckInOrder(t *testing.T) {
	l := newLab(t, "Milan")
	j := &evidence.Journal{}
	if _, err := l.verify(snp.Options{Journal: j}); err != nil {
		t.Fatal(err)
	}
	want := []evidence.Check{evidence.SNPFormat, evidence.SNPSigningKey, evidence.UntrustedRoot, evidence.SNPChain, evidence.SNPCertificate,
		evidence.SNPExpired, evidence.SNPProduct, evidence.Revoked, evidence.SNPSignature, evidence.SNPChipID, evidence.SNPTCB}
	var got []evidence.Check
	for _, e := range j.Entries {
		got = append(got, e.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if j.Entries[7].Outcome != evidence.Skipped {
		t.Errorf("revocation without a list: %v", j.Entries[7])
	}
	j = &evidence.Journal{}
	_, err := l.verify(snp.Options{Journal: j}, set(0x1E0, 0xFF))
	refusedFor(t, err, evidence.SNPTCB)
	if last := j.Entries[len(j.Entries)-1]; last.Name != evidence.SNPTCB || last.Outcome != evidence.Fail {
		t.Errorf("the last entry is %v", last)
	}
}
