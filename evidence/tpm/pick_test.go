package tpm

import (
	"reflect"
	"testing"
)

func TestPickTakesTheQuotedValuesAndNoOthers(t *testing.T) {
	quoted := []Bank{bankOf(SHA384, 7), bankOf(SHA256, 0, 23)}
	a, err := newQuote(quoted...).parsed(t, rsaKey(t))
	if err != nil {
		t.Fatal(err)
	}
	all := []Bank{bankOf(SHA1, 0, 7), bankOf(SHA256, 0, 1, 2, 23), bankOf(SHA384, 6, 7)}
	if got := a.Pick(all); !reflect.DeepEqual(got, quoted) {
		t.Errorf("got %v, want %v", got, quoted)
	}
	got := a.Pick([]Bank{bankOf(SHA256, 0)})
	if len(got) != 2 || got[0].mask() != 0 || got[1].mask() != 1 {
		t.Errorf("got %v: what is not there must stay out", got)
	}
}
