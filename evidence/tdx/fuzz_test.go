package tdx_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// signedBytes are what the attestation key signs: header, descriptor and report.
func signedBytes(quote []byte, q *dcap.Quote) [sha256.Size]byte {
	end := 48 + len(q.Body)
	if q.Version == 5 {
		end += 6
	}
	return sha256.Sum256(quote[:end])
}

// Whatever is changed in a quote, it is accepted only with the very bytes that a TD signed.
func FuzzTDXQuote(f *testing.F) {
	signed := map[[sha256.Size]byte]bool{}
	var cases []vectortest.DCAPCase
	for _, c := range vectortest.DCAPCases(f, "tdx") {
		f.Add(c.Quote)
		if e, err := tdx.Parse(c.Quote); err == nil && c.Accept {
			signed[signedBytes(c.Quote, e.Quote)] = true
			cases = append(cases, c)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := tdx.Parse(b)
		if err != nil {
			refused(t, err, evidence.QuoteFormat, evidence.CertDataType)
			return
		}
		if again, err := tdx.Parse(slices.Clone(b)); err != nil || again.Report != e.Report {
			t.Fatalf("parsed twice, two results: %+v, %+v (%v)", e.Report, again, err)
		}
		for _, c := range cases {
			in, err := dcaptest.Endorse(t, c, e.Quote)
			var v *tdx.Verified
			if err == nil {
				v, err = tdx.Verify(in.Verifier, in.Origin, e, in.Input)
			}
			if err != nil {
				refused(t, err)
				continue
			}
			if !signed[signedBytes(b, e.Quote)] {
				t.Errorf("accepted against the collateral of %s: %x", c.Name, b)
			}
			if v.Report != e.Report {
				t.Errorf("verified report %+v, parsed %+v", v.Report, e.Report)
			}
		}
	})
}

// refused fails unless err is a refusal, for one of checks if any are given.
func refused(t *testing.T, err error, checks ...evidence.Check) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || len(checks) > 0 && !slices.Contains(checks, r.Check) {
		t.Errorf("got %v, want a refusal for one of %v", err, checks)
	}
}
