package azureguest

import "github.com/assay-attestation/assay/evidence/tpm/measured"

// Boot is what the log of a guest tells, nil without one.
func Boot(v *Verified) *measured.Boot { return v.machine.boot }

// Certified reports whether the certificate of the attestation key counts.
func (m *Machine) Certified() bool { return m.certified }

// System is what the guest says of its operating system.
func (b *Bundle) System() (kind, distro, build string, major, minor int64) {
	return b.os.kind, b.os.distro, b.os.build, b.os.major, b.os.minor
}

// Signed are the parts of a bundle that a vTPM signed, or named in what it signed.
func (b *Bundle) Signed() [][]byte {
	signed := [][]byte{b.vtpm.quote, b.vtpm.certification, b.vtpm.aik, b.vtpm.sealing}
	for _, value := range b.vtpm.pcrs.Values {
		if value != nil {
			signed = append(signed, value)
		}
	}
	return signed
}
