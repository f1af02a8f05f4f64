package measured

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// EventsOptions change the claim events.
type EventsOptions struct {
	Digests bool // switch tpm_event_digests
}

// MaxEvents bounds the claim events, and bootEvents, in bytes of JSON. A log of 2 MiB of real records makes 3 MB; Windows events that
// were written to be costly become ten times as long.
const MaxEvents = 16 << 20

// Events writes the claim events or bootEvents (tpm.md sections 9.1 and 9.2): every record of every log, counted from 1, with
// ProcessedData where its data is believed. The error is an [evidence.Refusal] of WindowsEvents, or of EventLogFormat for a claim over
// MaxEvents.
func (b *Boot) Events(opt EventsOptions) (jsontext.Value, error) {
	dst := append(make([]byte, 0, b.sizeHint()), `{"Events":[`...)
	for i := range b.events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"EventSeq":`...), int64(i+1), 10)
		var err error
		if dst, err = b.appendEvent(dst, &b.events[i], opt); err != nil {
			return nil, err
		}
		if dst = append(dst, '}'); len(dst) > MaxEvents {
			return nil, evidence.Refuse(evidence.EventLogFormat, "the logs make too long a list of events").
				Want(fmt.Sprintf("at most %d bytes of JSON", MaxEvents), fmt.Sprintf("more after %d of %d events", i+1, len(b.events))).Do(resend)
		}
	}
	return append(dst, `]}`...), nil
}

// sizeHint guesses the size of the claim, so that it is written without being moved often.
func (b *Boot) sizeHint() int {
	const each = 128
	size := 0
	for i := range b.events {
		size += each
		if r := b.events[i].record; r != nil && b.events[i].decoded != nil {
			size += len(r.Data) + len(r.Data)/2
		}
	}
	return size
}

// appendEvent writes the members of an event that follow its number.
func (b *Boot) appendEvent(dst []byte, e *event, opt EventsOptions) ([]byte, error) {
	name := "IMA_MEASUREMENT_EVENT"
	if e.record != nil {
		dst = strconv.AppendUint(append(dst, `,"EventType":`...), uint64(e.record.Type), 10)
		name = e.record.Type.String()
	}
	dst = append(append(append(dst, `,"EventTypeString":"`...), name...), '"')
	if e.pcr != eventlog.Outside {
		dst = strconv.AppendUint(append(dst, `,"PcrIndex":`...), uint64(e.pcr), 10)
	}
	if e.decoded != nil {
		const member = `,"ProcessedData":`
		start := len(dst)
		var err error
		if dst, err = e.decoded.appendTo(append(dst, member...)); err != nil {
			return nil, err
		}
		if string(dst[start+len(member):]) == `{}` { // nothing of it has a name
			dst = dst[:start]
		}
	}
	if opt.Digests && e.record != nil {
		dst = b.appendDigests(dst, e.record)
	}
	return dst, nil
}

// appendDigests writes the digests that are quoted.
func (b *Boot) appendDigests(dst []byte, r *eventlog.Record) []byte {
	banks := b.quoted.of(r)
	if !r.Extended() || len(banks) == 0 {
		return dst
	}
	dst = append(dst, `,"Digests":{`...)
	for i, a := range ascending(banks) {
		if i > 0 {
			dst = append(dst, ',')
		}
		d, _ := r.Digest(a)
		dst = appendDigest(dst, a, d, false)
	}
	return append(dst, '}')
}

// ascending gives the banks from SHA1 on, as the claims list them.
func ascending(banks []tpm.Alg) []tpm.Alg { return slices.Sorted(slices.Values(banks)) }

func appendDigest(dst []byte, a tpm.Alg, digest []byte, inHex bool) []byte {
	dst = append(append(append(dst, '"'), a.String()...), `":"`...)
	if inHex {
		dst = hex.AppendEncode(dst, digest)
	} else {
		dst = base64.RawURLEncoding.AppendEncode(dst, digest)
	}
	return append(dst, '"')
}

// PCRs writes the claim pcrs (tpm.md section 9.3): every quoted PCR by rising index with its value in each bank that counts, in
// base64url, or in lower-case hex.
func PCRs(q *tpm.Quoted, hex bool) jsontext.Value { return writePCRs(slices.Clone(q.Banks()), hex) }

func writePCRs(banks []tpm.Bank, hex bool) jsontext.Value {
	slices.SortFunc(banks, func(a, b tpm.Bank) int { return int(a.Alg) - int(b.Alg) })
	dst := []byte(`{"PCRs":[`)
	for pcr := range tpm.PCRCount {
		if !slices.ContainsFunc(banks, func(b tpm.Bank) bool { return b.Values[pcr] != nil }) {
			continue
		}
		dst = strconv.AppendInt(append(dst, `{"Index":`...), int64(pcr), 10)
		dst = append(dst, `,"Digests":{`...)
		for _, b := range banks {
			if v := b.Values[pcr]; v != nil {
				dst = append(appendDigest(dst, b.Alg, v, hex), ',')
			}
		}
		dst = append(bytes.TrimSuffix(dst, []byte(",")), `}},`...)
	}
	return append(bytes.TrimSuffix(dst, []byte(",")), `]}`...)
}
