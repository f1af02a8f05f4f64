package assaytest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// azureEnvelope is the answer, decoded (azure-guest.md section 4).
type azureEnvelope struct {
	EncryptedInnerKey []byte
	EncryptionParams  struct {
		BlockMode, BlockPadding, Cipher string
		KeySizeInBits                   int
		Iv                              []byte
	}
	AuthenticationData []byte
	Jwt                []byte
}

// Open decrypts the answer with the sealing key of the scenario; see [OpenAzure].
func (s *AzureScenario) Open(sealed string) (string, error) { return OpenAzure(s.SealingKey(), sealed) }

// OpenAzure decrypts an answer as Azure's clients do: sealed is the member token of the service's answer, the result the token in it
// (azure-guest.md section 4).
func OpenAzure(with *rsa.PrivateKey, sealed string) (string, error) {
	doc, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(sealed, "="))
	if err != nil {
		return "", fmt.Errorf("the answer is not base64url: %w", err)
	}
	var e azureEnvelope
	if err := json.Unmarshal(doc, &e); err != nil {
		return "", fmt.Errorf("the answer is not what clients read: %w", err)
	}
	if p := e.EncryptionParams; p.BlockMode != "ChainingModeGCM" || p.Cipher != "AES" || p.BlockPadding == "" || p.KeySizeInBits == 0 {
		return "", fmt.Errorf("clients do not know these parameters: %+v", p)
	}
	//lint:ignore SA1019 the protocol wraps keys so
	key, err := rsa.DecryptPKCS1v15(nil, with, e.EncryptedInnerKey)
	if err != nil {
		return "", fmt.Errorf("unwrapping the key: %w", err)
	}
	return openGCM(key, &e)
}

func openGCM(key []byte, e *azureEnvelope) (string, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	if len(e.EncryptionParams.Iv) != gcm.NonceSize() {
		return "", errors.New("the initialization vector is not of 12 bytes")
	}
	token, err := gcm.Open(nil, e.EncryptionParams.Iv, append(e.Jwt, e.AuthenticationData...), []byte("Transport Key"))
	return string(token), err
}
