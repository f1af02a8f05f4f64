package dcap_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// tdWith is a TD 1.0 with changes.
func tdWith(changes ...func(*dcaptest.TD)) *dcaptest.TD {
	d := dcaptest.NewTD(dcap.TDReport10)
	for _, change := range changes {
		change(d)
	}
	return d
}

// The digits of an id are hexadecimal and of either case (sgx-tdx.md section 7 step 6).
func TestModuleIsFoundByItsVersionInHex(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		version byte
		id      string
		found   bool
	}{
		{1, "TDX_01", true}, {1, "tdx_01", true}, {3, "TDX_03", true}, {10, "TDX_0A", true}, {10, "TDX_0a", true}, {10, "Tdx_0A", true},
		{0xFF, "TDX_fF", true}, {16, "TDX_10", true},
		{10, "TDX_10", false}, {16, "TDX_16", false}, {1, "TDX_03", false}, {1, "TDX_00", false}, {1, "TDX_10", false}, {0xAB, "TDX_BA", false},
	} {
		d := tdWith(func(d *dcaptest.TD) {
			d.Launched(5, tt.version, 3)
			d.Identities[0].ID = tt.id
		})
		v, err := l.verify(l.td(d))
		if !tt.found {
			dcaptest.Expect(t, fmt.Sprintf("version %d, %s", tt.version, tt.id), err, evidence.TDXModule)
			continue
		}
		if err != nil || v.TDXModule != dcap.UpToDate {
			t.Errorf("version %d, %s: got %+v (%v), want it rated UpToDate", tt.version, tt.id, v, err)
		}
	}
}

// Of several identities the one of the version counts, wherever it stands.
func TestModuleIsRatedByItsOwnIdentity(t *testing.T) {
	l := newLab(t)
	for version, want := range map[byte]dcap.Status{1: dcap.OutOfDate, 3: dcap.UpToDate, 4: dcap.RevokedTCB} {
		d := tdWith(func(d *dcaptest.TD) {
			d.Launched(5, version, 3)
			d.Identities = []dcaptest.Module{
				dcaptest.NewModule("TDX_03", dcaptest.LevelAt(5, dcap.UpToDate)), dcaptest.NewModule("TDX_01", dcaptest.LevelAt(5, dcap.OutOfDate)),
				dcaptest.NewModule("TDX_04", dcaptest.LevelAt(5, dcap.RevokedTCB)),
			}
		})
		v, err := l.verify(l.td(d))
		if err != nil || v.TDXModule != want || v.Status != want || v.Platform != dcap.UpToDate {
			t.Errorf("version %d: got %+v (%v), want %s", version, v, err, want)
		}
	}
}

func TestLevelsOfAModule(t *testing.T) {
	l := newLab(t)
	for svn, want := range map[byte]dcap.Status{0xFF: dcap.UpToDate, 6: dcap.UpToDate, 5: dcap.UpToDate, 4: dcap.OutOfDate, 3: dcap.OutOfDate, 2: dcap.RevokedTCB, 1: dcap.RevokedTCB, 0: ""} {
		for _, lowestFirst := range []bool{false, true} {
			d := tdWith(func(d *dcaptest.TD) {
				d.Launched(svn, 1, 3)
				if lowestFirst {
					slices.Reverse(d.Identities[0].Levels)
				}
			})
			v, err := l.verify(l.td(d))
			if want == "" {
				dcaptest.Expect(t, "below every level", err, evidence.TCBNotSupported)
				continue
			}
			if err != nil || v.TDXModule != want {
				t.Errorf("SVN %d, lowest first %t: got %+v (%v), want %s", svn, lowestFirst, v, err, want)
			}
		}
	}
}

// A module of version 0 is described by tdxModule, and no identity rates it.
func TestModuleWithoutAnIdentity(t *testing.T) {
	l := newLab(t)
	for what, change := range map[string]func(*dcaptest.TD){
		"no identities": func(d *dcaptest.TD) { d.Identities = nil },
		"identities":    func(*dcaptest.TD) {},
		"an identity TDX_00 that is foreign and revoked": func(d *dcaptest.TD) {
			d.Identities[0] = dcaptest.NewModule("TDX_00", dcaptest.LevelAt(0, dcap.RevokedTCB))
			d.Identities[0].MRSIGNER = strings.Repeat("11", 48)
		},
	} {
		v, err := l.verify(l.td(tdWith(func(d *dcaptest.TD) { d.Launched(5, 0, 3) }, change)))
		if err != nil || v.TDXModule != "" || v.Status != dcap.UpToDate {
			t.Errorf("%s: got %+v (%v), want UpToDate with no module rated", what, v, err)
		}
	}
	_, err := l.verify(l.td(tdWith(func(d *dcaptest.TD) { d.Identities = nil })))
	dcaptest.Expect(t, "version 1 and no identities", err, evidence.TDXModule)
}

// Signer and attributes are compared with the identity of the module, or with tdxModule where the version is 0. Attributes must be zero
// besides (sgx-tdx.md section 7 step 6).
func TestModuleMustBeTheOneDescribed(t *testing.T) {
	signed := func(d *dcaptest.TD) { copy(d.Report[dcaptest.MRSIGNERSEAM:], strings.Repeat("\xAB", 48)) }
	last := func(d *dcaptest.TD) { d.Report[dcaptest.MRSIGNERSEAM+47] = 1 }
	attribute := func(d *dcaptest.TD) { d.Report[dcaptest.SEAMAttributes+7] = 0x80 }
	const allows, zero = "0000000000000080", "0000000000000000"
	own := strings.Repeat("AB", 48)
	for _, tt := range []struct {
		what   string
		report func(*dcaptest.TD)
		module func(*dcaptest.Module)
		accept bool
	}{
		{"signer that is named", signed, func(m *dcaptest.Module) { m.MRSIGNER = own }, true},
		{"signer that is named, in lower case", signed, func(m *dcaptest.Module) { m.MRSIGNER = strings.ToLower(own) }, true},
		{"signer that is not named", signed, func(*dcaptest.Module) {}, false},
		{"last byte of the signer", last, func(*dcaptest.Module) {}, false},
		{"no signer where one is named", func(*dcaptest.TD) {}, func(m *dcaptest.Module) { m.MRSIGNER = own }, false},
		{"attribute that is not named", attribute, func(*dcaptest.Module) {}, false},
		{"attribute under a mask that hides it", attribute, func(m *dcaptest.Module) { m.Mask = zero }, false},
		{"attribute that is named", attribute, func(m *dcaptest.Module) { m.Attributes = allows }, false},
		{"no attribute where one is named", func(*dcaptest.TD) {}, func(m *dcaptest.Module) { m.Attributes = allows }, false},
		{"no attribute where one is named under a mask that hides it", func(*dcaptest.TD) {}, func(m *dcaptest.Module) { m.Attributes, m.Mask = allows, zero }, true},
	} {
		foreign := func(m *dcaptest.Module) { m.MRSIGNER, m.Attributes = strings.Repeat("CD", 48), "FFFFFFFFFFFFFFFF" }
		l := newLab(t)
		for _, version := range []byte{0, 1} {
			d := tdWith(tt.report, func(d *dcaptest.TD) {
				d.Launched(5, version, 3)
				if version == 0 { // the other description must not matter
					tt.module(d.Module)
					foreign(&d.Identities[0])
				} else {
					tt.module(&d.Identities[0])
					foreign(d.Module)
				}
			})
			var want []evidence.Check
			if !tt.accept {
				want = []evidence.Check{evidence.TDXModule}
			}
			_, err := l.verify(l.td(d))
			dcaptest.Expect(t, fmt.Sprintf("%s, version %d", tt.what, version), err, want...)
		}
	}
}

func TestSchemaOfTCBInfoForTDX(t *testing.T) {
	l := newLab(t)
	mrsigner := `"mrsigner":"` + strings.Repeat("0", 96) + `"`
	identity := `{"attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF",` + mrsigner + `,"id":"TDX_0A","tcbLevels":[{"tcb":{"isvsvn":1},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}]},`
	lower := strings.Replace(identity, "TDX_0A", "TDX_0a", 1)
	const first = `"tdxModuleIdentities":[`
	for _, tt := range []edited{
		{"as it is", `"id":"TDX"`, `"id":"TDX"`, true},
		{"an id in other case", `"id":"TDX"`, `"id":"tdx"`, false},
		{"tdxModule missing", `"tdxModule":`, `"x":`, false},
		{"tdxModule null", `"tdxModule":`, `"tdxModule":null,"x":`, false},
		{"tdxModule a list", `"tdxModule":`, `"tdxModule":[],"x":`, false},
		{"tdxModule in other case", `"tdxModule":`, `"TdxModule":`, false},
		{"tdxModule empty", `"tdxModule":{`, `"tdxModule":{},"x":{`, false},
		{"mask of tdxModule missing", `"attributesMask":`, `"x":`, false},
		{"attributes of tdxModule too short", `"attributes":"00`, `"attributes":"`, false},
		{"signer of tdxModule too long", `"mrsigner":"`, `"mrsigner":"00`, false},
		{"signer of tdxModule not hex", `"mrsigner":"00`, `"mrsigner":"0g`, false},
		{"signer null", mrsigner, `"mrsigner":null`, false},
		{"a further identity", first, first + identity, true},
		{"two identities with ids that differ in case", first, first + identity + lower, false},
		{"an identity null", first, first + "null,", false},
		{"identities an object", first, `"tdxModuleIdentities":{},"x":[`, false},
		{"id missing", `"id":"TDX_01"`, `"x":"TDX_01"`, false},
		{"id of one digit", `"id":"TDX_01"`, `"id":"TDX_1"`, false},
		{"id of three digits", `"id":"TDX_01"`, `"id":"TDX_001"`, false},
		{"id not hexadecimal", `"id":"TDX_01"`, `"id":"TDX_0G"`, false},
		{"id with another word", `"id":"TDX_01"`, `"id":"SGX_01"`, false},
		{"id with a blank", `"id":"TDX_01"`, `"id":"TDX_ 1"`, false},
		{"isvsvn missing", `"isvsvn":5`, `"x":5`, false},
		{"isvsvn null", `"isvsvn":5`, `"isvsvn":null`, false},
		{"isvsvn negative", `"isvsvn":5`, `"isvsvn":-5`, false},
		{"isvsvn a string", `"isvsvn":5`, `"isvsvn":"5"`, false},
		{"isvsvn too great", `"isvsvn":5`, `"isvsvn":65536`, false},
		{"two equal levels of a module", `"isvsvn":3`, `"isvsvn":5`, false},
		{"TDX components missing", `"tdxtcbcomponents"`, `"x"`, false},
		{"TDX components null", `"tdxtcbcomponents":`, `"tdxtcbcomponents":null,"x":`, false},
		{"TDX components an object", `"tdxtcbcomponents":`, `"tdxtcbcomponents":{},"x":`, false},
		{"fifteen TDX components", `"tdxtcbcomponents":[{"svn":5},`, `"tdxtcbcomponents":[`, false},
		{"seventeen TDX components", `"tdxtcbcomponents":[`, `"tdxtcbcomponents":[{"svn":5},`, false},
		{"a TDX component null", `"tdxtcbcomponents":[{"svn":5}`, `"tdxtcbcomponents":[null`, false},
		{"a TDX component without svn", `"tdxtcbcomponents":[{"svn":5}`, `"tdxtcbcomponents":[{}`, false},
		{"a TDX component too great", `"tdxtcbcomponents":[{"svn":5}`, `"tdxtcbcomponents":[{"svn":256}`, false},
		{"a TDX component negative", `"tdxtcbcomponents":[{"svn":5}`, `"tdxtcbcomponents":[{"svn":-1}`, false},
		{"a TDX component with a fraction", `"tdxtcbcomponents":[{"svn":5}`, `"tdxtcbcomponents":[{"svn":5.0}`, false},
		{"no SGX components", `"sgxtcbcomponents"`, `"x"`, false},
	} {
		_, err := l.verify(l.td(tdWith(), dcaptest.Edit(assaytest.TCBInfoBody, replace(t, tt.old, tt.new))))
		var want []evidence.Check
		if !tt.accept {
			want = []evidence.Check{evidence.TCBInfoFormat}
		}
		dcaptest.Expect(t, tt.what, err, want...)
	}
}

// A module has three statuses; its levels may not be without one, nor may there be none.
func TestStatusesOfAModule(t *testing.T) {
	l := newLab(t)
	for _, status := range []dcap.Status{dcap.UpToDate, dcap.OutOfDate, dcap.RevokedTCB} {
		v, err := l.verify(l.td(tdWith(func(d *dcaptest.TD) { d.Identities[0].Levels = []dcaptest.SVNLevel{dcaptest.LevelAt(5, status)} })))
		if err != nil || v.TDXModule != status {
			t.Errorf("%s: got %+v (%v)", status, v, err)
		}
	}
	for _, levels := range [][]dcaptest.SVNLevel{nil, {dcaptest.LevelAt(5, dcap.SWHardeningNeeded)}, {dcaptest.LevelAt(5, dcap.ConfigurationNeeded)},
		{dcaptest.LevelAt(5, dcap.ConfigurationAndSWHardeningNeeded)}, {dcaptest.LevelAt(5, dcap.OutOfDateConfigurationNeeded)},
		{dcaptest.LevelAt(5, dcap.TDRelaunchAdvised)}, {dcaptest.LevelAt(5, "uptodate")}, {dcaptest.LevelAt(5, "")}} {
		_, err := l.verify(l.td(tdWith(func(d *dcaptest.TD) { d.Identities[0].Levels = levels })))
		dcaptest.Expect(t, fmt.Sprintf("levels %+v", levels), err, evidence.TCBInfoFormat)
	}
}

// TCB info and identities of one TEE do not judge quotes of the other (sgx-tdx.md section 7 steps 5 and 8).
func TestCollateralOfTheOtherTEE(t *testing.T) {
	l := newLab(t)
	sgx, td := l.scenario(), l.td(tdWith())
	sgxOrigin, ofSGX := l.endorsed(sgx)
	tdOrigin, ofTD := l.endorsed(td)
	for _, tt := range []struct {
		what       string
		origin     *dcap.Origin
		collateral dcap.Collateral
		want       evidence.Check
	}{
		{"TD, TCB info of SGX", tdOrigin, dcap.Collateral{TCBInfo: ofSGX.TCBInfo, QEIdentity: ofTD.QEIdentity}, evidence.TCBInfoMismatch},
		{"TD, identity QE", tdOrigin, dcap.Collateral{TCBInfo: ofTD.TCBInfo, QEIdentity: ofSGX.QEIdentity}, evidence.QEIdentityMismatch},
		{"enclave, TCB info of TDX", sgxOrigin, dcap.Collateral{TCBInfo: ofTD.TCBInfo, QEIdentity: ofSGX.QEIdentity}, evidence.TCBInfoMismatch},
		{"enclave, identity TD_QE", sgxOrigin, dcap.Collateral{TCBInfo: ofSGX.TCBInfo, QEIdentity: ofTD.QEIdentity}, evidence.QEIdentityMismatch},
	} {
		tt.collateral.PCKCRL, tt.collateral.RootCRL = ofTD.PCKCRL, ofTD.RootCRL
		_, err := l.verifier.Verify(tt.origin, tt.collateral, dcap.Options{At: today()}, nil)
		dcaptest.Expect(t, tt.what, err, tt.want)
	}
}

// Quoting enclaves of SGX and TDX have different signers and product ids.
func TestTDQuotedByTheQuotingEnclaveOfSGX(t *testing.T) {
	l := newLab(t)
	sgx, err := hex.DecodeString("8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff")
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*assaytest.Scenario){
		"signer":     func(s *assaytest.Scenario) { s.QE.MRSIGNER = [32]byte(sgx) },
		"product id": func(s *assaytest.Scenario) { s.QE.ProdID = 1 },
		"debug":      func(s *assaytest.Scenario) { s.QE.Debug = true },
	} {
		_, err := l.verify(l.td(tdWith(), change))
		dcaptest.Expect(t, what, err, evidence.QEIdentityMismatch)
	}
}
