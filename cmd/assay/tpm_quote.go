package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// quoteFiles are a quote and what it is held against.
type quoteFiles struct {
	quote, signature []byte
	key              crypto.PublicKey
	nonce            []byte
	fresh            bool // nonce was given
	pcrs             []tpm.Bank
	sha1             bool
	list             []byte // the IMA list; nil without one
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
	c.fileVar(&q.list, "ima-log", "the IMA list of the same boot in `FILE`, binary or ascii form, which explains PCR 10")
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

// verify checks the quote. Without PCR values of their own, those count that the logs lead to.
func (q *quoteFiles) verify(logs *machineLogs, j *evidence.Journal) (*tpm.Quoted, error) {
	a, err := q.parse()
	if err != nil {
		return nil, err
	}
	j.Pass(evidence.AttestFormat, "")
	offered := q.pcrs
	if offered == nil {
		if offered, err = logs.replay(); err != nil {
			return nil, err
		}
	}
	return a.VerifyQuote(tpm.QuoteInput{
		Key: q.key, ExtraData: q.nonce, Unbound: !q.fresh, PCRs: a.Pick(offered), AllowSHA1: q.sha1, Journal: j,
	})
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
	if q.list != nil && file == nil {
		return usage("--event-log is missing: the IMA list goes on from it")
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
	var logs *machineLogs
	if file != nil {
		if logs, err = readLogs(file, q.list); err != nil {
			return err
		}
	}
	quoted, err := q.verify(logs, &r.journal)
	if err != nil {
		return q.withRemedy(err, nil)
	}
	k := quoted.Clock()
	r.weak = sha1Only(quoted.Banks())
	r.PCRs, r.Clock = valuesOf(quoted.Banks(), pcrSet{}), &clock{k.Clock, k.ResetCount, k.RestartCount, k.Safe}
	if logs == nil {
		return nil
	}
	if r.Differences, err = logs.unexplained(quoted.Banks()); err != nil {
		return err
	}
	_, err = logs.judge(quoted, &r.journal)
	return q.withRemedy(err, r.Differences)
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
