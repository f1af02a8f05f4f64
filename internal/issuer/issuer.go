// Package issuer holds the signing keys of one attestation provider and issues its tokens: it keeps the keys on disk,
// publishes them as instance certificates, adds the registered claims and signs (tokens.md sections 2 to 4). What a
// token says is decided elsewhere; the form of tokens and key sets is package result.
package issuer

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/assay-attestation/assay/result"
)

// Config says whose keys to open. Both Dir and Issuer are needed.
type Config struct {
	// Dir is the folder that holds the provider's keys and nothing else. It is made with mode 0700 if it is not there.
	Dir string
	// Issuer is the provider's external URL without a trailing slash: the iss of its tokens.
	Issuer string
	// Development puts the mark of development mode into every token (native.md section 2).
	Development bool
}

// Keys are a provider's signing keys. They do not change while the service runs and may be used concurrently.
type Keys struct {
	issuer      string
	development bool
	keys        []signingKey // by the time from which they sign
	certs       []byte
	set         *result.KeySet
}

// signingKey is a key that signs from a time on, until a later one takes over.
type signingKey struct {
	from   time.Time
	signer result.Signer
}

// Open reads the keys in cfg.Dir, after making the first one, which signs from now on, if there is none. Certificates
// are not kept: they follow from key and URL, so that a new URL gets new ones and a restart the same.
//
// It refuses a folder or key file that others than its owner can reach, and keys under 2048 bits.
func Open(cfg Config, now time.Time) (*Keys, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	stored, err := loadOrCreate(cfg.Dir, now)
	if err != nil {
		return nil, fmt.Errorf("opening the signing keys: %w", err)
	}
	k := &Keys{issuer: cfg.Issuer, development: cfg.Development}
	var published []result.PublishedKey
	for _, s := range stored {
		p, err := certify(s.key, cfg.Issuer)
		if err != nil {
			return nil, fmt.Errorf("certifying a signing key for %s: %w", cfg.Issuer, err)
		}
		published = append(published, p)
		k.keys = append(k.keys, signingKey{from: s.from, signer: result.Signer{Key: s.key, KeyID: p.KeyID, KeySetURL: cfg.Issuer + "/certs"}})
	}
	if k.certs, err = result.MarshalKeySet(published); err != nil {
		return nil, err
	}
	// What the service checks its tokens against is what a relying party will read.
	if k.set, err = result.ParseKeySet(k.certs); err != nil {
		return nil, fmt.Errorf("reading the own key set: %w", err)
	}
	return k, nil
}

// checkIssuer holds the URL to what clients can use: they compare iss as text, append paths, and drop a path of its
// own (clients.md section 1, rules 5 and 15).
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("issuer URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("issuer URL %q: expected https://host or https://host:port", issuer)
	case strings.ToLower(u.Scheme+"://"+u.Host) != issuer:
		return fmt.Errorf("issuer URL %q: expected %q, in lower case and without path, query or trailing slash", issuer,
			strings.ToLower(u.Scheme+"://"+u.Host))
	}
	return nil
}

// Issuer returns the iss of the provider's tokens.
func (k *Keys) Issuer() string { return k.issuer }

// Certs returns the body of /certs (api.md section 10.1): JSON that lists every key, in use, to come, or retired. It is
// made once; callers must not change it.
func (k *Keys) Certs() []byte { return k.certs }

// KeySet returns the same keys as a relying party reads them.
func (k *Keys) KeySet() *result.KeySet { return k.set }

// KeyID returns the kid of the key that signs at a time.
func (k *Keys) KeyID(at time.Time) string { return k.signer(at).KeyID }

// signer is the newest key whose time has come. With a clock before all of them it is the oldest key, the one that
// relying parties are most likely to know.
func (k *Keys) signer(at time.Time) result.Signer {
	chosen := k.keys[0]
	for _, key := range k.keys[1:] {
		if !key.from.After(at) {
			chosen = key
		}
	}
	return chosen.signer
}

// storedKey is a key as kept in the folder.
type storedKey struct {
	from time.Time
	key  *rsa.PrivateKey
}

var errNoKeys = errors.New("the folder has no signing key")

func loadOrCreate(dir string, now time.Time) ([]storedKey, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	keys, err := load(dir)
	if !errors.Is(err, errNoKeys) {
		return keys, err
	}
	if err := create(dir, now); err != nil {
		return nil, err
	}
	return load(dir)
}
