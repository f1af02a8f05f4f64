package store

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
)

// FuzzReadBackup holds the reader to this: whatever it takes is what is written for the rows that it gave.
func FuzzReadBackup(f *testing.F) {
	rows := []string{
		`{"table":"state","row":{"audit_seq":1,"audit_mac":"AQID"}}`,
		`{"table":"providers","row":{"id":"1","name":"a","url":"https://a","version":1,"doc":"{\"listen\":\":1\"}","longest_report":60}}`,
		`{"table":"policies","row":{"provider_id":"1","type":"SgxEnclave","version":2,"jws":"a.b.c","doc":"{}"}}`,
		`{"table":"signing_keys","row":{"provider_id":"1","id":"k","signs_from":-7,"sealed":"/w=="}}`,
		`{"table":"reference_values","row":{"provider_id":"1","name":"golden","version":3,"doc":"{}"}}`,
		`{"table":"audit","row":{"seq":1,"record":"{}","mac":"AQID"}}`,
	}
	for i, row := range rows {
		f.Add(strings.Join(rows[:i], "\n") + "\n" + row + "\n")
	}
	f.Add("")
	f.Add("{\"table\":\"state\"}\n{\"lines\":1,\"sha256\":\"\"}\n")
	f.Fuzz(func(t *testing.T, body string) {
		lines := backupHeader(1) + body
		sum := sha256.Sum256([]byte(lines))
		whole := lines + backupEnd(strings.Count(lines, "\n"), sum[:])
		again := bytes.NewBufferString(backupHeader(1))
		err := readBackup(strings.NewReader(whole), 1, func(tb table, row []any) error {
			line, err := tb.line(row)
			again.Write(line)
			return err
		})
		if err == nil && again.String() != lines {
			t.Errorf("taken:\n%s\nbut written:\n%s", lines, again)
		}
	})
}
