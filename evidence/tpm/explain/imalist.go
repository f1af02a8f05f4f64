package explain

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// Measurement is an entry of an IMA list in words.
type Measurement struct {
	Seq    int // goes on from the events before the list
	PCR    uint32
	Covers Covers // CoversData, or CoversNothing for what PCR 10 does not cover
	Says   string // as that of an Event

	entry *ima.Entry
}

// Measurements tells what the entries of an IMA list mean. seq is the number of the first; covered is how many of them are in PCR 10 as it
// was quoted, see [ima.List.Match].
func Measurements(l *ima.List, seq, covered int) []Measurement {
	all := make([]Measurement, 0, len(l.Entries()))
	for i := range l.Entries() {
		e := &l.Entries()[i]
		m := Measurement{Seq: seq + i, PCR: e.PCR, Covers: CoversNothing, Says: measurementWords(e), entry: e}
		if i < covered && e.PCR == ima.PCR && !e.Violation {
			m.Covers = CoversData
		}
		all = append(all, m)
	}
	return all
}

// Names of entries that are of no file (tpm-evidence.md section 7).
const (
	bootAggregate = "boot_aggregate"
	kernelVersion = "kernel_version"
)

// measurementWords says what an entry means.
func measurementWords(e *ima.Entry) string {
	name := quoted([]byte(e.Name()))
	switch {
	case e.Violation:
		return "VIOLATION: " + name + " was open for writing while it was measured, so that nothing is known of it"
	case !e.Described():
		return "something of which the template " + quoted([]byte(e.Template())) + " tells no digest and no name"
	case e.Name() == bootAggregate:
		return "the PCRs of the boot as they were when IMA began (boot_aggregate): " + e.Digest()
	}
	if buffer := e.MeasuredBuffer(); buffer != nil {
		return bufferWords(e.Name(), buffer)
	}
	return fmt.Sprintf("the file %s, %s%s (template %s)", name, e.Digest(), signatureState(e), quoted([]byte(e.Template())))
}

// bufferWords says what was measured that is no file.
func bufferWords(name string, buffer []byte) string {
	if c, err := x509.ParseCertificate(buffer); err == nil {
		return fmt.Sprintf("a key came into the kernel's keyring %s: that of %s", quoted([]byte(name)), quoted([]byte(c.Subject.String())))
	}
	if name == kernelVersion {
		return "the version of the kernel is " + quoted(buffer)
	}
	return fmt.Sprintf("%s, which is no file: %s", quoted([]byte(name)), quoted(buffer))
}

// signatureState says whether a file carries a signature, and by which key.
func signatureState(e *ima.Entry) string {
	const (
		signature, verity = 3, 6 // the kind of extended attribute; its version, the hash, and the id of the key follow
		keyID             = 3
		end               = keyID + 4
	)
	switch sig := e.Signature(); {
	case len(sig) >= end && (sig[0] == signature || sig[0] == verity):
		return fmt.Sprintf(", with a signature of the key %x that nobody verified here", sig[keyID:end])
	case len(sig) > 0:
		return fmt.Sprintf(", with %d bytes in place of a signature", len(sig))
	case slices.Contains([]string{"ima-sig", "ima-sigv2", "ima-modsig"}, e.Template()):
		return ", without a signature"
	}
	return ""
}

// What findings about IMA are about.
const (
	aboutIMA       = "IMA"
	aboutAggregate = "boot_aggregate"
)

// SummarizeIMA tells what a person asks first about an IMA list. banks are the values that the event log of the same boot leads to; boot is as
// for Summarize.
func SummarizeIMA(list []Measurement, banks []tpm.Bank, boot Boot) []Finding {
	s := summary{boot: boot}
	if !s.covers(ima.PCR) {
		s.add(aboutIMA, Hint, "%s. The list has %s", s.doubt(), count(len(list), "entry"))
		return s.findings
	}
	s.measurements(list)
	s.aggregate(list, banks)
	return s.findings
}

// measurements counts what PCR 10 covers.
func (s *summary) measurements(list []Measurement) {
	covered, files, signed, others, violations, beyond := 0, 0, 0, 0, 0, 0
	for _, m := range list {
		switch {
		case m.entry.Violation:
			violations++
		case m.Covers != CoversData:
			beyond++
		case strings.HasPrefix(m.Says, "the file "):
			files++
			if len(m.entry.Signature()) > 0 {
				signed++
			}
		default:
			others++
		}
		if m.Covers == CoversData {
			covered++
		}
	}
	s.add(aboutIMA, Measured, "%s in PCR 10: %s, of which %d have a signature that nobody verified here; %s", count(covered, "entry"),
		count(files, "file"), signed, count(others, "other measurement"))
	if violations > 0 {
		s.add(aboutIMA, Hint, "VIOLATIONS: %s of files that were open for writing while they were measured", count(violations, "entry"))
	}
	if beyond > 0 {
		s.add(aboutIMA, Hint, "%s that PCR 10 as quoted does not cover", count(beyond, "entry"))
	}
}

// aggregate compares the first boot_aggregate with the PCRs that the event log leads to: it ties the list to the log.
func (s *summary) aggregate(list []Measurement, banks []tpm.Bank) {
	for _, m := range list {
		if m.Covers != CoversData || m.entry.Name() != bootAggregate {
			continue
		}
		alg, sum, _ := strings.Cut(m.entry.Digest(), ":")
		for _, b := range banks {
			if strings.EqualFold(b.Alg.String(), alg) {
				s.compareAggregate(sum, &b)
				return
			}
		}
		s.add(aboutAggregate, Silent, "not compared: it is of the bank %s, which the event log does not have", alg)
		return
	}
	s.add(aboutAggregate, Silent, "no entry ties the list to the event log")
}

// compareAggregate knows that the SHA-1 of PCR 0 to 7 is taken, and other hashes of PCR 0 to 9, or 0 to 7 before Linux 5.8.
func (s *summary) compareAggregate(sum string, b *tpm.Bank) {
	const older, newer = 8, 10
	of := func(pcrs int) string { return hex.EncodeToString(b.Alg.Sum(bytes.Join(b.Values[:pcrs], nil))) }
	switch {
	case strings.Trim(sum, "0") == "":
		s.add(aboutAggregate, Measured, "all zero: IMA found no TPM when it began")
	case sum == of(older):
		s.add(aboutAggregate, Measured, "FITS the event log: it is the hash of PCR 0 to 7")
	case b.Alg != tpm.SHA1 && sum == of(newer):
		s.add(aboutAggregate, Measured, "FITS the event log: it is the hash of PCR 0 to 9")
	default:
		s.add(aboutAggregate, Measured, "DOES NOT FIT the event log: the list is of another boot, or something was measured into PCR 0 to 9 after IMA began")
	}
}
