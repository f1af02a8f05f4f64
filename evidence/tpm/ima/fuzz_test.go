package ima_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func seed(f *testing.F, suffix string) {
	f.Helper()
	for _, v := range vectors(f) {
		for _, file := range v.forms() {
			if b := vectortest.Read(f, "tpm/ima/"+file); strings.HasSuffix(file, suffix) && len(b) < 4096 {
				f.Add(b, uint16(algOf(file)))
			}
		}
	}
}

// FuzzBinary: a list is taken or refused for its form; what is taken starts with each beginning of itself.
func FuzzBinary(f *testing.F) {
	seed(f, ".bin")
	f.Fuzz(func(t *testing.T, b []byte, alg uint16) {
		l, err := ima.ParseBinary(b, tpm.Alg(alg), ima.DefaultLimits())
		if err != nil {
			wantRefusal(t, err, evidence.IMAFormat, "")
			return
		}
		sound(t, l)
		if n := len(l.Entries()); n > 0 {
			twice, err := ima.ParseBinary(slices.Concat(b, b), tpm.Alg(alg), ima.DefaultLimits())
			if err != nil || !slices.Equal(texts(twice), slices.Concat(texts(l), texts(l))) {
				t.Errorf("the list twice: %v", err)
			}
			if _, err := ima.ParseBinary(b[:len(b)-1], tpm.Alg(alg), ima.DefaultLimits()); err == nil {
				t.Error("taken without its last byte")
			}
		}
	})
}

// FuzzASCII: what is taken in the ascii form is line by line what it says.
func FuzzASCII(f *testing.F) {
	seed(f, ".ascii")
	f.Fuzz(func(t *testing.T, b []byte, alg uint16) {
		l, err := ima.ParseASCII(b, tpm.Alg(alg), ima.DefaultLimits())
		if err != nil {
			wantRefusal(t, err, evidence.IMAFormat, "")
			return
		}
		sound(t, l)
		lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
		for i := range l.Entries() {
			e := &l.Entries()[i]
			if words := strings.Split(strings.TrimPrefix(string(lines[i]), " "), " "); words[2] != e.Template() || !slices.Contains(append(words, ""), e.Name()) {
				t.Errorf("line %q: %s", lines[i], text(e))
			}
		}
	})
}

// sound checks what holds for every list.
func sound(t *testing.T, l *ima.List) {
	t.Helper()
	for i := range l.Entries() {
		e := &l.Entries()[i]
		if strings.Contains(e.Name(), "\x00") || e.PCR > 23 || e.Template() == "" {
			t.Errorf("entry %d: %s", i, text(e))
		}
		if alg, _, _ := strings.Cut(e.Digest(), ":"); e.Digest() != "" && alg == "" {
			t.Errorf("entry %d: digest %q", i, e.Digest())
		}
		text(e)
	}
	if n, err := l.Match(zeros(), zeros()); n != 0 || err != nil {
		t.Errorf("the value before the list: %d, %v", n, err)
	}
}
