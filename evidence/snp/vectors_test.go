package snp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// vector is a case of vectors/snp/real.json and synthetic.json.
type vector struct {
	ID, Report, Chain, Root, CRL, Expect, Code, Auxblob string
	RuntimeData                                         string `json:"runtime_data"`
	At                                                  time.Time
	Facts                                               map[string]any
	Leaf                                                *leafFacts
	Entries                                             []struct{} `json:"auxblob_entries"`
}

// leafFacts is what the index says about the certificate of the signing key; the values of extensions are in hex.
type leafFacts struct {
	Subject, Issuer string
	NotBefore       time.Time `json:"not_before"`
	NotAfter        time.Time `json:"not_after"`
	Ext             map[string]string
}

// vectors reads the cases of both indexes.
func vectors(t testing.TB) []vector {
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

// meaning gives the checks that are right for a reason class of the indexes. REPORT_DATA is checked by whoever knows the runtime data.
func meaning(code string) []evidence.Check {
	return map[string][]evidence.Check{
		"LENGTH":          {evidence.SNPFormat},
		"VERSION":         {evidence.SNPFormat},
		"RESERVED":        {evidence.SNPFormat},
		"POLICY_RESERVED": {evidence.SNPFormat},
		"SIG_ALGO":        {evidence.SNPFormat},
		"JSON":            {evidence.SNPFormat},
		"SIGNING_KEY":     {evidence.SNPSigningKey},
		"NO_CHAIN":        {evidence.SNPChain, evidence.UntrustedRoot},
		"EXPIRED":         {evidence.SNPExpired},
		"CERT_EXT":        {evidence.SNPCertificate},
		"PRODUCT":         {evidence.SNPProduct},
		"REVOKED":         {evidence.Revoked},
		"SIGNATURE":       {evidence.SNPSignature},
		"CHIP_ID":         {evidence.SNPChipID},
		"TCB_MISMATCH":    {evidence.SNPTCB},
		"TCB_ORDER":       {evidence.SNPTCB},
	}[code]
}

func read(t testing.TB, rel string) []byte {
	t.Helper()
	return vectortest.Read(t, "snp/"+rel)
}

func TestVectors(t *testing.T) {
	for _, c := range vectors(t) {
		t.Run(c.ID, func(t *testing.T) {
			v, err := c.verify(t)
			switch {
			case strings.HasPrefix(c.Expect, "accept"):
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if !c.bound(t, v) {
					t.Error("the runtime data is not bound")
				}
				c.compare(t, v)
			case c.Code == "REPORT_DATA":
				if err != nil || c.bound(t, v) {
					t.Errorf("got %v, want a sound report that does not bind the runtime data", err)
				}
			case c.Code == "":
				if err == nil {
					t.Error("accepted")
				}
			default:
				refusedFor(t, err, meaning(c.Code)...)
			}
		})
	}
}

// verify runs the case through the whole ladder, trusting its root only.
func (c vector) verify(t testing.TB) (*snp.Verified, error) {
	t.Helper()
	report, err := snp.ParseReport(read(t, c.Report))
	if err != nil {
		return nil, err
	}
	chain, err := snp.ParseChain(read(t, c.Chain))
	if err != nil {
		return nil, err
	}
	roots, err := snp.NewRoots(read(t, c.Root))
	if err != nil {
		t.Fatal(err)
	}
	opt := snp.Options{At: c.At}
	if c.CRL != "" {
		crl, err := roots.CRL(read(t, c.CRL))
		if err != nil {
			t.Fatal(err)
		}
		opt.Revocations = []*snp.CRL{crl}
	}
	signer, err := roots.Trace(chain, opt)
	if err != nil {
		return nil, err
	}
	return snp.Verify(report, signer, opt)
}

// bound reports whether the report binds the runtime data of the case, if it has any (sev-snp.md section 5).
func (c vector) bound(t *testing.T, v *snp.Verified) bool {
	t.Helper()
	if c.RuntimeData == "" {
		return true
	}
	sum := sha256.Sum256(read(t, c.RuntimeData))
	return v.Report.ReportData == [64]byte(append(sum[:], make([]byte, 32)...))
}

func refusedFor(t *testing.T, err error, checks ...evidence.Check) {
	t.Helper()
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || !slices.Contains(checks, r.Check) {
		t.Errorf("got %v, want a refusal for one of %v", err, checks)
	}
}

// compare compares every fact of the index with what was found; a fact that is not known here fails.
func (c vector) compare(t *testing.T, v *snp.Verified) {
	t.Helper()
	facts := factsOf(v)
	for name, want := range c.Facts {
		got, known := facts[name]
		if !known || normal(got) != normal(want) {
			t.Errorf("%s: got %v (known: %t), want %v", name, got, known, want)
		}
	}
	if c.Leaf != nil {
		c.Leaf.compare(t, v)
	}
}

// normal writes a fact in one way: flags and signing keys as numbers.
func normal(fact any) string {
	text := fmt.Sprint(fact)
	if short, ok := map[string]string{"false": "0", "true": "1", "VCEK": "0", "VLEK": "1"}[text]; ok {
		return short
	}
	return text
}

// factsOf names what was found as the indexes do.
func factsOf(v *snp.Verified) map[string]any {
	r, tcb := v.Report, v.Signer.TCB
	h := func(b []byte) string { return hex.EncodeToString(b) }
	facts := map[string]any{
		"version": r.Version, "guest_svn": r.GuestSVN, "policy": fmt.Sprintf("%#x", r.Policy), "debug": r.Debug(), "migration": r.Migratable(),
		"smt": r.SMT(), "family_id": h(r.FamilyID[:]), "image_id": h(r.ImageID[:]), "vmpl": r.VMPL, "current_tcb": h(r.CurrentTCB[:]),
		"platform_info": fmt.Sprintf("%#x", r.PlatformInfo), "author_key_en": r.AuthorKeyEn, "author_key_enabled": r.AuthorKeyEn,
		"mask_chip_key": r.MaskChipKey, "signing_key": uint8(r.SigningKey), "report_data": h(r.ReportData[:]), "measurement": h(r.Measurement[:]),
		"host_data": h(r.HostData[:]), "id_key_digest": h(r.IDKeyDigest[:]), "author_key_digest": h(r.AuthorKeyDigest[:]),
		"report_id": h(r.ReportID[:]), "reported_tcb": h(r.ReportedTCB[:]), "committed_tcb": h(r.CommittedTCB[:]), "launch_tcb": h(r.LaunchTCB[:]),
		"chip_id": h(r.ChipID[:]), "launch_mit_vector": r.LaunchMitVector, "current_mit_vector": r.CurrentMitVector,
		"product": v.Signer.Product, "csp": v.Signer.CSPID,
		"fmc": tcb.FMC, "bootloader": tcb.BootLoader, "tee": tcb.TEE, "snp": tcb.SNP, "microcode": tcb.Microcode,
		"cpuid": fmt.Sprintf("family %#x model %#x stepping %d", r.CPUID[0], r.CPUID[1], r.CPUID[2]),
	}
	return facts
}

// compare compares what is known of the certificate with what its signer says.
func (f *leafFacts) compare(t *testing.T, v *snp.Verified) {
	t.Helper()
	const arc = "1.3.6.1.4.1.3704.1."
	s := v.Signer
	if !s.NotAfter().Equal(f.NotAfter) {
		t.Errorf("not after: got %s, want %s", s.NotAfter(), f.NotAfter)
	}
	for spl, got := range map[string]uint8{"1": s.TCB.BootLoader, "2": s.TCB.TEE, "3": s.TCB.SNP, "8": s.TCB.Microcode} {
		want := f.Ext[arc+"3."+spl]
		if fmt.Sprintf("%02x", got) != want[len(want)-2:] {
			t.Errorf("patch level 3.%s: got %02x, want the integer %s", spl, got, want)
		}
	}
	if want := f.Ext[arc+"4"]; !strings.HasSuffix(want, hex.EncodeToString(s.HardwareID)) || (want == "") != (s.HardwareID == nil) {
		t.Errorf("hardware id: got %x, want %s", s.HardwareID, want)
	}
	if want := f.Ext[arc+"5"]; (want == "") != (s.CSPID == "") || !strings.HasSuffix(want, hex.EncodeToString([]byte(s.CSPID))) {
		t.Errorf("provider: got %q, want %s", s.CSPID, want)
	}
}

func TestCertificateTableGivesTheCertificatesOfTheChain(t *testing.T) {
	n := 0
	for _, c := range vectors(t) {
		if c.Auxblob == "" {
			continue
		}
		n++
		fromTable, err := snp.ParseTable(read(t, c.Auxblob))
		if err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		chain, err := snp.ParseChain(read(t, c.Chain))
		if err != nil {
			t.Fatal(err)
		}
		if !fromTable.Leaf.Equal(chain.Leaf) || 1+len(fromTable.Others) != len(c.Entries) {
			t.Errorf("%s: got %q and %d others", c.ID, fromTable.Leaf.Subject, len(fromTable.Others))
		}
		roots, err := snp.NewRoots(read(t, c.Root))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := roots.Trace(fromTable, snp.Options{At: c.At}); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	if n == 0 {
		vectortest.NoCase(t, "certificate table")
	}
}

// TestClaimsAreThoseOfTheGoldenToken compares with the token that Azure's service gave for the report.
func TestClaimsAreThoseOfTheGoldenToken(t *testing.T) {
	all := vectors(t)
	i := slices.IndexFunc(all, func(c vector) bool { return c.ID == "maa-sample" })
	if i < 0 {
		vectortest.NoCase(t, "golden sample")
	}
	v, err := all[i].verify(t)
	if err != nil {
		t.Fatal(err)
	}
	var token struct{ Payload map[string]any }
	d := json.NewDecoder(bytes.NewReader(read(t, "maa-sample/token.decoded.json")))
	d.UseNumber()
	if err := d.Decode(&token); err != nil {
		t.Fatal(err)
	}
	for _, common := range []string{"exp", "iat", "iss", "jti", "nbf", "x-ms-policy-hash", "x-ms-ver"} {
		delete(token.Payload, common)
	}
	for _, claim := range v.Claims() {
		value := claim.Value
		if n, ok := value.(int64); ok {
			value = json.Number(fmt.Sprint(n))
		}
		if want, there := token.Payload[claim.Name]; !there || value != want {
			t.Errorf("%s: got %v, the token has %v", claim.Name, claim.Value, want)
		}
		delete(token.Payload, claim.Name)
	}
	if len(token.Payload) > 0 {
		t.Errorf("claims of the token that are missing: %v", token.Payload)
	}
}

// TestReportsOfRequests reads the member report of the bodies in vectors/snp/maa-requests. Which requests as a whole are right is decided by the
// service; here it counts whether report and chain are sound.
func TestReportsOfRequests(t *testing.T) {
	var cases []struct{ ID, Request, Expect, Code, Root string }
	vectortest.ReadJSON(t, "snp/maa-requests/index.json", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			var body struct{ Report string }
			if err := json.Unmarshal(read(t, c.Request), &body); err != nil || body.Report == "" {
				return // nothing of ours in it
			}
			err := verifyRequest(t, body.Report, read(t, c.Root))
			switch {
			case c.ID == "sh-leaf-only": // spec, README.md section 10.2: only with a copy of the ASK, which this verifier does not have
				if !errors.Is(err, snp.ErrMissing) {
					t.Errorf("got %v, want that certificates are missing", err)
				}
			case meaning(c.Code) != nil:
				refusedFor(t, err, meaning(c.Code)...)
			case err != nil:
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func verifyRequest(t *testing.T, report string, root []byte) error {
	t.Helper()
	roots, err := snp.NewRoots(root)
	if err != nil {
		t.Fatal(err)
	}
	e, err := snp.Parse(decode(t, report))
	if err != nil {
		return err
	}
	opt := snp.Options{At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	signer, err := roots.Trace(e.Chain, opt)
	if err != nil {
		return err
	}
	_, err = snp.Verify(e.Report, signer, opt)
	return err
}
