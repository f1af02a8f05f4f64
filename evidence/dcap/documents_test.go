package dcap_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// edited is a change of a document and whether it is still one.
type edited struct {
	what, old, new string
	accept         bool
}

// run signs each edit of the body of a document and verifies with it.
func (l lab) run(body assaytest.Part, version int, format evidence.Check, cases []edited) {
	l.Helper()
	for _, tt := range cases {
		s := l.scenario(func(s *assaytest.Scenario) { s.TCBInfoVersion = version }, dcaptest.Edit(body, replace(l, tt.old, tt.new)))
		_, err := l.verify(s)
		var want []evidence.Check
		if !tt.accept {
			want = []evidence.Check{format}
		}
		dcaptest.Expect(l, fmt.Sprintf("%s version %d, %s", body, version, tt.what), err, want...)
	}
}

// Edits that TCB info and QE identity have in common; each is signed.
func commonEdits() []edited {
	deep := func(n int) string { return `"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `,"issueDate"` }
	return []edited{
		{"white space, which the signature covers", `,"nextUpdate":`, " ,\n\t\"nextUpdate\" : ", true},
		{"an unknown member", `"issueDate"`, `"future":{"a":[null,1.5e3]},"issueDate"`, true},
		{"an unknown member with a duplicate inside", `"issueDate"`, `"future":{"a":1,"a":2},"issueDate"`, false},
		{"a duplicate written with an escape", `"issueDate"`, `"\u0069ssueDate":"2020-01-01T00:00:00Z","issueDate"`, false},
		{"a name in other case", `"issueDate"`, `"IssueDate"`, false},
		{"two names that differ in case", `"issueDate"`, `"ISSUEDATE":1,"issueDate"`, true},
		{"as deep as JSON may be", `"issueDate"`, deep(32 - 2), true},
		{"one deeper", `"issueDate"`, deep(32 - 1), false},
		{"date null", `"issueDate":"2030-06-14T12:00:00Z"`, `"issueDate":null`, false},
		{"date a number", `"issueDate":"2030-06-14T12:00:00Z"`, `"issueDate":1907755200`, false},
		{"date with an offset", `2030-06-14T12:00:00Z`, `2030-06-14T12:00:00+00:00`, false},
		{"date without a zone", `2030-06-14T12:00:00Z`, `2030-06-14T12:00:00`, false},
		{"day that is not", `2030-06-14T12:00:00Z`, `2030-02-30T12:00:00Z`, false},
		{"evaluation number null", `DataNumber":17`, `DataNumber":null`, false},
		{"evaluation number negative", `DataNumber":17`, `DataNumber":-17`, false},
		{"evaluation number with a fraction", `DataNumber":17`, `DataNumber":17.0`, false},
		{"evaluation number with an exponent", `DataNumber":17`, `DataNumber":17e0`, false},
		{"evaluation number a string", `DataNumber":17`, `DataNumber":"17"`, false},
		{"greatest evaluation number", `DataNumber":17`, `DataNumber":4294967295`, true},
		{"evaluation number too great", `DataNumber":17`, `DataNumber":4294967296`, false},
		{"version missing", `"version":`, `"v":`, false},
		{"version null", `"version":`, `"version":null,"v":`, false},
		{"levels null", `"tcbLevels":`, `"tcbLevels":null,"x":`, false},
		{"levels an object", `"tcbLevels":`, `"tcbLevels":{},"x":`, false},
		{"a level null", `"tcbLevels":[`, `"tcbLevels":[null,`, false},
		{"a level without tcb", `"tcb":`, `"x":`, false},
		{"tcb null", `"tcb":`, `"tcb":null,"x":`, false},
		{"tcb a list", `"tcb":`, `"tcb":[],"x":`, false},
		{"level date null", `"tcbDate":`, `"tcbDate":null,"x":`, false},
		{"status null", `"tcbStatus":"UpToDate"`, `"tcbStatus":null`, false},
		{"status in other case", `"tcbStatus":"UpToDate"`, `"tcbStatus":"uptodate"`, false},
		{"no advisories", `"tcbStatus":"UpToDate"`, `"tcbStatus":"UpToDate","advisoryIDs":[]`, true},
		{"advisories a string", `"tcbStatus":"UpToDate"`, `"tcbStatus":"UpToDate","advisoryIDs":"INTEL-SA-1"`, false},
		{"an advisory null", `"tcbStatus":"UpToDate"`, `"tcbStatus":"UpToDate","advisoryIDs":[null]`, false},
		{"invalid UTF-8", `"issueDate"`, "\"x\":\"\xff\",\"issueDate\"", false},
	}
}

func TestTCBInfoSchema(t *testing.T) {
	l := newLab(t)
	for _, version := range []int{2, 3} {
		l.run(assaytest.TCBInfoBody, version, evidence.TCBInfoFormat, append(commonEdits(), []edited{
			{"FMSPC in lower case", "A55A79000000", "a55a79000000", true},
			{"FMSPC not hex", "A55A79000000", "A55A7900000G", false},
			{"FMSPC too long", "A55A79000000", "A55A7900000000", false},
			{"FMSPC null", `"A55A79000000"`, "null", false},
			{"PCEID missing", `"pceId"`, `"x"`, false},
			{"PCEID too short", `"pceId":"0000"`, `"pceId":"00"`, false},
			{"tcbType missing", `"tcbType":0,`, "", false},
			{"tcbType null", `"tcbType":0`, `"tcbType":null`, false},
			{"tcbType a string", `"tcbType":0`, `"tcbType":"0"`, false},
			{"PCESVN missing", `"pcesvn":13`, `"x":13`, false},
			{"PCESVN null", `"pcesvn":13`, `"pcesvn":null`, false},
			{"PCESVN negative", `"pcesvn":13`, `"pcesvn":-1`, false},
			{"PCESVN too great", `"pcesvn":13`, `"pcesvn":65536`, false},
			{"the PCESVN of another level", `"pcesvn":12`, `"pcesvn":13`, true},
		}...))
	}
	l.run(assaytest.TCBInfoBody, 3, evidence.TCBInfoFormat, []edited{
		{"no id", `"id":"SGX",`, "", false},
		{"id null", `"id":"SGX"`, `"id":null`, false},
		{"id in other case", `"id":"SGX"`, `"id":"sgx"`, false},
		{"version 2 in the form of version 3", `"version":3`, `"version":2`, false},
		{"version 1", `"version":3`, `"version":1`, false},
		{"seventeen components", `"sgxtcbcomponents":[`, `"sgxtcbcomponents":[{"svn":7},`, false},
		{"a component null", `{"svn":7}`, `null`, false},
		{"a component without svn", `{"svn":7}`, `{}`, false},
		{"svn null", `{"svn":7}`, `{"svn":null}`, false},
		{"category and type", `{"svn":7}`, `{"svn":7,"category":"BIOS","type":"Early Microcode Update"}`, true},
		{"components null", `"sgxtcbcomponents":`, `"sgxtcbcomponents":null,"x":`, false},
	})
	l.run(assaytest.TCBInfoBody, 2, evidence.TCBInfoFormat, []edited{
		{"an id", `"version":2`, `"id":"SGX","version":2`, false},
		{"version 3 in the form of version 2", `"version":2`, `"id":"SGX","version":3`, false},
		{"a component missing", `"sgxtcbcomp16svn":0,`, ``, false},
		{"a component null", `"sgxtcbcomp16svn":0`, `"sgxtcbcomp16svn":null`, false},
		{"a component a string", `"sgxtcbcomp16svn":0`, `"sgxtcbcomp16svn":"0"`, false},
		{"a component too great", `"sgxtcbcomp16svn":0`, `"sgxtcbcomp16svn":256`, false},
		{"a component negative", `"sgxtcbcomp16svn":0`, `"sgxtcbcomp16svn":-1`, false},
		{"a component with a fraction", `"sgxtcbcomp16svn":0`, `"sgxtcbcomp16svn":0.0`, false},
	})
}

func TestQEIdentitySchema(t *testing.T) {
	l := newLab(t)
	l.run(assaytest.QEIdentityBody, 3, evidence.QEIdentityFormat, append(commonEdits(), []edited{
		{"version 3", `"version":2`, `"version":3`, false},
		{"id missing", `"id":"QE",`, ``, false},
		{"id unknown", `"id":"QE"`, `"id":"XE"`, false},
		{"MRSIGNER too short", `"mrsigner":"8C`, `"mrsigner":"`, false},
		{"MISCSELECT missing", `"miscselect":`, `"x":`, false},
		{"mask null", `"miscselectMask":`, `"miscselectMask":null,"x":`, false},
		{"attributes too long", `"attributes":"11`, `"attributes":"1100`, false},
		{"product id null", `"isvprodid":1`, `"isvprodid":null`, false},
		{"product id too great", `"isvprodid":1`, `"isvprodid":65536`, false},
		{"isvsvn null", `"isvsvn":8`, `"isvsvn":null`, false},
		{"isvsvn negative", `"isvsvn":8`, `"isvsvn":-8`, false},
		{"isvsvn too great", `"isvsvn":8`, `"isvsvn":65536`, false},
		{"two equal levels", `"isvsvn":6`, `"isvsvn":8`, false},
	}...))
}

// Changes to the whole document, outside the signed object.
func TestEnvelope(t *testing.T) {
	l := newLab(t)
	for _, d := range []struct {
		document, body                        assaytest.Part
		member, other                         string
		signature, format, chain, wrongMember evidence.Check
	}{
		{assaytest.TCBInfo, assaytest.TCBInfoBody, "tcbInfo", "enclaveIdentity",
			evidence.TCBInfoSignature, evidence.TCBInfoFormat, evidence.TCBSigningChain, evidence.TCBInfoFormat},
		{assaytest.QEIdentity, assaytest.QEIdentityBody, "enclaveIdentity", "tcbInfo",
			evidence.QEIdentitySignature, evidence.QEIdentityFormat, evidence.TCBSigningChain, evidence.QEIdentityFormat},
	} {
		upper := func(b []byte) []byte {
			i := bytes.LastIndexByte(b[:len(b)-2], '"') + 1
			return append(bytes.Clone(b[:i]), bytes.ToUpper(b[i:])...)
		}
		size := func(n int) func([]byte) []byte {
			return func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), n-len(b))...) }
		}
		start := `{"` + d.member + `":`
		for _, tt := range []struct {
			what   string
			change func([]byte) []byte
			want   []evidence.Check
		}{
			{"signature in capitals", upper, nil},
			{"white space around", replace(t, start, " \n{ \""+d.member+"\" : "), nil},
			{"an unknown member", replace(t, start, `{"x":1,"`+d.member+`":`), nil},
			{"a NUL byte at the end", func(b []byte) []byte { return append(b, 0) }, nil},
			{"a line end at the end", func(b []byte) []byte { return append(b, '\n') }, nil},
			{"as long as it may be", size(dcap.MaxDocument), nil},
			{"a byte longer", size(dcap.MaxDocument + 1), []evidence.Check{d.format}},
			{"something behind", func(b []byte) []byte { return append(b, "{}"...) }, []evidence.Check{d.format}},
			{"nothing", func([]byte) []byte { return []byte{} }, []evidence.Check{d.format}},
			{"null", func([]byte) []byte { return []byte("null") }, []evidence.Check{d.format}},
			{"another kind of document", replace(t, start, `{"`+d.other+`":`), []evidence.Check{d.wrongMember}},
			{"object twice", replace(t, start, start+"{},\""+d.member+"\":"), []evidence.Check{d.format}},
			{"name in other case", replace(t, start, `{"`+strings.ToUpper(d.member)+`":`), []evidence.Check{d.format}},
			{"signature twice", replace(t, `,"signature":`, `,"signature":"","signature":`), []evidence.Check{d.format}},
			{"signature missing", replace(t, `,"signature":`, `,"x":`), []evidence.Check{d.signature}},
			{"signature null", replace(t, `,"signature":`, `,"signature":null,"x":`), []evidence.Check{d.signature}},
			{"signature a number", replace(t, `,"signature":`, `,"signature":1,"x":`), []evidence.Check{d.format}},
			{"signature too short", func(b []byte) []byte { return append(b[:len(b)-4], `"}`...) }, []evidence.Check{d.signature}},
			{"signature odd", func(b []byte) []byte { return append(b[:len(b)-3], `"}`...) }, []evidence.Check{d.signature}},
			{"signature too long", func(b []byte) []byte { return append(b[:len(b)-2], `00"}`...) }, []evidence.Check{d.signature}},
			{"signature not hex", func(b []byte) []byte { return append(b[:len(b)-4], `zz"}`...) }, []evidence.Check{d.signature}},
		} {
			_, err := l.verify(l.scenario(dcaptest.Edit(d.document, tt.change)))
			dcaptest.Expect(t, string(d.document)+", "+tt.what, err, tt.want...)
		}
	}
}

func TestIssuerChain(t *testing.T) {
	l := newLab(t)
	again := func(b []byte) []byte { return append(b, b...) }
	for _, chain := range []assaytest.Part{assaytest.TCBInfoChain, assaytest.QEIdentityChain} {
		for _, tt := range []struct {
			what   string
			change func([]byte) []byte
			want   []evidence.Check
		}{
			{"a NUL byte at the end", func(b []byte) []byte { return append(b, 0) }, nil},
			{"CRLF", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }, nil},
			{"twice", again, []evidence.Check{evidence.TCBSigningChain}},
			{"nothing", func([]byte) []byte { return []byte{} }, []evidence.Check{evidence.TCBSigningChain}},
			{"text in front", func(b []byte) []byte { return append([]byte("TCB signer:\n"), b...) }, []evidence.Check{evidence.TCBSigningChain}},
			{"URL-encoded", func(b []byte) []byte { return []byte(url.PathEscape(string(b))) }, []evidence.Check{evidence.TCBSigningChain}},
			{"root with a damaged signature", lastCertificate(t, func(der []byte) { der[len(der)-1] ^= 1 }), []evidence.Check{evidence.TCBSigningChain}},
			{"root with another key", lastCertificate(t, func(der []byte) {
				i := bytes.Index(der, []byte{0x03, 0x42, 0x00, 0x04}) + 4 // the public key
				der[i] ^= 1
			}), []evidence.Check{evidence.TCBSigningChain, evidence.UntrustedRoot}},
		} {
			_, err := l.verify(l.scenario(dcaptest.Edit(chain, tt.change)))
			dcaptest.Expect(t, string(chain)+", "+tt.what, err, tt.want...)
		}
	}
}

// lastCertificate changes the DER of the second certificate of a chain.
func lastCertificate(t *testing.T, change func(der []byte)) func([]byte) []byte {
	return func(chain []byte) []byte {
		_, rest := pem.Decode(chain)
		block, _ := pem.Decode(rest)
		if block == nil {
			t.Fatalf("no second certificate in %s", chain)
		}
		change(block.Bytes)
		return append(chain[:len(chain)-len(rest):len(chain)-len(rest)], pem.EncodeToMemory(block)...)
	}
}

// One kind of signed object in the place of the other, with a good signature.
func TestSignedObjectOfTheOtherKind(t *testing.T) {
	l := newLab(t)
	raw, err := l.scenario().Collateral()
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.verifier.TCBInfo(bytes.Replace(raw.QEIdentity, []byte("enclaveIdentity"), []byte("tcbInfo"), 1), raw.QEIdentityChain)
	dcaptest.Expect(t, "QE identity as TCB info", err, evidence.TCBInfoFormat)
	_, err = l.verifier.QEIdentity(bytes.Replace(raw.TCBInfo, []byte("tcbInfo"), []byte("enclaveIdentity"), 1), raw.TCBInfoChain)
	dcaptest.Expect(t, "TCB info as QE identity", err, evidence.QEIdentityFormat)
}

func TestIdentitiesOfOtherEnclavesDoNotMatch(t *testing.T) {
	l := newLab(t)
	for _, id := range []string{"TD_QE", "QVE", "QAE"} {
		_, err := l.verify(l.scenario(dcaptest.Edit(assaytest.QEIdentityBody, replace(t, `"id":"QE"`, `"id":"`+id+`"`))))
		dcaptest.Expect(t, id, err, evidence.QEIdentityMismatch)
	}
}

// What the masks hide does not count, what they show does.
func TestMasksOfTheIdentity(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		what   string
		change func(*assaytest.Scenario)
		want   []evidence.Check
	}{
		{"MODE64BIT, hidden by the mask", dcaptest.Edit(assaytest.QEReport, func(b []byte) []byte { b[48] ^= 0x04; return b }), nil},
		{"DEBUG", dcaptest.Edit(assaytest.QEReport, func(b []byte) []byte { b[48] ^= 0x02; return b }), []evidence.Check{evidence.QEIdentityMismatch}},
		{"last flag byte", dcaptest.Edit(assaytest.QEReport, func(b []byte) []byte { b[55] ^= 0x80; return b }), []evidence.Check{evidence.QEIdentityMismatch}},
		{"XFRM, hidden by the mask", dcaptest.Edit(assaytest.QEReport, func(b []byte) []byte { b[56] ^= 0xFF; return b }), nil},
		{"highest byte of MISCSELECT", dcaptest.Edit(assaytest.QEReport, func(b []byte) []byte { b[19] ^= 1; return b }), []evidence.Check{evidence.QEIdentityMismatch}},
		{"MISCSELECT, hidden by another mask", func(s *assaytest.Scenario) {
			s.QE.MiscSelect = 0x01000000
			dcaptest.Edit(assaytest.QEIdentityBody, replace(t, `"FFFFFFFF"`, `"FFFFFF00"`))(s)
		}, nil},
	} {
		_, err := l.verify(l.scenario(tt.change))
		dcaptest.Expect(t, tt.what, err, tt.want...)
	}
}
