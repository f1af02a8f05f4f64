package jmespath

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// Parse reads a JSON text into nil, bool, float64, Integer, string, []any and map[string]any. It takes what
// strictjson takes, UTF-8 without duplicate members nested at most strictjson.MaxDepth deep, and as many tokens as the
// meter pays for.
func Parse(text string, m *Meter) (any, error) { return parse(text, strictjson.MaxDepth, m) }

func parse(text string, depth int, m *Meter) (any, error) {
	if err := m.Spend(len(text) / bytesPerStep); err != nil {
		return nil, err
	}
	d := decoder{jsontext.NewDecoder(strings.NewReader(text)), depth, m}
	v, err := d.value(0)
	if err != nil {
		return nil, readable(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, fmt.Errorf("not JSON: text after the end of the document at offset %d", d.InputOffset())
	}
	return v, m.Err()
}

// readable gives an error of the decoder without the words of the library.
func readable(err error) error {
	if err == io.EOF {
		return errors.New("not JSON: the text is empty")
	}
	s, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("not JSON: the text ends too early, at offset %d", s.ByteOffset)
	}
	return fmt.Errorf("not JSON: %s at offset %d", strings.TrimPrefix(s.Err.Error(), "jsontext: "), s.ByteOffset)
}

// stepsPerRead is the price of reading a value and keeping it.
const stepsPerRead = 4

type decoder struct {
	*jsontext.Decoder
	depth int // allowed
	meter *Meter
}

func (d *decoder) value(depth int) (any, error) {
	if err := d.meter.Spend(stepsPerRead); err != nil {
		return nil, err
	}
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	d.meter.Values -= bytesPerString
	switch t.Kind() {
	case '{', '[':
		if depth == d.depth {
			return nil, fmt.Errorf("JSON that nests deeper than %d at offset %d", d.depth, d.InputOffset())
		}
		if t.Kind() == '{' {
			return d.object(depth + 1)
		}
		return d.array(depth + 1)
	case '"':
		s := t.String()
		d.meter.Values -= len(s)
		return s, nil
	case '0':
		return d.number(t.String())
	case 'n':
		return nil, nil
	}
	return t.Bool(), nil
}

// number reads a number. One that is not short and whole costs more.
func (d *decoder) number(text string) (any, error) {
	if v, ok := short(text); ok {
		return v, nil
	}
	if err := d.meter.Spend(stepsPerNumber); err != nil {
		return nil, err
	}
	v, err := number(text)
	if n, ok := v.(Integer); ok {
		d.meter.Values -= len(n)
		d.meter.Steps -= len(n) / bytesPerDigits
	}
	return v, err
}

// bytesPerDigits is how many digits of a number beyond all others are read for one step.
const bytesPerDigits = 16

// stepsPerNumber is the price of reading a number that may have to be taken exactly.
const stepsPerNumber = 16

func (d *decoder) object(depth int) (any, error) {
	members := map[string]any{}
	d.meter.Values -= bytesPerObject
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // before the next token takes its memory
		d.meter.Values -= bytesPerMember + len(key)
		if len(members) == 0 {
			d.meter.Values -= bytesPerFirst
		}
		if members[key], err = d.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return members, err
}

func (d *decoder) array(depth int) (any, error) {
	elements := []any{}
	for d.PeekKind() != ']' {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		d.meter.Values -= bytesPerElement
		elements = append(elements, v)
	}
	_, err := d.ReadToken()
	return elements, err
}

// Text writes a value as compact JSON: members in the order of their names, integers without fraction and exponent,
// characters as they are unless JSON demands an escape. It nests at most strictjson.MaxDepth deep, so that Parse takes it.
func Text(v any, m *Meter) (string, error) {
	w := writer{meter: m}
	if err := w.value(v); err != nil {
		return "", err
	}
	return string(w.out), nil
}

type writer struct {
	out   []byte
	paid  int // bytes of out
	depth int // of the array or object at hand
	meter *Meter
}

func (w *writer) value(v any) error {
	var err error
	switch v := v.(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	case float64:
		err = w.float(v)
	case Integer:
		w.out = append(w.out, v...)
	case string:
		w.room(len(v) + len(`""`))
		w.out, err = jsontext.AppendQuote(w.out, v)
	case []any:
		err = w.nested(func() error { return w.array(v) })
	case map[string]any:
		err = w.nested(func() error { return w.object(v) })
	default:
		err = errors.New("the result is no JSON: an expression reference stands for no value")
	}
	if err != nil {
		return err
	}
	return w.pay()
}

// room makes room for n bytes. A long text that is moved gets twice the room, since append, which gives it a quarter more, would move
// it often.
func (w *writer) room(n int) {
	if cap(w.out)-len(w.out) < n {
		w.out = slices.Grow(w.out, len(w.out)+n)
	}
}

// nested writes an array or object, one level deeper.
func (w *writer) nested(write func() error) error {
	if w.depth++; w.depth > strictjson.MaxDepth {
		return fmt.Errorf("the result nests deeper than %d", strictjson.MaxDepth)
	}
	defer func() { w.depth-- }()
	return write()
}

// pay takes the bytes written since the last time.
func (w *writer) pay() error {
	n := len(w.out) - w.paid
	w.paid = len(w.out)
	if err := w.meter.Spend(1); err != nil {
		return err
	}
	return w.meter.Write(n)
}

// float writes integers in all their digits, since they are exact.
func (w *writer) float(f float64) error {
	switch abs := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return fmt.Errorf("the result %v is no JSON number", f)
	case f == math.Trunc(f):
		w.out = strconv.AppendFloat(w.out, f+0, 'f', 0, 64) // adding zero takes the sign from -0
	case abs >= 1e-6:
		w.out = strconv.AppendFloat(w.out, f, 'f', -1, 64)
	default:
		w.out = strconv.AppendFloat(w.out, f, 'e', -1, 64)
	}
	return nil
}

func (w *writer) array(elements []any) error {
	w.out = append(w.out, '[')
	for i, v := range elements {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(v); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *writer) object(members map[string]any) error {
	names, err := w.meter.names(members)
	if err != nil {
		return err
	}
	w.out = append(w.out, '{')
	for i, name := range names {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(name); err != nil {
			return err
		}
		w.out = append(w.out, ':')
		if err := w.value(members[name]); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}
