// Package binread is a cursor over binary structures. Reads go forward and are named; the first one that does not fit
// becomes the error of the cursor, with the field's name and offset, and every later read gives zeros. Lengths are
// compared with what is left before anything is sliced; nothing is allocated.
package binread

import (
	"encoding/binary"
	"fmt"
)

// Cursor reads one structure. The slices it returns alias its input.
type Cursor struct {
	data []byte
	off  int
	base int
	err  error
}

// New starts a cursor at the beginning of b.
func New(b []byte) *Cursor {
	return &Cursor{data: b}
}

// Bytes reads n bytes.
func (c *Cursor) Bytes(field string, n int) []byte {
	if c.err == nil && (n < 0 || n > c.Left()) {
		c.err = fmt.Errorf("%s at offset %d: needs %d bytes, %d left", field, c.base+c.off, n, c.Left())
	}
	if c.err != nil {
		return nil
	}
	c.off += n
	return c.data[c.off-n : c.off : c.off]
}

// LE16 reads a little-endian 16-bit integer.
func (c *Cursor) LE16(field string) uint16 {
	if b := c.Bytes(field, 2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// LE32 reads a little-endian 32-bit integer.
func (c *Cursor) LE32(field string) uint32 {
	if b := c.Bytes(field, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// LE64 reads a little-endian 64-bit integer.
func (c *Cursor) LE64(field string) uint64 {
	if b := c.Bytes(field, 8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// BE16 reads a big-endian 16-bit integer.
func (c *Cursor) BE16(field string) uint16 {
	if b := c.Bytes(field, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// BE32 reads a big-endian 32-bit integer.
func (c *Cursor) BE32(field string) uint32 {
	if b := c.Bytes(field, 4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// BE64 reads a big-endian 64-bit integer.
func (c *Cursor) BE64(field string) uint64 {
	if b := c.Bytes(field, 8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Sub reads n bytes as a structure of its own, whose errors name offsets of the whole.
func (c *Cursor) Sub(field string, n uint64) *Cursor {
	start := c.Offset()
	if c.err == nil && n > uint64(c.Left()) {
		c.err = fmt.Errorf("%s at offset %d: needs %d bytes, %d left", field, start, n, c.Left())
	}
	data := c.Bytes(field, int(n))
	return &Cursor{data: data, base: start, err: c.err}
}

// Fail makes the cursor fail with a problem of the field just read, unless it failed before.
func (c *Cursor) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// Left is the number of bytes not read yet.
func (c *Cursor) Left() int { return len(c.data) - c.off }

// Offset is the position in the whole input of the next byte.
func (c *Cursor) Offset() int { return c.base + c.off }

// Err is the first error, nil while every read succeeded.
func (c *Cursor) Err() error { return c.err }

// Done is Err, and an error if bytes are left over.
func (c *Cursor) Done(structure string) error {
	if c.err == nil && c.Left() > 0 {
		c.err = fmt.Errorf("%s: %d bytes left over at offset %d", structure, c.Left(), c.Offset())
	}
	return c.err
}
