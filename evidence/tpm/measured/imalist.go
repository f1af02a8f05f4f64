package measured

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// list lists the entries of an IMA list that the quote covers; entries behind them are left out. Where PCR 10 is not quoted
// all are listed and none is believed.
func (j *judge) list(l *ima.List, quoted int) error {
	all := l.Entries()
	if quoted != unquoted {
		all = all[:quoted]
	}
	for i := range all {
		j.number++
		var d decoded
		if e := believeEntry(&all[i], quoted != unquoted); e.entry != nil {
			if !e.entry.Described() {
				return evidence.Refuse(evidence.IMAFormat, "entry %d of the IMA list has a template that tells no file", i+1).
					Want("a digest and a name first, such as d-ng|n-ng", fmt.Sprintf("%q", e.entry.Template())).
					Do("boot with a built-in template (ima_template), or with a format that begins with a digest and a name (ima_template_fmt)")
			}
			d = decodeEntry(e)
		}
		j.boot.events = append(j.boot.events, event{pcr: all[i].PCR, decoded: d})
	}
	return nil
}

// believedEntry is an entry of an IMA list that a quote vouches for. The zero value is none. Only believeEntry makes one.
type believedEntry struct{ entry *ima.Entry }

// believeEntry gives an entry that stands in the quoted part of a list, whose template hash fits its data, if it was extended
// into PCR 10. A violation was not: the kernel extended FF bytes for it, whatever its data.
func believeEntry(e *ima.Entry, quoted bool) believedEntry {
	if !quoted || e.PCR != ima.PCR || e.Violation {
		return believedEntry{}
	}
	return believedEntry{e}
}

// kernelVersion is the entry by which the kernel tells its version, keyring one by which it tells of a certificate added to a
// keyring, measurement any other (tpm.md section 9.2).
type (
	kernelVersion string
	keyring       struct{ name, subject string }
	measurement   struct{ entry *ima.Entry }
)

// decodeEntry reads an entry, nil if it has a version that is no text. What its digest is of is a buffer, whatever the template is called,
// and nothing else is.
func decodeEntry(b believedEntry) decoded {
	e := b.entry
	buffer := e.MeasuredBuffer()
	if buffer == nil {
		return measurement(b)
	}
	if e.Name() == "kernel_version" {
		return decodeKernelVersion(buffer)
	}
	if subject, ok := certificateSubject(buffer); ok {
		return keyring{e.Name(), subject}
	}
	return measurement(b)
}

func decodeKernelVersion(text []byte) decoded {
	if !utf8.Valid(text) {
		return nil
	}
	return kernelVersion(text)
}

// certificateSubject gives the subject of a DER certificate, as RFC 4514 writes it.
func certificateSubject(der []byte) (string, bool) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return "", false
	}
	var subject pkix.RDNSequence
	if _, err := asn1.Unmarshal(c.RawSubject, &subject); err != nil {
		return "", false
	}
	return subjectText(subject), true
}

// subjectText writes a subject part by part: pkix.RDNSequence.String copies the text anew for each, and a subject may be as long as a list.
func subjectText(subject pkix.RDNSequence) string {
	names := make([]string, 0, len(subject))
	for _, name := range slices.Backward(subject) {
		parts := make([]string, 0, len(name))
		for i := range name {
			parts = append(parts, pkix.RDNSequence{name[i : i+1]}.String())
		}
		names = append(names, strings.Join(parts, "+"))
	}
	return strings.Join(names, ",")
}

func (v kernelVersion) appendTo(dst []byte) ([]byte, error) {
	return append(appendText(append(dst, `{"KernelVersion":`...), string(v)), '}'), nil
}

func (k keyring) appendTo(dst []byte) ([]byte, error) {
	dst = appendText(append(dst, `{"Keyring":`...), k.name)
	dst = appendText(append(dst, `,"CertificateSubject":`...), k.subject)
	return append(dst, '}'), nil
}

func (m measurement) appendTo(dst []byte) ([]byte, error) {
	dst = appendText(append(dst, `{"TemplateName":`...), m.entry.Template())
	dst = appendText(append(dst, `,"Name":`...), m.entry.Name())
	dst = appendText(append(dst, `,"Digest":`...), m.entry.Digest())
	return append(dst, '}'), nil
}
