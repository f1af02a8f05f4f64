// Package issuer has the signing keys of one attestation provider and issues its tokens: it publishes the keys as
// instance certificates, adds the registered claims and signs (tokens.md sections 2 to 4). What a token says is decided
// elsewhere; the form of tokens and key sets is package result. Where keys are kept is not known here.
package issuer

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/result"
)

// MaxKeys is how many keys a provider can have at a time, those to come and those retired included.
const MaxKeys = 32

// Config says whose keys they are.
type Config struct {
	// Issuer is the provider's external URL without a trailing slash: the iss of its tokens.
	Issuer string
	// Development puts the mark of development mode into every token (native.md section 2).
	Development bool
	// Reports certifies the keys for reports a second time. Without it there are no reports.
	Reports *Authority
}

// Keys are a provider's signing keys. They do not change and may be used concurrently.
type Keys struct {
	issuer      string
	development bool
	keys        []signingKey // in the order in which they sign
	set         *result.KeySet
}

// signingKey is a key that signs from a time on, until a later one takes over.
type signingKey struct {
	from     time.Time
	notAfter time.Time // of its certificate
	signer   result.Signer
	reports  result.ReportSigner // with the same key; empty without an authority
	certs    []byte              // the body of /certs while this key signs
}

// Published says of a listed key since when and until when it signs.
type Published struct {
	KeyID       string
	ReportKeyID string // its kid in reports; empty without an authority
	From        time.Time
	Until       time.Time // zero if no other key is to take over
	NotAfter    time.Time // of its certificates
}

// New makes the keys of a provider, in any order, ready to sign. Certificates are not kept: they follow from key and URL,
// so that a new URL gets new ones and a restart the same.
//
// It refuses an issuer that clients cannot use, no keys, more than MaxKeys, the same key twice, and keys that
// [ParseKey] would refuse.
func New(cfg Config, keys []Key) (*Keys, error) {
	if err := CheckURL(cfg.Issuer); err != nil {
		return nil, err
	}
	if err := checkKeys(keys); err != nil {
		return nil, fmt.Errorf("signing keys of %s: %w", cfg.Issuer, err)
	}
	k := &Keys{issuer: cfg.Issuer, development: cfg.Development}
	var published []result.PublishedKey
	for _, key := range slices.SortedFunc(slices.Values(keys), compare) {
		p, notAfter, err := certify(key.Private, cfg.Issuer)
		if err != nil {
			return nil, fmt.Errorf("certifying a signing key for %s: %w", cfg.Issuer, err)
		}
		published = append(published, p)
		signer := result.Signer{Key: key.Private, KeyID: p.KeyID, KeySetURL: cfg.Issuer + "/certs"}
		k.keys = append(k.keys, signingKey{from: key.From, notAfter: notAfter, signer: signer})
	}
	reports, err := k.certifyReports(cfg.Reports)
	if err != nil {
		return nil, fmt.Errorf("certifying the signing keys of %s for reports: %w", cfg.Issuer, err)
	}
	if err := k.publish(published, reports); err != nil {
		return nil, err
	}
	return k, nil
}

// certifyReports has each key certified by the authority, if there is one, and gives what is to be published of it.
func (k *Keys) certifyReports(a *Authority) (published []result.PublishedKey, err error) {
	if a == nil {
		return nil, nil
	}
	ca, err := a.named(k.issuer)
	if err != nil {
		return nil, err
	}
	for i, key := range k.keys {
		p, err := ca.certify(key.signer.Key.Public(), k.issuer)
		if err != nil {
			return nil, err
		}
		k.keys[i].reports = result.ReportSigner{Key: key.signer.Key, Chain: p.Chain}
		published = append(published, p)
	}
	return published, nil
}

// compare puts keys into the order in which they sign, the same in every replica.
func compare(a, b Key) int {
	return cmp.Or(a.From.Compare(b.From), strings.Compare(a.ID, b.ID))
}

func checkKeys(keys []Key) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("expected 1 to %d, found %d", MaxKeys, len(keys))
	}
	seen := map[string]bool{}
	for _, key := range keys {
		if err := key.check(); err != nil {
			return err
		}
		if seen[key.ID] {
			return fmt.Errorf("the key %s is there twice", key.ID)
		}
		seen[key.ID] = true
	}
	return nil
}

// publish writes the key set for the time of each key, and reads it. Instance certificates come first, then the CA-issued ones.
func (k *Keys) publish(instance, reports []result.PublishedKey) (err error) {
	for i := range k.keys {
		all := inOrder(instance, i)
		if len(reports) > 0 {
			all = append(all, inOrder(reports, i)...)
		}
		if k.keys[i].certs, err = result.MarshalKeySet(all); err != nil {
			return err
		}
	}
	// What the service checks its tokens against is what a relying party will read.
	if k.set, err = result.ParseKeySet(k.keys[0].certs); err != nil {
		return fmt.Errorf("reading the own key set: %w", err)
	}
	return nil
}

// inOrder puts the key in use first, as recorded key sets have it, then those to come, then the retired, latest first.
func inOrder(keys []result.PublishedKey, inUse int) []result.PublishedKey {
	retired := slices.Clone(keys[:inUse])
	slices.Reverse(retired)
	return append(slices.Clone(keys[inUse:]), retired...)
}

// CheckURL holds the URL to what clients can use: they compare iss as text, append paths, and drop a path of its
// own (clients.md section 1, rules 5 and 15).
func CheckURL(issuer string) error {
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

// Certs returns the body of /certs at a time (api.md section 10.1): JSON that lists every key, the one in use first, then
// those to come, then the retired; with an authority, all of them a second time, as they are named in reports. It is made once;
// callers must not change it.
func (k *Keys) Certs(at time.Time) []byte { return k.inUse(at).certs }

// KeySet returns the same keys as a relying party reads them.
func (k *Keys) KeySet() *result.KeySet { return k.set }

// KeyID returns the kid of the key that signs at a time.
func (k *Keys) KeyID(at time.Time) string { return k.inUse(at).signer.KeyID }

// Published returns all keys in the order in which they sign.
func (k *Keys) Published() []Published {
	var all []Published
	for i, key := range k.keys {
		p := Published{KeyID: key.signer.KeyID, From: key.from, NotAfter: key.notAfter}
		if key.reports.Key != nil {
			p.ReportKeyID = key.reports.KeyID()
		}
		if i+1 < len(k.keys) {
			p.Until = k.keys[i+1].from
		}
		all = append(all, p)
	}
	return all
}

// inUse is the newest key whose time has come. With a clock before all of them it is the oldest key, the one that
// relying parties are most likely to know.
func (k *Keys) inUse(at time.Time) signingKey {
	chosen := k.keys[0]
	for _, key := range k.keys[1:] {
		if !key.from.After(at) {
			chosen = key
		}
	}
	return chosen
}
