package policy

import (
	"math"
	"strings"
)

// demand is a test against a literal.
type demand struct {
	test  *testNode
	value Value
}

// demandOf returns the test as a demand, and whether it is one.
func demandOf(t *testNode) (demand, bool) {
	l, ok := t.right.(literalNode)
	return demand{t, l.value}, ok
}

// String returns the test as a policy writes it, shortened.
func (d demand) String() string {
	return d.test.property.raw + d.test.relation.raw + shorten(d.value.literal(), 80)
}

// demands is what tests against literals demand of one property.
type demands struct {
	equal     *demand
	unequal   map[Value]*demand
	low, high bound
}

// bound is the least or the largest integer that is left, and what demands it; none while by is nil.
type bound struct {
	at int64
	by *demand
}

// add takes a demand into account. It returns the one that contradicts it, or the demand itself if no value satisfies
// it.
func (ds *demands) add(d demand) *demand {
	switch d.test.relation.name {
	case "==":
		return ds.addEqual(d)
	case "!=":
		return ds.addUnequal(d)
	}
	return ds.addOrder(d)
}

func (ds *demands) addEqual(d demand) *demand {
	if ds.equal != nil && ds.equal.value != d.value {
		return ds.equal
	}
	ds.equal = &d
	if other := ds.unequal[d.value]; other != nil {
		return other
	}
	return ds.outside(d.value)
}

func (ds *demands) addUnequal(d demand) *demand {
	if ds.equal != nil && ds.equal.value == d.value {
		return ds.equal
	}
	if ds.unequal == nil {
		ds.unequal = map[Value]*demand{}
	}
	ds.unequal[d.value] = &d
	return nil
}

// outside returns the bound that the value breaks, or nil.
func (ds *demands) outside(v Value) *demand {
	switch {
	case ds.low.by != nil && (v.kind != Integer || v.number < ds.low.at):
		return ds.low.by
	case ds.high.by != nil && (v.kind != Integer || v.number > ds.high.at):
		return ds.high.by
	}
	return nil
}

func (ds *demands) addOrder(d demand) *demand {
	n, below := d.value.number, strings.HasPrefix(d.test.relation.name, "<")
	if len(d.test.relation.name) == 1 { // < and > leave out the number itself
		switch {
		case below && n == math.MinInt64 || !below && n == math.MaxInt64:
			return &d
		case below:
			n--
		default:
			n++
		}
	}
	ds.narrow(bound{n, &d}, below)
	switch crossed := ds.low.by != nil && ds.high.by != nil && ds.low.at > ds.high.at; {
	case crossed && below:
		return ds.low.by
	case crossed:
		return ds.high.by
	case ds.equal != nil && ds.outside(ds.equal.value) != nil:
		return ds.equal
	}
	return nil
}

// narrow replaces a bound by one that leaves less.
func (ds *demands) narrow(b bound, below bool) {
	switch {
	case below && (ds.high.by == nil || b.at < ds.high.at):
		ds.high = b
	case !below && (ds.low.by == nil || b.at > ds.low.at):
		ds.low = b
	}
}

// kindClash returns a demand of the value and one of the valueType that contradict each other, or nil.
func kindClash(kind, value *demands) (d, other *demand) {
	if kind == nil || kind.equal == nil || value == nil {
		return nil, nil
	}
	named, ok := namedKind(literalNode{value: kind.equal.value})
	switch {
	case !ok:
		return nil, nil
	case value.equal != nil && value.equal.value.kind != named:
		return value.equal, kind.equal
	case value.low.by != nil && named != Integer:
		return value.low.by, kind.equal
	case value.high.by != nil && named != Integer:
		return value.high.by, kind.equal
	}
	return nil, nil
}
