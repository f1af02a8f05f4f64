package auth

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// How long fetched keys serve. A kid that is not known is looked for at once, so these bound how long a key that the
// issuer withdrew is still accepted.
const (
	// freshFor is the age from which keys are fetched anew when a token comes.
	freshFor = time.Hour
	// staleFor is the age at which keys no longer serve if no newer ones could be fetched.
	staleFor = 24 * time.Hour
)

// How often an issuer is asked at most, so that tokens with invented kids do not turn into requests.
const (
	fetchInterval = 5 * time.Second // for keys that are not known, whether the last attempt failed or not
	renewInterval = time.Minute     // for newer ones in the place of keys that still serve
)

// Bounds of an attempt: of both requests together, of each answer in bytes, and of the keys that are looked at.
const (
	fetchTimeout = 10 * time.Second
	maxAnswer    = 1 << 20
	maxKeys      = 128
)

// publicKey is a key that an issuer lists.
type publicKey struct {
	key       crypto.PublicKey
	algorithm string // the only one it is for; empty: any that fits
}

// fits reports whether the key verifies signatures of that algorithm.
func (k publicKey) fits(a jose.Algorithm) bool {
	return (k.algorithm == "" || k.algorithm == a.Name) && a.Fits(k.key) == nil
}

// remoteKeys are the keys of an issuer on the network. They are fetched when a token needs them, by the caller who needs
// them; the others wait for him.
type remoteKeys struct {
	issuer, discovery string
	client            *http.Client
	clock             func() time.Time
	seat              chan struct{} // taken by the one who fetches

	keysURL string // of whoever has the seat; empty: to be discovered

	mu      sync.Mutex
	keys    map[string][]publicKey // by kid
	fetched time.Time              // when keys were
	tried   time.Time              // when the last attempt ended
	err     error                  // how it ended
}

func newRemoteKeys(i Issuer, clock func() time.Time) (*remoteKeys, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.CAFile != "" {
		var err error
		if config.RootCAs, err = ClientCAs(i.CAFile); err != nil {
			return nil, err
		}
	}
	client := &http.Client{
		Transport: bounded{&http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("refused a redirect: name the URL that it leads to")
		},
	}
	return &remoteKeys{issuer: i.URL, discovery: i.discovery(), client: client, clock: clock, seat: make(chan struct{}, 1)}, nil
}

// bounded is a transport whose answers end with an error after maxAnswer bytes.
type bounded struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.base.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

// find implements keySource.
func (k *remoteKeys) find(ctx context.Context, kid string) ([]publicKey, error) {
	keys, age := k.cached(kid)
	if len(keys) > 0 && age <= freshFor {
		return keys, nil
	}
	if len(keys) > 0 {
		select {
		case k.seat <- struct{}{}:
			k.fetchIfDue(ctx, renewInterval)
		default: // somebody is at it; these still serve
		}
		keys, _ = k.cached(kid)
		return keys, nil
	}
	select {
	case k.seat <- struct{}{}:
		k.fetchIfDue(ctx, fetchInterval)
	case <-ctx.Done():
		return nil, &Unavailable{k.issuer, fetchInterval, ctx.Err()}
	}
	if keys, _ = k.cached(kid); len(keys) > 0 {
		return keys, nil
	}
	return nil, k.failure()
}

// cached returns the keys at hand and their age.
func (k *remoteKeys) cached(kid string) ([]publicKey, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	age := k.clock().Sub(k.fetched)
	if age < 0 || age > staleFor {
		return nil, age
	}
	return k.keys[kid], age
}

// failure is how the last attempt failed, if it did.
func (k *remoteKeys) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		return nil
	}
	return &Unavailable{k.issuer, fetchInterval, k.err}
}

// fetchIfDue gets the keys unless that was tried within the interval, and gives the seat back. The one who asks may give
// up; the attempt goes on, for the others.
func (k *remoteKeys) fetchIfDue(ctx context.Context, interval time.Duration) {
	defer func() { <-k.seat }()
	k.mu.Lock()
	since := k.clock().Sub(k.tried)
	k.mu.Unlock()
	if since >= 0 && since < interval {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	keys, err := k.fetch(oidc.ClientContext(ctx, k.client))

	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.err = k.clock(), err
	if err == nil {
		k.keys, k.fetched = keys, k.tried
	}
}

// fetch gets the key set. Where it is is remembered until it is not there any more.
func (k *remoteKeys) fetch(ctx context.Context) (map[string][]publicKey, error) {
	if k.keysURL == "" {
		if err := k.discover(ctx); err != nil {
			return nil, fmt.Errorf("discovery at %s: %w", k.discovery, err)
		}
	}
	keys, err := k.keySet(ctx)
	if err != nil {
		err = fmt.Errorf("key set %s: %w", k.keysURL, err)
		k.keysURL = ""
	}
	return keys, err
}

// discover finds out where the key set is (OpenID Connect Discovery 1.0 section 4). The document must name the issuer as
// it is configured, wherever it was found.
func (k *remoteKeys) discover(ctx context.Context) error {
	provider, err := oidc.NewProvider(oidc.InsecureIssuerURLContext(ctx, k.issuer), k.discovery)
	if err != nil {
		return err
	}
	var raw jsontext.Value
	if err := provider.Claims(&raw); err != nil {
		return err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	if err := strictjson.Exact(raw, &document); err != nil {
		return err
	}
	if document.Issuer != k.issuer {
		return fmt.Errorf("it is of another issuer (expected %q, found %s)", k.issuer, quote(document.Issuer))
	}
	if err := checkHTTPS(document.KeysURL); err != nil {
		return fmt.Errorf("jwks_uri: %w", err)
	}
	k.keysURL = document.KeysURL
	return nil
}

func (k *remoteKeys) keySet(ctx context.Context) (map[string][]publicKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.keysURL, nil)
	if err != nil {
		return nil, err
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("expected status 200, found %d", answer.StatusCode)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// parseKeySet reads a key set (RFC 7517 section 5). Entries that cannot serve are skipped: those without kid, for
// encryption, or of a kind that is not known. Whether a key is strong enough is seen when a token names it.
func parseKeySet(b []byte) (map[string][]publicKey, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := strictjson.Exact(b, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are read", len(set.Keys), maxKeys)
	}
	keys := map[string][]publicKey{}
	for _, entry := range set.Keys {
		var k gojose.JSONWebKey
		if err := k.UnmarshalJSON(entry); err != nil || k.KeyID == "" || k.Use != "" && k.Use != "sig" || !k.IsPublic() {
			continue
		}
		keys[k.KeyID] = append(keys[k.KeyID], publicKey{k.Key, k.Algorithm})
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it can serve")
	}
	return keys, nil
}

// maxCAFile bounds a file of roots. The system's have 250 KB.
const maxCAFile = 1 << 20

// ClientCAs reads the roots in a PEM file, for the member ClientCAs of a tls.Config. The error says what is wrong with
// the file.
func ClientCAs(file string) (*x509.CertPool, error) {
	certs, err := readCertificates(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}
