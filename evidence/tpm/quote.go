package tpm

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

// QuoteInput is what a quote is held against.
type QuoteInput struct {
	Key       crypto.PublicKey // the AIK: RSA of at least 2048 bits, or ECDSA on P-256, P-384 or P-521
	ExtraData []byte           // what the qualifying data must be, in full; empty: the quote must have none
	Unbound   bool             // the qualifying data is not looked at: for quotes whose freshness does not matter
	PCRs      []Bank           // the values that came along, a bank for each selection of the quote, in its order
	// AllowSHA1 lets SHA-1 banks count (switch tpm_allow_sha1). A SHA-1 signature is never accepted.
	AllowSHA1 bool
	Required  uint32 // bit n: PCR n must be quoted, all of them in one bank that counts
	Journal   *evidence.Journal
}

// Quoted are the PCR values that a TPM vouched for. Only VerifyQuote makes one.
type Quoted struct {
	banks  []Bank
	clock  Clock
	attest *Attest
}

// VerifyQuote checks that the attestation is a quote by the key over exactly the values that came along (tpm-evidence.md
// section 2, tpm.md section 5): signature, magic and type, qualifying data, selections, banks that count, digest, required
// PCRs. The result keeps the values. The error is an [evidence.Refusal].
func (a *Attest) VerifyQuote(in QuoteInput) (*Quoted, error) {
	if r := a.signedBy(in.Key); r != nil {
		return nil, in.Journal.Fail(r)
	}
	in.Journal.Pass(evidence.AttestSignature, a.sig.String())
	return a.quoted(&in)
}

// quoted makes the checks that come after the signature.
func (a *Attest) quoted(in *QuoteInput) (*Quoted, error) {
	for _, step := range []struct {
		check evidence.Check
		holds func(*QuoteInput) *evidence.Refusal
	}{
		{evidence.AttestType, func(*QuoteInput) *evidence.Refusal { return a.is(tpm2.TPMSTAttestQuote, "quote") }},
		{evidence.AttestNonce, a.isFresh},
		{evidence.PCRSelection, a.covers},
		{evidence.SHA1, (*QuoteInput).count},
		{evidence.PCRDigest, a.digestHolds},
	} {
		if r := step.holds(in); r != nil {
			return nil, in.Journal.Fail(r)
		}
		if step.check == evidence.AttestNonce && in.Unbound {
			in.Journal.Skip(step.check, "the quote need not be fresh")
			continue
		}
		in.Journal.Pass(step.check, "")
	}
	return &Quoted{in.counting(), a.clock, a}, nil
}

// Pick takes what the quote selects out of banks of PCR values, for [QuoteInput].PCRs: a bank for each selection, in its order.
// A value that is not there stays nil, and VerifyQuote refuses it. Nothing is believed: who sends values must send those
// that are quoted and no others, so this is for values that were read in some other way.
func (a *Attest) Pick(banks []Bank) []Bank {
	var picked []Bank
	for _, s := range a.selections {
		p := Bank{Alg: s.bank}
		for _, b := range banks {
			for i := range p.Values {
				if b.Alg == s.bank && s.pcrs>>i&1 == 1 {
					p.Values[i] = b.Values[i]
				}
			}
		}
		picked = append(picked, p)
	}
	return picked
}

// Banks are the quoted banks that count, strongest first; there is at least one. A SHA-1 bank counts only where it is allowed.
// The caller must not change them.
func (q *Quoted) Banks() []Bank { return q.banks }

// Clock is the TPM's time at the quote.
func (q *Quoted) Clock() Clock { return q.clock }

// Covers reports whether the PCR is quoted in a bank that counts.
func (q *Quoted) Covers(pcr int) bool {
	for _, b := range q.banks {
		if pcr >= 0 && pcr < PCRCount && b.Values[pcr] != nil {
			return true
		}
	}
	return false
}

func (a *Attest) isFresh(in *QuoteInput) *evidence.Refusal {
	if in.Unbound {
		return nil
	}
	return a.answers(in.ExtraData)
}

// covers checks the selections, and that the values that came along are those of the selected PCRs and no others.
func (a *Attest) covers(in *QuoteInput) *evidence.Refusal {
	var seen []Alg
	var any uint32
	for _, s := range a.selections {
		if r := s.legal(); r != nil {
			return r
		}
		if slices.Contains(seen, s.bank) {
			return selectionRefused("the quote selects a bank twice").Want("each bank once", s.bank)
		}
		seen, any = append(seen, s.bank), any|s.pcrs
	}
	if any == 0 {
		return selectionRefused("the quote covers no PCR at all").Want("at least one PCR", "none")
	}
	if len(in.PCRs) != len(a.selections) {
		return selectionRefused("the banks that came along are not those that are quoted").
			Want(fmt.Sprintf("%d banks", len(a.selections)), len(in.PCRs))
	}
	for i, s := range a.selections {
		if r := s.matches(&in.PCRs[i]); r != nil {
			return r
		}
	}
	return nil
}

func selectionRefused(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.PCRSelection, "%s", problem).
		Do("send the values of exactly the quoted PCRs, bank by bank in the quote's order")
}

func (s *selection) legal() *evidence.Refusal {
	if s.bank.Size() == 0 {
		return selectionRefused("the quote selects a bank of a hash that is not known").Want("SHA1, SHA256, SHA384 or SHA512", s.bank)
	}
	if s.beyond {
		return selectionRefused("the quote selects a PCR that a PC does not have").Want("PCR 0 to 23", "a PCR above 23")
	}
	return nil
}

func (s *selection) matches(b *Bank) *evidence.Refusal {
	if b.Alg != s.bank {
		return selectionRefused("the values that came along are of another bank than the quoted one").Want(s.bank, b.Alg)
	}
	for i, v := range b.Values {
		switch selected := s.pcrs>>i&1 == 1; {
		case selected && v == nil:
			return selectionRefused("a quoted PCR came without its value").Want(fmt.Sprintf("a value of PCR %d", i), "none")
		case !selected && v != nil:
			return selectionRefused("a value came along of a PCR that is not quoted").
				Want("values of quoted PCRs only", fmt.Sprintf("a value of PCR %d", i))
		case selected && len(v) != s.bank.Size():
			return selectionRefused(fmt.Sprintf("the value of PCR %d is not a digest of its bank", i)).
				Want(byteCount(s.bank.Size()), byteCount(len(v)))
		}
	}
	return nil
}

// counting are the banks that count, strongest first.
func (in *QuoteInput) counting() []Bank {
	var banks []Bank
	for _, b := range in.PCRs {
		if b.mask() != 0 && (b.Alg != SHA1 || in.AllowSHA1) {
			banks = append(banks, b)
		}
	}
	slices.SortStableFunc(banks, func(a, b Bank) int { return b.Alg.Size() - a.Alg.Size() })
	return banks
}

// count checks that a bank counts, and that one which does has all the required PCRs.
func (in *QuoteInput) count() *evidence.Refusal {
	banks := in.counting()
	if len(banks) == 0 {
		return evidence.Refuse(evidence.SHA1, "only PCRs of the SHA-1 bank are quoted, which does not count while tpm_allow_sha1 is off").
			Want("a bank of SHA-256 or better", SHA1).
			Do("quote the SHA-256 bank; for devices that have none, turn on the provider's setting tpm_allow_sha1 (strict keeps it off)")
	}
	for _, b := range banks {
		if b.mask()&in.Required == in.Required {
			return nil
		}
	}
	return evidence.Refuse(evidence.PCRSelection, "no bank that counts has all the required PCRs").
		Want("PCR mask "+hex32(in.Required), hex32(banks[0].mask())+" of "+banks[0].Alg.String()).
		Do("quote the required PCRs in one bank of SHA-256 or better")
}

// mask tells which PCRs are there: bit n is PCR n.
func (b *Bank) mask() uint32 {
	var m uint32
	for i, v := range b.Values {
		if v != nil {
			m |= 1 << i
		}
	}
	return m
}

// digestHolds checks pcrDigest, which is by the hash of the signature (tpm-evidence.md section 2 item 7).
func (a *Attest) digestHolds(in *QuoteInput) *evidence.Refusal {
	var values [][]byte
	for i := range in.PCRs {
		for _, v := range in.PCRs[i].Values {
			values = append(values, v)
		}
	}
	if got := a.sig.hash.Sum(values...); !bytes.Equal(got, a.digest) {
		return evidence.Refuse(evidence.PCRDigest, "the values that came along are not the quoted ones").
			Want(hex.EncodeToString(a.digest), hex.EncodeToString(got)).
			Do("read the PCRs and quote them without anything in between that extends them")
	}
	return nil
}
