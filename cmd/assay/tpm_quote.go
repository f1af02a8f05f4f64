package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// quoteFiles are a quote and what it is held against.
type quoteFiles struct {
	quote, signature []byte
	key              crypto.PublicKey
	nonce            []byte
	fresh            bool // nonce was given
	pcrs             []tpm.Bank
	sha1             bool
}

// quoteVar declares the flags of a quote.
func (c *call) quoteVar(q *quoteFiles) {
	c.fileVar(&q.quote, "quote", "the quote in `FILE`: TPMS_ATTEST, as tpm2_quote --message writes it")
	c.fileVar(&q.signature, "signature", "its signature in `FILE`: TPMT_SIGNATURE, or a bare RSASSA one with SHA-256")
	c.Func("public", "the public key of the TPM that must have signed it, in `FILE`: TPMT_PUBLIC, TPM2B_PUBLIC or PEM", func(file string) error {
		b, err := c.read(file)
		if err == nil {
			q.key, err = readPublic(b)
		}
		return err
	})
	c.Func("nonce", "the qualifying data that the quote must have, in `HEX`; not checked without", func(text string) (err error) {
		if q.nonce, err = hex.DecodeString(text); err == nil && len(q.nonce) == 0 {
			err = errors.New("it is empty, and every quote without a nonce has that one: give a nonce that was chosen for this quote, or leave the flag away")
		}
		q.fresh = err == nil
		return err
	})
	c.pcrsVar(&q.pcrs)
	c.BoolVar(&q.sha1, "allow-sha1", false, "let the SHA-1 bank count, as the setting tpm_allow_sha1 does")
}

// readPublic reads a key. That it is one of a TPM, nothing here says.
func readPublic(b []byte) (crypto.PublicKey, error) {
	k, err := readKey(b)
	if err != nil {
		return nil, badFile(err)
	}
	return k.key, nil
}

// parse reads the quote. A signature as long as an RSA key has no structure around it.
func (q *quoteFiles) parse() (*tpm.Attest, error) {
	if key, ok := q.key.(*rsa.PublicKey); ok && len(q.signature) == key.Size() {
		return tpm.ParseAttestRaw(q.quote, q.signature)
	}
	return tpm.ParseAttest(q.quote, q.signature)
}

// verify checks the quote. Without PCR values of their own, those count that the log leads to.
func (q *quoteFiles) verify(log *eventlog.Log, j *evidence.Journal) (*tpm.Quoted, error) {
	a, err := q.parse()
	if err != nil {
		return nil, err
	}
	j.Pass(evidence.AttestFormat, "")
	offered := q.pcrs
	if offered == nil {
		if offered, err = replayAll(log); err != nil {
			return nil, err
		}
	}
	return a.VerifyQuote(tpm.QuoteInput{
		Key: q.key, ExtraData: q.nonce, Unbound: !q.fresh, PCRs: a.Pick(offered), AllowSHA1: q.sha1, Journal: j,
	})
}

// replayAll gives the values that a log leads to, in all its banks.
func replayAll(log *eventlog.Log) ([]tpm.Bank, error) {
	var banks []tpm.Bank
	for _, a := range log.Algs() {
		b, err := eventlog.Replay(a, false, log)
		if err != nil {
			return nil, err
		}
		banks = append(banks, *b)
	}
	return banks, nil
}

// boot judges a log by the rules for policies: against the quote, or without one against itself.
func boot(log *eventlog.Log, q *tpm.Quoted, j *evidence.Journal) (judged, error) {
	opt := measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits(), Journal: j}
	if q == nil {
		u, err := measured.ReadUnquoted(log, opt)
		if err != nil {
			return nil, err
		}
		return u, nil
	}
	b, err := measured.Verify([]measured.Log{{TCG: log}}, q, opt)
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

// sha1Only reports whether some PCR has a value in the SHA-1 bank only.
func sha1Only(banks []tpm.Bank) bool {
	for pcr := range tpm.PCRCount {
		weak, strong := false, false
		for _, b := range banks {
			has := b.Values[pcr] != nil
			weak, strong = weak || has && b.Alg == tpm.SHA1, strong || has && b.Alg != tpm.SHA1
		}
		if weak && !strong {
			return true
		}
	}
	return false
}

// weakness says that what is shown rests on SHA-1.
func (s sheet) weakness(weak bool) {
	if weak {
		s.heading(yellow, "SHA-1 ONLY", "who can make collisions can make such a log say two things; a service takes it with tpm_allow_sha1 on only")
	}
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

// unexplained holds values against those that the log leads to, in the banks that both have. PCR 16 and 23 say nothing.
func unexplained(log *eventlog.Log, values []tpm.Bank) ([]difference, error) {
	replayed, err := replayAll(log)
	if err != nil {
		return nil, err
	}
	all := []difference{}
	for _, want := range values {
		for _, got := range replayed {
			for i, v := range want.Values {
				if v == nil || got.Alg != want.Alg || i == debugPCR || i == applicationPCR || bytes.Equal(v, got.Values[i]) {
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

// quoteReport is the result of tpm quote verify.
type quoteReport struct {
	Verified    bool             `json:"verified"`
	Fresh       bool             `json:"nonceChecked"`
	PCRs        pcrValues        `json:"pcrs,omitzero"`
	Clock       *clock           `json:"clock,omitzero"`
	Differences []difference     `json:"differences,omitzero"`
	Checks      []evidence.Entry `json:"checks"`
	Error       *problem         `json:"error,omitzero"`
	weak        bool             // sha1Only
	journal     evidence.Journal
}

// clock is the TPM's own time. It proves nothing about freshness.
type clock struct {
	Milliseconds uint64 `json:"milliseconds"`
	Resets       uint32 `json:"resetCount"`
	Restarts     uint32 `json:"restartCount"`
	Safe         bool   `json:"safe"`
}

// runTPMQuoteVerify verifies a quote, and with --event-log the log that explains it.
func runTPMQuoteVerify(_ context.Context, c *call) error {
	var q quoteFiles
	var file []byte
	c.quoteVar(&q)
	c.fileVar(&file, "event-log", "TCG log in `FILE` that must lead to the quoted values")
	if _, err := c.parse("--quote", "--signature", "--public"); err != nil {
		return err
	}
	if q.pcrs == nil && file == nil {
		return usage("--pcrs-file or --event-log is missing: a quote holds only a hash of the values")
	}
	r := &quoteReport{Fresh: q.fresh}
	err := r.verify(&q, file)
	r.Checks = append([]evidence.Entry{}, r.journal.Entries...)
	if r.Verified = err == nil; err != nil {
		r.Error = problemOf(err)
	}
	return c.tell(r, err)
}

func (r *quoteReport) verify(q *quoteFiles, file []byte) (err error) {
	var log *eventlog.Log
	if file != nil {
		if log, err = eventlog.Parse(file, eventlog.DefaultLimits()); err != nil {
			return err
		}
	}
	quoted, err := q.verify(log, &r.journal)
	if err != nil {
		return err
	}
	k := quoted.Clock()
	r.weak = sha1Only(quoted.Banks())
	r.PCRs, r.Clock = valuesOf(quoted.Banks(), pcrSet{}), &clock{k.Clock, k.ResetCount, k.RestartCount, k.Safe}
	if log == nil {
		return nil
	}
	if r.Differences, err = unexplained(log, quoted.Banks()); err != nil {
		return err
	}
	_, err = boot(log, quoted, &r.journal)
	return err
}

func (r *quoteReport) print(s sheet, err error) {
	switch {
	case err != nil:
		s.heading(red, "REFUSED", "TPM quote")
		s.refusal(err)
	default:
		s.heading(green, "VERIFIED", "TPM quote, signed by the key given"+map[bool]string{true: ", with the nonce given"}[r.Fresh])
		s.staleness(r.Fresh)
		s.weakness(r.weak)
	}
	printDifferences(s, r.Differences)
	s.section("Checks")
	s.rows(checkRows(r.Checks)...)
	if r.PCRs != nil {
		printValues(s, "Quoted PCRs", r.PCRs)
		s.section("Clock of the TPM (proves nothing about freshness)")
		s.rows(row{"powered for", fmt.Sprintf("%d ms", r.Clock.Milliseconds)}, row{"resets", fmt.Sprint(r.Clock.Resets)},
			row{"restarts", fmt.Sprint(r.Clock.Restarts)}, row{"shut down in order", fmt.Sprint(r.Clock.Safe)})
		s.section("Nothing here says that the key is one of a TPM: its certificate does (AIK).")
	}
}

// staleness says that nothing shows when the quote was made, so that it cannot be missed.
func (s sheet) staleness(fresh bool) {
	if !fresh {
		s.heading(yellow, "NOT SHOWN TO BE FRESH", "no --nonce was given: the quote may be an old one")
	}
}

// checkRows shows how each check ended.
func checkRows(entries []evidence.Entry) []row {
	var rows []row
	for _, e := range entries {
		value := string(e.Outcome)
		if e.Found != "" && e.Outcome != evidence.Fail {
			value += ": " + e.Found
		}
		rows = append(rows, row{string(e.Name), value})
	}
	return rows
}
