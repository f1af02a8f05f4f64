package evidence

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseType(t *testing.T) {
	for in, want := range map[string]Type{
		"SgxEnclave": SgxEnclave, "sgxenclave": SgxEnclave, "SGX": SgxEnclave, "OpenEnclave": OpenEnclave, "OPENENCLAVE": OpenEnclave, "oe": OpenEnclave,
	} {
		if got, ok := ParseType(in); !ok || got != want {
			t.Errorf("ParseType(%q) = %q, %t, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "sgx ", "Tpm ", "SgxEnclave/"} {
		if got, ok := ParseType(in); ok {
			t.Errorf("ParseType(%q) = %q, want none", in, got)
		}
	}
}

func TestRefusalTellsCheckExpectedFoundAndRemedy(t *testing.T) {
	cause := errors.New("cause")
	for want, r := range map[string]*Refusal{
		"revoked: the certificate is revoked":                        Refuse(Revoked, "the certificate is revoked"),
		"revoked: it is revoked (expected 1, found 2)":               Refuse(Revoked, "it is revoked").Want(1, 2),
		"pck-chain: no chain: cause; send it":                        Refuse(PCKChain, "no %s", "chain").Because(cause).Do("send it"),
		"pck-chain: no chain: a; b (expected x, found )":             Refuse(PCKChain, "no chain").Because(errors.Join(errors.New("a"), errors.New("b"))).Want("x", ""),
		"quote-format: long: " + strings.Repeat("é", 500) + "; stop": Refuse(QuoteFormat, "long").Because(errors.New(strings.Repeat("é", 1<<20))).Do("stop"),
	} {
		if got := r.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if r := Refuse(PCKChain, "x").Because(cause); !errors.Is(r, cause) || r.Fault != OfEvidence {
		t.Errorf("got %+v, want a refusal of evidence that wraps its cause", r)
	}
	if r := Refuse(CRLFormat, "x").Blame(OfEndorsement); r.Fault != OfEndorsement {
		t.Errorf("got %+v, want the collateral to blame", r)
	}
}

func TestCodeIsTheServices(t *testing.T) {
	for _, tt := range []struct {
		refusal *Refusal
		want    string
	}{
		{Refuse(QuoteFormat, ""), "InvalidQuote"},
		{Refuse(CertDataType, ""), "InvalidQuote"},
		{Refuse(QuoteSignature, ""), "InvalidParameter"},
		{Refuse(TCBBaseline, ""), "InvalidParameter"},
		{Refuse(CollateralMissing, ""), "CollateralUnavailable"},
		{Refuse(CRLExpired, "").Blame(OfEndorsement), "CollateralUnavailable"},
	} {
		if got := tt.refusal.Code(); got != tt.want {
			t.Errorf("%s, fault %d: got %s, want %s", tt.refusal.Check, tt.refusal.Fault, got, tt.want)
		}
	}
}

func TestJournalKeepsTheOrder(t *testing.T) {
	var j Journal
	j.Pass(PCKChain, "platform")
	j.Skip(Revoked, "not asked for")
	refusal := Refuse(QuoteSignature, "bad").Want("one", "another")
	if err := j.Fail(refusal); err != error(refusal) {
		t.Errorf("Fail gives %v, want the refusal", err)
	}
	want := []Entry{{PCKChain, Pass, "", "platform"}, {Revoked, Skipped, "", "not asked for"}, {QuoteSignature, Fail, "one", "another"}}
	if !slices.Equal(j.Entries, want) {
		t.Errorf("got %+v, want %+v", j.Entries, want)
	}
}

func TestNoJournalRecordsNothing(t *testing.T) {
	var j *Journal
	j.Pass(PCKChain, "")
	j.Skip(PCKChain, "")
	if err := j.Fail(Refuse(PCKChain, "bad")); err == nil {
		t.Error("Fail lost the refusal")
	}
}
