package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
)

// Head names an entry by its place and its MAC, which vouches for all entries up to it. The zero value stands for the
// beginning, before the first entry. Whoever keeps a head elsewhere can tell later that nothing of that was taken away,
// not even by somebody who puts back an old copy of the whole database.
type Head struct {
	Seq int64
	MAC []byte
}

// String writes SEQ:MAC with the MAC in base64url.
func (h Head) String() string { return strconv.FormatInt(h.Seq, 10) + ":" + b64.URL(h.MAC) }

// ParseHead reads what String has written, for an entry or for the beginning, "0:".
func ParseHead(text string) (Head, error) {
	seq, mac, _ := strings.Cut(text, ":")
	var h Head
	var err, err2 error
	h.Seq, err = strconv.ParseInt(seq, 10, 64)
	h.MAC, err2 = b64.DecodeURL(mac)
	if errors.Join(err, err2) != nil || h.Seq < 0 || len(h.MAC) != macSize(h.Seq) || h.String() != text {
		return Head{}, fmt.Errorf("head of an audit trail: expected SEQ:MAC, a number and 43 characters of base64url, found %q", bounded(text, maxWord))
	}
	return h, nil
}

func macSize(seq int64) int {
	if seq == 0 {
		return 0
	}
	return sha256.Size
}

// Chain makes and checks the MACs that chain the entries of a trail, wherever they are kept. It may be used concurrently.
type Chain struct{ key []byte }

// NewChain makes the chain of the trail that belongs to a sealing key.
func NewChain(key *seal.Key) *Chain { return &Chain{key.Derive("audit")} }

// mac is the MAC of an entry: HMAC-SHA256 of the MAC before it (32 zero bytes before the first), the sequence number as
// eight bytes, most significant first, and the record.
func (c *Chain) mac(before Head, record []byte) []byte {
	h := hmac.New(sha256.New, c.key)
	if before.Seq == 0 {
		h.Write(make([]byte, sha256.Size))
	} else {
		h.Write(before.MAC)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(before.Seq+1)))
	h.Write(record)
	return h.Sum(nil)
}

// Problem says what is wrong with a trail.
type Problem string

// The problems of a trail.
const (
	Changed    Problem = "changed"      // the row's record, number or MAC is not what was written, or the trail has another key
	Missing    Problem = "missing"      // the row is not there, but a later one is
	OutOfOrder Problem = "out-of-order" // the row stands behind a later one, or twice
	CutOff     Problem = "cut-off"      // the trail ends before the row, which the expected head says was there
	OtherHead  Problem = "other-head"   // the row is sound, but the expected head has another MAC for it
)

// Broken says that a trail is not as it was written, and names the first row for which this shows.
type Broken struct {
	Seq     int64
	Problem Problem
}

// Error names the row and the problem.
func (b *Broken) Error() string { return fmt.Sprintf("audit trail: row %d: %s", b.Seq, b.Problem) }

// Verify checks that the entries are a whole trail from the one after begin on, unchanged and in order, and that it goes
// through each head expected; the zero value of one expects nothing. It returns the last good head. The error is a
// [Broken], or one of reading.
func (c *Chain) Verify(ctx context.Context, entries iter.Seq2[store.AuditEntry, error], begin Head, expected ...Head) (Head, error) {
	last := begin
	next, stop := iter.Pull2(entries)
	defer stop()
	for {
		if err := agrees(last, expected); err != nil {
			return last, err
		}
		e, err, ok := next()
		if err == nil {
			err = ctx.Err()
		}
		switch {
		case err != nil:
			return last, fmt.Errorf("audit trail: after row %d: %w", last.Seq, err)
		case !ok:
			return last, reaches(last, expected)
		case e.Seq != last.Seq+1:
			return last, misplaced(e.Seq, last.Seq+1, next)
		case !hmac.Equal(e.MAC, c.mac(last, e.Record)):
			return last, &Broken{e.Seq, Changed}
		}
		last = Head{e.Seq, e.MAC}
	}
}

// agrees checks a sound row against the head that is expected for it.
func agrees(row Head, expected []Head) error {
	for _, h := range expected {
		if h.Seq == row.Seq && !hmac.Equal(h.MAC, row.MAC) {
			return &Broken{row.Seq, OtherHead}
		}
	}
	return nil
}

// reaches checks that a sound trail is not shorter than it should be.
func reaches(last Head, expected []Head) error {
	for _, h := range expected {
		if last.Seq < h.Seq {
			return &Broken{last.Seq + 1, CutOff}
		}
	}
	return nil
}

// misplaced says what is wrong when a row stands where another one should: the rest of the trail shows whether that one is
// missing or only comes later.
func misplaced(found, wanted int64, next func() (store.AuditEntry, error, bool)) error {
	if found < wanted {
		return &Broken{found, OutOfOrder}
	}
	for {
		switch e, err, ok := next(); {
		case ok && err == nil && e.Seq == wanted:
			return &Broken{wanted, OutOfOrder}
		case !ok || err != nil:
			return &Broken{wanted, Missing}
		}
	}
}
