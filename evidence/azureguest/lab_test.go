package azureguest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// Offsets in a TPMS_ATTEST whose qualifiedSigner is a Name by SHA-256 (tpm-evidence.md section 1).
const (
	extraDataAt = 4 + 2 + 2 + 34
	clockSize   = 17 + 8 // and the firmware's version
)

// lab is the AttestationInfo of a good case, to be edited.
type lab struct {
	vector
	doc map[string]any
}

func newLab(t testing.TB, id string) *lab {
	t.Helper()
	l := &lab{vector: named(t, id)}
	b, err := l.information(t)
	if err != nil {
		t.Fatal(err)
	}
	return l.read(t, b)
}

// read takes another AttestationInfo in the place of the case's.
func (l *lab) read(t testing.TB, b []byte) *lab {
	t.Helper()
	l.doc = nil
	if err := json.Unmarshal(b, &l.doc); err != nil {
		t.Fatal(err)
	}
	return l
}

// at finds the object that has the member of a path with dots.
func (l *lab) at(path string) (map[string]any, string) {
	object, names := l.doc, strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		object = object[name].(map[string]any)
	}
	return object, names[len(names)-1]
}

// set gives a member a value; bytes are written in base64. nil takes it away.
func (l *lab) set(path string, value any) *lab {
	object, name := l.at(path)
	switch v := value.(type) {
	case nil:
		delete(object, name)
	case []byte:
		object[name] = base64.StdEncoding.EncodeToString(v)
	default:
		object[name] = v
	}
	return l
}

// bytes reads a member in base64.
func (l *lab) bytes(t testing.TB, path string) []byte {
	t.Helper()
	object, name := l.at(path)
	b, err := b64.Decode(object[name].(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *lab) json(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(l.doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *lab) parse(t testing.TB) (*azureguest.Bundle, error) {
	t.Helper()
	return azureguest.Parse(l.json(t), limits())
}

// machine parses and verifies what the vTPM signed.
func (l *lab) machine(t testing.TB, in azureguest.Input) (*azureguest.Machine, error) {
	t.Helper()
	b, err := l.parse(t)
	if err != nil {
		return nil, err
	}
	return b.Verify(l.input(t, in))
}

// sign signs an attestation with the attestation key of the vectors, and puts both in their members.
func (l *lab) sign(t testing.TB, attest []byte, member, signature string) *lab {
	t.Helper()
	block, _ := pem.Decode(vectortest.Read(t, "tpm/azure-guest/ak-key.pem"))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(attest)
	s, err := rsa.SignPKCS1v15(rand.Reader, parsed.(*rsa.PrivateKey), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return l.set("TpmInfo."+member, attest).set("TpmInfo."+signature, s)
}

// quote has the quote made again, changed.
func (l *lab) quote(t testing.TB, change func(attest []byte) []byte) *lab {
	t.Helper()
	return l.sign(t, change(l.bytes(t, "TpmInfo.PcrQuote")), "PcrQuote", "PcrSignature")
}

// certify has the certification made again, changed.
func (l *lab) certify(t testing.TB, change func(attest []byte) []byte) *lab {
	t.Helper()
	return l.sign(t, change(l.bytes(t, "TpmInfo.EncKeyCertifyInfo")), "EncKeyCertifyInfo", "EncKeyCertifyInfoSignature")
}

// qualified puts qualifying data in the place of that of an attestation.
func qualified(data string) func([]byte) []byte {
	return func(attest []byte) []byte {
		end := extraDataAt + 2 + int(binary.BigEndian.Uint16(attest[extraDataAt:]))
		return slices.Concat(attest[:extraDataAt], sized([]byte(data)), attest[end:])
	}
}

// attested puts something in the place of what an attestation without qualifying data attests.
func attested(parts ...[]byte) func([]byte) []byte {
	return func(attest []byte) []byte {
		return append(slices.Clone(attest[:extraDataAt+2+clockSize]), slices.Concat(parts...)...)
	}
}

// seal puts another sealing key in the place, certified.
func (l *lab) seal(t testing.TB, area []byte) *lab {
	t.Helper()
	sum := sha256.Sum256(area)
	name := append([]byte{0, 0x0B}, sum[:]...)
	return l.set("TpmInfo.EncKeyPub", sized(area)).certify(t, attested(sized(name), sized(name)))
}

// area is the TPMT_PUBLIC in a member.
func (l *lab) area(t testing.TB, path string) []byte { return l.bytes(t, path)[2:] }

// sized writes a TPM2B structure.
func sized(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}
