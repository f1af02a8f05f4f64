package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// machineLogs are the logs of one boot: the TCG log, and the IMA list unless it is nil.
type machineLogs struct {
	log  *eventlog.Log
	list *ima.List
}

func readLogs(log, list []byte) (*machineLogs, error) {
	var m machineLogs
	var err error
	if m.log, err = eventlog.Parse(log, eventlog.DefaultLimits()); err != nil {
		return nil, err
	}
	if list != nil {
		if m.list, err = readIMA(list); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

// readIMA reads a list in binary or in ascii form. The template hashes are of SHA-1, or in files of other banks of theirs: which one, only the
// ascii form says, so that each is tried.
func readIMA(b []byte) (*ima.List, error) {
	parse := ima.ParseBinary
	if text := bytes.TrimLeft(b, " "); len(text) > 0 && text[0] >= '0' && text[0] <= '9' {
		parse = ima.ParseASCII
	}
	var first error
	for _, a := range []tpm.Alg{tpm.SHA1, tpm.SHA256, tpm.SHA384, tpm.SHA512} {
		l, err := parse(b, a, ima.DefaultLimits())
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// replay gives the values that the logs lead to, in all banks of the TCG log.
func (m *machineLogs) replay() ([]tpm.Bank, error) {
	var banks []tpm.Bank
	for _, a := range m.log.Algs() {
		b, err := eventlog.Replay(a, false, m.log)
		if err != nil {
			return nil, err
		}
		if m.list != nil {
			b.Values[ima.PCR] = m.list.Replay(a, b.Values[ima.PCR])
		}
		banks = append(banks, *b)
	}
	return banks, nil
}

// judge applies the rules for policies: against the quote, or without one against the logs themselves. It gives nil, and no typed one, with
// an error.
func (m *machineLogs) judge(q *tpm.Quoted, j *evidence.Journal) (judged, error) {
	opt := measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits(), Journal: j}
	if q == nil {
		u, err := measured.ReadUnquoted(m.log, m.list, opt)
		if err != nil {
			return nil, err
		}
		return u, nil
	}
	logs := []measured.Log{{TCG: m.log}}
	if m.list != nil {
		logs = append(logs, measured.Log{IMA: m.list})
	}
	b, err := measured.Verify(logs, q, opt)
	if err != nil {
		return nil, err
	}
	for pcr := range tpm.PCRCount {
		if b.Covers(pcr) {
			return b, nil
		}
	}
	return nil, j.Fail(evidence.Refuse(evidence.PCRSelection, "the quote vouches for nothing of a log").
		Want("a PCR other than 16 and 23, which any program can reset", "none").Do("quote the PCRs that the log is of, such as 0 to 14"))
}

// covered is how many entries of the IMA list lead to the values of PCR 10; all of them where no value is given.
func (m *machineLogs) covered(values []tpm.Bank) (int, error) {
	start, want := map[tpm.Alg][]byte{}, map[tpm.Alg][]byte{}
	for _, b := range values {
		if v := b.Values[ima.PCR]; v != nil {
			start[b.Alg], want[b.Alg] = make([]byte, b.Alg.Size()), v
		}
	}
	if len(want) == 0 {
		return len(m.list.Entries()), nil
	}
	return m.list.Match(start, want)
}

// difference is a PCR that does not have the value that the log leads to.
type difference struct {
	Bank     string `json:"bank"`
	PCR      int    `json:"pcr"`
	Value    string `json:"value"`
	Replayed string `json:"replayed"`
}

// PCRs that any program can reset.
const debugPCR, applicationPCR = 16, 23

// unexplained holds values against those that the logs lead to, in the banks that both have. PCR 16 and 23 say nothing. PCR 10 may have
// the value of any beginning of an IMA list.
func (m *machineLogs) unexplained(values []tpm.Bank) ([]difference, error) {
	replayed, err := m.replay()
	if err != nil {
		return nil, err
	}
	begun := false
	if m.list != nil {
		_, err := m.covered(values)
		begun = err == nil
	}
	all := []difference{}
	for _, want := range values {
		for _, got := range replayed {
			for i, v := range want.Values {
				if v == nil || got.Alg != want.Alg || i == debugPCR || i == applicationPCR || i == ima.PCR && begun || bytes.Equal(v, got.Values[i]) {
					continue
				}
				all = append(all, difference{strings.ToLower(got.Alg.String()), i, hex.EncodeToString(v), hex.EncodeToString(got.Values[i])})
			}
		}
	}
	return all, nil
}

// comparable refuses values of which the log has nothing to compare some with: then no difference would read as a match.
func comparable(log *eventlog.Log, values []tpm.Bank) error {
	const remedy = "give values of a bank that the log has, as tpm2_pcrread shows them"
	any := values == nil
	for _, b := range values {
		if !slices.Contains(log.Algs(), b.Alg) {
			return evidence.Refuse(evidence.EventLogBank, "values were given of a bank that the log has no digests of").Want(log.Algs(), b.Alg).Do(remedy)
		}
		for pcr, v := range b.Values {
			any = any || v != nil && pcr != debugPCR && pcr != applicationPCR
		}
	}
	if !any {
		return evidence.Refuse(evidence.EventLogBank, "no value was given that can be compared").Want("a value of a PCR other than 16 and 23", "none").Do(remedy)
	}
	return nil
}

// withRemedy gives a refusal of values a remedy that these commands have. all are the PCRs that the logs do not lead to.
func (q *quoteFiles) withRemedy(err error, all []difference) error {
	var r *evidence.Refusal
	if !errors.As(err, &r) {
		return err
	}
	told := *r
	switch {
	case r.Check == evidence.PCRDigest && q.pcrs == nil:
		told.Remedy = "give the values that were quoted with --pcrs-file: then it shows which PCRs the logs do not lead to, and an IMA list may have grown since"
	case r.Check == evidence.EventLogReplay && len(all) > 0:
		told.Remedy = remedyOf(all[0].PCR, q.list != nil)
	}
	return &told
}

// remedyOf says what to do about a PCR that the logs do not lead to.
func remedyOf(pcr int, list bool) string {
	const firstWindows, lastWindows, firstDynamic, lastDynamic = 11, 14, 17, 22
	switch {
	case pcr == ima.PCR && !list:
		return "give the IMA list of the machine with --ima-log, or a quote without PCR 10"
	case pcr >= firstWindows && pcr <= lastWindows:
		return "give the log and the values of one boot; after hibernation Windows has a second log, of the resume, which is not read here: restart, and quote then"
	case pcr >= firstDynamic && pcr <= lastDynamic:
		return "give a quote without PCR 17 to 22: logs of a dynamic launch (DRTM) are not read here"
	}
	return "give the log and the values of one boot; leave out PCRs that the running system extends"
}
