package measured

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// PCRs that software can reset at any time: never compared and never used (tpm.md section 7.2).
const (
	debugPCR       = 16
	applicationPCR = 23
)

// unquoted stands for the number of entries of an IMA list that a quote covers where it does not have PCR 10.
const unquoted = -1

// sorted are the logs by their kind.
type sorted struct {
	tcg  []*eventlog.Log
	list *ima.List // nil without one
	drtm bool
}

func sort(logs []Log) (in sorted, err error) {
	for i, l := range logs {
		switch {
		case (l.TCG == nil) == (l.IMA == nil):
			return in, evidence.Refuse(evidence.EventLogFormat, "log %d is not one log", i+1).Want("a TCG log or an IMA list", "both or neither").
				Do("send each log by itself")
		case l.TCG != nil:
			in.tcg, in.drtm = append(in.tcg, l.TCG), in.drtm || l.DRTM
		case in.list != nil:
			return in, evidence.Refuse(evidence.IMAReplay, "log %d is a second IMA list", i+1).Want("one list at most", "two").
				Do("send the list that the kernel has, which goes on over kexec")
		default:
			in.list = l.IMA
		}
	}
	return in, nil
}

// replay holds the logs against every bank of the quote. It gives how many entries of the IMA list the quote covers, or
// unquoted.
func (in *sorted) replay(q *tpm.Quoted) (entries int, err error) {
	start, quoted := map[tpm.Alg][]byte{}, map[tpm.Alg][]byte{}
	for _, bank := range q.Banks() {
		if err := in.hasBank(bank.Alg); err != nil {
			return 0, err
		}
		replayed, err := eventlog.Replay(bank.Alg, in.drtm, in.tcg...)
		if err != nil {
			return 0, err
		}
		if v := bank.Values[ima.PCR]; v != nil && in.list != nil {
			start[bank.Alg], quoted[bank.Alg] = replayed.Values[ima.PCR], v
		}
		if err := in.compare(&bank, replayed); err != nil {
			return 0, err
		}
	}
	if len(quoted) == 0 {
		return unquoted, nil
	}
	if err := in.onlyIMA(); err != nil {
		return 0, err
	}
	return in.list.Match(start, quoted)
}

// onlyIMA refuses records of PCR 10 in TCG logs beside an IMA list: they would be the beginning of the list, which nobody would see then.
func (in *sorted) onlyIMA() error {
	for i, l := range in.tcg {
		for k := range l.Records() {
			if r := &l.Records()[k]; r.PCR == ima.PCR && r.Extended() {
				return evidence.Refuse(evidence.IMAReplay, "record %d of TCG log %d is of PCR 10, which an IMA list came for", k+1, i+1).
					Want("nothing of PCR 10 in TCG logs", r.Type).Do("send the IMA list as the kernel keeps it, from its first entry on")
			}
		}
	}
	return nil
}

// hasBank refuses TCG logs without digests of a bank that is quoted.
func (in *sorted) hasBank(a tpm.Alg) error {
	for i, l := range in.tcg {
		if slices.Contains(l.Algs(), a) {
			continue
		}
		r := evidence.Refuse(evidence.EventLogBank, "TCG log %d has no digests of a bank that is quoted", i+1)
		if l.Legacy() {
			return r.Want(a, "a log in SHA-1 form").Do("send the log in the crypto-agile form; where the machine has no other, " +
				"quote its SHA-1 bank only, which a provider accepts with tpm_allow_sha1 on")
		}
		return r.Want(a, l.Algs()).Do("quote only banks that the firmware logs")
	}
	return nil
}

// compare refuses a quoted value that the TCG logs do not lead to, also one of a PCR that they have no event of. PCR 10 is left to
// the IMA list if there is one.
func (in *sorted) compare(quoted, replayed *tpm.Bank) error {
	for pcr, v := range quoted.Values {
		skip := v == nil || pcr == debugPCR || pcr == applicationPCR || pcr == ima.PCR && in.list != nil
		if skip || bytes.Equal(v, replayed.Values[pcr]) {
			continue
		}
		remedy := "send the whole log of this boot; a PCR that the running system extends must not be quoted"
		if pcr == ima.PCR {
			remedy = "send the IMA list, or do not quote PCR 10"
		}
		return evidence.Refuse(evidence.EventLogReplay, "the logs do not lead to the quoted value of PCR %d in the bank %v", pcr, quoted.Alg).
			Want(hex.EncodeToString(v), hex.EncodeToString(replayed.Values[pcr])).Do(remedy)
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
