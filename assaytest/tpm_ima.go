package assaytest

import (
	"crypto"
	"encoding/binary"
	"slices"
)

// imaPCR is the PCR that IMA extends.
const imaPCR = 10

// IMAEntry is one entry of an IMA list with SHA-1 template hashes (tpm-evidence.md section 7).
type IMAEntry struct {
	Template  string // ima-ng, or ima-buf if Buffer is to be carried
	Name      string // file, keyring or kernel_version
	Digest    []byte // SHA-256
	Buffer    []byte
	Violation bool // of the measurement: the template hash is zero
}

// IMAFile is an ima-ng entry for a file.
func IMAFile(name string, content []byte) IMAEntry {
	return IMAEntry{Template: "ima-ng", Name: name, Digest: hashOf(crypto.SHA256, content)}
}

// IMABuffer is an ima-buf entry: the version of a kernel under the name kernel_version, or the certificate of a keyring under its name.
func IMABuffer(name string, content []byte) IMAEntry {
	return IMAEntry{Template: "ima-buf", Name: name, Digest: hashOf(crypto.SHA256, content), Buffer: content}
}

// data are the fields of the template.
func (e *IMAEntry) data() []byte {
	b := appendSized32(nil, append([]byte("sha256:\x00"), e.Digest...))
	b = appendSized32(b, append([]byte(e.Name), 0))
	if e.Template == "ima-buf" {
		b = appendSized32(b, e.Buffer)
	}
	return b
}

// IMAList is a list as binary_runtime_measurements has it.
type IMAList []IMAEntry

// Bytes writes the list, little-endian.
func (l IMAList) Bytes() []byte {
	var b []byte
	for i := range l {
		e := &l[i]
		hash := hashOf(crypto.SHA1, e.data())
		if e.Violation {
			hash = make([]byte, len(hash))
		}
		b = binary.LittleEndian.AppendUint32(b, imaPCR)
		b = append(b, hash...)
		b = appendSized32(b, []byte(e.Template))
		b = appendSized32(b, e.data())
	}
	return b
}

// extend gives the value of PCR 10 after the list, as kernels since 5.8 extend it.
func (l IMAList) extend(h crypto.Hash, value []byte) []byte {
	for i := range l {
		digest := hashOf(h, l[i].data())
		if l[i].Violation {
			digest = slices.Repeat([]byte{0xFF}, h.Size())
		}
		value = hashOf(h, value, digest)
	}
	return value
}

// SimulatedIMA is the list of some Linux machine: boot_aggregate over the PCRs at that time, two files, the version of the kernel.
func SimulatedIMA(boot TPMValues) IMAList {
	return IMAList{
		{Template: "ima-ng", Name: "boot_aggregate", Digest: hashOf(crypto.SHA256, boot[:10]...)},
		IMABuffer("kernel_version", []byte("6.1.0-simulated")),
		IMAFile("/usr/sbin/init", []byte("init")),
		IMAFile("/usr/bin/bash", []byte("bash")),
	}
}
