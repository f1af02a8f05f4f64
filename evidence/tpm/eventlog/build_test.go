package eventlog_test

import (
	"encoding/binary"
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

var le = binary.LittleEndian

// digest is one of a record, or one that a Spec ID record announces.
type digest struct {
	alg   uint16
	value []byte
}

// digestOf is a digest of the right size for a bank, each byte n.
func digestOf(a tpm.Alg, n byte) digest {
	return digest{uint16(a), slices.Repeat([]byte{n}, a.Size())}
}

// legacy writes a record of the SHA-1 form whose digest is all n.
func legacy(pcr uint32, typ eventlog.Type, n byte, data []byte) []byte {
	b := le.AppendUint32(le.AppendUint32(nil, pcr), uint32(typ))
	b = append(b, digestOf(tpm.SHA1, n).value...)
	return append(le.AppendUint32(b, uint32(len(data))), data...)
}

// agile writes a record of the crypto-agile form.
func agile(pcr uint32, typ eventlog.Type, data []byte, digests ...digest) []byte {
	b := le.AppendUint32(le.AppendUint32(nil, pcr), uint32(typ))
	b = le.AppendUint32(b, uint32(len(digests)))
	for _, d := range digests {
		b = append(le.AppendUint16(b, d.alg), d.value...)
	}
	return append(le.AppendUint32(b, uint32(len(data))), data...)
}

// specData writes the data of a Spec ID record.
func specData(count uint32, vendor []byte, banks ...digest) []byte {
	b := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2)
	b = le.AppendUint32(b, count)
	for _, d := range banks {
		b = le.AppendUint16(le.AppendUint16(b, d.alg), uint16(len(d.value)))
	}
	return append(append(b, byte(len(vendor))), vendor...)
}

// specID writes the record that begins a crypto-agile log with the banks.
func specID(banks ...digest) []byte {
	return legacy(0, eventlog.NoAction, 0, specData(uint32(len(banks)), nil, banks...))
}

// sha256Log is a crypto-agile log of one bank.
func sha256Log(records ...[]byte) []byte {
	return slices.Concat(append([][]byte{specID(digestOf(tpm.SHA256, 0))}, records...)...)
}

// sha256Record is a record of such a log, whose digest is all n.
func sha256Record(pcr uint32, typ eventlog.Type, n byte, data []byte) []byte {
	return agile(pcr, typ, data, digestOf(tpm.SHA256, n))
}

// localityData is the data of a StartupLocality event.
func localityData(value ...byte) []byte { return append([]byte("StartupLocality\x00"), value...) }
