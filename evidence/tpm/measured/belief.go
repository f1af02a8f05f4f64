package measured

import (
	"bytes"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// coverage tells for each PCR the banks that count and quote it; none for PCR 16 and 23, and none for a PCR that is not quoted.
type coverage [tpm.PCRCount][]tpm.Alg

func coverageOf(banks []tpm.Bank) (c coverage) {
	for _, b := range banks {
		for pcr, v := range b.Values {
			if v != nil && pcr != debugPCR && pcr != applicationPCR {
				c[pcr] = append(c[pcr], b.Alg)
			}
		}
	}
	return c
}

// has reports whether all the PCRs are quoted.
func (c *coverage) has(pcrs ...int) bool {
	for _, pcr := range pcrs {
		if len(c[pcr]) == 0 {
			return false
		}
	}
	return true
}

// of are the banks that quote the PCR of a record, none for one outside all PCRs.
func (c *coverage) of(r *eventlog.Record) []tpm.Alg {
	if r.PCR >= tpm.PCRCount {
		return nil
	}
	return c[r.PCR]
}

// believed is data that a quote vouches for. The zero value is no data. Only believe makes one, and what decodes data for claims
// takes nothing else (tpm.md section 7.4).
type believed struct {
	data  []byte
	holds bool
}

// believe gives data of a record, the whole of it or a part, if the record's digest is the hash of it in every bank that
// counts and quotes its PCR, of which there is at least one.
func (c *coverage) believe(r *eventlog.Record, data []byte) believed {
	banks := c.of(r)
	if !r.Extended() || len(banks) == 0 {
		return believed{}
	}
	for _, a := range banks {
		if !r.Hashes(a, data) {
			return believed{}
		}
	}
	return believed{data, true}
}

// is reports whether the data is believed and is this text.
func (b believed) is(text string) bool { return b.holds && string(b.data) == text }

// mark is a text that some record is known by: by its digest, since anybody can change its type and data.
type mark map[tpm.Alg][][]byte

func newMark(banks []tpm.Bank, texts ...string) mark {
	m := mark{}
	for _, b := range banks {
		for _, text := range texts {
			m[b.Alg] = append(m[b.Alg], b.Alg.Sum([]byte(text)))
		}
	}
	return m
}

// marks reports whether a record of a quoted PCR measured the text, in any bank that counts.
func (c *coverage) marks(m mark, r *eventlog.Record) bool {
	if !r.Extended() {
		return false
	}
	for _, a := range c.of(r) {
		d, _ := r.Digest(a)
		for _, sum := range m[a] {
			if bytes.Equal(d, sum) {
				return true
			}
		}
	}
	return false
}
