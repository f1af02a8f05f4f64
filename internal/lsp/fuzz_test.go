package lsp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assay-attestation/assay/internal/lsp"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// frame puts the header before the content of a message.
func frame(content string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(content), content)
}

// serve runs a server on all of the input and returns what it wrote.
func serve(t *testing.T, input string) ([]incoming, error) {
	t.Helper()
	var out bytes.Buffer
	end := lsp.Serve(strings.NewReader(input), &out, lsp.Options{Type: typeOf})
	var messages []incoming
	if err := receive(&out, func(m incoming) { messages = append(messages, m) }); err != nil {
		t.Errorf("%q: the server wrote what is no message: %v", input, err)
	}
	return messages, end
}

// FuzzRead holds for every stream of bytes: no panic, an end, and nothing but messages in answer. Only a client that
// asked for a shutdown is left without an error.
func FuzzRead(f *testing.F) {
	f.Add([]byte(frame(initialize) + frame(shutdown) + frame(exit)))
	f.Add([]byte("Content-Length: 2\r\nContent-Type: a; charset=utf-8\r\n\r\n{}Content-Length: 00\n\n"))
	f.Add([]byte("Content-Length: 16777217\r\n\r\n"))
	f.Add([]byte("content-length:9223372036854775807\r\n\r\n[[["))
	f.Fuzz(func(t *testing.T, input []byte) {
		if _, err := serve(t, string(input)); err == nil && !bytes.Contains(input, []byte("shutdown")) {
			t.Errorf("%q ended well without a shutdown", input)
		}
	})
}

// FuzzServe holds for every sequence of messages, one on each line: no panic, an end, and for each id at most as many
// responses as there are messages that name it; nothing is an internal error.
func FuzzServe(f *testing.F) {
	open := `{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"tpm","version":1,"text":"version=1.2;"}}}`
	f.Add(strings.Join([]string{initialize, open, `{"jsonrpc":"2.0","id":3,"method":"textDocument/hover","params":{"textDocument":{"uri":"tpm"},"position":{"line":0,"character":3}}}`, shutdown, exit}, "\n"))
	f.Add(strings.Join([]string{shutdown, initialize, initialize, `[]`, `{"jsonrpc":"2.0","id":1.5,"method":"$/x","params":null}`, shutdown, open}, "\n"))
	f.Add(strings.Join([]string{initialize, open, `{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"tpm"},"contentChanges":[{"text":"x"},{"text":"\uFEFF"}]}}`,
		`{"jsonrpc":"2.0","id":"x","method":"textDocument/formatting","params":{"textDocument":{"uri":"tpm"}}}`,
		`{"jsonrpc":"2.0","id":"y","method":"textDocument/completion","params":{"textDocument":{"uri":"tpm"},"position":{"line":9,"character":9}}}`,
		`{"jsonrpc":"2.0","method":"textDocument/didClose","params":{"textDocument":{"uri":"tpm"}}}`}, "\n"))
	f.Fuzz(func(t *testing.T, lines string) {
		var input strings.Builder
		left := map[any]int{}
		for line := range strings.SplitSeq(lines, "\n") {
			input.WriteString(frame(line))
			left[idOf([]byte(line))]++
		}
		messages, _ := serve(t, input.String())
		for _, m := range messages {
			if m.Error != nil && m.Error.Code == -32603 {
				t.Errorf("%q: internal error %s", lines, m.Error.Message)
			}
			if id := idOf([]byte(`{"id":` + string(m.ID) + `}`)); m.Method == "" && id != nil {
				if left[id]--; left[id] < 0 {
					t.Errorf("%q: more responses to %v than messages that name it", lines, id)
				}
			}
		}
	})
}

// idOf is the id of a message, nil if it has none.
func idOf(content []byte) any {
	var m struct{ ID any }
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return nil
	}
	switch m.ID.(type) {
	case string, json.Number:
		return m.ID
	}
	return nil
}

// FuzzDocument holds for every text and position: what the server says about them lies inside the text, what it offers
// is at the cursor, and what it formats parses.
func FuzzDocument(f *testing.F) {
	var index map[string]struct{ Kind string }
	vectortest.ReadJSON(f, "policies/index.json", &index)
	for name, v := range index {
		if v.Kind == "text" {
			f.Add(string(vectortest.Read(f, path.Join("policies", name))), uint16(5), uint16(12), len(name)%2 == 0)
		}
	}
	for _, text := range []string{authFrame + "c:[type==\"x", issueFrame + "=> issue(type=\"a\", value=f(c.", "\uFEFF// type: sgx\r\r\n[😀\"ü", "}{;)(]=>[.,:type=", issueFrame + "=> issue(type=\"a\nb\", value=1);"} {
		for line := range uint16(8) {
			f.Add(text, line, 3*line, line%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, text string, line, character uint16, bytewise bool) {
		if text = strings.ToValidUTF8(text, "?"); len(text) > policy.MaxText/4 {
			return
		}
		encoding := "utf-16"
		if bytewise {
			encoding = "utf-8"
		}
		at := fmt.Sprintf(`{"textDocument":{"uri":"sgx"},"position":{"line":%d,"character":%d}}`, line, character)
		messages, err := serve(t, frame(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{"general":{"positionEncodings":["`+encoding+`"]}}}}`)+
			frame(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"sgx","version":1,"text":`+quote(text)+`}}}`)+
			frame(`{"jsonrpc":"2.0","id":2,"method":"textDocument/completion","params":`+at+`}`)+
			frame(`{"jsonrpc":"2.0","id":3,"method":"textDocument/hover","params":`+at+`}`)+
			frame(`{"jsonrpc":"2.0","id":4,"method":"textDocument/formatting","params":`+at+`}`)+frame(shutdown))
		if err != nil || len(messages) != 6 {
			t.Fatalf("%q: %d messages, %v, want 6", text, len(messages), err)
		}
		d := fuzzed{t, text, bytewise}
		d.diagnostics(messages[1])
		d.completion(messages[2], int(line), int(character))
		d.hover(messages[3])
		d.formatting(messages[4])
	})
}

// fuzzed is a document whose answers are looked at.
type fuzzed struct {
	t     *testing.T
	text  string
	bytes bool
}

func (d fuzzed) read(m incoming, v any) {
	d.t.Helper()
	from := m.Result
	if m.Method != "" {
		from = m.Params
	}
	if err := json.Unmarshal(from, v); err != nil {
		d.t.Fatalf("%q: %+v: %v", d.text, m, err)
	}
}

// inside checks that a range is one of the text.
func (d fuzzed) inside(r lspRange) {
	d.t.Helper()
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(d.text), "\n")
	for _, p := range []lspPosition{r.Start, r.End} {
		if p.Line < 0 || p.Line >= len(lines) || p.Character < 0 || p.Character > d.length(lines[p.Line]) {
			d.t.Errorf("%q: %+v is outside", d.text, r)
		}
	}
	if r.End.Line < r.Start.Line || r.End.Line == r.Start.Line && r.End.Character < r.Start.Character {
		d.t.Errorf("%q: %+v ends before it starts", d.text, r)
	}
}

// length is that of a line in units of the protocol.
func (d fuzzed) length(line string) (n int) {
	for _, r := range line {
		switch {
		case d.bytes:
			n += utf8.RuneLen(r)
		case r >= 0x10000:
			n += 2
		default:
			n++
		}
	}
	return n
}

func (d fuzzed) diagnostics(m incoming) {
	var got diagnostics
	d.read(m, &got)
	_, err := policy.Parse([]byte(d.text))
	failures := 0
	for _, g := range got.Diagnostics {
		d.inside(g.Range)
		if g.Message == "" || g.Source != "assay" || g.Code == "" {
			d.t.Errorf("%q: %+v", d.text, g)
		}
		if g.Severity == 1 {
			failures++
		}
	}
	if err != nil && failures == 0 {
		d.t.Errorf("%q: nothing is said about %v", d.text, err)
	}
}

func (d fuzzed) completion(m incoming, line, character int) {
	var got struct{ Items []item }
	d.read(m, &got)
	for _, i := range got.Items {
		r := i.TextEdit.Range
		d.inside(r)
		inText := line < strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(d.text), "\n")
		if r.Start.Line != r.End.Line || inText && (r.Start.Line != line || r.Start.Character > character) {
			d.t.Errorf("%q: the edit %+v is not at %d:%d", d.text, i, line, character)
		}
	}
}

func (d fuzzed) hover(m incoming) {
	var got *hovered
	if d.read(m, &got); got != nil {
		if d.inside(got.Range); got.Contents.Value == "" || got.Range.Start == got.Range.End {
			d.t.Errorf("%q: %+v", d.text, got)
		}
	}
}

func (d fuzzed) formatting(m incoming) {
	want, err := policy.Format([]byte(d.text))
	var got []struct {
		Range   lspRange
		NewText string
	}
	switch {
	case (err == nil) != (m.Error == nil):
		d.t.Errorf("%q: got %+v, want %v", d.text, m, err)
	case err != nil:
	case string(want) == d.text:
		if string(m.Result) != "[]" {
			d.t.Errorf("%q: got %s, want no edit", d.text, m.Result)
		}
	default:
		if d.read(m, &got); len(got) != 1 || got[0].NewText != string(want) {
			d.t.Errorf("%q: got %+v, want one edit with %q", d.text, got, want)
		}
	}
}
