package enrol

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
)

// Sizes in bytes.
const (
	secretSize = 32 // the digest size of an endorsement key
	saltSize   = 32
	// MaxContext bounds a context that is opened, in characters: those made here have fewer than 3,700.
	MaxContext = 4096
)

// purpose is authenticated along with each context.
const purpose = "assay aik enrolment context v1"

// content is what a context protects.
type content struct {
	secret  [secretSize]byte
	expires time.Time // whole seconds
	Candidate
}

// marshal writes the secret, the expiry in seconds since 1970 as a big-endian 64-bit number, the hash of the EK, a byte for Pinned, and with a
// length in front the provider's id, the parts of the device's name and the TPMT_PUBLIC of the AIK.
func (c content) marshal() ([]byte, error) {
	if c.ProviderID == "" || len(c.ProviderID) > MaxProviderID {
		return nil, errors.New("the id of the provider is missing or too long")
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes(c.secret[:])
	b.AddUint64(uint64(c.expires.Unix()))
	b.AddBytes(c.EK[:])
	pinned := uint8(0)
	if c.Pinned {
		pinned = 1
	}
	b.AddUint8(pinned)
	for _, text := range []string{c.ProviderID, c.Device.Manufacturer, c.Device.Model, c.Device.Version} {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.AIK.Area()) })
	return b.Bytes()
}

// parseContent reads what marshal writes. Only this service can have written it; what does not fit is of another release.
func parseContent(b []byte) (c content, ok bool) {
	in := cryptobyte.String(b)
	var expires uint64
	var pinned uint8
	ok = in.CopyBytes(c.secret[:]) && in.ReadUint64(&expires) && in.CopyBytes(c.EK[:]) && in.ReadUint8(&pinned) && pinned <= 1
	c.expires, c.Pinned = time.Unix(int64(expires), 0), pinned == 1
	for _, text := range []*string{&c.ProviderID, &c.Device.Manufacturer, &c.Device.Model, &c.Device.Version} {
		var s cryptobyte.String
		ok = ok && in.ReadUint8LengthPrefixed(&s)
		*text = string(s)
	}
	var area cryptobyte.String
	if !ok || !in.ReadUint16LengthPrefixed(&area) || !in.Empty() {
		return c, false
	}
	var err error
	c.AIK, err = tpm.ParsePublic(area)
	return c, err == nil
}

// aead is the key of one context: AES-256-GCM with a nonce in front. A key for each, by its salt, so that there is no limit to how many
// contexts there may be.
func (e *Enroller) aead(salt []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(e.key.Derive("aik enrolment context " + hex.EncodeToString(salt)))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// id names the certificate of a context. The first byte makes it a positive serial number of full length.
func (e *Enroller) id(salt []byte) string {
	return "01" + hex.EncodeToString(e.key.Derive("aik enrolment id " + hex.EncodeToString(salt))[:15])
}

// seal makes a context: base64url of the salt and what it seals.
func (e *Enroller) seal(c content) (string, error) {
	plain, err := c.marshal()
	if err != nil {
		return "", err
	}
	var salt [saltSize]byte
	rand.Read(salt[:])
	aead, err := e.aead(salt[:])
	if err != nil {
		return "", err
	}
	return b64.URL(aead.Seal(salt[:], nil, plain, []byte(purpose))), nil
}

// open gives the content of a context that a replica of this service made, for any provider and time, and its salt.
func (e *Enroller) open(context string) (content, []byte, error) {
	if len(context) > MaxContext {
		return content{}, nil, refuse("the enrolment context is too long").Want(MaxContext, len(context)).Do(anew)
	}
	b, err := b64.Decode(context)
	if err != nil || len(b) <= saltSize {
		return content{}, nil, refuse("the enrolment context is not one that this service makes").Do(anew)
	}
	aead, err := e.aead(b[:saltSize])
	if err != nil {
		return content{}, nil, err
	}
	plain, err := aead.Open(nil, nil, b[saltSize:], []byte(purpose))
	if err != nil {
		return content{}, nil, refuse("the enrolment context was changed on its way, or made by another service").
			Do(anew + "; replicas of one service need the same sealing key")
	}
	c, ok := parseContent(plain)
	if !ok {
		return content{}, nil, refuse("the enrolment context was made by another release of the service").Do(anew)
	}
	return c, b[:saltSize], nil
}
