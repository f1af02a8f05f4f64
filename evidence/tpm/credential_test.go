package tpm

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// credentialVector is vectors/tpm/quotes/credential.json.
type credentialVector struct {
	EK      string `json:"ek_private_pem"`
	Name    string `json:"aik_name"`
	Secret  string
	Blob    string `json:"credential_blob_tpm2b"`
	Sealed  string `json:"encrypted_secret_tpm2b"`
	Seed    string
	Storage string `json:"storage_key"`
	MAC     string `json:"integrity_key"`
}

func readCredential(t testing.TB) (v credentialVector, ek *rsa.PrivateKey) {
	t.Helper()
	vectortest.ReadJSON(t, "tpm/quotes/credential.json", &v)
	block, _ := pem.Decode([]byte(v.EK))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return v, key.(*rsa.PrivateKey)
}

// ekAttributes are those of tpm-evidence.md section 3.
const ekAttributes = 0x000300B2

// rsaEK is the TPMT_PUBLIC of an endorsement key, written anew by tpm-evidence.md section 1.
func rsaEK(key *rsa.PublicKey, attributes uint32, bits, mode uint16) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1}, uint16(SHA256))
	b = binary.BigEndian.AppendUint32(b, attributes)
	b = append2B(b, make([]byte, 32))
	b = binary.BigEndian.AppendUint16(append(b, 0, 6), bits)
	b = append(binary.BigEndian.AppendUint16(b, mode), 0, 0x10)
	b = binary.BigEndian.AppendUint16(b, uint16(key.N.BitLen()))
	return append2B(append(b, 0, 0, 0, 0), key.N.Bytes())
}

// eccEK is that of the template of a curve, 3 and 4 as TCG EK profiles L-2 and H-3 have it.
func eccEK(key *ecdsa.PublicKey, curve uint16) []byte {
	alg, aes := SHA256, uint16(128)
	if curve != 3 {
		alg, aes = SHA384, 256
	}
	return eccEKOf(key, curve, alg, aes)
}

func eccEKOf(key *ecdsa.PublicKey, curve uint16, alg Alg, aes uint16) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 0x23}, uint16(alg))
	b = append2B(binary.BigEndian.AppendUint32(b, ekAttributes), make([]byte, alg.Size()))
	b = append(binary.BigEndian.AppendUint16(append(b, 0, 6), aes), 0, 0x43, 0, 0x10)
	b = append(binary.BigEndian.AppendUint16(b, curve), 0, 0x10)
	point, _ := key.Bytes()
	half := len(point) / 2
	return append2B(append2B(b, point[1:1+half]), point[1+half:])
}

// activate is TPM2_ActivateCredential by tpm-evidence.md section 3, for a seed that was decrypted.
func activate(seed, name, blob []byte) ([]byte, error) {
	return tpmOf{crypto.SHA256, 128}.activate(seed, name, blob)
}

// tpmOf is a TPM whose endorsement key has a nameAlg, and AES of that many bits.
type tpmOf struct {
	hash crypto.Hash
	aes  uint32
}

func (m tpmOf) activate(seed, name, blob []byte) ([]byte, error) {
	size := m.hash.Size()
	if int(binary.BigEndian.Uint16(blob)) != len(blob)-2 || int(binary.BigEndian.Uint16(blob[2:])) != size {
		return nil, errors.New("sizes")
	}
	mac, enc := blob[4:4+size], blob[4+size:]
	h := hmac.New(m.hash.New, m.kdfa(seed, "INTEGRITY", nil, uint32(8*size)))
	h.Write(enc)
	h.Write(name)
	if !hmac.Equal(h.Sum(nil), mac) {
		return nil, errors.New("HMAC")
	}
	block, err := aes.NewCipher(m.kdfa(seed, "STORAGE", name, m.aes))
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(enc))
	//lint:ignore SA1019 it is what TPMs do
	cipher.NewCFBDecrypter(block, make([]byte, 16)).XORKeyStream(plain, enc)
	if int(binary.BigEndian.Uint16(plain)) != len(plain)-2 {
		return nil, errors.New("size of the secret")
	}
	return plain[2:], nil
}

// kdfa is the counter mode of SP 800-108 with HMAC (TPM 2.0 Library, Part 1, section 11.4.10.2), for up to as many bits as the hash has.
func (m tpmOf) kdfa(key []byte, label string, context []byte, bits uint32) []byte {
	h := hmac.New(m.hash.New, key)
	h.Write([]byte{0, 0, 0, 1})
	h.Write(append([]byte(label), 0))
	h.Write(context)
	h.Write(binary.BigEndian.AppendUint32(nil, bits))
	return h.Sum(nil)[:bits/8]
}

func kdfa(key []byte, label string, context []byte, bits uint32) []byte {
	return tpmOf{crypto.SHA256, 128}.kdfa(key, label, context, bits)
}

// TestTheCredentialOfTheVectors is opened by the test's own implementation, which so is one to check credentials with.
func TestTheCredentialOfTheVectors(t *testing.T) {
	v, ek := readCredential(t)
	seed, err := rsa.DecryptOAEP(sha256.New(), nil, ek, unhex(t, v.Sealed)[2:], []byte("IDENTITY\x00"))
	if err != nil || hex.EncodeToString(seed) != v.Seed {
		t.Fatalf("seed %x, %v", seed, err)
	}
	name := unhex(t, v.Name)
	if hex.EncodeToString(kdfa(seed, "STORAGE", name, 128)) != v.Storage || hex.EncodeToString(kdfa(seed, "INTEGRITY", nil, 256)) != v.MAC {
		t.Error("other keys than in the vector")
	}
	secret, err := activate(seed, name, unhex(t, v.Blob))
	if err != nil || hex.EncodeToString(secret) != v.Secret {
		t.Errorf("secret %x, %v", secret, err)
	}
}

// seeded is an endorsement key of the vector whose seed is chosen.
type seeded struct {
	tpm2.LabeledEncapsulationKey
	seed []byte
}

func (k seeded) Encapsulate(_ io.Reader, _ string) (secret, ciphertext []byte, err error) {
	return k.seed, []byte{1}, nil
}

// TestAGivenSeedMakesTheRecordedBlob, byte for byte.
func TestAGivenSeedMakesTheRecordedBlob(t *testing.T) {
	v, ek := readCredential(t)
	p, err := ParsePublic(rsaEK(&ek.PublicKey, ekAttributes, 128, 0x43))
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.encapsulation()
	if err != nil {
		t.Fatal(err)
	}
	c, err := credentialOf(seeded{key, unhex(t, v.Seed)}, unhex(t, v.Name), unhex(t, v.Secret), rand.Reader)
	if err != nil || hex.EncodeToString(c.Blob) != v.Blob {
		t.Errorf("got  %x, %v\nwant %s", c.Blob, err, v.Blob)
	}
}

func TestTheEndorsementKeyOpensWhatIsMadeForIt(t *testing.T) {
	v, ek := readCredential(t)
	p, err := ParsePublic(rsaEK(&ek.PublicKey, ekAttributes, 128, 0x43))
	if err != nil {
		t.Fatal(err)
	}
	name, secret := unhex(t, v.Name), unhex(t, v.Secret)
	c, err := MakeCredential(p, name, secret, rand.Reader)
	if err != nil || len(c.Blob) != 70 || len(c.Secret) != 258 {
		t.Fatalf("%d and %d bytes, %v; measured are 70 and 258", len(c.Blob), len(c.Secret), err)
	}
	seed, err := rsa.DecryptOAEP(sha256.New(), nil, ek, c.Secret[2:], []byte("IDENTITY\x00"))
	if err != nil || len(seed) != 32 {
		t.Fatalf("seed of %d bytes, %v", len(seed), err)
	}
	if got, err := activate(seed, name, c.Blob); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got %x, %v", got, err)
	}
	name[5] ^= 1
	if _, err := activate(seed, name, c.Blob); err == nil || err.Error() != "HMAC" {
		t.Errorf("another object: %v", err)
	}
}

// TestCredentialsForCurves: the seed is KDFe over the shared point (TPM 2.0 Library, Part 1, annex C.6.1).
func TestCredentialsForCurves(t *testing.T) {
	for id, tt := range map[uint16]struct {
		curve ecdh.Curve
		tpm   tpmOf
		blob  int
	}{3: {ecdh.P256(), tpmOf{crypto.SHA256, 128}, 70}, 4: {ecdh.P384(), tpmOf{crypto.SHA384, 256}, 86}} {
		private, err := tt.curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curveOf(tpm2.TPMECCCurve(id)), private.PublicKey().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePublic(eccEK(public, id))
		if err != nil {
			t.Fatal(err)
		}
		name, secret := append([]byte{0, 0xB}, make([]byte, 32)...), bytes.Repeat([]byte{7}, 32)
		c, err := MakeCredential(p, name, secret, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Blob) != tt.blob {
			t.Errorf("blob of %d bytes, want %d", len(c.Blob), tt.blob)
		}
		if got, err := tt.tpm.activate(tt.tpm.seed(t, private, c.Secret), name, c.Blob); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("got %x, %v", got, err)
		}
	}
}

// seed opens a TPM2B_ENCRYPTED_SECRET that holds the point of a key made for it.
func (m tpmOf) seed(t *testing.T, private *ecdh.PrivateKey, encrypted []byte) []byte {
	t.Helper()
	size := m.hash.Size() // also that of a coordinate
	if n := len(encrypted); n != 6+2*size || int(binary.BigEndian.Uint16(encrypted)) != n-2 {
		t.Fatalf("encrypted secret %x", encrypted)
	}
	x, y := encrypted[4:4+size], encrypted[6+size:]
	ephemeral, err := private.Curve().NewPublicKey(append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	z, err := private.ECDH(ephemeral)
	if err != nil {
		t.Fatal(err)
	}
	h := m.hash.New()
	h.Write(bytes.Join([][]byte{{0, 0, 0, 1}, z, []byte("IDENTITY\x00"), x, private.PublicKey().Bytes()[1 : 1+size]}, nil))
	return h.Sum(nil)
}

func TestWhatIsNoEndorsementKeyIsRefused(t *testing.T) {
	_, ek := readCredential(t)
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	good := rsaEK(&ek.PublicKey, ekAttributes, 128, 0x43)
	other := func(at int, b ...byte) []byte {
		return append(append(bytes.Clone(good[:at]), b...), good[at+len(b):]...)
	}
	for name, tt := range map[string]struct {
		area []byte
		want string
	}{
		"sound":                {good, ""},
		"not restricted":       {rsaEK(&ek.PublicKey, ekAttributes&^restricted, 128, 0x43), "expected restricted, found"},
		"not decrypt":          {rsaEK(&ek.PublicKey, ekAttributes&^decrypt, 128, 0x43), "expected decrypt, found"},
		"sign":                 {rsaEK(&ek.PublicKey, ekAttributes|sign, 128, 0x43), "expected not sign, found"},
		"not fixedTPM":         {rsaEK(&ek.PublicKey, ekAttributes&^fixedTPM, 128, 0x43), "expected fixedTPM, found"},
		"not fixedParent":      {rsaEK(&ek.PublicKey, ekAttributes&^fixedParent, 128, 0x43), "expected fixedParent, found"},
		"brought from outside": {rsaEK(&ek.PublicKey, ekAttributes&^sensitiveDataOrigin, 128, 0x43), "expected sensitiveDataOrigin, found"},
		"3072 bits":            {rsaEK(&long.PublicKey, ekAttributes, 128, 0x43), "another size"},
		"P-384":                {eccEK(&ecKey(t, elliptic.P384()).PublicKey, 4), ""},
		"P-521":                {eccEK(&ecKey(t, elliptic.P521()).PublicKey, 5), "another curve"},
		"P-256 by SHA-384":     {eccEKOf(&ecKey(t, elliptic.P256()).PublicKey, 3, SHA384, 128), "expected SHA256, found SHA384"},
		"P-384 by SHA-256":     {eccEKOf(&ecKey(t, elliptic.P384()).PublicKey, 4, SHA256, 256), "expected SHA384, found SHA256"},
		"P-384 with AES-128":   {eccEKOf(&ecKey(t, elliptic.P384()).PublicKey, 4, SHA384, 128), "another algorithm"},
		"AES-256":              {rsaEK(&ek.PublicKey, ekAttributes, 256, 0x43), "another algorithm"},
		"CBC":                  {rsaEK(&ek.PublicKey, ekAttributes, 128, 0x42), "another algorithm"},
		"TDES":                 {other(43, 3), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePublic(tt.area)
			if err != nil {
				t.Fatal(err)
			}
			err = p.CheckEK()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			r, ok := errors.AsType[*evidence.Refusal](err)
			if !ok || r.Check != evidence.EKCertificate || !strings.Contains(r.Error(), tt.want) || r.Remedy == "" {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if _, err := MakeCredential(p, []byte{0, 0xB}, []byte{1}, rand.Reader); err == nil {
				t.Error("a credential is made for it")
			}
		})
	}
}

func TestSecretsOfCredentialsAreBounded(t *testing.T) {
	_, ek := readCredential(t)
	p, err := ParsePublic(rsaEK(&ek.PublicKey, ekAttributes, 128, 0x43))
	if err != nil {
		t.Fatal(err)
	}
	for n, ok := range map[int]bool{0: false, 1: true, MaxCredentialSecret: true, MaxCredentialSecret + 1: false} {
		if _, err := MakeCredential(p, []byte{0, 0xB}, make([]byte, n), rand.Reader); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := MakeCredential(p, []byte{0, 0xB}, []byte{1}, bytes.NewReader(nil)); err == nil {
		t.Error("made without randomness")
	}
}

// FuzzMakeCredential: what passes for an endorsement key gets a credential of the measured sizes, and nothing else gets one.
func FuzzMakeCredential(f *testing.F) {
	_, ek := readCredential(f)
	f.Add(rsaEK(&ek.PublicKey, ekAttributes, 128, 0x43))
	f.Add(rsaEK(&ek.PublicKey, ekAttributes, 256, 0x43))
	f.Add(eccEK(&ecKey(f, elliptic.P256()).PublicKey, 3))
	f.Add(eccEK(&ecKey(f, elliptic.P384()).PublicKey, 4))
	f.Fuzz(func(t *testing.T, area []byte) {
		p, err := ParsePublic(area)
		if err != nil {
			return
		}
		isEK := p.CheckEK() == nil
		c, err := MakeCredential(p, []byte{0, 0xB, 1}, make([]byte, 32), rand.Reader)
		if isEK != (err == nil) {
			t.Errorf("an endorsement key: %t, but %v", isEK, err)
		}
		if err != nil {
			return
		}
		if sizes := [2]int{len(c.Blob), len(c.Secret)}; sizes != [2]int{70, 258} && sizes != [2]int{70, 70} && sizes != [2]int{86, 102} {
			t.Errorf("sizes %d", sizes)
		}
	})
}
