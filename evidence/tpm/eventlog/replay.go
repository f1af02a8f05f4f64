package eventlog

import (
	"bytes"
	"hash"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// The PCRs of a dynamic launch: FF until there was one.
const (
	firstDynamic = 17
	lastDynamic  = 22
)

// Replay gives all 24 PCR values of a bank after the logs, one after the other, beginning with a reset of the TPM: zeros, but
// for the startup locality in PCR 0, which is that of the first log that tells one. With drtm PCR 17 to 22 begin with zero,
// else with FF (tpm-evidence.md section 6). The error is an [evidence.Refusal] of EventLogBank for a log without the bank, or
// of EventLogStart for logs that tell different localities.
func Replay(a tpm.Alg, drtm bool, logs ...*Log) (*tpm.Bank, error) {
	for i, l := range logs {
		if !slices.Contains(l.algs, a) {
			return nil, evidence.Refuse(evidence.EventLogBank, "event log %d has no digests of the bank", i+1).Want(a, names(l.algs)).
				Do("quote a bank that the event logs have, or send the logs in the crypto-agile form")
		}
	}
	if a.Size() == 0 {
		return nil, evidence.Refuse(evidence.EventLogBank, "the bank cannot be replayed").Want("SHA1, SHA256, SHA384 or SHA512", a).
			Do("quote a bank of one of these hashes")
	}
	locality, err := startupLocality(logs)
	if err != nil {
		return nil, err
	}
	b, h := start(a, drtm, locality), a.Hash().New()
	for _, l := range logs {
		l.extend(b, h)
	}
	return b, nil
}

func names(algs []tpm.Alg) string {
	var s []string
	for _, a := range algs {
		s = append(s, a.String())
	}
	return strings.Join(s, ", ")
}

// startupLocality is the one that the logs tell, 0 without.
func startupLocality(logs []*Log) (byte, error) {
	found := noLocality
	for i, l := range logs {
		switch {
		case l.locality == noLocality:
		case found == noLocality:
			found = l.locality
		case l.locality != found:
			return 0, evidence.Refuse(evidence.EventLogStart, "event log %d tells another startup locality than one before it", i+1).
				Want(found, l.locality).Do("send logs of one start of the machine only")
		}
	}
	return byte(max(found, 0)), nil
}

// start gives the values after a reset.
func start(a tpm.Alg, drtm bool, locality byte) *tpm.Bank {
	b, size := &tpm.Bank{Alg: a}, a.Size()
	all := make([]byte, tpm.PCRCount*size)
	for i := range b.Values {
		b.Values[i] = all[i*size : (i+1)*size : (i+1)*size]
		if !drtm && i >= firstDynamic && i <= lastDynamic {
			copy(b.Values[i], bytes.Repeat([]byte{0xFF}, size))
		}
	}
	b.Values[0][size-1] = locality
	return b
}

// extend adds the records of the log to the bank, which it has. Each value is written over in place.
func (l *Log) extend(b *tpm.Bank, h hash.Hash) {
	for i := range l.records {
		r := &l.records[i]
		d, ok := r.Digest(b.Alg)
		if !ok || !r.Extended() {
			continue
		}
		value := b.Values[r.PCR]
		h.Reset()
		h.Write(value)
		h.Write(d)
		h.Sum(value[:0])
	}
}
