// Package tpmsocket speaks to an swtpm on a unix socket (tpm-evidence.md section 11 B). swtpm serves one connection after the other; so each command
// has a connection of its own, and other programs get their turn in between.
package tpmsocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	headerSize  = 10               // tag u16, size u32, code u32, all big-endian
	maxAnswer   = 4096             // bytes of an answer: the buffer of the TPMs
	commandTime = 2 * time.Minute  // for a command: an RSA key takes seconds on slow machines
	dialTime    = 10 * time.Second // for a place in the queue of swtpm, which is one or two long
	dialAgain   = 2 * time.Millisecond
)

// Socket is an swtpm.
type Socket struct{ path string }

// Open looks whether a socket of that path is listened on. The error wraps those of package fs and syscall.
func Open(path string) (*Socket, error) {
	s := &Socket{path}
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	return s, conn.Close()
}

// dial connects. While the queue is full Linux says EAGAIN.
func (s *Socket) dial() (net.Conn, error) {
	for end := time.Now().Add(dialTime); ; time.Sleep(dialAgain) {
		conn, err := net.Dial("unix", s.path)
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(end) {
			return conn, err
		}
	}
}

// Send sends a command and gives the answer, whatever it says.
func (s *Socket) Send(command []byte) ([]byte, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(commandTime)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(command); err != nil {
		return nil, err
	}
	return read(conn)
}

// read reads one answer.
func read(r io.Reader) ([]byte, error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	size := binary.BigEndian.Uint32(header[2:])
	if size < headerSize || size > maxAnswer {
		return nil, fmt.Errorf("the answer says that it has %d bytes: expected %d to %d", size, headerSize, maxAnswer)
	}
	answer := append(header, make([]byte, size-headerSize)...)
	if _, err := io.ReadFull(r, answer[headerSize:]); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return answer, nil
}

// Close has nothing to close.
func (*Socket) Close() error { return nil }
