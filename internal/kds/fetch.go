package kds

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
)

// Bounds of a request.
const (
	requestTime = 15 * time.Second
	maxHeader   = 16 << 10
	maxAnswer   = snp.MaxChain // bytes of the body; a VCEK has 1.4 KB, ASK and ARK 4.5 KB
)

// newHTTP makes a client that follows no redirect: the host is chosen by the configuration alone.
func newHTTP(given *http.Client) *http.Client {
	client := http.Client{}
	if given != nil {
		client = *given
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxHeader
		client.Transport = t
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// obtain asks the service for the chain of k. The error is an [Unavailable] if it was not asked, an [outage], in it [errAbsent], or about
// an answer of no use.
func (c *Client) obtain(k key) (*snp.Chain, error) {
	chain, err := c.ask(k)
	outcome := fetched
	switch {
	case errors.As(err, new(*Unavailable)): // nobody was asked
		return nil, err
	case errors.Is(err, errAbsent):
		outcome = notKnown
	case errors.As(err, new(*outage)):
		outcome = unavailable
	case err != nil:
		outcome = unusable
	}
	if err != nil {
		c.cfg.Logger.Warn("AMD's key service gave no certificate", "item", k.String(), "outcome", outcome, "error", err)
	} else {
		c.cfg.Logger.Info("AMD's key service gave a certificate", "item", k.String(), "notAfter", chain.Leaf.NotAfter)
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(outcome)
	}
	return chain, err
}

// ask gets the VCEK, and the ASK if that is not at hand. A panic over an answer ends the question, not the process.
func (c *Client) ask(k key) (chain *snp.Chain, err error) {
	defer func() {
		if p := recover(); p != nil {
			chain, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	leaf, err := c.get(k, k.path(), k.query())
	if err != nil {
		return nil, err
	}
	if len(leaf) != 1 {
		return nil, fmt.Errorf("expected one certificate, found %d", len(leaf))
	}
	chain = &snp.Chain{Leaf: leaf[0], Others: c.authoritiesOf(k.product)}
	err = c.check(k, chain)
	if !errors.Is(err, snp.ErrMissing) {
		return chain, err
	}
	chain.Others, err = c.get(k, fmt.Sprintf("vcek/v1/%s/cert_chain", k.product), "")
	if errors.Is(err, errAbsent) {
		return nil, fmt.Errorf("it gave a VCEK and has none of its authorities: %v", err) // not wrapped: the VCEK is known
	}
	if err != nil {
		return nil, err
	}
	if err := c.check(k, chain); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.authorities[k.product] = chain.Others
	return chain, nil
}

func (c *Client) authoritiesOf(p snp.Product) certificates {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.authorities[p]
}

// check holds a chain against the trusted roots and against what was asked for.
func (c *Client) check(k key, chain *snp.Chain) error {
	s, err := c.cfg.Roots.Trace(chain, snp.Options{At: c.cfg.Clock()})
	if err != nil {
		return err
	}
	if found, err := keyOf(s); err != nil || found != k {
		return errors.Join(err, fmt.Errorf("expected the %v, found the %v", k, found))
	}
	return nil
}

// keyOf names the VCEK of a signer.
func keyOf(s *snp.Signer) (key, error) {
	if s.Kind != snp.VCEK {
		return key{}, fmt.Errorf("expected a VCEK, found a %v", s.Kind)
	}
	return key{s.Product, hex.EncodeToString(s.HardwareID), s.TCB}, nil
}

// get makes one request when it is its turn.
func (c *Client) get(k key, path, query string) (certificates, error) {
	if err := c.turn(k); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, requestTime)
	defer cancel()
	u := c.base.JoinPath(path)
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, which may have a password in it
	}
	if err != nil {
		return nil, &outage{fmt.Errorf("GET %s: %w", u.Redacted(), err), 0}
	}
	defer res.Body.Close()
	found, err := answer(res)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", u.Redacted(), err)
	}
	return found, nil
}

// answer reads what the service answered.
func answer(res *http.Response) (certificates, error) {
	status := fmt.Errorf("status %d", res.StatusCode)
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%w: %w", status, errAbsent)
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500:
		return nil, &outage{status, retryAfter(res.Header, time.Now())}
	case res.StatusCode != http.StatusOK:
		return nil, status
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, &outage{err, 0}
	}
	return readCertificates(b)
}

// retryAfter reads the header of that name, in seconds or as a date; zero if there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// certificates are some of which nothing is believed.
type certificates []*x509.Certificate

// readCertificates reads certificates in PEM, or in DER one behind the other: at least one, at most [snp.MaxCertificates] and [snp.MaxChain] bytes.
func readCertificates(b []byte) (found certificates, err error) {
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("longer than %d bytes", maxAnswer)
	}
	if strings.HasPrefix(strings.TrimSpace(string(b)), "-----BEGIN ") {
		b = bareDER(b)
	}
	if found, err = x509.ParseCertificates(b); err != nil {
		return nil, fmt.Errorf("not certificates in DER or PEM: %w", err)
	}
	if len(found) == 0 || len(found) > snp.MaxCertificates {
		return nil, fmt.Errorf("expected 1 to %d certificates, found %d", snp.MaxCertificates, len(found))
	}
	return found, nil
}

// bareDER takes certificates out of their PEM.
func bareDER(text []byte) (ders []byte) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes...)
		}
	}
	return ders
}
