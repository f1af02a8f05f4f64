package tpmsocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/tpmsocket"
)

// server is a TPM that gives each connection the parts of an answer, one by one, and then closes it.
func server(t *testing.T, parts ...[]byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(conn, make([]byte, 10)); err == nil {
				for _, p := range parts {
					conn.Write(p)
				}
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		os.RemoveAll(dir)
	})
	return path
}

// answer is an answer that says that it has so many bytes.
func answer(size uint32, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x80, 1}, size)
	return append(append(b, 0, 0, 0, 0), rest...)
}

func TestAnAnswerIsReadToItsLengthHoweverItComes(t *testing.T) {
	command := answer(10)
	for name, parts := range map[string][][]byte{
		"shortest":    {answer(10)},
		"in parts":    {answer(13)[:4], answer(13)[4:], {1}, {2, 3}},
		"longest":     {answer(4096, make([]byte, 4086)...)},
		"more behind": {answer(11, 7), {9, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tpmsocket.Open(server(t, parts...))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sent := bytes.Join(parts, nil)
			want := sent[:binary.BigEndian.Uint32(sent[2:])]
			for range 3 {
				if got, err := s.Send(command); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%x, %v; want %x", got, err, want)
				}
			}
		})
	}
}

func TestAnAnswerThatIsNoneIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		parts [][]byte
		want  string
	}{
		"nothing":        {nil, "reading the answer"},
		"half a header":  {[][]byte{answer(10)[:5]}, "reading the answer"},
		"cut":            {[][]byte{answer(20, 1)}, "reading the answer"},
		"under a header": {[][]byte{answer(9)}, "9 bytes"},
		"too long":       {[][]byte{answer(4097)}, "4097 bytes"},
		"far too long":   {[][]byte{answer(1<<32 - 1)}, "4294967295 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tpmsocket.Open(server(t, test.parts...))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := s.Send(answer(10)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%x, %v; want %q", b, err, test.want)
			}
		})
	}
}

func TestASocketThatIsNotThereIsNotOpened(t *testing.T) {
	if _, err := tpmsocket.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
