package sipa_test

import (
	"testing"
	"unicode/utf16"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/go-json-experiment/json/jsontext"
)

// The ids of the examples, as wbcl.h has them.
const (
	boundary  = 0x40010001
	modules   = 0x40010003
	nobody    = 0x4001FFFF // a container that the table does not have
	transfer  = 0x00020003
	bitlocker = 0x00020005
	svn       = 0x00020009
	debug     = 0x00050001
	dep       = 0x00050004
	device    = 0x00050008
	root      = 0x00050009
	loadAll   = 0x0005000E
	policy    = 0x0005000F
	noAuth    = 0x00060001
	path      = 0x00070001
	imageBase = 0x00070007
	hvci      = 0x000A0007
	drtmAuth  = 0x000C0001
	smm       = 0x000C0002
	unknown   = 0x00050099
)

func TestJSONOfElements(t *testing.T) {
	for _, c := range []struct{ what, data, want string }{
		{"nothing", "", `{}`},
		{"only unknown ids", elem(unknown, "x") + elem(nobody, elem(debug, "\x01")), `{}`},
		{"members stand in the order of the log", elem(svn, "\x02") + elem(debug, "\x00"), `{"EVENT_APPLICATION_SVN":2,"EVENT_OSKERNELDEBUG":false}`},
		{"twice makes an array at the place of the first", elem(debug, "\x00") + elem(svn, "\x02") + elem(debug, "\x01"),
			`{"EVENT_OSKERNELDEBUG":[false,true],"EVENT_APPLICATION_SVN":2}`},
		{"an unknown id is no second one", elem(debug, "\x00") + elem(0x10050001, "\x01"), `{"EVENT_OSKERNELDEBUG":false}`},
		{"once in each of two containers is once", elem(boundary, elem(debug, "\x00")) + elem(debug, "\x01"),
			`{"EVENT_TRUSTBOUNDARY":{"EVENT_OSKERNELDEBUG":false},"EVENT_OSKERNELDEBUG":true}`},
		{"an array form stays flat", elem(policy, "\x07\xFF") + elem(policy, "\x00"), `{"EVENT_SI_POLICY":[{"RawData":"B_8"},{"RawData":"AA"}]}`},
		{"containers in arrays", elem(boundary, elem(modules, elem(svn, "\x01")), elem(modules)),
			`{"EVENT_TRUSTBOUNDARY":{"EVENT_LOADEDMODULE_AGGREGATION":[{"EVENT_APPLICATION_SVN":1},{}]}}`},
		{"modules at the top", elem(modules, elem(svn, "\x01")), `{"EVENT_LOADEDMODULE_AGGREGATION":[{"EVENT_APPLICATION_SVN":1}]}`},
		{"any byte but zero is true", elem(debug, "\x80"), `{"EVENT_OSKERNELDEBUG":true}`},
		{"integers of 1 byte", elem(svn, "\xFF"), `{"EVENT_APPLICATION_SVN":255}`},
		{"integers of 2 bytes", elem(svn, "\x01\x02"), `{"EVENT_APPLICATION_SVN":513}`},
		{"integers of 4 bytes", elem(svn, "\x01\x00\x00\x80"), `{"EVENT_APPLICATION_SVN":2147483649}`},
		{"integers of 8 bytes", elem(imageBase, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), `{"EVENT_IMAGEBASE":18446744073709551615}`},
		{"not measured elements", elem(0x80050001, "\x01\x01\x01") + elem(0xC0010001, "no element") + elem(debug, "\x00"),
			`{"EVENT_OSKERNELDEBUG":false}`},
		{"a long NOAUTHORITY", elem(noAuth, "\x00\x01"), `{"EVENT_NOAUTHORITY":true}`},
		{"a long NOAUTHORITY of zeros", elem(noAuth, "\x00\x00"), `{"EVENT_NOAUTHORITY":false}`},
		{"empty bytes", elem(0x00020001), `{"EVENT_INFORMATION":""}`},
	} {
		if got := toJSON(t, c.data); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

func TestNamesOfValues(t *testing.T) {
	for _, c := range []struct {
		id          uint32
		value, want string
	}{
		{transfer, "\x00", `{"String":"NONE","Value":0}`},
		{transfer, "\x05\x00\x00\x00", `{"String":"HYPERVISOR","Value":5}`},
		{transfer, "\x06\x00\x00\x00", `{"Value":6}`},
		{bitlocker, "\x00\x00\x00\x00", `{"String":"NONE","Value":0}`},
		{bitlocker, "\x01\x00\x00\x00", `{"String":"CACHED","Value":1}`},
		{bitlocker, "\x14\x00\x00\x00", `{"String":"TPM|PIN","Value":20}`},
		{bitlocker, "\xF7\x03\x00\x00", `{"String":"CACHED|MEDIA|TPM|PIN|EXTERNAL|RECOVERY|PASSPHRASE|NBP|AUK_OSFVEINFO","Value":1015}`},
		{bitlocker, "\x0C\x00\x00\x00", `{"Value":12}`},
		{bitlocker, "\x00\x00\x00\x00\x00\x00\x00\x80", `{"Value":9223372036854775808}`},
		{dep, "\x00", `{"String":"OptIn","Value":0}`},
		{dep, "\x01", `{"String":"OptOut","Value":1}`},
		{dep, "\x02", `{"String":"AlwaysOff","Value":2}`},
		{dep, "\x03", `{"String":"AlwaysOn","Value":3}`},
		{dep, "\x04", `{"Value":4}`},
		{device, "\x00\x00\x00\x00", `{"String":"UNKNOWN","Value":0}`},
		{device, "\x01\x00\x01\x00", `{"String":"BLOCKIO_HARDDISK","Value":65537}`},
		{device, "\x02\x00\x01\x00", `{"String":"BLOCKIO_REMOVABLEDISK","Value":65538}`},
		{device, "\x03\x00\x01\x00", `{"String":"BLOCKIO_CDROM","Value":65539}`},
		{device, "\x05\x00\x01\x00", `{"String":"BLOCKIO_FILE","Value":65541}`},
		{device, "\x06\x00\x01\x00", `{"String":"BLOCKIO_RAMDISK","Value":65542}`},
		{device, "\x07\x00\x01\x00", `{"String":"BLOCKIO_VIRTUALHARDDISK","Value":65543}`},
		{device, "\x00\x00\x02\x00", `{"String":"SERIAL","Value":131072}`},
		{device, "\x00\x00\x03\x00", `{"String":"UDP","Value":196608}`},
		{device, "\x00\x00\x04\x00", `{"String":"VMBUS","Value":262144}`},
		{device, "\x00\x00\x05\x00", `{"String":"COMPOSITE","Value":327680}`},
		{device, "\x00\x00\x06\x00", `{"String":"CIMFS","Value":393216}`},
		{device, "\x08\x00\x01\x00", `{"Value":65544}`},
		{loadAll, "\x01", `{"String":"Default","Value":1}`},
		{loadAll, "\x02", `{"Value":2}`},
		{hvci, "\x01", `{"String":"HypervisorEnforcedCodeIntegrityEnable","Value":1}`},
		{hvci, "\x00", `{"Value":0}`},
	} {
		want := `{"` + sipa.ID(c.id).String() + `":` + c.want + `}`
		if got := toJSON(t, elem(c.id, c.value)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSMMLevelStandsBesideItsContainerToo(t *testing.T) {
	inside := elem(smm, "\x02")
	for _, c := range []struct{ what, data, want string }{
		{"at the top", elem(smm, "\x03"), `{"EVENT_DRTM_SMM":{"Value":3}}`},
		{"in a trust boundary", elem(boundary, inside) + elem(debug, "\x00"),
			`{"EVENT_TRUSTBOUNDARY":{"EVENT_DRTM_SMM":{"Value":2}},"EVENT_DRTM_SMM":{"Value":2},"EVENT_OSKERNELDEBUG":false}`},
		{"in both", elem(smm, "\x03") + elem(boundary, inside),
			`{"EVENT_DRTM_SMM":[{"Value":3},{"Value":2}],"EVENT_TRUSTBOUNDARY":{"EVENT_DRTM_SMM":{"Value":2}}}`},
	} {
		if got := toJSON(t, c.data); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

func TestVerdictOnDRTMComesFromTheCaller(t *testing.T) {
	elements, err := sipa.Parse([]byte(elem(drtmAuth, "signature")), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sipa.AppendJSON([]byte(`x=`), elements, sipa.Options{DRTMSignatureValid: true})
	if want := `x={"EVENT_DRTM_STATE_AUTH":{"SignatureValid":true}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestTextIsEscapedOnlyWhereItMustBe(t *testing.T) {
	for _, units := range [][]uint16{
		nil, {0}, {'a', 0}, {'a', 0, 0}, {0, 'a'}, {'\\', '"', '/', '<', 0x7F, 0x2028, 0xFEFF},
		utf16.Encode([]rune("Grüße 漢字 \U0001F512\x00")), {'\b', '\f', '\n', '\r', '\t', 1, 0x1F},
		{0xD83D}, {0xD83D, 'a'}, {0xDD12, 0xD83D}, {0xD83D, 0xD83D, 0xDD12}, {0xFFFD, 0xFFFF},
	} {
		payload := ""
		for _, u := range units {
			payload += string([]byte{byte(u), byte(u >> 8)})
		}
		if n := len(units); n > 0 && units[n-1] == 0 {
			units = units[:n-1]
		}
		want, err := jsontext.AppendQuote(nil, string(utf16.Decode(units)))
		if err != nil {
			t.Fatal(err)
		}
		if got := toJSON(t, elem(root, payload)); got != `{"EVENT_SYSTEMROOT":`+string(want)+`}` {
			t.Errorf("%x: got %s, want %s", units, got, want)
		}
	}
}

func TestElementsThatWereNotParsedAreCheckedBeforeTheyAreWritten(t *testing.T) {
	for id, payload := range map[sipa.ID]string{debug: "", svn: "\x00\x00\x00", transfer: "", path: "a", noAuth: ""} {
		for _, elements := range [][]sipa.Element{
			{{ID: id, Payload: []byte(payload)}},
			{{ID: modules, Elements: []sipa.Element{{ID: id, Payload: []byte(payload)}}}},
		} {
			_, err := sipa.AppendJSON(nil, elements, sipa.Options{})
			refusedBecause(t, id.String(), err, "the element "+id.String()+" has a value of a wrong length")
		}
	}
}
