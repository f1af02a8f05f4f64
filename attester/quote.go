package attester

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/internal/b64"
)

// quoteTries is how often a quote is made while the PCRs change under it, as PCR 10 does under IMA.
const quoteTries = 8

// imaTemplateHash is the hash of the lists that the protocol carries (tpm.md section 7.5).
const imaTemplateHash = tpm.SHA1

// quoted is a quote with all that explains it.
type quoted struct {
	attest, signature []byte
	banks             []tpm.Alg
	pcrs, unexplained []int
	values            []tpm.Bank
	log               []byte
	imaLog            []byte // nil: PCR 10 is not explained by one
}

// quote has the PCRs signed. The values must be those that were read before; if they changed, all is done again.
func (m *Machine) quote(aik *object, extraData []byte) (*quoted, error) {
	bytes, log, err := m.Logs.event()
	if err != nil {
		return nil, err
	}
	for range quoteTries {
		q, err := m.prepare(bytes, log)
		if err != nil {
			return nil, err
		}
		err = m.TPM.quote(q, aik, extraData)
		var refusal *evidence.Refusal
		if errors.As(err, &refusal) && refusal.Check == evidence.PCRDigest {
			continue
		}
		return q, err
	}
	return nil, problem(fmt.Sprintf("the PCRs changed during each of %d quotes", quoteTries), "try again when the machine is less busy, or leave PCR 10 out (--pcrs)", nil)
}

// prepare reads the PCRs and chooses those to be quoted. The IMA list is read after them, so that it has all that they have.
func (m *Machine) prepare(bytes []byte, log *eventlog.Log) (*quoted, error) {
	q := &quoted{log: bytes, pcrs: m.PCRs}
	var err error
	if q.banks, q.values, err = m.TPM.read(log); err != nil {
		return nil, err
	}
	imaBytes, list, err := m.Logs.ima()
	if err != nil {
		return nil, err
	}
	if err := q.choose(log, list); err != nil {
		return nil, err
	}
	if slices.Contains(q.pcrs, ima.PCR) {
		q.imaLog = imaBytes
	}
	for i := range q.values {
		for pcr := range tpm.PCRCount {
			if !slices.Contains(q.pcrs, pcr) {
				q.values[i].Values[pcr] = nil
			}
		}
	}
	return q, nil
}

// choose chooses the PCRs that the logs explain, unless the PCRs are given.
func (q *quoted) choose(log *eventlog.Log, list *ima.List) error {
	if q.pcrs != nil {
		q.pcrs = slices.Compact(slices.Sorted(slices.Values(q.pcrs)))
		return nil
	}
	explained, err := explain(q.values, log, list)
	if err != nil {
		return problem("the event log cannot be replayed", "restart the machine, or name the log of this boot (--event-log)", err)
	}
	for pcr, ok := range explained {
		switch {
		case ok:
			q.pcrs = append(q.pcrs, pcr)
		case !anybodys(pcr):
			q.unexplained = append(q.unexplained, pcr)
		}
	}
	if !explained[firmwarePCR] && !explained[secureBootPCR] {
		return problem("the event log leads neither to PCR 0 nor to PCR 7", "it is not the log of this boot of this machine: name the right one (--event-log)", nil)
	}
	return nil
}

// Two PCRs that each boot of a machine extends: what firmware is, and how secure boot is set. If a log explains neither, it is another machine's
// or another boot's.
const (
	firmwarePCR   = 0
	secureBootPCR = 7
)

// anybodys reports whether programs can reset the PCR, so that it says nothing (tpm.md section 7.2).
func anybodys(pcr int) bool { return pcr == 16 || pcr == 23 }

// explain says which PCRs have the values that the logs lead to, in every bank.
func explain(banks []tpm.Bank, log *eventlog.Log, list *ima.List) (explained [tpm.PCRCount]bool, err error) {
	for pcr := range explained {
		explained[pcr] = !anybodys(pcr)
	}
	start, now := map[tpm.Alg][]byte{}, map[tpm.Alg][]byte{}
	for _, bank := range banks {
		replayed, err := eventlog.Replay(bank.Alg, false, log)
		if err != nil {
			return explained, err
		}
		for pcr, value := range bank.Values {
			explained[pcr] = explained[pcr] && slices.Equal(value, replayed.Values[pcr])
		}
		start[bank.Alg], now[bank.Alg] = replayed.Values[ima.PCR], bank.Values[ima.PCR]
	}
	if list != nil {
		_, err := list.Match(start, now)
		explained[ima.PCR] = err == nil
	}
	return explained, nil
}

// quote signs the PCRs and holds the quote against what was read.
func (t *TPM) quote(q *quoted, aik *object, extraData []byte) error {
	const doing = "quoting the PCRs"
	answer, err := tpm2.Quote{
		SignHandle: aik.auth(), QualifyingData: tpm2.TPM2BData{Buffer: extraData},
		InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}, PCRSelect: selection(q.banks, q.pcrs),
	}.Execute(t.link)
	if err != nil {
		return failed(doing, err)
	}
	q.attest, q.signature = answer.Quoted.Bytes(), tpm2.Marshal(answer.Signature)
	attest, err := tpm.ParseAttest(q.attest, q.signature)
	if err != nil {
		return failed(doing, err)
	}
	if _, err := attest.VerifyQuote(tpm.QuoteInput{Key: aik.key, ExtraData: extraData, PCRs: q.values}); err != nil {
		return failed(doing, err)
	}
	return nil
}

func selection(banks []tpm.Alg, pcrs []int) tpm2.TPMLPCRSelection {
	var indices []uint
	for _, pcr := range pcrs {
		indices = append(indices, uint(pcr))
	}
	var s tpm2.TPMLPCRSelection
	for _, bank := range banks {
		s.PCRSelections = append(s.PCRSelections, tpm2.TPMSPCRSelection{Hash: tpm2.TPMAlgID(bank), PCRSelect: tpm2.PCClientCompatible.PCRs(indices...)})
	}
	return s
}

// read reads the banks that the log has and that count: SHA-256 and SHA-384.
func (t *TPM) read(log *eventlog.Log) (banks []tpm.Alg, values []tpm.Bank, err error) {
	for _, alg := range []tpm.Alg{tpm.SHA256, tpm.SHA384} {
		if !slices.Contains(log.Algs(), alg) {
			continue
		}
		bank := tpm.Bank{Alg: alg}
		there, err := t.readBank(&bank)
		if err != nil {
			return nil, nil, err
		}
		if there {
			banks, values = append(banks, alg), append(values, bank)
		}
	}
	if banks == nil {
		return nil, nil, problem("the event log and the TPM have no SHA-256 or SHA-384 bank in common",
			"turn the SHA-256 bank on in the firmware's setup, and restart", fmt.Errorf("the log has %v", log.Algs()))
	}
	return banks, values, nil
}

// readBank reads all PCRs of a bank; false: the TPM does not have it.
func (t *TPM) readBank(bank *tpm.Bank) (bool, error) {
	const perCommand = 8 // digests that an answer holds (TPML_DIGEST)
	for first := 0; first < tpm.PCRCount; first += perCommand {
		var pcrs []int
		for pcr := first; pcr < first+perCommand; pcr++ {
			pcrs = append(pcrs, pcr)
		}
		answer, err := tpm2.PCRRead{PCRSelectionIn: selection([]tpm.Alg{bank.Alg}, pcrs)}.Execute(t.link)
		if errors.Is(err, tpm2.TPMRCHash) || errors.Is(err, tpm2.TPMRCValue) {
			return false, nil
		}
		if err != nil {
			return false, failed("reading the PCRs", err)
		}
		if len(answer.PCRValues.Digests) != perCommand {
			return false, nil
		}
		for i, digest := range answer.PCRValues.Digests {
			bank.Values[first+i] = digest.Buffer
		}
	}
	return true, nil
}

// attestation is the member current_attestation of the request.
func (q *quoted) attestation(aik *object, certificate []byte) attestation {
	a := attestation{
		Logs: []logObject{{"TCG", b64.URL(q.log)}}, AIKCertificate: b64.URL(certificate), AIK: publicJWK(aik.key),
		Quote: b64.URL(q.attest), Signature: b64.URL(q.signature),
	}
	if q.imaLog != nil {
		a.Logs = append(a.Logs, logObject{"IMA", b64.URL(q.imaLog)})
	}
	for _, bank := range q.values {
		o := bankObject{Alg: bank.Alg}
		for _, pcr := range q.pcrs {
			o.Values = append(o.Values, pcrObject{pcr, b64.URL(bank.Values[pcr])})
		}
		a.PCRs = append(a.PCRs, o)
	}
	return a
}
