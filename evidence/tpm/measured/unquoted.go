package measured

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// Unquoted is what a log says of itself. It is judged by the rules of Verify, but no TPM vouches for any of it: anybody can
// write such a log. It is for showing to people, and of a type of its own so that nothing takes it for a Boot. Only ReadUnquoted
// makes one.
type Unquoted struct {
	boot  Boot
	banks []tpm.Bank
}

// ReadUnquoted judges a TCG log, and the IMA list of the same boot unless it is nil, as if every PCR were quoted with the value that the logs
// themselves lead to, in all banks of the TCG log but SHA-1; in that one if there is no other. The error is one of Verify, never of
// EventLogReplay.
func ReadUnquoted(log *eventlog.Log, list *ima.List, opt Options) (*Unquoted, error) {
	u, err := readUnquoted(log, list, opt)
	if r := (*evidence.Refusal)(nil); errors.As(err, &r) {
		return nil, opt.Journal.Fail(r)
	}
	return u, err
}

func readUnquoted(log *eventlog.Log, list *ima.List, opt Options) (*Unquoted, error) {
	logs, entries := []Log{{TCG: log}}, unquoted
	if list != nil {
		logs, entries = append(logs, Log{IMA: list}), len(list.Entries())
	}
	in, err := sort(logs)
	if err != nil {
		return nil, err
	}
	if list != nil {
		if err := in.onlyIMA(); err != nil {
			return nil, err
		}
	}
	banks, err := replayed(log)
	if err != nil {
		return nil, err
	}
	if list != nil {
		for i := range banks {
			banks[i].Values[ima.PCR] = list.Replay(banks[i].Alg, banks[i].Values[ima.PCR])
		}
	}
	j := newJudge(in, banks, opt)
	if err := j.logs(logs, entries); err != nil {
		return nil, err
	}
	return &Unquoted{j.boot, banks}, nil
}

// replayed are the values that the log leads to, in the banks that count.
func replayed(log *eventlog.Log) ([]tpm.Bank, error) {
	algs := slices.Clone(log.Algs())
	if len(algs) > 1 {
		algs = slices.DeleteFunc(algs, func(a tpm.Alg) bool { return a == tpm.SHA1 })
	}
	var banks []tpm.Bank
	for _, a := range algs {
		b, err := eventlog.Replay(a, false, log)
		if err != nil {
			return nil, err
		}
		banks = append(banks, *b)
	}
	return banks, nil
}

// Events is as that of a Boot.
func (u *Unquoted) Events(opt EventsOptions) (jsontext.Value, error) { return u.boot.Events(opt) }

// PCRs writes the claim pcrs as [PCRs] would.
func (u *Unquoted) PCRs() jsontext.Value { return writePCRs(slices.Clone(u.banks), false) }

// SecureBoot is as that of a Boot.
func (u *Unquoted) SecureBoot() SecureBoot { return u.boot.SecureBoot() }

// Settings is as that of a Boot.
func (u *Unquoted) Settings(id sipa.ID) []Setting { return u.boot.Settings(id) }

// Covers is true of all PCRs but 16 and 23.
func (u *Unquoted) Covers(pcr int) bool { return u.boot.Covers(pcr) }
