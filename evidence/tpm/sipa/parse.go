package sipa

import (
	"encoding/binary"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
)

// headerSize is the length of an element's id and size.
const headerSize = 8

// chunk is how many elements are allocated at once at most, unless a container has more.
const chunk = 128

// nowhere is the offset of an element that was not parsed.
const nowhere = -1

// remedy is what can be done about every refusal of this package.
const remedy = "send the log as Windows gives it out (Tbsi_Get_TCG_Log_Ex)"

// Parse reads the data of a Windows EV_EVENT_TAG to its last byte. At most depth containers may stand in each other: with 0
// there may be none. Elements that are marked as not measured are left out, with what is in them, unread. Unknown ids are kept.
// An element whose form is known has a value of that form; the structures of tpm.md section 10.4 are handed on as bytes and not
// looked into. The slices of the result alias data. The error is an [evidence.Refusal] of WindowsEvents that names the
// element and its offset (tpm.md section 10.1).
func Parse(data []byte, depth int) ([]Element, error) {
	p := parser{data: data}
	return p.sequence(0, len(data), depth)
}

// parser reads the data of one event.
type parser struct {
	data     []byte
	boundary bool      // a trust boundary was read
	free     []Element // allocated and not used yet
}

// sequence reads the elements from offset at to end, which may hold depth levels of containers.
func (p *parser) sequence(at, end, depth int) ([]Element, error) {
	n, err := p.count(at, end)
	if err != nil {
		return nil, err
	}
	list := p.take(n, end-at)
	for i := 0; i < len(list); {
		id, size := p.header(at)
		if id&notMeasured == 0 {
			if list[i], err = p.element(id, at, size, depth); err != nil {
				return nil, err
			}
			i++
		}
		at += headerSize + size
	}
	return list, nil
}

// count checks that the elements from offset at to end fit, and counts those that are measured.
func (p *parser) count(at, end int) (int, error) {
	n := 0
	for at < end {
		if end-at < headerSize {
			return 0, evidence.Refuse(evidence.WindowsEvents, "the header of the element at offset %d is cut off", at).
				Want(fmt.Sprintf("%d bytes", headerSize), end-at).Do(remedy)
		}
		id, size := p.header(at)
		if left := end - at - headerSize; size < 0 || size > left {
			return 0, evidence.Refuse(evidence.WindowsEvents, "the element %v at offset %d does not fit into what holds it", id, at).
				Want(fmt.Sprintf("at most %d bytes", left), uint32(size)).Do(remedy)
		}
		if id&notMeasured == 0 {
			n++
		}
		at += headerSize + size
	}
	return n, nil
}

// header reads the id and the size of the element at offset at. A size that an int cannot hold becomes negative.
func (p *parser) header(at int) (ID, int) {
	size := binary.LittleEndian.Uint32(p.data[at+4:])
	return ID(binary.LittleEndian.Uint32(p.data[at:])), int(size)
}

// take gives n elements to fill in; size is the number of bytes that they are read from.
func (p *parser) take(n, size int) []Element {
	if n > len(p.free) {
		p.free = make([]Element, max(n, min(size/(4*headerSize), chunk)))
	}
	list := p.free[:n:n]
	p.free = p.free[n:]
	return list
}

// element reads the measured element at offset at, whose size fits.
func (p *parser) element(id ID, at, size, depth int) (Element, error) {
	e := Element{ID: id}
	if id == TrustBoundary {
		if p.boundary {
			return e, evidence.Refuse(evidence.WindowsEvents, "the event has a second trust boundary, at offset %d", at).
				Want("one at most", "two").Do(remedy)
		}
		p.boundary = true
	}
	start := at + headerSize
	if id&container == 0 {
		e.Payload = p.data[start : start+size : start+size]
		return e, e.check(lookup(id).form, at)
	}
	if depth <= 0 {
		return e, evidence.Refuse(evidence.WindowsEvents, "the container %v at offset %d is nested too deep", id, at).
			Want("no container here", "one").Do(remedy + "; the limit sipa_depth bounds the nesting, and Windows nests two deep")
	}
	var err error
	e.Elements, err = p.sequence(start, start+size, depth-1)
	return e, err
}

// check checks that the value of the element at offset at has the length that its form needs; nowhere is the offset of one
// that Parse did not make.
func (e *Element) check(f form, at int) error {
	n, want := len(e.Payload), ""
	switch {
	case f == formB && n != 1:
		want = "1 byte"
	case f == formO && n == 0:
		want = "1 byte or more"
	case (f == formN || f == formE) && n != 1 && n != 2 && n != 4 && n != 8:
		want = "an integer of 1, 2, 4 or 8 bytes"
	case f == formT && n%2 != 0:
		want = "UTF-16, so an even number of bytes"
	default:
		return nil
	}
	where := fmt.Sprintf(" at offset %d", at)
	if at == nowhere {
		where = ""
	}
	return evidence.Refuse(evidence.WindowsEvents, "the element %v%s has a value of a wrong length", e.ID, where).
		Want(want, fmt.Sprintf("%d bytes", n)).Do(remedy)
}
