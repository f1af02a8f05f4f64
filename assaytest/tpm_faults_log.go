package assaytest

import (
	"bytes"
	"crypto"
	"slices"

	"github.com/assay-attestation/assay/evidence"
)

func logFormatFaults() []TPMFault {
	format := one(evidence.EventLogFormat)
	start := []evidence.Check{evidence.EventLogStart, evidence.EventLogFormat}
	bank := []evidence.Check{evidence.EventLogBank, evidence.EventLogFormat}
	return []TPMFault{
		{"log-cut", "the log ends in a record", format, nil, tpmAt(TPMLogTCG, func(b []byte) []byte { return b[:len(b)-1] })},
		{"log-longer", "something follows the log", format, nil, tpmAt(TPMLogTCG, appended("tail"))},
		{"log-pcr-24", "a record is of a PCR that no TPM has", format, nil, onLog(func(l *TPMLog) { l.Add(TPMEvent{PCR: 24, Type: evEFIAction, Data: []byte("x")}) })},
		{"log-without-bank", "the log has no digests of the quoted bank", one(evidence.EventLogBank), nil, func(s *TPMScenario) { *s.Current.Log = withBanks(s.Current.Log, crypto.SHA1) }},
		{"log-bank-twice", "the log has a bank twice", bank, nil, func(s *TPMScenario) { *s.Current.Log = withBanks(s.Current.Log, crypto.SHA256, crypto.SHA256) }},
		{"log-legacy", "the log is in the SHA-1 form", []evidence.Check{evidence.SHA1, evidence.EventLogBank}, nil, func(s *TPMScenario) {
			s.Current.Values = map[crypto.Hash]TPMValues{crypto.SHA256: s.Current.Log.Replay(crypto.SHA256)}
			s.Current.Log.Legacy = true
		}},
		{"log-locality-unknown", "the TPM is said to be started from a locality that cannot be", start, nil, onLog(func(l *TPMLog) { l.Events[0] = StartupLocality(2) })},
		{"log-locality-twice", "the startup locality is logged twice", start, nil, onLog(func(l *TPMLog) { l.Events = slices.Insert(l.Events, 1, StartupLocality(usualLocality)) })},
	}
}

// withBanks is the log with other banks.
func withBanks(l *TPMLog, banks ...crypto.Hash) TPMLog {
	other := *l
	other.Banks = banks
	return other
}

func replayFaults() []TPMFault {
	replay := one(evidence.EventLogReplay)
	return []TPMFault{
		{"log-changed", "a digest in the log is not the one that was extended", replay, nil, func(s *TPMScenario) {
			s.Current.Values = map[crypto.Hash]TPMValues{crypto.SHA256: s.Current.Log.Replay(crypto.SHA256)}
			onEvent(4, evBootApplication, func(e *TPMEvent) { e.Measured = []byte("another boot loader") })(s)
		}},
		{"log-event-dropped", "an event is left out of the log", replay, nil, onEvent(4, evBootApplication, func(e *TPMEvent) { e.Hidden = true })},
		{"log-pcr7-dropped", "all events of PCR 7 are left out of the log", replay, nil, hidden(7)},
		{"log-pcr12-dropped", "all events of PCR 12 are left out of the log", replay, nil, hidden(12)},
		{"log-event-added", "an event is logged that was never extended", replay, nil, onLog(func(l *TPMLog) {
			l.Add(TPMEvent{PCR: 5, Type: evEFIAction, Data: []byte("never"), Forged: true})
		})},
		{"log-reordered", "two events of a PCR are swapped", replay, nil, func(s *TPMScenario) {
			s.Current.Values = map[crypto.Hash]TPMValues{crypto.SHA256: s.Current.Log.Replay(crypto.SHA256)}
			onLog(func(l *TPMLog) { n := len(l.Events); l.Events[n-1], l.Events[n-2] = l.Events[n-2], l.Events[n-1] })(s)
		}},
		{"log-locality-dropped", "the startup locality is left out of the log", replay, nil, onLog(func(l *TPMLog) { l.Events[0].Hidden = true })},
		{"log-missing", "there is no log", []evidence.Check{evidence.EventLogReplay, evidence.TPMRequest}, nil, func(s *TPMScenario) { s.Current.Raw = []TPMLogFile{} }},
		{"log-pcr-unexplained", "a PCR is quoted that something unknown was extended into", replay, nil, onLog(func(l *TPMLog) { l.Add(TPMEvent{PCR: 15, Type: evIPL, Data: []byte("machine id"), Hidden: true}) })},
	}
}

func dataFaults() []TPMFault {
	data := []evidence.Check{evidence.EventLogData, evidence.SecureBootLog}
	return []TPMFault{
		{"secureboot-data-edited", "the variable SecureBoot is logged as on, measured as off", data, nil,
			onEvent(7, evVariableConfig, func(e *TPMEvent) { e.Measured = append(bytes.Clone(e.Data[:len(e.Data)-1]), 0) })},
		{"sipa-data-edited", "a Windows setting is logged otherwise than it was measured", one(evidence.EventLogData), nil, edited(12, evTag, flipMiddle)},
		{"authority-edited", "the authority before the separator is not the one that was measured", data, nil,
			before(7, evSeparator, TPMEvent{PCR: 7, Type: evVariableAuth, Data: EFIVariable(efiImage(), "db", make([]byte, 40)), Measured: []byte("another")})},
	}
}

func secureBootFaults() []TPMFault {
	kind := []evidence.Check{evidence.EventLogType, evidence.SecureBootLog}
	rules := []evidence.Check{evidence.SecureBootLog, evidence.EventLogType}
	variable := func(guid EFIGUID, name string, value ...byte) TPMEvent {
		return TPMEvent{PCR: 7, Type: evVariableConfig, Data: EFIVariable(guid, name, value)}
	}
	return []TPMFault{
		{"secureboot-retyped", "the variable SecureBoot is relabelled as something whose data nobody checks", kind, nil, retyped(7, evVariableConfig, evFirmwareBlob)},
		{"secureboot-forged-no-action", "a variable stands in a record that is never extended", kind, nil,
			before(7, evVariableConfig, TPMEvent{PCR: 7, Type: evNoAction, Data: EFIVariable(efiGlobal(), "SecureBoot", []byte{1})})},
		{"pcr7-separator-retyped", "the separator of PCR 7 is relabelled", kind, nil, retyped(7, evSeparator, evEFIAction)},
		{"pcr7-no-separator", "PCR 7 has no separator", rules, nil, onLog(func(l *TPMLog) {
			l.Events = slices.DeleteFunc(l.Events, func(e TPMEvent) bool { return e.PCR == 7 && e.Type == evSeparator })
		})},
		{"pcr7-second-separator", "PCR 7 has two separators", rules, nil, before(7, evSeparator, TPMEvent{PCR: 7, Type: evSeparator, Data: make([]byte, 4)})},
		{"pcr7-error-separator", "the separator of PCR 7 tells of an error", rules, nil, measuredAs(7, evSeparator, func([]byte) []byte { return []byte{1, 0, 0, 0} })},
		{"secureboot-twice", "the variable SecureBoot is measured twice", rules, nil, before(7, evSeparator, variable(efiGlobal(), "SecureBoot", 1))},
		{"secureboot-after-separator", "the variable SecureBoot is measured again by the system that runs", rules, nil, onLog(func(l *TPMLog) { l.Add(variable(efiGlobal(), "SecureBoot", 1)) })},
		{"secureboot-wrong-guid", "the variable SecureBoot is of another namespace", rules, nil,
			measuredAs(7, evVariableConfig, func([]byte) []byte { return EFIVariable(efiImage(), "SecureBoot", []byte{1}) })},
		{"secureboot-two-bytes", "the variable SecureBoot has two bytes", rules, nil,
			measuredAs(7, evVariableConfig, func([]byte) []byte { return EFIVariable(efiGlobal(), "SecureBoot", []byte{1, 0}) })},
		{"uefi-debug-mode", "the firmware is in debug mode", rules, nil, before(7, evVariableConfig, TPMEvent{PCR: 7, Type: evEFIAction, Data: []byte("UEFI Debug Mode")})},
		{"dbt-ragged", "a signature database cannot be read", rules, nil, before(7, evSeparator, variable(efiImage(), "dbt", 1, 2, 3))},
	}
}

func windowsFaults() []TPMFault {
	kind, form := one(evidence.EventLogType), one(evidence.WindowsEvents)
	overrun := SIPAContainer(SIPATrustBoundary, SIPABool(SIPASafeMode, true))
	overrun[4] += 1
	deep := SIPABool(SIPASafeMode, true)
	for range 9 {
		deep = SIPAContainer(SIPATrustBoundary, deep)
	}
	measured := func(data []byte) func(*TPMScenario) {
		return measuredAs(12, evTag, func([]byte) []byte { return data })
	}
	return []TPMFault{
		{"sipa-retyped", "the settings of Windows are relabelled", kind, nil, retyped(12, evTag, evIPL)},
		{"sipa-separator-retyped", "the end of the boot phase is relabelled", kind, nil, retyped(12, evSeparator, evIPL)},
		{"sipa-overrun", "an element is longer than its event", form, nil, measured(overrun)},
		{"sipa-cut", "the header of an element is cut short", form, nil, measured(append(SIPABool(SIPASafeMode, true), 1, 0, 5))},
		{"sipa-deep", "elements nest too deep", form, nil, measured(deep)},
		{"sipa-bool-empty", "a switch has no value", form, nil, measured(SIPAContainer(SIPATrustBoundary, SIPA(SIPASafeMode, nil)))},
		{"sipa-two-boundaries", "an event has two trust boundaries", form, nil, measured(slices.Concat(
			SIPAContainer(SIPATrustBoundary, SIPABool(SIPASafeMode, false)), SIPAContainer(SIPATrustBoundary, SIPABool(SIPASafeMode, true))))},
	}
}

func imaFaults() []TPMFault {
	format, replay := one(evidence.IMAFormat), []evidence.Check{evidence.IMAReplay, evidence.EventLogReplay}
	return []TPMFault{
		{"ima-template-hash", "a template hash is not that of its entry", format, useIMA, tpmAt(TPMLogIMA, flip(4, 1))},
		{"ima-cut", "the list ends in an entry", format, useIMA, tpmAt(TPMLogIMA, func(b []byte) []byte { return b[:len(b)-1] })},
		{"ima-other-pcr", "an entry is of a PCR that no TPM has", format, useIMA, tpmAt(TPMLogIMA, flip(0, 0x40))},
		{"ima-entry-dropped", "the first entry is left out of the list", replay, useIMA, func(s *TPMScenario) {
			log := s.Current.Log.Bytes()
			s.Current.Raw = []TPMLogFile{{"TCG", log}, {"IMA", s.Current.IMA[1:].Bytes()}}
		}},
		{"ima-missing", "PCR 10 is quoted and the list is not sent", replay, useIMA, func(s *TPMScenario) {
			s.Current.Raw = []TPMLogFile{{"TCG", s.Current.Log.Bytes()}}
		}},
	}
}

func vbsFaults() []TPMFault {
	format, signature, binding := one(evidence.VBSFormat), one(evidence.VBSSignature), one(evidence.VBSBinding)
	return []TPMFault{
		{"vbs-version", "the enclave report is of another version", format, useVBS, tpmAt(TPMVBSReport, put32(4, 2))},
		{"vbs-scheme", "the enclave report is signed by an unknown scheme", format, useVBS, tpmAt(TPMVBSReport, put32(8, 2))},
		{"vbs-longer", "a byte follows the enclave report", format, useVBS, tpmAt(TPMVBSReport, appended("\x00"))},
		{"vbs-kind", "the enclave is of an unknown kind", format, useVBS, func(s *TPMScenario) { s.Enclave.Type = 5 }},
		{"vbs-module-size", "a module says that it has no size", format, useVBS, tpmAt(TPMVBSStatement, put32(8+64+152+4, 0))},
		{"vbs-signed-by-idk", "the encryption key signed the enclave report", signature, useVBS, tpmSignedBy(IDK, TPMVBSReport)},
		{"vbs-other-key", "another key signed the enclave report", signature, useVBS, tpmSignedBy(OtherKey, TPMVBSReport)},
		{"vbs-other-log", "the report is of another machine's log", signature, useVBS, func(s *TPMScenario) {
			s.Current.Log = mustLog(SoundTPMBoot(), tpmStranger())
		}},
		{"vbs-no-kernel-key", "the log has no secure kernel", signature, useVBS, func(s *TPMScenario) {
			b := SoundTPMBoot()
			b.WithoutVBS = true
			s.Current.Log = mustLog(b, s.Vendor)
		}},
		{"vbs-identity-changed", "the identity in the report was changed after the signature", signature, useVBS, tpmAt(TPMVBSReport, flip(24+8+64, 1))},
		{"report-signed-space", "a space is put into report_signed after the report", binding, useVBS, tpmAt(TPMPayload, replaced(`"report_signed":{`, `"report_signed":{ `))},
		{"vbs-other-request", "the report is of another request", binding, useVBS, tpmAt(TPMVBSStatement, flip(8, 1))},
		{"vbs-v1-space", "a space is put into report_signed after the report, in version 1", binding, tpmAll(useVBS, useVersion1), tpmAt(TPMPayload, replaced(`"report_signed":{`, `"report_signed":{ `))},
	}
}

// mustLog gives the log of a boot, nil where the boot cannot be made: the fault is then missed by its tests.
func mustLog(b TPMBoot, v *TPMVendor) *TPMLog {
	log, err := b.Log(v)
	if err != nil {
		return nil
	}
	return log
}
