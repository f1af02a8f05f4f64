package binread

import (
	"strings"
	"testing"
)

func TestReadsInOrder(t *testing.T) {
	c := New([]byte{1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 8})
	if a, b, d := c.LE16("a"), c.LE32("b"), c.LE64("c"); a != 1 || b != 2 || d != 3 {
		t.Errorf("got %d %d %d", a, b, d)
	}
	if rest := c.Bytes("rest", 2); string(rest) != "\x09\x08" {
		t.Errorf("rest %x", rest)
	}
	if err := c.Done("all"); err != nil {
		t.Error(err)
	}
}

func TestFirstErrorSticksAndNamesFieldAndOffset(t *testing.T) {
	c := New(make([]byte, 5))
	c.LE32("version")
	if n := c.LE16("kind"); n != 0 {
		t.Errorf("failed read gave %d", n)
	}
	c.LE64("later")
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "kind at offset 4: needs 2 bytes, 1 left") {
		t.Errorf("error %v", err)
	}
}

func TestSubIsBoundedByItsLength(t *testing.T) {
	c := New([]byte{0, 0, 1, 2, 3, 4})
	c.LE16("head")
	s := c.Sub("inner", 3)
	s.LE16("x")
	if s.LE16("y"); s.Err() == nil || !strings.Contains(s.Err().Error(), "y at offset 4") {
		t.Errorf("inner error %v", s.Err())
	}
	if c.Err() != nil || c.Left() != 1 {
		t.Errorf("outer: %v, %d left", c.Err(), c.Left())
	}
}

func TestHugeLengthsCostNothing(t *testing.T) {
	for _, n := range []uint64{2, 1 << 31, 1<<32 - 1, 1<<64 - 1} {
		c := New([]byte{1})
		if s := c.Sub("inner", n); s.Err() == nil || c.Err() == nil {
			t.Errorf("length %d accepted", n)
		}
	}
	if c := New([]byte{1}); c.Bytes("x", -1) != nil || c.Err() == nil {
		t.Error("negative length accepted")
	}
}

func TestDoneRefusesLeftOvers(t *testing.T) {
	c := New([]byte{1, 2})
	c.Bytes("one", 1)
	if err := c.Done("thing"); err == nil || !strings.Contains(err.Error(), "thing: 1 bytes left over at offset 1") {
		t.Errorf("got %v", err)
	}
}

func TestReadsBigEndianInOrder(t *testing.T) {
	c := New([]byte{0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 3})
	if a, b, d := c.BE16("a"), c.BE32("b"), c.BE64("c"); a != 1 || b != 2 || d != 0x103 {
		t.Errorf("got %d %d %d", a, b, d)
	}
	if a, b, d := c.BE16("a"), c.BE32("b"), c.BE64("c"); a != 0 || b != 0 || d != 0 || c.Err() == nil {
		t.Errorf("behind the end: %d %d %d, %v", a, b, d, c.Err())
	}
}
