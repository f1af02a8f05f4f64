package sipa

import (
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Options change what is written.
type Options struct {
	// DRTMSignatureValid is the verdict on DRTM_STATE_AUTH (switch tpm_drtm_signing_key).
	DRTMSignatureValid bool
}

// AppendJSON appends elements as the compact object that is the ProcessedData of their event (tpm.md sections 10.2 and 10.3) and
// returns all of dst. Members stand in the order in which their elements were first logged; unknown ids are left out.
// An element that occurs more than once in one container makes an array, whatever its form. The error is an
// [evidence.Refusal] of WindowsEvents; there is none for the elements of Parse.
func AppendJSON(dst []byte, elements []Element, opt Options) (jsontext.Value, error) {
	w := writer{dst: dst, opt: opt}
	err := w.object(hoistSMM(elements))
	return w.dst, err
}

// hoistSMM puts the levels of DRTM_SMM_LEVEL that stand in containers also beside them, where rules look for them.
func hoistSMM(elements []Element) []Element {
	nested := 0
	for i := range elements {
		Find(elements[i].Elements, smmLevel, func(Element) { nested++ })
	}
	if nested == 0 {
		return elements
	}
	list := make([]Element, 0, len(elements)+nested)
	for i := range elements {
		list = append(list, elements[i])
		Find(elements[i].Elements, smmLevel, func(e Element) { list = append(list, e) })
	}
	return list
}

// writer writes the elements of one event.
type writer struct {
	dst []byte
	opt Options
}

// object writes the elements of one container.
func (w *writer) object(elements []Element) error {
	var once, again, done idSet
	for i := range elements {
		if id := elements[i].ID; lookup(id).form != formDropped && !once.add(id) {
			again.add(id)
		}
	}
	w.dst = append(w.dst, '{')
	start := len(w.dst)
	for i := range elements {
		r := lookup(elements[i].ID)
		if r.form == formDropped || !done.add(elements[i].ID) {
			continue
		}
		if len(w.dst) > start {
			w.dst = append(w.dst, ',')
		}
		w.dst = append(append(append(w.dst, '"'), r.name...), '"', ':')
		if err := w.member(r.form, elements[i:], again.has(elements[i].ID)); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, '}')
	return nil
}

// member writes the value of the first of elements, as an array with all others of its id if there are any or its form is one.
func (w *writer) member(f form, elements []Element, again bool) error {
	if f&formArray == 0 && !again {
		return w.value(f, &elements[0])
	}
	w.dst = append(w.dst, '[')
	for i := range elements {
		if elements[i].ID != elements[0].ID {
			continue
		}
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if err := w.value(f&^formArray, &elements[i]); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, ']')
	return nil
}

// value writes one element.
func (w *writer) value(f form, e *Element) error {
	if err := e.check(f, nowhere); err != nil {
		return err
	}
	switch f {
	case formB:
		w.dst = strconv.AppendBool(w.dst, e.Bool())
	case formO:
		w.dst = strconv.AppendBool(w.dst, slices.ContainsFunc(e.Payload, func(b byte) bool { return b != 0 }))
	case formN:
		n, _ := e.Uint()
		w.dst = strconv.AppendUint(w.dst, n, 10)
	case formE:
		w.named(e)
	case formT:
		w.dst = appendText(w.dst, e.Payload)
	case formX:
		w.bytes(e.Payload)
	case formR:
		w.dst = append(w.dst, `{"RawData":`...)
		w.bytes(e.Payload)
		w.dst = append(w.dst, '}')
	case formS:
		w.dst = append(strconv.AppendBool(append(w.dst, `{"SignatureValid":`...), w.opt.DRTMSignatureValid), '}')
	case formC:
		return w.object(e.Elements)
	}
	return nil
}

// named writes a number with its name. No name needs escaping.
func (w *writer) named(e *Element) {
	n, _ := e.Uint()
	before := len(w.dst)
	w.dst = append(w.dst, `{"String":"`...)
	start := len(w.dst)
	if w.dst = appendValueName(w.dst, e.ID, n); len(w.dst) > start {
		w.dst = append(w.dst, `","Value":`...)
	} else {
		w.dst = append(w.dst[:before], `{"Value":`...)
	}
	w.dst = append(strconv.AppendUint(w.dst, n, 10), '}')
}

// bytes writes base64url without padding.
func (w *writer) bytes(b []byte) {
	w.dst = append(w.dst, '"')
	w.dst = append(base64.RawURLEncoding.AppendEncode(w.dst, b), '"')
}

// idSet is a set of ids that have a name: their class is below 16 and their number below 128.
type idSet [16][2]uint64

// add adds id and reports whether it was not there before.
func (s *idSet) add(id ID) bool {
	if s.has(id) {
		return false
	}
	s[id>>16&15][id>>6&1] |= 1 << (id & 63)
	return true
}

func (s *idSet) has(id ID) bool { return s[id>>16&15][id>>6&1]&(1<<(id&63)) != 0 }
