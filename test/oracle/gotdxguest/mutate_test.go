package gotdxguest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// mutations is how many there are of each case that is accepted: 2,000 of the sixteen.
const mutations = 125

// bases are the accepted cases.
func bases(t *testing.T) (out []vectortest.DCAPCase) {
	t.Helper()
	for _, c := range cases(t) {
		if c.Accept && c.Policy == "strict" {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		vectortest.NoCase(t, "accepted quote of a TD")
	}
	return out
}

// TestMutationsAreVerifiedAlike changes bytes of quotes and collateral, puts collateral of other cases beside quotes, and changes fields that are
// then signed anew: what a signature keeps from anybody is worth no comparison.
func TestMutationsAreVerifiedAlike(t *testing.T) {
	all, tally, l := bases(t), compare.NewTally(classes()), newLab(t)
	for _, base := range all {
		r := compare.Random(base.Name, 4)
		for i := range mutations {
			c := base
			how := l.mutate(r, &c, all)
			tally.Add(t, fmt.Sprintf("mutation %d of %s: %s", i, c.Name, how), diff(&c))
		}
	}
	tally.EachOccurs(t)
}

func (l *lab) mutate(r *rand.Rand, c *vectortest.DCAPCase, all []vectortest.DCAPCase) (how string) {
	c.Files = maps.Clone(c.Files)
	switch kind := r.IntN(16); {
	case kind < 2:
		c.Quote, how = damage(r, c.Quote), "quote"
	case kind < 4:
		names := slices.Sorted(maps.Keys(c.Files))
		how = names[r.IntN(len(names))]
		c.Files[how] = damage(r, c.Files[how])
	case kind < 5:
		how = swap(r, c, all)
	case kind < 6:
		how = l.aim(r, c)
	default:
		p := l.take(c)
		how = change(r, p, c.Now)
		l.put(p, c)
	}
	return how
}

// The lab changes nothing by itself, or the mutations would compare nothing.
func TestWhatIsSignedAnewIsVerifiedAsBefore(t *testing.T) {
	l := newLab(t)
	for _, c := range bases(t) {
		before, err := ours(&c)
		if err != nil {
			t.Fatal(err)
		}
		l.put(l.take(&c), &c)
		after, err := ours(&c)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if fmt.Sprint(before.Status, before.Platform, before.QE, before.TDXModule) != fmt.Sprint(after.Status, after.Platform, after.QE, after.TDXModule) {
			t.Errorf("%s: got %s, was %s", c.Name, after.Status, before.Status)
		}
	}
}

// damage changes a bit, cuts, or adds.
func damage(r *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	switch at := r.IntN(len(b)); r.IntN(6) {
	case 0:
		return b[:at]
	case 1:
		return append(b, make([]byte, 1+r.IntN(8))...)
	default:
		b[at] ^= 1 << r.IntN(8)
	}
	return b
}

// swap takes a file from another case, a document with its chain, or all files.
func swap(r *rand.Rand, c *vectortest.DCAPCase, all []vectortest.DCAPCase) string {
	from := all[r.IntN(len(all))]
	groups := [][]string{{"tcb_info.json", "tcb_info_issuer_chain.pem"}, {"qe_identity.json", "qe_identity_issuer_chain.pem"}, {"pck_crl.der"}, {"root_ca_crl.der"}}
	group := groups[r.IntN(len(groups))]
	for _, name := range group {
		c.Files[name] = from.Files[name]
	}
	return group[0] + " of " + from.Name
}

// aim makes changes that chance seldom makes: levels that are not sorted, words that quoting enclaves seldom have, a module of now that nobody
// describes, no signature data.
func (l *lab) aim(r *rand.Rand, c *vectortest.DCAPCase) string {
	p, what := l.take(c), r.IntN(6)
	first := func(document []byte, pattern, text string) []byte {
		if at := regexp.MustCompile(pattern).FindIndex(document); at != nil {
			return slices.Concat(document[:at[0]], []byte(text), document[at[1]:])
		}
		return document
	}
	switch {
	case what == 0:
		p.tcbInfo = first(p.tcbInfo, `"isvsvn":[0-9]+`, `"isvsvn":0`)
	case what == 1:
		p.qeIdentity = first(p.qeIdentity, `"isvsvn":[0-9]+`, `"isvsvn":0`)
	case what == 2:
		p.qeIdentity = first(p.qeIdentity, `UpToDate`, `ConfigurationNeeded`)
	case what == 3:
		p.tcbInfo = first(p.tcbInfo, `"tdxModule":{"mrsigner":"0`, `"tdxModule":{"mrsigner":"1`)
	case what == 4 && len(p.body) > 6+584:
		p.body[6+584+1] = 0x77
	}
	l.put(p, c)
	if what == 5 {
		clear(c.Quote[48+bodySize(c.Quote):][:4])
	}
	return fmt.Sprint("aimed ", what)
}

// field is a part of a header or a report.
type field struct {
	name         string
	offset, size int
}

// change changes one part before it is signed.
func change(r *rand.Rand, p *parts, at time.Time) string {
	switch r.IntN(7) {
	case 0:
		return alter(r, p.header, []field{{"version", 0, 2}, {"key type", 2, 2}, {"TEE type", 4, 4}, {"QE and PCE SVN", 8, 4}, {"vendor", 12, 16}, {"user data", 28, 20}})
	case 1, 2:
		return changeBody(r, p)
	case 3:
		return alter(r, p.qeReport, []field{{"CPUSVN", 0, 16}, {"MISCSELECT", 16, 4}, {"QE attributes", 48, 16}, {"QE signer", 128, 32}, {"QE product", 256, 2}, {"QE SVN", 258, 2}, {"reserved of the QE", 20, 28}})
	case 4:
		how := ""
		p.tcbInfo, how = changeDocument(r, p.tcbInfo)
		return "TCB info: " + how
	case 5:
		how := ""
		p.qeIdentity, how = changeDocument(r, p.qeIdentity)
		return "QE identity: " + how
	}
	return changeCertificates(r, p, at)
}

// alter gives one field another value: a near one, a bit, zeros or ones.
func alter(r *rand.Rand, b []byte, fields []field) string {
	f := fields[r.IntN(len(fields))]
	value := b[f.offset : f.offset+f.size]
	at := r.IntN(len(value))
	switch r.IntN(5) {
	case 0:
		clear(value)
	case 1:
		for i := range value {
			value[i] = 0xFF
		}
	case 2:
		value[at]++
	case 3:
		value[at]--
	default:
		value[at] ^= 1 << r.IntN(8)
	}
	return f.name + ", signed"
}

func changeBody(r *rand.Rand, p *parts) string {
	start := 0
	if p.header[0] == 5 {
		start = 6
	}
	fields := []field{{"TEE_TCB_SVN", 0, 16}, {"module SVN", 0, 1}, {"module version", 1, 1}, {"platform's SVN", 2, 1}, {"MRSIGNERSEAM", 64, 48}, {"SEAMATTRIBUTES", 112, 8}, {"TDATTRIBUTES", 120, 8},
		{"XFAM", 128, 8}, {"MRTD", 136, 48}, {"RTMR0", 328, 48}, {"REPORTDATA", 520, 64}}
	if len(p.body) > 6+584 {
		fields = append(fields, field{"TEE_TCB_SVN_2", 584, 16}, field{"MRSERVICETD", 600, 48})
	}
	if r.IntN(8) == 0 {
		p.trailing, p.certType, p.innerType = r.IntN(4), 4+r.IntN(4), 4+r.IntN(3)
		return "certification data"
	}
	return alter(r, p.body[start:], fields)
}

// changeDocument changes a word, a number, or a member of a document, which stays JSON mostly.
func changeDocument(r *rand.Rand, document []byte) ([]byte, string) {
	pick := func(pattern string) []int {
		all := regexp.MustCompile(pattern).FindAllIndex(document, -1)
		if len(all) == 0 {
			return []int{0, 0}
		}
		return all[r.IntN(min(len(all), 40))] // the first levels are those that count
	}
	replace := func(at []int, text string) []byte {
		return slices.Concat(document[:at[0]], []byte(text), document[at[1]:])
	}
	switch r.IntN(7) {
	case 0:
		words := []string{"UpToDate", "OutOfDate", "Revoked", "SWHardeningNeeded", "ConfigurationNeeded", "OutOfDateConfigurationNeeded", "Unknown"}
		return replace(pick(`UpToDate|OutOfDate`), words[r.IntN(len(words))]), "a status"
	case 1, 2:
		return replace(pick(`\b\d+\b`), fmt.Sprint([]int{0, 1, 2, 3, 5, 13, 255, 256, -1}[r.IntN(9)])), "a number"
	case 3:
		names := regexp.MustCompile(`"[A-Za-z]+":`)
		all := names.FindAllIndex(document, -1)
		return replace(all[r.IntN(min(len(all), 20))], `"other":`), "a member of another name"
	case 4:
		return replace(pick(`20\d\d-`), fmt.Sprint([]int{2020, 2024, 2025, 2026, 2031}[r.IntN(5)], "-")), "a date"
	case 5:
		at := pick(`[0-9A-F]{4,}`)
		return replace([]int{at[0], at[0] + min(1, at[1]-at[0])}, fmt.Sprintf("%X", r.IntN(16))), "a digit"
	}
	at := pick(`[{}:,]`)
	return replace([]int{at[0], at[0]}, " "), "white space"
}

// changeCertificates changes who may sign, when, and what is revoked.
func changeCertificates(r *rand.Rand, p *parts, at time.Time) string {
	cert := []*x509.Certificate{p.leaf, p.ca, p.signer, p.root}[r.IntN(4)]
	name := cert.Subject.CommonName
	switch r.IntN(9) {
	case 0:
		cert.NotAfter = at.Add(-time.Hour)
		return name + " has expired"
	case 1:
		cert.NotBefore = at.Add(time.Hour)
		return name + " is of the future"
	case 2:
		cert.RawSubject, cert.Subject.CommonName = nil, "Intel SGX PCK Processor CA"
		return name + " is named for another role"
	case 3:
		cert.IsCA, cert.BasicConstraintsValid, cert.MaxPathLen, cert.MaxPathLenZero = !cert.IsCA, true, -1, false
		return name + " has the other CA flag"
	case 4:
		list := p.pckCRL
		if cert == p.ca || cert == p.signer {
			list = p.rootCRL
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: at})
		return name + " is revoked"
	case 5:
		list := []*x509.RevocationList{p.pckCRL, p.rootCRL}[r.IntN(2)]
		list.NextUpdate = at.Add(-time.Second)
		return "a list is past its date"
	case 6:
		list := []*x509.RevocationList{p.pckCRL, p.rootCRL}[r.IntN(2)]
		list.ThisUpdate = at.Add(time.Hour)
		return "a list is of the future"
	case 7:
		p.pckCRL, p.rootCRL = p.rootCRL, p.pckCRL
		return "the entries of the lists changed over"
	}
	return changeExtension(r, p.leaf)
}

// changeExtension changes a byte of the PCK certificate's extension of Intel's.
func changeExtension(r *rand.Rand, leaf *x509.Certificate) string {
	for _, x := range leaf.Extensions {
		if x.Id.String() == "1.2.840.113741.1.13.1" {
			x.Value = bytes.Clone(x.Value)
			x.Value[r.IntN(len(x.Value))] ^= 1 << r.IntN(8)
			leaf.ExtraExtensions = append(leaf.ExtraExtensions, x)
		}
	}
	return "Intel's extension"
}
