package measured

import (
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// The PCRs whose EV_EVENT_TAG must be what their digests say (tpm.md section 7.4).
const (
	firstTagPCR     = 11
	lastTagPCR      = 14
	firstDynamicPCR = 17
	lastDynamicPCR  = 22
)

// resend is what to do about logs that are not as a machine writes them.
const resend = "send the log as the firmware and the operating system keep it"

// judge goes through the records of one attestation.
type judge struct {
	coverage
	opt    Options
	drtm   bool
	boot   Boot
	secure pcr7
	win    windows
	number int // of the event, as EventSeq counts
}

func newJudge(in sorted, banks []tpm.Bank, opt Options) *judge {
	j := &judge{coverage: coverageOf(banks), opt: opt, drtm: in.drtm, secure: newPCR7(banks), win: newWindows(banks)}
	if opt.DRTMKey != nil && in.drtm {
		opt.Journal.Skip(evidence.WindowsEvents, "the signature of the dynamic launch: its layout is not public")
	}
	j.boot = Boot{quoted: j.coverage, events: make([]event, 0, in.size())}
	return j
}

// size is how many events the logs have at most.
func (in *sorted) size() (n int) {
	for _, l := range in.tcg {
		n += len(l.Records())
	}
	if in.list != nil {
		n += len(in.list.Entries())
	}
	return n
}

// logs judges all logs; entries is how many entries of the IMA list are quoted, or unquoted.
func (j *judge) logs(logs []Log, entries int) error {
	for _, l := range logs {
		if l.TCG == nil {
			if err := j.list(l.IMA, entries); err != nil {
				return err
			}
			continue
		}
		for i := range l.TCG.Records() {
			if err := j.record(&l.TCG.Records()[i]); err != nil {
				return err
			}
		}
	}
	if err := j.win.end(); err != nil {
		return err
	}
	j.opt.Journal.Pass(evidence.EventLogData, plural(j.number, "event", "events"))
	if !j.has(secureBootPCR) {
		j.opt.Journal.Skip(evidence.SecureBootLog, "PCR 7 is not quoted")
		return nil
	}
	return j.finishSecureBoot()
}

// record judges one record and lists it.
func (j *judge) record(r *eventlog.Record) error {
	j.number++
	data := believed{}
	if judged(r) {
		data = j.believe(r, r.Data)
	}
	d, err := j.decode(r, data)
	if err != nil {
		return err
	}
	if r.PCR == secureBootPCR && j.has(secureBootPCR) {
		if err := j.measuredSecureBoot(r, data, d); err != nil {
			return err
		}
	}
	j.watchWindows(r, data)
	if misplaced(r, d) {
		d = nil
	}
	j.boot.events = append(j.boot.events, event{r, r.PCR, d})
	return nil
}

// judged reports whether somebody wants to know if the digest of the record covers its data.
func judged(r *eventlog.Record) bool {
	switch r.Type {
	case eventlog.Separator, eventlog.Action, eventlog.EFIAction, eventlog.EventTag, eventlog.VariableDriverConfig,
		eventlog.VariableBoot, eventlog.VariableBoot2, eventlog.VariableAuthority:
		return true
	}
	return r.PCR == secureBootPCR
}

// decode reads what the claim events says of a record, nil for nothing. data is that of the record, if it is believed.
func (j *judge) decode(r *eventlog.Record, data believed) (decoded, error) {
	if len(j.of(r)) == 0 {
		return nil, nil
	}
	switch r.Type {
	case eventlog.Separator:
		return decodeSeparator(data), nil
	case eventlog.Action, eventlog.EFIAction:
		return decodeAction(data), nil
	case eventlog.VariableDriverConfig:
		if !data.holds {
			return nil, j.edited(r)
		}
		return decodeVariable(data, j.opt.Limits), nil
	case eventlog.VariableAuthority, eventlog.VariableBoot2:
		return decodeVariable(data, j.opt.Limits), nil
	case eventlog.VariableBoot:
		return j.bootVariable(r, data), nil
	case eventlog.EventTag:
		return j.eventTag(r, data)
	}
	return nil, nil
}

// bootVariable decodes an EV_EFI_VARIABLE_BOOT, whose digest may be that of the value alone: then nothing vouches for the name.
func (j *judge) bootVariable(r *eventlog.Record, data believed) decoded {
	if data.holds {
		return decodeVariable(data, j.opt.Limits)
	}
	label, err := eventlog.ParseVariable(r.Data, j.opt.Limits)
	if err != nil {
		return nil
	}
	return decodeValue(label, j.believe(r, label.Data))
}

// edited refuses a record whose data is not what was measured.
func (j *judge) edited(r *eventlog.Record) error {
	return j.refuse(evidence.EventLogData, r, "has data that was not measured").Want("data whose hash is the digest", "other data").Do(resend)
}

// refuse refuses a record; the problem goes on from its number, type and PCR.
func (j *judge) refuse(c evidence.Check, r *eventlog.Record, problem string) *evidence.Refusal {
	return evidence.Refuse(c, "%s %s", j.title(r), problem)
}

// title names a record: the type with its number, since anybody can change it.
func (j *judge) title(r *eventlog.Record) string {
	return fmt.Sprintf("event %d (%v 0x%X, PCR %d)", j.number, r.Type, uint32(r.Type), r.PCR)
}

// unreadable makes a refusal of the check of the error of a parser, and says what could not be read.
func unreadable(c evidence.Check, what string, err error) error {
	var r *evidence.Refusal
	if !errors.As(err, &r) {
		return evidence.Refuse(c, "%s cannot be read", what).Because(err).Do(resend)
	}
	out := *r
	out.Check, out.Problem = c, what+": "+r.Problem
	return &out
}
