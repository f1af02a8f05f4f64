package assaytest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"

	"github.com/assay-attestation/assay/evidence"
)

// TPMFault is a change that breaks exactly one thing in a request.
type TPMFault struct {
	Name   string           // words joined by hyphens; unique among TPMFaults
	What   string           // what is wrong, for a person
	Checks []evidence.Check // the check that must refuse; more than one where any of them is right
	// Base is what the sound scenario has to be first; nil: as [TPMVendor.BootScenario] makes it of [SoundTPMBoot].
	Base  func(*TPMScenario)
	Break func(*TPMScenario)
}

// SoundTPMBoot is the boot that faults break: a Windows with secure boot and virtualization-based security.
func SoundTPMBoot() TPMBoot { return TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7} }

// Sound gives the scenario before the fault, of v's machine.
func (f *TPMFault) Sound(v *TPMVendor) (*TPMScenario, error) {
	s, err := v.BootScenario(SoundTPMBoot())
	if err != nil {
		return nil, err
	}
	if f.Base != nil {
		f.Base(s)
	}
	return s, nil
}

// Broken gives the scenario with the fault.
func (f *TPMFault) Broken(v *TPMVendor) (*TPMScenario, error) {
	s, err := f.Sound(v)
	if err != nil {
		return nil, err
	}
	f.Break(s)
	return s, nil
}

// TPMFaults returns all ready-made faults. For every check of a TPM attestation there is at least one, but for those of the challenge,
// which need the service that chose it.
func TPMFaults() []TPMFault {
	return slices.Concat(tpmRequestFaults(), tpmKeyFaults(), aikFaults(), tpmQuoteFaults(), tpmSelectionFaults(), hibernationFaults(),
		logFormatFaults(), replayFaults(), dataFaults(), secureBootFaults(), windowsFaults(), imaFaults(), vbsFaults())
}

// tpmStranger is a vendor that nobody trusts.
func tpmStranger() *TPMVendor { return newTPMVendor("assay: a TPM vendor that nobody trusts") }

// tpmAt changes the bytes of one part.
func tpmAt(target TPMPart, change func([]byte) []byte) func(*TPMScenario) {
	return func(s *TPMScenario) {
		s.Edit.Bytes = func(p TPMPart, b []byte) []byte {
			if p != target {
				return b
			}
			return change(b)
		}
	}
}

// tpmSignedBy has a part signed by another key of the machine.
func tpmSignedBy(r TPMRole, target TPMPart) func(*TPMScenario) {
	return func(s *TPMScenario) {
		s.Edit.Signer = func(p TPMPart, key crypto.Signer) crypto.Signer {
			if p != target {
				return key
			}
			return s.Vendor.Key(r, RSA2048)
		}
	}
}

// tpmNonce changes the qualifying data of an attestation.
func tpmNonce(target TPMPart, change func([]byte) []byte) func(*TPMScenario) {
	return func(s *TPMScenario) {
		s.Edit.ExtraData = func(p TPMPart, b []byte) []byte {
			if p != target {
				return b
			}
			return change(bytes.Clone(b))
		}
	}
}

// aikCertificate changes the certificate of the AIK before it is signed.
func aikCertificate(change func(*x509.Certificate)) func(*TPMScenario) {
	return func(s *TPMScenario) {
		s.Edit.Certificate = func(r TPMRole, c *x509.Certificate) {
			if r == AIK {
				change(c)
			}
		}
	}
}

// onLog changes the current log, in the TPM and in what is sent of it, unless events are marked.
func onLog(change func(*TPMLog)) func(*TPMScenario) {
	return func(s *TPMScenario) { change(s.Current.Log) }
}

// onEvent changes the first event of that PCR and type.
func onEvent(pcr, kind uint32, change func(*TPMEvent)) func(*TPMScenario) {
	return onLog(func(l *TPMLog) {
		if e := l.Find(func(e TPMEvent) bool { return e.PCR == pcr && e.Type == kind }); e != nil {
			change(e)
		}
	})
}

// hidden drops the events of a PCR from the log; the TPM has them.
func hidden(pcr uint32) func(*TPMScenario) {
	return onLog(func(l *TPMLog) {
		for i := range l.Events {
			if l.Events[i].PCR == pcr {
				l.Events[i].Hidden = true
			}
		}
	})
}

// retyped relabels an event; the digest stays that of the data.
func retyped(pcr, from, to uint32) func(*TPMScenario) {
	return onEvent(pcr, from, func(e *TPMEvent) { e.Type = to })
}

// edited changes the data of an event in the log; the TPM measured what was before.
func edited(pcr, kind uint32, change func([]byte) []byte) func(*TPMScenario) {
	return onEvent(pcr, kind, func(e *TPMEvent) {
		if e.Measured == nil {
			e.Measured = bytes.Clone(e.Data)
		}
		e.Data = change(e.Data)
	})
}

// measuredAs changes the data of an event, in the log and in the TPM.
func measuredAs(pcr, kind uint32, change func([]byte) []byte) func(*TPMScenario) {
	return onEvent(pcr, kind, func(e *TPMEvent) { e.Data = change(e.Data) })
}

// before puts an event in front of the first one of that PCR and type, into log and TPM.
func before(pcr, kind uint32, e TPMEvent) func(*TPMScenario) {
	return onLog(func(l *TPMLog) {
		i := slices.IndexFunc(l.Events, func(e TPMEvent) bool { return e.PCR == pcr && e.Type == kind })
		l.Events = slices.Insert(l.Events, max(i, 0), e)
	})
}

// tpmAll makes several changes.
func tpmAll(changes ...func(*TPMScenario)) func(*TPMScenario) {
	return func(s *TPMScenario) {
		for _, change := range changes {
			change(s)
		}
	}
}

// Bases.

func useVersion1(s *TPMScenario) { s.UseVersion1() }
func useVBS(s *TPMScenario)      { s.VBS = true }
func useFewerPCRs(s *TPMScenario) {
	s.Current.Quoted = []TPMSelection{{crypto.SHA256, PCRRange(0, 14)}}
}
func useCertify(s *TPMScenario) { s.Binding = BoundByCertify }

func useOtherKey(s *TPMScenario) { s.OtherKeys = []TPMOtherKey{{P256, true}} }

// useHibernation has the machine resume from hibernation into the same settings.
func useHibernation(s *TPMScenario) {
	resume := *s.Current.Log
	resume.Events = slices.Clone(resume.Events)
	s.Hibernate(&resume)
}

// useIMA has a kernel measure files, too.
func useIMA(s *TPMScenario) { s.Current.IMA = SimulatedIMA(s.Current.Log.Replay(crypto.SHA256)) }

// flipMiddle changes a bit in the middle.
func flipMiddle(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// flipBase64 changes a character of the last part of a JWS that stands for whole bits.
func flipBase64(b []byte) []byte {
	i := len(b) - 20
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return b
}
