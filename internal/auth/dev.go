package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/wholefile"
)

// The built-in issuer of development mode (native.md section 2). Whoever can read its key file can make any token.
const (
	devIssuer  = "urn:assay:development"
	devKeyFile = "dev-issuer-key.pem"
	devKeyType = "PRIVATE KEY" // PKCS #8
	maxDevKey  = 4 << 10
)

// MaxDevLife is the longest that a token of the built-in issuer lives.
const MaxDevLife = 24 * time.Hour

// Claims of the built-in issuer's tokens.
const (
	claimDevRoles     = "roles"
	claimDevProviders = "providers"
	claimDevelopment  = "ext-development" // the mark that all tokens of development mode carry
)

// DevKey is the key of the built-in issuer. It signs tokens, and an Authenticator of development mode accepts them.
type DevKey struct {
	key       *ecdsa.PrivateKey
	keyID     string
	algorithm jose.Algorithm
}

// LoadOrCreateDevKey reads the key from the folder of data, where it is the file dev-issuer-key.pem, or makes it. Several
// processes that start at once get the same. A file that others can reach is refused.
func LoadOrCreateDevKey(dir string) (*DevKey, error) {
	name := filepath.Join(dir, devKeyFile)
	b, err := wholefile.ReadPrivate(name, maxDevKey)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createDevKey(name); err == nil || errors.Is(err, fs.ErrExist) {
			b, err = wholefile.ReadPrivate(name, maxDevKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key of the development issuer: %w", err)
	}
	k, err := parseDevKey(b)
	if err != nil {
		return nil, fmt.Errorf("key of the development issuer: %s: %w", name, err)
	}
	return k, nil
}

func createDevKey(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return wholefile.Create(name, pem.EncodeToMemory(&pem.Block{Type: devKeyType, Bytes: der}), 0o600)
}

func parseDevKey(b []byte) (*DevKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != devKeyType || len(rest) > 0 {
		return nil, fmt.Errorf("expected one PEM block %q and nothing after it", devKeyType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("expected an ECDSA key, found %T", parsed)
	}
	algorithm, err := jose.For(key.Public())
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(spki)
	return &DevKey{key, b64.URL(digest[:]), algorithm}, nil
}

// Token makes a token with a role on providers (as in Grant) that is good from the time given, for the life given: up to
// MaxDevLife. Without audiences it is for both sides of the service.
func (k *DevKey) Token(role Role, providers, audiences []string, at time.Time, life time.Duration) (string, error) {
	if err := (Grant{role, providers}).check(); err != nil {
		return "", err
	}
	if life < time.Second || life > MaxDevLife {
		return "", fmt.Errorf("expected a life from 1s to %v, found %v", MaxDevLife, life)
	}
	if len(audiences) == 0 {
		audiences = append(DefaultAudiences(DataPlane), DefaultAudiences(ControlPlane)...)
	}
	return k.sign(map[string]any{
		claimIssuer: devIssuer, claimSubject: "development-" + string(role), claimAudience: audiences,
		claimIssuedAt: at.Unix(), claimNotBefore: at.Unix(), claimExpires: at.Add(life).Unix(),
		claimDevRoles: []string{string(role)}, claimDevProviders: providers, claimDevelopment: true,
	})
}

// sign makes a JWS in compact serialisation.
func (k *DevKey) sign(payload map[string]any) (string, error) {
	head, err := json.Marshal(header{k.algorithm.Name, k.keyID})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(payload, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	input := b64.URL(head) + "." + b64.URL(body)
	signature, err := k.algorithm.Sign(k.key, []byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + b64.URL(signature), nil
}

// issuer is the built-in issuer as an Authenticator sees it.
func (k *DevKey) issuer() *issuer {
	return &issuer{audiences: (&Issuer{}).audiences(), keys: k, grants: devGrants, longest: MaxDevLife}
}

// find implements keySource.
func (k *DevKey) find(_ context.Context, kid string) ([]publicKey, error) {
	if kid != k.keyID {
		return nil, nil
	}
	return []publicKey{{k.key.Public(), k.algorithm.Name}}, nil
}

// devGrants are what a token of the built-in issuer says. Its contributor stands for Azure's Contributor on the whole
// service, who may also manage providers: so it is an owner.
func devGrants(c claims) (grants []Grant) {
	roles, _ := c.list(claimDevRoles)
	providers, _ := c.list(claimDevProviders)
	for _, name := range roles {
		role, err := ParseRole(name)
		if err != nil {
			continue
		}
		if role == Contributor {
			role = Owner
		}
		grants = append(grants, Grant{role, providers})
	}
	return grants
}
