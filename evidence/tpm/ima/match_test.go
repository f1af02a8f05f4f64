package ima_test

import (
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// sample is a list with a violation and an entry of another PCR at 3.
func sample() (list, ofPCR10 []entry) {
	violated := ng("/var/log/x")
	violated.violation = true
	other := ng("/other")
	other.pcr = 11
	old := ng("").with("ima", long(20), "/bin/old")
	return []entry{ng("boot_aggregate"), violated, old, other, ng("boot_aggregate"), ng("/last")},
		[]entry{ng("boot_aggregate"), violated, old, ng("boot_aggregate"), ng("/last")}
}

func mustRead(t testing.TB, a tpm.Alg, list []entry) *ima.List {
	t.Helper()
	l, err := ima.ParseBinary(binaryList(a, list...), a, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEachBeginningMatchesInEachBankAndWay(t *testing.T) {
	list, of10 := sample()
	length := []int{0, 1, 2, 3, 5, 6} // what the list must be cut to, by how many entries of PCR 10 the quote covers
	for _, listed := range algs() {
		l := mustRead(t, listed, list)
		for _, k := range []kernel{{}, {before58: true}, {before58: true, shortOnes: true}} {
			for n, want := range length {
				for _, banks := range [][]tpm.Alg{{tpm.SHA1}, {tpm.SHA256}, {tpm.SHA1, tpm.SHA256}, {tpm.SHA256, tpm.SHA384, tpm.SHA512}} {
					if got, err := l.Match(zeros(), k.all(of10[:n], banks...)); err != nil || got != want {
						t.Errorf("template hashes %s, %+v, banks %v, %d covered: %d, %v, want %d", listed, k, banks, n, got, err, want)
					}
				}
			}
		}
	}
}

func TestWhatDoesNotMatch(t *testing.T) {
	list, of10 := sample()
	l, now, old := mustRead(t, tpm.SHA1, list), kernel{}, kernel{before58: true}
	both := func(a, b []byte) map[tpm.Alg][]byte { return map[tpm.Alg][]byte{tpm.SHA256: a, tpm.SHA384: b} }
	shortOnes := kernel{before58: true, shortOnes: true}
	for name, quoted := range map[string]map[tpm.Alg][]byte{
		"an entry dropped":                  now.all(of10[1:], tpm.SHA256),
		"entries in another order":          now.all([]entry{of10[1], of10[0]}, tpm.SHA256),
		"the entry of another PCR counted":  now.all(list, tpm.SHA256),
		"more than is in the list":          now.all(append(of10, ng("/more")), tpm.SHA256),
		"banks after different beginnings":  both(now.extended(tpm.SHA256, of10[:3]...), now.extended(tpm.SHA384, of10...)),
		"one bank new, one old":             both(now.extended(tpm.SHA256, of10...), old.extended(tpm.SHA384, of10...)),
		"one bank old, one with short ones": both(old.extended(tpm.SHA256, of10...), shortOnes.extended(tpm.SHA384, of10...)),
		"one bank right, one wrong":         both(now.extended(tpm.SHA256, of10...), make([]byte, 48)),
	} {
		n, err := l.Match(zeros(), quoted)
		wantRefusal(t, err, evidence.IMAReplay, "no beginning of the IMA list's 6 entries")
		if t.Failed() {
			t.Fatalf("%s: %d", name, n)
		}
	}
}

func TestMatchBeginsWithTheValueBeforeTheList(t *testing.T) {
	l := mustRead(t, tpm.SHA1, []entry{ng("b")})
	quoted := kernel{}.all([]entry{ng("a"), ng("b")}, tpm.SHA256)
	if n, err := l.Match(kernel{}.all([]entry{ng("a")}, tpm.SHA256), quoted); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	_, err := l.Match(zeros(), quoted)
	wantRefusal(t, err, evidence.IMAReplay, "no beginning")
}

func TestAnEmptyListMatchesTheValueBeforeIt(t *testing.T) {
	l := mustRead(t, tpm.SHA1, nil)
	if n, err := l.Match(zeros(), kernel{}.all(nil, tpm.SHA256)); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	_, err := l.Match(zeros(), kernel{}.all([]entry{ng("a")}, tpm.SHA256))
	wantRefusal(t, err, evidence.IMAReplay, "no beginning")
}

func TestMatchNeedsValues(t *testing.T) {
	l := mustRead(t, tpm.SHA1, []entry{ng("a")})
	right := kernel{}.all([]entry{ng("a")}, tpm.SHA256)
	for name, c := range map[string]struct {
		start, quoted map[tpm.Alg][]byte
		want          string
	}{
		"nothing quoted":        {zeros(), nil, "PCR 10 is not quoted"},
		"no start":              {nil, right, "wrong length"},
		"a short start":         {map[tpm.Alg][]byte{tpm.SHA256: make([]byte, 20)}, right, "wrong length"},
		"a short value":         {zeros(), map[tpm.Alg][]byte{tpm.SHA256: right[tpm.SHA256][:31]}, "wrong length"},
		"a bank without a hash": {zeros(), map[tpm.Alg][]byte{0x12: right[tpm.SHA256]}, "bank hash 0x0012"},
	} {
		_, err := l.Match(c.start, c.quoted)
		wantRefusal(t, err, evidence.IMAReplay, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
