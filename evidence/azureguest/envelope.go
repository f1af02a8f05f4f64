package azureguest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// What the members of an envelope say (azure-guest.md section 4). The padding is named although AES-GCM has none.
const (
	envelopeMode    = "ChainingModeGCM"
	envelopePadding = "PKCS7"
	envelopeCipher  = "AES"
	envelopeData    = "Transport Key" // additional authenticated data
)

// Sizes in bytes. A token echoes a client's payload, which attest_body (4 MiB) bounds.
const (
	innerKeySize  = 32
	ivSize        = 12
	tagSize       = 16
	minWrapped    = 2048 / 8
	maxWrapped    = 8192 / 8
	maxToken      = 8 << 20
	maxEnvelope   = 16 << 20 // as text: a token of 8 MiB makes less, in base64 of base64
	keySizeInBits = innerKeySize * 8
)

// Envelope is a sealed answer, parsed. Nothing says yet that it was made for this machine, or by whom.
type Envelope struct {
	WrappedKey []byte // the AES key, by RSAES PKCS#1 v1.5, as long as the modulus of the key it was made for

	iv, sealed []byte // sealed is the encrypted token and its tag
}

// envelopeJSON is the content of the answer's member token. The binary members are base64.
type envelopeJSON struct {
	WrappedKey string       `json:"EncryptedInnerKey"`
	Params     envelopeForm `json:"EncryptionParams"`
	Tag        string       `json:"AuthenticationData"`
	Token      string       `json:"Jwt"`
}

type envelopeForm struct {
	Mode    string `json:"BlockMode"`
	Padding string `json:"BlockPadding"`
	Cipher  string `json:"Cipher"`
	KeySize int64  `json:"KeySizeInBits"`
	IV      string `json:"Iv"`
}

// Seal encrypts a token to a key as a guest's client opens it (azure-guest.md section 4), and gives the content of the answer's member token: base64url
// without padding of JSON. The AES key and the nonce come from random, the padding of the wrapped key as crypto/rsa makes it. An error says that the
// key cannot be used, that the token is empty or over 8 MiB, or that random failed.
func Seal(random io.Reader, token string, to *rsa.PublicKey) (string, error) {
	if err := tpm.CheckKey(to); err != nil {
		return "", fmt.Errorf("the key that the token is to be encrypted to: %w", err)
	}
	if len(token) == 0 || len(token) > maxToken {
		return "", fmt.Errorf("a token of %d bytes cannot be sealed; at least 1 and at most %d can", len(token), maxToken)
	}
	secret := make([]byte, innerKeySize+ivSize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", fmt.Errorf("random bytes to seal a token: %w", err)
	}
	key, iv := secret[:innerKeySize], secret[innerKeySize:]
	aead, err := envelopeAEAD(key)
	if err != nil {
		return "", err
	}
	//lint:ignore SA1019 the clients of Azure guests unwrap the key with RSAES PKCS#1 v1.5 and nothing else
	wrapped, err := rsa.EncryptPKCS1v15(random, to, key)
	if err != nil {
		return "", fmt.Errorf("the key of a token cannot be encrypted: %w", err)
	}
	return writeEnvelope(&Envelope{WrappedKey: wrapped, iv: iv, sealed: aead.Seal(nil, iv, []byte(token), []byte(envelopeData))})
}

func writeEnvelope(e *Envelope) (string, error) {
	std, end := base64.StdEncoding, len(e.sealed)-tagSize
	text, err := json.Marshal(envelopeJSON{
		WrappedKey: std.EncodeToString(e.WrappedKey),
		Params:     envelopeForm{envelopeMode, envelopePadding, envelopeCipher, keySizeInBits, std.EncodeToString(e.iv)},
		Tag:        std.EncodeToString(e.sealed[end:]),
		Token:      std.EncodeToString(e.sealed[:end]),
	})
	if err != nil {
		return "", fmt.Errorf("a sealed token cannot be written: %w", err)
	}
	return b64.URL(text), nil
}

// ParseEnvelope reads the content of the answer's member token. Base64 may be of any dialect; everything else must be as Seal writes it, but for members that
// are not known. The error names the member that cannot be used.
func ParseEnvelope(text string) (*Envelope, error) {
	if len(text) > maxEnvelope {
		return nil, fmt.Errorf("the sealed token has %d bytes, at most %d are read", len(text), maxEnvelope)
	}
	document, err := b64.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("the sealed token: %w", err)
	}
	var in envelopeJSON
	if err := strictjson.Exact(document, &in); err != nil {
		return nil, fmt.Errorf("the sealed token: %w", err)
	}
	if err := in.Params.check(); err != nil {
		return nil, err
	}
	return in.envelope()
}

// check compares the members that have one right value.
func (f *envelopeForm) check() error {
	for _, m := range []struct{ name, want, found string }{
		{"BlockMode", envelopeMode, f.Mode}, {"BlockPadding", envelopePadding, f.Padding}, {"Cipher", envelopeCipher, f.Cipher},
	} {
		if m.want != m.found {
			return fmt.Errorf("the sealed token: EncryptionParams.%s is %.32q, only %q is known", m.name, m.found, m.want)
		}
	}
	if f.KeySize != keySizeInBits {
		return fmt.Errorf("the sealed token: EncryptionParams.KeySizeInBits is %d, only %d is known", f.KeySize, keySizeInBits)
	}
	return nil
}

// envelope decodes the binary members.
func (in *envelopeJSON) envelope() (*Envelope, error) {
	e := &Envelope{}
	var tag []byte
	for _, m := range []struct {
		to            *[]byte
		name, text    string
		least, atMost int
	}{
		{&e.WrappedKey, "EncryptedInnerKey", in.WrappedKey, minWrapped, maxWrapped},
		{&e.iv, "EncryptionParams.Iv", in.Params.IV, ivSize, ivSize},
		{&tag, "AuthenticationData", in.Tag, tagSize, tagSize},
		{&e.sealed, "Jwt", in.Token, 1, maxToken},
	} {
		b, err := b64.Decode(m.text)
		if err != nil {
			return nil, fmt.Errorf("the sealed token: %s: %w", m.name, err)
		}
		if len(b) < m.least || len(b) > m.atMost {
			return nil, fmt.Errorf("the sealed token: %s has %d bytes, %d to %d are needed", m.name, len(b), m.least, m.atMost)
		}
		*m.to = b
	}
	e.sealed = append(e.sealed, tag...)
	return e, nil
}

// Open decrypts the token with the AES key of 32 bytes that the vTPM unwrapped. It fails for a key of another size, for another key, and for an answer that
// was changed.
func (e *Envelope) Open(key []byte) (string, error) {
	if len(key) != innerKeySize {
		return "", fmt.Errorf("the unwrapped key of a sealed token has %d bytes, %d are needed", len(key), innerKeySize)
	}
	if len(e.iv) != ivSize {
		return "", errors.New("there is no sealed token to open")
	}
	aead, err := envelopeAEAD(key)
	if err != nil {
		return "", err
	}
	token, err := aead.Open(nil, e.iv, e.sealed, []byte(envelopeData))
	if err != nil {
		return "", errors.New("the sealed token was encrypted with another key than the one that was unwrapped, or was changed")
	}
	return string(token), nil
}

// envelopeAEAD is AES-256-GCM with nonces of 12 bytes and tags of 16.
func envelopeAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("AES key of a sealed token: %w", err)
	}
	return cipher.NewGCM(block)
}
