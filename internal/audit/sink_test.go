package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/store"
)

func openFile(t *testing.T, name string) *File {
	t.Helper()
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (b *bench) copy(sink Sink, after int64) int64 {
	b.t.Helper()
	last, err := Copy(b.t.Context(), b.s, sink, after)
	if err != nil {
		b.t.Fatal(err)
	}
	return last
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// verifyLines checks a file by itself.
func (b *bench) verifyLines(text string, expected ...Head) (Head, error) {
	return b.chain.Verify(b.t.Context(), Lines(strings.NewReader(text)), Head{}, expected...)
}

func TestFileHasTheTrailAndGoesOnAfterARestart(t *testing.T) {
	b := newBench(t, 3)
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	f := openFile(t, name)
	if last := b.copy(f, f.Last()); last != 3 {
		t.Fatalf("copied to row %d, want 3", last)
	}
	f.Close()
	head := b.append(2)
	f = openFile(t, name)
	if f.Last() != 3 {
		t.Errorf("the file ends with row %d, want 3", f.Last())
	}
	b.copy(f, f.Last())
	if last, err := b.verifyLines(read(t, name), head); err != nil || last.Seq != 5 {
		t.Errorf("row %d, %v, want 5 sound ones", last.Seq, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if again := b.copy(f, f.Last()); again != 5 || strings.Count(read(t, name), "\n") != 5 {
		t.Errorf("with nothing new: row %d, %d lines", again, strings.Count(read(t, name), "\n"))
	}
}

// The rows that come until the store is as far as the sink would be missing in the sink, without a word.
func TestSinkThatIsAheadOfTheStoreIsAnError(t *testing.T) {
	b := newBench(t, 3)
	sink := NewStream(new(bytes.Buffer))
	last, err := Copy(t.Context(), b.s, sink, 4)
	if last != 4 || err == nil || !strings.Contains(err.Error(), "ends with row 3, but row 4") {
		t.Errorf("row %d, error %v, want row 4 and an error with both numbers", last, err)
	}
	if last, err := Copy(t.Context(), b.s, sink, 3); last != 3 || err != nil {
		t.Errorf("a sink that has all: row %d, %v", last, err)
	}
}

func TestLinesKeepTheRecordByteForByte(t *testing.T) {
	e := store.AuditEntry{Seq: 7, Record: []byte(`{"a":"<é\u0041>"}`), MAC: []byte{0xfb, 0xff}}
	text := line(e)
	if want := `{"seq":7,"record":{"a":"<é\u0041>"},"mac":"-_8"}` + "\n"; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	for got, err := range Lines(bytes.NewReader(text)) {
		if err != nil || got.Seq != 7 || !bytes.Equal(got.Record, e.Record) || !bytes.Equal(got.MAC, e.MAC) {
			t.Errorf("read %+v, %v", got, err)
		}
	}
}

func TestFileVerificationNamesTheRow(t *testing.T) {
	b := newBench(t, 4)
	var out bytes.Buffer
	b.copy(NewStream(&out), 0)
	sound := slices.Collect(strings.Lines(out.String()))
	head := Head{4, b.all()[3].MAC}
	for _, tt := range []struct {
		name, want string
		change     func(l []string) []string
	}{
		{"nothing", "<nil>", func(l []string) []string { return l }},
		{"a record changed", "audit trail: row 2: changed", func(l []string) []string { l[1] = strings.Replace(l[1], "ann", "bob", 1); return l }},
		{"a line removed", "audit trail: row 2: missing", func(l []string) []string { return slices.Delete(l, 1, 2) }},
		{"two reordered", "audit trail: row 2: out-of-order", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }},
		{"the last removed", "audit trail: row 4: cut-off", func(l []string) []string { return l[:3] }},
		{"half a line", "audit trail: after row 3: line 4: the end of the line is missing", func(l []string) []string { l[3] = l[3][:90]; return l }},
		{"white space", "audit trail: after row 1: line 2: not in the form", func(l []string) []string { l[1] = " " + l[1]; return l }},
		{"an empty line", "audit trail: after row 1: line 2: JSON", func(l []string) []string { return slices.Insert(l, 1, "\n") }},
		{"a further member", "audit trail: after row 1: line 2: not in the form", func(l []string) []string { l[1] = `{"x":1,` + l[1][1:]; return l }},
		{"a record that is none", "audit trail: after row 1: line 2: not in the form", func(l []string) []string { l[1] = `{"seq":2,"record":1,"mac":""}` + "\n"; return l }},
		{"a MAC that is none", `audit trail: after row 1: line 2: member "mac"`, func(l []string) []string { l[1] = strings.Replace(l[1], `"}`+"\n", `="}`+"\n", 1); return l }},
	} {
		text := strings.Join(tt.change(slices.Clone(sound)), "")
		if _, err := b.verifyLines(text, head); !strings.HasPrefix(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	sized := func(n int) string {
		e := store.AuditEntry{Seq: 1, Record: []byte(`{"a":""}`)}
		e.Record = []byte(`{"a":"` + strings.Repeat("x", n-len(line(e))) + `"}`)
		return string(line(e))
	}
	for n, ok := range map[int]bool{maxLine: true, maxLine + 1: false} {
		for _, err := range Lines(strings.NewReader(sized(n))) {
			if (err == nil) != ok {
				t.Errorf("line of %d bytes: %v", n, err)
			}
		}
	}
}

func TestHalfALineIsCutOffAtTheStart(t *testing.T) {
	b := newBench(t, 40) // more than is looked at
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	b.copy(openFile(t, name), 0)
	whole := read(t, name)
	for _, keep := range []int{len(whole) - 1, len(whole) - 50, strings.Index(whole, "\n") + 10, 10, 0} {
		if err := os.WriteFile(name, []byte(whole[:keep]), 0o600); err != nil {
			t.Fatal(err)
		}
		f := openFile(t, name)
		if want := int64(strings.Count(whole[:keep], "\n")); f.Last() != want {
			t.Errorf("of %d bytes: the last row is %d, want %d", keep, f.Last(), want)
		}
		if b.copy(f, f.Last()); read(t, name) != whole {
			t.Errorf("of %d bytes: the file is not what it was", keep)
		}
	}
}

func TestFileThatIsNoTrailIsRefusedAndLeftAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notes.txt")
	for _, text := range []string{"notes\n", strings.Repeat("x", 3*maxLine)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(name); err == nil || read(t, name) != text {
			t.Errorf("got %v", err)
		}
	}
	if _, err := OpenFile(os.DevNull); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a device: %v", err)
	}
}

// failing is a sink that takes some entries only.
type failing struct{ left int }

// Write fails after some entries.
func (f *failing) Write(store.AuditEntry) error {
	if f.left--; f.left < 0 {
		return errors.New("full")
	}
	return nil
}

// Close does nothing.
func (f *failing) Close() error { return nil }

func TestFailingSinkIsToldAndGoesOnWhereItWas(t *testing.T) {
	b := newBench(t, 5)
	last, err := Copy(t.Context(), b.s, &failing{3}, 0)
	if last != 3 || err == nil || !strings.Contains(err.Error(), "row 4") || !strings.Contains(err.Error(), "full") {
		t.Fatalf("got row %d, %v, want 3 and the fault of row 4", last, err)
	}
	if last := b.copy(&failing{2}, last); last != 5 {
		t.Errorf("then row %d, want 5", last)
	}
}

func TestClosedFileFails(t *testing.T) {
	b := newBench(t, 1)
	f := openFile(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	f.Close()
	if _, err := Copy(t.Context(), b.s, f, 0); !errors.Is(err, fs.ErrClosed) || f.Last() != 0 {
		t.Errorf("got %v, last %d", err, f.Last())
	}
}

// FuzzLines: whatever is read as entries is written again as it was.
func FuzzLines(f *testing.F) {
	e := store.AuditEntry{Seq: 1, Record: []byte(`{"a":[1,"é"]}`), MAC: make([]byte, 32)}
	f.Add(line(e))
	f.Add(append(line(e), line(e)...))
	f.Add([]byte(`{"seq":1,"record":{},"mac":""}`))
	f.Add([]byte("{\"seq\":1,\"record\":{\"a\" :1},\"mac\":\"AA\"}\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out []byte
		for e, err := range Lines(bytes.NewReader(in)) {
			if err != nil {
				break
			}
			out = append(out, line(e)...)
		}
		if !bytes.HasPrefix(in, out) {
			t.Errorf("read %q, written again it is %q", in, out)
		}
	})
}
