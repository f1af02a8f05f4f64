package relyingparty

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/assay-attestation/assay/result"
)

// How long fetched keys serve. Issuers list a key a day before they use it (README.md section 7, key_publish_lead),
// and a kid that is not known is looked for at once, so these bound how long a key that the issuer withdrew is still
// accepted.
const (
	// freshFor is the age from which keys are fetched anew, in the background, when a token comes.
	freshFor = time.Hour
	// staleFor is the age at which keys no longer serve if no newer ones could be fetched.
	staleFor = 24 * time.Hour
)

// How often keys are fetched at most: tokens with invented kids must not turn into requests.
const (
	refreshInterval = time.Minute     // after a fetch that succeeded
	retryInterval   = 5 * time.Second // after one that failed
)

// Bounds of one fetch; the answer's size is bounded by result.MaxKeySetSize.
const (
	fetchTimeout = 10 * time.Second
	maxRedirects = 3
)

// KeysUnavailable is the error when the issuer's keys could not be had. It is no verdict on the token: try again.
type KeysUnavailable struct {
	URL        string        // of the key set
	RetryAfter time.Duration // when another attempt will be made
	Err        error         // what went wrong
}

// Error says which keys are missing and why.
func (e *KeysUnavailable) Error() string {
	return fmt.Sprintf("the key set %s is not available: %v", e.URL, e.Err)
}

// Unwrap returns what went wrong.
func (e *KeysUnavailable) Unwrap() error { return e.Err }

// remoteKeys are the keys at an issuer's /certs. There is one request at a time, whoever needs it.
type remoteKeys struct {
	url    string
	client *http.Client
	clock  func() time.Time

	mu      sync.Mutex
	set     *result.KeySet // never nil
	fetched time.Time      // when set was
	tried   time.Time      // when the last fetch ended
	err     error          // how the last fetch ended
	flight  chan struct{}  // closed when the fetch under way ends; nil if there is none
}

func newRemoteKeys(issuer string, client *http.Client, clock func() time.Time) *remoteKeys {
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = sameHost
	return &remoteKeys{url: issuer + "/certs", client: &own, clock: clock, set: new(result.KeySet)}
}

// cached returns the keys at hand without waiting; they may be none.
func (r *remoteKeys) cached() *result.KeySet {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := r.clock().Sub(r.fetched)
	if age < 0 || age > staleFor {
		return new(result.KeySet)
	}
	if age > freshFor {
		r.startIfDue()
	}
	return r.set
}

// newest returns the keys after an attempt to get newer ones, if one is due, or *KeysUnavailable.
func (r *remoteKeys) newest(ctx context.Context) (*result.KeySet, error) {
	r.mu.Lock()
	r.startIfDue()
	flight := r.flight
	r.mu.Unlock()
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, &KeysUnavailable{URL: r.url, Err: ctx.Err()}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, &KeysUnavailable{URL: r.url, RetryAfter: retryInterval, Err: r.err}
	}
	return r.set, nil
}

// startIfDue starts a fetch unless one is under way or has just been made. The fetch belongs to no single caller, so
// that one who gives up does not end it for the others; fetchTimeout ends it. The caller holds mu.
func (r *remoteKeys) startIfDue() {
	wait := refreshInterval
	if r.err != nil {
		wait = retryInterval
	}
	since := r.clock().Sub(r.tried)
	if r.flight != nil || since >= 0 && since < wait {
		return
	}
	r.flight = make(chan struct{})
	go r.refresh()
}

func (r *remoteKeys) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, err := r.fetch(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried, r.err = r.clock(), err
	if err == nil {
		r.set, r.fetched = set, r.tried
	}
	close(r.flight)
	r.flight = nil
}

func (r *remoteKeys) fetch(ctx context.Context) (*result.KeySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("expected status 200, found %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, result.MaxKeySetSize+1))
	if err != nil {
		return nil, err
	}
	return result.ParseKeySet(body)
}

// sameHost keeps redirects on the issuer's own host and protocol.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if first := via[0].URL; req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return fmt.Errorf("refused a redirect to another host, %s://%s", req.URL.Scheme, req.URL.Host)
	}
	return nil
}

// parseIssuer checks an issuer's URL and returns it without a trailing slash.
func parseIssuer(issuer string, allowLoopbackHTTP bool) (string, error) {
	issuer = strings.TrimSuffix(issuer, "/")
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return "", fmt.Errorf("issuer URL: %w", err)
	case u.Host == "" || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		return "", fmt.Errorf("issuer URL %q: expected https://host or https://host:port", issuer)
	case u.Scheme == "https" || u.Scheme == "http" && allowLoopbackHTTP && isLoopback(u.Hostname()):
		return issuer, nil
	case u.Scheme == "http":
		return "", fmt.Errorf("issuer URL %q: http is for this machine only, and only if AllowLoopbackHTTP is set", issuer)
	}
	return "", fmt.Errorf("issuer URL %q: expected the scheme https", issuer)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
