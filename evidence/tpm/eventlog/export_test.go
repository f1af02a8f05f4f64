package eventlog

import "encoding/binary"

// StartupLocality is what the log tells, 0 without.
func (l *Log) StartupLocality() int { return max(l.locality, 0) }

// Encode writes the log as it was read, without what follows the last record.
func (l *Log) Encode() (b []byte) {
	le := binary.LittleEndian
	for i := range l.records {
		r := &l.records[i]
		b = le.AppendUint32(le.AppendUint32(b, r.PCR), uint32(r.Type))
		if r.form != nil && !r.form.legacy {
			b = le.AppendUint32(b, uint32(len(r.form.banks)))
		}
		b = append(b, r.digests...)
		b = append(le.AppendUint32(b, uint32(len(r.Data))), r.Data...)
	}
	return b
}
