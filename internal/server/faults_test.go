package server_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/config"
)

// TestFaults sends everything that assaytest can break, with the collateral broken in the same way. A fault in the
// evidence is 400, one in the collateral 503: never the caller's (README.md section 8 of the specification).
func TestFaults(t *testing.T) {
	folder := t.TempDir() // one set of signing keys for all services
	for _, f := range assaytest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			s := start(t, config.Config{Data: folder})
			s.pcs.Alter(f.Apply)
			sound, broken := s.scenario(), s.scenario(f.Apply)
			a := s.attest(t, broken)
			if !blames(t, sound, broken) {
				a.refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "")
				names(t, a, append(words(f.Checks), "TCB info", "QE identity", "PCK CRL", "root CA CRL"))
				return
			}
			code, inner, expected := outcome(f)
			a.refused(t, http.StatusBadRequest, code, inner)
			names(t, a, expected)
		})
	}
}

// TestTruncatedQuotes cuts a good quote short at many places.
func TestTruncatedQuotes(t *testing.T) {
	s := start(t, config.Config{})
	for _, openEnclave := range []bool{false, true} {
		path, member := sgxPath, "quote"
		sc := s.scenario(func(sc *assaytest.Scenario) { sc.OpenEnclave = openEnclave })
		if openEnclave {
			path, member = oePath, "report"
		}
		quote, err := sc.Quote()
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < len(quote); n += 97 {
			a := s.do(t, http.MethodPost, path, text(body{member: b64url(quote[:n])}))
			a.refused(t, http.StatusBadRequest, "InvalidQuote", "", "quote-format: ")
		}
	}
	if n := s.pcs.TotalRequests(); n != 0 {
		t.Errorf("%d requests for collateral of evidence that cannot be parsed, want none", n)
	}
}

// blames reports whether the fault lies in the evidence: its bytes differ from sound ones, or its certificates are
// revoked.
func blames(t *testing.T, sound, broken *assaytest.Scenario) bool {
	t.Helper()
	a, err := sound.Quote()
	if err != nil {
		t.Fatal(err)
	}
	b, err := broken.Quote()
	if err != nil {
		t.Fatal(err)
	}
	return !bytes.Equal(a, b) || slices.Contains(broken.Revoked, assaytest.PCK) || slices.Contains(broken.Revoked, assaytest.PlatformCA)
}

// outcome is the outer and the inner code of a fault in the evidence, and the words of which the message has one.
func outcome(f assaytest.Fault) (code, inner string, named []string) {
	if f.Name == "empty" { // there is no evidence to speak of
		return "InvalidParameter", "", []string{`"quote" is missing`}
	}
	switch f.Checks[0] {
	case evidence.QuoteFormat, evidence.CertDataType:
		return "InvalidQuote", "", words(f.Checks)
	case evidence.TCBNotSupported:
		return "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", words(f.Checks)
	}
	return "InvalidParameter", "", words(f.Checks)
}

// words are the check words as messages begin with them.
func words(checks []evidence.Check) (words []string) {
	for _, c := range checks {
		words = append(words, string(c)+": ")
	}
	return words
}

// names checks that the message has one of the texts.
func names(t *testing.T, a answer, texts []string) {
	t.Helper()
	message := a.problem(t).Message
	if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(message, s) }) {
		t.Errorf("want one of %q in the message: %s", texts, message)
	}
}
