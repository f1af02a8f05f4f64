package plan

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// Admin is what an administration client does with one provider: steps of which each builds on those before.
type Admin struct {
	// Issuer is the URL of the service, which is also the only iss that a client may accept.
	Issuer string `json:"issuer"`
	// Keys are the keys that sign policies, by the names that the steps use.
	Keys map[string]Key `json:"keys"`
	// Tokens are bearer tokens by the names that the steps use.
	Tokens map[string]string `json:"tokens"`
	// Evidence are files by attestation type, for the steps that attest.
	Evidence map[string]string `json:"evidence"`
	Steps    []Step            `json:"steps"`
}

// Key is a key with its certificate, both files in PEM; the key is in PKCS #8.
type Key struct {
	Kind        string `json:"kind"` // RSA or EC
	Key         string `json:"key"`
	Certificate string `json:"certificate"`
}

// Step is one call and its outcome: a refusal where Code is set. What a call must do otherwise:
//
//	get     the policy is Policy, letter by letter
//	set     Updated; the hash and the signer in the answer are those of the JWS that was sent
//	reset   Removed
//	list    the certificates are those of Signers, in this order
//	add     IsPresent, with the thumbprint of Certificate
//	remove  IsAbsent, with the thumbprint of Certificate
//	attest  a token
type Step struct {
	Name        string   `json:"name"`
	Do          string   `json:"do"`
	Type        string   `json:"type"`        // attestation type
	Policy      string   `json:"policy"`      // text
	Key         string   `json:"key"`         // name of the key that signs, or empty
	Certificate string   `json:"certificate"` // name of the key whose certificate is added or removed
	Signers     []string `json:"signers"`     // names of keys
	Token       string   `json:"token"`       // name of the bearer token
	Status      int      `json:"status"`      // of a refusal
	Code        string   `json:"code"`        // error.code of the refusal, or empty
	Message     string   `json:"message"`     // what the message of the refusal contains
}

// Refused returns the step with a refusal of status 400 as its outcome.
func (s Step) Refused(code, message string) Step {
	s.Status, s.Code, s.Message = 400, code, message
	return s
}

// By returns the step with the name of the key that signs.
func (s Step) By(key string) Step {
	s.Key = key
	return s
}

// As returns the step with the bearer token of that name, with which the service must refuse it.
func (s Step) As(token string) Step {
	s.Token, s.Status, s.Code, s.Message = token, 401, "Unauthorized", "requires a valid JWT bearer token"
	return s
}

// Called returns the step with a name.
func (s Step) Called(name string) Step {
	s.Name = name
	return s
}

// ReadAdmin returns the plan in file.
func ReadAdmin(file string) (*Admin, error) { return read[Admin](file) }

// Write stores the plan in a file of the folder and returns its name.
func (a *Admin) Write(dir string) (string, error) {
	file := filepath.Join(dir, "admin.json")
	return file, write(file, a)
}

// Read returns the key and its certificate.
func (k Key) Read() (crypto.Signer, *x509.Certificate, error) {
	der, err := readPEM(k.Key)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", k.Key, err)
	}
	if der, err = readPEM(k.Certificate); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", k.Certificate, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s: expected a signing key, found %T", k.Key, key)
	}
	return signer, cert, nil
}

func readPEM(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", file)
	}
	return block.Bytes, nil
}
