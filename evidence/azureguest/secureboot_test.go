package azureguest_test

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// entry is one of a list of secure boot.
type entry struct {
	kind eventlog.GUID
	data string
}

func cert(data string) entry { return entry{eventlog.X509(), data} }
func hash(data string) entry { return entry{eventlog.SHA256(), data} }

// hash32 is a text of 32 bytes.
func hash32(first byte) string { return string(first) + "1 bytes behind the first of a hash"[:31] }

// sum is what a certificate is expected by.
func sum(data string) [32]byte { return sha256.Sum256([]byte(data)) }

// lists writes EFI_SIGNATURE_LISTs, one for each entry.
func lists(entries ...entry) (b []byte) {
	for _, e := range entries {
		b = append(b, e.kind[:]...)
		b = binary.LittleEndian.AppendUint32(b, uint32(28+16+len(e.data)))
		b = binary.LittleEndian.AppendUint32(b, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(16+len(e.data)))
		b = append(append(b, "an owner of 16 B"...), e.data...)
	}
	return b
}

// measuring gives a guest whose firmware measured these lists.
func measuring(t testing.TB, pk, kek, db, dbx []entry) guest {
	t.Helper()
	log := firmware(t, named509(t, "some signer"))
	values := map[string][]byte{"PK": lists(pk...), "KEK": lists(kek...), "db": lists(db...), "dbx": lists(dbx...)}
	n := 0
	for i, e := range log.Events {
		if e.Type != variableType {
			continue
		}
		v, err := eventlog.ParseVariable(e.Data, eventlog.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if value, ok := values[v.Name]; ok {
			n++
			log.Events[i].Data = assaytest.EFIVariable(assaytest.EFIGUID(v.GUID), v.Name, value)
		}
	}
	if n != len(values) {
		t.Fatalf("%d variables", n)
	}
	return guest{log: log}
}

// The lists of a machine, and the set that is expected of it.
func usual() (pk, kek, db, dbx []entry) {
	return []entry{cert("pk")}, []entry{cert("kek 1"), cert("kek 2")}, []entry{cert("db 1"), hash(hash32('d'))}, []entry{hash(hash32('x')), hash(hash32('y')), cert("revoked")}
}

func usualSet() azureguest.SecureBootKeys {
	return azureguest.SecureBootKeys{
		PK: [][32]byte{sum("pk")}, KEK: [][32]byte{sum("kek 2"), sum("kek 1")},
		DB: [][32]byte{[32]byte([]byte(hash32('d'))), sum("db 1")}, DBX: [][32]byte{[32]byte([]byte(hash32('y'))), [32]byte([]byte(hash32('x')))}, DBXCertificates: [][32]byte{sum("revoked")},
	}
}

// keyClaims are the claims default-securebootkeysvalidated, dbvalidated, dbxvalidated.
type keyClaims [3]bool

func keyClaimsOf(t testing.TB, g guest, expected ...azureguest.SecureBootKeys) (out keyClaims) {
	t.Helper()
	got := claims(g.verified(t), expected...)
	for i, name := range []string{"default-securebootkeysvalidated", "dbvalidated", "dbxvalidated"} {
		value, ok := got[azure+name].(bool)
		if !ok {
			t.Fatalf("%s is %v", name, got[azure+name])
		}
		out[i] = value
	}
	return out
}

func TestKeysThatAreExpectedAreValidated(t *testing.T) {
	all := keyClaims{true, true, true}
	pk, kek, db, dbx := usual()
	if got := keyClaimsOf(t, measuring(t, pk, kek, db, dbx), usualSet()); got != all {
		t.Errorf("got %v", got)
	}
	slices.Reverse(kek)
	slices.Reverse(dbx)
	db = append(db, db...)
	if got := keyClaimsOf(t, measuring(t, pk, kek, db, dbx), usualSet()); got != all {
		t.Errorf("in another order, and twice: got %v", got)
	}
	repeated := usualSet()
	repeated.DBX, repeated.DBXCertificates = append(repeated.DBX, repeated.DBX...), append(repeated.DBXCertificates, repeated.DBXCertificates...)
	if got := keyClaimsOf(t, measuring(t, pk, kek, db, dbx), repeated); got != all {
		t.Errorf("expected twice: got %v", got)
	}
}

// TestEachListIsHeldAgainstItsOwn changes one list at a time, of the machine or of the set.
func TestEachListIsHeldAgainstItsOwn(t *testing.T) {
	other := cert("another")
	foreign := entry{eventlog.GUID{1}, hash32('f')}
	for _, c := range []struct {
		name string
		list int // PK, KEK, db, dbx
		edit func([]entry) []entry
		want keyClaims
	}{
		{"another PK", 0, func([]entry) []entry { return []entry{other} }, keyClaims{false, true, true}},
		{"a KEK less", 1, func(e []entry) []entry { return e[1:] }, keyClaims{false, true, true}},
		{"a KEK more", 1, func(e []entry) []entry { return append(e, other) }, keyClaims{false, true, true}},
		{"a signer less in db", 2, func(e []entry) []entry { return e[:1] }, keyClaims{true, false, true}},
		{"a signer more in db", 2, func(e []entry) []entry { return append(e, other) }, keyClaims{true, false, true}},
		{"another hash in db", 2, func(e []entry) []entry { return []entry{e[0], hash(hash32('e'))} }, keyClaims{true, false, true}},
		{"an entry of another type in db", 2, func(e []entry) []entry { return append(e, foreign) }, keyClaims{true, false, true}},
		{"a hash of 31 bytes in db", 2, func(e []entry) []entry { return append(e, hash(hash32('h')[:31])) }, keyClaims{true, false, true}},
		{"a revocation less", 3, func(e []entry) []entry { return e[:2] }, keyClaims{true, true, false}},
		{"a revocation more", 3, func(e []entry) []entry { return append(e, hash(hash32('z'))) }, keyClaims{true, true, false}},
		{"the hash of an image in the place of a certificate of that fingerprint", 3, func(e []entry) []entry {
			s := sum("revoked")
			return append(e[:2:2], hash(string(s[:])))
		}, keyClaims{true, true, false}},
		{"a certificate in the place of a hash", 3, func(e []entry) []entry { return []entry{e[0], cert("another"), e[2]} }, keyClaims{true, true, false}},
		{"no revocation", 3, func([]entry) []entry { return nil }, keyClaims{true, true, false}},
	} {
		var machine [4][]entry
		machine[0], machine[1], machine[2], machine[3] = usual()
		machine[c.list] = c.edit(machine[c.list])
		if got := keyClaimsOf(t, measuring(t, machine[0], machine[1], machine[2], machine[3]), usualSet()); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAListThatNobodyExpectsIsNotValidated(t *testing.T) {
	pk, kek, db, _ := usual()
	set := usualSet()
	set.DBX, set.DBXCertificates = nil, nil
	if got, want := keyClaimsOf(t, measuring(t, pk, kek, db, nil), set), (keyClaims{true, true, false}); got != want {
		t.Errorf("a machine without dbx and a set without: got %v, want %v", got, want)
	}
	set = usualSet()
	set.PK = nil
	if got := keyClaimsOf(t, measuring(t, pk, kek, db, nil), set); got[0] {
		t.Error("the owners' keys are validated without a PK in the set")
	}
}

func TestASetOfSeveralMustFitAsAWhole(t *testing.T) {
	pk, kek, db, dbx := usual()
	machine := measuring(t, pk, kek, db, dbx)
	other := azureguest.SecureBootKeys{PK: [][32]byte{{1}}, KEK: [][32]byte{{2}}, DB: [][32]byte{{3}}, DBX: [][32]byte{{4}}}
	for i, sets := range [][]azureguest.SecureBootKeys{{usualSet(), other}, {other, usualSet()}} {
		if got, want := keyClaimsOf(t, machine, sets...), (keyClaims{true, true, true}); got != want {
			t.Errorf("order %d: got %v, want %v", i, got, want)
		}
	}
	withoutDBX, onlyDBX := usualSet(), other
	withoutDBX.DBX, onlyDBX.DBX, onlyDBX.DBXCertificates = other.DBX, usualSet().DBX, usualSet().DBXCertificates
	for i, sets := range [][]azureguest.SecureBootKeys{{withoutDBX, onlyDBX}, {onlyDBX, withoutDBX}} {
		if got, want := keyClaimsOf(t, machine, sets...), (keyClaims{true, true, false}); got != want {
			t.Errorf("a mix of two sets, order %d: got %v, want %v", i, got, want)
		}
	}
	onlyDB := other
	onlyDB.DB = usualSet().DB
	if got, want := keyClaimsOf(t, machine, onlyDBX, onlyDB), (keyClaims{false, false, true}); got != want {
		t.Errorf("two sets that fit in one list each: got %v, want that of the first, %v", got, want)
	}
}

func TestWithoutPCR7OrASetNothingIsValidated(t *testing.T) {
	pk, kek, db, dbx := usual()
	g := measuring(t, pk, kek, db, dbx)
	if got := keyClaimsOf(t, g); got != (keyClaims{}) {
		t.Errorf("no set: got %v", got)
	}
	g.quoted = []int{0, 1, 2, 3}
	if got := keyClaimsOf(t, g, usualSet()); got != (keyClaims{}) {
		t.Errorf("PCR 7 is not quoted: got %v", got)
	}
	if got := keyClaimsOf(t, guest{}, usualSet(), azureguest.SecureBootKeys{}); got != (keyClaims{}) {
		t.Errorf("no log: got %v", got)
	}
}

func TestKeysOfAMachineAreThoseItMeasured(t *testing.T) {
	pk, kek, db, dbx := usual()
	db = append(db, db[0], entry{eventlog.GUID{1}, hash32('f')})
	got := azureguest.KeysOf(azureguest.Boot(measuring(t, pk, kek, db, dbx).verified(t)).SecureBoot())
	want := azureguest.SecureBootKeys{
		PK: [][32]byte{sum("pk")}, KEK: [][32]byte{sum("kek 1"), sum("kek 2")}, DB: [][32]byte{sum("db 1"), [32]byte([]byte(hash32('d')))},
		DBX: [][32]byte{[32]byte([]byte(hash32('x'))), [32]byte([]byte(hash32('y')))}, DBXCertificates: [][32]byte{sum("revoked")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
