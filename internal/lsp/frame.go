package lsp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The bounds of a message, which is a header and a content of so many bytes as the header says.
const (
	// MaxHeader is how many bytes the header of a message may have.
	MaxHeader = 4 << 10
	// MaxMessage is how many bytes the content of a message may have: a policy of the longest text allowed with each
	// byte escaped, and more. Longer ones are read over.
	MaxMessage = 16 << 20
)

// tooLong is the error of a message above MaxMessage. The messages after it can still be read.
type tooLong struct{ size int64 }

func (e tooLong) Error() string {
	return fmt.Sprintf("the message has %d bytes, at most %d are read", e.size, MaxMessage)
}

// frames reads the messages of one connection.
type frames struct{ r *bufio.Reader }

func newFrames(r io.Reader) frames { return frames{bufio.NewReaderSize(r, MaxHeader)} }

// next returns the content of the next message. The error is io.EOF at the end of the input, tooLong for a message that
// was read over, and anything else where the input makes no sense any more.
func (f frames) next() ([]byte, error) {
	size, err := f.header()
	if err != nil {
		return nil, err
	}
	if size > MaxMessage {
		if _, err := io.CopyN(io.Discard, f.r, size); err != nil {
			return nil, cut(err)
		}
		return nil, tooLong{size}
	}
	var content bytes.Buffer // grows with what comes, not with what is announced
	if _, err := io.CopyN(&content, f.r, size); err != nil {
		return nil, cut(err)
	}
	return content.Bytes(), nil
}

// cut names an input that ends within a message.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the message is cut short: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// header reads the header fields and the empty line behind them, and returns the size of the content.
func (f frames) header() (int64, error) {
	size, read := int64(-1), 0
	for {
		line, err := f.r.ReadSlice('\n')
		read += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull), read > MaxHeader:
			return 0, fmt.Errorf("the header of the message has more than %d bytes", MaxHeader)
		case errors.Is(err, io.EOF) && read == 0:
			return 0, io.EOF
		case err != nil:
			return 0, cut(err)
		}
		field := strings.TrimRight(string(line), "\r\n")
		if field == "" {
			break
		}
		if size, err = headerField(field, size); err != nil {
			return 0, err
		}
	}
	if size < 0 {
		return 0, errors.New("header of the message: Content-Length is missing")
	}
	return size, nil
}

// headerField reads one field, where size is that of the fields before. Fields that the protocol does not know are
// ignored.
func headerField(field string, size int64) (int64, error) {
	name, value, ok := strings.Cut(field, ":")
	if !ok {
		return 0, fmt.Errorf("header of the message: expected NAME: VALUE, found %.40q", field)
	}
	value = strings.TrimSpace(value)
	switch strings.ToLower(name) {
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || size >= 0 {
			return 0, fmt.Errorf("header of the message: Content-Length: expected one number of bytes, found %.40q", value)
		}
		return int64(n), nil
	case "content-type":
		_, charset, given := strings.Cut(strings.ToLower(value), "charset=")
		if charset = strings.Trim(charset, `"`); given && charset != "utf-8" && charset != "utf8" {
			return 0, fmt.Errorf("header of the message: Content-Type: expected charset=utf-8, found %.80q", value)
		}
	}
	return size, nil
}

// writeFrame writes one message in one piece.
func writeFrame(w io.Writer, content []byte) error {
	_, err := w.Write(fmt.Appendf(nil, "Content-Length: %d\r\n\r\n%s", len(content), content))
	return err
}
