package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/assay-attestation/assay/internal/store"
)

// Sink takes the entries of the trail beside the store, which is the authority. Its errors must not be silent.
type Sink interface {
	// Write takes the next entry.
	Write(store.AuditEntry) error
	// Close ends the sink.
	Close() error
}

// Copy brings to a sink, in order, what the store has after the head, and returns the sequence number of the last entry
// that the sink has taken, which the next call begins after. So a sink that has failed goes on where it was. Each sink
// is to have one caller at a time; to be called after every change and every second, since other replicas write too.
//
// A sink that is ahead of the store is an error: it has the rows of another store, or an older state of this one was put back, and
// rows of a number that it has already would be missing in it.
func Copy(ctx context.Context, s *store.Store, sink Sink, after int64) (int64, error) {
	var newest Head
	err := s.Read(ctx, func(tx *store.Tx) (err error) {
		newest, err = mark(tx)
		return err
	})
	if err != nil {
		return after, fmt.Errorf("copying the audit trail: %w", err)
	}
	if newest.Seq < after {
		return after, fmt.Errorf("copying the audit trail: the store ends with row %d, but row %d was copied already: "+
			"if an older state of the store was put back, put the copy aside and restart", newest.Seq, after)
	}
	for e, err := range Rows(ctx, s, after+1) {
		if err == nil {
			err = sink.Write(e)
		}
		if err != nil {
			return after, fmt.Errorf("copying row %d of the audit trail: %w", after+1, err)
		}
		after = e.Seq
	}
	return after, nil
}

// Stream writes entries as lines of JSON to what it does not own, such as the standard output. It may be used concurrently.
type Stream struct {
	mu sync.Mutex
	w  io.Writer
}

// NewStream makes a sink of a writer.
func NewStream(w io.Writer) *Stream { return &Stream{w: w} }

// Write writes one line with one call.
func (s *Stream) Write(e store.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(line(e))
	return err
}

// Close does nothing.
func (s *Stream) Close() error { return nil }

// File appends entries as lines of JSON to a file. A line is on the disk when Write returns. It may be used concurrently,
// but not by two processes: each replica has a file of its own.
type File struct {
	mu   sync.Mutex
	f    *os.File
	size int64 // of the whole lines
	last int64
}

// OpenFile opens a file for appending, after making it with mode 0600 if it is not there. Half a line at its end, of a
// write that was interrupted, is cut off: [Copy] brings it again. It refuses a file whose last line is no entry.
func OpenFile(name string) (*File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit file: %w", err)
	}
	out := &File{f: f}
	if err := out.resume(); err != nil {
		return nil, errors.Join(fmt.Errorf("audit file %s: %w", name, err), f.Close())
	}
	return out, nil
}

// resume finds the last whole line.
func (f *File) resume() error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	begin := max(0, info.Size()-2*maxLine) // holds the last whole line, if there is one
	in := bufio.NewReader(io.NewSectionReader(f.f, begin, info.Size()-begin))
	if begin > 0 { // the middle of a line
		skipped, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("no end of a line in its last %d bytes", 2*maxLine)
		}
		begin += int64(len(skipped))
	}
	f.size = begin
	return f.lines(in)
}

// lines follows the whole lines to the end of the file.
func (f *File) lines(in *bufio.Reader) error {
	var newest []byte
	for {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		newest, f.size = text, f.size+int64(len(text))
	}
	if newest != nil {
		e, err := parseLine(newest[:len(newest)-1])
		if err != nil {
			return fmt.Errorf("its last line: %w", err)
		}
		f.last = e.Seq
	}
	return f.f.Truncate(f.size)
}

// Last is the sequence number of the last entry in the file, 0 if there is none: [Copy] goes on after it.
func (f *File) Last() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// Write appends one line with one call and waits until it is on the disk. If that fails, the file keeps its whole lines.
func (f *File) Write(e store.AuditEntry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := line(e)
	_, err := f.f.Write(text)
	if err == nil {
		err = f.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("audit file %s: %w", f.f.Name(), errors.Join(err, f.f.Truncate(f.size)))
	}
	f.size, f.last = f.size+int64(len(text)), e.Seq
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
