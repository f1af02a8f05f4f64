package result

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestMembersOfAReportKeepTheirOrder(t *testing.T) {
	members := []Member{{"b", jsontext.Value(`{"z": 1, "a": [true]}`)}, {"a", "<ü>"}, {"B", Claims{"y": false, "x": int64(1) << 60}}}
	const want = `{"b":{"z":1,"a":[true]},"a":"<ü>","B":{"x":1152921504606846976,"y":false}}`
	for limit, ok := range map[int]bool{len(want): true, len(want) - 1: false} {
		got, err := encodeMembers(members, limit)
		if (err == nil) != ok || ok && string(got) != want || !ok && !errors.Is(err, ErrTooLarge) {
			t.Errorf("limit %d: got %s, %v, want %s", limit, got, err, want)
		}
	}
}

func TestMembersThatNobodyCouldReadAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		value any
		large bool
	}{
		"more than 32 deep": {jsontext.Value(strings.Repeat("[", 32) + strings.Repeat("]", 32)), true},
		"too many tokens":   {jsontext.Value("[" + strings.Repeat("1,", 1<<17) + "1]"), true},
		"no JSON":           {jsontext.Value("nul"), false},
		"a channel":         {make(chan int), false},
	} {
		if _, err := encodeMembers([]Member{{"x", tt.value}}, maxPayload); err == nil || errors.Is(err, ErrTooLarge) != tt.large {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := encodeMembers([]Member{{"x", "1"}, {"x", "2"}}, maxPayload); err == nil {
		t.Error("a name twice was written")
	}
}

func TestTheHeaderOfAReportIsBounded(t *testing.T) {
	// What is left of MaxHeaderSize in base64url beside {"typ":"JWT","alg":"RS256","x5c":[""],"kid":"<27 characters>"}.
	room := MaxHeaderSize/4*3 - len(`{"typ":"JWT","alg":"RS256","x5c":[""],"kid":""}`) - 27
	s := ReportSigner{Chain: [][]byte{make([]byte, room/4*3)}}
	if _, err := s.header(false); err != nil {
		t.Errorf("a chain of %d bytes: %v", room/4*3, err)
	}
	s.Chain[0] = append(s.Chain[0], 0, 0, 0)
	if _, err := s.header(false); err == nil {
		t.Error("a header was written that nobody reads")
	}
	if _, err := s.header(true); err != nil {
		t.Errorf("without the chain: %v", err)
	}
}

func TestReportsNeedALargeKey(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if token, err := (ReportSigner{Key: small, Chain: [][]byte{{1}}}).Sign(nil, false); err == nil {
		t.Errorf("signed with a key of 1024 bits: %s", token)
	}
}
