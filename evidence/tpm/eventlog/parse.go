package eventlog

import (
	"bytes"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/binread"
)

// Fixed values of the format (tpm-evidence.md section 4).
const (
	maxAlgs = 8 // tcg_algorithms

	legacyHeader = 32 // pcr u32, type u32, SHA-1 digest, size u32
	agileHeader  = 12 // pcr u32, type u32, number of digests u32
	endHeader    = 8  // what of a header must be there to end a log: pcr u32, type u32

	specIDSignature   = "Spec ID Event03\x00"
	localitySignature = "StartupLocality\x00"

	// usualRecord is about the size of a record in real logs: so much of the log makes room for one at the start.
	usualRecord = 256
)

const whole = "send the log exactly as the firmware or the operating system hands it out"

// parser reads one log.
type parser struct {
	log    *Log
	form   *form
	c      *binread.Cursor
	input  []byte
	limits Limits
	start  int // of the record being read
}

// Parse reads a log to its end. The log keeps parts of b. The error is an [evidence.Refusal] of EventLogFormat, EventLogBank or
// EventLogStart that names the record, counted from 1, and its offset.
func Parse(b []byte, l Limits) (*Log, error) {
	if len(b) > l.Size {
		return nil, evidence.Refuse(evidence.EventLogFormat, "the event log is too long").
			Want(fmt.Sprintf("at most %d bytes", l.Size), fmt.Sprintf("%d bytes", len(b))).Do("raise the limit tcg_log if the log is genuine")
	}
	p := parser{
		log: &Log{
			algs: []tpm.Alg{tpm.SHA1}, legacy: true, locality: noLocality,
			records: make([]Record, 0, min(len(b)/usualRecord+1, max(l.Records, 0))),
		},
		form: &form{legacy: true}, c: binread.New(b), input: b, limits: l,
	}
	for !p.ended() {
		if err := p.record(); err != nil {
			return nil, err
		}
	}
	if len(p.log.records) == 0 {
		return nil, evidence.Refuse(evidence.EventLogFormat, "the event log is empty").Want("at least one record", fmt.Sprintf("%d bytes without one", len(b))).Do(whole)
	}
	return p.log, nil
}

// ended reports whether nothing is left but what firmware fills its buffers with: zeros, or FF, from the header of a
// record on.
func (p *parser) ended() bool {
	rest := p.input[p.c.Offset():]
	return len(rest) == 0 || len(rest) >= endHeader && (only(rest, 0) || only(rest, 0xFF))
}

func only(b []byte, value byte) bool {
	for _, v := range b {
		if v != value {
			return false
		}
	}
	return true
}

// record reads one record and what it says about the log.
func (p *parser) record() error {
	p.start = p.c.Offset()
	if len(p.log.records) >= p.limits.Records {
		return p.refuse(evidence.EventLogFormat, "is one too many").Want(fmt.Sprintf("at most %d records", p.limits.Records), "more").
			Do("raise the limit tcg_log_records if the log is genuine")
	}
	r := Record{PCR: p.c.LE32("PCR index"), Type: Type(p.c.LE32("event type")), form: p.form}
	if err := p.checkHeader(&r); err != nil {
		return err
	}
	digests, err := p.digests()
	if err != nil {
		return err
	}
	r.digests = digests
	if r.Data, err = p.data(); err != nil {
		return err
	}
	if err := p.noAction(&r); err != nil {
		return err
	}
	p.log.records = append(p.log.records, r)
	return nil
}

// checkHeader refuses PCRs that do not exist, and headers that end a log although more than padding follows.
func (p *parser) checkHeader(r *Record) error {
	switch {
	case p.c.Err() != nil:
		return p.short()
	case r.PCR == Outside && r.Type == 0xFFFFFFFF, p.zeroHeader():
		return p.refuse(evidence.EventLogFormat, "has the header that ends a log, but not only padding follows").Do(whole)
	case r.PCR >= tpm.PCRCount && r.PCR != Outside:
		return p.refuse(evidence.EventLogFormat, "is of a PCR that does not exist").Want("PCR 0 to 23, or FFFFFFFF", r.PCR).Do(whole)
	}
	return nil
}

// zeroHeader reports whether all of a header is there, and zero.
func (p *parser) zeroHeader() bool {
	size := agileHeader
	if p.form.legacy {
		size = legacyHeader
	}
	rest := p.input[p.start:]
	return len(rest) >= size && only(rest[:size], 0)
}

// digests reads the digests of a record, and gives their place in the log.
func (p *parser) digests() ([]byte, error) {
	if p.form.legacy {
		return p.c.Bytes("digest", tpm.SHA1.Size()), p.short()
	}
	count := p.c.LE32("number of digests")
	if count > maxAlgs {
		return nil, p.refuse(evidence.EventLogFormat, "has too many digests").Want(fmt.Sprintf("at most %d", maxAlgs), count).Do(whole)
	}
	begin, seen := p.c.Offset(), [maxAlgs]bool{}
	for range count {
		if err := p.digest(&seen); err != nil {
			return nil, err
		}
	}
	for i, b := range p.form.banks {
		if !seen[i] && p.c.Err() == nil {
			return nil, p.refuse(evidence.EventLogBank, "has no digest of a bank that the log announces").Want(b.alg, "none").Do(whole)
		}
	}
	return p.input[begin:p.c.Offset():p.c.Offset()], p.short()
}

// digest reads one digest of a crypto-agile record. A cut one is left to the cursor's error.
func (p *parser) digest(seen *[maxAlgs]bool) error {
	alg := tpm.Alg(p.c.LE16("hash of digest"))
	if p.c.Err() != nil {
		return nil
	}
	i := p.form.index(alg)
	switch {
	case i < 0:
		return p.refuse(evidence.EventLogBank, "has a digest of a bank that the log does not announce").Want("an announced bank", alg).Do(whole)
	case seen[i]:
		return p.refuse(evidence.EventLogBank, "has two digests of a bank").Want("one of "+alg.String(), "two").Do(whole)
	}
	seen[i] = true
	p.c.Bytes("digest", p.form.banks[i].size)
	return nil
}

// data reads the data of the event.
func (p *parser) data() ([]byte, error) {
	size := p.c.LE32("size of event data")
	if p.c.Err() == nil && uint64(size) > uint64(max(p.limits.EventData, 0)) {
		return nil, p.refuse(evidence.EventLogFormat, "has too much data").Want(fmt.Sprintf("at most %d bytes", p.limits.EventData), fmt.Sprintf("%d bytes", size)).
			Do("raise the limit tcg_event_data if the log is genuine")
	}
	return p.c.Bytes("event data", int(size)), p.short()
}

// noAction reads what a record that is not extended says about the log: its form, or how the TPM was started. The first is
// said by the first record only, the second for PCR 0 only.
func (p *parser) noAction(r *Record) error {
	if r.Type != NoAction || r.PCR != 0 {
		return nil
	}
	switch first := len(p.log.records) == 0; {
	case first && bytes.HasPrefix(r.Data, []byte(specIDSignature)):
		r.form = nil
		return p.specID(r.Data)
	case bytes.HasPrefix(r.Data, []byte(localitySignature)):
		return p.startupLocality(r.Data[len(localitySignature):])
	}
	return nil
}

// specID reads the Spec ID record, which makes the log a crypto-agile one.
func (p *parser) specID(data []byte) error {
	c := binread.New(data)
	c.Bytes("signature", len(specIDSignature))
	c.Bytes("platform class, version and size of integers", 8)
	count := c.LE32("number of algorithms")
	if c.Err() == nil && (count == 0 || count > maxAlgs) {
		c.Fail("number of algorithms: expected 1 to %d, found %d", maxAlgs, count)
	}
	f := new(form)
	for range min(count, maxAlgs) {
		f.announce(c)
	}
	vendor := c.Bytes("size of vendor information", 1)
	if len(vendor) == 1 {
		c.Bytes("vendor information", int(vendor[0]))
	}
	if err := c.Done("Spec ID record"); err != nil {
		return p.refuse(evidence.EventLogFormat, "is no Spec ID record").Because(err).Do(whole)
	}
	p.form, p.log.legacy, p.log.algs = f, false, f.known()
	return nil
}

// announce reads a hash of the Spec ID record. The size of one that is not known must be believed.
func (f *form) announce(c *binread.Cursor) {
	b := bank{tpm.Alg(c.LE16("algorithm")), int(c.LE16("digest size"))}
	known := b.alg.Size()
	switch {
	case c.Err() != nil:
	case f.index(b.alg) >= 0:
		c.Fail("algorithm: %s is there twice", b.alg)
	case b.size == 0, known != 0 && b.size != known:
		c.Fail("digest size of %s: found %d", b.alg, b.size)
	}
	f.banks = append(f.banks, b)
}

// known are the banks that can be replayed.
func (f *form) known() []tpm.Alg {
	var algs []tpm.Alg
	for _, b := range f.banks {
		if b.alg.Size() != 0 {
			algs = append(algs, b.alg)
		}
	}
	return algs
}

// startupLocality reads the rest of a StartupLocality event: 0, 3, or 4 for a start by H-CRTM.
func (p *parser) startupLocality(value []byte) error {
	const remedy = "the firmware's log is damaged, or was changed: restart the machine and attest again"
	switch {
	case p.log.locality != noLocality:
		return p.refuse(evidence.EventLogStart, "tells the startup locality again").Want("once", "twice").Do(remedy)
	case len(value) != 1 || value[0] != 0 && value[0] != 3 && value[0] != 4:
		return p.refuse(evidence.EventLogStart, "tells no startup locality").Want("one byte: 0, 3 or 4", fmt.Sprintf("%x", value[:min(len(value), 8)])).Do(remedy)
	}
	p.log.locality = int(value[0])
	return nil
}

// short is the refusal of a record that does not fit, nil while all fits.
func (p *parser) short() error {
	if p.c.Err() == nil {
		return nil
	}
	return p.refuse(evidence.EventLogFormat, "is cut short").Because(p.c.Err()).Do(whole)
}

// refuse names the record being read.
func (p *parser) refuse(check evidence.Check, problem string) *evidence.Refusal {
	return evidence.Refuse(check, "record %d of the event log, at offset %d, %s", len(p.log.records)+1, p.start, problem)
}
