package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
)

// bench is a store with a trail.
type bench struct {
	*Trail
	t    *testing.T
	s    *store.Store
	file string
	key  *seal.Key
}

func newBench(t *testing.T, records int) *bench {
	t.Helper()
	b := &bench{t: t, file: filepath.Join(t.TempDir(), "test.db")}
	var err error
	if b.key, err = seal.Create(filepath.Join(t.TempDir(), "seal.key")); err != nil {
		t.Fatal(err)
	}
	if b.s, err = store.Open(t.Context(), b.file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.s.Close() })
	if err := b.s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Trail = NewTrail(b.s, b.key)
	b.append(records)
	return b
}

// append adds records, all in one transaction.
func (b *bench) append(n int) (head Head) {
	b.t.Helper()
	r := sample(b.t)
	err := b.s.Write(b.t.Context(), func(tx *store.Tx) (err error) {
		for i := range n {
			r.Properties.RequestID = fmt.Sprint(i)
			if err := b.Append(tx, r); err != nil {
				return err
			}
		}
		head, err = mark(tx)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return head
}

func (b *bench) all() []store.AuditEntry {
	b.t.Helper()
	var all []store.AuditEntry
	for e, err := range Rows(b.t.Context(), b.s, 1) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// each gives entries as a store or a file would.
func each(entries []store.AuditEntry) iter.Seq2[store.AuditEntry, error] {
	return func(yield func(store.AuditEntry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// TestMACIsAsDescribed computes the chain of two rows from its description.
func TestMACIsAsDescribed(t *testing.T) {
	b := newBench(t, 2)
	before := make([]byte, 32)
	for i, e := range b.all() {
		h := hmac.New(sha256.New, b.key.Derive("audit"))
		h.Write(slices.Concat(before, []byte{0, 0, 0, 0, 0, 0, 0, byte(i + 1)}, e.Record))
		if before = h.Sum(nil); !hmac.Equal(e.MAC, before) || e.Seq != int64(i+1) {
			t.Errorf("row %d has the MAC %x, want %x", e.Seq, e.MAC, before)
		}
	}
}

// The faults that an audit trail is for: each names the first row that is not as it was written.
func TestVerifyNamesTheRow(t *testing.T) {
	b := newBench(t, 9)
	sound := b.all()
	head := Head{9, sound[8].MAC}
	for _, tt := range []struct {
		name   string
		change func(e []store.AuditEntry) []store.AuditEntry
		want   error // nil or a *Broken
	}{
		{"nothing", func(e []store.AuditEntry) []store.AuditEntry { return e }, nil},
		{"a record changed", func(e []store.AuditEntry) []store.AuditEntry {
			e[3].Record = []byte(strings.Replace(string(e[3].Record), "ann", "bob", 1))
			return e
		}, &Broken{4, Changed}},
		{"a MAC changed", func(e []store.AuditEntry) []store.AuditEntry { e[8].MAC = make([]byte, 32); return e }, &Broken{9, Changed}},
		{"a MAC removed", func(e []store.AuditEntry) []store.AuditEntry { e[8].MAC = nil; return e }, &Broken{9, Changed}},
		{"a row removed", func(e []store.AuditEntry) []store.AuditEntry { return slices.Delete(e, 4, 5) }, &Broken{5, Missing}},
		{"the first removed", func(e []store.AuditEntry) []store.AuditEntry { return e[1:] }, &Broken{1, Missing}},
		{"a row removed and the rest numbered anew", func(e []store.AuditEntry) []store.AuditEntry {
			e = slices.Delete(e, 4, 5)
			for i := range e {
				e[i].Seq = int64(i + 1)
			}
			return e
		}, &Broken{5, Changed}},
		{"two rows reordered", func(e []store.AuditEntry) []store.AuditEntry { e[2], e[3] = e[3], e[2]; return e }, &Broken{3, OutOfOrder}},
		{"two rows reordered, numbers and all", func(e []store.AuditEntry) []store.AuditEntry {
			e[2], e[3] = e[3], e[2]
			e[2].Seq, e[3].Seq = 3, 4
			return e
		}, &Broken{3, Changed}},
		{"a row moved to the end", func(e []store.AuditEntry) []store.AuditEntry {
			return append(slices.Delete(slices.Clone(e), 1, 2), e[1])
		}, &Broken{2, OutOfOrder}},
		{"a record in another's place", func(e []store.AuditEntry) []store.AuditEntry { e[6].Record = e[5].Record; return e }, &Broken{7, Changed}},
		{"a row twice", func(e []store.AuditEntry) []store.AuditEntry { return slices.Insert(e, 4, e[3]) }, &Broken{4, OutOfOrder}},
		{"the last removed", func(e []store.AuditEntry) []store.AuditEntry { return e[:8] }, &Broken{9, CutOff}},
		{"the last two removed", func(e []store.AuditEntry) []store.AuditEntry { return e[:7] }, &Broken{8, CutOff}},
		{"all removed", func([]store.AuditEntry) []store.AuditEntry { return nil }, &Broken{1, CutOff}},
	} {
		last, err := b.chain.Verify(t.Context(), each(tt.change(slices.Clone(sound))), Head{}, head)
		if fmt.Sprint(err) != fmt.Sprint(tt.want) || err == nil && last.String() != head.String() {
			t.Errorf("%s: got %v after row %d, want %v", tt.name, err, last.Seq, tt.want)
		}
	}
}

func TestVerifyComparesHeads(t *testing.T) {
	b := newBench(t, 5)
	sound := b.all()
	other := Head{3, make([]byte, 32)}
	for name, tt := range map[string]struct {
		entries  []store.AuditEntry
		begin    Head
		expected []Head
		want     error
	}{
		"an earlier head":             {sound, Head{}, []Head{{3, sound[2].MAC}}, nil},
		"of another trail":            {sound, Head{}, []Head{{}, other}, &Broken{3, OtherHead}},
		"a part, from a head on":      {sound[3:], Head{3, sound[2].MAC}, []Head{{5, sound[4].MAC}}, nil},
		"a part of another trail":     {sound[3:], other, nil, &Broken{4, Changed}},
		"a part with its own begin":   {sound[3:], Head{3, sound[2].MAC}, []Head{other}, &Broken{3, OtherHead}},
		"an empty part":               {nil, Head{3, sound[2].MAC}, []Head{{3, sound[2].MAC}}, nil},
		"an empty trail":              {nil, Head{}, []Head{{}}, nil},
		"rows beyond the head":        {sound, Head{}, []Head{{}}, nil},
		"heads, of which one is more": {sound, Head{}, []Head{{5, sound[4].MAC}, {6, other.MAC}}, &Broken{6, CutOff}},
	} {
		if _, err := b.chain.Verify(t.Context(), each(tt.entries), tt.begin, tt.expected...); fmt.Sprint(err) != fmt.Sprint(tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestAnotherSealingKeyVerifiesNothing(t *testing.T) {
	b, other := newBench(t, 2), newBench(t, 0)
	_, err := other.chain.Verify(t.Context(), each(b.all()), Head{})
	if broken, ok := errors.AsType[*Broken](err); !ok || *broken != (Broken{1, Changed}) {
		t.Errorf("got %v, want row 1", err)
	}
}

// TestVerifyOfTheStoreNamesTheRow changes the database itself, past the service.
func TestVerifyOfTheStoreNamesTheRow(t *testing.T) {
	for _, tt := range []struct{ sql, want string }{
		{"SELECT 1", "<nil>"},
		{"UPDATE audit SET record = replace(record, 'ann', 'bob') WHERE seq = 502", "audit trail: row 502: changed"},
		{"DELETE FROM audit WHERE seq = 501", "audit trail: row 501: missing"},
		{"UPDATE audit SET seq = -seq WHERE seq = 3", "audit trail: row -3: out-of-order"},
		{"DELETE FROM audit WHERE seq > 598", "audit trail: row 599: cut-off"},
		{"DELETE FROM audit", "audit trail: row 1: cut-off"},
		{"UPDATE state SET audit_seq = 600, audit_mac = (SELECT mac FROM audit WHERE seq = 599)", "audit trail: row 600: other-head"},
		{"UPDATE audit SET mac = '?' WHERE seq = 77", "audit trail: after row 76: "},
		{"UPDATE audit SET seq = 9223372036854775807 WHERE seq = 600", "audit trail: row 600: missing"},
	} {
		b := newBench(t, 600)
		b.sql(tt.sql)
		if _, err := b.Verify(t.Context(), Head{}); !strings.HasPrefix(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.sql, err, tt.want)
		}
	}
}

// sql writes to the database as somebody could who has the file.
func (b *bench) sql(statement string) {
	b.t.Helper()
	db, err := sql.Open("sqlite", b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		b.t.Fatal(err)
	}
}

// TestOldDatabaseIsToldByAHeadKeptElsewhere: who puts back rows and mark together leaves a sound trail.
func TestOldDatabaseIsToldByAHeadKeptElsewhere(t *testing.T) {
	b := newBench(t, 5)
	kept := b.append(1)
	b.sql("DELETE FROM audit WHERE seq > 4")
	b.sql("UPDATE state SET audit_seq = 4, audit_mac = (SELECT mac FROM audit WHERE seq = 4)")
	if last, err := b.Verify(t.Context(), Head{}); err != nil || last.Seq != 4 {
		t.Fatalf("by itself: row %d, %v", last.Seq, err)
	}
	if _, err := b.Verify(t.Context(), kept); fmt.Sprint(err) != "audit trail: row 5: cut-off" {
		t.Errorf("with the head %s: %v, want row 5", kept, err)
	}
}

func TestGapStaysWhenMoreIsWritten(t *testing.T) {
	b := newBench(t, 5)
	b.sql("DELETE FROM audit WHERE seq = 5")
	b.append(3)
	if _, err := b.Verify(t.Context(), Head{}); fmt.Sprint(err) != "audit trail: row 5: missing" {
		t.Errorf("got %v, want row 5", err)
	}
}

func TestManyThatAppendAtOnceMakeOneTrail(t *testing.T) {
	b := newBench(t, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if err := b.Write(context.Background(), sample(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if last, err := b.Verify(t.Context(), Head{}); err != nil || last.Seq != 40 {
		t.Errorf("row %d, %v, want 40 sound ones", last.Seq, err)
	}
}

func TestRecordThatCannotBeWrittenStopsTheTransaction(t *testing.T) {
	b := newBench(t, 1)
	err := b.Write(t.Context(), Record{})
	if last, verr := b.Verify(t.Context(), Head{}); err == nil || verr != nil || last.Seq != 1 {
		t.Errorf("got %v, then row %d, %v", err, last.Seq, verr)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	b := newBench(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.chain.Verify(ctx, each(b.all()), Head{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestHeadIsReadAsWritten(t *testing.T) {
	mac := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for text, ok := range map[string]bool{
		"0:": true, "1:" + mac: true, "9223372036854775807:" + mac: true,
		"": false, "1": false, "1:": false, "0:" + mac: false, "-1:" + mac: false, "01:" + mac: false, "+1:" + mac: false,
		"1:" + mac + "=": false, "1:" + mac[1:]: false, "9223372036854775808:" + mac: false, "1:" + mac + "\n": false,
	} {
		h, err := ParseHead(text)
		if (err == nil) != ok || ok && h.String() != text {
			t.Errorf("ParseHead(%q) = %v, %v", text, h, err)
		}
	}
}
