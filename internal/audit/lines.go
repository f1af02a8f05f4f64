package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// maxLine is the longest line in bytes: a record, its number and its MAC.
const maxLine = MaxRecord + 256

// line writes an entry as {"seq":…,"record":{…},"mac":"…"}, with the record byte for byte, and the end of the line.
func line(e store.AuditEntry) []byte {
	b := strconv.AppendInt([]byte(`{"seq":`), e.Seq, 10)
	b = append(append(b, `,"record":`...), e.Record...)
	return append(append(append(b, `,"mac":"`...), b64.URL(e.MAC)...), "\"}\n"...)
}

// parseLine reads a line without its end. It takes what line writes and nothing else.
func parseLine(b []byte) (store.AuditEntry, error) {
	var l struct {
		Seq    int64          `json:"seq"`
		Record jsontext.Value `json:"record"`
		MAC    string         `json:"mac"`
	}
	if err := strictjson.Exact(b, &l); err != nil {
		return store.AuditEntry{}, err
	}
	mac, err := b64.DecodeURL(l.MAC)
	if err != nil {
		return store.AuditEntry{}, fmt.Errorf(`member "mac": %w`, err)
	}
	e := store.AuditEntry{Seq: l.Seq, Record: l.Record, MAC: mac}
	if l.Record.Kind() != '{' || !bytes.Equal(bytes.TrimSuffix(line(e), []byte("\n")), b) {
		return store.AuditEntry{}, errors.New(`not in the form {"seq":…,"record":{…},"mac":"…"} in which lines are written`)
	}
	return e, nil
}

// Lines gives the entries of a JSON-lines file. It ends with the first line that cannot be read; the error names it.
func Lines(r io.Reader) iter.Seq2[store.AuditEntry, error] {
	return func(yield func(store.AuditEntry, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(nil, maxLine)
		in.Split(wholeLines)
		n := 0
		for in.Scan() {
			n++
			e, err := parseLine(in.Bytes())
			if err != nil {
				yield(store.AuditEntry{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			e.Record = bytes.Clone(e.Record) // the next line takes the place of this one
			if !yield(e, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield(store.AuditEntry{}, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}

// wholeLines splits at line feeds alone, and refuses a line without its end: it may be half of one.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("the end of the line is missing: it was not written whole")
	}
	return 0, nil, nil
}
