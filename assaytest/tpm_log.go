package assaytest

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // the bank of old machines
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/binary"
	"slices"
)

// TPMPCRs is how many PCRs a bank of a PC's TPM has.
const TPMPCRs = 24

// TPMValues are the values of one bank of PCRs.
type TPMValues [TPMPCRs][]byte

// tpmAlg is the TPM_ALG_ID of a hash (tpm-evidence.md section 1).
func tpmAlg(h crypto.Hash) uint16 {
	switch h {
	case crypto.SHA1:
		return 0x0004
	case crypto.SHA384:
		return 0x000C
	case crypto.SHA512:
		return 0x000D
	}
	return 0x000B
}

// hashOf hashes the parts one after the other.
func hashOf(h crypto.Hash, parts ...[]byte) []byte {
	state := h.New()
	for _, p := range parts {
		state.Write(p)
	}
	return state.Sum(nil)
}

// Types of events, in short (tpm.md section 7.3).
const (
	evNoAction         = 0x3
	evSeparator        = 0x4
	evTag              = 0x6
	evCRTMVersion      = 0x8
	evCompactHash      = 0xC
	evIPL              = 0xD
	evVariableConfig   = 0x80000001
	evVariableBoot     = 0x80000002
	evBootApplication  = 0x80000003
	evGPT              = 0x80000006
	evEFIAction        = 0x80000007
	evFirmwareBlob     = 0x80000008
	evVariableAuth     = 0x800000E0
	outsidePCR         = 0xFFFFFFFF
	specIDSignature    = "Spec ID Event03\x00"
	localitySignature  = "StartupLocality\x00"
	usualLocality      = 3
	windowsLogEnd      = "WBCL"
	exitBootServices   = "Exit Boot Services Invocation"
	exitBootSucceeded  = "Exit Boot Services Returned with Success"
	callingApplication = "Calling EFI Application from Boot Option"
)

// TPMEvent is one record of a TCG log, and what the TPM was extended with.
type TPMEvent struct {
	PCR  uint32
	Type uint32
	Data []byte // as logged
	// Measured is what the digests are of; nil stands for Data.
	Measured []byte
	// Digests replaces the digests of single banks.
	Digests map[crypto.Hash][]byte
	// Hidden keeps the record out of the log: it is extended only.
	Hidden bool
	// Forged keeps the record out of the PCRs: it is logged only.
	Forged bool
}

// digest is what the bank is extended with.
func (e *TPMEvent) digest(h crypto.Hash) []byte {
	if d, ok := e.Digests[h]; ok {
		return d
	}
	if e.Measured != nil {
		return hashOf(h, e.Measured)
	}
	return hashOf(h, e.Data)
}

// TPMLog is a TCG log to be written (tpm-evidence.md section 4), together with the TPM that it tells about. A log of a sound machine comes
// from [TPMBoot.Log].
type TPMLog struct {
	Banks  []crypto.Hash // SHA1, SHA256, SHA384, SHA512
	Legacy bool          // the SHA-1 form; its bank is SHA1 alone
	DRTM   bool          // PCR 17 to 22 begin with zero
	Events []TPMEvent

	platformClass uint32 // of the Spec ID event: 0 client, 1 server
}

// Add appends events.
func (l *TPMLog) Add(events ...TPMEvent) { l.Events = append(l.Events, events...) }

// Find gives the first event for which f is true, nil without one.
func (l *TPMLog) Find(f func(TPMEvent) bool) *TPMEvent {
	if i := slices.IndexFunc(l.Events, f); i >= 0 {
		return &l.Events[i]
	}
	return nil
}

// Bytes writes the log, little-endian.
func (l *TPMLog) Bytes() []byte {
	var b []byte
	if !l.Legacy {
		b = appendLegacyRecord(b, &TPMEvent{Type: evNoAction, Data: l.specID()}, make([]byte, 20))
	}
	for i := range l.Events {
		if e := &l.Events[i]; !e.Hidden {
			b = l.appendRecord(b, e)
		}
	}
	return b
}

// specID is the data of the record that describes a crypto-agile log.
func (l *TPMLog) specID() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(specIDSignature), l.platformClass)
	b = append(b, 0, 2, 0, 2) // version 2.0, errata 0, 64 bits
	b = binary.LittleEndian.AppendUint32(b, uint32(len(l.Banks)))
	for _, h := range l.Banks {
		b = binary.LittleEndian.AppendUint16(b, tpmAlg(h))
		b = binary.LittleEndian.AppendUint16(b, uint16(h.Size()))
	}
	return append(b, 0) // no vendor information
}

// logged is the digest as the log has it: zero for what is never extended, unless it is given.
func (e *TPMEvent) logged(h crypto.Hash) []byte {
	if e.Type == evNoAction && e.Digests == nil {
		return make([]byte, h.Size())
	}
	return e.digest(h)
}

func (l *TPMLog) appendRecord(b []byte, e *TPMEvent) []byte {
	if l.Legacy {
		return appendLegacyRecord(b, e, e.logged(crypto.SHA1))
	}
	b = binary.LittleEndian.AppendUint32(b, e.PCR)
	b = binary.LittleEndian.AppendUint32(b, e.Type)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(l.Banks)))
	for _, h := range l.Banks {
		b = binary.LittleEndian.AppendUint16(b, tpmAlg(h))
		b = append(b, e.logged(h)...)
	}
	return appendSized32(b, e.Data)
}

func appendLegacyRecord(b []byte, e *TPMEvent, digest []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, e.PCR)
	b = binary.LittleEndian.AppendUint32(b, e.Type)
	b = append(b, digest...)
	return appendSized32(b, e.Data)
}

// appendSized32 writes data behind its length, little-endian.
func appendSized32(b, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(data))), data...)
}

// Replay gives the PCRs of a bank of the TPM after the events (tpm-evidence.md section 6). It shares nothing with the verifier.
func (l *TPMLog) Replay(h crypto.Hash) TPMValues {
	v := resetValues(h, l.locality(), l.DRTM)
	for i := range l.Events {
		e := &l.Events[i]
		if e.Type == evNoAction || e.Forged || e.PCR >= TPMPCRs {
			continue
		}
		v[e.PCR] = hashOf(h, v[e.PCR], e.digest(h))
	}
	return v
}

// StartupLocality is the event that says from which locality the TPM was started: 0, 3 or 4.
func StartupLocality(locality byte) TPMEvent {
	return TPMEvent{Type: evNoAction, Data: append([]byte(localitySignature), locality)}
}

// locality is what PCR 0 begins with.
func (l *TPMLog) locality() byte {
	for i := range l.Events {
		e := &l.Events[i]
		value, ok := bytes.CutPrefix(e.Data, []byte(localitySignature))
		if ok && e.Type == evNoAction && !e.Forged && len(value) == 1 {
			return value[0]
		}
	}
	return 0
}

// resetValues are the PCRs of a bank after a reset of the TPM.
func resetValues(h crypto.Hash, locality byte, drtm bool) TPMValues {
	var v TPMValues
	for i := range v {
		v[i] = make([]byte, h.Size())
		if i >= 17 && i <= 22 && !drtm {
			v[i] = bytes.Repeat([]byte{0xFF}, h.Size())
		}
	}
	v[0][h.Size()-1] = locality
	return v
}
