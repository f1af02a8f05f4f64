package assaytest

import (
	"crypto"
	"encoding/binary"
	"regexp"

	"github.com/assay-attestation/assay/evidence"
)

func tpmQuoteFaults() []TPMFault {
	format, signature, nonce := one(evidence.AttestFormat), one(evidence.AttestSignature), one(evidence.AttestNonce)
	kind := []evidence.Check{evidence.AttestType, evidence.AttestFormat}
	return []TPMFault{
		{"quote-longer", "a byte follows the quote", format, nil, tpmAt(TPMQuote, appended("\x00"))},
		{"quote-cut", "the quote lacks its last byte", format, nil, tpmAt(TPMQuote, func(b []byte) []byte { return b[:len(b)-1] })},
		{"quote-signature-longer", "a byte follows the signature", format, nil, tpmAt(TPMQuoteSignature, appended("\x00"))},
		{"claim-magic", "the claim is of another kind", format, useVersion1, tpmAt(TPMPlatformClaim, flip(0, 1))},
		{"claim-version", "the claim is of another version", format, useVersion1, tpmAt(TPMPlatformClaim, put32(4, 1))},
		{"claim-longer", "a byte follows the claim", format, useVersion1, tpmAt(TPMPlatformClaim, appended("\x00"))},
		{"claim-length", "the lengths in the claim do not add up", format, useVersion1, tpmAt(TPMPlatformClaim, put32(20, 1<<31))},
		{"quote-other-aik", "another key than the AIK signed the quote", signature, nil, tpmSignedBy(OtherKey, TPMQuote)},
		{"quote-signature-bit", "a bit of the quote's signature is wrong", signature, nil, tpmAt(TPMQuoteSignature, flipMiddle)},
		{"quote-magic", "what is signed does not come from within the TPM", one(evidence.AttestType), nil, tpmAt(TPMQuote, flip(0, 1))},
		{"quote-is-certify", "what is signed is of the kind certify", kind, nil, tpmAt(TPMQuote, flip(5, 0x18^0x17))},
		{"quote-nonce-other", "the quote is of another challenge", nonce, nil, tpmNonce(TPMQuote, flipLast)},
		{"quote-nonce-empty", "the quote has no qualifying data", nonce, nil, tpmNonce(TPMQuote, cut(0))},
		{"quote-nonce-prefix", "the qualifying data is the beginning of what it should be", nonce, nil, tpmNonce(TPMQuote, cut(16))},
		{"quote-nonce-longer", "the qualifying data goes on after what it should be", nonce, nil, tpmNonce(TPMQuote, appended("\x00"))},
		{"claim-nonce", "the claim is of another challenge", nonce, useVersion1, tpmNonce(TPMQuote, flipLast)},
		{"certify-quote-nonce", "the quote beside a certified key is of another challenge", nonce, useCertify, tpmNonce(TPMQuote, flipLast)},
		{"quote-by-sha1", "the quote is signed with SHA-1", one(evidence.SHA1), nil, func(s *TPMScenario) { s.AIKScheme.Hash = crypto.SHA1 }},
	}
}

// selecting sets what is quoted.
func selecting(q ...TPMSelection) func(*TPMScenario) {
	return func(s *TPMScenario) { s.Current.Quoted = q }
}

func tpmSelectionFaults() []TPMFault {
	selection := one(evidence.PCRSelection)
	digest := one(evidence.PCRDigest)
	return []TPMFault{
		{"quote-no-selection", "the quote covers nothing", []evidence.Check{evidence.PCRSelection, evidence.TPMRequest}, nil, selecting()},
		{"quote-no-pcr", "the quote covers no PCR", selection, nil, selecting(TPMSelection{crypto.SHA256, nil})},
		{"quote-bank-twice", "a bank is quoted twice", []evidence.Check{evidence.PCRSelection, evidence.TPMRequest}, nil, selecting(TPMSelection{crypto.SHA256, PCRRange(0, 7)}, TPMSelection{crypto.SHA256, PCRRange(8, 14)})},
		{"pcr-unquoted", "a value comes along that is not quoted", selection, useFewerPCRs,
			tpmAt(TPMPCRValues, replaced(`"values":[`, `"values":[{"index":23,"digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},`))},
		{"pcr-missing", "a quoted value does not come along", selection, nil, tpmAt(TPMPCRValues, withoutFirstValue)},
		{"pcr-twice", "a value comes along twice", []evidence.Check{evidence.PCRSelection, evidence.TPMRequest}, nil, tpmAt(TPMPCRValues, replaced(`"index":1,`, `"index":0,`))},
		{"pcr-wrong-bank", "the values are said to be of another bank", []evidence.Check{evidence.PCRSelection, evidence.TPMRequest}, nil, tpmAt(TPMPCRValues, replaced(`"algorithm":11`, `"algorithm":12`))},
		{"pcr-short", "a value is too short for its bank", []evidence.Check{evidence.PCRSelection, evidence.TPMRequest}, nil, tpmAt(TPMPCRValues, shortFirstValue)},
		{"pcr-changed", "a value is not the quoted one", digest, nil, tpmAt(TPMPCRValues, changedFirstValue)},
		{"pcr-swapped", "two values are swapped", digest, nil, tpmAt(TPMPCRValues, swappedValues)},
		{"claim-pcr-changed", "a value in the claim is not the quoted one", digest, useVersion1, tpmAt(TPMPCRValues, flip(0, 1))},
		{"quote-sha1-bank", "only the SHA-1 bank is quoted", one(evidence.SHA1), nil, selecting(TPMSelection{crypto.SHA1, PCRRange(0, 14)})},
		{"claim-sha1-bank", "the claim is of the SHA-1 bank", one(evidence.SHA1), useVersion1, selecting(TPMSelection{crypto.SHA1, AllPCRs()})},
	}
}

// firstValue finds the first element of an array of values, and the digest in it.
func firstValue() *regexp.Regexp { return regexp.MustCompile(`\{"index":0,"digest":"([^"]*)"\},`) }

func withoutFirstValue(b []byte) []byte { return firstValue().ReplaceAll(b, nil) }

func shortFirstValue(b []byte) []byte {
	return firstValue().ReplaceAll(b, []byte(`{"index":0,"digest":"AAAA"},`))
}

func changedFirstValue(b []byte) []byte {
	return firstValue().ReplaceAll(b, []byte(`{"index":0,"digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},`))
}

// swappedValues gives PCR 4 the value of PCR 5 and the other way round.
func swappedValues(b []byte) []byte {
	b = replaced(`"index":4,`, `"index":five,`)(b)
	b = replaced(`"index":5,`, `"index":4,`)(b)
	return replaced(`"index":five,`, `"index":5,`)(b)
}

func hibernationFaults() []TPMFault {
	check := one(evidence.BootAttestation)
	return []TPMFault{
		{"boot-later", "the quote of the boot was made after the current one", check, useHibernation, func(s *TPMScenario) { s.Boot.Clock.Clock = s.Current.Clock.Clock + 1 }},
		{"boot-reset-later", "the TPM was reset more often at the boot", check, useHibernation, func(s *TPMScenario) { s.Boot.Clock.ResetCount = s.Current.Clock.ResetCount + 1 }},
		{"boot-other", "the logs are of different boots", check, useHibernation, func(s *TPMScenario) {
			e := s.Current.Log.Find(func(e TPMEvent) bool { return e.PCR == 12 && e.Type == evTag })
			e.Data = append([]byte(nil), e.Data...)
			binary.LittleEndian.PutUint64(e.Data[16:], 8) // the boot counter is the first element of the trust boundary
		}},
		{"boot-other-aik", "another AIK quoted the boot", []evidence.Check{evidence.AIKKey, evidence.BootAttestation}, useHibernation, func(s *TPMScenario) { s.Boot.AIK = "another AIK" }},
		{"boot-signature", "the quote of the boot is not signed by the AIK", one(evidence.AttestSignature), useHibernation, tpmSignedBy(OtherKey, TPMQuote.OfBoot())},
		{"boot-log-changed", "the log of the boot is not the one of its quote", one(evidence.EventLogReplay), useHibernation, func(s *TPMScenario) {
			l := *s.Boot.Log
			s.Boot.Values = map[crypto.Hash]TPMValues{crypto.SHA256: l.Replay(crypto.SHA256)}
			l.Events = l.Events[:len(l.Events)-1]
			s.Boot.Log = &l
		}},
	}
}
