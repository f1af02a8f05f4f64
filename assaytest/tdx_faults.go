package assaytest

import "github.com/assay-attestation/assay/evidence"

// TDXFaults returns the ready-made faults of TDs and of collateral for TDX, each to be applied to a scenario as [Intel.TDXScenario]
// returns it. Those of [Faults] that have nothing to do with enclaves break TDs as well.
func TDXFaults() []Fault {
	module, format := one(evidence.TDXModule), one(evidence.QuoteFormat)
	return []Fault{
		{"td-module-signer", "a TDX module of another signer", module, onTD(func(td *TDXGuest) { td.MRSIGNERSEAM[0] = 1 })},
		{"td-module-signer-v0", "a first TDX module, of another signer", module, onTD(func(td *TDXGuest) { td.TEETCBSVN[1], td.MRSIGNERSEAM[0] = 0, 1 })},
		{"td-module-attributes", "a TDX module with attributes", module, onTD(func(td *TDXGuest) { td.SEAMAttributes[0] = 1 })},
		{"td-module-unknown", "a TDX module of a version without an identity", module, onTD(func(td *TDXGuest) { td.TEETCBSVN[1] = 2 })},
		{"td-no-module-identities", "TCB info without identities of TDX modules", module, func(s *Scenario) { s.Modules = nil }},

		{"td-module-too-old", "a TDX module below every level", one(evidence.TCBNotSupported), onTD(func(td *TDXGuest) { td.TEETCBSVN[0] = 1 })},
		{"td-platform-too-old", "a component of TDX below every level", one(evidence.TCBNotSupported), onTD(func(td *TDXGuest) { td.TEETCBSVN[2] = 0 })},
		{"td-module-now-unknown", "a TDX module that runs now and has no identity", one(evidence.TCBNotSupported),
			all(version(5), onTD(func(td *TDXGuest) { td.V15, td.TEETCBSVN2[1] = true, 9 }))},

		{"td-tcb-info-of-sgx", "TCB info for SGX", one(evidence.TCBInfoMismatch), at(TCBInfoBody, replaced(`"id":"TDX"`, `"id":"SGX"`))},
		{"td-tcb-info-no-module", "TCB info without a description of the first TDX modules", one(evidence.TCBInfoFormat), at(TCBInfoBody, replaced(`"tdxModule"`, `"module"`))},
		{"td-tcb-info-no-components", "TCB info without the components of TDX", one(evidence.TCBInfoFormat), at(TCBInfoBody, replaced(`"tdxtcbcomponents"`, `"components"`))},
		{"td-qe-identity-of-sgx", "identity QE, not TD_QE", one(evidence.QEIdentityMismatch), at(QEIdentityBody, replaced(`"TD_QE"`, `"QE"`))},
		{"td-quoted-by-sgx-qe", "quoted by the quoting enclave for SGX", one(evidence.QEIdentityMismatch), func(s *Scenario) { s.QE = SimulatedQE() }},

		{"td-of-sgx", "the header says SGX", format, at(QuoteBody, put32(4, teeSGX))},
		{"td-body-type", "the descriptor names a TD report of another version", format, all(version(5), at(QuoteBody, put16(48, bodyTD15)))},
		{"td-body-cut", "the report ends early", format, at(QuoteBody, cut(48+500))},
		{"td-measurement-changed", "MRTD changed after signing", one(evidence.QuoteSignature), at(Evidence, flip(48+136, 1))},
		{"td-rtmr-changed-v5", "RTMR3 changed after signing, in version 5", one(evidence.QuoteSignature), all(version(5), at(Evidence, flip(54+472, 1)))},
	}
}

// onTD changes the TD.
func onTD(change func(*TDXGuest)) func(*Scenario) { return func(s *Scenario) { change(s.TD) } }

// TDXState is a change to a scenario as [Intel.TDXScenario] returns it, with which the evidence still holds: whoever relies on it has to
// look at what it says.
type TDXState struct {
	Name   string // words joined by hyphens; unique among TDXStates
	What   string // what the TD is like, for a person
	Status string // of the TCB
	Debug  bool   // the TD can be debugged
	Apply  func(*Scenario)
}

// TDXStates returns all ready-made states.
func TDXStates() []TDXState {
	return []TDXState{
		{"td-debug", "the TD can be debugged", "UpToDate", true, onTD(func(td *TDXGuest) { td.Attributes[0] |= 1 })},
		{"td-module-out-of-date", "an old TDX module", "OutOfDate", false, onTD(func(td *TDXGuest) { td.TEETCBSVN[0] = 4 })},
		{"td-module-revoked", "a TDX module that Intel has given up", "Revoked", false, onTD(func(td *TDXGuest) { td.TEETCBSVN[0] = 2 })},
		{"td-platform-out-of-date", "an old component of TDX", "OutOfDate", false, onTD(func(td *TDXGuest) { td.TEETCBSVN[2] = 5 })},
		{"td-relaunch", "launched on an old TDX module, which was updated since", "TDRelaunchAdvised", false, all(version(5), onTD(updated))},
		{"td-relaunch-configuration", "the same, on a platform that is to be configured", "TDRelaunchAdvisedConfigurationNeeded", false,
			all(version(5), onTD(updated), func(s *Scenario) { s.Platform.SVN = TCBLevels(StandardEvaluation)[1].SVN })},
	}
}

// updated has the module be old at the launch of the TD, and new now.
func updated(td *TDXGuest) { td.V15, td.TEETCBSVN[0] = true, 4 }
