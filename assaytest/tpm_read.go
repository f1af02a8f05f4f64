package assaytest

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
)

var errLog = errors.New("the log is cut short or has unknown banks")

// ReadTPMLog reads a log in either form, so that a real one can be quoted or changed. It is made for logs that one trusts: it
// checks no more than it must.
func ReadTPMLog(b []byte) (*TPMLog, error) {
	r := logReader{rest: b}
	l := &TPMLog{Legacy: true, Banks: []crypto.Hash{crypto.SHA1}}
	if first, err := r.legacy(); err == nil && bytes.HasPrefix(first.Data, []byte(specIDSignature)) {
		l.Legacy = false
		if err := l.readSpecID(first.Data); err != nil {
			return nil, err
		}
	} else {
		r.rest = b
	}
	for len(bytes.TrimLeft(r.rest, "\x00")) > 0 {
		e, err := r.record(l)
		if err != nil {
			return nil, err
		}
		l.Add(e)
	}
	return l, nil
}

// readSpecID reads the platform class and the banks of a Spec ID event.
func (l *TPMLog) readSpecID(data []byte) error {
	r := logReader{rest: data}
	r.take(16)
	l.platformClass = r.u32()
	r.take(4)
	l.Banks = nil
	for n := r.u32(); n > 0 && !r.failed; n-- {
		h, err := r.bank()
		if err != nil {
			return err
		}
		r.take(2) // its size
		l.Banks = append(l.Banks, h)
	}
	if r.failed {
		return errLog
	}
	return nil
}

// logReader takes a log apart; once failed it gives zeros.
type logReader struct {
	rest   []byte
	failed bool
}

func (r *logReader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *logReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// bank reads the algorithm of a digest.
func (r *logReader) bank() (crypto.Hash, error) {
	if id := r.take(2); id != nil {
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			if tpmAlg(h) == binary.LittleEndian.Uint16(id) {
				return h, nil
			}
		}
	}
	return 0, errLog
}

func (r *logReader) record(l *TPMLog) (TPMEvent, error) {
	if l.Legacy {
		return r.legacy()
	}
	e := TPMEvent{PCR: r.u32(), Type: r.u32(), Digests: make(map[crypto.Hash][]byte)}
	for n := r.u32(); n > 0 && !r.failed; n-- {
		h, err := r.bank()
		if err != nil {
			return e, err
		}
		e.Digests[h] = r.take(uint32(h.Size()))
	}
	return r.data(e)
}

func (r *logReader) legacy() (TPMEvent, error) {
	e := TPMEvent{PCR: r.u32(), Type: r.u32()}
	e.Digests = map[crypto.Hash][]byte{crypto.SHA1: r.take(20)}
	return r.data(e)
}

func (r *logReader) data(e TPMEvent) (TPMEvent, error) {
	e.Data = r.take(r.u32())
	if r.failed {
		return e, errLog
	}
	return e, nil
}
